//! What workers and operators of a pipeline tell each other about chains that are to take over: tables `ruling` and
//! `swap`.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connect::{Connection, Connector, quote};
use super::{failure, schema};
use crate::config::pipeline::Timescale;
use crate::error::Result;
use crate::sink::{BoxFuture, Gazette};
use crate::state::{Generation, Ruling, Says, Standing};

/// The books of a pipeline's swaps, on a connection of their own that is opened when first needed.
#[derive(Debug)]
pub struct SwapBooks {
    pipeline: String,
    worker: String,
    schema: String,
    connector: Connector,
    connection: Option<Connection>,
}

/// A chain that was to take over, as a worker saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The worker.
    pub worker: String,
    /// When, in UTC.
    pub at: String,
    /// Where it stands.
    pub standing: Standing,
}

impl SwapBooks {
    /// The books of a pipeline, kept by a worker of this name.
    pub fn new(settings: &Timescale, pipeline: &str, worker: &str) -> Result<Self> {
        let connector = Connector::new(settings, &format!("weir-swaps/{pipeline}"))?;
        let (pipeline, worker, schema) = (pipeline.to_owned(), worker.to_owned(), settings.schema.clone());
        Ok(SwapBooks { pipeline, worker, schema, connector, connection: None })
    }

    async fn take(&mut self) -> Result<Connection> {
        if let Some(connection) = self.connection.take().filter(|connection| !connection.client.is_closed()) {
            return Ok(connection);
        }
        let mut connection = self.connector.open().await?;
        schema::ensure(&mut connection, &self.schema).await?;
        Ok(connection)
    }

    /// What every worker has seen, the newest last.
    pub async fn seen(&mut self) -> Result<Vec<Seen>> {
        let sql = format!(
            "SELECT generation, plugins, stage, detail, subjects, worker,
               to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
             FROM {}.swap WHERE pipeline = $1 ORDER BY changed_at, generation",
            quote(&self.schema)
        );
        let rows = self.query(&sql, &[&self.pipeline.clone()], "read swaps").await?;
        Ok(rows.iter().map(seen).collect())
    }

    async fn query(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)], doing: &str) -> Result<Vec<Row>> {
        let connection = self.take().await?;
        let rows = connection.client.query(sql, parameters).await;
        let rows = rows.map_err(|e| failure::error(format!("{doing} of pipeline {}", self.pipeline), &e))?;
        self.connection = Some(connection);
        Ok(rows)
    }

    async fn read(&mut self) -> Result<Vec<Ruling>> {
        let sql = format!("SELECT subject, says, detail FROM {}.ruling WHERE pipeline = $1", quote(&self.schema));
        let rows = self.query(&sql, &[&self.pipeline.clone()], "read rulings").await?;
        let ruling = |row: &Row| {
            let says = Says::parse(row.get(1))?;
            Some(Ruling { subject: row.get(0), says, detail: row.get(2) })
        };
        Ok(rows.iter().filter_map(ruling).collect())
    }

    async fn write(&mut self, rulings: &[Ruling]) -> Result<()> {
        let subjects: Vec<&str> = rulings.iter().map(|ruling| ruling.subject.as_str()).collect();
        let says: Vec<&str> = rulings.iter().map(|ruling| ruling.says.name()).collect();
        let details: Vec<String> = rulings.iter().map(|ruling| clean(&ruling.detail)).collect();
        let sql = format!(
            "INSERT INTO {}.ruling (pipeline, subject, says, detail)
             SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[])
             ON CONFLICT (pipeline, subject) DO UPDATE
             SET says = excluded.says, detail = excluded.detail, decided_at = now()",
            quote(&self.schema)
        );
        let pipeline = self.pipeline.clone();
        self.query(&sql, &[&pipeline, &subjects, &says, &details], "write rulings").await.map(drop)
    }

    /// Forgets what was decided about a subject. False: nothing was.
    pub async fn revoke(&mut self, subject: &str) -> Result<bool> {
        let sql = format!(
            "DELETE FROM {}.ruling WHERE pipeline = $1 AND subject = $2 RETURNING subject",
            quote(&self.schema)
        );
        let pipeline = self.pipeline.clone();
        Ok(!self.query(&sql, &[&pipeline, &subject], "revoke a ruling").await?.is_empty())
    }

    async fn note(&mut self, standing: &Standing) -> Result<()> {
        let sql = format!(
            "INSERT INTO {}.swap (pipeline, worker, generation, plugins, stage, detail, subjects)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (pipeline, worker, generation) DO UPDATE
             SET stage = excluded.stage, detail = excluded.detail, subjects = excluded.subjects, changed_at = now()",
            quote(&self.schema)
        );
        let Standing { generation, plugins, stage, detail, subjects } = standing;
        let (pipeline, worker, detail) = (self.pipeline.clone(), self.worker.clone(), clean(detail));
        let row: [&(dyn ToSql + Sync); 7] = [&pipeline, &worker, &&generation.0[..], plugins, stage, &detail, subjects];
        self.query(&sql, &row, "note a swap").await.map(drop)
    }
}

impl Gazette for SwapBooks {
    fn rulings(&mut self) -> BoxFuture<'_, Result<Vec<Ruling>>> {
        Box::pin(self.read())
    }

    fn rule<'a>(&'a mut self, rulings: &'a [Ruling]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write(rulings))
    }

    fn tell<'a>(&'a mut self, standing: &'a Standing) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.note(standing))
    }
}

fn seen(row: &Row) -> Seen {
    let generation = row.get::<_, &[u8]>(0).try_into().map_or(Generation([0; 32]), Generation);
    let standing =
        Standing { generation, plugins: row.get(1), stage: row.get(2), detail: row.get(3), subjects: row.get(4) };
    Seen { worker: row.get(5), at: row.get(6), standing }
}

/// PostgreSQL's texts hold no NUL, and a message may quote one.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
