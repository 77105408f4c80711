//! One task: a consumer, its lanes, and one database connection.
//!
//! Two stages joined by a hand-over of depth one. The first is a thread of its own ([`Task::run`]): it waits
//! only on its event queue, reads in bulk, converts, transforms and encodes. The second ([`committer`]) writes
//! flush k while the thread prepares flush k+1. What may happen when is the [`machine`]'s to say; this file
//! only carries it out.

pub mod ages;
pub mod backoff;
pub mod checkpoint;
pub mod committer;
mod compaction;
pub mod comparison;
mod fences;
pub mod follower;
mod gaps;
mod idle;
pub mod keeper;
pub mod lane;
mod lanes;
pub mod ledger;
pub mod line;
pub mod machine;
mod mailbox;
pub mod member;
mod membership;
pub mod patience;
pub mod planted;
pub mod replay;
mod report;
mod silence;
mod slot;
pub mod status;
pub mod suspect;
pub mod swap;
mod topics;
pub mod writer;

#[cfg(test)]
mod simulator;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc as async_mpsc, watch};

use self::ages::Ages;
use self::checkpoint::Of;
use self::committer::{Answer, Committer, Request};
use self::keeper::Keeping;
use self::lane::{Encoders, ProcessError};
use self::line::{Line, Nature};
use self::machine::{Action, Event, Machine};
use self::mailbox::Message;
use self::membership::Membership;
use self::slot::Slot;
use self::status::{Party, SharedStatus, State};
use self::suspect::Suspects;
use self::swap::{Order, Swap, Tell};
use self::topics::Known;
use self::writer::Tolerance;
use crate::clock::Clock;
use crate::config::pipeline::{OffsetReset, PartitionsAdded};
use crate::error::{Error, Kind, Policy, Result};
use crate::failpoint::{self, Point};
use crate::kafka::{Consumer, ConsumerSettings, GroupEvent, ReadError};
use crate::limits::{BATCH_ROWS_MAX, DATABASE_ANSWER_MAX, DRAIN_MAX, SERVE_INTERVAL, SLICE};
use crate::metrics::PipelineMetrics;
use crate::record::{Field, Lane, Origin};
use crate::sink::{Encoder, Keeper, Sink};
use crate::state::Generation;

/// How often the group is told where the sink stands, and status is refreshed.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Requests about checkpoints that may wait: a few for each lane.
const KEEPER_REQUESTS: usize = 4_096;
/// What the first records are taken to have, before any was read.
const RECORD_BYTES_GUESS: usize = 64 << 10;

/// Everything a task is made of.
pub struct Spec {
    /// The pipeline's name.
    pub pipeline: String,
    /// The task's number.
    pub number: usize,
    /// Its consumer.
    pub consumer: ConsumerSettings,
    /// Where a lane without position begins.
    pub offset_reset: OffsetReset,
    /// What partitions do that are added to its topics; None = it depends on whether its chain has state.
    pub partitions_added: Option<PartitionsAdded>,
    /// What its lanes are read by.
    pub line: Line,
    /// Its sink.
    pub sink: Box<dyn Sink>,
    /// Who keeps its checkpoints; only asked where the chain has state.
    pub keeper: Option<Box<dyn Keeper>>,
    /// Where lanes end; empty = nowhere. Where it is not, the consumer has to tell ends.
    pub until: BTreeMap<Lane, i64>,
    /// What to do with records that fail.
    pub tolerance: Tolerance,
    /// Whether such records are logged as Connect does.
    pub log_errors: bool,
    /// The machine's settings; `stateful` is filled in from the chain, and without a keeper there are no checkpoints.
    pub machine: machine::Settings,
    /// Its status.
    pub status: SharedStatus,
    /// Its metrics.
    pub metrics: PipelineMetrics,
    /// Who hears of chains that are to take over.
    pub tell: Tell,
    /// Time.
    pub clock: Clock,
}

impl std::fmt::Debug for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spec").field("pipeline", &self.pipeline).field("number", &self.number).finish_non_exhaustive()
    }
}

/// A running task.
#[derive(Debug)]
pub struct Running {
    queue: Sender<Message>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    /// Asks the task to finish its flush and end.
    pub fn drain(&self) {
        // A task that has ended already does not listen any more.
        let _ = self.queue.send(Message::Drain);
    }

