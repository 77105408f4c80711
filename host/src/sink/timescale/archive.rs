//! What an operator does with the books of a pipeline, running or not: savepoints, and lanes placed at another offset.
//!
//! A savepoint is a copy of checkpoints that belongs to nobody's lanes, so nothing expires it. A lane that is placed
//! gets a new epoch: whoever held it is fenced, claims it again, and goes on from where it was placed.

use std::path::{Path, PathBuf};

use tokio_postgres::{GenericClient, Row, Transaction};
use uuid::Uuid;

use super::chunks::Chunks;
use super::connect::{Connection, Connector, quote};
use super::keeper::{self, MANIFEST};
use super::{failure, place, schema};
use crate::config::pipeline::Timescale;
use crate::error::{Error, Kind, Result};
use crate::record::Lane;
use crate::sink::directory::Directory;
use crate::state::{ChunkId, Manifest};

pub use super::place::Placement;

/// A pipeline and where the chunks of its checkpoints lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shelf<'a> {
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// In the worker's state directory, not in the database.
    pub in_directory: bool,
}

/// Where a lane stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The lane.
    pub lane: Lane,
    /// The first offset without rows.
    pub next_offset: i64,
    /// Where the pipeline began to read it.
    pub start_offset: i64,
}

/// A savepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Savepoint {
    /// Its name.
    pub name: String,
    /// The pipeline whose state it is.
    pub pipeline: String,
    /// Where its chunks lie.
    pub in_directory: bool,
    /// When it was made, in UTC.
    pub created_at: String,
    /// The lanes' checkpoints.
    pub lanes: Vec<(Lane, Manifest)>,
}

/// A state for a lane, and whose it is.
#[derive(Debug, Clone)]
pub struct Source {
    /// The pipeline, or the savepoint's own name for one.
    pub pipeline: String,
    /// Where its chunks lie.
    pub in_directory: bool,
    /// The checkpoint.
    pub manifest: Manifest,
}

impl Savepoint {
    /// The name under which its checkpoints lie; no pipeline can have it.
    fn pipeline_of(name: &str) -> String {
        format!("@savepoint/{name}")
    }

    /// The state of a lane.
    pub fn source(&self, lane: &Lane) -> Option<Source> {
        let (_, manifest) = self.lanes.iter().find(|(of, _)| of == lane)?;
        let pipeline = Savepoint::pipeline_of(&self.name);
        Some(Source { pipeline, in_directory: self.in_directory, manifest: manifest.clone() })
    }
}

/// The books in one schema of one database.
#[derive(Debug)]
pub struct Archive {
    schema: String,
    connection: Connection,
    /// Where chunks lie that are not in the database.
    root: Option<PathBuf>,
}

impl Archive {
    /// Opens the books of a pipeline's database. `root`: where chunks lie that are not in the database.
    pub async fn open(settings: &Timescale, root: Option<PathBuf>) -> Result<Self> {
        let mut connection = Connector::new(settings, "weir-archive")?.open().await?;
        schema::ensure(&mut connection, &settings.schema).await?;
        Ok(Archive { schema: settings.schema.clone(), connection, root })
    }

    /// Where a pipeline's lanes stand, in lane order.
    pub async fn standings(&self, pipeline: &str) -> Result<Vec<Standing>> {
        let sql = format!(
            "SELECT topic, partition, next_offset, start_offset FROM {}.position
             WHERE pipeline = $1 ORDER BY topic, partition",
            quote(&self.schema)
        );
        let rows = self.connection.client.query(&sql, &[&pipeline]).await;
        let rows = rows.map_err(|e| failure::error(format!("read where pipeline {pipeline} stands"), &e))?;
        let standing = |row: &Row| Standing { lane: lane(row), next_offset: row.get(2), start_offset: row.get(3) };
        Ok(rows.iter().map(standing).collect())
    }

    /// A pipeline's checkpoints by lane, the newest first. Those that cannot be read are passed over.
    pub async fn checkpoints(&self, pipeline: &str) -> Result<Vec<(Lane, Manifest)>> {
        let rows = self.connection.client.query(&self.checkpoints_sql(), &[&pipeline]).await;
        Ok(manifests(&rows.map_err(|e| failure::error(format!("read the checkpoints of {pipeline}"), &e))?))
    }

    fn checkpoints_sql(&self) -> String {
        format!(
            "SELECT {MANIFEST} FROM {}.checkpoint c WHERE c.pipeline = $1
             ORDER BY c.topic, c.partition, c.at_offset DESC, c.taken_at DESC",
            quote(&self.schema)
        )
    }

