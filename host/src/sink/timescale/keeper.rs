//! Checkpoints of a pipeline: chunks in the database or in a directory, and the manifests that make them count.
//!
//! On a connection of its own, so that the writing of a large checkpoint does not hold up flushes.

use std::sync::Arc;

use tokio_postgres::types::ToSql;
use tokio_postgres::{GenericClient, Row};
use uuid::Uuid;

use super::chunks::Chunks;
use super::connect::{Connection, Connector, quote};
use super::position::BEGIN;
use super::{failure, schema};
use crate::error::{Error, Kind, Result};
use crate::failpoint::{self, Point};
use crate::limits::CHECKPOINTS_KEPT;
use crate::record::{Claim, DecisionKind, Lane, Stage};
use crate::sink::directory::Directory;
use crate::sink::{BoxFuture, Keeper};
use crate::state::{ChunkId, Generation, Manifest};

/// The columns of a manifest, as [`manifest`] reads them, after topic and partition.
pub const MANIFEST: &str =
    "c.topic, c.partition, c.id, c.at_offset, c.generation, c.records_in, c.rows_out, c.content, c.idle_advances";

/// A pipeline's checkpoints.
#[derive(Debug)]
pub struct TimescaleKeeper {
    pipeline: String,
    schema: String,
    connector: Connector,
    connection: Option<Connection>,
    /// Where chunks lie; None = in the database.
    directory: Option<Arc<Directory>>,
}

impl TimescaleKeeper {
    /// Opens nothing yet.
    pub fn new(pipeline: String, schema: String, connector: Connector, directory: Option<Directory>) -> Self {
        TimescaleKeeper { pipeline, schema, connector, connection: None, directory: directory.map(Arc::new) }
    }

    /// The connection, opened where needed. A failure leaves none behind.
    async fn take(&mut self) -> Result<Connection> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => {
                let mut connection = self.connector.open().await?;
                schema::ensure(&mut connection, &self.schema).await?;
                Ok(connection)
            }
        }
    }

    /// Passes a failpoint of a chunk; its error is that of whatever keeps chunks.
    async fn pass(&mut self, point: Point) -> Result<()> {
        let kind = if self.directory.is_some() { Kind::StorageFailed } else { Kind::DatabaseUnreachable };
        let passed = failpoint::pass_async(point, kind).await;
        self.connection = self.connection.take().filter(|_| passed.is_ok());
        passed
    }

    async fn put_row(&mut self, lane: &Lane, id: ChunkId, bytes: &[u8]) -> Result<()> {
        let connection = self.take().await?;
        let chunks = Chunks { client: &connection.client, schema: &self.schema };
        chunks.put(&self.pipeline, lane, id, bytes).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn get_row(&mut self, id: ChunkId) -> Result<Vec<u8>> {
        let connection = self.take().await?;
        let chunk = Chunks { client: &connection.client, schema: &self.schema }.get(id).await;
        // A chunk that is not there is no fault of the connection.
        self.connection = Some(connection).filter(|connection| !connection.client.is_closed());
        chunk
    }

    async fn count_once(&mut self, claim: &Claim, manifest: &Manifest, speaks: bool) -> Result<bool> {
        let connection = self.take().await?;
        let of = Counting { pipeline: &self.pipeline, schema: &quote(&self.schema), claim, manifest, speaks };
        let counted = of.run(&connection).await;
        let Some(kept) = counted.map_err(|e| failure::error(format!("count a checkpoint of {}", claim.lane), &e))?
        else {
            self.connection = Some(connection);
            return Ok(false);
        };
        self.connection = Some(connection);
        if let Some(directory) = self.directory.clone() {
            let lane = claim.lane.clone();
            let pruned = blocking(move || directory.prune(&lane, &kept)).await;
            if let Err(error) = pruned {
                tracing::warn!(lane = %claim.lane, %error, "old checkpoints are left in their directory");
            }
        }
        Ok(true)
    }
}