    /// Tells it what to do about a chain that is to take over.
    pub fn swap(&self, order: Order) {
        let _ = self.queue.send(Message::Swap(order));
    }

    /// Waits until the task has ended.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts a task on a thread of its own; its committer runs on `runtime`.
pub fn spawn(spec: Spec, runtime: &Handle) -> Result<Running> {
    let (queue, messages) = mpsc::channel();
    let sender = queue.clone();
    let runtime = runtime.clone();
    let thread = std::thread::Builder::new()
        .name(format!("{}-{}", spec.pipeline, spec.number))
        .spawn(move || run(spec, &runtime, sender, messages))
        .map_err(|e| Error::caused(Kind::Internal, "start a thread", e))?;
    Ok(Running { queue, thread: Some(thread) })
}

fn run(spec: Spec, runtime: &Handle, queue: Sender<Message>, messages: Receiver<Message>) {
    let (pipeline, number, status) = (spec.pipeline.clone(), spec.number, spec.status.clone());
    status.set_state(State::Running);
    let ended = Task::new(spec, runtime, queue, messages).and_then(Task::run);
    match ended {
        Ok(()) => status.set_state(State::Stopped),
        Err(error) => {
            tracing::error!(pipeline, task = number, kind = ?error.kind(), hint = error.hint(), "task failed: {error}");
            status.fail(&error);
        }
    }
}

struct Task {
    spec: SpecParts,
    machine: Machine,
    consumer: Consumer,
    membership: Membership,
    requests: async_mpsc::Sender<Request>,
    abandon: watch::Sender<bool>,
    /// To whoever keeps checkpoints.
    keeping: Option<async_mpsc::Sender<keeper::Request>>,
    /// The committer, and the keeper where there is one.
    workers: Vec<tokio::task::JoinHandle<()>>,
    runtime: Handle,
    queue: Sender<Message>,
    messages: Receiver<Message>,
    woken: Arc<AtomicBool>,
    topics: Vec<Arc<str>>,
    /// What the chain that speaks is like.
    nature: Nature,
    /// A chain that is to take over, or was taken over from.
    swap: Option<Swap>,
    /// By chain and topic.
    encoders: BTreeMap<(Generation, Arc<str>), Box<dyn Encoder>>,
    slots: BTreeMap<Lane, Slot>,
    /// Runs that wait for their topic's table, which needs them as a sample, or for room in the flush. Nothing more is
    /// read meanwhile.
    pending: VecDeque<Origin>,
    /// Topics whose table has been given a sample.
    sampled: BTreeSet<Arc<str>>,
    /// The size of the records read last: how many of them the flush takes is judged by it.
    record_bytes: usize,
    suspects: Suspects,
    known: Known,
    failure: Option<Error>,
    reported_at: Duration,
    served_at: Duration,
    /// What the thread had worked, in seconds, when the last flush was handed over.
    busy_at_write: f64,
}

/// The parts of a [`Spec`] that stay with the thread.
struct SpecParts {
    pipeline: String,
    number: usize,
    offset_reset: OffsetReset,
    partitions_added: PartitionsAdded,
    /// How often checkpoints are taken, in milliseconds; None = there are none.
    checkpoint_ms: Option<u64>,
    line: Line,
    until: BTreeMap<Lane, i64>,
    tolerance: Tolerance,
    log_errors: bool,
    status: SharedStatus,
    metrics: PipelineMetrics,
    tell: Tell,
    clock: Clock,
}

impl Task {
    fn new(spec: Spec, runtime: &Handle, queue: Sender<Message>, messages: Receiver<Message>) -> Result<Self> {
        let woken = Arc::new(AtomicBool::new(false));
        let waker = mailbox::waker(&queue, &woken);
        let topics: Vec<Arc<str>> = spec.consumer.topics.iter().map(|t| Arc::from(t.as_str())).collect();
        let nature = spec.line.nature()?;
        let stateful = nature.stateful;
        let keeper = spec.keeper.filter(|_| stateful && spec.machine.checkpoints.is_some());
        let checkpoints = spec.machine.checkpoints.filter(|_| keeper.is_some());
        let machine = Machine::new(machine::Settings { stateful, checkpoints, ..spec.machine });
        let mut membership = Membership::new(spec.consumer, waker);
        let consumer = membership.join()?;
        tracing::info!(pipeline = spec.pipeline, task = spec.number, ?topics, "polling");
        let parts = SpecParts {
            pipeline: spec.pipeline,
            number: spec.number,
            offset_reset: spec.offset_reset,
            partitions_added: spec.partitions_added.unwrap_or(PartitionsAdded::by_state(stateful)),
            checkpoint_ms: checkpoints.map(|interval| interval.ms),
            line: spec.line,
            until: spec.until,
            tolerance: spec.tolerance,
            log_errors: spec.log_errors,
            status: spec.status,
            metrics: spec.metrics,
            tell: spec.tell,
            clock: spec.clock,
        };
        let (abandon, abandoned) = watch::channel(false);
        let (requests, received) = async_mpsc::channel(64);
        let mut workers = vec![runtime.spawn(parts.committer(spec.sink, &queue).run(received, abandoned.clone()))];
        let keeping = keeper.map(|keeper| {
            let (requests, received) = async_mpsc::channel(KEEPER_REQUESTS);
            workers.push(runtime.spawn(parts.keeping(keeper, &queue).run(received, abandoned)));
            requests
        });
        let task = Task {
            spec: parts,
            machine,
            consumer,
            membership,
            requests,
            abandon,
            keeping,
            workers,
            runtime: runtime.clone(),
            queue,
            messages,
            woken,
            topics,
            nature,
            swap: None,
            encoders: BTreeMap::new(),
            slots: BTreeMap::new(),
            pending: VecDeque::new(),
            sampled: BTreeSet::new(),
            record_bytes: RECORD_BYTES_GUESS,
            suspects: Suspects::default(),
            known: Known::default(),
            failure: None,
            reported_at: Duration::ZERO,
            served_at: Duration::ZERO,
            busy_at_write: 0.0,
        };
        for topic in &task.topics {
            task.prepare(task.spec.line.generation, Arc::clone(topic), None);
        }
        Ok(task)
    }

