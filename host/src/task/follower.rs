//! A chain that follows the one that speaks: it is given its state, then the same records, and its rows go nowhere.
//!
//! What is to take over follows until it is let speak; what spoke before follows until it is let go, so that it can take
//! over again. While the state is handed over the records wait in a backlog, of which the payloads are not copied.

use std::collections::VecDeque;
use std::sync::Arc;

use super::comparison::Comparison;
use super::lane::Failed;
use super::member::{Failures, Member};
use super::suspect::Caution;
use super::writer::Tolerance;
use crate::error::{Error, Kind, Result};
use crate::limits::{SWAP_BACKLOG_BYTES_MAX, SWAP_PIECE_BYTES};
use crate::record::{Batch, Field, Origin, Stage};
use crate::sink::Encoder;
use crate::state::{Extent, Manifest, StageState};
use crate::transform::Chain;
use crate::transform::state::{Cursor, Offer, miscounted};

/// Whose fault it is that a follower cannot be had.
#[derive(Debug)]
pub enum Fault {
    /// The chain that speaks broke: the lane is rebuilt.
    Speaker(Error),
    /// The follower is of no use.
    Follower(Error),
}

/// What the chain that speaks has made of a run.
#[derive(Debug, Clone, Copy)]
pub struct Spoken<'a> {
    /// Its rows.
    pub batch: &'a Batch,
    /// What the follower is to be judged by; None = it is not judged.
    pub judge: Option<&'a Judge>,
}

/// By what a chain that is to take over is judged.
#[derive(Debug, Clone)]
pub struct Judge {
    /// The fields that either chain writes.
    pub fields: Vec<Field>,
    /// Whether it may reject records.
    pub tolerance: Tolerance,
}

/// A follower of one lane.
pub struct Follower {
    /// Its chain.
    pub member: Member,
    /// Its checkpoint that counts.
    pub below: Option<Manifest>,
    /// What it would change.
    pub comparison: Comparison,
    transfer: Option<Transfer>,
    backlog: VecDeque<Due>,
    backlog_bytes: usize,
    failure: Option<Error>,
    scratch: (Vec<u8>, Vec<i64>),
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("member", &self.member).field("failure", &self.failure).finish_non_exhaustive()
    }
}

/// What a follower has not had yet.
enum Due {
    Run(Arc<Origin>),
    /// A silence behind a record: where each stage's watermark was moved to.
    Silence(Arc<Origin>, Vec<(Stage, i64)>),
}

/// State on its way from one chain to the other.
struct Transfer {
    cursor: Cursor,
    states: Vec<StageState>,
    migrates: bool,
    given: u64,
}

impl Follower {
    /// Freezes the chain that speaks and offers its state to a fresh one.
    pub fn begin(speaker: &mut Chain, mut member: Member) -> Result<Self, Fault> {
        let states = speaker.begin_checkpoint(Extent::Full).map_err(Fault::Speaker)?;
        member.chain.mute(true);
        let migrates = match member.chain.begin_restore(&states) {
            Ok(Offer::Taken { migrates }) => migrates,
            refused => {
                speaker.end_checkpoint(false).map_err(Fault::Speaker)?;
                return Err(Fault::Follower(match refused {
                    Ok(Offer::Rejected(why)) => {
                        Error::new(Kind::SwapRefused, format!("it does not take the state: {why}"))
                    }
                    Ok(Offer::Taken { .. }) => Error::new(Kind::Internal, "state was taken and refused"),
                    Err(error) => error,
                }));
            }
        };
        let transfer = Some(Transfer { cursor: Cursor::default(), states, migrates, given: 0 });
        Ok(Follower { transfer, ..Follower::level(member, None) })
    }

    /// A chain whose state is that of the one that speaks.
    pub fn level(mut member: Member, below: Option<Manifest>) -> Self {
        member.chain.mute(true);
        Follower {
            member,
            below,
            comparison: Comparison::default(),
            transfer: None,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            failure: None,
            scratch: (Vec::new(), Vec::new()),
        }
    }

    /// Whether its state is still on its way.
    pub fn is_receiving(&self) -> bool {
        self.transfer.is_some()
    }

    /// Whether its state is that of the chain that speaks.
    pub fn is_level(&self) -> bool {
        self.transfer.is_none() && self.backlog.is_empty() && self.failure.is_none()
    }

    /// Whether it could speak. `saves`: where checkpoints are kept, only behind one of its own that counts.
    pub fn is_able(&self, saves: bool) -> bool {
        self.is_level() && (self.below.is_some() || !saves)
    }

    /// Whether so much waits for it that the lane has to wait as well.
    pub fn is_held_up(&self) -> bool {
        self.backlog_bytes > SWAP_BACKLOG_BYTES_MAX
    }

