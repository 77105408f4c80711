//! A task's consumer: group membership as events, records in runs.
//!
//! An assignment is answered at once with nothing (so that the group never waits for our database) and each
//! lane is taken up later, when its position has been claimed, by [`Consumer::start`]. A revocation is answered
//! when the task says so by [`Consumer::stop`]; the client waits for that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::bindings::rd_kafka_resp_err_t as Native;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use super::bulk::{BulkQueue, Fault};
use super::offsets::Lookup;
use super::settings::ConsumerSettings;
use super::{failure, kind_of};
use crate::error::{Error, Kind, Result};
use crate::record::{Lane, Origin};

/// Called from the client's threads when there is something to read or serve; must not block.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// What the group coordinator decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// These lanes are ours now.
    Assigned(Vec<Lane>),
    /// These lanes must be given back: answer with [`Consumer::stop`].
    Revoked(Vec<Lane>),
}

/// Why a lane or the whole consumer cannot be read.
#[derive(Debug, Clone)]
pub struct ReadError {
    /// The lane at fault; None = the consumer as a whole.
    pub lane: Option<Lane>,
    /// What is wrong.
    pub error: Error,
}

/// The mark that tells weir's own group commits from those of whoever ran before it.
pub const COMMIT_MARK: &str = "weir";

/// What befalls the connection to one broker.
const PASSING: [RDKafkaErrorCode; 3] =
    [RDKafkaErrorCode::BrokerTransportFailure, RDKafkaErrorCode::Resolve, RDKafkaErrorCode::OperationTimedOut];

/// Callback state: what the client's callbacks leave for the task's thread.
pub struct GroupContext {
    /// `host:port,…`.
    brokers: String,
    events: Mutex<Vec<GroupEvent>>,
    /// Set when the consumer goes: nobody will answer a revocation any more.
    closing: AtomicBool,
    /// Set when a broker has answered a commit.
    heard: AtomicBool,
    /// Why the last attempt to reach a broker failed.
    reason: Mutex<Option<String>>,
    waker: Waker,
}

impl std::fmt::Debug for GroupContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupContext").field("events", &self.events).finish_non_exhaustive()
    }
}

impl GroupContext {
    /// The error of a question that no broker answers.
    pub(super) fn away(&self) -> Error {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        Error::new(Kind::BrokerUnreachable, format!("no broker of {} answers{reason}", self.brokers))
    }
}

impl ClientContext for GroupContext {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
        if is_passing(&error) {
            *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(essence(reason));
        }
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: Native, lanes: &mut TopicPartitionList) {
        let mut named: Vec<Lane> = lanes.elements().iter().map(|e| Lane::new(e.topic(), e.partition())).collect();
        named.sort();
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let event = if err == Native::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let none = TopicPartitionList::new();
            let answer = if cooperative { consumer.incremental_assign(&none) } else { consumer.assign(&none) };
            if let Err(error) = answer {
                tracing::warn!(%error, "answer an assignment");
            }
            GroupEvent::Assigned(named)
        } else {
            if self.closing.load(Ordering::Acquire) {
                give_everything_back(consumer, cooperative);
            }
            GroupEvent::Revoked(named)
        };
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        (self.waker)();
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        match result {
            Ok(()) => self.heard.store(true, Ordering::Release),
            // Only lag tools read these offsets.
            Err(error) => tracing::debug!(%error, "commit offsets to the group"),
        }
    }
}

pub(super) fn is_passing(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(|code| PASSING.contains(&code))
}

/// The library's reason without the broker's name in front and the circumstances behind, which change from attempt to
/// attempt: `HOST:PORT/bootstrap: Connect to … failed: Connection refused (after 0ms in state CONNECT)`.
fn essence(reason: &str) -> String {
    let reason = reason.split_once(": ").map_or(reason, |(_, reason)| reason);
    reason.split(" (after ").next().unwrap_or(reason).to_owned()
}

/// Answers a revocation while the client closes: it would wait for the answer for ever.
fn give_everything_back(consumer: &BaseConsumer<GroupContext>, cooperative: bool) {
    let answer = match consumer.assignment() {
        Ok(all) if cooperative => consumer.incremental_unassign(&all),
        _ => consumer.unassign(),
    };
    if let Err(error) = answer {
        tracing::warn!(%error, "give partitions back");
    }
}

