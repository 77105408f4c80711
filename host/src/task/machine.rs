//! The state machine of a task: which lane may do what, and when a flush goes. Pure: events in, actions out.
//!
//! A lane goes Claiming → (FindingStart → Claiming) → Held → Reading, and back to Claiming when it is fenced or
//! the database lost its tail. It leaves by a revocation, at any time. Reading includes replay: a stateful lane
//! begins at its start offset and has its output off until it reaches the sink's position.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::checkpoint::{Course, Interval, Of};
use super::fences::Fences;
use super::ledger::Ledger;
use super::silence::Silence;
use super::writer::{Fate, Report};
use crate::error::{Error, Kind};
use crate::limits::FENCES_MAX;
use crate::record::{Claim, Flush, Lane};
use crate::sink::{ClaimRequest, Claimed, History};
use crate::state::{Generation, Manifest};

/// The part of a flush's bytes that buffers kept for later segments may take.
const SPARE_SHARE: usize = 4;

/// What a task is told.
#[derive(Debug)]
pub enum Event {
    /// The group gave us lanes.
    Assigned(Vec<Lane>),
    /// The group takes lanes back.
    Revoked(Vec<Lane>),
    /// The sink can take rows of this topic, or needs a sample of its records first: its lanes may be read.
    Prepared(Arc<str>),
    /// The answer to [`Action::Claim`] number `asked`.
    Claimed {
        /// Which question.
        asked: u64,
        /// One answer per lane asked for.
        answers: Vec<Claimed>,
    },
    /// The answer to [`Action::FindStarts`] number `asked`.
    Starts {
        /// Which question.
        asked: u64,
        /// Where each lane begins.
        starts: Vec<(Lane, i64)>,
    },
    /// A flush's fate is known.
    Written(Report),
    /// The guests of a lane are gone.
    Broken(Lane),
    /// A lane's state is that of its next offset: replayed, or in no need of it.
    CaughtUp(Lane),
    /// The chunks of a lane's checkpoint are durable, under the claim of this epoch.
    Stored(Lane, i64, Manifest),
    /// The answer to [`Action::Count`]: whether the checkpoint counts.
    Counted(Lane, i64, bool),
    /// A lane's checkpoint came to nothing.
    CheckpointFailed(Lane, i64),
    /// The answer to [`Action::Idle`].
    Idled {
        /// The lane.
        lane: Lane,
        /// The epoch of the claim under which it was asked.
        epoch: i64,
        /// Whether the silence is over: its watermarks have been moved, or it has none.
        moved: bool,
    },
    /// Something that cannot be retried.
    Failed(Error),
    /// Finish what is there, then end.
    Drain,
    /// Time has passed.
    Tick,
}

/// What a task must do.
#[derive(Debug)]
pub enum Action {
    /// Ask the sink for lanes; answer with [`Event::Claimed`].
    Claim {
        /// The number of the question.
        asked: u64,
        /// The lanes.
        requests: Vec<ClaimRequest>,
    },
    /// Ask the broker where lanes begin; answer with [`Event::Starts`].
    FindStarts {
        /// The number of the question.
        asked: u64,
        /// The lanes.
        lanes: Vec<Lane>,
    },
    /// Build the lane's chain and begin to read it: from a checkpoint, its replay start, or its next offset.
    Start(Claim, History),
    /// End reading of lanes and drop their chains. With `revoked`, this answers the group.
    Stop {
        /// The lanes.
        lanes: Vec<Lane>,
        /// Whether the group took them back.
        revoked: bool,
    },
    /// Write a flush; answer with [`Event::Written`].
    Write(Flush, Vec<Claim>),
    /// Freeze one of the lane's chains as it is now and store it; answer with [`Event::Stored`].
    Freeze {
        /// The lane.
        lane: Lane,
        /// The offset below which every record is in its state.
        at: i64,
        /// Which chain.
        of: Of,
    },
    /// Make a checkpoint count; answer with [`Event::Counted`]. That of the chain that speaks makes it the one to recover.
    Count(Claim, Manifest, Of),
    /// The lane's checkpoint has ended: it counts, or came to nothing.
    Thaw {
        /// The lane.
        lane: Lane,
        /// Whether it counts.
        counts: bool,
    },
    /// The lane has been silent for the time-out: move its watermarks, where its log holds no more; answer with
    /// [`Event::Idled`].
    Idle {
        /// The lane.
        lane: Lane,
        /// The epoch of its claim.
        epoch: i64,
    },
    /// The task has failed.
    Fail(Error),
    /// Everything is finished.
    End,
}

