//! Bulk reading: many messages per lock of the client's queue, their payloads never copied.
//!
//! The safe wrapper of the client library hands out one message per call; that costs more than parsing it. This
//! file therefore speaks to the C library itself; beside it only `topics.rs` does. What it relies on:
//!
//! - A queue of our own receives the messages of every partition that is forwarded to it. Only the task's
//!   thread reads it. (`rd_kafka_consume_batch_queue` on the *consumer* queue would swallow rebalance events.)
//! - A message returned by `rd_kafka_consume_batch_queue` is owned by us until `rd_kafka_message_destroy`; its
//!   `payload` and `key` point to memory that lives as long as the message and is not written to.
//! - Messages may be destroyed on any thread, but before their client: [`Messages`] keeps the client alive.
//! - `rd_kafka_message_headers` parses on first use and writes into the message: it is called under a lock.
#![allow(unsafe_code, reason = "bulk consumption needs calls that the safe client library does not offer")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::fmt;
use std::ptr;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::bindings as ffi;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::consumer::{GroupContext, Waker};
use super::settings::RECORD_OVERHEAD_BYTES;
use crate::limits::{BATCH_BYTES_MAX, BATCH_ROWS_MAX};
use crate::record::origin::Header;
use crate::record::{Lane, Origin, Payloads};

type Client = Arc<BaseConsumer<GroupContext>>;
type RawMessage = *mut ffi::rd_kafka_message_t;

/// A message that carries an error instead of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The lane it concerns.
    pub lane: Lane,
    /// The offset it concerns: of the end of a log, where that is.
    pub offset: i64,
    /// The client's code.
    pub code: ffi::rd_kafka_resp_err_t,
    /// The client's sentence.
    pub message: String,
}

impl Fault {
    /// Whether it is no fault: the end of the log was reached.
    pub fn is_end(&self) -> bool {
        self.code == ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF
    }
}

/// The task's own queue of messages.
pub struct BulkQueue {
    client: Client,
    queue: *mut ffi::rd_kafka_queue_t,
    buffer: Vec<RawMessage>,
    lanes: Vec<(*mut ffi::rd_kafka_topic_t, i32, Lane)>,
    // Keeps alive what the queue's callback points to.
    _waker: Box<Waker>,
}

// SAFETY: the raw pointers are owned by this value alone (the queue, the buffer) or are only compared (topics);
// the C library's queue calls are safe from any thread, and `&mut self` keeps them on one at a time.
unsafe impl Send for BulkQueue {}

impl fmt::Debug for BulkQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkQueue").field("lanes", &self.lanes.len()).finish_non_exhaustive()
    }
}

unsafe extern "C" fn wake(_client: *mut ffi::rd_kafka_t, waker: *mut c_void) {
    // SAFETY: `waker` is the boxed `Waker` that `BulkQueue` keeps until it has switched this callback off.
    let waker = unsafe { &*waker.cast::<Waker>() };
    waker();
}

impl BulkQueue {
    /// A queue that calls `waker` (from any thread, without blocking) when it becomes non-empty.
    pub fn new(client: Client, waker: Waker) -> Self {
        let waker = Box::new(waker);
        // SAFETY: the client is alive; the callback's opaque pointer stays valid until `drop` disables it.
        let queue = unsafe {
            let queue = ffi::rd_kafka_queue_new(client.client().native_ptr());
            let opaque = ptr::from_ref::<Waker>(&waker).cast_mut().cast::<c_void>();
            ffi::rd_kafka_queue_cb_event_enable(queue, Some(wake), opaque);
            queue
        };
        BulkQueue { client, queue, buffer: vec![ptr::null_mut(); BATCH_ROWS_MAX], lanes: Vec::new(), _waker: waker }
    }

    /// Sends a lane's messages to this queue. Must be called before each assignment of the lane.
    pub fn forward(&self, lane: &Lane) {
        let Ok(topic) = CString::new(&*lane.topic) else { return };
        // SAFETY: client and queue are alive; the partition's queue is released again, the forward stays.
        unsafe {
            let native = self.client.client().native_ptr();
            let partition = ffi::rd_kafka_queue_get_partition(native, topic.as_ptr(), lane.partition);
            if !partition.is_null() {
                ffi::rd_kafka_queue_forward(partition, self.queue);
                ffi::rd_kafka_queue_destroy(partition);
            }
        }
    }

