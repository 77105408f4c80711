//! The change from one chain to another while records flow.
//!
//! A chain that is offered is given the state of the one that speaks and follows it, lane by lane; what it makes of the
//! same records is compared. It speaks, in all lanes, when it is told to: from a flush's edge on, and only where its own
//! checkpoint counts. What spoke before follows then, so that it can take over again at once, until it is let go.
//! Whether and when is the worker's to say (`worker/swap.rs`), for all tasks of a pipeline together.

use std::sync::Arc;
use std::time::Duration;

use super::checkpoint::Of;
use super::comparison::Comparison;
use super::follower::{Fault, Follower, Judge};
use super::line::{Line, Nature};
use super::member::Member;
use super::slot::Slot;
use super::{Task, keeper};
use crate::error::{Error, Kind, Result};
use crate::limits::SLICE;
use crate::record::Lane;
use crate::sink::Encoder;
use crate::state::Generation;

/// A chain that is to take over.
#[derive(Debug)]
pub struct Candidate {
    /// Tells it from earlier ones of the pipeline.
    pub number: u64,
    /// The chain.
    pub line: Line,
    /// What it is like.
    pub nature: Nature,
}

/// What a task is told to do about a candidate.
#[derive(Debug, Clone)]
pub enum Order {
    /// Prepare it; one that is under way is given up.
    Offer(Arc<Candidate>),
    /// Let it speak.
    Cut(u64),
    /// Let what spoke before speak again.
    RollBack(u64),
    /// Let go what does not speak.
    End(u64),
}

/// What a task tells of a candidate.
#[derive(Debug)]
pub struct Told {
    /// The task.
    pub task: usize,
    /// The candidate.
    pub number: u64,
    /// What happened.
    pub news: News,
}

/// What happened to a candidate in a task.
#[derive(Debug)]
pub enum News {
    /// It could speak in every lane of the task; told once a second until it does.
    Ready(Comparison),
    /// It speaks in every lane; the longest time between the last row of the old and the first of the new chain.
    Speaks(Duration),
    /// It cannot be had, and was given up.
    Refused(Error),
    /// It broke, and what spoke before speaks again.
    Broke(Error),
    /// What spoke before speaks again in every lane.
    RolledBack,
}

/// Where tasks tell; must not block.
pub type Tell = Arc<dyn Fn(Told) + Send + Sync>;

/// How often it is told that a candidate is ready.
const TELL_INTERVAL: Duration = Duration::from_secs(1);
/// How long the first row of a chain that speaks is waited for. What comes later was not paused: there was none.
const FIRST_ROW_MAX: Duration = Duration::from_secs(1);

/// A candidate on its way.
#[derive(Debug)]
pub(super) struct Swap {
    number: u64,
    /// The chain that does not speak: first the candidate, and what spoke before once it does.
    other: Line,
    nature: Nature,
    phase: Phase,
    judge: Judge,
    /// Topics whose table is being bound for the candidate.
    binding: Vec<Arc<str>>,
    told_at: Option<Duration>,
    pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The candidate follows.
    Preparing,
    /// It speaks, lane by lane, and then in all; `back`: what takes over is what spoke before.
    Cut { back: bool, told: bool },
}

/// How far a lane is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Ready,
    Waits,
    /// There is more to do at once.
    More,
}

impl Swap {
    /// The chain that does not speak.
    pub(super) fn other(&self) -> &Line {
        &self.other
    }

    /// What that chain is like.
    pub(super) fn nature(&self) -> &Nature {
        &self.nature
    }

    /// Which chain the lanes are to be read by.
    fn goal(&self, line: &Line) -> Generation {
        if self.phase == Phase::Preparing { self.other.generation } else { line.generation }
    }
}

impl Task {
    /// Does what it is told about a candidate.
    pub(super) fn order(&mut self, order: Order) -> Result<()> {
        let number = self.swap.as_ref().map(|swap| swap.number);
        match order {
            Order::Offer(candidate) => {
                self.end_swap()?;
                self.offer(&candidate);
                Ok(())
            }
            Order::Cut(of) if number == Some(of) => {
                self.turn(false);
                Ok(())
            }
            Order::RollBack(of) if number == Some(of) => self.roll_back(),
            Order::End(of) if number == Some(of) => self.end_swap(),
            Order::RollBack(of) => {
                // What spoke before speaks already.
                self.tell(of, News::RolledBack);
                Ok(())
            }
            Order::Cut(_) | Order::End(_) => Ok(()),
        }
    }

