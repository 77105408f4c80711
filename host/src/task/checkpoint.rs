//! When a lane's checkpoints begin and when they count: the course of one lane, from its claim until it is given up.
//! Pure.
//!
//! A checkpoint at S counts only by its manifest, and that is written only after the same claim has committed
//! everything below S. So a checkpoint never holds more than the sink does, and one whose claim was lost never counts.

use super::planted::{Bug, is_on};
use crate::record::Claim;
use crate::sink::History;
use crate::state::{Generation, Manifest};

/// How soon a checkpoint that the lane waits for is tried again.
const RETRY_MS: u64 = 1_000;

/// How often checkpoints are taken.
#[derive(Debug, Clone, Copy)]
pub struct Interval {
    /// After so many records.
    pub records: u64,
    /// After so many milliseconds, where at least one record was read.
    pub ms: u64,
}

/// The checkpoints of one lane under one claim.
#[derive(Debug)]
pub struct Course {
    /// The claim's epoch.
    pub epoch: i64,
    stage: Stage,
    /// The offset of the last checkpoint, or where the claim began: what the next has to be beyond.
    last_at: i64,
    last_ms: u64,
    /// The lane's first checkpoint is at its next offset, and nothing is written before it counts: a chain that did not
    /// write the last rows takes over there.
    cutover: bool,
    caught_up: bool,
    /// When a failed checkpoint may be tried again.
    again_ms: u64,
    turn: Turn,
}

/// Which of a lane's chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The one that speaks.
    Speaker,
    /// The one that follows it.
    Follower,
}

/// Whose checkpoint comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// That of the chain that speaks, when it is due.
    Speaker,
    /// Nobody's: the chain that speaks hands its state to another one, or another one is to take over.
    Nobody,
    /// That of the chain that follows, at once.
    Follower,
}

#[derive(Debug)]
enum Stage {
    Idle,
    /// Frozen; its chunks are on their way.
    Writing,
    /// Its chunks are durable.
    Stored(Manifest),
    /// Its manifest is on its way.
    Counting {
        at: i64,
    },
}

impl Course {
    /// The course of a lane that was claimed just now, for a chain of this generation.
    pub fn new(claim: &Claim, history: &History, generation: Generation, now_ms: u64) -> Self {
        let cutover = history.generation.is_some_and(|spoke| spoke != generation);
        Course {
            epoch: claim.epoch,
            stage: Stage::Idle,
            last_at: claim.next_offset,
            last_ms: now_ms,
            cutover,
            caught_up: false,
            again_ms: 0,
            turn: Turn::Speaker,
        }
    }

    /// Takes no checkpoints for a while, so that the state can be handed to another chain. False: one is under way, or
    /// the lane waits for one.
    pub fn lend(&mut self) -> bool {
        let free = !self.is_under_way() && !self.cutover && self.caught_up;
        if free && self.turn == Turn::Speaker {
            self.turn = Turn::Nobody;
        }
        free
    }

    /// The next checkpoint is that of the chain that follows, at once; one that is under way is waited for.
    pub fn save_follower(&mut self) {
        if !self.is_under_way() {
            self.turn = Turn::Follower;
        }
    }

    /// No checkpoint of the chain that speaks is taken any more; one that is under way comes to nothing.
    pub fn rest(&mut self) {
        (self.stage, self.turn) = (Stage::Idle, Turn::Nobody);
    }

    /// Whose the checkpoint is that is due or under way.
    pub fn of(&self) -> Of {
        if self.turn == Turn::Follower { Of::Follower } else { Of::Speaker }
    }

    /// Takes checkpoints of the chain that speaks again. One of the chain that follows comes to nothing. `at`: that of the
    /// last one, where another chain speaks now.
    pub fn give_back(&mut self, at: Option<i64>) {
        if self.of() == Of::Follower {
            self.stage = Stage::Idle;
        }
        self.turn = Turn::Speaker;
        self.last_at = at.unwrap_or(self.last_at);
    }

    /// Whether rows may leave the lane.
    pub fn may_speak(&self) -> bool {
        !self.cutover
    }

    /// Whether a checkpoint is frozen or being written.
    pub fn is_under_way(&self) -> bool {
        !matches!(self.stage, Stage::Idle)
    }

    /// Whether the guests hand out entries.
    pub fn is_writing(&self) -> bool {
        matches!(self.stage, Stage::Writing)
    }

    /// The lane's state is that of its next offset.
    pub fn caught_up(&mut self) {
        self.caught_up = true;
    }

    /// Whether a checkpoint begins now. `last_call`: the task ends.
    pub fn is_due(&self, processed: i64, interval: Interval, now_ms: u64, last_call: bool) -> bool {
        if self.is_under_way() || now_ms < self.again_ms {
            return false;
        }
        match self.turn {
            Turn::Nobody => return false,
            Turn::Follower => return true,
            Turn::Speaker => {}
        }
        if self.cutover {
            return self.caught_up;
        }
        let waited = now_ms.saturating_sub(self.last_ms);
        // Only what was processed under this claim moves the offset beyond it, so a lane that replays is never due.
        let read = processed.saturating_sub(self.last_at);
        read > 0 && (last_call || read as u64 >= interval.records || waited >= interval.ms)
    }

    /// A checkpoint has begun.
    pub fn frozen(&mut self) {
        self.stage = Stage::Writing;
    }