    fn run(mut self) -> Result<()> {
        let outcome = self.cycle();
        self.end(outcome)
    }

    /// The loop. Ends when the machine is over, or the deadline for draining has passed.
    fn cycle(&mut self) -> Result<()> {
        let mut deadline: Option<Duration> = None;
        let mut more = false;
        while !self.machine.is_over() {
            if let Some(message) = self.wait(more, deadline) {
                if matches!(message, Message::Drain) {
                    deadline.get_or_insert(self.spec.clock.elapsed() + DRAIN_MAX);
                }
                self.take(message)?;
                while let Ok(message) = self.messages.try_recv() {
                    self.take(message)?;
                }
            }
            if deadline.is_some_and(|at| self.spec.clock.elapsed() >= at) {
                break;
            }
            self.serve()?;
            self.restore()?;
            more = self.read()?;
            more |= self.hand_out()?;
            more |= self.change_over()?;
            self.tick()?;
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Waits for the next message: not at all while records are left to read, else until something is due.
    fn wait(&self, more: bool, drain_deadline: Option<Duration>) -> Option<Message> {
        if more {
            return self.messages.try_recv().ok();
        }
        let now = self.spec.clock.elapsed();
        let due = self.machine.deadline_ms().map(Duration::from_millis);
        let timeout = due.into_iter().chain(drain_deadline).map(|at| at.saturating_sub(now)).min();
        match self.messages.recv_timeout(timeout.unwrap_or(SERVE_INTERVAL).min(SERVE_INTERVAL)) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Message::Drain),
        }
    }

    fn take(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Wake => Ok(()),
            Message::Starts(event) | Message::Answer(Answer::Machine(event)) => self.on(event),
            Message::Described(inquiry, kept) => self.described(inquiry, kept),
            Message::Seen(topics) => self.seen(&topics),
            Message::Answer(Answer::Recognised(inquiry, noted)) => self.recognised(inquiry, noted),
            Message::Answer(Answer::Encoder(generation, topic, encoder)) => self.prepared(generation, topic, encoder),
            Message::Answer(Answer::Written(report, took)) => {
                self.note_written(&report, took);
                self.on(Event::Written(report))
            }
            Message::Kept(answer) => self.kept(answer),
            Message::Ends { lane, epoch, end } => self.silent(lane, epoch, end),
            Message::Swap(order) => self.order(order),
            Message::Drain => {
                self.end_swap()?;
                self.on(Event::Drain)
            }
        }
    }