/// What the machine must know of its pipeline.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether a lane is restored or replayed before it is read.
    pub stateful: bool,
    /// Its chain.
    pub generation: Generation,
    /// How often checkpoints are taken; None = there is nobody to keep them.
    pub checkpoints: Option<Interval>,
    /// After how long a silence the watermarks of a lane with state are moved; None = never.
    pub idle_ms: Option<u64>,
    /// How long an idle database waits for more rows.
    pub linger_ms: u64,
    /// Rows at which an open flush is full.
    pub flush_rows_max: usize,
    /// Bytes at which an open flush is full.
    pub flush_bytes_max: usize,
}

#[derive(Debug)]
enum LaneState {
    Claiming {
        asked: u64,
    },
    FindingStart {
        asked: u64,
    },
    /// Claimed; waits for its topic's table.
    Held(Box<Claim>, History),
    Reading,
    /// Claims again at this time.
    Backoff {
        until_ms: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Draining,
    Over,
}

/// The state machine. Its books are open to the shell, which fills segments between events.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    /// A chain that lanes may be taken up by as well.
    other: Option<Generation>,
    lanes: BTreeMap<Lane, LaneState>,
    fences: BTreeMap<Lane, Fences>,
    /// The checkpoints of the lanes that are read.
    courses: BTreeMap<Lane, Course>,
    /// The silences of the lanes that are read, where watermarks are moved by them.
    silences: BTreeMap<Lane, Silence>,
    topics: BTreeSet<Arc<str>>,
    /// The books.
    pub ledger: Ledger,
    in_flight: bool,
    opened_at_ms: Option<u64>,
    asked: u64,
    phase: Phase,
}

impl Machine {
    /// A task that has no lanes yet.
    pub fn new(settings: Settings) -> Self {
        Machine {
            settings,
            other: None,
            lanes: BTreeMap::new(),
            fences: BTreeMap::new(),
            courses: BTreeMap::new(),
            silences: BTreeMap::new(),
            topics: BTreeSet::new(),
            ledger: Ledger::new(settings.flush_bytes_max / SPARE_SHARE),
            in_flight: false,
            opened_at_ms: None,
            asked: 0,
            phase: Phase::Running,
        }
    }

    /// Whether records of some lane may be processed now, and how many rows the open flush still takes.
    pub fn room(&self) -> usize {
        let full = self.ledger.open_bytes() >= self.settings.flush_bytes_max;
        if full || self.phase != Phase::Running {
            return 0;
        }
        self.settings.flush_rows_max.saturating_sub(self.ledger.open_entries())
    }

    /// How many bytes the open flush still takes.
    pub fn room_bytes(&self) -> usize {
        self.settings.flush_bytes_max.saturating_sub(self.ledger.open_bytes())
    }

    /// Whether a lane is being read: records of any other lane are not ours.
    pub fn is_reading(&self, lane: &Lane) -> bool {
        matches!(self.lanes.get(lane), Some(LaneState::Reading))
    }

    /// The lanes that are ours.
    pub fn lanes(&self) -> Vec<Lane> {
        self.lanes.keys().cloned().collect()
    }

    /// The lanes that are ours and not read yet, with what they are doing.
    pub fn unread(&self) -> impl Iterator<Item = (&Lane, &'static str)> {
        self.lanes.iter().filter_map(|(lane, state)| {
            let doing = match state {
                LaneState::Claiming { .. } | LaneState::FindingStart { .. } => "claiming",
                LaneState::Held(..) => "waiting",
                LaneState::Backoff { .. } => "backing off",
                LaneState::Reading => return None,
            };
            Some((lane, doing))
        })
    }

