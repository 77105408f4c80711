//! One lane's way from consumed records to encoded rows: decode, chain, encode, or replay without output.

use std::collections::VecDeque;
use std::sync::Arc;

use self::idle::Repeat;
use super::follower::{Fault, Follower, Judge, Spoken};
use super::ledger::Ledger;
use super::member::{Failures, Member, located};
use super::replay::{Base, Replay};
use super::suspect::{Breakage, Caution, is_breakage};
use super::writer::Tolerance;
use crate::error::{Error, Kind, Result};
use crate::failpoint::{self, Point};
use crate::record::{Batch, Claim, Decision, DecisionKind, Lane, Origin, RowError, Segment, Stage};
use crate::sink::Encoder;
use crate::state::{Generation, Manifest};
use crate::transform::{Chain, StageFailure};

pub mod idle;

/// A lane that is being read.
pub struct LaneRunner {
    lane: Lane,
    speaker: Member,
    follower: Option<Follower>,
    /// What the follower is judged by, where it is to take over.
    judge: Option<Judge>,
    /// The chain speaks since the last row and no segment has told so yet.
    announce: bool,
    replay: Option<Replay>,
    /// The advances by silence that the replay repeats, by offset.
    repeats: VecDeque<Repeat>,
    caution: Caution,
    tolerance: Tolerance,
    /// Records read and rows that left the chain, since the lane's start.
    counts: (u64, u64),
    /// The leader epoch of the last record below where the lane stands.
    leader_epoch: Option<i32>,
}

impl std::fmt::Debug for LaneRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaneRunner").field("lane", &self.lane).field("replay", &self.replay).finish_non_exhaustive()
    }
}

/// How rows are encoded.
pub struct Encoders<'a> {
    /// Those of the chain that speaks.
    pub speaker: &'a mut dyn Encoder,
    /// Those of a chain that is to take over, to see whether the table would take them.
    pub follower: Option<&'a mut dyn Encoder>,
}

impl std::fmt::Debug for Encoders<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoders")
    }
}

impl<'a> Encoders<'a> {
    /// Where nothing follows.
    pub fn of(speaker: &'a mut dyn Encoder) -> Self {
        Encoders { speaker, follower: None }
    }
}

/// What a run became.
#[derive(Debug, Default)]
pub struct Processed {
    /// Rows that left the chain, zero while replaying.
    pub rows: u64,
    /// Records without a row because of an error, with their offsets: recorded as decisions.
    pub failed: Failures,
    /// Whether the replay ended within the run.
    pub caught_up: bool,
}

impl LaneRunner {
    /// A runner for a freshly claimed lane. A stateful chain, whose state is that of `base`, is replayed from there.
    pub fn new(claim: &Claim, base: Base, caution: Caution, mut speaker: Member, tolerance: Tolerance) -> Self {
        let replay = speaker.chain.is_stateful().then(|| Replay::of(claim, base)).flatten();
        speaker.chain.mute(replay.is_some());
        let mut repeats = idle::recorded(claim);
        repeats.retain(|repeat| replay.is_some() && repeat.offset >= base.at);
        LaneRunner {
            lane: claim.lane.clone(),
            speaker,
            follower: None,
            judge: None,
            announce: false,
            replay,
            repeats,
            caution,
            tolerance,
            counts: (claim.records, claim.rows),
            leader_epoch: claim.leader_epoch,
        }
    }

    /// The chain that speaks, to be frozen between two batches.
    pub fn chain_mut(&mut self) -> &mut Chain {
        &mut self.speaker.chain
    }

    /// Its follower.
    pub fn follower_mut(&mut self) -> Option<&mut Follower> {
        self.follower.as_mut()
    }

    /// Hands the lane's state to a fresh chain that follows from now on, and is to take over where it is judged.
    pub fn join(&mut self, member: Member, judge: Option<Judge>) -> Result<(), Fault> {
        self.follower = Some(Follower::begin(&mut self.speaker.chain, member)?);
        self.judge = judge;
        Ok(())
    }

    /// Whether the follower is judged by its rows.
    pub fn is_judging(&self) -> bool {
        self.follower.is_some() && self.judge.is_some()
    }

    /// Hands over one piece of state.
    pub fn receive(&mut self) -> Result<(), Fault> {
        self.follower.as_mut().map_or(Ok(()), |follower| follower.receive(&mut self.speaker.chain))
    }

