//! Position rows: claimed, advanced under the claim, read back when an outcome is unknown.
//!
//! Rows are always locked in the order of topic and partition, so that two writers cannot deadlock.

use futures_util::future::{try_join3, try_join4};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::connect::{Connection, quote};
use super::failure;
use super::keeper::{self, MANIFEST};
use crate::error::{Error, Kind, Result};
use crate::failpoint::Point;
use crate::limits::DATABASE_POSITION_WAIT_MAX;
use crate::record::{Claim, Decision, DecisionKind, Flush, Gap, Lane, PositionRow, Stage};
use crate::sink::{ClaimRequest, Claimed, History};
use crate::state::Generation;

/// How every transaction begins: a condition that waited for a lock must see what the lock's holder wrote.
pub const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Whose positions, and where they lie.
#[derive(Debug, Clone, Copy)]
pub struct Pipeline<'a> {
    /// The schema, unquoted.
    pub schema: &'a str,
    /// The pipeline's name.
    pub name: &'a str,
    /// The worker's name.
    pub owner: &'a str,
}

/// Claims lanes in one transaction: all or none.
pub async fn claim(connection: &mut Connection, of: Pipeline<'_>, requests: &[ClaimRequest]) -> Result<Vec<Claimed>> {
    let claimed = try_claim(connection, of, requests).await;
    claimed.map_err(|e| failure::error(format!("claim lanes of pipeline {}", of.name), &e))?
}