    /// Whether the task has ended, by failure or after draining.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// When [`Event::Tick`] is next due, if it is.
    pub fn deadline_ms(&self) -> Option<u64> {
        let backoff = self.lanes.values().filter_map(|state| match state {
            LaneState::Backoff { until_ms } => Some(*until_ms),
            _ => None,
        });
        let linger = self.opened_at_ms.filter(|_| !self.in_flight).map(|at| at + self.settings.linger_ms);
        backoff.chain(linger).min()
    }

    /// Takes an event at a time and says what must be done, in order.
    pub fn on(&mut self, event: Event, now_ms: u64) -> Vec<Action> {
        if self.phase == Phase::Over {
            return Vec::new();
        }
        let mut actions = match event {
            Event::Assigned(lanes) => self.assigned(lanes),
            Event::Revoked(lanes) => self.revoked(lanes),
            Event::Prepared(topic) => self.prepared(&topic, now_ms),
            Event::Claimed { asked, answers } => self.claimed(asked, answers, now_ms),
            Event::Starts { asked, starts } => self.starts(asked, &starts),
            Event::Written(report) => self.written(report, now_ms),
            Event::Broken(lane) => self.broken(lane, now_ms),
            Event::CaughtUp(lane) => {
                if let Some(course) = self.courses.get_mut(&lane) {
                    course.caught_up();
                }
                Vec::new()
            }
            Event::Stored(lane, epoch, manifest) => {
                if let Some(course) = self.course(&lane, epoch) {
                    course.stored(manifest);
                }
                Vec::new()
            }
            Event::Counted(lane, epoch, counted) => self.counted(lane, epoch, counted, now_ms),
            Event::CheckpointFailed(lane, epoch) => self.checkpoint_failed(lane, epoch, now_ms),
            Event::Idled { lane, epoch, moved } => self.idled(&lane, epoch, moved, now_ms),
            Event::Failed(error) => return self.fail(error),
            Event::Drain => self.drain(),
            Event::Tick => self.backed_off(now_ms),
        };
        if self.phase == Phase::Over {
            return actions;
        }
        actions.extend(self.flush(now_ms));
        actions.extend(self.checkpoints(now_ms));
        actions.extend(self.silent_lanes(now_ms));
        let idle = !self.in_flight && !self.ledger.has_open() && !self.courses.values().any(Course::is_under_way);
        if self.phase == Phase::Draining && idle {
            self.phase = Phase::Over;
            actions.push(Action::End);
        }
        actions
    }

    fn assigned(&mut self, lanes: Vec<Lane>) -> Vec<Action> {
        let requests = lanes.into_iter().map(|lane| self.request(lane, None)).collect();
        self.claim(requests)
    }

    fn revoked(&mut self, lanes: Vec<Lane>) -> Vec<Action> {
        for lane in &lanes {
            self.lanes.remove(lane);
            self.fences.remove(lane);
            self.courses.remove(lane);
            self.silences.remove(lane);
            self.ledger.close(lane);
        }
        // What is in flight may still be committed: the next owner's claim waits for it and sees it.
        vec![Action::Stop { lanes, revoked: true }]
    }

    fn prepared(&mut self, topic: &Arc<str>, now_ms: u64) -> Vec<Action> {
        self.topics.insert(Arc::clone(topic));
        let held =
            self.lanes.iter().filter(|(lane, state)| lane.topic == *topic && matches!(state, LaneState::Held(..)));
        let lanes: Vec<Lane> = held.map(|(lane, _)| lane.clone()).collect();
        lanes.into_iter().filter_map(|lane| self.start(&lane, now_ms)).collect()
    }

    fn claimed(&mut self, asked: u64, answers: Vec<Claimed>, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut homeless = Vec::new();
        for answer in answers {
            let lane = match &answer {
                Claimed::Held(claim, _) => claim.lane.clone(),
                Claimed::NoPosition(lane) => lane.clone(),
            };
            // A lane that was revoked or asked for again since is none of this answer's business.
            if !matches!(self.lanes.get(&lane), Some(LaneState::Claiming { asked: now }) if *now == asked) {
                continue;
            }
            match answer {
                Claimed::Held(claim, history) => {
                    self.lanes.insert(lane.clone(), LaneState::Held(Box::new(claim), history));
                    actions.extend(self.start(&lane, now_ms));
                }
                Claimed::NoPosition(lane) => homeless.push(lane),
            }
        }
        if !homeless.is_empty() {
            let asked = self.ask();
            for lane in &homeless {
                self.lanes.insert(lane.clone(), LaneState::FindingStart { asked });
            }
            actions.push(Action::FindStarts { asked, lanes: homeless });
        }
        actions
    }