    /// Lets the follower process one run that it has not had yet. Returns whether there is more.
    pub fn catch_up(&mut self) -> bool {
        self.follower.as_mut().is_some_and(|follower| follower.catch_up(self.judge.as_ref(), &self.caution))
    }

    /// Lets the follower go. What the speaker was handing out to it counts as changed again.
    pub fn part(&mut self) -> Result<()> {
        let receiving = self.follower.take().is_some_and(|follower| follower.is_receiving());
        if receiving { self.speaker.chain.end_checkpoint(false) } else { Ok(()) }
    }

    /// The follower speaks from the next segment on, and the one that spoke follows. `below`: the checkpoint of each, in
    /// and out. The caller sees to it that the follower is level and that no segment is open.
    pub fn flip(&mut self, below: &mut Option<Manifest>) {
        let Some(follower) = self.follower.take() else { return };
        let Follower { mut member, below: its, .. } = follower;
        member.chain.mute(false);
        let former = std::mem::replace(&mut self.speaker, member);
        self.follower = Some(Follower::level(former, std::mem::replace(below, its)));
        (self.judge, self.announce) = (None, true);
    }

    /// Which chain speaks.
    pub fn generation(&self) -> Generation {
        self.speaker.generation
    }

    /// Records read and rows that left the chain since the lane's start, not counting those that are replayed.
    pub fn counts(&self) -> (u64, u64) {
        self.counts
    }

    /// Up to which offset the lane replays, while it does.
    pub fn replay_until(&self) -> Option<i64> {
        self.replay.as_ref().map(Replay::until)
    }

