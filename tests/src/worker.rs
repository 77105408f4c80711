//! The real `weir` binary as a child process: started with pipeline files, watched through REST and its log, signalled,
//! and killed with the test that started it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::environment::{BINARY, PLUGINS, directory, variable};
use crate::eventually::eventually;
use crate::logs::Logs;
use crate::process;
use crate::rest::{self, Response};

/// Longest wait for a worker to answer, or for a state to be reached.
pub const WAIT: Duration = Duration::from_secs(30);
/// The variable that gives each process of a test run a number of its own.
pub const PROCESS: &str = "WEIR_TEST_PROCESS";
/// Log lines shown when a worker does not do what is waited for.
const TAIL_LINES: usize = 30;

/// A worker to start: its files and flags.
#[derive(Debug)]
pub struct Plan {
    folder: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Plan {
    /// `weir run` against `brokers` with folders of its own and no pipelines yet.
    ///
    /// # Errors
    /// When the folders cannot be made or the plugins are not built.
    pub fn run(brokers: &str) -> Result<Self> {
        let folder = directory("worker")?;
        let of = |name: &str| folder.join(name).display().to_string();
        fs::create_dir_all(of("pipelines"))?;
        let arguments =
            ["run", "--bootstrap-servers", brokers, "--pipelines", &of("pipelines"), "--state", &of("state")];
        let plan = Self { arguments: arguments.map(str::to_owned).to_vec(), environment: Vec::new(), folder };
        Ok(plan.flag("--plugins", &variable(PLUGINS)?))
    }

    /// Another verb, with nothing but these arguments.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn verb(arguments: &[&str]) -> Result<Self> {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Ok(Self { folder: directory("verb")?, arguments, environment: Vec::new() })
    }

    /// Another verb about the same files, with the same flags.
    #[must_use]
    pub fn instead(&self, verb: &[&str]) -> Self {
        let verb = verb.iter().map(|&argument| argument.to_owned());
        let arguments = verb.chain(self.arguments.iter().skip(1).cloned()).collect();
        Self { folder: self.folder.clone(), arguments, environment: self.environment.clone() }
    }

    /// The same with one more variable in its environment.
    #[must_use]
    pub fn armed(&self, name: &str, value: &str) -> Self {
        let copy = Self {
            folder: self.folder.clone(),
            arguments: self.arguments.clone(),
            environment: self.environment.clone(),
        };
        copy.variable(name, value)
    }

    /// Adds the pipeline file `NAME.yaml`.
    pub fn pipeline(self, name: &str, yaml: &str) -> Result<Self> {
        fs::write(self.pipeline_file(name), yaml)?;
        Ok(self)
    }

    /// Where the pipeline file of this name lies.
    pub fn pipeline_file(&self, name: &str) -> PathBuf {
        self.folder.join("pipelines").join(format!("{name}.yaml"))
    }

    /// The folder of this worker's files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds a flag with its value; a flag that is there already gets the new value.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        if let Some(at) = self.arguments.iter().position(|argument| argument == name) {
            self.arguments.drain(at..(at + 2).min(self.arguments.len()));
        }
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Sets a variable of the worker's environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it with a REST port of its own. A plan can be started again: same files, same state.
    ///
    /// # Errors
    /// When the binary cannot be started.
    pub fn start(&self) -> Result<Worker> {
        let rest = format!("127.0.0.1:{}", free_port()?);
        let mut arguments = self.arguments.clone();
        arguments.extend(["--rest".to_owned(), rest.clone()]);
        let process = self.spawn(&arguments)?;
        Ok(Worker { process, rest })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be started or does not end within `limit`.
    pub async fn finish(&self, limit: Duration) -> Result<Ended> {
        self.spawn(&self.arguments)?.ended(limit).await
    }

    fn spawn(&self, arguments: &[String]) -> Result<Process> {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let binary = variable(BINARY)?;
        let mut command = Command::new(&binary);
        command.env(PROCESS, STARTED.fetch_add(1, Ordering::Relaxed).to_string());
        command.args(arguments).envs(self.environment.iter().cloned()).stdin(Stdio::null());
        // A folder without `plugins` or `pipelines` that the process would take for its own.
        command.current_dir(&self.folder).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {binary}"))?;
        let (output, output_reader) = Logs::follow(child.stdout.take().context("no standard output")?);
        let (logs, logs_reader) = Logs::follow(child.stderr.take().context("no standard error")?);
        Ok(Process { child, output, logs, readers: vec![output_reader, logs_reader] })
    }
}

/// A port of the loopback address that nobody listens on now.
///
/// # Errors
/// When none can be had.
pub fn free_port() -> Result<u16> {
    free_ports().map(|[port]| port)
}

