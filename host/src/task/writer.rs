//! What follows from each outcome of writing a flush. Pure: it says the next step, [`super::committer`] takes it.
//!
//! A flush is attempted until its fate is known. Nothing is ever sent again on a guess: after an unknown
//! outcome the position rows are read, and each segment is judged by its own row (see `state::verdict`).

use std::time::Duration;

use super::backoff::Backoff;
use super::planted::{Bug, is_on};
use crate::error::{Error, Kind, Policy};
use crate::limits::REFUSALS_PER_FLUSH_MAX;
use crate::record::{Claim, Decision, DecisionKind, Flush, Lane, PositionRow, Segment, Stage};
use crate::sink::{Refusal, WriteError};
use crate::state::verdict::{Verdict, judge};

/// What to do next about the flush.
#[derive(Debug)]
pub enum Step {
    /// Write it: one attempt.
    Attempt,
    /// Read the positions of its lanes.
    ReadPositions,
    /// Wait, then go on with [`Writer::waited`]. The error says what for.
    Wait(Duration, Error),
    /// Its fate is known.
    Finish,
}

/// A segment's fate, with the claim under which it was written.
#[derive(Debug)]
pub enum Fate {
    /// Its rows and its position are committed.
    Committed,
    /// Somebody else holds the lane; nothing was written.
    Fenced {
        /// The other worker.
        owner: String,
    },
    /// The database went back in time; the lane must be claimed anew.
    LostTail,
}

/// What became of a flush.
#[derive(Debug, Default)]
pub struct Report {
    /// Each segment with its claim and its fate. Missing are those whose task failed.
    pub segments: Vec<(Segment, Claim, Fate)>,
    /// Why the task fails, if it does.
    pub failure: Option<Error>,
    /// Attempts made.
    pub attempts: u32,
    /// Records that the database refused and that were taken out, with what was decided about each.
    pub refused: Vec<(Lane, Decision)>,
    /// How often the outcome was unknown.
    pub unknown: u32,
    /// From record timestamps to the commit, in µs: a sample, filled in by whoever has a clock.
    pub latencies_us: Vec<i64>,
}

/// Whether `errors.tolerance` lets refused rows be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// The first refused row fails the task.
    None,
    /// Refused rows are taken out and recorded.
    All,
}

/// Takes the rows of one record out of a segment's encoded data and lines.
pub type Withdraw<'a> = &'a dyn Fn(&mut Segment, i64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Attempt,
    ReadPositions,
}

/// The course of one flush.
#[derive(Debug)]
pub struct Writer {
    tolerance: Tolerance,
    flush: Flush,
    claims: Vec<Claim>,
    report: Report,
    backoff: Backoff,
    next: Next,
}

impl Writer {
    /// Begins with a flush and the claim of each of its segments; the first step is [`Step::Attempt`].
    pub fn new(flush: Flush, claims: Vec<Claim>, tolerance: Tolerance) -> Self {
        assert_eq!(flush.segments.len(), claims.len(), "one claim per segment");
        let (report, backoff) = (Report::default(), Backoff::default());
        Writer { tolerance, flush, claims, report, backoff, next: Next::Attempt }
    }

    /// The flush as it stands: fenced segments and refused rows are gone from it.
    pub fn flush(&self) -> &Flush {
        &self.flush
    }

    /// The claims of its segments, same order.
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// The lanes of its segments, same order.
    pub fn lanes(&self) -> Vec<Lane> {
        self.flush.segments.iter().map(|s| s.lane.clone()).collect()
    }

    /// What became of the flush, after [`Step::Finish`].
    pub fn into_report(self) -> Report {
        self.report
    }

    /// Takes the outcome of an attempt.
    pub fn attempted(&mut self, outcome: Result<(), WriteError>, withdraw: Withdraw<'_>) -> Step {
        self.report.attempts += 1;
        match outcome {
            Err(WriteError::Unknown(_)) if is_on(Bug::UnknownIsCommitted) => self.attempted(Ok(()), withdraw),
            Ok(()) => {
                while let Some((segment, claim)) = self.remove(0) {
                    self.report.segments.push((segment, claim, Fate::Committed));
                }
                Step::Finish
            }
            Err(WriteError::Refused(refusal)) => self.refused(&refusal, withdraw),
            Err(WriteError::Failed(error)) if error.policy() == Policy::Retry => self.wait(Next::Attempt, error),
            Err(WriteError::Failed(error)) => self.fail(error),
            Err(WriteError::Unknown(_)) => {
                self.report.unknown += 1;
                Step::ReadPositions
            }
        }
    }