/// A task's consumer. All methods are called from the task's thread and none waits.
#[derive(Debug)]
pub struct Consumer {
    topics: Vec<String>,
    /// Whether a broker has ever answered.
    was_up: bool,
    queue: BulkQueue,
    client: ClientHandle,
    config: Arc<ClientConfig>,
    lanes: Vec<Held>,
    loss: Option<Error>,
}

/// A lane that the client fetches for us.
#[derive(Debug, Clone)]
struct Held {
    lane: Lane,
    /// The first offset that has not been read yet.
    unread: i64,
    /// The leader epoch of the last record below `unread`: by it the client tells whether the log was truncated.
    leader_epoch: Option<i32>,
    /// The first record that has been read since the lane was last positioned.
    first: Option<i64>,
    /// Whether it has been read to where the log ended then.
    at_end: bool,
    /// Where its log ends, while it has been read up to there.
    end: Option<i64>,
    reading: Reading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Records come.
    On,
    /// To be read from `unread` as soon as the client takes the order.
    Seeking,
    /// Stopped, but still ours: the client keeps it assigned and pauses it.
    Paused,
}

impl Held {
    /// The part of a run that has not been read before; notes how far the lane has been read. A client that is assigned
    /// and sought in quick turns may hand out records twice: they are read once. Records before the first that was read
    /// can only mean that it skipped some, which nothing here can mend.
    fn take(&mut self, run: Origin) -> std::result::Result<Option<Origin>, ReadError> {
        let Some(&begins) = run.offsets.first() else { return Ok(None) };
        let first = *self.first.get_or_insert(begins);
        if begins < first {
            let message = format!("offset {begins} of {} came after offset {first}", self.lane);
            return Err(ReadError { lane: Some(self.lane.clone()), error: Error::new(Kind::Internal, message) });
        }
        let known = run.offsets.partition_point(|&offset| offset < self.unread);
        if known > 0 {
            tracing::warn!(lane = %self.lane, records = known, from = begins, unread = self.unread, "records came twice");
        }
        if run.next_offset > self.unread {
            (self.unread, self.leader_epoch, self.end) = (run.next_offset, run.leader_epoch, None);
        }
        Ok((known < run.len()).then(|| if known == 0 { run } else { run.slice(known..run.len()) }))
    }
}

/// The shared client, with a `Debug` that does not recurse into the library.
#[derive(Clone)]
struct ClientHandle(Arc<BaseConsumer<GroupContext>>);

impl std::fmt::Debug for ClientHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BaseConsumer")
    }
}

impl Consumer {
    /// Creates the client and subscribes. `waker` is called when there is something to serve or read.
    pub fn new(settings: &ConsumerSettings, waker: &Waker) -> Result<Self> {
        let context = GroupContext {
            brokers: settings.bootstrap_servers.clone(),
            events: Mutex::new(Vec::new()),
            closing: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            reason: Mutex::new(None),
            waker: Arc::clone(waker),
        };
        let config = settings.client_config();
        let mut client = BaseConsumer::from_config_and_context(&config, context)
            .map_err(|e| Error::caused(Kind::Config, "create the Kafka consumer", e))?;
        let on_group_event = Arc::clone(waker);
        client.set_nonempty_callback(move || on_group_event());
        let client = Arc::new(client);
        let queue = BulkQueue::new(Arc::clone(&client), Arc::clone(waker));
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        client.subscribe(&topics).map_err(|e| failure("subscribe", &e))?;
        let (topics, client, config) = (settings.topics.clone(), ClientHandle(client), Arc::new(config));
        Ok(Consumer { topics, was_up: false, queue, client, config, lanes: Vec::new(), loss: None })
    }

    /// Serves the client: returns what the group decided since the last call, and what went wrong.
    pub fn serve(&mut self) -> (Vec<GroupEvent>, Vec<ReadError>) {
        let mut errors = Vec::new();
        let mut stray: Vec<Lane> = Vec::new();
        // Each poll serves one event.
        while let Some(result) = self.client.0.poll(Duration::ZERO) {
            match result {
                Ok(message) => stray.push(Lane::new(message.topic(), message.partition())),
                // One connection, which the client opens again by itself; until any was there it is all that is told.
                Err(error) if self.was_up && is_passing(&error) => tracing::debug!(%error, "kafka client"),
                Err(error @ KafkaError::MessageConsumptionFatal(_)) => self.lose(&error),
                Err(error) => {
                    let told = self.told(&error);
                    self.was_up |= told.kind() != Kind::BrokerUnreachable;
                    errors.push(ReadError { lane: None, error: told });
                }
            }
        }
        self.forward_again(&stray);
        self.seek();
        let context = self.client.0.client().context();
        let events = std::mem::take(&mut *context.events.lock().unwrap_or_else(PoisonError::into_inner));
        self.was_up |= !events.is_empty();
        for event in &events {
            if let GroupEvent::Assigned(lanes) = event
                && !self.is_cooperative()
                && let Err(error) = self.take_over(lanes)
            {
                errors.push(ReadError { lane: None, error: failure("take over an assignment", &error) });
            }
        }
        (events, errors)
    }