    fn on(&mut self, event: Event) -> Result<()> {
        let actions = self.machine.on(event, self.spec.clock.now_ms());
        actions.into_iter().try_for_each(|action| self.act(action))
    }

    fn tick(&mut self) -> Result<()> {
        self.on(Event::Tick)?;
        let now = self.spec.clock.elapsed();
        if now.saturating_sub(self.reported_at) >= REPORT_INTERVAL {
            self.reported_at = now;
            self.report();
            self.look_again(now);
        }
        Ok(())
    }

    fn act(&mut self, action: Action) -> Result<()> {
        match action {
            Action::Claim { asked, requests } => self.describe(asked, requests),
            Action::FindStarts { asked, lanes } => return self.find_starts(asked, lanes),
            Action::Start(claim, history) => return self.start(claim, history),
            Action::Stop { lanes, revoked } => return self.stop(&lanes, revoked),
            Action::Write(flush, claims) => {
                self.busy_at_write = self.spec.metrics.process_busy.get();
                self.send(Request::Write(flush, claims));
            }
            Action::Freeze { lane, at, of } => return self.freeze(&lane, at, of),
            Action::Count(claim, manifest, of) => {
                self.keep(keeper::Request::Count(claim, manifest, of == Of::Speaker));
            }
            Action::Thaw { lane, counts } => return self.thaw(&lane, counts),
            Action::Idle { lane, epoch } => return self.ask_for_more(lane, epoch),
            Action::Fail(error) => self.failure = Some(error),
            Action::End => {}
        }
        Ok(())
    }

    /// The committer answers each request before the machine makes the next of its kind, so there is room.
    fn send(&self, request: Request) {
        if self.requests.try_send(request).is_err() {
            tracing::error!(pipeline = self.spec.pipeline, "the committer does not take requests");
        }
    }

    /// Asks for the binding of a topic's table for one of the chains at hand.
    fn prepare(&self, generation: Generation, topic: Arc<str>, sample: Option<Vec<Field>>) {
        let outputs = self.nature(generation).outputs.clone();
        self.send(Request::Prepare { generation, topic, outputs, sample });
    }

    /// Takes the binding of a topic to its table.
    fn prepared(
        &mut self,
        generation: Generation,
        topic: Arc<str>,
        encoder: Result<Option<Box<dyn Encoder>>>,
    ) -> Result<()> {
        if generation != self.spec.line.generation {
            return self.bound(generation, topic, encoder);
        }
        match encoder {
            Ok(encoder) => {
                if let Some(encoder) = encoder {
                    self.encoders.insert((generation, Arc::clone(&topic)), encoder);
                }
                self.on(Event::Prepared(topic))
            }
            Err(error) => self.on(Event::Failed(error)),
        }
    }

    /// One of the chains at hand; the one that speaks, unless it is the other.
    fn line(&self, generation: Generation) -> &Line {
        let other = self.swap.as_ref().map(Swap::other).filter(|other| other.generation == generation);
        other.unwrap_or(&self.spec.line)
    }

    /// What that chain is like.
    fn nature(&self, generation: Generation) -> &Nature {
        let other = self.swap.as_ref().filter(|swap| swap.other().generation == generation);
        other.map_or(&self.nature, Swap::nature)
    }

    /// Serves the consumer where it has woken us or has not been served for long.
    fn serve(&mut self) -> Result<()> {
        let now = self.spec.clock.elapsed();
        let due = now.saturating_sub(self.served_at) >= SERVE_INTERVAL;
        if !self.woken.swap(false, Ordering::AcqRel) && !due {
            return Ok(());
        }
        self.served_at = now;
        let (events, errors) = self.consumer.serve();
        if self.consumer.was_heard() || !events.is_empty() {
            self.spec.waiting_for(Party::Kafka)(None);
        }
        for event in events {
            let event = match event {
                GroupEvent::Assigned(lanes) => {
                    self.membership.joined();
                    Event::Assigned(lanes)
                }
                GroupEvent::Revoked(lanes) => Event::Revoked(lanes),
            };
            self.on(event)?;
        }
        self.read_errors(errors)?;
        self.keep_membership()
    }

