//! Connections to the writable primary, and the session that a connection begins with.
//!
//! One statement stream per connection: whoever holds a [`Connection`] holds it alone. A connection that is dropped
//! closes its socket at once, so that the server ends the transaction that may still be open on it.

use std::fmt;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::tls::TlsStream;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure;
use super::tls;
use super::url::{self, Address};
use crate::config::pipeline::Timescale;
use crate::error::Result;
use crate::failpoint::{self, Point};
use crate::limits;

/// What the client library starts with; a URL that says nothing leaves it there.
const LIBRARY_KEEPALIVES_IDLE: Duration = Duration::from_hours(2);

/// Opens connections with a pipeline's settings.
#[derive(Debug)]
pub struct Connector {
    address: Address,
    place: String,
    /// Where weir's own tables are: the last place where a pipeline's table is looked for or made.
    own_schema: String,
}

/// A server process: its number alone is given to another one some time later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend {
    /// Its process number.
    pub pid: i32,
    /// When it began, in µs since 1970; None where the server does not tell.
    pub started_us: Option<i64>,
}

/// An open connection and what was prepared on it.
#[derive(Debug)]
pub struct Connection {
    /// The statement stream.
    pub client: Client,
    /// The server process at the other end.
    pub backend: Backend,
    /// Whether the `advance` function can be called; None until the schema was looked at.
    pub has_advance: Option<bool>,
    prepared: Vec<(String, Statement)>,
    driver: Driver,
}

/// The task that moves the connection's bytes; ends with the connection.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connector {
    /// Reads the settings; `application` is how sessions are named where the URL does not say. Errors: [`Kind::Config`] when the URL cannot be read.
    pub fn new(settings: &Timescale, application: &str) -> Result<Self> {
        let mut address = url::parse(&settings.url)?;
        let config = &mut address.config;
        if let Some(user) = &settings.user {
            config.user(user);
        }
        if let Some(password) = &settings.password {
            config.password(password.reveal());
        }
        if config.get_application_name().is_none() {
            config.application_name(application);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(limits::DATABASE_CONNECT_MAX);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(limits::DATABASE_SILENCE_MAX);
        }
        // Half of the silence before the first probe, the rest for the probes.
        if config.get_keepalives_idle() == LIBRARY_KEEPALIVES_IDLE {
            config.keepalives_idle(limits::DATABASE_SILENCE_MAX / 2);
        }
        if config.get_keepalives_interval().is_none() {
            config.keepalives_interval(limits::DATABASE_SILENCE_MAX / 6);
        }
        if config.get_keepalives_retries().is_none() {
            config.keepalives_retries(3);
        }
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let place = place(&address);
        Ok(Connector { address, place, own_schema: settings.schema.clone() })
    }

    /// Opens a connection and sets up its session.
    pub async fn open(&self) -> Result<Connection> {
        let connection = match self.address.config.get_ssl_mode() {
            SslMode::Disable => self.plain().await,
            SslMode::Prefer => match self.encrypted().await? {
                Err(e) if failure::refused_encrypted(&e) => self.plain().await,
                other => other,
            },
            _ => self.encrypted().await?,
        };
        let mut connection =
            connection.map_err(|e| failure::error(format!("connect to database {}", self.place), &e))?;
        connection.set_up(&self.own_schema).await?;
        Ok(connection)
    }

    async fn plain(&self) -> Result<Connection, tokio_postgres::Error> {
        let mut config = self.address.config.clone();
        config.ssl_mode(SslMode::Disable);
        config.connect(NoTls).await.map(|(client, connection)| Connection::new(client, connection))
    }

    /// The outer error: the certificate files cannot be used.
    async fn encrypted(&self) -> Result<Result<Connection, tokio_postgres::Error>> {
        let tls = MakeRustlsConnect::new(tls::client_config(&self.address)?);
        let connected = self.address.config.connect(tls).await;
        Ok(connected.map(|(client, connection)| Connection::new(client, connection)))
    }
}

impl fmt::Display for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

/// `host:port/database`, for messages.
fn place(address: &Address) -> String {
    let config = &address.config;
    let names = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    });
    let ports = config.get_ports();
    let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
    let mut places: Vec<String> = names.enumerate().map(|(at, name)| format!("{name}:{}", port(at))).collect();
    if places.is_empty() {
        places = config.get_hostaddrs().iter().enumerate().map(|(at, ip)| format!("{ip}:{}", port(at))).collect();
    }
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("{}/{database}", places.join(","))
}