    fn offer(&mut self, candidate: &Candidate) {
        let Candidate { number, line, nature } = candidate;
        if nature.stateful != self.nature.stateful {
            let has = |stateful| if stateful { "keeps state" } else { "keeps none" };
            let message = format!(
                "it {}, and the chain that speaks {}: restart the pipeline to build its state from the log",
                has(nature.stateful),
                has(self.nature.stateful)
            );
            return self.tell(*number, News::Refused(Error::new(Kind::SwapRefused, message)));
        }
        let mut fields = self.nature.outputs.clone();
        fields.extend(nature.outputs.iter().filter(|field| !self.nature.outputs.contains(field)).cloned());
        self.machine.speak_by(self.spec.line.generation, Some(line.generation));
        self.swap = Some(Swap {
            number: *number,
            other: line.clone(),
            nature: nature.clone(),
            phase: Phase::Preparing,
            judge: Judge { fields, tolerance: self.spec.tolerance },
            binding: Vec::new(),
            told_at: None,
            pause: Duration::ZERO,
        });
    }

    /// The two chains change their parts; lanes follow, each at its next edge.
    fn turn(&mut self, back: bool) {
        let Some(swap) = &mut self.swap else { return };
        std::mem::swap(&mut self.spec.line, &mut swap.other);
        std::mem::swap(&mut self.nature, &mut swap.nature);
        swap.phase = Phase::Cut { back, told: false };
        swap.pause = Duration::ZERO;
        self.machine.speak_by(self.spec.line.generation, Some(swap.other.generation));
    }

    fn roll_back(&mut self) -> Result<()> {
        match self.swap.as_ref().map(|swap| swap.phase) {
            Some(Phase::Preparing) => self.end_swap(),
            Some(Phase::Cut { back: false, .. }) => {
                self.turn(true);
                Ok(())
            }
            Some(Phase::Cut { back: true, .. }) | None => Ok(()),
        }
    }

    /// Lets go what does not speak. Lanes that were still to change over are read by the other chain, and change when they
    /// are claimed again.
    pub(super) fn end_swap(&mut self) -> Result<()> {
        let Some(swap) = self.swap.take() else { return Ok(()) };
        let lanes: Vec<Lane> = self.slots.keys().cloned().collect();
        for lane in lanes {
            self.part(&lane)?;
        }
        self.encoders.retain(|(generation, _), _| *generation != swap.other.generation);
        self.machine.speak_by(self.spec.line.generation, None);
        Ok(())
    }

    /// Lets the follower of a lane go.
    fn part(&mut self, lane: &Lane) -> Result<()> {
        let Some(slot) = self.slots.get_mut(lane) else { return Ok(()) };
        if slot.follower().is_none() {
            return Ok(());
        }
        let is_saved = slot.taken_of() == Some(Of::Follower);
        let parted = slot.part();
        self.machine.give_back(lane, None);
        // A checkpoint of the chain that speaks goes on.
        if is_saved {
            self.keep(keeper::Request::Forget(lane.clone()));
        }
        parted.or_else(|error| self.broke_in_checkpoint(lane, error))
    }

    /// Goes on with the change. Returns whether there is more to do at once.
    pub(super) fn change_over(&mut self) -> Result<bool> {
        let Some(swap) = &self.swap else { return Ok(false) };
        let goal = swap.goal(&self.spec.line);
        self.bind(goal);
        let until = self.spec.clock.elapsed() + SLICE;
        let (mut ready, mut more) = (self.machine.unread().next().is_none(), false);
        let lanes: Vec<Lane> = self.slots.keys().cloned().collect();
        for lane in lanes {
            // The lanes come first that are first: what is done for one at a time is done sooner for each.
            if self.spec.clock.elapsed() >= until {
                return Ok(true);
            }
            let progress = match self.lead(&lane, goal, until) {
                Ok(progress) => progress,
                Err(Fault::Follower(error)) => {
                    self.refuse(error)?;
                    return Ok(false);
                }
                Err(Fault::Speaker(error)) => {
                    self.broke_in_checkpoint(&lane, error)?;
                    Progress::Waits
                }
            };
            ready &= progress == Progress::Ready;
            more |= progress == Progress::More;
        }
        if ready {
            self.tell_ready();
        }
        Ok(more)
    }