    fn starts(&mut self, asked: u64, starts: &[(Lane, i64)]) -> Vec<Action> {
        let mut requests = Vec::new();
        for (lane, start) in starts {
            if matches!(self.lanes.get(lane), Some(LaneState::FindingStart { asked: now }) if *now == asked) {
                requests.push(self.request(lane.clone(), Some(*start)));
            }
        }
        self.claim(requests)
    }

    fn start(&mut self, lane: &Lane, now_ms: u64) -> Option<Action> {
        if !self.topics.contains(&lane.topic) || self.phase != Phase::Running {
            return None;
        }
        let held = self.lanes.insert(lane.clone(), LaneState::Reading);
        let Some(LaneState::Held(claim, history)) = held else { return None };
        let claim = *claim;
        self.ledger.open(claim.clone());
        if self.settings.stateful && self.settings.checkpoints.is_some() {
            let generation = self.generation_for(&history);
            let course = Course::new(&claim, &history, generation, now_ms);
            self.courses.insert(lane.clone(), course);
        }
        if self.settings.stateful && self.settings.idle_ms.is_some() {
            self.silences.insert(lane.clone(), Silence::new(&claim, now_ms));
        }
        Some(Action::Start(claim, history))
    }

    /// Which chain a lane is taken up by: the one that wrote last, where that is the one that is about to take over or
    /// that has just been taken over from.
    pub fn generation_for(&self, history: &History) -> Generation {
        let spoke = history.generation.filter(|spoke| self.other == Some(*spoke));
        spoke.unwrap_or(self.settings.generation)
    }

    /// How often a lane was taken from us lately.
    pub fn fences(&self, lane: &Lane) -> u32 {
        self.fences.get(lane).map_or(0, |fences| fences.count())
    }

    /// Whether rows may leave a lane: not while a chain that has just taken over waits for its first checkpoint.
    pub fn may_speak(&self, lane: &Lane) -> bool {
        self.courses.get(lane).is_none_or(Course::may_speak)
    }

    /// Which chain speaks in lanes that are claimed from now on, and which other one is at hand.
    pub fn speak_by(&mut self, generation: Generation, other: Option<Generation>) {
        (self.settings.generation, self.other) = (generation, other);
    }

    /// Suspends a lane's checkpoints, so that its state can be handed to another chain. False: not yet.
    pub fn lend(&mut self, lane: &Lane) -> bool {
        self.courses.get_mut(lane).is_none_or(Course::lend)
    }

    /// Asks for a checkpoint of the chain that follows.
    pub fn save_follower(&mut self, lane: &Lane) {
        if let Some(course) = self.courses.get_mut(lane) {
            course.save_follower();
        }
    }

    /// Takes no more checkpoints of the chain that speaks, which broke while another one follows it.
    pub fn rest(&mut self, lane: &Lane) {
        if let Some(course) = self.courses.get_mut(lane) {
            course.rest();
        }
    }

    /// Goes on with the checkpoints of the chain that speaks. `at`: its last one, where it has just begun to.
    pub fn give_back(&mut self, lane: &Lane, at: Option<i64>) {
        if let Some(course) = self.courses.get_mut(lane) {
            course.give_back(at);
        }
    }

    /// The checkpoints of a lane, where the claim of this epoch still holds it.
    fn course(&mut self, lane: &Lane, epoch: i64) -> Option<&mut Course> {
        self.courses.get_mut(lane).filter(|course| course.epoch == epoch)
    }

    fn counted(&mut self, lane: Lane, epoch: i64, counted: bool, now_ms: u64) -> Vec<Action> {
        let Some(course) = self.course(&lane, epoch) else { return Vec::new() };
        let counts = course.counted(counted, now_ms);
        vec![Action::Thaw { lane, counts }]
    }