    /// Why it is of no use any more.
    pub fn failure(&self) -> Option<Error> {
        self.failure.clone()
    }

    /// Hands over one piece of state.
    pub fn receive(&mut self, speaker: &mut Chain) -> Result<(), Fault> {
        let Some(transfer) = &mut self.transfer else { return Ok(()) };
        match speaker.next_entries(&mut transfer.cursor, SWAP_PIECE_BYTES).map_err(Fault::Speaker)? {
            Some((stage, runs)) => {
                let alias = transfer.states.iter().find(|state| state.stage == stage).map(|state| &state.alias);
                for entries in runs {
                    let taken = alias.map_or(Ok(0), |alias| self.member.chain.put_entries(alias, &entries));
                    transfer.given += taken.map_err(Fault::Follower)?;
                }
            }
            None => {
                // To the chain that speaks this was no checkpoint: what it handed out counts as changed again.
                speaker.end_checkpoint(false).map_err(Fault::Speaker)?;
                let (given, migrates) = (transfer.given, transfer.migrates);
                self.transfer = None;
                let held = self.member.chain.end_restore().map_err(Fault::Follower)?;
                if held != given && !migrates {
                    return Err(Fault::Follower(miscounted(given, held)));
                }
            }
        }
        Ok(())
    }

    /// Takes what the chain that speaks has processed: at once where it is level, else into the backlog.
    pub fn follow(
        &mut self,
        run: &Arc<Origin>,
        spoken: Spoken<'_>,
        caution: &Caution,
        encoder: Option<&mut dyn Encoder>,
    ) {
        if self.failure.is_some() {
            return;
        }
        if !self.is_level() {
            self.backlog_bytes += run.bytes;
            self.backlog.push_back(Due::Run(Arc::clone(run)));
            return;
        }
        let followed = self.process(run, spoken.judge, caution);
        let compared = followed.and_then(|batch| match spoken.judge {
            Some(judge) => self.judge(run, spoken.batch, &batch, judge, encoder),
            None => Ok(()),
        });
        self.failure = compared.err();
    }

    /// Takes a silence by which the chain that speaks has moved its watermarks behind a record.
    pub fn advance(&mut self, behind: Arc<Origin>, watermarks: Vec<(Stage, i64)>) {
        if self.failure.is_some() {
            return;
        }
        self.backlog.push_back(Due::Silence(behind, watermarks));
        if self.transfer.is_none() && self.backlog.len() == 1 {
            self.catch_up(None, &Caution::default());
        }
    }

    /// Processes one run of the backlog, which is not compared. Returns whether there is more.
    pub fn catch_up(&mut self, judge: Option<&Judge>, caution: &Caution) -> bool {
        if self.transfer.is_some() || self.failure.is_some() {
            return false;
        }
        match self.backlog.pop_front() {
            Some(Due::Run(run)) => {
                self.backlog_bytes = self.backlog_bytes.saturating_sub(run.bytes);
                self.failure = self.process(&run, judge, caution).err();
            }
            Some(Due::Silence(behind, watermarks)) => {
                let advanced = self.member.chain.advance(&behind, &watermarks, &[]);
                self.failure = advanced.err().map(|failure| failure.error);
            }
            None => {}
        }
        !self.backlog.is_empty()
    }

    fn process(&mut self, run: &Arc<Origin>, judge: Option<&Judge>, caution: &Caution) -> Result<Batch> {
        let (batch, failed) = self.member.transform(run, &caution.excluded_of(run)).map_err(Failed::into_error)?;
        self.tolerate(run, &failed, judge)?;
        Ok(batch)
    }

    /// Where no failures are tolerated, a chain that fails a record which the other takes would fail the task.
    fn tolerate(&self, run: &Origin, failed: &Failures, judge: Option<&Judge>) -> Result<()> {
        let strict = judge.is_some_and(|judge| judge.tolerance == Tolerance::None);
        let Some((offset, error)) = failed.first().filter(|_| strict) else { return Ok(()) };
        let place = self.member.place(error.stage);
        let message = format!("{place} would not take the record of {}, offset {offset}: {}", run.lane, error.message);
        Err(Error::new(Kind::SwapRefused, message))
    }

    fn judge(
        &mut self,
        run: &Origin,
        spoken: &Batch,
        followed: &Batch,
        judge: &Judge,
        encoder: Option<&mut dyn Encoder>,
    ) -> Result<()> {
        if let Some(encoder) = encoder {
            let (data, lines) = &mut self.scratch;
            let unbound = encoder.encode(followed, data, lines)?;
            data.clear();
            lines.clear();
            self.tolerate(run, &super::member::located(run, unbound), Some(judge))?;
        }
        self.comparison.take(spoken, followed, &judge.fields)
    }
}