    /// Asks for the binding of tables for a chain, where they are there.
    fn bind(&mut self, goal: Generation) {
        let Some(swap) = &self.swap else { return };
        let is_there = |topic: &Arc<str>| self.encoders.keys().any(|(_, bound)| bound == topic);
        let lacks = |topic: &&Arc<str>| !self.encoders.contains_key(&(goal, Arc::clone(topic)));
        let lacking = self.topics.iter().filter(lacks).filter(|topic| is_there(topic) && !swap.binding.contains(topic));
        let lacking: Vec<Arc<str>> = lacking.cloned().collect();
        for topic in &lacking {
            self.prepare(goal, Arc::clone(topic), None);
        }
        if let Some(swap) = &mut self.swap {
            swap.binding.extend(lacking);
        }
    }

    /// Takes a lane one step nearer to a chain.
    fn lead(&mut self, lane: &Lane, goal: Generation, until: Duration) -> Result<Progress, Fault> {
        let Some(slot) = self.slots.get_mut(lane) else { return Ok(Progress::Ready) };
        if slot.generation == goal {
            return self.keep_up(lane);
        }
        if slot.is_waiting() {
            self.make_runner(lane).map_err(Fault::Speaker)?;
        }
        let Some(runner) = self.slots.get_mut(lane).and_then(Slot::running) else { return Ok(Progress::Waits) };
        let follows = runner.follower_mut().map(|follower| follower.member.generation);
        if follows != Some(goal) {
            if follows.is_some() {
                self.part(lane).map_err(Fault::Speaker)?;
            }
            return self.join(lane, goal);
        }
        let Some(follower) = runner.follower_mut() else { return Ok(Progress::Waits) };
        if let Some(error) = follower.failure() {
            return Err(Fault::Follower(error));
        }
        if follower.is_receiving() {
            return runner.receive().map(|()| Progress::More);
        }
        if !follower.is_level() {
            while runner.catch_up() && self.spec.clock.elapsed() < until {}
            return Ok(Progress::More);
        }
        if !follower.is_able(self.keeping.is_some()) {
            self.machine.save_follower(lane);
            return Ok(Progress::Waits);
        }
        let cut = self.swap.as_ref().is_some_and(|swap| swap.phase != Phase::Preparing);
        match cut {
            false => Ok(Progress::Ready),
            true if self.flip(lane).map_err(Fault::Speaker)? => self.keep_up(lane),
            true => Ok(Progress::Waits),
        }
    }

    /// A lane that is read by the right chain: what followed it and broke is of no more use.
    fn keep_up(&mut self, lane: &Lane) -> Result<Progress, Fault> {
        let now = self.spec.clock.elapsed();
        let Some(slot) = self.slots.get_mut(lane) else { return Ok(Progress::Ready) };
        let is_new = slot.speaks_since.is_some_and(|since| awaits_first_row(since, now));
        let progress = if is_new { Progress::Waits } else { Progress::Ready };
        if let Some(error) = slot.follower().and_then(|follower| follower.failure()) {
            tracing::warn!(pipeline = self.spec.pipeline, %lane, "what spoke before cannot take over again: {error}");
            self.part(lane).map_err(Fault::Speaker)?;
        }
        Ok(progress)
    }

