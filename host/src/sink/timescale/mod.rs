//! The sink for PostgreSQL and TimescaleDB: rows by COPY, and the position of every lane in the same transaction.
//!
//! One connection at a time, opened when it is needed. An operation takes it out and puts it back when it is fit
//! for more, so a future that is dropped half-way takes its connection with it.

pub mod archive;
pub mod bind;
pub mod cells;
pub mod check;
pub mod chunks;
pub mod connect;
pub mod copy;
pub mod decisions;
pub mod failure;
pub mod gap;
pub mod hypertable;
pub mod keeper;
pub mod locate;
pub mod numeric;
pub mod part;
pub mod place;
pub mod position;
pub mod read;
pub mod refusal;
pub mod rewrite;
pub mod rows;
pub mod schema;
pub mod sqlstate;
pub mod swaps;
pub mod table;
pub mod tls;
pub mod topic;
pub mod types;
pub mod url;
pub mod write;

use std::ops::Range;
use std::path::Path;

use bind::Bound;
use connect::{Backend, Connection, Connector, quote};
use copy::CopyEncoder;
use keeper::TimescaleKeeper;
use position::Pipeline;
use swaps::SwapBooks;
use table::TableName;

use super::directory::Directory;
use super::{BoxFuture, ClaimRequest, Claimed, Gazette, Keeper, Level, Prepared, Sink, WriteError};
use crate::config::pipeline::Timescale;
use crate::error::{Error, Kind, Result};
use crate::record::{Claim, Field, Flush, Lane, PositionRow, Segment, Topic};

/// A table as flushes see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `schema.table`, for messages.
    pub name: String,
    /// The table's name alone, as the database's contexts have it.
    pub table: String,
    /// The same, quoted for statements.
    pub quoted: String,
    /// The statement that copies rows into its bound columns.
    pub copy_sql: String,
}

/// A pipeline's sink.
#[derive(Debug)]
pub struct TimescaleSink {
    settings: Timescale,
    pipeline: String,
    owner: String,
    connector: Connector,
    connection: Option<Connection>,
    /// The server process of the last connection.
    backend: Option<Backend>,
    /// Server processes of lost connections: one may still hold positions.
    former: Vec<Backend>,
    targets: Vec<Target>,
}

impl TimescaleSink {
    /// The sink of a pipeline in a worker. Errors: [`Kind::Config`] when `connection.url` cannot be read.
    pub fn new(pipeline: impl Into<String>, owner: impl Into<String>, settings: Timescale) -> Result<Self> {
        let (pipeline, owner) = (pipeline.into(), owner.into());
        let connector = Connector::new(&settings, &format!("weir/{pipeline}"))?;
        let (connection, backend, former, targets) = (None, None, Vec::new(), Vec::new());
        Ok(TimescaleSink { settings, pipeline, owner, connector, connection, backend, former, targets })
    }

    /// The connection, or a new one behind a schema that was looked at.
    async fn take(&mut self) -> Result<Connection> {
        if let Some(connection) = self.connection.take().filter(|connection| !connection.client.is_closed()) {
            return Ok(connection);
        }
        let mut connection = self.connector.open().await?;
        self.former.extend(self.backend.replace(connection.backend));
        schema::ensure(&mut connection, &self.settings.schema).await?;
        Ok(connection)
    }

    /// Keeps a connection for the next operation; after a failure only if it can be brought to order. A server that
    /// no longer takes writes answers well, but is not the one to talk to.
    async fn put_back(&mut self, connection: Connection, failed: Option<Kind>) {
        let keep = match failed {
            None => true,
            Some(Kind::DatabaseUnreachable) => false,
            Some(_) => connection.recover().await,
        };
        if keep {
            self.connection = Some(connection);
        }
    }

    /// Accepts that records of a lane are gone, whose log begins at `first`.
    pub async fn accept_gap(&mut self, lane: &Lane, first: i64, gap: &Range<i64>) -> Result<gap::Accepted> {
        let mut connection = self.take().await?;
        let result = gap::accept(&mut connection, self.pipeline(), lane, first, gap).await;
        self.put_back(connection, failure_of(&result)).await;
        result
    }