    /// Keeps the newest checkpoint of every lane under a name of its own. Lanes without any have no state worth keeping.
    pub async fn save(&mut self, of: Shelf<'_>, name: &str) -> Result<Vec<(Lane, Manifest)>> {
        let (schema, checkpoints, root) = (self.schema.clone(), self.checkpoints_sql(), self.root.clone());
        let doing = format!("make savepoint {name}");
        let failed = |e: tokio_postgres::Error| match e.code().map(tokio_postgres::error::SqlState::code) {
            Some("23505") => Error::new(
                Kind::Request,
                format!("there is a savepoint `{name}` already: take another name, or delete it"),
            ),
            _ => failure::error(&doing, &e),
        };
        // All of one moment: a checkpoint that is removed meanwhile is still there.
        let transaction = self.connection.client.build_transaction();
        let transaction = transaction
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .start()
            .await
            .map_err(failed)?;
        let sql =
            format!("INSERT INTO {}.savepoint (name, pipeline, in_directory) VALUES ($1, $2, $3)", quote(&schema));
        transaction.execute(&sql, &[&name, &of.pipeline, &of.in_directory]).await.map_err(failed)?;
        let rows = transaction.query(&checkpoints, &[&of.pipeline]).await.map_err(failed)?;
        let mut newest = manifests(&rows);
        newest.dedup_by(|later, first| later.0 == first.0);
        if newest.is_empty() {
            return Err(nothing_to_save(of.pipeline));
        }
        let own = Savepoint::pipeline_of(name);
        let mut kept = Vec::with_capacity(newest.len());
        for (lane, manifest) in newest {
            let source = Source { pipeline: of.pipeline.to_owned(), in_directory: of.in_directory, manifest };
            let copy = Copy { transaction: &transaction, schema: &schema, root: root.as_deref() };
            let manifest = copy.run(&lane, &source, Shelf { pipeline: &own, in_directory: of.in_directory }).await?;
            keeper::insert(&transaction, &quote(&schema), &own, 0, &lane, &manifest).await.map_err(failed)?;
            kept.push((lane, manifest));
        }
        transaction.commit().await.map_err(failed)?;
        Ok(kept)
    }

    /// All savepoints, the newest first.
    pub async fn savepoints(&self) -> Result<Vec<Savepoint>> {
        let sql = format!(
            "SELECT name, pipeline, in_directory, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
             FROM {}.savepoint ORDER BY created_at DESC, name",
            quote(&self.schema)
        );
        let rows = self.connection.client.query(&sql, &[]).await;
        let rows = rows.map_err(|e| failure::error("read the savepoints", &e))?;
        let mut savepoints = Vec::with_capacity(rows.len());
        for row in &rows {
            let name: String = row.get(0);
            let lanes = self.checkpoints(&Savepoint::pipeline_of(&name)).await?;
            savepoints.push(Savepoint {
                name,
                pipeline: row.get(1),
                in_directory: row.get(2),
                created_at: row.get(3),
                lanes,
            });
        }
        Ok(savepoints)
    }

    /// A savepoint by its name. Errors: [`Kind::Request`] with the names that there are.
    pub async fn savepoint(&self, name: &str) -> Result<Savepoint> {
        let mut all = self.savepoints().await?;
        match all.iter().position(|savepoint| savepoint.name == name) {
            Some(at) => Ok(all.swap_remove(at)),
            None => Err(unknown(name, &all)),
        }
    }

    /// Deletes a savepoint with its state.
    pub async fn delete(&mut self, name: &str) -> Result<()> {
        let savepoint = self.savepoint(name).await?;
        let own = Savepoint::pipeline_of(name);
        let schema = quote(&self.schema);
        let failed = |e| failure::error(format!("delete savepoint {name}"), &e);
        let transaction = self.connection.client.transaction().await.map_err(failed)?;
        forget(&transaction, &schema, &own).await.map_err(failed)?;
        let sql = format!("DELETE FROM {schema}.savepoint WHERE name = $1");
        transaction.execute(&sql, &[&name]).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        if let (true, Some(root)) = (savepoint.in_directory, &self.root) {
            let directory = Directory::new(root, &own);
            for (lane, _) in &savepoint.lanes {
                directory.prune(lane, &[])?;
            }
        }
        Ok(())
    }

    /// Places lanes of a pipeline, all or none; whoever holds them is fenced. `doing` says to operators what it was for.
    pub async fn place(&mut self, of: Shelf<'_>, placements: &[Placement], doing: &str) -> Result<()> {
        let (schema, root) = (self.schema.clone(), self.root.clone());
        let failed = |e: tokio_postgres::Error| failure::error(format!("{doing} of pipeline {}", of.pipeline), &e);
        let transaction = self.connection.client.transaction().await.map_err(failed)?;
        let held = place::lock(&transaction, &schema, of.pipeline, placements).await.map_err(failed)?;
        for placement in placements {
            let held = held.iter().find(|(lane, _)| *lane == placement.lane).map(|(_, next_offset)| *next_offset);
            let placing = place::Placing { transaction: &transaction, schema: &schema, pipeline: of.pipeline, doing };
            placing.check(placement, held)?;
            let state = match &placement.state {
                Some(source) => {
                    let copy = Copy { transaction: &transaction, schema: &schema, root: root.as_deref() };
                    Some(copy.run(&placement.lane, source, of).await?)
                }
                None => None,
            };
            placing.run(placement, held, state).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// Removes everything but the positions of a pipeline that has done its work.
    pub async fn clear(&self, of: Shelf<'_>) -> Result<()> {
        let schema = quote(&self.schema);
        let failed = |e| failure::error(format!("remove the checkpoints of {}", of.pipeline), &e);
        forget(&self.connection.client, &schema, of.pipeline).await.map_err(failed)?;
        match &self.root {
            Some(root) if of.in_directory => Directory::new(root, of.pipeline).remove(),
            _ => Ok(()),
        }
    }

    /// Whether a table has an index that finds rows by their coordinates, as a rewind does in each transaction.
    pub async fn has_coordinate_index(&self, table: &str) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid
                     AND a.attnum = ANY (i.indkey) WHERE i.indrelid = to_regclass($1) AND a.attname = 'kafka_offset')";
        let row = self.connection.client.query_one(sql, &[&table]).await;
        Ok(row.map_err(|e| failure::error(format!("look for an index of table {table}"), &e))?.get(0))
    }