/// The same for several: different ones, as all are held until the last is found.
///
/// # Errors
/// When they cannot be had.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// What a process that has ended left behind.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, line by line.
    pub output: Logs,
    /// Its standard error.
    pub logs: Logs,
}

#[derive(Debug)]
struct Process {
    child: Child,
    output: Logs,
    logs: Logs,
    readers: Vec<JoinHandle<()>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

impl Process {
    async fn ended(mut self, limit: Duration) -> Result<Ended> {
        let child = &mut self.child;
        let waited =
            eventually("the end of the process", limit, async || child.try_wait()?.context("it still runs")).await;
        let status = waited.with_context(|| format!("its log ends with:\n{}", self.logs.tail(TAIL_LINES)))?;
        for reader in self.readers.drain(..) {
            ensure!(reader.join().is_ok(), "the reader of its log panicked");
        }
        Ok(Ended { status, output: self.output.clone(), logs: self.logs.clone() })
    }
}

/// A running worker; killed when dropped.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    rest: String,
}

impl Worker {
    /// Its log so far.
    pub fn logs(&self) -> &Logs {
        &self.process.logs
    }

    /// Its standard output so far, where ConsoleSink prints.
    pub fn output(&self) -> &Logs {
        &self.process.output
    }

    /// `HOST:PORT` of its REST server.
    pub fn rest(&self) -> &str {
        &self.rest
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// GET a path of its REST server.
    pub async fn get(&self, path: &str) -> Result<Response> {
        rest::get(&self.rest, path).await
    }

    /// Waits until `GET /health` answers 200.
    pub async fn ready(&self) -> Result<()> {
        let look = async || {
            let response = self.get("/health").await?;
            ensure!(response.status == 200, "/health answers {} {}", response.status, response.body);
            Ok(())
        };
        self.until("the worker's health", look).await
    }

    /// `GET /connectors/NAME/status`.
    pub async fn status(&self, pipeline: &str) -> Result<Value> {
        let response = self.get(&format!("/connectors/{pipeline}/status")).await?;
        ensure!(response.status == 200, "status of {pipeline}: {} {}", response.status, response.body);
        response.json()
    }

    /// Waits until all tasks of a pipeline, one at least, are in `state` (`RUNNING`, `FAILED`, …); returns the status.
    pub async fn tasks_are(&self, pipeline: &str, state: &str) -> Result<Value> {
        let look = async || {
            let status = self.status(pipeline).await?;
            let tasks = status.get("tasks").and_then(Value::as_array).context("the status has no tasks")?;
            let reached = tasks.iter().all(|task| task.get("state").and_then(Value::as_str) == Some(state));
            ensure!(reached && !tasks.is_empty(), "{status}");
            Ok(status)
        };
        self.until(&format!("state {state} of {pipeline}"), look).await
    }

    /// The value of a sample on `/metrics`: its name with labels, exactly as the page has it.
    pub async fn metric(&self, sample: &str) -> Result<f64> {
        let page = self.get("/metrics").await?.body;
        let value = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("/metrics has no {sample}"))?.parse()?)
    }

    /// [`eventually`], with the end of the log in the error.
    pub async fn until<T>(&self, what: &str, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        let shown = || format!("the worker's log ends with:\n{}", self.logs().tail(TAIL_LINES));
        eventually(what, WAIT, look).await.with_context(shown)
    }

    /// Sends a signal by name: `TERM`, `INT`, `KILL`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let status =
            Command::new("sh").args(["-c", "kill -\"$1\" \"$2\"", "sh", name, &self.id().to_string()]).status()?;
        ensure!(status.success(), "signal {name} could not be sent to process {}", self.id());
        Ok(())
    }

    /// Asks it to stop and waits for its end.
    pub async fn stop(self) -> Result<Ended> {
        self.signal("TERM")?;
        self.ended().await
    }

    /// Kills it at once, with no other process between, and waits for its end.
    pub async fn kill(mut self) -> Result<Ended> {
        self.process.child.kill()?;
        self.ended().await
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.process.child.try_wait()?.is_some())
    }

    /// Waits for its end.
    pub async fn ended(self) -> Result<Ended> {
        self.process.ended(WAIT).await
    }

    /// Resident memory now, in bytes.
    pub fn rss_bytes(&self) -> Result<u64> {
        process::memory(self.id(), "VmRSS:")
    }

    /// Most resident memory so far, in bytes.
    pub fn rss_peak_bytes(&self) -> Result<u64> {
        process::memory(self.id(), "VmHWM:")
    }

    /// CPU time that it has used so far.
    pub fn cpu(&self) -> Result<Duration> {
        process::cpu(self.id())
    }
}