    fn read_errors(&mut self, errors: Vec<ReadError>) -> Result<()> {
        for ReadError { lane, error } in errors {
            let ours = lane.as_ref().is_none_or(|lane| self.machine.is_reading(lane));
            if !ours {
                continue;
            }
            if let Some(lane) = lane.filter(|_| Task::is_gap(&error)) {
                self.explain(&lane, error);
            } else if error.policy() == Policy::Retry {
                self.spec.waiting_for(Party::Kafka)(Some(&error));
            } else {
                self.on(Event::Failed(error))?;
            }
        }
        Ok(())
    }

    /// Reads and processes for one slice of time. Returns whether there may be more to read at once.
    fn read(&mut self) -> Result<bool> {
        let began = self.spec.clock.elapsed();
        let mut more = false;
        self.process_pending()?;
        while self.pending.is_empty() && self.spec.clock.elapsed().saturating_sub(began) < SLICE {
            let room = self.machine.room();
            if room == 0 {
                // The next answer of the committer makes room; until then there is nothing to do here.
                more = false;
                break;
            }
            // A record takes room for its payload and for its row.
            let fitting = (self.machine.room_bytes() / (2 * self.record_bytes)).max(1);
            let (runs, errors) = self.poll(room.min(BATCH_ROWS_MAX).min(fitting));
            self.read_errors(errors)?;
            more = !runs.is_empty();
            if !more {
                break;
            }
            self.record_bytes = runs.iter().map(|run| run.bytes / run.len()).max().unwrap_or(0).max(1);
            self.pending.extend(runs);
            self.process_pending()?;
            self.on(Event::Tick)?;
        }
        let worked = self.spec.clock.elapsed().saturating_sub(began);
        self.spec.metrics.process_busy.inc_by(worked.as_secs_f64());
        Ok(more)
    }

    /// Takes what the client has read already.
    fn poll(&mut self, rows_max: usize) -> (Vec<Origin>, Vec<ReadError>) {
        let failed = |error| ReadError { lane: None, error };
        if let Err(error) = failpoint::pass(Point::BeforePoll, Kind::BrokerUnreachable) {
            return (Vec::new(), vec![failed(error)]);
        }
        let (runs, mut errors) = self.consumer.read(rows_max);
        if !runs.is_empty() {
            // The client tells of what is broken between records, and not in their stead.
            errors.extend(failpoint::pass(Point::AfterPoll, Kind::BrokerUnreachable).err().map(failed));
        }
        (runs, errors)
    }

    /// Processes what was read, as far as tables are there and the flush has room.
    fn process_pending(&mut self) -> Result<()> {
        while self.machine.room() > 0
            && let Some(run) = self.pending.pop_front()
        {
            if !self.machine.is_reading(&run.lane) {
                continue;
            }
            let Some(run) = self.part_before_end(run)? else { continue };
            let Some(run) = self.free_part(run) else { break };
            self.flip_at_edge(&run.lane)?;
            let topic = &run.lane.topic;
            let Some(slot) = self.slots.get(&run.lane) else { continue };
            if self.encoders.contains_key(&(slot.generation, Arc::clone(topic))) {
                self.process(run)?;
                continue;
            }
            if self.sampled.insert(Arc::clone(topic)) {
                let Some(sample) = self.spec.line.converters.value.sample(&run) else {
                    return self.on(Event::Failed(no_sample(topic, run.len())));
                };
                self.prepare(self.spec.line.generation, Arc::clone(topic), Some(sample));
            }
            self.pending.push_front(run);
            break;
        }
        Ok(())
    }