impl Keeper for TimescaleKeeper {
    fn put<'a>(&'a mut self, lane: &'a Lane, id: ChunkId, bytes: Vec<u8>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.pass(Point::BeforeChunk).await?;
            match self.directory.clone() {
                Some(directory) => {
                    let lane = lane.clone();
                    blocking(move || directory.put(&lane, id, &bytes)).await?;
                }
                None => self.put_row(lane, id, &bytes).await?,
            }
            self.pass(Point::AfterChunk).await
        })
    }

    fn get<'a>(&'a mut self, lane: &'a Lane, id: ChunkId) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move {
            self.pass(Point::BeforeLoad).await?;
            let bytes = match self.directory.clone() {
                Some(directory) => {
                    let lane = lane.clone();
                    blocking(move || directory.get(&lane, id)).await
                }
                None => self.get_row(id).await,
            }?;
            self.pass(Point::AfterLoad).await?;
            Ok(bytes)
        })
    }

    fn count<'a>(&'a mut self, claim: &'a Claim, manifest: &'a Manifest, speaks: bool) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.count_once(claim, manifest, speaks))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(connection) = self.connection.take() {
                connection.close().await;
            }
        })
    }
}

/// Runs what blocks on a thread for such.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::caused(Kind::Internal, "work with a directory of checkpoints", e))?
}

/// The writing of one manifest.
struct Counting<'a> {
    pipeline: &'a str,
    /// Quoted.
    schema: &'a str,
    claim: &'a Claim,
    manifest: &'a Manifest,
    /// Whether its chain is the one that the lane is recovered by.
    speaks: bool,
}

impl Counting<'_> {
    /// Writes the manifest where the claim still holds the lane and has passed the manifest's offset, and removes what
    /// is too old. Returns the checkpoints whose chunks are still needed; None = it does not count.
    async fn run(&self, connection: &Connection) -> Result<Option<Vec<Uuid>>, tokio_postgres::Error> {
        let client = &connection.client;
        connection.pass(Point::BeforeManifest).await?;
        client.batch_execute(BEGIN).await?;
        if !self.is_held(connection).await? {
            client.batch_execute("ROLLBACK").await?;
            return Ok(None);
        }
        let Counting { pipeline, schema, claim, manifest, .. } = *self;
        insert(client, schema, pipeline, claim.epoch, &claim.lane, manifest).await?;
        if self.speaks {
            self.speak(connection).await?;
        }
        connection.pass(Point::BeforePrune).await?;
        let kept = self.prune(connection).await?;
        connection.pass(Point::AfterPrune).await?;
        client.batch_execute("COMMIT").await?;
        connection.pass(Point::AfterManifest).await?;
        Ok(Some(kept))
    }

    /// Locks the position, so that no other claim can come between the look and the manifest.
    async fn is_held(&self, connection: &Connection) -> Result<bool, tokio_postgres::Error> {
        let sql = format!(
            "SELECT 1 FROM {}.position p WHERE p.pipeline = $1 AND p.topic = $2 AND p.partition = $3
               AND p.epoch = $4 AND p.token = $5 AND (p.next_offset, p.idle_advances) >= ($6, $7) FOR UPDATE",
            self.schema
        );
        let (Claim { lane, epoch, token, .. }, Manifest { at, idles, .. }) = (self.claim, self.manifest);
        let row = (connection.client)
            .query_opt(&sql, &[&self.pipeline, &&*lane.topic, &lane.partition, epoch, token, at, idles])
            .await?;
        Ok(row.is_some())
    }

    /// The manifest's chain speaks from now on, which is recorded where another one did before.
    async fn speak(&self, connection: &Connection) -> Result<(), tokio_postgres::Error> {
        let lane = &self.claim.lane;
        let generation = &self.manifest.generation;
        // All parts of a statement see what was there before it.
        let sql = format!(
            "WITH before AS (
               SELECT generation FROM {0}.position WHERE pipeline = $1 AND topic = $2 AND partition = $3
             ), cutover AS (
               UPDATE {0}.position SET generation = $4 WHERE pipeline = $1 AND topic = $2 AND partition = $3
                 AND generation IS DISTINCT FROM $4 RETURNING generation
             )
             INSERT INTO {0}.decision (pipeline, topic, partition, at_offset, kind, stage, detail)
             SELECT $1, $2, $3, $5, $6, $7,
               format('from generation %s to %s', encode(substr(before.generation, 1, 6), 'hex'),
                 encode(substr(cutover.generation, 1, 6), 'hex'))
             FROM before, cutover WHERE before.generation IS NOT NULL
             ON CONFLICT (pipeline, topic, partition, at_offset, kind, stage) DO UPDATE
             SET detail = decision.detail || '; ' || excluded.detail, decided_at = excluded.decided_at",
            self.schema
        );
        let (topic, kind, stage) = (&*lane.topic, DecisionKind::Cutover.name(), Stage::Sink.number());
        let row: [&(dyn ToSql + Sync); 7] =
            [&self.pipeline, &topic, &lane.partition, &&generation.0[..], &self.manifest.at, &kind, &stage];
        connection.client.execute(&sql, &row).await.map(drop)
    }

    /// Removes manifests beyond the newest, and the chunks that none of the rest needs. Beside those of the chain that
    /// speaks one is kept: that of a chain which follows, to take over or to take over again.
    async fn prune(&self, connection: &Connection) -> Result<Vec<Uuid>, tokio_postgres::Error> {
        let lane = &self.claim.lane;
        let old = format!(
            "DELETE FROM {0}.checkpoint WHERE id IN (SELECT id FROM (
               SELECT c.id, p.generation IS NOT DISTINCT FROM c.generation AS speaks, row_number() OVER (
                 PARTITION BY p.generation IS NOT DISTINCT FROM c.generation
                 ORDER BY c.at_offset DESC, c.taken_at DESC) AS age
               FROM {0}.checkpoint c JOIN {0}.position p USING (pipeline, topic, partition)
               WHERE c.pipeline = $1 AND c.topic = $2 AND c.partition = $3) aged
             WHERE age > CASE WHEN speaks THEN {CHECKPOINTS_KEPT} ELSE 1 END)",
            self.schema
        );
        connection.client.execute(&old, &[&self.pipeline, &&*lane.topic, &lane.partition]).await?;
        let rest = format!(
            "SELECT {MANIFEST} FROM {}.checkpoint c WHERE c.pipeline = $1 AND c.topic = $2 AND c.partition = $3",
            self.schema
        );
        let rest = connection.client.query(&rest, &[&self.pipeline, &&*lane.topic, &lane.partition]).await?;
        let manifests = rest.iter().filter_map(|row| manifest(row).ok());
        let kept: Vec<Uuid> =
            manifests.flat_map(|manifest| manifest.content.layers).map(|layer| layer.checkpoint).collect();
        let chunks = format!(
            "DELETE FROM {}.checkpoint_chunk WHERE pipeline = $1 AND topic = $2 AND partition = $3
               AND checkpoint <> ALL ($4)",
            self.schema
        );
        connection.client.execute(&chunks, &[&self.pipeline, &&*lane.topic, &lane.partition, &kept]).await?;
        Ok(kept)
    }
}