    /// Takes up to `rows_max` messages that are there already, as runs of at most one batch per lane, in the
    /// order of each lane. Never waits.
    pub fn read(&mut self, rows_max: usize) -> (Vec<Origin>, Vec<Fault>) {
        let room = rows_max.min(self.buffer.len());
        // SAFETY: the buffer has room for `room` pointers; those written are ours to destroy.
        let count = unsafe { ffi::rd_kafka_consume_batch_queue(self.queue, 0, self.buffer.as_mut_ptr(), room) };
        let count = usize::try_from(count).unwrap_or(0);
        let mut runs: Vec<(usize, Run)> = Vec::new();
        let mut full = Vec::new();
        let mut faults = Vec::new();
        let mut current: Option<usize> = None;
        for position in 0..count {
            let Some(&raw) = self.buffer.get(position) else { break };
            let message = Message(raw);
            let lane = self.lane_of(&message);
            if let Some(fault) = self.fault(&message, lane) {
                faults.push(fault);
                continue;
            }
            let leader_epoch = message.leader_epoch();
            let at = match current.filter(|&at| runs.get(at).is_some_and(|(l, _)| *l == lane)) {
                Some(at) => at,
                None => runs.iter().position(|(l, _)| *l == lane).unwrap_or_else(|| {
                    runs.push((lane, Run::default()));
                    runs.len() - 1
                }),
            };
            current = Some(at);
            if let Some((_, run)) = runs.get_mut(at) {
                if run.is_full_for(&message, leader_epoch) {
                    full.push((lane, std::mem::take(run)));
                }
                run.push(message, leader_epoch);
            }
        }
        let finished = full.into_iter().chain(runs).filter_map(|(lane, run)| self.finish(lane, run)).collect();
        (finished, faults)
    }

    fn lane_of(&mut self, message: &Message) -> usize {
        let (topic, partition) = message.lane_key();
        if let Some(at) = self.lanes.iter().position(|(t, p, _)| *t == topic && *p == partition) {
            return at;
        }
        self.lanes.push((topic, partition, Lane::new(message.topic(), partition)));
        self.lanes.len() - 1
    }

    fn fault(&self, message: &Message, lane: usize) -> Option<Fault> {
        let (code, text) = message.error()?;
        let (_, _, lane) = self.lanes.get(lane)?;
        Some(Fault { lane: lane.clone(), offset: message.offset(), code, message: text })
    }

    fn finish(&self, lane: usize, run: Run) -> Option<Origin> {
        let (_, _, lane) = self.lanes.get(lane)?;
        let next_offset = run.offsets.last()? + 1;
        let leader_epoch = Some(run.leader_epoch).filter(|&epoch| epoch >= 0);
        let payloads = Messages {
            run: run.messages,
            tombstones: run.tombstones,
            headers: Mutex::new(()),
            _client: Arc::clone(&self.client),
        };
        let origin = Origin::new(lane.clone(), run.offsets, run.timestamps, next_offset, run.bytes, Arc::new(payloads));
        Some(origin.written_under(leader_epoch))
    }
}

impl Drop for BulkQueue {
    fn drop(&mut self) {
        // SAFETY: the client is alive (we hold it); after the callback is off nobody uses the waker.
        unsafe {
            ffi::rd_kafka_queue_cb_event_enable(self.queue, None, ptr::null_mut());
            ffi::rd_kafka_queue_destroy(self.queue);
        }
    }
}

/// A run that is being gathered: records of one leader epoch.
#[derive(Default)]
struct Run {
    messages: Vec<Message>,
    leader_epoch: i32,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    bytes: usize,
    payload_bytes: usize,
    tombstones: bool,
}

impl Run {
    fn is_full_for(&self, message: &Message, leader_epoch: i32) -> bool {
        let is_other =
            self.payload_bytes + message.payload_bytes() > BATCH_BYTES_MAX || leader_epoch != self.leader_epoch;
        self.messages.len() >= BATCH_ROWS_MAX || (is_other && !self.messages.is_empty())
    }

    fn push(&mut self, message: Message, leader_epoch: i32) {
        self.leader_epoch = leader_epoch;
        let bytes = message.payload_bytes();
        self.payload_bytes += bytes;
        self.tombstones |= message.value().is_none();
        self.bytes += bytes + RECORD_OVERHEAD_BYTES;
        self.offsets.push(message.offset());
        self.timestamps.push(message.timestamp_us());
        self.messages.push(message);
    }
}

/// One message of the C library, owned.
struct Message(RawMessage);

// SAFETY: an owned message is not tied to a thread; it is read-only but for its headers (see `Messages`).
unsafe impl Send for Message {}
// SAFETY: shared access only reads fields that nobody writes after the message was handed out.
unsafe impl Sync for Message {}

impl Message {
    fn raw(&self) -> &ffi::rd_kafka_message_t {
        // SAFETY: owned and not yet destroyed, so it points to a message.
        unsafe { &*self.0 }
    }

