//! The worker's own settings: flags, `WEIR_*` variables and a worker file, in this order of precedence.

use std::path::{Path, PathBuf};

use super::keys::worker as rows;
use super::keys::{self, Key};
use super::problem::Problem;
use super::reference::Sources;
use super::validate::Values;
use super::{files, quantity, yaml};
use crate::error::{Error, Kind, Result};

/// The flags and variables of `weir run`. What is not given comes from the worker file, else from the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct WorkerArgs {
    /// A worker file (YAML) with Connect's worker keys; flags and variables go before it
    #[arg(long, value_name = "FILE", env = "WEIR_CONFIG")]
    pub config: Option<PathBuf>,

    /// Kafka brokers, separated by commas; a pipeline may name its own [default: localhost:9092]
    #[arg(long, value_name = "HOST:PORT,…", env = "WEIR_BOOTSTRAP_SERVERS", value_parser = parse(&rows::BOOTSTRAP_SERVERS))]
    pub bootstrap_servers: Option<String>,

    /// Pipeline files, or directories of them, separated by commas [default: pipelines]
    #[arg(long, value_name = "PATH,…", env = "WEIR_PIPELINES", value_delimiter = ',')]
    pub pipelines: Vec<PathBuf>,

    /// Directories of plugins (.wasm), separated by commas [default: plugins]
    #[arg(long, value_name = "DIR,…", env = "WEIR_PLUGINS", value_delimiter = ',')]
    pub plugins: Vec<PathBuf>,

    /// The directory for compiled plugins and the worker's id; without it plugins are compiled at each start
    #[arg(long, value_name = "DIR", env = "WEIR_STATE")]
    pub state: Option<PathBuf>,

    /// Where REST listens [default: 127.0.0.1:8083]
    #[arg(long, value_name = "HOST:PORT", env = "WEIR_REST", value_parser = parse(&rows::LISTENERS))]
    pub rest: Option<String>,

    /// Where /metrics listens beside REST
    #[arg(long, value_name = "HOST:PORT", env = "WEIR_METRICS", value_parser = parse(&rows::METRICS))]
    pub metrics: Option<String>,

    /// Memory that the worker may use, such as 256M or 1G [default: 512M]
    #[arg(long, value_name = "BYTES", env = "WEIR_MEMORY", value_parser = parse(&rows::MEMORY))]
    pub memory: Option<String>,

    /// The worker's id, stable over restarts, by which Kafka knows it again [default: made once, kept in the state directory]
    #[arg(long, value_name = "ID", env = "WEIR_WORKER_ID", value_parser = parse(&rows::WORKER_ID))]
    pub worker_id: Option<String>,
}

/// Checks a flag's value against the row of the same option, so that flags and files take the same.
fn parse(key: &'static Key) -> impl Fn(&str) -> Result<String, String> + Clone + Send + Sync + 'static {
    move |text| key.check(text.trim(), text).map(|()| text.trim().to_owned())
}

/// The settings of a worker, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// The brokers of pipelines that name none.
    pub bootstrap_servers: String,
    /// Pipeline files and directories of them.
    pub pipelines: Vec<PathBuf>,
    /// Directories of plugins.
    pub plugins: Vec<PathBuf>,
    /// The state directory; None = nothing is kept.
    pub state: Option<PathBuf>,
    /// HOST:PORT of REST.
    pub rest: String,
    /// HOST:PORT of a second listener for `/metrics`.
    pub metrics: Option<String>,
    /// The memory budget.
    pub memory_bytes: u64,
    /// Milliseconds for compiling one plugin.
    pub compile_ms: u64,
    /// Address space for compiling one plugin, in bytes.
    pub compile_bytes: u64,
    /// The worker's id; None = the one in the state directory, else a new one.
    pub id: Option<String>,
}

impl Worker {
    /// Where the checkpoints lie that do not lie in a database; None without a state directory.
    pub fn checkpoints(&self) -> Option<PathBuf> {
        self.state.as_ref().map(|state| state.join("checkpoints"))
    }
}

