//! The database side of a test: a place of its own on the server under test, and questions to it.
//!
//! On PostgreSQL that is a database. The TimescaleDB of the test bed has one backend and so one database: there it is
//! a schema, and everything a test creates must be named by [`Db::table`] and [`Db::weir_schema`]. Both work on both.

use std::ops::Deref;

use anyhow::{Context, Result};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::environment::{DATABASE_URL, TIMESCALE_URL, unique, variable};

/// Where a server is and as whom to enter, without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Role.
    pub user: String,
    /// Password, empty for none.
    pub password: String,
    /// Database.
    pub database: String,
}

impl Address {
    /// Reads a `postgres://` URL.
    ///
    /// # Errors
    /// When it is none, or lacks a host or a user.
    pub fn parse(url: &str) -> Result<Self> {
        let config: Config = url.parse().with_context(|| format!("read the database URL {url}"))?;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            _ => anyhow::bail!("the database URL {url} names no host"),
        };
        let user = config.get_user().with_context(|| format!("the database URL {url} names no user"))?.to_owned();
        Ok(Self {
            host,
            port: config.get_ports().first().copied().unwrap_or(5432),
            database: config.get_dbname().unwrap_or(&user).to_owned(),
            password: String::from_utf8_lossy(config.get_password().unwrap_or_default()).into_owned(),
            user,
        })
    }

    /// As `postgres://user@host:port/database`, without the password.
    pub fn url(&self) -> String {
        format!("postgres://{}@{}/{}", self.user, self.authority(), self.database)
    }

    /// `HOST:PORT`.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The same, reached through another `HOST:PORT`, such as a proxy's.
    ///
    /// # Errors
    /// When `authority` is no `HOST:PORT`.
    pub fn through(&self, authority: &str) -> Result<Self> {
        let (host, port) = authority.rsplit_once(':').with_context(|| format!("{authority} is no HOST:PORT"))?;
        Ok(Self { host: host.to_owned(), port: port.parse()?, ..self.clone() })
    }

    /// Opens a connection; it closes when the session is dropped.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn connect(&self) -> Result<Session> {
        let mut config = Config::new();
        config.host(&self.host).port(self.port).user(&self.user).password(&self.password).dbname(&self.database);
        let (client, connection) = config.connect(NoTls).await.with_context(|| format!("connect to {}", self.url()))?;
        // The connection's error reaches the test through the client, whose calls then fail.
        tokio::spawn(async move { connection.await.unwrap_or_default() });
        Ok(Session { client })
    }
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    client: Client,
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Session {
    /// The rows of the last statement of `sql`, as the server's text; none for null.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let answers = self.client.simple_query(sql).await.with_context(|| sql.to_owned())?;
        let mut rows = Vec::new();
        for answer in answers {
            match answer {
                SimpleQueryMessage::RowDescription(_) => rows.clear(),
                SimpleQueryMessage::Row(row) => {
                    rows.push((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect());
                }
                _ => {}
            }
        }
        Ok(rows)
    }

    /// The first column of the first row, as text.
    pub async fn value(&self, sql: &str) -> Result<String> {
        let rows = self.rows(sql).await?;
        let first = rows.first().and_then(|row| row.first()).with_context(|| format!("no row: {sql}"))?;
        first.clone().with_context(|| format!("null: {sql}"))
    }

    /// The first column of the first row, as a whole number.
    pub async fn number(&self, sql: &str) -> Result<i64> {
        let value = self.value(sql).await?;
        value.parse().with_context(|| format!("{value} is no whole number: {sql}"))
    }

    /// Number of rows of a table.
    pub async fn count(&self, table: &str) -> Result<i64> {
        self.number(&format!("SELECT count(*) FROM {table}")).await
    }
}

/// A place of a test's own on a server, and a session there.
#[derive(Debug)]
pub struct Db {
    address: Address,
    schema: String,
    weir_schema: String,
    session: Session,
}

impl Deref for Db {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Db {
    /// A new database on PostgreSQL.
    ///
    /// # Errors
    /// When `tests/run` started no PostgreSQL, or the database cannot be created.
    pub async fn postgres(hint: &str) -> Result<Self> {
        Self::on(&Address::parse(&variable(DATABASE_URL)?)?, hint).await
    }

    /// A new database on a PostgreSQL of the test's own.
    ///
    /// # Errors
    /// When the database cannot be created.
    pub async fn on(server: &Address, hint: &str) -> Result<Self> {
        let database = unique(hint).to_lowercase();
        server.connect().await?.batch_execute(&format!("CREATE DATABASE {database}")).await?;
        let address = Address { database, ..server.clone() };
        let session = address.connect().await?;
        Ok(Self { address, schema: "public".to_owned(), weir_schema: "weir".to_owned(), session })
    }

    /// A new schema on TimescaleDB.
    ///
    /// # Errors
    /// When `tests/run` started no TimescaleDB, or the schema cannot be created.
    pub async fn timescale(hint: &str) -> Result<Self> {
        let address = Address::parse(&variable(TIMESCALE_URL)?)?;
        let session = address.connect().await?;
        let schema = unique(hint).to_lowercase();
        session.batch_execute(&format!("CREATE EXTENSION IF NOT EXISTS timescaledb; CREATE SCHEMA {schema}")).await?;
        let weir_schema = format!("weir_{schema}");
        Ok(Self { address, schema, weir_schema, session })
    }

    /// Takes a new session, after the server has ended the old one.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn reconnect(&mut self) -> Result<()> {
        self.session = self.address.connect().await?;
        Ok(())
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its URL, for `connection.url`.
    pub fn url(&self) -> String {
        self.address.url()
    }

    /// The qualified name of a table here.
    pub fn table(&self, name: &str) -> String {
        format!("{}.{name}", self.schema)
    }

    /// The schema for weir's own tables here, for `sink.schema`.
    pub fn weir_schema(&self) -> &str {
        &self.weir_schema
    }
}

/// The server's SQLSTATE in an error of a [`Session`], none when it is not the server's.
pub fn sqlstate(error: &anyhow::Error) -> Option<&str> {
    error.chain().find_map(|cause| Some(cause.downcast_ref::<tokio_postgres::Error>()?.code()?.code()))
}