    fn lane_key(&self) -> (*mut ffi::rd_kafka_topic_t, i32) {
        (self.raw().rkt, self.raw().partition)
    }

    fn topic(&self) -> String {
        // SAFETY: a consumed message has a topic, whose name is a C string that lives as long as it.
        let name = unsafe { CStr::from_ptr(ffi::rd_kafka_topic_name(self.raw().rkt)) };
        name.to_string_lossy().into_owned()
    }

    fn offset(&self) -> i64 {
        self.raw().offset
    }

    fn timestamp_us(&self) -> i64 {
        let mut kind = ffi::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive and `kind` may be written.
        let ms = unsafe { ffi::rd_kafka_message_timestamp(self.0, &raw mut kind) };
        if ms < 0 { crate::record::origin::NO_TIMESTAMP } else { ms.saturating_mul(1_000) }
    }

    /// The leader epoch under which it was written; -1 where the broker does not tell.
    fn leader_epoch(&self) -> i32 {
        // SAFETY: the message is alive.
        unsafe { ffi::rd_kafka_message_leader_epoch(self.0) }
    }

    fn error(&self) -> Option<(ffi::rd_kafka_resp_err_t, String)> {
        let code = self.raw().err;
        if code == ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        // SAFETY: the sentence is a C string inside the message or a static one.
        let text = unsafe { CStr::from_ptr(ffi::rd_kafka_message_errstr(self.0)) };
        Some((code, text.to_string_lossy().into_owned()))
    }

    fn payload_bytes(&self) -> usize {
        self.raw().len + self.raw().key_len
    }

    fn key(&self) -> Option<&[u8]> {
        bytes(self.raw().key, self.raw().key_len)
    }

    fn value(&self) -> Option<&[u8]> {
        bytes(self.raw().payload, self.raw().len)
    }

    /// Parses the headers on first use: the caller holds the lock of [`Messages`].
    fn headers(&self) -> Vec<Header<'_>> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive; the header list stays its property.
        let code = unsafe { ffi::rd_kafka_message_headers(self.0, &raw mut headers) };
        if code != ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Vec::new();
        }
        let mut found = Vec::new();
        while let Some(header) = header_at(headers, found.len()) {
            found.push(header);
        }
        found
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: owned, destroyed once.
        unsafe { ffi::rd_kafka_message_destroy(self.0) }
    }
}

fn header_at<'a>(headers: *const ffi::rd_kafka_headers_t, position: usize) -> Option<Header<'a>> {
    let mut name: *const c_char = ptr::null();
    let mut value: *const c_void = ptr::null();
    let mut len = 0;
    // SAFETY: the list is alive while its message is; the outputs may be written.
    let code = unsafe { ffi::rd_kafka_header_get_all(headers, position, &raw mut name, &raw mut value, &raw mut len) };
    if code != ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return None;
    }
    // SAFETY: a found header has a name that is a C string inside the message.
    let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap_or("\u{fffd}");
    Some((name, bytes(value.cast_mut(), len)))
}

/// Null means no bytes at all, which Kafka tells apart from empty ones.
fn bytes<'a>(at: *mut c_void, len: usize) -> Option<&'a [u8]> {
    if at.is_null() {
        return None;
    }
    // SAFETY: the library gives a pointer with its length; the caller bounds the lifetime by the message's.
    Some(unsafe { slice::from_raw_parts(at.cast::<u8>(), len) })
}

/// The messages of a run.
struct Messages {
    run: Vec<Message>,
    tombstones: bool,
    headers: Mutex<()>,
    // Dropped after the messages (declaration order): they must not outlive their client.
    _client: Client,
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("len", &self.run.len()).finish_non_exhaustive()
    }
}

impl Payloads for Messages {
    fn key(&self, row: usize) -> Option<&[u8]> {
        self.run.get(row)?.key()
    }

    fn value(&self, row: usize) -> Option<&[u8]> {
        self.run.get(row)?.value()
    }

    fn headers(&self, row: usize) -> Vec<Header<'_>> {
        let _parsing = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        self.run.get(row).map(Message::headers).unwrap_or_default()
    }

    fn may_have_tombstones(&self) -> bool {
        self.tombstones
    }
}

/// The ends of a partition as of the last fetch response, without asking the broker.
pub(super) fn cached_watermarks(
    client: &BaseConsumer<GroupContext>,
    topic: &CStr,
    partition: i32,
) -> Option<(i64, i64)> {
    let (mut low, mut high) = (0, 0);
    // SAFETY: the client is alive, the topic a C string, and both outputs may be written.
    let code = unsafe {
        ffi::rd_kafka_get_watermark_offsets(
            client.client().native_ptr(),
            topic.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    (code == ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some((low, high))
}