    /// The client has given its place in the group up, and is of no more use.
    fn lose(&mut self, error: &KafkaError) {
        self.client.0.client().context().closing.store(true, Ordering::Release);
        self.loss = Some(self.told(error));
    }

    /// Why the client has given its place in the group up for good, where it has: nothing is read from it any more, and
    /// another consumer must join.
    pub fn loss(&self) -> Option<&Error> {
        self.loss.as_ref()
    }

    /// Lets a consumer go that has lost its place: on a thread of its own, as its client may wait for the broker.
    pub fn leave(self) -> Result<()> {
        let leaving = move || {
            give_everything_back(&self.client.0, self.is_cooperative());
            drop(self);
        };
        let thread = std::thread::Builder::new().name("leave".to_owned()).spawn(leaving);
        thread.map(drop).map_err(|e| Error::caused(Kind::Internal, "start a thread", e))
    }

    /// An error of the client as a whole, which the library tells without the names.
    fn told(&self, error: &KafkaError) -> Error {
        let topics = self.topics.join(", ");
        let code = error.rdkafka_error_code();
        let kind = code.map_or(Kind::BrokerUnreachable, kind_of);
        let context = self.client.0.client().context();
        if is_passing(error) || code == Some(RDKafkaErrorCode::AllBrokersDown) {
            return context.away();
        }
        let sentence = match (kind, self.topics.len()) {
            (Kind::TopicMissing, 1) => format!("topic {topics} does not exist"),
            (Kind::TopicMissing, _) => format!("one of the topics {topics} does not exist"),
            (Kind::NameTaken, _) => {
                let [group, name] =
                    ["group.id", "group.instance.id"].map(|key| self.config.get(key).unwrap_or_default());
                format!("another member of group {group} is named {name} as well")
            }
            _ => format!("read {topics} from {}: {error}", context.brokers),
        };
        Error::new(kind, sentence)
    }

    /// Whether a broker has answered since the last call.
    pub fn was_heard(&self) -> bool {
        self.client.0.client().context().heard.swap(false, Ordering::AcqRel)
    }

    /// Begins to read a lane at an offset. `leader_epoch`: that of the last record below it, where it is known; the log
    /// must still hold that record, else reading ends with [`Kind::LogTruncated`].
    pub fn start(&mut self, lane: &Lane, offset: i64, leader_epoch: Option<i32>) -> Result<()> {
        if let Some(held) = self.lanes.iter_mut().find(|held| held.lane == *lane) {
            // To unassign it and assign it anew would let the end of the old assignment undo the new one's
            // forwarding to our queue.
            (held.unread, held.leader_epoch) = (offset, leader_epoch);
            (held.first, held.at_end, held.end, held.reading) = (None, false, None, Reading::Seeking);
            self.seek();
            return Ok(());
        }
        // The client validates an epoch where it is sought, not where it is assigned; and the lanes of an eager group
        // are assigned already.
        let is_sought = leader_epoch.is_some() || !self.is_cooperative();
        let reading = if is_sought { Reading::Seeking } else { Reading::On };
        let held =
            Held { lane: lane.clone(), unread: offset, leader_epoch, first: None, at_end: false, end: None, reading };
        self.lanes.push(held.clone());
        if self.is_cooperative() {
            self.queue.forward(lane);
            let assigned = positions(&[held]).and_then(|lane| self.client.0.incremental_assign(&lane));
            assigned.map_err(|e| failure(&format!("start reading {lane} at offset {offset}"), &e))?;
        }
        self.seek();
        Ok(())
    }