async fn try_claim(
    connection: &mut Connection,
    of: Pipeline<'_>,
    requests: &[ClaimRequest],
) -> Result<Result<Vec<Claimed>>, tokio_postgres::Error> {
    let schema = quote(of.schema);
    let topics: Vec<&str> = requests.iter().map(|request| &*request.lane.topic).collect();
    let partitions: Vec<i32> = requests.iter().map(|request| request.lane.partition).collect();
    let starts: Vec<Option<i64>> = requests.iter().map(|request| request.start).collect();
    let tokens: Vec<Uuid> = requests.iter().map(|_| Uuid::new_v4()).collect();
    let generations: Vec<&[u8]> = requests.iter().map(|request| &request.generation.0[..]).collect();
    let stateful: Vec<bool> = requests.iter().map(|request| request.stateful).collect();
    // A new row has epoch 0, which nobody holds; the claim itself makes it 1.
    let insert = connection
        .prepare(&format!(
            "INSERT INTO {schema}.position
               (pipeline, topic, partition, next_offset, start_offset, epoch, token, owner, generation)
             SELECT $1, r.topic COLLATE \"C\", r.partition, r.start, r.start, 0, r.token, $6, r.generation
             FROM unnest($2::text[], $3::int4[], $4::int8[], $5::uuid[], $7::bytea[])
               AS r(topic, partition, start, token, generation)
             WHERE r.start IS NOT NULL ORDER BY 2, 3 ON CONFLICT DO NOTHING"
        ))
        .await?;
    let lock = connection.prepare(&lock_sql(&schema)).await?;
    let take = connection
        .prepare(&format!(
            "UPDATE {schema}.position p SET epoch = p.epoch + 1, token = r.token, owner = $5, claimed_at = now(),
               generation = CASE WHEN r.stateful THEN p.generation ELSE r.generation END
             FROM unnest($2::text[], $3::int4[], $4::uuid[], $6::bytea[], $7::bool[])
               AS r(topic, partition, token, generation, stateful)
             WHERE p.pipeline = $1 AND p.topic = r.topic AND p.partition = r.partition
             RETURNING p.topic, p.partition, p.epoch, p.token, p.next_offset, p.start_offset, p.records_in, p.rows_out,
               p.generation, p.rewrite_until, p.needs_state, p.leader_epoch, p.idle_advances"
        ))
        .await?;
    let client = &connection.client;
    connection.pass(Point::BeforeClaim).await?;
    // Awaited alone: what follows a BEGIN that failed would commit by itself.
    client.batch_execute(BEGIN).await?;
    let named: [&(dyn ToSql + Sync); 3] = [&of.name, &topics, &partitions];
    let [name, topics, partitions] = named;
    let (_, _, rows, (decisions, manifests)) = try_join4(
        client.execute(&insert, &[name, topics, partitions, &starts, &tokens, &of.owner, &generations]),
        client.query(&lock, &named),
        client.query(&take, &[name, topics, partitions, &tokens, &of.owner, &generations, &stateful]),
        read_history(connection, of, requests),
    )
    .await?;
    let claimed: Result<Vec<Claimed>> =
        requests.iter().map(|request| held(request, &rows, &decisions, &manifests)).collect();
    connection.pass(Point::HalfClaim).await?;
    client.batch_execute(if claimed.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    connection.pass(Point::AfterClaim).await?;
    Ok(claimed)
}

/// Of the lanes with state: the decisions between their start and where they stand, and the manifests. Manifests beyond
/// where they stand are of a history that the database has lost, and go.
async fn read_history(
    connection: &Connection,
    of: Pipeline<'_>,
    requests: &[ClaimRequest],
) -> Result<(Vec<Row>, Vec<Row>), tokio_postgres::Error> {
    let asking: Vec<&Lane> = requests.iter().filter(|request| request.stateful).map(|request| &request.lane).collect();
    if asking.is_empty() {
        return Ok(Default::default());
    }
    let topics: Vec<&str> = asking.iter().map(|lane| &*lane.topic).collect();
    let partitions: Vec<i32> = asking.iter().map(|lane| lane.partition).collect();
    let schema = quote(of.schema);
    let decisions = format!(
        "SELECT d.topic, d.partition, d.at_offset, d.kind, d.stage, d.detail, d.to_offset, d.watermark
         FROM unnest($2::text[], $3::int4[]) AS r(topic, partition)
         JOIN {schema}.position p ON p.pipeline = $1 AND p.topic = r.topic AND p.partition = r.partition
         JOIN {schema}.decision d ON d.pipeline = $1 AND d.topic = r.topic AND d.partition = r.partition
           AND d.at_offset >= p.start_offset AND d.at_offset < p.next_offset
         ORDER BY d.topic, d.partition, d.at_offset"
    );
    let lost = format!(
        "DELETE FROM {schema}.checkpoint c USING {schema}.position p, unnest($2::text[], $3::int4[]) AS r(topic, partition)
         WHERE p.pipeline = $1 AND p.topic = r.topic AND p.partition = r.partition
           AND c.pipeline = $1 AND c.topic = r.topic AND c.partition = r.partition
           AND (c.at_offset, c.idle_advances) > (p.next_offset, p.idle_advances)"
    );
    let manifests = format!(
        "SELECT {MANIFEST} FROM unnest($2::text[], $3::int4[]) AS r(topic, partition)
         JOIN {schema}.checkpoint c ON c.pipeline = $1 AND c.topic = r.topic AND c.partition = r.partition
         ORDER BY c.at_offset DESC, c.idle_advances DESC, c.taken_at DESC"
    );
    let (client, named): (_, [&(dyn ToSql + Sync); 3]) = (&connection.client, [&of.name, &topics, &partitions]);
    let (decisions, _, manifests) =
        try_join3(client.query(&decisions, &named), client.execute(&lost, &named), client.query(&manifests, &named))
            .await?;
    Ok((decisions, manifests))
}

/// The claim that answers a request.
fn held(request: &ClaimRequest, rows: &[Row], decisions: &[Row], manifests: &[Row]) -> Result<Claimed> {
    let lane = &request.lane;
    let mine = |row: &&Row| row.get::<_, &str>(0) == &*lane.topic && row.get::<_, i32>(1) == lane.partition;
    let Some(row) = rows.iter().find(mine) else {
        return Ok(Claimed::NoPosition(lane.clone()));
    };
    let checkpoints = manifests.iter().filter(mine).filter_map(keeper::readable).collect();
    let generation = row.get::<_, Option<&[u8]>>(8).and_then(|bytes| bytes.try_into().ok()).map(Generation);
    let decided = decisions.iter().filter(|row| mine(row) && gap(row).is_none());
    let claim = Claim {
        lane: lane.clone(),
        epoch: row.get(2),
        token: row.get(3),
        next_offset: row.get(4),
        leader_epoch: row.get(11),
        start_offset: row.get(5),
        records: row.get::<_, i64>(6) as u64,
        rows: row.get::<_, i64>(7) as u64,
        idles: row.get(12),
        rewrite_until: row.get(9),
        decisions: decided.map(|row| decision(lane, row)).collect::<Result<_>>()?,
        gaps: decisions.iter().filter(mine).filter_map(gap).collect(),
    };
    Ok(Claimed::Held(claim, History { generation, checkpoints, needs_state: row.get(10) }))
}

fn gap(row: &Row) -> Option<Gap> {
    Gap::parse(row.get(3), row.get(2), row.get(6))
}

fn decision(lane: &Lane, row: &Row) -> Result<Decision> {
    let (offset, kind): (i64, &str) = (row.get(2), row.get(3));
    let kind = DecisionKind::parse(kind, row.get(7)).ok_or_else(|| {
        let message = format!("decision {kind} at offset {offset} of {lane} is none that this weir knows");
        Error::new(Kind::SchemaVersion, message)
    })?;
    Ok(Decision { offset, kind, stage: Stage::from_number(row.get(4)), detail: row.get(5) })
}

/// Locks the rows of lanes in their order; their next offset is the fifth column. `schema` is quoted.
pub fn lock_sql(schema: &str) -> String {
    format!(
        "SELECT p.topic, p.partition, p.epoch, p.token, p.next_offset, p.owner, p.idle_advances FROM {schema}.position p
         WHERE p.pipeline = $1 AND (p.topic, p.partition) IN (SELECT * FROM unnest($2::text[], $3::int4[]))
         ORDER BY p.topic, p.partition FOR UPDATE"
    )
}

/// Reads positions after every transaction that holds them has ended.
pub async fn read(connection: &mut Connection, of: Pipeline<'_>, lanes: &[Lane]) -> Result<Vec<Option<PositionRow>>> {
    let topics: Vec<&str> = lanes.iter().map(|lane| &*lane.topic).collect();
    let partitions: Vec<i32> = lanes.iter().map(|lane| lane.partition).collect();
    let wait_ms = DATABASE_POSITION_WAIT_MAX.as_millis();
    let begin = format!("{BEGIN}; SET LOCAL lock_timeout = {wait_ms}");
    let result: Result<Vec<Row>, tokio_postgres::Error> = async {
        let lock = connection.prepare(&lock_sql(&quote(of.schema))).await?;
        let client = &connection.client;
        client.batch_execute(&begin).await?;
        let rows = client.query(&lock, &[&of.name, &topics, &partitions]).await?;
        client.batch_execute("COMMIT").await?;
        Ok(rows)
    }
    .await;
    let rows = result.map_err(|e| failure::error(format!("read the positions of pipeline {}", of.name), &e))?;
    Ok(lanes.iter().map(|lane| position(lane, &rows)).collect())
}

fn position(lane: &Lane, rows: &[Row]) -> Option<PositionRow> {
    let mine = |row: &&Row| row.get::<_, &str>(0) == &*lane.topic && row.get::<_, i32>(1) == lane.partition;
    let row = rows.iter().find(mine)?;
    let (epoch, token, next_offset) = (row.get(2), row.get(3), row.get(4));
    Some(PositionRow { epoch, token, next_offset, idles: row.get(6), owner: row.get(5) })
}

/// A lane in which another chain speaks from a segment on.
#[derive(Debug)]
pub struct Cutover<'a> {
    claim: &'a Claim,
    generation: &'a [u8],
}