    /// Its chunks are durable.
    pub fn stored(&mut self, manifest: Manifest) {
        if self.is_writing() {
            self.stage = Stage::Stored(manifest);
        }
    }

    /// The manifest that may be written now that everything is committed that this claim tells of.
    pub fn countable(&mut self, claim: &Claim) -> Option<Manifest> {
        let is_committed = |manifest: &Manifest| {
            let idles = if is_on(Bug::CheckpointsWithoutSilences) { 0 } else { manifest.idles };
            (manifest.at, idles) <= (claim.next_offset, claim.idles)
        };
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Stored(manifest) if is_committed(&manifest) || is_on(Bug::CountBeforeCommit) => {
                self.stage = Stage::Counting { at: manifest.at };
                Some(manifest)
            }
            stage => {
                self.stage = stage;
                None
            }
        }
    }

    /// The manifest was written, or not. Returns whether the checkpoint counts.
    pub fn counted(&mut self, counted: bool, now_ms: u64) -> bool {
        let Stage::Counting { at } = self.stage else { return false };
        (self.stage, self.last_ms) = (Stage::Idle, now_ms);
        if counted && self.of() == Of::Follower {
            self.turn = Turn::Nobody;
        } else if counted {
            (self.last_at, self.cutover) = (at, false);
        } else {
            self.again_ms = now_ms + RETRY_MS;
        }
        counted
    }

    /// The checkpoint came to nothing. `processed`: the next one has to be beyond, where the task ends.
    pub fn failed(&mut self, processed: i64, now_ms: u64, last_call: bool) {
        (self.stage, self.again_ms) = (Stage::Idle, now_ms + RETRY_MS);
        if last_call && self.of() == Of::Speaker {
            self.last_at = processed;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]
    use super::*;
    use crate::record::Lane;
    use crate::state::manifest::Content;
    use uuid::Uuid;

    const OFTEN: Interval = Interval { records: 1, ms: 1 };
    const LATER_MS: u64 = 1_000_000;

    fn claim(next_offset: i64) -> Claim {
        Claim {
            lane: Lane::new("t", 0),
            epoch: 1,
            token: Uuid::nil(),
            next_offset,
            leader_epoch: None,
            start_offset: 0,
            records: 0,
            rows: 0,
            idles: 0,
            rewrite_until: None,
            decisions: Vec::new(),
            gaps: Vec::new(),
        }
    }

    fn manifest(at: i64) -> Manifest {
        let content = Content { stages: Vec::new(), layers: Vec::new() };
        let (id, generation) = (Uuid::nil(), Generation([2; 32]));
        Manifest { id, at, generation, records: 0, rows: 0, idles: 0, content }
    }

    /// The course of a lane that stands at offset 10 and has caught up.
    fn course() -> Course {
        let generation = Generation([1; 32]);
        let history = History { generation: Some(generation), ..History::default() };
        let mut course = Course::new(&claim(10), &history, generation, 0);
        course.caught_up();
        course
    }

    #[test]
    fn the_speaker_rests_while_another_chain_is_saved() {
        let mut course = course();
        assert!(course.is_due(20, OFTEN, LATER_MS, false));
        assert!(course.lend());
        assert!(!course.is_due(20, OFTEN, LATER_MS, false), "its state is on its way to another chain");
        course.save_follower();
        assert!(course.is_due(10, OFTEN, 0, false), "at once, though nothing was read");
        course.frozen();
        assert_eq!(course.of(), Of::Follower);
        course.stored(manifest(12));
        assert!(course.countable(&claim(11)).is_none());
        assert!(course.countable(&claim(12)).is_some());
        assert!(course.counted(true, 5));
        assert!(!course.is_due(20, OFTEN, LATER_MS, false), "until one of the two is let go");
        course.give_back(Some(12));
        assert!(!course.is_due(12, OFTEN, LATER_MS, true));
        assert!(course.is_due(13, OFTEN, LATER_MS, false));
        assert_eq!(course.of(), Of::Speaker);
    }

    #[test]
    fn a_chain_that_follows_is_saved_whoever_spoke_last_and_a_broken_one_never() {
        let mut course = course();
        course.frozen();
        course.save_follower();
        assert_eq!(course.of(), Of::Speaker, "what is under way is waited for");
        course.rest();
        assert!(!course.is_under_way() && !course.is_due(20, OFTEN, LATER_MS, true));
        course.give_back(None);
        course.save_follower();
        assert!(course.is_due(10, OFTEN, LATER_MS, false));
        assert_eq!(course.of(), Of::Follower, "though it has spoken and takes checkpoints again");
    }

    #[test]
    fn what_is_given_up_is_not_waited_for() {
        let mut course = course();
        assert!(course.lend());
        course.save_follower();
        course.frozen();
        course.give_back(None);
        assert!(!course.is_under_way());
        course.stored(manifest(12));
        assert!(course.countable(&claim(12)).is_none(), "what comes of it afterwards does not count");
        assert!(course.is_due(11, OFTEN, LATER_MS, false));
    }

    #[test]
    fn a_lane_that_writes_or_waits_for_a_checkpoint_is_not_lent() {
        let mut writing = course();
        writing.frozen();
        assert!(!writing.lend());
        let history = History { generation: Some(Generation([9; 32])), ..History::default() };
        let mut taking_over = Course::new(&claim(10), &history, Generation([1; 32]), 0);
        taking_over.caught_up();
        assert!(!taking_over.lend(), "its own first checkpoint has to count before");
    }
}