    /// Takes over what an eager group has assigned, which is everything at once, and reads none of it yet: each lane is
    /// sought when its claim has come. Were each assigned by itself, the end of the assignment before would undo the
    /// forwarding of those that are read already.
    fn take_over(&self, lanes: &[Lane]) -> KafkaResult<()> {
        let mut all = TopicPartitionList::new();
        for lane in lanes {
            self.queue.forward(lane);
            // An offset that always exists; nothing is read from it.
            all.add_partition_offset(&lane.topic, lane.partition, Offset::End)?;
        }
        self.client.0.assign(&all)?;
        self.client.0.pause(&all)
    }

    /// Lets the lanes that wait for it be read from their first unread offset. The client takes the order once
    /// it fetches the lane; until then it is tried again at each [`Consumer::serve`].
    fn seek(&mut self) {
        for held in self.lanes.iter_mut().filter(|held| held.reading == Reading::Seeking) {
            match reposition(&self.client.0, held) {
                Ok(()) => held.reading = Reading::On,
                Err(error) => tracing::debug!(%error, lane = %held.lane, "the lane cannot be repositioned yet"),
            }
        }
    }

    /// Reads lanes again of which a record came by the client's own queue, which shows that they are no longer
    /// forwarded to ours.
    fn forward_again(&mut self, lanes: &[Lane]) {
        for held in self.lanes.iter_mut().filter(|held| held.reading == Reading::On && lanes.contains(&held.lane)) {
            self.queue.forward(&held.lane);
            held.reading = Reading::Seeking;
        }
    }

    /// Ends reading of lanes. With `revoked`, this also answers the group's revocation.
    pub fn stop(&mut self, lanes: &[Lane], revoked: bool) -> Result<()> {
        if !revoked {
            return self.pause(lanes);
        }
        let stopped: Vec<Held> = self.lanes.extract_if(.., |held| lanes.contains(&held.lane)).collect();
        match self.unassign(&stopped) {
            // A client that has lost its place takes no orders.
            Err(_) if self.loss.is_some() => Ok(()),
            answer => answer.map_err(|e| failure("stop reading", &e)),
        }
    }

    fn unassign(&self, removed: &[Held]) -> KafkaResult<()> {
        if self.is_cooperative() {
            self.client.0.incremental_unassign(&positions(removed)?)
        } else {
            self.client.0.unassign()
        }
    }

    fn pause(&mut self, lanes: &[Lane]) -> Result<()> {
        let mut paused = Vec::new();
        for held in self.lanes.iter_mut().filter(|held| lanes.contains(&held.lane)) {
            held.reading = Reading::Paused;
            paused.push(held.clone());
        }
        let answer = positions(&paused).and_then(|paused| self.client.0.pause(&paused));
        answer.map_err(|e| failure("pause reading", &e))
    }

    /// Takes up to `rows_max` records that are there already, in runs of one lane each.
    pub fn read(&mut self, rows_max: usize) -> (Vec<Origin>, Vec<ReadError>) {
        let (runs, faults) = self.queue.read(rows_max);
        let (ends, faults): (Vec<Fault>, Vec<Fault>) = faults.into_iter().partition(Fault::is_end);
        let mut errors: Vec<ReadError> = faults.into_iter().map(read_error).collect();
        let mut fresh = Vec::with_capacity(runs.len());
        for run in runs {
            // What was still queued of a lane that has been given back belongs to its next owner.
            let held = self.lanes.iter_mut().find(|held| held.lane == run.lane && held.reading == Reading::On);
            match held.map_or(Ok(None), |held| held.take(run)) {
                Ok(run) => fresh.extend(run),
                Err(error) => errors.push(error),
            }
        }
        for held in self.lanes.iter_mut().filter(|held| held.reading == Reading::On) {
            let Some(end) = ends.iter().rfind(|end| end.lane == held.lane) else { continue };
            held.at_end = true;
            held.end = Some(end.offset).filter(|&end| end >= held.unread);
        }
        (fresh, errors)
    }

    /// Whether a lane has been read to where its log ended then, transactions and what was compacted away included;
    /// only told where the settings ask for it.
    pub fn is_at_end(&self, lane: &Lane) -> bool {
        self.lanes.iter().any(|held| held.lane == *lane && held.at_end)
    }

    /// Where the log of a lane ends, if it has been read up to there and nothing has come since; only told where the
    /// settings ask for it.
    pub fn end(&self, lane: &Lane) -> Option<i64> {
        self.lanes.iter().find(|held| held.lane == *lane && held.reading == Reading::On)?.end
    }

