//! What the broker knows a topic by, its id and its number of partitions; and what it knows a position by beside the
//! offset, the leader epoch.
//!
//! The safe wrapper of the client library knows none of them, so this file speaks to the C library, as `bulk.rs` does.
//! What it relies on: an answer to `rd_kafka_DescribeTopics` comes as one event on the queue that was given with the
//! question; what the event holds lives until the event is destroyed.
#![allow(unsafe_code, reason = "topics are described by a call that the safe client library does not offer")]

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as ffi;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataBroker;

use super::consumer::{GroupContext, is_passing};
use super::failure;
use crate::error::{Error, Kind, Result};
use crate::record::{Lane, Topic};

/// The id that brokers give which know no ids.
const NO_ID: (i64, i64) = (0, 0);

/// A broker to ask about topics: any can tell, and some clusters have no controller that the library would ask otherwise,
/// the demo's own among them. Waits for one.
pub(super) fn any_broker(
    client: &BaseConsumer<GroupContext>,
    names: &[Arc<str>],
    limit: Duration,
) -> Result<Option<i32>> {
    let known = client.fetch_metadata(names.first().map(|name| &**name), limit);
    let away = |e| if is_passing(&e) { client.client().context().away() } else { failure("look for a broker", &e) };
    let known = known.map_err(away)?;
    Ok(known.brokers().first().map(MetadataBroker::id))
}

/// Describes topics, each of which exists. Waits for the broker.
pub(super) fn describe(client: &BaseConsumer<GroupContext>, names: &[Arc<str>], limit: Duration) -> Result<Vec<Topic>> {
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    let terminated: Vec<CString> = names.iter().filter_map(|name| CString::new(&**name).ok()).collect();
    let mut pointers: Vec<*const c_char> = terminated.iter().map(|name| name.as_ptr()).collect();
    let broker = any_broker(client, names, limit)?.unwrap_or_default();
    let native = client.client().native_ptr();
    // SAFETY: the client is alive for the call; the names are C strings that outlive it and are copied by the library;
    // the options may be null parts of the library's own making. Each thing made here is destroyed here, once.
    let answer = unsafe {
        let queue = ffi::rd_kafka_queue_new(native);
        let options =
            ffi::rd_kafka_AdminOptions_new(native, ffi::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        ffi::rd_kafka_AdminOptions_set_request_timeout(options, limit_ms, ptr::null_mut(), 0);
        ffi::rd_kafka_AdminOptions_set_broker(options, broker, ptr::null_mut(), 0);
        let topics = ffi::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        ffi::rd_kafka_DescribeTopics(native, topics, options, queue);
        ffi::rd_kafka_TopicCollection_destroy(topics);
        ffi::rd_kafka_AdminOptions_destroy(options);
        // The request's own timeout ends it; a little longer, so that the answer is its error.
        let event = ffi::rd_kafka_queue_poll(queue, limit_ms.saturating_add(1_000));
        ffi::rd_kafka_queue_destroy(queue);
        Answer(event)
    };
    answer.topics()?.into_iter().zip(names).map(|(found, name)| found.read(name)).collect()
}

/// Says in a list of positions under which leader epoch the record before a lane's offset was written.
pub(super) fn set_leader_epoch(positions: &TopicPartitionList, lane: &Lane, leader_epoch: Option<i32>) {
    let Ok(topic) = CString::new(&*lane.topic) else { return };
    // SAFETY: the list is alive, and with it its element, which nobody else touches meanwhile: lists are not shared
    // between threads.
    unsafe {
        let element = ffi::rd_kafka_topic_partition_list_find(positions.ptr(), topic.as_ptr(), lane.partition);
        if !element.is_null() {
            ffi::rd_kafka_topic_partition_set_leader_epoch(element, leader_epoch.unwrap_or(-1));
        }
    }
}

/// The event that answers; null where none came.
struct Answer(*mut ffi::rd_kafka_event_t);

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: ours, destroyed once.
            unsafe { ffi::rd_kafka_event_destroy(self.0) }
        }
    }
}