    /// Takes the positions that were read, one per lane of [`Writer::lanes`].
    pub fn judged(&mut self, rows: Result<Vec<Option<PositionRow>>, Error>) -> Step {
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) if error.policy() == Policy::Retry => return self.wait(Next::ReadPositions, error),
            Err(error) => return self.fail(error),
        };
        assert_eq!(rows.len(), self.claims.len(), "one position per lane");
        let verdicts: Vec<Verdict> = (self.flush.segments.iter().zip(&self.claims).zip(&rows))
            .map(|((segment, claim), row)| judge(claim, segment.from, segment.to, segment.idles, row.as_ref()))
            .collect();
        if let Some((lane, reason)) = self.halted(&verdicts) {
            return self.fail(Error::new(Kind::Internal, format!("the position of {lane} makes no sense: {reason}")));
        }
        let mut at = 0;
        for verdict in verdicts {
            let fate = match verdict {
                Verdict::Committed => Fate::Committed,
                Verdict::LostTail { .. } if is_on(Bug::LostTailIsCommitted) => Fate::Committed,
                Verdict::SendAgain if is_on(Bug::SilenceIsCommitted) && segment_moves_nothing(&self.flush, at) => {
                    Fate::Committed
                }
                Verdict::Fenced { owner } => Fate::Fenced { owner },
                Verdict::LostTail { .. } => Fate::LostTail,
                Verdict::SendAgain | Verdict::Halt(_) => {
                    at += 1;
                    continue;
                }
            };
            if let Some((segment, claim)) = self.remove(at) {
                self.report.segments.push((segment, claim, fate));
            }
        }
        if self.flush.segments.is_empty() { Step::Finish } else { Step::Attempt }
    }

    /// Goes on after a wait.
    pub fn waited(&mut self) -> Step {
        match self.next {
            Next::Attempt => Step::Attempt,
            Next::ReadPositions => Step::ReadPositions,
        }
    }

    /// A verdict that no course of events explains. One transaction is committed whole or not at all, so
    /// "committed" beside "send again" is such a case.
    fn halted(&self, verdicts: &[Verdict]) -> Option<(Lane, String)> {
        let lane = |at: usize| self.flush.segments.get(at).map(|s| s.lane.clone());
        let committed = verdicts.iter().position(|v| *v == Verdict::Committed);
        let missing = verdicts.iter().position(|v| *v == Verdict::SendAgain);
        if let (Some(_), Some(missing)) = (committed, missing) {
            return Some((lane(missing)?, "half of one transaction is there".to_owned()));
        }
        verdicts.iter().enumerate().find_map(|(at, verdict)| match verdict {
            Verdict::Halt(reason) => Some((lane(at)?, reason.clone())),
            _ => None,
        })
    }

    fn refused(&mut self, refusal: &Refusal, withdraw: Withdraw<'_>) -> Step {
        let located = self.flush.segments.get(refusal.segment).and_then(|segment| {
            let offset = *segment.lines.get(refusal.line?)?;
            Some((segment.lane.clone(), offset))
        });
        let Some((lane, offset)) = located else {
            let message = format!("the database refuses a row without naming it: {}", refusal.message);
            return self.fail(Error::new(Kind::RecordRefused, message));
        };
        let sentence = refusal_sentence(&lane, offset, refusal);
        if self.tolerance == Tolerance::None {
            return self.fail(Error::new(Kind::RecordRefused, sentence));
        }
        if self.report.refused.len() >= REFUSALS_PER_FLUSH_MAX {
            let message =
                format!("the database refused more than {REFUSALS_PER_FLUSH_MAX} rows of one flush; last: {sentence}");
            return self.fail(Error::new(Kind::RecordRefused, message));
        }
        if let Some(segment) = self.flush.segments.get_mut(refusal.segment) {
            withdraw(segment, offset);
            let column = refusal.column.as_ref().map(|column| format!("column {column}: ")).unwrap_or_default();
            let detail = format!("{column}{}", cause(refusal));
            let decision = Decision { offset, kind: DecisionKind::Refused, stage: Stage::Sink, detail };
            let at = segment.decisions.partition_point(|d| d.offset <= offset);
            if !is_on(Bug::RefusalWithoutDecision) {
                segment.decisions.insert(at, decision.clone());
            }
            self.report.refused.push((lane, decision));
        }
        Step::Attempt
    }

    fn wait(&mut self, next: Next, error: Error) -> Step {
        self.next = next;
        Step::Wait(self.backoff.wait(), error)
    }

    fn fail(&mut self, error: Error) -> Step {
        self.report.failure = Some(error);
        Step::Finish
    }

    fn remove(&mut self, at: usize) -> Option<(Segment, Claim)> {
        if at >= self.flush.segments.len() {
            return None;
        }
        Some((self.flush.segments.remove(at), self.claims.remove(at)))
    }
}

/// Whether a segment is of a silence alone.
fn segment_moves_nothing(flush: &Flush, at: usize) -> bool {
    flush.segments.get(at).is_some_and(|segment| segment.from == segment.to)
}

fn cause(refusal: &Refusal) -> String {
    format!("{} (SQLSTATE {})", refusal.message, refusal.sqlstate)
}

/// Names topic, partition, offset, column and cause.
fn refusal_sentence(lane: &Lane, offset: i64, refusal: &Refusal) -> String {
    let column = refusal.column.as_ref().map(|c| format!(", column {c}")).unwrap_or_default();
    format!(
        "the database refuses the row of topic {}, partition {}, offset {offset}{column}: {}",
        lane.topic,
        lane.partition,
        cause(refusal)
    )
}
