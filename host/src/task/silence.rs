//! When a lane has been silent for so long that its watermarks are moved without a record: the rule of one lane, from its
//! claim until it is given up. Pure.
//!
//! Each silence moves them once, by the timeout: event time is taken to have gone on by as much as the lane was silent
//! at least. What is decided so is recorded, and a claim that finds it recorded does not decide it again.

use crate::record::{Claim, DecisionKind};

/// How soon a silence is looked at again that was none: the log holds more, or nobody could tell.
const AGAIN_MS: u64 = 1_000;

/// The silence of one lane.
#[derive(Debug)]
pub struct Silence {
    /// Where the lane stood when it began.
    at: i64,
    since_ms: u64,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Listening,
    /// Whether the log holds more is being asked.
    Asked,
    /// The watermarks have been moved.
    Over,
}

impl Silence {
    /// The silence of a lane that was claimed just now.
    pub fn new(claim: &Claim, now_ms: u64) -> Self {
        let decided = |kind| matches!(kind, DecisionKind::Idle { .. });
        let is_over = claim.decisions.iter().any(|d| decided(d.kind) && d.offset + 1 == claim.next_offset);
        let stage = if is_over { Stage::Over } else { Stage::Listening };
        Silence { at: claim.next_offset, since_ms: now_ms, stage }
    }

    /// Whether the silence has to be looked at now, at which the lane has been processed so far.
    pub fn is_due(&mut self, processed: i64, timeout_ms: u64, now_ms: u64) -> bool {
        if processed != self.at {
            *self = Silence { at: processed, since_ms: now_ms, stage: Stage::Listening };
        }
        let is_due = self.stage == Stage::Listening && now_ms.saturating_sub(self.since_ms) >= timeout_ms;
        if is_due {
            self.stage = Stage::Asked;
        }
        is_due
    }

    /// Whether the silence that was asked about still lasts.
    pub fn lasts(&self, processed: i64) -> bool {
        self.stage == Stage::Asked && self.at == processed
    }

    /// The answer: whether the watermarks were moved.
    pub fn answered(&mut self, moved: bool, timeout_ms: u64, now_ms: u64) {
        if self.stage == Stage::Asked {
            self.stage = if moved { Stage::Over } else { Stage::Listening };
            self.since_ms = (now_ms + AGAIN_MS).saturating_sub(timeout_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Decision, Lane, Stage as Where};
    use uuid::Uuid;

    const TIMEOUT: u64 = 5_000;

    fn claim(decided_at: Option<i64>) -> Claim {
        let decision = |offset| Decision {
            offset,
            kind: DecisionKind::Idle { watermark_us: 7 },
            stage: Where::Transform(0),
            detail: String::new(),
        };
        Claim {
            lane: Lane::new("t", 0),
            epoch: 1,
            token: Uuid::nil(),
            next_offset: 10,
            gaps: Vec::new(),
            leader_epoch: None,
            start_offset: 0,
            records: 10,
            rows: 10,
            idles: 0,
            rewrite_until: None,
            decisions: decided_at.map(decision).into_iter().collect(),
        }
    }

    #[test]
    fn a_silence_is_over_once_and_begins_anew_with_a_record() {
        let mut silence = Silence::new(&claim(None), 1_000);
        let mut due = |processed, now| silence.is_due(processed, TIMEOUT, now);
        assert!(!due(10, 5_999));
        assert!(due(10, 6_000));
        assert!(!due(10, 60_000), "it is being asked about");
        silence.answered(true, TIMEOUT, 6_001);
        let mut due = |processed, now| silence.is_due(processed, TIMEOUT, now);
        assert!(!due(10, 90_000));
        assert!(!due(11, 90_000), "a record has come");
        assert!(!due(11, 94_999));
        assert!(due(11, 95_000));
    }

    #[test]
    fn a_silence_that_was_none_is_looked_at_again_soon() {
        let mut silence = Silence::new(&claim(None), 0);
        assert!(silence.is_due(10, TIMEOUT, TIMEOUT));
        silence.answered(false, TIMEOUT, TIMEOUT);
        assert!(!silence.is_due(10, TIMEOUT, TIMEOUT + AGAIN_MS - 1));
        assert!(silence.is_due(10, TIMEOUT, TIMEOUT + AGAIN_MS));
    }

    #[test]
    fn a_record_ends_the_silence_that_was_asked_about() {
        let mut silence = Silence::new(&claim(None), 0);
        assert!(silence.is_due(10, TIMEOUT, TIMEOUT));
        assert!(silence.lasts(10) && !silence.lasts(12));
    }

    #[test]
    fn what_was_decided_is_not_decided_again() {
        let mut silence = Silence::new(&claim(Some(9)), 0);
        assert!(!silence.is_due(10, TIMEOUT, 1_000_000));
        let mut silence = Silence::new(&claim(Some(8)), 0);
        assert!(silence.is_due(10, TIMEOUT, 1_000_000), "it was about an earlier silence");
    }
}