impl Connection {
    fn new<T>(client: Client, connection: tokio_postgres::Connection<Socket, T>) -> Self
    where
        T: TlsStream + Unpin + Send + 'static,
    {
        let driver = tokio::spawn(async move {
            // Every statement that is under way learns of the failure by itself.
            if let Err(e) = connection.await {
                tracing::debug!(error = %e, "a database connection ended");
            }
        });
        let backend = Backend { pid: 0, started_us: None };
        Connection { client, backend, has_advance: None, prepared: Vec::new(), driver: Driver(driver) }
    }

    /// Bounds every wait on the server, puts weir's own schema at the end of the search path (the default path begins
    /// with the schema that is named like the role), and learns which process serves the session.
    async fn set_up(&mut self, own_schema: &str) -> Result<()> {
        let sql = format!(
            "SET lock_timeout = {};
             SET statement_timeout = {};
             SET idle_in_transaction_session_timeout = {};
             SET client_min_messages = warning;
             SELECT set_config('search_path',
                 coalesce(string_agg(quote_ident(name), ', ' ORDER BY name = {}, place), ''), false)
               FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, place);
             SELECT pg_backend_pid(), (SELECT (extract(epoch FROM backend_start) * 1000000)::int8
               FROM pg_stat_activity WHERE pid = pg_backend_pid())",
            limits::DATABASE_LOCK_WAIT_MAX.as_millis(),
            limits::DATABASE_STATEMENT_MAX.as_millis(),
            limits::DATABASE_IDLE_IN_TRANSACTION_MAX.as_millis(),
            literal(own_schema),
        );
        let answers =
            self.client.simple_query(&sql).await.map_err(|e| failure::error("set up a database session", &e))?;
        let row = answers.iter().rev().find_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let number = |at: usize| row.and_then(|row| row.get(at));
        self.backend = Backend {
            pid: number(0).and_then(|text| text.parse().ok()).unwrap_or_default(),
            started_us: number(1).and_then(|text| text.parse().ok()),
        };
        Ok(())
    }

    /// A statement prepared on this connection, once.
    pub async fn prepare(&mut self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        if let Some((_, statement)) = self.prepared.iter().find(|(text, _)| text == sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.prepared.push((sql.to_owned(), statement.clone()));
        Ok(statement)
    }

    /// Ends the transaction that a failure has left open. False = the connection is of no further use.
    pub async fn recover(&self) -> bool {
        // A COPY whose very start failed is ended twice by the client library, so that the server answers once too often, and
        // every later question gets the answer to the one before: a row comes back only where none is left over.
        let answered = self.client.simple_query("ROLLBACK; SELECT 1").await;
        let is_row = |message: &SimpleQueryMessage| matches!(message, SimpleQueryMessage::Row(_));
        answered.is_ok_and(|messages| messages.iter().any(is_row)) && !self.client.is_closed()
    }

    /// Ends another process of the same role if it still is the one that was known. Rights: PostgreSQL lets a role
    /// end its own processes.
    pub async fn terminate(&self, other: Backend) -> Result<()> {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE pid = $1 AND (extract(epoch FROM backend_start) * 1000000)::int8 = $2";
        let result = self.client.execute(sql, &[&other.pid, &other.started_us]).await;
        result.map(drop).map_err(|e| failure::error("end weir's former database session", &e))
    }

    /// Passes a failpoint; its error is the loss of this connection.
    pub async fn pass(&self, point: Point) -> Result<(), tokio_postgres::Error> {
        if !failpoint::fails_async(point).await {
            return Ok(());
        }
        self.driver.0.abort();
        while !self.client.is_closed() {
            tokio::task::yield_now().await;
        }
        self.client.batch_execute("").await
    }

    /// The same, when the server has answered all that was sent before: not where rows are being copied.
    pub async fn pass_behind(&self, point: Point) -> Result<(), tokio_postgres::Error> {
        if failpoint::is_armed(point) {
            self.client.batch_execute("").await?;
        }
        self.pass(point).await
    }

    /// Says goodbye to the server, for as long as it listens.
    pub async fn close(self) {
        let Connection { client, prepared, mut driver, .. } = self;
        drop(prepared);
        drop(client);
        // Whether it was polite changes nothing: dropping the driver closes the socket.
        let _ = tokio::time::timeout(limits::DATABASE_CLOSE_MAX, &mut driver.0).await;
    }
}

/// A name as SQL writes it, whatever characters it has.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as a SQL literal.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}