    /// Lets a chain follow, where the lane's state can be had now.
    fn join(&mut self, lane: &Lane, goal: Generation) -> Result<Progress, Fault> {
        // One after the other: the records of a lane whose state is on its way wait for all of it.
        let is_receiving = |slot: &mut Slot| slot.follower().is_some_and(|follower| follower.is_receiving());
        if self.slots.values_mut().any(is_receiving) {
            return Ok(Progress::Waits);
        }
        let Some(encoder) = self.encoders.get(&(goal, Arc::clone(&lane.topic))) else { return Ok(Progress::Waits) };
        if !self.machine.lend(lane) {
            return Ok(Progress::Waits);
        }
        let Some(swap) = &self.swap else { return Ok(Progress::Waits) };
        let line = self.line(goal);
        let chain = (line.chain)(Some(lane)).map_err(Fault::Follower)?;
        let member = Member::new(goal, chain, &line.converters, encoder.wants()).map_err(Fault::Follower)?;
        let judge = (swap.phase == Phase::Preparing).then(|| swap.judge.clone());
        let Some(slot) = self.slots.get_mut(lane) else { return Ok(Progress::Waits) };
        slot.join(member, judge)?;
        let (pipeline, task, topic, partition) = (&self.spec.pipeline, self.spec.number, &*lane.topic, lane.partition);
        tracing::debug!(pipeline, task, topic, partition, generation = %goal, "a chain follows");
        Ok(Progress::More)
    }

    /// Lets the follower of a lane speak where it is due to, able to, no segment is open and nothing is being saved.
    /// Returns whether it does.
    pub(super) fn flip(&mut self, lane: &Lane) -> Result<bool> {
        let Some(slot) = self.slots.get_mut(lane) else { return Ok(false) };
        // What is being saved is that of the chain that speaks, and is handed out by it to the end.
        if self.machine.ledger.is_open(lane) || slot.taken_of().is_some() {
            return Ok(false);
        }
        slot.flip()?;
        let at = slot.last_checkpoint_at();
        let was_broken = std::mem::take(&mut slot.is_broken);
        slot.speaks_since = Some(self.spec.clock.elapsed());
        self.machine.give_back(lane, at);
        let offset = self.machine.ledger.processed(lane).unwrap_or_default();
        let (pipeline, task, topic, partition) = (&self.spec.pipeline, self.spec.number, &*lane.topic, lane.partition);
        let line = &self.spec.line;
        tracing::info!(pipeline, task, topic, partition, offset, plugins = line.name(), generation = %line.generation, "another chain speaks");
        if was_broken {
            self.part(lane)?;
        }
        Ok(true)
    }

    /// Notes the first row of a chain that has taken over: how long the lane made none.
    pub(super) fn note_first_row(&mut self, lane: &Lane) {
        let now = self.spec.clock.elapsed();
        let (Some(slot), Some(swap)) = (self.slots.get_mut(lane), &mut self.swap) else { return };
        let last = slot.last_row.replace(now);
        let (Some(since), Some(last)) = (slot.speaks_since.take(), last) else { return };
        if !awaits_first_row(since, now) {
            return;
        }
        let paused = now.saturating_sub(last);
        swap.pause = swap.pause.max(paused);
        self.spec.metrics.swap_pause_seconds.observe(paused.as_secs_f64());
        let (pipeline, task, topic, partition) = (&self.spec.pipeline, self.spec.number, &*lane.topic, lane.partition);
        let pause_ms = paused.as_secs_f64() * 1e3;
        tracing::info!(pipeline, task, topic, partition, pause_ms, "another chain has its first row");
    }

    /// [`Task::flip`] before a run is processed: under load that is the moment when no segment is open.
    pub(super) fn flip_at_edge(&mut self, lane: &Lane) -> Result<()> {
        let Some(swap) = self.swap.as_ref().filter(|swap| swap.phase != Phase::Preparing) else { return Ok(()) };
        let (goal, saves) = (swap.goal(&self.spec.line), self.keeping.is_some());
        let Some(slot) = self.slots.get_mut(lane).filter(|slot| slot.generation != goal) else { return Ok(()) };
        let is_due = |follower: &mut Follower| follower.member.generation == goal && follower.is_able(saves);
        if slot.follower().is_some_and(is_due) { self.flip(lane).map(drop) } else { Ok(()) }
    }

    /// Whether a lane's records must wait: for a chain that is being given its state, or for one that takes over from one
    /// that is broken.
    pub(super) fn is_held_up(&mut self, lane: &Lane) -> bool {
        let Some(slot) = self.slots.get_mut(lane) else { return false };
        slot.is_broken || slot.follower().is_some_and(|follower| follower.is_held_up())
    }