    fn checkpoint_failed(&mut self, lane: Lane, epoch: i64, now_ms: u64) -> Vec<Action> {
        let processed = self.ledger.processed(&lane).unwrap_or_default();
        let last_call = self.phase == Phase::Draining;
        let Some(course) = self.course(&lane, epoch) else { return Vec::new() };
        course.failed(processed, now_ms, last_call);
        vec![Action::Thaw { lane, counts: false }]
    }

    /// Lets those checkpoints count that may, and begins the next that is due: one at a time, for each takes time from
    /// all lanes. A task that ends takes its last ones when everything is committed.
    fn checkpoints(&mut self, now_ms: u64) -> Vec<Action> {
        let Some(interval) = self.settings.checkpoints else { return Vec::new() };
        let mut actions = Vec::new();
        for (lane, course) in &mut self.courses {
            let Some(claim) = self.ledger.claim(lane) else { continue };
            if let Some(manifest) = course.countable(claim) {
                actions.push(Action::Count(claim.clone(), manifest, course.of()));
            }
        }
        let last_call = self.phase == Phase::Draining;
        if self.courses.values().any(Course::is_writing) || (last_call && (self.in_flight || self.ledger.has_open())) {
            return actions;
        }
        for (lane, course) in &mut self.courses {
            let Some(processed) = self.ledger.processed(lane) else { continue };
            if course.is_due(processed, interval, now_ms, last_call) {
                course.frozen();
                actions.push(Action::Freeze { lane: lane.clone(), at: processed, of: course.of() });
                break;
            }
        }
        actions
    }

    /// The lanes whose silence has to be looked at: nothing of them waits for the sink, and since their start they were
    /// read at all, so that there is a record that the advance is behind.
    fn silent_lanes(&mut self, now_ms: u64) -> Vec<Action> {
        let Some(idle_ms) = self.settings.idle_ms.filter(|_| self.phase == Phase::Running) else { return Vec::new() };
        let mut actions = Vec::new();
        for (lane, silence) in &mut self.silences {
            let (Some(claim), Some(processed)) = (self.ledger.claim(lane), self.ledger.processed(lane)) else {
                continue;
            };
            let speaks = self.courses.get(lane).is_none_or(Course::may_speak);
            let settled = processed == claim.next_offset && !self.ledger.is_ahead_in_place(lane);
            if speaks && settled && processed > claim.start_offset && silence.is_due(processed, idle_ms, now_ms) {
                actions.push(Action::Idle { lane: lane.clone(), epoch: claim.epoch });
            }
        }
        actions
    }

    /// Whether a silence that was asked about under the claim of this epoch lasts.
    pub fn is_silent(&self, lane: &Lane, epoch: i64) -> bool {
        let held = self.ledger.claim(lane).is_some_and(|claim| claim.epoch == epoch);
        let processed = self.ledger.processed(lane).filter(|_| held && self.phase == Phase::Running);
        processed.zip(self.silences.get(lane)).is_some_and(|(processed, silence)| silence.lasts(processed))
    }

