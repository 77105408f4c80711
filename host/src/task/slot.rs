//! A lane between its claim and its revocation: restored, then read, its chain frozen from time to time.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc as async_mpsc;
use uuid::Uuid;

use super::checkpoint::Of;
use super::follower::{Fault, Follower, Judge};
use super::keeper::{Draft, Piece};
use super::lane::{LaneRunner, idle};
use super::member::{Converters, Member};
use super::replay::Base;
use super::suspect::Caution;
use super::writer::Tolerance;
use crate::error::{Error, Kind, Result};
use crate::limits::{CHECKPOINT_PIECE_BYTES, CHECKPOINT_PIECES_MAX};
use crate::metrics::LaneMetrics;
use crate::record::{Claim, Lane};
use crate::sink::{Encoder, History};
use crate::state::{Entries, Extent, Generation, Layer, Manifest};
use crate::transform::Chain;
use crate::transform::state::{Cursor, Offer, miscounted};

/// A lane.
pub struct Slot {
    /// The hold on it.
    pub claim: Claim,
    /// Its metrics.
    pub metrics: LaneMetrics,
    /// Decisions committed since the claim.
    pub decided: u64,
    /// Whether it has been read as far as it is to be.
    pub has_ended: bool,
    /// Which chain speaks.
    pub generation: Generation,
    /// The chain that speaks is of no use any more, and another one is about to.
    pub is_broken: bool,
    /// When the chain that speaks has taken over, until it has made a row.
    pub speaks_since: Option<Duration>,
    /// When it last processed a record while a chain follows.
    pub last_row: Option<Duration>,
    stage: Stage,
    /// Checkpoints that can still be tried, the newest first.
    candidates: VecDeque<Manifest>,
    /// Whether the chain has written the rows that are there: otherwise a replay cannot be compared with them.
    same_chain: bool,
    needs_state: bool,
    /// Where its state stands.
    base: Base,
    caution: Caution,
    /// The last checkpoint that counts and that the guests know of: what changes are laid over.
    below: Option<Manifest>,
    /// The checkpoint under way.
    taken: Option<Taken>,
}

/// A checkpoint from its freeze to its end.
#[derive(Debug)]
struct Taken {
    id: Uuid,
    of: Of,
    /// The hand-out of the frozen chain, until everything is out.
    handing_out: Option<Cursor>,
    /// Its chunks are stored, and it does not count yet.
    stored: Option<Manifest>,
}

enum Stage {
    /// Its state comes from a checkpoint.
    Restoring {
        chain: Chain,
        manifest: Manifest,
        pieces: async_mpsc::Receiver<Piece>,
        migrates: bool,
    },
    /// For its topic's encoder, or its first run.
    Waiting(Option<Chain>),
    Running(Box<LaneRunner>),
}

/// What comes next for a lane whose state is looked for.
pub enum Next {
    /// Nothing yet.
    Wait,
    /// Try the next checkpoint, with a new chain: this one did not do, and why.
    TryAnother(Error),
    /// It can be read from here.
    Read(i64),
}

impl Slot {
    /// A lane that was claimed just now, for a chain of this generation.
    pub fn new(claim: Claim, history: History, generation: Generation, caution: Caution, metrics: LaneMetrics) -> Self {
        let spoke = history.generation;
        // Only checkpoints of the chain that wrote last are of this history.
        let of_speaker =
            history.checkpoints.into_iter().filter(|manifest| spoke.is_none_or(|g| manifest.generation == g));
        let same_chain = spoke == Some(generation);
        let base = Base { compared: same_chain, ..Base::start(&claim) }.beyond(&claim.gaps).under(&claim.decisions);
        Slot {
            metrics,
            decided: 0,
            has_ended: false,
            generation,
            is_broken: false,
            speaks_since: None,
            last_row: None,
            stage: Stage::Waiting(None),
            candidates: of_speaker.collect(),
            same_chain,
            needs_state: history.needs_state,
            base,
            caution,
            below: None,
            taken: None,
            claim,
        }
    }

    /// Takes a chain that has not processed anything. Offers it the newest checkpoint that was not tried yet: that has
    /// to be loaded into the channel that is returned with it. Otherwise the lane is read from its start.
    pub fn begin(&mut self, mut chain: Chain) -> Result<Option<(Manifest, async_mpsc::Sender<Piece>)>> {
        let manifest = if chain.is_stateful() { self.candidates.pop_front() } else { None };
        let Some(manifest) = manifest else {
            if chain.is_stateful() && self.needs_state {
                return Err(stateless(&self.claim.lane));
            }
            if !chain.is_stateful() {
                self.base = Base { at: self.claim.next_offset, ..self.base };
            }
            self.stage = Stage::Waiting(Some(chain));
            return Ok(None);
        };
        let migrates = match chain.begin_restore(&manifest.content.stages)? {
            Offer::Taken { migrates } => migrates,
            Offer::Rejected(why) => return Err(Error::new(Kind::CheckpointUnusable, why)),
        };
        let (sender, pieces) = async_mpsc::channel(CHECKPOINT_PIECES_MAX);
        self.stage = Stage::Restoring { chain, manifest: manifest.clone(), pieces, migrates };
        Ok(Some((manifest, sender)))
    }

