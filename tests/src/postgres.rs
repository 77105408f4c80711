//! A PostgreSQL of a test's own, for tests that crash it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::db::Address;
use crate::environment::{POSTGRES_BIN, directory, variable};
use crate::eventually::eventually;
use crate::worker::free_port;

/// Longest wait for the server to serve; it may have a crash to recover from.
const WAIT: Duration = Duration::from_secs(60);

/// A server with fsync on; it and its children end with the value.
#[derive(Debug)]
pub struct Server {
    bin: PathBuf,
    data: PathBuf,
    address: Address,
    postmaster: Option<Child>,
}

impl Server {
    /// Makes a data folder and serves from it.
    ///
    /// # Errors
    /// When `tests/run` named no binaries, or the server does not start.
    pub async fn start() -> Result<Self> {
        let folder = directory("server")?;
        let bin = PathBuf::from(variable(POSTGRES_BIN)?);
        let address = Address {
            host: "127.0.0.1".to_owned(),
            port: free_port()?,
            user: "weir".to_owned(),
            password: String::new(),
            database: "postgres".to_owned(),
        };
        let mut server = Self { bin, data: folder.join("data"), address, postmaster: None };
        if is_root()? {
            run(Command::new("chown").arg("nobody").arg(&folder))?;
        }
        let mut initdb = server.command("initdb")?;
        initdb.args(["-U", "weir", "--encoding=UTF8", "--locale=C", "--auth=trust", "--no-sync", "-D"]);
        run(initdb.arg(&server.data))?;
        server.serve().await?;
        Ok(server)
    }

    /// Where it listens, as a superuser.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Starts it, and waits until it takes connections.
    pub async fn serve(&mut self) -> Result<()> {
        let log = fs::File::options().create(true).append(true).open(self.data.with_extension("log"))?;
        let mut postgres = self.command("postgres")?;
        postgres.arg("-D").arg(&self.data).args(["-p", &self.address.port.to_string()]);
        postgres.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        postgres.stdout(log.try_clone()?).stderr(log);
        self.postmaster = Some(postgres.spawn().context("start a PostgreSQL")?);
        eventually("a PostgreSQL of the test's own", WAIT, async || self.address.connect().await.map(drop)).await
    }

    /// Ends it as a crash would (`pg_ctl stop -m immediate`): nothing is written any more, sessions break off.
    pub fn crash(&mut self) -> Result<()> {
        let mut postmaster = self.postmaster.take().context("the server is down already")?;
        run(Command::new("sh").args(["-c", "kill -QUIT \"$1\"", "sh", &postmaster.id().to_string()]))?;
        postmaster.wait()?;
        Ok(())
    }

    /// One of its programs. PostgreSQL refuses to run as root, so as root it is the user nobody's; the kernel ends it
    /// with this process.
    fn command(&self, program: &str) -> Result<Command> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "QUIT"]);
        if is_root()? {
            command.args(["--reuid", "nobody", "--regid", &user_id(&["-g", "nobody"])?, "--clear-groups"]);
        }
        command.arg(self.bin.join(program)).current_dir(Path::new("/")).stdin(Stdio::null());
        Ok(command)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.postmaster.is_some() {
            // It fails only when the server has ended by itself.
            self.crash().unwrap_or_default();
        }
    }
}

fn is_root() -> Result<bool> {
    Ok(user_id(&["-u"])? == "0")
}

fn user_id(arguments: &[&str]) -> Result<String> {
    let output = Command::new("id").args(arguments).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