impl Answer {
    fn topics(&self) -> Result<Vec<Description<'_>>> {
        if self.0.is_null() {
            return Err(Error::new(Kind::BrokerUnreachable, "describe topics: no broker answers"));
        }
        // SAFETY: the event is alive as long as `self`, and so is what is read from it; a result without topics has the
        // count 0.
        unsafe {
            let code = RDKafkaErrorCode::from(ffi::rd_kafka_event_error(self.0));
            if code != RDKafkaErrorCode::NoError {
                return Err(failure("describe topics", &KafkaError::AdminOp(code)));
            }
            let result = ffi::rd_kafka_event_DescribeTopics_result(self.0);
            let mut count = 0;
            let topics = ffi::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            if topics.is_null() {
                return Ok(Vec::new());
            }
            Ok(slice::from_raw_parts(topics, count)
                .iter()
                .filter_map(|topic| topic.as_ref())
                .map(Description)
                .collect())
        }
    }
}

/// One topic of an answer.
struct Description<'a>(&'a ffi::rd_kafka_TopicDescription_t);

impl Description<'_> {
    /// The topic, asked for by this name.
    fn read(&self, asked: &Arc<str>) -> Result<Topic> {
        // SAFETY: the description is alive, and with it its error, its name and its id; the count may be written.
        let (code, name, id, partitions) = unsafe {
            let code = ffi::rd_kafka_error_code(ffi::rd_kafka_TopicDescription_error(self.0));
            let name = CStr::from_ptr(ffi::rd_kafka_TopicDescription_name(self.0)).to_string_lossy();
            let mut count = 0;
            ffi::rd_kafka_TopicDescription_partitions(self.0, &raw mut count);
            (RDKafkaErrorCode::from(code), name, id(ffi::rd_kafka_TopicDescription_topic_id(self.0)), count)
        };
        match code {
            RDKafkaErrorCode::NoError if *name == **asked => {
                Ok(Topic { name: Arc::clone(asked), id, partitions: i32::try_from(partitions).unwrap_or(i32::MAX) })
            }
            RDKafkaErrorCode::NoError => {
                Err(Error::new(Kind::Internal, format!("topic {name} was described instead of {asked}")))
            }
            RDKafkaErrorCode::UnknownTopicOrPartition => {
                Err(Error::new(Kind::TopicMissing, format!("topic {asked} does not exist")))
            }
            code => Err(failure(&format!("describe topic {asked}"), &KafkaError::AdminOp(code))),
        }
    }
}

/// An id as Kafka's own tools write it.
///
/// # Safety
/// `id` is null, or points to an id that is alive.
unsafe fn id(id: *const ffi::rd_kafka_Uuid_t) -> Option<String> {
    if id.is_null() {
        return None;
    }
    // SAFETY: alive, by the caller's word; the text belongs to the id.
    unsafe {
        let bits = (ffi::rd_kafka_Uuid_most_significant_bits(id), ffi::rd_kafka_Uuid_least_significant_bits(id));
        (bits != NO_ID).then(|| CStr::from_ptr(ffi::rd_kafka_Uuid_base64str(id)).to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]
    use super::*;
    use rdkafka::Offset;

    #[test]
    fn positions_carry_the_epoch_of_the_record_before_them() {
        let mut positions = TopicPartitionList::new();
        positions.add_partition_offset("t", 3, Offset::Offset(7)).unwrap();
        let epoch = |list: &TopicPartitionList| {
            // SAFETY: the list is alive, and has an element of this name.
            unsafe {
                let element = ffi::rd_kafka_topic_partition_list_find(list.ptr(), c"t".as_ptr(), 3);
                ffi::rd_kafka_topic_partition_get_leader_epoch(element)
            }
        };
        for (told, held) in [(Some(5), 5), (Some(0), 0), (None, -1)] {
            set_leader_epoch(&positions, &Lane::new("t", 3), told);
            assert_eq!(epoch(&positions), held);
            assert_eq!(epoch(&positions.clone()), held, "also in the copy that is sought");
        }
    }
}