    /// After how long a silence watermarks are moved.
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.settings.idle_ms.unwrap_or_default())
    }

    fn idled(&mut self, lane: &Lane, epoch: i64, moved: bool, now_ms: u64) -> Vec<Action> {
        let held = self.ledger.claim(lane).is_some_and(|claim| claim.epoch == epoch);
        if let (Some(silence), Some(idle_ms)) = (self.silences.get_mut(lane), self.settings.idle_ms)
            && held
        {
            silence.answered(moved, idle_ms, now_ms);
        }
        Vec::new()
    }

    fn written(&mut self, report: Report, now_ms: u64) -> Vec<Action> {
        self.in_flight = false;
        if let Some(error) = report.failure {
            return self.fail(error);
        }
        let mut stopped = Vec::new();
        for (segment, claim, fate) in report.segments {
            let lane = segment.lane.clone();
            // Still the same hold on the lane? Otherwise it has been revoked or claimed anew meanwhile.
            let ours = self.ledger.claim(&lane).is_some_and(|c| c.epoch == claim.epoch);
            match fate {
                Fate::Committed => {
                    self.ledger.committed(&lane, claim.epoch, segment.to, segment.idles);
                }
                Fate::Fenced { owner } if ours => {
                    let Some(wait) = self.fences.entry(lane.clone()).or_default().another(now_ms) else {
                        return self.fail(taken(&lane, &owner));
                    };
                    self.give_up(&lane, now_ms + wait.as_millis() as u64);
                    stopped.push(lane);
                }
                Fate::LostTail if ours => {
                    self.give_up(&lane, now_ms);
                    stopped.push(lane);
                }
                Fate::Fenced { .. } | Fate::LostTail => {}
            }
            self.ledger.recycle(segment);
        }
        let mut actions = Vec::new();
        if !stopped.is_empty() {
            actions.push(Action::Stop { lanes: stopped, revoked: false });
        }
        actions.extend(self.backed_off(now_ms));
        actions
    }

    /// Claims a lane anew whose guests are gone. What is in flight of it is written before the claim is.
    fn broken(&mut self, lane: Lane, now_ms: u64) -> Vec<Action> {
        if !self.is_reading(&lane) {
            return Vec::new();
        }
        self.give_up(&lane, now_ms);
        let mut actions = vec![Action::Stop { lanes: vec![lane], revoked: false }];
        actions.extend(self.backed_off(now_ms));
        actions
    }

    /// Drops our hold on a lane that the group still gives us; it is claimed again at `until_ms`.
    fn give_up(&mut self, lane: &Lane, until_ms: u64) {
        self.courses.remove(lane);
        self.silences.remove(lane);
        self.ledger.close(lane);
        self.lanes.insert(lane.clone(), LaneState::Backoff { until_ms });
    }

    fn backed_off(&mut self, now_ms: u64) -> Vec<Action> {
        let due = self
            .lanes
            .iter()
            .filter(|(_, state)| matches!(state, LaneState::Backoff { until_ms } if *until_ms <= now_ms));
        let lanes: Vec<Lane> = due.map(|(lane, _)| lane.clone()).collect();
        let requests = lanes.into_iter().map(|lane| self.request(lane, None)).collect();
        self.claim(requests)
    }

    fn drain(&mut self) -> Vec<Action> {
        self.phase = Phase::Draining;
        // The lanes with state are needed for their last checkpoints.
        let lanes = self.lanes.keys().filter(|lane| !self.courses.contains_key(lane)).cloned().collect();
        self.lanes.retain(|lane, _| self.courses.contains_key(lane));
        vec![Action::Stop { lanes, revoked: false }]
    }

    fn fail(&mut self, error: Error) -> Vec<Action> {
        self.phase = Phase::Over;
        vec![Action::Fail(error)]
    }

    /// Sends what is open when the database is free and it has waited long enough.
    fn flush(&mut self, now_ms: u64) -> Option<Action> {
        if !self.ledger.has_open() {
            self.opened_at_ms = None;
            return None;
        }
        let opened_at = *self.opened_at_ms.get_or_insert(now_ms);
        let full = self.phase == Phase::Draining
            || self.ledger.open_entries() >= self.settings.flush_rows_max
            || self.ledger.open_bytes() >= self.settings.flush_bytes_max;
        if self.in_flight || !(full || now_ms >= opened_at + self.settings.linger_ms) {
            return None;
        }
        self.in_flight = true;
        self.opened_at_ms = None;
        let (flush, claims) = self.ledger.take();
        Some(Action::Write(flush, claims))
    }

    fn request(&self, lane: Lane, start: Option<i64>) -> ClaimRequest {
        ClaimRequest { lane, start, stateful: self.settings.stateful, generation: self.settings.generation }
    }

    fn claim(&mut self, requests: Vec<ClaimRequest>) -> Vec<Action> {
        if requests.is_empty() || self.phase != Phase::Running {
            return Vec::new();
        }
        let asked = self.ask();
        for request in &requests {
            self.lanes.insert(request.lane.clone(), LaneState::Claiming { asked });
        }
        vec![Action::Claim { asked, requests }]
    }

    fn ask(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }
}

fn taken(lane: &Lane, owner: &str) -> Error {
    Error::new(
        Kind::Fenced,
        format!("the position of {lane} was taken more than {FENCES_MAX} times, last by worker {owner}"),
    )
}