    fn process(&mut self, run: Origin) -> Result<()> {
        let lane = run.lane.clone();
        self.make_runner(&lane)?;
        let Some(slot) = self.slots.get_mut(&lane) else { return Ok(()) };
        let of = |generation| (generation, Arc::clone(&lane.topic));
        // Out of their map for as long as both are needed.
        let followed_by = if self.swap.is_some() { slot.judged_generation() } else { None };
        let mut following = followed_by.and_then(|generation| self.encoders.remove_entry(&of(generation)));
        let Some(speaking) = self.encoders.get_mut(&of(slot.generation)) else { return Ok(()) };
        let mut encoders = Encoders::of(speaking.as_mut());
        encoders.follower = match &mut following {
            Some((_, encoder)) => Some(encoder.as_mut()),
            None => None,
        };
        let runner = slot.runner()?;
        let (records, end) = (run.len() as u64, run.next_offset);
        let timer = self.spec.metrics.guest_seconds.start_timer();
        let outcome = runner.process(run, &mut self.machine.ledger, &mut encoders);
        self.encoders.extend(following);
        let processed = match outcome {
            Ok(processed) => processed,
            Err(ProcessError::Broken(breakage)) => return self.rebuild(&lane, breakage),
            Err(ProcessError::Failed(error)) => return Err(self.with_way_out(&lane, error)),
        };
        timer.observe_duration();
        let runner = slot.runner()?;
        let to_replay = runner.replay_until().map_or(0, |until| until - end);
        let memory = runner.memory_bytes();
        let metrics = &slot.metrics;
        metrics.replay_remaining.set(to_replay.max(0));
        metrics.guest_memory.set(memory as i64);
        metrics.records.inc_by(records);
        metrics.rows.inc_by(processed.rows);
        metrics.errors.inc_by(processed.failed.len() as u64);
        if processed.caught_up {
            tracing::info!(pipeline = self.spec.pipeline, lane = %lane, next_offset = end, "replay has caught up");
            self.on(Event::CaughtUp(lane.clone()))?;
        }
        if self.swap.is_some() {
            self.note_first_row(&lane);
        }
        for (offset, error) in &processed.failed {
            let field = error.field.as_deref().unwrap_or_default();
            self.spec.log_skipped(&lane, *offset, error.stage, field, &error.message);
        }
        Ok(())
    }

    /// Makes a lane's runner, of what its topic's table wants; at its first run, unless it is needed before.
    fn make_runner(&mut self, lane: &Lane) -> Result<()> {
        let Some(generation) = self.slots.get(lane).filter(|slot| slot.is_waiting()).map(|slot| slot.generation) else {
            return Ok(());
        };
        let converters = self.line(generation).converters.clone();
        let encoder = self.encoders.get_mut(&(generation, Arc::clone(&lane.topic)));
        let (Some(slot), Some(encoder)) = (self.slots.get_mut(lane), encoder) else { return Ok(()) };
        slot.make_runner(&converters, self.spec.tolerance, encoder.as_mut())
    }

    /// Leaves the group and the database.
    fn end(mut self, outcome: Result<()>) -> Result<()> {
        self.report();
        self.slots.clear();
        self.pending.clear();
        // Also ends a flush that did not finish in time: its lanes' next owner reads what became of it.
        let _ = self.abandon.send(true);
        drop((self.requests, self.keeping));
        for worker in self.workers {
            if self.runtime.block_on(worker).is_err() {
                tracing::error!(pipeline = self.spec.pipeline, "a part of the task ended by a panic");
            }
        }
        outcome
    }
}

/// A table cannot be made after records that have no fields.
fn no_sample(topic: &str, records: usize) -> Error {
    let message = format!(
        "a table for topic {topic} cannot be made by its first records, as none of {records} has a field: name the table's \
         columns in `fields`"
    );
    Error::new(Kind::TableMissing, message)
}

impl SpecParts {
    fn committer(&self, sink: Box<dyn Sink>, queue: &Sender<Message>) -> Committer {
        Committer {
            sink,
            tolerance: self.tolerance,
            answers: mailbox::sender(queue, Message::Answer),
            waiting: self.waiting_for(Party::Sink),
            clock: self.clock,
            answer_max: DATABASE_ANSWER_MAX,
            ages: Ages::default(),
        }
    }

    fn keeping(&self, keeper: Box<dyn Keeper>, queue: &Sender<Message>) -> Keeping {
        Keeping {
            keeper,
            pipeline: self.pipeline.clone(),
            answers: mailbox::sender(queue, Message::Kept),
            waiting: self.waiting_for(Party::Checkpoints),
        }
    }
}