    /// Where the chain that has just taken over breaks, what spoke before takes over again. Returns whether it can.
    pub(super) fn fall_back(&mut self, lane: &Lane, error: &Error) -> Result<bool> {
        let Some(swap) = &self.swap else { return Ok(false) };
        let (number, former, is_news) = match swap.phase {
            Phase::Preparing => return Ok(false),
            Phase::Cut { back: false, .. } => (swap.number, swap.other.generation, true),
            // On its way back already, as another lane broke before.
            Phase::Cut { back: true, .. } => (swap.number, self.spec.line.generation, false),
        };
        let Some(slot) = self.slots.get_mut(lane) else { return Ok(false) };
        if slot.generation == former || !slot.follower().is_some_and(|f| f.member.generation == former && f.is_level())
        {
            return Ok(false);
        }
        slot.broke();
        self.machine.rest(lane);
        self.keep(keeper::Request::Forget(lane.clone()));
        if is_news {
            self.tell(number, News::Broke(error.clone()));
            self.roll_back()?;
        }
        // What has been read and not processed comes again, for the other chain.
        let at = self.machine.ledger.processed(lane).unwrap_or_default();
        self.pending.retain(|run| run.lane != *lane);
        self.consumer.stop(std::slice::from_ref(lane), false)?;
        self.consumer.start(lane, at, None)?;
        Ok(true)
    }

    /// Gives a candidate up. Where some lanes are read by it already, they go back: all end on the same chain.
    pub(super) fn refuse(&mut self, error: Error) -> Result<()> {
        let Some(swap) = &self.swap else { return Ok(()) };
        let (number, phase) = (swap.number, swap.phase);
        match phase {
            Phase::Preparing => {
                self.tell(number, News::Refused(error));
                self.end_swap()
            }
            Phase::Cut { back: false, .. } => {
                self.tell(number, News::Broke(error));
                self.roll_back()
            }
            Phase::Cut { back: true, .. } => {
                let pipeline = &self.spec.pipeline;
                tracing::error!(pipeline, "a lane goes back to the chain before when it is claimed again: {error}");
                self.end_swap()?;
                self.tell(number, News::RolledBack);
                Ok(())
            }
        }
    }

    /// Takes the binding of a table for a chain that does not speak.
    pub(super) fn bound(
        &mut self,
        generation: Generation,
        topic: Arc<str>,
        encoder: Result<Option<Box<dyn Encoder>>>,
    ) -> Result<()> {
        let known = self.swap.as_ref().is_some_and(|swap| swap.other.generation == generation);
        match encoder {
            _ if !known => Ok(()),
            Ok(Some(mut encoder)) => {
                // That the table has all columns was seen by the chain that speaks.
                encoder.resume(u64::MAX);
                self.encoders.insert((generation, topic), encoder);
                Ok(())
            }
            Ok(None) => {
                if let Some(swap) = &mut self.swap {
                    swap.binding.retain(|bound| *bound != topic);
                }
                Ok(())
            }
            Err(error) => self.refuse(error),
        }
    }

    fn tell_ready(&mut self) {
        let now = self.spec.clock.elapsed();
        let Some(swap) = &mut self.swap else { return };
        let number = swap.number;
        let news = match &mut swap.phase {
            Phase::Preparing if swap.told_at.is_some_and(|at| now.saturating_sub(at) < TELL_INTERVAL) => return,
            Phase::Preparing => {
                swap.told_at = Some(now);
                News::Ready(self.compared())
            }
            Phase::Cut { told: true, .. } => return,
            Phase::Cut { back, told } => {
                *told = true;
                if *back { News::RolledBack } else { News::Speaks(swap.pause) }
            }
        };
        self.tell(number, news);
    }

    /// What the candidate would change, over all lanes.
    fn compared(&mut self) -> Comparison {
        let followers = self.slots.values_mut().filter_map(Slot::follower);
        followers.fold(Comparison::default(), |all, follower| all.and(&follower.comparison))
    }

    fn tell(&self, number: u64, news: News) {
        (self.spec.tell)(Told { task: self.spec.number, number, news });
    }
}

/// Whether the first row of a chain that speaks since then still tells of a pause.
fn awaits_first_row(since: Duration, now: Duration) -> bool {
    now.saturating_sub(since) < FIRST_ROW_MAX
}
