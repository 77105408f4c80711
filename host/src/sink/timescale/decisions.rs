//! The decisions of a flush, written beside its rows.

use tokio_postgres::types::ToSql;
use tokio_postgres::{GenericClient, Statement};

use super::connect::quote;
use super::part::Cause;
use crate::record::{Decision, Flush, Lane};

/// The decisions of a flush as columns.
#[derive(Debug, Default)]
pub struct Decisions<'a> {
    topics: Vec<&'a str>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    kinds: Vec<&'a str>,
    stages: Vec<i16>,
    details: Vec<String>,
    watermarks: Vec<Option<i64>>,
}

impl<'a> Decisions<'a> {
    /// Those of all segments; None when there are none.
    pub fn of(flush: &'a Flush) -> Option<Self> {
        let mut all = Decisions::default();
        for segment in &flush.segments {
            for decision in &segment.decisions {
                all.push(&segment.lane, decision);
            }
        }
        (!all.offsets.is_empty()).then_some(all)
    }

    /// A single one.
    pub fn one(lane: &'a Lane, decision: &Decision) -> Self {
        let mut all = Decisions::default();
        all.push(lane, decision);
        all
    }

    fn push(&mut self, lane: &'a Lane, decision: &Decision) {
        self.topics.push(&lane.topic);
        self.partitions.push(lane.partition);
        self.offsets.push(decision.offset);
        self.kinds.push(decision.kind.name());
        self.stages.push(decision.stage.number());
        // PostgreSQL's texts hold no NUL, and a message may quote one.
        self.details.push(decision.detail.replace('\0', "\u{fffd}"));
        self.watermarks.push(decision.kind.watermark_us());
    }

    /// The statement; after a rewind an offset may be decided again, the same way.
    pub fn insert_sql(schema: &str) -> String {
        format!(
            "INSERT INTO {}.decision (pipeline, topic, partition, at_offset, kind, stage, detail, watermark)
             SELECT $1, * FROM unnest($2::text[], $3::int4[], $4::int8[], $5::text[], $6::int2[], $7::text[], $8::int8[])
             ON CONFLICT (pipeline, topic, partition, at_offset, kind, stage)
             DO UPDATE SET detail = excluded.detail, decided_at = excluded.decided_at, watermark = excluded.watermark",
            quote(schema)
        )
    }

    /// Writes them by the statement of [`Decisions::insert_sql`].
    pub async fn insert(
        &self,
        client: &impl GenericClient,
        statement: &Statement,
        pipeline: &str,
    ) -> Result<(), Cause> {
        let parameters: [&(dyn ToSql + Sync); 8] = [
            &pipeline,
            &self.topics,
            &self.partitions,
            &self.offsets,
            &self.kinds,
            &self.stages,
            &self.details,
            &self.watermarks,
        ];
        client.execute(statement, &parameters).await.map(drop)
    }
}