impl WorkerArgs {
    /// The settings that hold: a flag or variable, else the worker file, else the default. Errors: everything that
    /// is wrong with the worker file, a line for each.
    pub fn resolve(self, sources: &dyn Sources) -> Result<Worker> {
        let file = match &self.config {
            None => File::default(),
            Some(path) => {
                let text = sources.file(path);
                let text = text.map_err(|error| {
                    Error::caused(Kind::Config, format!("the worker file `{}` cannot be read", path.display()), error)
                })?;
                read(path, &text, sources)?
            }
        };
        let or_default = |given: Option<String>, key: &Key| given.unwrap_or_else(|| key.default_text().to_owned());
        let paths = |given: Vec<PathBuf>, written: Option<String>, key: &Key| {
            if given.is_empty() { keys::items(&or_default(written, key)).map(PathBuf::from).collect() } else { given }
        };
        let memory = or_default(self.memory.or(file.memory), &rows::MEMORY);
        Ok(Worker {
            bootstrap_servers: or_default(self.bootstrap_servers.or(file.bootstrap_servers), &rows::BOOTSTRAP_SERVERS),
            pipelines: paths(self.pipelines, file.pipelines, &rows::PIPELINES),
            plugins: paths(self.plugins, file.plugins, &rows::PLUGIN_PATH),
            state: self.state.or(file.state.map(PathBuf::from)),
            rest: without_scheme(&or_default(self.rest.or(file.rest), &rows::LISTENERS)).to_owned(),
            metrics: self.metrics.or(file.metrics),
            memory_bytes: quantity::bytes(&memory).unwrap_or(rows::MEMORY_BYTES_MIN),
            compile_ms: or_default(file.compile_ms, &rows::COMPILE_MS).parse().unwrap_or_default(),
            compile_bytes: quantity::bytes(&or_default(file.compile_memory, &rows::COMPILE_MEMORY))
                .unwrap_or(rows::COMPILE_BYTES_MIN),
            id: self.worker_id.or(file.id),
        })
    }
}

/// HOST:PORT of a listener, which Connect writes as a URL.
fn without_scheme(listener: &str) -> &str {
    listener.strip_prefix("http://").unwrap_or(listener)
}

/// What a worker file says, as texts that their rows take.
#[derive(Debug, Default)]
struct File {
    bootstrap_servers: Option<String>,
    pipelines: Option<String>,
    plugins: Option<String>,
    state: Option<String>,
    rest: Option<String>,
    metrics: Option<String>,
    memory: Option<String>,
    compile_ms: Option<String>,
    compile_memory: Option<String>,
    id: Option<String>,
}

fn read(path: &Path, text: &str, sources: &dyn Sources) -> Result<File> {
    let mut flat = yaml::flatten(text);
    let mut values = Values::gather(&flat.entries, sources);
    for name in values.names() {
        if rows::KEYS.iter().all(|key| key.name != name) {
            let meant = keys::nearest(&name, rows::KEYS.iter().map(|key| key.name));
            let hint = meant.map_or_else(|| "remove it".to_owned(), |meant| format!("did you mean `{meant}`?"));
            values.problem(&name, "is no option of a worker", hint);
        }
    }
    let mut written = |key: &'static Key| values.is_given(key.name).then(|| values.text(key));
    let file = File {
        bootstrap_servers: written(&rows::BOOTSTRAP_SERVERS),
        pipelines: written(&rows::PIPELINES),
        plugins: written(&rows::PLUGIN_PATH),
        state: written(&rows::STATE),
        rest: written(&rows::LISTENERS),
        metrics: written(&rows::METRICS),
        memory: written(&rows::MEMORY),
        compile_ms: written(&rows::COMPILE_MS),
        compile_memory: written(&rows::COMPILE_MEMORY),
        id: written(&rows::WORKER_ID),
    };
    let mut problems: Vec<Problem> = values.into_problems();
    problems.append(&mut flat.problems);
    problems.sort_by_key(|problem| problem.line);
    if problems.is_empty() {
        return Ok(file);
    }
    let lines: Vec<String> = problems.iter().map(|problem| files::located(path, problem)).collect();
    Err(Error::new(Kind::Config, lines.join("\n")))
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
