//! One lane placed at another offset, or given another state, in the transaction that is open.

use tokio_postgres::{Error as Cause, Transaction};
use uuid::Uuid;

use super::archive::Source;
use super::connect::quote;
use super::decisions::Decisions;
use super::keeper;
use super::position::lock_sql;
use crate::error::{Error, Kind, Result};
use crate::record::{Decision, DecisionKind, Lane, Stage};
use crate::state::{Generation, Manifest};

/// Under which generation checkpoints are kept whose counts are not those of their lane: no chain has it, so they are
/// only used while none has spoken.
const UNCOUNTED: Generation = Generation([0; 32]);

/// What becomes of a lane.
#[derive(Debug, Clone)]
pub struct Placement {
    /// The lane.
    pub lane: Lane,
    /// Its next offset from now on; None = it stays. What is there from this offset on is written anew.
    pub next_offset: Option<i64>,
    /// Where a replay without checkpoints begins; only used for a lane without a position.
    pub start_offset: i64,
    /// Records and rows up to `next_offset`, and the chain that made them; None = they are not known, so that a replay
    /// up to there cannot be compared with them.
    pub counted: Option<(u64, u64, Generation)>,
    /// Its state, instead of those that it has; None = it keeps those at or below `next_offset`.
    pub state: Option<Source>,
    /// Whether the lane cannot be read without a checkpoint from now on.
    pub needs_state: bool,
}

/// Locks the positions of lanes in their order; gives those that are there, with their next offset.
pub async fn lock(
    transaction: &Transaction<'_>,
    schema: &str,
    pipeline: &str,
    placements: &[Placement],
) -> Result<Vec<(Lane, i64)>, Cause> {
    let topics: Vec<&str> = placements.iter().map(|placement| &*placement.lane.topic).collect();
    let partitions: Vec<i32> = placements.iter().map(|placement| placement.lane.partition).collect();
    let rows = transaction.query(&lock_sql(&quote(schema)), &[&pipeline, &topics, &partitions]).await?;
    Ok(rows.iter().map(|row| (Lane::new(row.get::<_, &str>(0), row.get(1)), row.get(4))).collect())
}

/// The placing of lanes of one pipeline.
pub struct Placing<'a> {
    /// The transaction.
    pub transaction: &'a Transaction<'a>,
    /// The schema, unquoted.
    pub schema: &'a str,
    /// The pipeline.
    pub pipeline: &'a str,
    /// What it is for.
    pub doing: &'a str,
}

impl std::fmt::Debug for Placing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placing").field("pipeline", &self.pipeline).finish_non_exhaustive()
    }
}