    /// Closes the connection.
    pub async fn close(self) {
        self.connection.close().await;
    }
}

/// The copying of one checkpoint.
struct Copy<'a> {
    transaction: &'a Transaction<'a>,
    schema: &'a str,
    root: Option<&'a Path>,
}

impl Copy<'_> {
    /// Copies all layers of a checkpoint under new names. Returns the manifest of the copy.
    async fn run(&self, lane: &Lane, source: &Source, to: Shelf<'_>) -> Result<Manifest> {
        let mut copy = source.manifest.clone();
        for layer in &mut copy.content.layers {
            let (old, new) = (layer.checkpoint, Uuid::new_v4());
            let copied = if source.in_directory || to.in_directory {
                self.by_hand(lane, source, to, (old, new), layer.chunks).await?
            } else {
                let chunks = Chunks { client: self.transaction, schema: self.schema };
                chunks.copy(old, new, to.pipeline).await?
            };
            if copied != u64::from(layer.chunks) {
                let message = format!("{copied} of {} chunks of checkpoint {old} are there", layer.chunks);
                return Err(Error::new(Kind::CheckpointUnusable, message));
            }
            layer.checkpoint = new;
        }
        copy.id = copy.content.layers.last().map_or_else(Uuid::new_v4, |layer| layer.checkpoint);
        Ok(copy)
    }

    /// Chunk by chunk, where one of the two lies in a directory.
    async fn by_hand(
        &self,
        lane: &Lane,
        source: &Source,
        to: Shelf<'_>,
        (old, new): (Uuid, Uuid),
        count: u32,
    ) -> Result<u64> {
        let rows = Chunks { client: self.transaction, schema: self.schema };
        for number in 0..count {
            let (read, written) = (ChunkId { checkpoint: old, number }, ChunkId { checkpoint: new, number });
            let bytes = match self.directory(source.in_directory, &source.pipeline)? {
                Some(directory) => directory.get(lane, read)?,
                None => rows.get(read).await?,
            };
            match self.directory(to.in_directory, to.pipeline)? {
                Some(directory) => directory.put(lane, written, &bytes)?,
                None => rows.put(to.pipeline, lane, written, &bytes).await?,
            }
        }
        Ok(u64::from(count))
    }

    fn directory(&self, wanted: bool, pipeline: &str) -> Result<Option<Directory>> {
        if !wanted {
            return Ok(None);
        }
        let message = format!("the checkpoints of {pipeline} lie in a state directory: name it by --state");
        let root = self.root.ok_or_else(|| Error::new(Kind::Request, message))?;
        Ok(Some(Directory::new(root, pipeline)))
    }
}

/// Deletes all checkpoints of a pipeline with their chunks in the database. `schema` is quoted.
async fn forget(client: &impl GenericClient, schema: &str, pipeline: &str) -> Result<(), tokio_postgres::Error> {
    for table in ["checkpoint", "checkpoint_chunk"] {
        client.execute(&format!("DELETE FROM {schema}.{table} WHERE pipeline = $1"), &[&pipeline]).await?;
    }
    Ok(())
}

fn lane(row: &Row) -> Lane {
    Lane::new(row.get::<_, &str>(0), row.get(1))
}

fn manifests(rows: &[Row]) -> Vec<(Lane, Manifest)> {
    rows.iter().filter_map(|row| Some((lane(row), keeper::readable(row)?))).collect()
}

fn nothing_to_save(pipeline: &str) -> Error {
    let message = format!(
        "pipeline {pipeline} has no checkpoint: it keeps no state, or has not run for `checkpoint.interval.ms` yet"
    );
    Error::new(Kind::Request, message)
}

fn unknown(name: &str, all: &[Savepoint]) -> Error {
    let names: Vec<&str> = all.iter().map(|savepoint| savepoint.name.as_str()).collect();
    let there = if names.is_empty() { "there is none".to_owned() } else { format!("there are: {}", names.join(", ")) };
    Error::new(Kind::Request, format!("there is no savepoint `{name}`; {there}"))
}