    fn pipeline(&self) -> Pipeline<'_> {
        Pipeline { schema: &self.settings.schema, name: &self.pipeline, owner: &self.owner }
    }

    async fn bind(
        &mut self,
        connection: &mut Connection,
        topic: &str,
        outputs: &[Field],
        sample: Option<&[Field]>,
    ) -> Result<Prepared> {
        let name = TableName::of(&self.settings.table_format, topic)?;
        let settings = &self.settings;
        let table = match table::read(connection, &name).await? {
            Some(table) => table,
            None if !settings.auto_create => return Err(table::missing(&name)),
            None if settings.fields.is_empty() && sample.is_none() => {
                return Ok(Prepared::NeedsSample);
            }
            None => {
                let plan = table::Plan {
                    name: &name,
                    columns: table::columns(&settings.fields, sample.unwrap_or_default(), outputs),
                    coordinates: settings.coordinates,
                    time_column: settings.time_column.as_deref(),
                    chunk_interval: &settings.chunk_interval,
                };
                plan.create(connection).await?;
                table::read(connection, &name).await?.ok_or_else(|| table::missing(&name))?
            }
        };
        let binding = bind::Settings { outputs, listed: &settings.fields, coordinates: settings.coordinates };
        let columns = bind::bind(&table, binding)?;
        let missing_null = settings.fields_missing_null;
        let number = self.number(target(&table, &columns));
        Ok(Prepared::Ready(Box::new(CopyEncoder::new(number, table.to_string(), columns, missing_null))))
    }

    /// The number of a target: that of an equal one that flushes may still carry, or the next.
    fn number(&mut self, target: Target) -> usize {
        if let Some(known) = self.targets.iter().position(|known| *known == target) {
            return known;
        }
        self.targets.push(target);
        self.targets.len() - 1
    }

    async fn write_once(&mut self, flush: &Flush, claims: &[Claim]) -> Result<(), WriteError> {
        let mut connection = self.take().await.map_err(WriteError::Failed)?;
        let mut result = write::attempt(&mut connection, self.pipeline(), &self.targets, flush, claims).await;
        if let Err(WriteError::Refused(refusal)) = &mut result
            && refusal.line.is_none()
        {
            match locate::locate(&mut connection, &self.targets, flush).await {
                Ok(Some((segment, line))) => (refusal.segment, refusal.line) = (segment, Some(line)),
                // Alone, the rows are taken: nobody can be named.
                Ok(None) => {}
                // Nothing was written: the flush goes again, and the row is refused and looked for again.
                Err(error) => result = Err(WriteError::Failed(error)),
            }
        }
        let failed = result.as_ref().err().map(|e| match e {
            WriteError::Refused(_) => Kind::RecordRefused,
            WriteError::Failed(e) | WriteError::Unknown(e) => e.kind(),
        });
        self.put_back(connection, failed).await;
        if result.is_ok() {
            self.former.clear();
        }
        result
    }

    /// Reads positions on a connection of its own; when a former session of ours still holds them, ends it.
    async fn read_positions(&mut self, lanes: &[Lane]) -> Result<Vec<Option<PositionRow>>> {
        self.connection = None;
        let mut connection = self.take().await?;
        let mut result = position::read(&mut connection, self.pipeline(), lanes).await;
        if failure_of(&result) == Some(Kind::DatabaseBusy) && connection.recover().await {
            for &former in &self.former {
                tracing::warn!(pid = former.pid, "a former database session may still hold positions: ending it");
                connection.terminate(former).await?;
            }
            result = position::read(&mut connection, self.pipeline(), lanes).await;
        }
        self.put_back(connection, failure_of(&result)).await;
        if result.is_ok() {
            self.former.clear();
        }
        result
    }
}

/// The kind of a failure.
fn failure_of<T>(result: &Result<T>) -> Option<Kind> {
    result.as_ref().err().map(Error::kind)
}

/// The target of a table's bound columns.
fn target(table: &bind::Table, columns: &[Bound]) -> Target {
    let names: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
    let into = format!("{}.{}", quote(&table.schema), quote(&table.name));
    Target {
        name: table.to_string(),
        table: table.name.clone(),
        quoted: into.clone(),
        copy_sql: format!("COPY {into} ({}) FROM STDIN (FORMAT binary)", names.join(", ")),
    }
}

impl Sink for TimescaleSink {
    fn level(&self) -> Level {
        Level::ExactlyOnce
    }

    fn prepare<'a>(
        &'a mut self,
        topic: &'a str,
        outputs: &'a [Field],
        sample: Option<&'a [Field]>,
    ) -> BoxFuture<'a, Result<Prepared>> {
        Box::pin(async move {
            let mut connection = self.take().await?;
            let result = self.bind(&mut connection, topic, outputs, sample).await;
            self.put_back(connection, failure_of(&result)).await;
            result
        })
    }

    fn recognise<'a>(&'a mut self, topics: &'a [Topic]) -> BoxFuture<'a, Result<Vec<Topic>>> {
        Box::pin(async move {
            let connection = self.take().await?;
            let result = topic::recognise(&connection, self.pipeline(), topics).await;
            self.put_back(connection, failure_of(&result)).await;
            result
        })
    }

    fn claim<'a>(&'a mut self, requests: &'a [ClaimRequest]) -> BoxFuture<'a, Result<Vec<Claimed>>> {
        Box::pin(async move {
            let mut connection = self.take().await?;
            let result = position::claim(&mut connection, self.pipeline(), requests).await;
            self.put_back(connection, failure_of(&result)).await;
            result
        })
    }

    fn write<'a>(&'a mut self, flush: &'a Flush, claims: &'a [Claim]) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(async move {
            if flush.segments.len() != claims.len() {
                let message = format!("a flush of {} segments came with {} claims", flush.segments.len(), claims.len());
                return Err(WriteError::Failed(Error::new(Kind::Internal, message)));
            }
            self.write_once(flush, claims).await
        })
    }

    fn positions<'a>(&'a mut self, lanes: &'a [Lane]) -> BoxFuture<'a, Result<Vec<Option<PositionRow>>>> {
        Box::pin(self.read_positions(lanes))
    }

    fn withdraw(&self, segment: &mut Segment, offset: i64) {
        // An encoder's data always holds its lines. Were it otherwise, the row would be refused again and again, and
        // the task fail with the database's sentence.
        if let Err(e) = rows::withdraw(segment, offset) {
            tracing::error!(error = %e, "cannot take a refused record out of its flush");
        }
    }

    fn keeper(&self, directory: Option<&Path>) -> Result<Option<Box<dyn Keeper>>> {
        let connector = Connector::new(&self.settings, &format!("weir-checkpoints/{}", self.pipeline))?;
        let directory = directory.map(|root| Directory::new(root, &self.pipeline));
        let schema = self.settings.schema.clone();
        Ok(Some(Box::new(TimescaleKeeper::new(self.pipeline.clone(), schema, connector, directory))))
    }

    fn gazette(&self) -> Result<Option<Box<dyn Gazette>>> {
        Ok(Some(Box::new(SwapBooks::new(&self.settings, &self.pipeline, &self.owner)?)))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(connection) = self.connection.take() {
                connection.close().await;
            }
            self.backend = None;
        })
    }
}