/// Writes a manifest under the claim of this epoch. `schema` is quoted.
pub async fn insert(
    client: &impl GenericClient,
    schema: &str,
    pipeline: &str,
    epoch: i64,
    lane: &Lane,
    manifest: &Manifest,
) -> Result<(), tokio_postgres::Error> {
    let Manifest { id, at, generation, records, rows, idles, content } = manifest;
    let sql = format!(
        "INSERT INTO {schema}.checkpoint
           (id, pipeline, topic, partition, at_offset, epoch, generation, records_in, rows_out, bytes, content,
            idle_advances)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING"
    );
    let content = serde_json::to_string(content).unwrap_or_default();
    let (records, rows, bytes) = (*records as i64, *rows as i64, manifest.bytes() as i64);
    let (topic, partition, generation) = (&*lane.topic, lane.partition, &generation.0[..]);
    let row: [&(dyn ToSql + Sync); 12] =
        [id, &pipeline, &topic, &partition, at, &epoch, &generation, &records, &rows, &bytes, &content, idles];
    client.execute(&sql, &row).await.map(drop)
}

/// The same, where it can be read: an older one, or the lane's start, takes the place of one that cannot.
pub fn readable(row: &Row) -> Option<Manifest> {
    let lane = Lane::new(row.get::<_, &str>(0), row.get(1));
    manifest(row).inspect_err(|error| tracing::warn!(%lane, %error, "a checkpoint is passed over")).ok()
}

/// A manifest as it is stored, from the columns [`MANIFEST`].
pub fn manifest(row: &Row) -> Result<Manifest> {
    let id: Uuid = row.get(2);
    let generation: Option<[u8; 32]> = row.get::<_, &[u8]>(4).try_into().ok();
    let generation = generation.map(Generation).ok_or_else(|| {
        Error::new(Kind::CheckpointUnusable, format!("the manifest of checkpoint {id} has no generation"))
    })?;
    let content = serde_json::from_str(row.get(7))
        .map_err(|e| Error::caused(Kind::CheckpointUnusable, format!("read the manifest of checkpoint {id}"), e))?;
    let count = |at: usize| row.get::<_, i64>(at) as u64;
    Ok(Manifest { id, at: row.get(3), generation, records: count(5), rows: count(6), idles: row.get(8), content })
}
