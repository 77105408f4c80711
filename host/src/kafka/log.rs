//! What the brokers hold of topics: partitions, ends, and offsets by time. For whoever plans before anything is read;
//! each call waits for the brokers.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::{ConsumerSettings, failure};
use crate::error::{Error, Kind, Result};
use crate::record::Lane;

/// How long one question to the broker may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The logs of a pipeline's topics.
pub struct Log {
    client: BaseConsumer,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

impl Log {
    /// Asks with a pipeline's settings, outside its group.
    pub fn open(settings: &ConsumerSettings) -> Result<Self> {
        let client = settings.client_config().create();
        let client = client.map_err(|e| Error::caused(Kind::Config, "create a Kafka client", e))?;
        Ok(Log { client })
    }

    /// A topic's lanes, in order. Errors: [`Kind::TopicMissing`].
    pub fn lanes(&self, topic: &str) -> Result<Vec<Lane>> {
        let metadata = self.client.fetch_metadata(Some(topic), TIMEOUT);
        let metadata = metadata.map_err(|e| failure(&format!("look for topic {topic}"), &e))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
        let mut partitions: Vec<i32> = found
            .map(|topic| topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect())
            .unwrap_or_default();
        if partitions.is_empty() {
            return Err(Error::new(Kind::TopicMissing, format!("topic {topic} does not exist")));
        }
        partitions.sort_unstable();
        Ok(partitions.into_iter().map(|partition| Lane::new(topic, partition)).collect())
    }

    /// The offset of a lane's oldest record, and the one behind its newest.
    pub fn ends(&self, lane: &Lane) -> Result<(i64, i64)> {
        super::offsets::ends(&self.client, lane, TIMEOUT)
    }

    /// The first offset of each lane at or after a time, in milliseconds since 1970; None = all records are older.
    pub fn at_time(&self, lanes: &[Lane], at_ms: i64) -> Result<Vec<Option<i64>>> {
        let failed = |e| failure("look for offsets by time", &e);
        let mut asked = TopicPartitionList::new();
        for lane in lanes {
            asked.add_partition_offset(&lane.topic, lane.partition, Offset::Offset(at_ms)).map_err(failed)?;
        }
        let found = self.client.offsets_for_times(asked, TIMEOUT).map_err(failed)?;
        let offset = |lane: &Lane| {
            let element = found.find_partition(&lane.topic, lane.partition)?;
            match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            }
        };
        Ok(lanes.iter().map(offset).collect())
    }
}