    /// Whether its state is on its way.
    pub fn is_restoring(&self) -> bool {
        matches!(self.stage, Stage::Restoring { .. })
    }

    /// Where reading begins.
    pub fn reads_from(&self) -> i64 {
        self.base.at
    }

    /// Puts back what has come of a checkpoint.
    pub fn restore(&mut self) -> Next {
        let Stage::Restoring { chain, pieces, .. } = &mut self.stage else { return Next::Wait };
        while let Ok(piece) = pieces.try_recv() {
            let put = match piece {
                Piece::Entries(alias, entries) => chain.put_entries(&alias, &entries),
                Piece::End(end) => {
                    return end.and_then(|given| self.restored(given)).map_or_else(Next::TryAnother, Next::Read);
                }
            };
            if let Err(error) = put {
                return Next::TryAnother(error);
            }
        }
        Next::Wait
    }

    fn restored(&mut self, given: u64) -> Result<i64> {
        let stage = std::mem::replace(&mut self.stage, Stage::Waiting(None));
        let Stage::Restoring { mut chain, manifest, migrates, .. } = stage else {
            return Err(Error::new(Kind::Internal, "a restore ended that had not begun"));
        };
        let held = chain.end_restore()?;
        if held != given && !migrates {
            return Err(miscounted(given, held));
        }
        let base = Base { compared: self.same_chain, ..Base::of(&manifest) };
        let base = base.beyond(&self.claim.gaps).under(&self.claim.decisions);
        let fired = idle::repeat_behind(&mut chain, &self.claim, manifest.at, base.at)?;
        self.base = Base { rows: base.rows + fired, ..base };
        self.stage = Stage::Waiting(Some(chain));
        // Changes can be laid over what this very chain has read as it was.
        self.below = Some(manifest).filter(|_| self.same_chain && !migrates);
        Ok(self.base.at)
    }

    /// Makes the lane's runner, of what its topic's table wants.
    pub fn make_runner(
        &mut self,
        converters: &Converters,
        tolerance: Tolerance,
        encoder: &mut dyn Encoder,
    ) -> Result<()> {
        if let Stage::Waiting(chain) = &mut self.stage {
            encoder.resume(self.claim.rows);
            let chain = chain.take().unwrap_or_default();
            let member = Member::new(self.generation, chain, converters, encoder.wants())?;
            let runner = LaneRunner::new(&self.claim, self.base, self.caution.clone(), member, tolerance);
            self.stage = Stage::Running(Box::new(runner));
        }
        Ok(())
    }

    /// The lane's runner.
    pub fn runner(&mut self) -> Result<&mut LaneRunner> {
        match &mut self.stage {
            Stage::Running(runner) => Ok(runner),
            Stage::Waiting(_) | Stage::Restoring { .. } => Err(Error::new(Kind::Internal, "a lane has no runner")),
        }
    }

    /// The generation of the chain that follows and is judged.
    pub fn judged_generation(&mut self) -> Option<Generation> {
        let runner = self.running().filter(|runner| runner.is_judging())?;
        runner.follower_mut().map(|follower| follower.member.generation)
    }

    /// Up to which offset it replays, while it does.
    pub fn replay_until(&self) -> Option<i64> {
        match &self.stage {
            Stage::Running(runner) => runner.replay_until(),
            Stage::Restoring { .. } | Stage::Waiting(_) => None,
        }
    }

    /// Freezes one of the chains: the draft of a checkpoint at this offset, after so many silences.
    pub fn freeze(&mut self, of: Of, at: i64, idles: i64) -> Result<Draft> {
        let below = self.below(of)?.as_ref().filter(|below| !below.is_worn());
        let below: Vec<Layer> = below.map(|below| below.content.layers.clone()).unwrap_or_default();
        let extent = if below.is_empty() { Extent::Full } else { Extent::Incremental };
        let (id, lane) = (Uuid::new_v4(), self.claim.lane.clone());
        let (counts, generation) = (self.counts(), self.generation_of(of));
        let stages = self.chain(of)?.begin_checkpoint(extent)?;
        self.taken = Some(Taken { id, of, handing_out: Some(Cursor::default()), stored: None });
        Ok(Draft { id, lane, at, generation, counts, idles, stages, below })
    }

    /// Whether a frozen chain has more to hand out.
    pub fn is_handing_out(&self) -> bool {
        self.taken.as_ref().is_some_and(|taken| taken.handing_out.is_some())
    }

    /// Whether the checkpoint of this id is under way: what is told of others is of no more interest.
    pub fn is_taking(&self, id: Uuid) -> bool {
        self.taken.as_ref().is_some_and(|taken| taken.id == id)
    }

