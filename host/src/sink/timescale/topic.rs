//! Topics as they were when the pipeline first claimed lanes of them: by this a topic that was made again, and
//! partitions that were added, are told from those that were there.

use std::sync::Arc;

use super::connect::{Connection, quote};
use super::failure;
use super::position::Pipeline;
use crate::error::{Error, Kind, Result};
use crate::record::Topic;

/// Notes those that are new, and reads what is noted of each. Of several workers that begin at once the first one's
/// note holds for all.
pub async fn recognise(connection: &Connection, of: Pipeline<'_>, topics: &[Topic]) -> Result<Vec<Topic>> {
    let names: Vec<&str> = topics.iter().map(|topic| &*topic.name).collect();
    let ids: Vec<Option<&str>> = topics.iter().map(|topic| topic.id.as_deref()).collect();
    let partitions: Vec<i32> = topics.iter().map(|topic| topic.partitions).collect();
    // Ordered, so that two workers cannot deadlock. An id that was not known yet is filled in.
    let note = format!(
        "INSERT INTO {}.topic AS t (pipeline, topic, topic_id, partitions)
         SELECT $1, r.topic COLLATE \"C\", r.id, r.partitions
         FROM unnest($2::text[], $3::text[], $4::int4[]) AS r(topic, id, partitions) ORDER BY 2
         ON CONFLICT (pipeline, topic) DO UPDATE SET topic_id = coalesce(t.topic_id, excluded.topic_id)
         RETURNING t.topic, t.topic_id, t.partitions",
        quote(of.schema)
    );
    let rows = connection.client.query(&note, &[&of.name, &names, &ids, &partitions]).await;
    let rows = rows.map_err(|e| failure::error(format!("note the topics of pipeline {}", of.name), &e))?;
    let noted = |topic: &Topic| {
        let row = rows.iter().find(|row| row.get::<_, &str>(0) == &*topic.name);
        let row = row.ok_or_else(|| Error::new(Kind::Internal, format!("no note of topic {topic}")))?;
        Ok(Topic { name: Arc::clone(&topic.name), id: row.get(1), partitions: row.get(2) })
    };
    topics.iter().map(noted).collect()
}