impl<'a> Cutover<'a> {
    /// Those of a flush, in lane order.
    pub fn of(flush: &'a Flush, claims: &'a [Claim]) -> Vec<Self> {
        let pairs = flush.segments.iter().zip(claims);
        pairs.filter_map(|(segment, claim)| Some(Cutover { claim, generation: segment.speaks.as_ref()? })).collect()
    }

    /// Writes it, where the claim still holds the lane; where it does not, the advance fails.
    pub async fn write(&self, client: &Client, of: Pipeline<'_>) -> Result<(), tokio_postgres::Error> {
        let sql = format!(
            "UPDATE {}.position SET generation = $6
             WHERE pipeline = $1 AND topic = $2 AND partition = $3 AND epoch = $4 AND token = $5",
            quote(of.schema)
        );
        let Claim { lane, epoch, token, .. } = self.claim;
        let parameters: [&(dyn ToSql + Sync); 6] =
            [&of.name, &&*lane.topic, &lane.partition, epoch, token, &self.generation];
        client.execute(&sql, &parameters).await.map(drop)
    }
}

/// The parameters of an advance: one entry per lane, in lane order.
#[derive(Debug, Default)]
pub struct Advance<'a> {
    /// Topics.
    pub topics: Vec<&'a str>,
    /// Partitions.
    pub partitions: Vec<i32>,
    /// Epochs of the claims.
    pub epochs: Vec<i64>,
    /// Tokens of the claims.
    pub tokens: Vec<Uuid>,
    /// Next offsets that must be there.
    pub froms: Vec<i64>,
    /// Next offsets to write.
    pub tos: Vec<i64>,
    /// Records to add to the running count.
    pub records: Vec<i64>,
    /// Rows to add to the running count.
    pub rows: Vec<i64>,
    /// Leader epochs of the last records below the next offsets.
    pub leader_epochs: Vec<Option<i32>>,
    /// Silences that must have been counted.
    pub idles: Vec<i64>,
    /// Silences to count.
    pub more_idles: Vec<i64>,
}