    /// Whose checkpoint is under way.
    pub fn taken_of(&self) -> Option<Of> {
        self.taken.as_ref().map(|taken| taken.of)
    }

    /// The next entries of the frozen chain; None after the last.
    pub fn hand_out(&mut self) -> Result<Option<(u16, Vec<Entries>)>> {
        let Some(Taken { of, handing_out: Some(mut cursor), .. }) = self.taken else { return Ok(None) };
        let piece = self.chain(of)?.next_entries(&mut cursor, CHECKPOINT_PIECE_BYTES)?;
        if let Some(taken) = &mut self.taken {
            taken.handing_out = piece.is_some().then_some(cursor);
        }
        Ok(piece)
    }

    /// The checkpoint's chunks are durable.
    pub fn stored(&mut self, manifest: Manifest) {
        if let Some(taken) = &mut self.taken {
            taken.stored = Some(manifest);
        }
    }

    /// The checkpoint that is stored and not ended yet.
    pub fn stored_manifest(&self) -> Option<&Manifest> {
        self.taken.as_ref().and_then(|taken| taken.stored.as_ref())
    }

    /// Ends the checkpoint under way, where there still is one.
    pub fn thaw(&mut self, counts: bool) -> Result<()> {
        let Some(Taken { of, stored, .. }) = self.taken.take() else { return Ok(()) };
        if counts {
            *self.below(of)? = stored;
        }
        self.chain(of)?.end_checkpoint(counts)
    }

    /// Hands the lane's state to a fresh chain that follows from now on. The lane is being read and has caught up.
    pub fn join(&mut self, member: Member, judge: Option<Judge>) -> Result<(), Fault> {
        self.read().map_err(Fault::Speaker)?.join(member, judge)
    }

    /// The chain that follows.
    pub fn follower(&mut self) -> Option<&mut Follower> {
        self.running().and_then(LaneRunner::follower_mut)
    }

    /// The lane's runner, where it is read and does not replay.
    pub fn running(&mut self) -> Option<&mut LaneRunner> {
        match &mut self.stage {
            Stage::Running(runner) if runner.replay_until().is_none() => Some(runner),
            _ => None,
        }
    }

    /// The same where it must be so.
    fn read(&mut self) -> Result<&mut LaneRunner> {
        self.running().ok_or_else(|| Error::new(Kind::Internal, "a lane is not being read"))
    }

    /// Whether its runner is still to be made, of a chain that is there.
    pub fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting(Some(_)))
    }

    /// The chain that follows speaks from the next segment on.
    pub fn flip(&mut self) -> Result<()> {
        let mut below = self.below.take();
        let runner = self.read()?;
        runner.flip(&mut below);
        self.generation = runner.generation();
        self.below = below;
        Ok(())
    }

    /// The offset of the last checkpoint of the chain that speaks.
    pub fn last_checkpoint_at(&self) -> Option<i64> {
        self.below.as_ref().map(|below| below.at)
    }

    /// The chain that speaks is of no use any more, nor is a checkpoint of it that is under way.
    pub fn broke(&mut self) {
        self.is_broken = true;
        self.taken = None;
    }

    /// Lets the chain that follows go, and the checkpoint of it that is under way.
    pub fn part(&mut self) -> Result<()> {
        self.taken.take_if(|taken| taken.of == Of::Follower);
        self.read()?.part()
    }

    fn generation_of(&mut self, of: Of) -> Generation {
        let speaks = self.generation;
        let follower = if of == Of::Follower { self.follower() } else { None };
        follower.map_or(speaks, |follower| follower.member.generation)
    }

    /// The last checkpoint of a chain that counts, and that its guests know of.
    fn below(&mut self, of: Of) -> Result<&mut Option<Manifest>> {
        match of {
            Of::Speaker => Ok(&mut self.below),
            Of::Follower => Ok(&mut self.followed()?.below),
        }
    }

    fn followed(&mut self) -> Result<&mut Follower> {
        self.follower().ok_or_else(|| Error::new(Kind::Internal, "no chain follows on a lane"))
    }

    fn counts(&self) -> (u64, u64) {
        match &self.stage {
            Stage::Running(runner) => runner.counts(),
            Stage::Restoring { .. } | Stage::Waiting(_) => (self.claim.records, self.claim.rows),
        }
    }

    fn chain(&mut self, of: Of) -> Result<&mut Chain> {
        if of == Of::Follower {
            return self.followed().map(|follower| &mut follower.member.chain);
        }
        match &mut self.stage {
            Stage::Waiting(Some(chain)) => Ok(chain),
            Stage::Running(runner) => Ok(runner.chain_mut()),
            Stage::Restoring { .. } | Stage::Waiting(None) => {
                Err(Error::new(Kind::Internal, format!("{} has no chain to take a checkpoint of", self.claim.lane)))
            }
        }
    }
}

fn stateless(lane: &Lane) -> Error {
    let message = format!("{lane} began with the state of a savepoint, and none of its checkpoints can be used");
    Error::new(Kind::StateLost, message)
}
