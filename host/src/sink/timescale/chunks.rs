//! Chunks of checkpoints as rows of the database.

use tokio_postgres::GenericClient;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::connect::quote;
use super::failure;
use crate::error::Result;
use crate::record::Lane;
use crate::sink::directory::missing;
use crate::state::ChunkId;

/// The chunks in one schema.
#[derive(Debug, Clone, Copy)]
pub struct Chunks<'a, C> {
    /// The connection, or a transaction on it.
    pub client: &'a C,
    /// The schema, unquoted.
    pub schema: &'a str,
}

impl<C: GenericClient> Chunks<'_, C> {
    /// Stores a chunk of a pipeline's lane; one that is there already is left as it is.
    pub async fn put(&self, pipeline: &str, lane: &Lane, id: ChunkId, bytes: &[u8]) -> Result<()> {
        let sql = format!(
            "INSERT INTO {}.checkpoint_chunk (checkpoint, number, pipeline, topic, partition, data)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            quote(self.schema)
        );
        let number = id.number as i32;
        let row: [&(dyn ToSql + Sync); 6] =
            [&id.checkpoint, &number, &pipeline, &&*lane.topic, &lane.partition, &bytes];
        let written = self.client.execute(&sql, &row).await;
        written.map(drop).map_err(|e| failure::error(format!("store a chunk of the checkpoint of {lane}"), &e))
    }

    /// Reads a chunk. Errors: [`crate::error::Kind::CheckpointUnusable`] where it is not there.
    pub async fn get(&self, id: ChunkId) -> Result<Vec<u8>> {
        let sql =
            format!("SELECT data FROM {}.checkpoint_chunk WHERE checkpoint = $1 AND number = $2", quote(self.schema));
        let row = self.client.query_opt(&sql, &[&id.checkpoint, &(id.number as i32)]).await;
        let row = row.map_err(|e| failure::error("read a chunk of a checkpoint", &e))?;
        row.map(|row| row.get(0)).ok_or_else(|| missing(&format!("{}/{}", id.checkpoint, id.number)))
    }

    /// Copies all chunks of a checkpoint, inside the database, under another's name. Returns how many there were.
    pub async fn copy(&self, from: Uuid, to: Uuid, pipeline: &str) -> Result<u64> {
        let sql = format!(
            "INSERT INTO {0}.checkpoint_chunk (checkpoint, number, pipeline, topic, partition, data)
             SELECT $2, number, $3, topic, partition, data FROM {0}.checkpoint_chunk WHERE checkpoint = $1",
            quote(self.schema)
        );
        let copied = self.client.execute(&sql, &[&from, &to, &pipeline]).await;
        copied.map_err(|e| failure::error("copy the chunks of a checkpoint", &e))
    }
}