impl<'a> Advance<'a> {
    /// The advance of every segment under its claim.
    pub fn of(flush: &'a Flush, claims: &'a [Claim]) -> Self {
        let mut pairs: Vec<_> = flush.segments.iter().zip(claims).collect();
        pairs.sort_by(|(a, _), (b, _)| a.lane.cmp(&b.lane));
        let mut advance = Advance::default();
        for (segment, claim) in pairs {
            advance.topics.push(&segment.lane.topic);
            advance.partitions.push(segment.lane.partition);
            advance.epochs.push(claim.epoch);
            advance.tokens.push(claim.token);
            advance.froms.push(segment.from);
            advance.tos.push(segment.to);
            advance.records.push(segment.records as i64);
            advance.rows.push(segment.rows as i64);
            advance.leader_epochs.push(segment.leader_epoch);
            advance.idles.push(claim.idles);
            advance.more_idles.push(segment.idles);
        }
        advance
    }

    /// The same as one statement that says how many rows it moved, for databases without the function.
    pub fn update_sql(schema: &str) -> String {
        format!(
            "UPDATE {}.position p
             SET next_offset = r.goal, records_in = p.records_in + r.records, rows_out = p.rows_out + r.rows,
                 leader_epoch = r.leader_epoch, idle_advances = r.idles + r.more_idles, advanced_at = now()
             FROM unnest($2::text[], $3::int4[], $4::int8[], $5::uuid[], $6::int8[], $7::int8[], $8::int8[], $9::int8[],
                         $10::int4[], $11::int8[], $12::int8[])
               AS r(topic, partition, epoch, token, expected, goal, records, rows, leader_epoch, idles, more_idles)
             WHERE p.pipeline = $1 AND p.topic = r.topic AND p.partition = r.partition
               AND p.epoch = r.epoch AND p.token = r.token AND p.next_offset = r.expected
               AND p.idle_advances = r.idles",
            quote(schema)
        )
    }

    /// Locks its rows in order, ahead of [`Advance::update_sql`].
    pub fn lock_sql(schema: &str) -> String {
        lock_sql(&quote(schema))
    }
}