    /// Tells the group how far the sink stands, for lag tools; nobody resumes from it.
    pub fn commit(&self, positions: &[(Lane, i64)]) -> Result<()> {
        let mut offsets = TopicPartitionList::new();
        for (lane, offset) in positions {
            let mut element = offsets.add_partition(&lane.topic, lane.partition);
            element.set_offset(Offset::Offset(*offset)).map_err(|e| failure("commit to the group", &e))?;
            element.set_metadata(COMMIT_MARK);
        }
        self.client.0.commit(&offsets, CommitMode::Async).map_err(|e| failure("commit to the group", &e))
    }

    /// A handle for look-ups that wait for the broker, to be used on another thread.
    pub fn lookup(&self) -> Lookup {
        Lookup::new(Arc::clone(&self.client.0), Arc::clone(&self.config))
    }

    /// The first offset of a lane that has not been read yet.
    pub fn unread(&self, lane: &Lane) -> Option<i64> {
        self.lanes.iter().find(|held| held.lane == *lane).map(|held| held.unread)
    }

    /// The end of a lane as of the last fetch, without asking the broker; None before the first fetch.
    pub fn cached_end(&self, lane: &Lane) -> Option<i64> {
        super::offsets::cached_end(&self.client.0, lane)
    }

    fn is_cooperative(&self) -> bool {
        matches!(self.client.0.rebalance_protocol(), RebalanceProtocol::Cooperative)
    }
}

impl Drop for Consumer {
    /// Leaves the group. The client itself closes when the last payload that was read from it is gone.
    fn drop(&mut self) {
        self.client.0.client().context().closing.store(true, Ordering::Release);
    }
}

/// How long the client may take to carry out an order that asks nobody else.
const ORDER_MAX: Duration = Duration::from_secs(1);

/// Drops what has been fetched of a lane and fetches from its first unread offset.
fn reposition(client: &BaseConsumer<GroupContext>, held: &Held) -> KafkaResult<()> {
    let lane = positions(std::slice::from_ref(held))?;
    for answer in client.seek_partitions(lane.clone(), ORDER_MAX)?.elements() {
        answer.error()?;
    }
    client.resume(&lane)
}

fn positions(lanes: &[Held]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for held in lanes {
        list.add_partition_offset(&held.lane.topic, held.lane.partition, Offset::Offset(held.unread))?;
        super::topics::set_leader_epoch(&list, &held.lane, held.leader_epoch);
    }
    Ok(list)
}

/// What the client's sentence says of a log that was truncated; its code is that of any offset that is of no use.
const TRUNCATED: &str = "log truncation";

fn read_error(fault: Fault) -> ReadError {
    let code = RDKafkaErrorCode::from(fault.code);
    let kind = if fault.message.contains(TRUNCATED) { Kind::LogTruncated } else { kind_of(code) };
    let error = Error::new(kind, format!("read {}: {}", fault.lane, fault.message));
    ReadError { lane: Some(fault.lane), error }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]
    use super::*;
    use crate::record::origin::OwnedPayloads;

    /// A run of records at these offsets.
    fn run_of(offsets: &[i64]) -> Origin {
        let next_offset = offsets.last().map_or(0, |last| last + 1);
        let payloads = Arc::new(OwnedPayloads::default());
        Origin::new(Lane::new("t", 0), offsets.to_vec(), vec![0; offsets.len()], next_offset, 0, payloads)
    }

    #[test]
    fn records_that_come_twice_are_read_once() {
        let mut held = Held {
            lane: Lane::new("t", 0),
            unread: 5,
            leader_epoch: None,
            first: None,
            at_end: false,
            end: None,
            reading: Reading::On,
        };
        let mut read = |offsets: &[i64]| held.take(run_of(offsets)).unwrap().map(|run| run.offsets.to_vec());
        assert_eq!(read(&[7, 8, 10]), Some(vec![7, 8, 10]));
        assert_eq!(read(&[8, 10, 11, 12]), Some(vec![11, 12]));
        assert_eq!(read(&[7, 12]), None);
        assert_eq!(read(&[13]), Some(vec![13]));
        let error = held.take(run_of(&[6, 7])).unwrap_err().error;
        assert_eq!(error.to_string(), "offset 6 of t-0 came after offset 7");
    }
}
