//! Look-ups of offsets that wait for the broker: made on a thread of their own, never on a task's.

use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::compaction::{self, Compaction};
use super::consumer::{COMMIT_MARK, GroupContext};
use super::failure;
use crate::config::pipeline::OffsetReset;
use crate::error::{Error, Kind, Result};
use crate::record::{Lane, Topic};

/// How long one question to the broker may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the broker on behalf of a task's consumer.
pub struct Lookup {
    client: Arc<BaseConsumer<GroupContext>>,
    /// How another client of the same brokers is made.
    config: Arc<ClientConfig>,
}

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lookup")
    }
}

impl Lookup {
    pub(super) fn new(client: Arc<BaseConsumer<GroupContext>>, config: Arc<ClientConfig>) -> Self {
        Lookup { client, config }
    }

    /// What the broker says of topics; [`Kind::TopicMissing`] names one that does not exist.
    pub fn topics(&self, names: &[Arc<str>]) -> Result<Vec<Topic>> {
        super::topics::describe(&self.client, names, TIMEOUT)
    }

    /// How the logs of topics are kept, one answer per name. To be asked on a thread of the async runtime that may wait.
    pub fn kept(&self, names: &[Arc<str>]) -> Result<Vec<Compaction>> {
        compaction::describe(&self.client, &self.config, names, TIMEOUT)
    }

    /// The first offset that a lane's log still holds, and the one after its last.
    pub fn ends(&self, lane: &Lane) -> Result<(i64, i64)> {
        ends(&self.client, lane, TIMEOUT)
    }

    /// Where each lane begins that the sink has no position of: at the group's committed offset when someone
    /// else wrote it (a pipeline that moved here goes on where it was), else by `reset`. A commit of our own
    /// without a position in the sink means that the database lost it: [`Kind::PositionLost`]. Lanes that `is_added`
    /// tells begin at their first record, since nothing that was sent to them may be passed over.
    pub fn starts(
        &self,
        lanes: &[Lane],
        reset: OffsetReset,
        is_added: impl Fn(&Lane) -> bool,
    ) -> Result<Vec<(Lane, i64)>> {
        let mut asked = TopicPartitionList::new();
        for lane in lanes {
            asked.add_partition(&lane.topic, lane.partition);
        }
        let committed =
            self.client.committed_offsets(asked, TIMEOUT).map_err(|e| failure("read the group's offsets", &e))?;
        let start = |lane: &Lane| Ok((lane.clone(), self.start(lane, &committed, reset, is_added(lane))?));
        lanes.iter().map(start).collect()
    }

    fn start(&self, lane: &Lane, committed: &TopicPartitionList, reset: OffsetReset, is_added: bool) -> Result<i64> {
        let found = committed.find_partition(&lane.topic, lane.partition);
        if let Some((Offset::Offset(offset), mark)) = found.map(|e| (e.offset(), e.metadata().to_owned())) {
            if mark == COMMIT_MARK {
                let message = format!(
                    "the group's offset {offset} of {lane} was committed by weir, but the database has no position of it"
                );
                return Err(Error::new(Kind::PositionLost, message));
            }
            if !is_added {
                return Ok(offset);
            }
        }
        let (low, high) = self.ends(lane)?;
        match reset {
            _ if is_added => Ok(low),
            OffsetReset::Earliest => Ok(low),
            OffsetReset::Latest => Ok(high),
            OffsetReset::Error => Err(Error::new(
                Kind::OffsetOutOfRange,
                format!("{lane} has no position, and consumer.override.auto.offset.reset is none"),
            )),
        }
    }
}

/// The first offset that a lane's log still holds, and the one after its last, as the broker says.
pub(super) fn ends<C: ConsumerContext>(client: &BaseConsumer<C>, lane: &Lane, limit: Duration) -> Result<(i64, i64)> {
    let ends = client.fetch_watermarks(&lane.topic, lane.partition, limit);
    ends.map_err(|e| failure(&format!("read the ends of {lane}"), &e))
}

/// The end of a lane as the client last saw it.
pub(super) fn cached_end(client: &BaseConsumer<GroupContext>, lane: &Lane) -> Option<i64> {
    let topic = CString::new(&*lane.topic).ok()?;
    super::bulk::cached_watermarks(client, &topic, lane.partition).map(|(_, high)| high)
}