impl Placing<'_> {
    /// Whether the lane can be placed so, `held` being its next offset now.
    pub fn check(&self, placement: &Placement, held: Option<i64>) -> Result<()> {
        let lane = &placement.lane;
        let Some(next_offset) = placement.next_offset.or(held) else {
            let message = format!("pipeline {} has no position of {lane} to keep", self.pipeline);
            return Err(Error::new(Kind::Request, message));
        };
        if let Some(held) = held.filter(|held| next_offset > *held) {
            let message = format!("{lane} stands at offset {held}: to go on at {next_offset} would skip records");
            return Err(Error::new(Kind::Request, message));
        }
        if let Some(at) = placement.state.as_ref().map(|source| source.manifest.at).filter(|at| *at > next_offset) {
            let message = format!("the state of {lane} is of offset {at}, beyond offset {next_offset} where it stands");
            return Err(Error::new(Kind::Request, message));
        }
        Ok(())
    }

    /// Places a lane that was checked; `state` is the copy of its state.
    pub async fn run(&self, placement: &Placement, held: Option<i64>, state: Option<Manifest>) -> Result<(), Cause> {
        // What a silence has fired there is in no count of a checkpoint that was taken before it, and stays.
        let counted = if self.follows_silence(placement).await? { None } else { placement.counted };
        let placement = &Placement { counted, ..placement.clone() };
        if held.is_some() {
            self.update(placement).await?;
        } else {
            self.insert(placement).await?;
        }
        self.checkpoints(placement, state).await?;
        match (placement.next_offset, held) {
            (Some(next_offset), Some(held)) => self.decide(&placement.lane, next_offset, held).await,
            _ => Ok(()),
        }
    }

    /// Whether the record before the lane's new offset was followed by a silence that moved watermarks.
    async fn follows_silence(&self, placement: &Placement) -> Result<bool, Cause> {
        let Some(next_offset) = placement.next_offset else { return Ok(false) };
        let sql = format!(
            "SELECT 1 FROM {}.decision WHERE pipeline = $1 AND topic = $2 AND partition = $3 AND at_offset + 1 = $4
               AND kind = 'idle' LIMIT 1",
            quote(self.schema)
        );
        let (topic, partition) = (&*placement.lane.topic, placement.lane.partition);
        let row = self.transaction.query_opt(&sql, &[&self.pipeline, &topic, &partition, &next_offset]).await?;
        Ok(row.is_some())
    }

    async fn insert(&self, placement: &Placement) -> Result<(), Cause> {
        let sql = format!(
            "INSERT INTO {}.position (pipeline, topic, partition, next_offset, start_offset, epoch, token, owner,
               records_in, rows_out, generation, needs_state)
             VALUES ($1, $2, $3, $4, $5, 1, $6, 'weir', $7, $8, $9, $10)",
            quote(self.schema)
        );
        let (records, rows, generation) = counts(placement);
        let Placement { lane, next_offset, start_offset, needs_state, .. } = placement;
        let next_offset = next_offset.unwrap_or(*start_offset);
        let row: [&(dyn tokio_postgres::types::ToSql + Sync); 10] = [
            &self.pipeline,
            &&*lane.topic,
            &lane.partition,
            &next_offset,
            start_offset,
            &Uuid::new_v4(),
            &records,
            &rows,
            &generation,
            needs_state,
        ];
        self.transaction.execute(&sql, &row).await.map(drop)
    }

    async fn update(&self, placement: &Placement) -> Result<(), Cause> {
        let sql = format!(
            "UPDATE {}.position p SET epoch = p.epoch + 1, token = $4, owner = 'weir', claimed_at = now(),
               needs_state = p.needs_state OR $5
             WHERE p.pipeline = $1 AND p.topic = $2 AND p.partition = $3",
            quote(self.schema)
        );
        let Placement { lane, needs_state, .. } = placement;
        let (topic, partition) = (&*lane.topic, lane.partition);
        self.transaction.execute(&sql, &[&self.pipeline, &topic, &partition, &Uuid::new_v4(), needs_state]).await?;
        let (records, rows, generation) = counts(placement);
        if let Some(next_offset) = placement.next_offset {
            let sql = format!(
                "UPDATE {}.position p SET next_offset = $4, records_in = $5, rows_out = $6, generation = $7,
                   leader_epoch = NULL, rewrite_until = greatest(p.next_offset, p.rewrite_until)
                 WHERE p.pipeline = $1 AND p.topic = $2 AND p.partition = $3",
                quote(self.schema)
            );
            let row: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
                [&self.pipeline, &topic, &partition, &next_offset, &records, &rows, &generation];
            self.transaction.execute(&sql, &row).await?;
        } else if let Some(source) = &placement.state {
            // The chain of the state speaks, so that the lane's own takes over from it as from any other.
            let sql = format!(
                "UPDATE {}.position p SET generation = $4 WHERE p.pipeline = $1 AND p.topic = $2 AND p.partition = $3",
                quote(self.schema)
            );
            let generation = &source.manifest.generation.0[..];
            self.transaction.execute(&sql, &[&self.pipeline, &topic, &partition, &generation]).await?;
        }
        Ok(())
    }

    /// Leaves the lane with the state it is given, or with those of its own that are not beyond it.
    async fn checkpoints(&self, placement: &Placement, state: Option<Manifest>) -> Result<(), Cause> {
        let schema = quote(self.schema);
        let (topic, partition) = (&*placement.lane.topic, placement.lane.partition);
        let uncounted = placement.next_offset.is_some() && placement.counted.is_none();
        if let Some(mut manifest) = state {
            let sql = format!("DELETE FROM {schema}.checkpoint WHERE pipeline = $1 AND topic = $2 AND partition = $3");
            self.transaction.execute(&sql, &[&self.pipeline, &topic, &partition]).await?;
            if uncounted {
                manifest.generation = UNCOUNTED;
            }
            // The silences of another lane; which of them are in the state is told by its watermarks.
            manifest.idles = 0;
            return keeper::insert(self.transaction, &schema, self.pipeline, 0, &placement.lane, &manifest).await;
        }
        let Some(next_offset) = placement.next_offset else { return Ok(()) };
        let sql = format!(
            "DELETE FROM {schema}.checkpoint
             WHERE pipeline = $1 AND topic = $2 AND partition = $3 AND at_offset > $4"
        );
        self.transaction.execute(&sql, &[&self.pipeline, &topic, &partition, &next_offset]).await?;
        if uncounted {
            let sql = format!(
                "UPDATE {schema}.checkpoint SET generation = $4 WHERE pipeline = $1 AND topic = $2 AND partition = $3"
            );
            self.transaction.execute(&sql, &[&self.pipeline, &topic, &partition, &&UNCOUNTED.0[..]]).await?;
        }
        Ok(())
    }

    /// Forgets what was decided about the records that are read again, and records that they are.
    async fn decide(&self, lane: &Lane, from: i64, until: i64) -> Result<(), Cause> {
        let schema = quote(self.schema);
        let idle = DecisionKind::Idle { watermark_us: 0 };
        let again = [DecisionKind::Excluded, DecisionKind::Rejected, DecisionKind::Refused, idle];
        let again = again.map(DecisionKind::name);
        let sql = format!(
            "DELETE FROM {schema}.decision WHERE pipeline = $1 AND topic = $2 AND partition = $3 AND at_offset >= $4
               AND kind = ANY ($5)"
        );
        let (topic, partition) = (&*lane.topic, lane.partition);
        self.transaction.execute(&sql, &[&self.pipeline, &topic, &partition, &from, &&again[..]]).await?;
        let detail = format!("{}: back from offset {until}", self.doing);
        let decision = Decision { offset: from, kind: DecisionKind::Rewound, stage: Stage::Sink, detail };
        let insert = self.transaction.prepare(&Decisions::insert_sql(self.schema)).await?;
        Decisions::one(lane, &decision).insert(self.transaction, &insert, self.pipeline).await
    }
}

/// Records, rows and generation as a position has them.
fn counts(placement: &Placement) -> (i64, i64, Option<Vec<u8>>) {
    match placement.counted {
        Some((records, rows, generation)) => (records as i64, rows as i64, Some(generation.0.to_vec())),
        None => (0, 0, None),
    }
}