    /// Memory of the lane's guests, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let following = self.follower.as_ref().map_or(0, |follower| follower.member.chain.memory_bytes());
        self.speaker.chain.memory_bytes() + following
    }

    /// Processes a run of records into the lane's open segment, those that are suspected one by one.
    pub fn process(
        &mut self,
        run: Origin,
        ledger: &mut Ledger,
        encoders: &mut Encoders<'_>,
    ) -> Result<Processed, ProcessError> {
        let mut processed = Processed::default();
        for piece in self.caution.pieces(run) {
            let (from, until, records) =
                (piece.offsets.first().copied().unwrap_or_default(), piece.next_offset, piece.len());
            let done = self.process_piece(piece, ledger, encoders, &mut processed);
            done.map_err(|failure| match failure {
                Failed::Stage(StageFailure { stage, error, .. }) if is_breakage(error.kind()) => {
                    ProcessError::Broken(Breakage { from, until, records, stage, error })
                }
                Failed::Stage(StageFailure { error, .. }) | Failed::Lane(error) => ProcessError::Failed(error),
            })?;
        }
        Ok(processed)
    }

    fn process_piece(
        &mut self,
        run: Origin,
        ledger: &mut Ledger,
        encoders: &mut Encoders<'_>,
        processed: &mut Processed,
    ) -> Result<(), Failed> {
        let Some(live) = self.replay(run, processed)? else { return Ok(()) };
        let (lane, to, table) = (self.lane.clone(), live.next_offset, encoders.speaker.table());
        ledger.fill(&lane, to, table, |segment| self.fill(Arc::new(live), segment, encoders, processed))
    }

    /// Feeds what lies before the sink's position with output off; returns what lies after.
    fn replay(&mut self, run: Origin, processed: &mut Processed) -> Result<Option<Origin>, Failed> {
        let Some(until) = self.replay_until() else { return Ok(Some(run)) };
        let split = run.offsets.partition_point(|&offset| offset < until);
        if split > 0 {
            self.feed_old(run.slice(0..split))?;
        }
        if run.next_offset >= until {
            self.repeat_rest()?;
        }
        if run.next_offset >= until
            && let Some(replay) = self.replay.take_if(|_| run.next_offset >= until)
        {
            replay.finish()?;
            self.speaker.chain.mute(false);
            processed.caught_up = true;
        }
        Ok((split < run.len()).then(|| run.slice(split..run.len())))
    }

    fn fill(
        &mut self,
        run: Arc<Origin>,
        segment: &mut Segment,
        encoders: &mut Encoders<'_>,
        processed: &mut Processed,
    ) -> Result<(), Failed> {
        let (batch, mut failed) = self.speaker.transform(&run, &self.caution.excluded_of(&run))?;
        failpoint::pass(Point::BeforeEncode, Kind::Internal)?;
        let unbound = encoders.speaker.encode(&batch, &mut segment.data, &mut segment.lines)?;
        failpoint::pass(Point::AfterEncode, Kind::Internal)?;
        failed.extend(located(&run, unbound));
        failed.sort_by_key(|(offset, _)| *offset);
        if let Some((offset, error)) = failed.first().filter(|_| self.tolerance == Tolerance::None) {
            return Err(self.failure(*offset, error).into());
        }
        (segment.leader_epoch, self.leader_epoch) = (run.leader_epoch, run.leader_epoch);
        segment.records += run.len() as u64;
        segment.rows += batch.len() as u64;
        self.counts = (self.counts.0 + run.len() as u64, self.counts.1 + batch.len() as u64);
        let excluded = self.caution.decisions(&run);
        let mut decisions: Vec<Decision> =
            failed.iter().map(|(at, error)| decision(*at, error)).chain(excluded).collect();
        decisions.sort_by_key(|decision| decision.offset);
        if std::mem::take(&mut self.announce) {
            decisions.insert(0, self.cutover(segment));
        }
        // The runs of a segment follow each other.
        segment.decisions.extend(decisions);
        processed.rows += batch.len() as u64;
        processed.failed.extend(failed);
        self.followed(&run, &batch, encoders);
        segment.origins.push(run);
        Ok(())
    }

    /// Marks a segment as the first of a chain that has taken over.
    fn cutover(&self, segment: &mut Segment) -> Decision {
        segment.speaks = Some(self.speaker.generation.0);
        Decision {
            offset: segment.from,
            kind: DecisionKind::Cutover,
            stage: Stage::Sink,
            detail: self.speaker.generation.to_string(),
        }
    }

    /// Gives the follower what the speaker has processed.
    fn followed(&mut self, run: &Arc<Origin>, batch: &Batch, encoders: &mut Encoders<'_>) {
        let Some(follower) = &mut self.follower else { return };
        let spoken = Spoken { batch, judge: self.judge.as_ref() };
        let encoder: Option<&mut dyn Encoder> = match &mut encoders.follower {
            Some(encoder) => Some(&mut **encoder),
            None => None,
        };
        follower.follow(run, spoken, &self.caution, encoder);
    }

    /// The failure of a task that tolerates no errors: names topic, partition, offset, field and cause.
    fn failure(&self, offset: i64, error: &RowError) -> Error {
        let kind = match error.stage {
            Stage::KeyConverter | Stage::ValueConverter => Kind::RecordMalformed,
            Stage::Transform(_) | Stage::Sink => Kind::RecordRejected,
        };
        let place = self.speaker.place(error.stage);
        let field = error.field.as_ref().map(|field| format!(", {} {field}", column_or_field(error.stage)));
        let message = format!(
            "{place} cannot take the record of topic {}, partition {}, offset {offset}{}: {}",
            self.lane.topic,
            self.lane.partition,
            field.unwrap_or_default(),
            error.message
        );
        Error::new(kind, message)
    }
}

/// Why a run was not processed.
#[derive(Debug)]
pub enum ProcessError {
    /// A guest broke: the lane is of no use any more, but can be rebuilt.
    Broken(Breakage),
    /// The task fails.
    Failed(Error),
}

/// Why a chain did not take a run.
#[derive(Debug)]
pub enum Failed {
    /// A stage broke.
    Stage(StageFailure),
    /// Something else.
    Lane(Error),
}

impl Failed {
    /// The error, whatever it is about.
    pub fn into_error(self) -> Error {
        match self {
            Failed::Stage(failure) => failure.error,
            Failed::Lane(error) => error,
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Lane(error)
    }
}

fn column_or_field(stage: Stage) -> &'static str {
    if stage == Stage::Sink { "column" } else { "field" }
}

fn decision(offset: i64, error: &RowError) -> Decision {
    let kind = if error.stage == Stage::Sink { DecisionKind::Refused } else { DecisionKind::Rejected };
    let field = error.field.as_ref().map(|f| format!("{} {f}: ", column_or_field(error.stage))).unwrap_or_default();
    Decision { offset, kind, stage: error.stage, detail: format!("{field}{}", error.message) }
}
