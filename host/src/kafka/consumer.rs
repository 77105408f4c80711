//! A task's consumer: group membership as events, records in runs.
//!
//! An assignment is answered at once with nothing (so that the group never waits for our database) and each
//! lane is taken up later, when its position has been claimed, by [`Consumer::start`]. A revocation is answered
//! when the task says so by [`Consumer::stop`]; the client waits for that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings::rd_kafka_resp_err_t as Native;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

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

/// What befalls the connection to one broker, which the client opens again by itself. Where no broker is left, it says
/// so by another code.
const PASSING: [RDKafkaErrorCode; 3] =
    [RDKafkaErrorCode::BrokerTransportFailure, RDKafkaErrorCode::Resolve, RDKafkaErrorCode::OperationTimedOut];

/// Callback state: what the client's callbacks leave for the task's thread.
pub struct GroupContext {
    events: Mutex<Vec<GroupEvent>>,
    /// Set when the consumer goes: nobody will answer a revocation any more.
    closing: AtomicBool,
    /// Set when a broker has answered a commit.
    heard: AtomicBool,
    waker: Waker,
}

impl std::fmt::Debug for GroupContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupContext").field("events", &self.events).finish_non_exhaustive()
    }
}

impl ClientContext for GroupContext {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
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
    brokers: String,
    topics: Vec<String>,
    queue: BulkQueue,
    client: ClientHandle,
    started: Vec<(Lane, i64)>,
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
            events: Mutex::new(Vec::new()),
            closing: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            waker: Arc::clone(waker),
        };
        let mut client = BaseConsumer::from_config_and_context(&settings.client_config(), context)
            .map_err(|e| Error::caused(Kind::Config, "create the Kafka consumer", e))?;
        let on_group_event = Arc::clone(waker);
        client.set_nonempty_callback(move || on_group_event());
        let client = Arc::new(client);
        let queue = BulkQueue::new(Arc::clone(&client), Arc::clone(waker));
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        client.subscribe(&topics).map_err(|e| failure("subscribe", e))?;
        let (brokers, topics) = (settings.bootstrap_servers.clone(), settings.topics.clone());
        Ok(Consumer { brokers, topics, queue, client: ClientHandle(client), started: Vec::new() })
    }

    /// Serves the client: returns what the group decided since the last call, and what went wrong.
    pub fn serve(&mut self) -> (Vec<GroupEvent>, Vec<ReadError>) {
        let mut errors = Vec::new();
        let mut stray: Vec<Lane> = Vec::new();
        // Each poll serves one event.
        while let Some(result) = self.client.0.poll(Duration::ZERO) {
            match result {
                Ok(message) => stray.push(Lane::new(message.topic(), message.partition())),
                Err(error) if error.rdkafka_error_code().is_some_and(|code| PASSING.contains(&code)) => {
                    tracing::debug!(%error, "kafka client");
                }
                Err(error) => errors.push(ReadError { lane: None, error: self.told(&error) }),
            }
        }
        errors.extend(stray.iter().filter_map(|lane| self.restart(lane).err()));
        let context = self.client.0.client().context();
        let events = std::mem::take(&mut *context.events.lock().unwrap_or_else(PoisonError::into_inner));
        (events, errors)
    }

    /// An error of the client as a whole, which the library tells without the names.
    fn told(&self, error: &KafkaError) -> Error {
        let topics = self.topics.join(", ");
        let code = error.rdkafka_error_code();
        let kind = code.map_or(Kind::BrokerUnreachable, kind_of);
        let sentence = match (kind, self.topics.len()) {
            (Kind::BrokerUnreachable, _) if code == Some(RDKafkaErrorCode::AllBrokersDown) => {
                format!("none of the brokers {} answers", self.brokers)
            }
            (Kind::TopicMissing, 1) => format!("topic {topics} does not exist"),
            (Kind::TopicMissing, _) => format!("one of the topics {topics} does not exist"),
            _ => format!("read {topics} from {}: {error}", self.brokers),
        };
        Error::new(kind, sentence)
    }

    /// Whether a broker has answered since the last call.
    pub fn was_heard(&self) -> bool {
        self.client.0.client().context().heard.swap(false, Ordering::AcqRel)
    }

    /// Begins to read a lane at an offset.
    pub fn start(&mut self, lane: &Lane, offset: i64) -> Result<()> {
        self.queue.forward(lane);
        self.started.retain(|(l, _)| l != lane);
        self.started.push((lane.clone(), offset));
        let answer = if self.is_cooperative() {
            self.client.0.incremental_assign(&list(std::slice::from_ref(&(lane.clone(), offset)))?)
        } else {
            self.client.0.assign(&list(&self.started)?)
        };
        answer.map_err(|e| failure(format!("start reading {lane} at offset {offset}"), e))
    }

    /// Reads a lane again from its first unread offset. A record that came by the client's own queue shows that
    /// the lane is no longer forwarded to ours: ending an earlier assignment takes its time, and may undo what
    /// was set up for the next one meanwhile.
    fn restart(&mut self, lane: &Lane) -> Result<(), ReadError> {
        let Some((_, unread)) = self.started.iter().find(|(started, _)| started == lane).cloned() else {
            return Ok(());
        };
        let again = self.stop(std::slice::from_ref(lane), false).and_then(|()| self.start(lane, unread));
        again.map_err(|error| ReadError { lane: Some(lane.clone()), error })
    }

    /// Ends reading of lanes. With `revoked`, this also answers the group's revocation.
    pub fn stop(&mut self, lanes: &[Lane], revoked: bool) -> Result<()> {
        let (stopped, kept) = std::mem::take(&mut self.started).into_iter().partition(|(l, _)| lanes.contains(l));
        let stopped: Vec<(Lane, i64)> = stopped;
        self.started = kept;
        if stopped.is_empty() && !revoked {
            return Ok(());
        }
        let answer = if self.is_cooperative() {
            self.client.0.incremental_unassign(&list(&stopped)?)
        } else {
            self.client.0.unassign()
        };
        answer.map_err(|e| failure("stop reading", e))
    }

    /// Notes how far a lane has been read, for a protocol that assigns everything anew.
    fn advanced(&mut self, lane: &Lane, offset: i64) {
        if let Some((_, at)) = self.started.iter_mut().find(|(l, _)| l == lane) {
            *at = offset;
        }
    }

    /// Takes up to `rows_max` records that are there already, in runs of one lane each.
    pub fn read(&mut self, rows_max: usize) -> (Vec<Origin>, Vec<ReadError>) {
        let (runs, faults) = self.queue.read(rows_max);
        // What was still queued of a lane that has been given back belongs to its next owner.
        let runs: Vec<Origin> =
            runs.into_iter().filter(|run| self.started.iter().any(|(lane, _)| *lane == run.lane)).collect();
        for run in &runs {
            self.advanced(&run.lane, run.next_offset);
        }
        (runs, faults.into_iter().map(read_error).collect())
    }

    /// Tells the group how far the sink stands, for lag tools; nobody resumes from it.
    pub fn commit(&self, positions: &[(Lane, i64)]) -> Result<()> {
        let mut offsets = TopicPartitionList::new();
        for (lane, offset) in positions {
            let mut element = offsets.add_partition(&lane.topic, lane.partition);
            element.set_offset(Offset::Offset(*offset)).map_err(|e| failure("commit to the group", e))?;
            element.set_metadata(COMMIT_MARK);
        }
        self.client.0.commit(&offsets, CommitMode::Async).map_err(|e| failure("commit to the group", e))
    }

    /// A handle for look-ups that wait for the broker, to be used on another thread.
    pub fn lookup(&self) -> Lookup {
        Lookup::new(Arc::clone(&self.client.0))
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

fn list(lanes: &[(Lane, i64)]) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (lane, offset) in lanes {
        list.add_partition_offset(&lane.topic, lane.partition, Offset::Offset(*offset))
            .map_err(|e| failure(format!("name {lane}"), e))?;
    }
    Ok(list)
}

fn read_error(fault: Fault) -> ReadError {
    let code = RDKafkaErrorCode::from(fault.code);
    let error = Error::new(kind_of(code), format!("read {}: {}", fault.lane, fault.message));
    ReadError { lane: Some(fault.lane), error }
}
