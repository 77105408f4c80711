//! A lane between its claim and its revocation: restored, then read, its chain frozen from time to time.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc as async_mpsc;

use super::keeper::{Draft, Piece};
use super::lane::{LaneRunner, idle};
use super::replay::Base;
use super::suspect::Caution;
use super::writer::Tolerance;
use crate::convert::Converter;
use crate::convert::decoder::Decoder;
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
    /// Whether it has been read as far as it is to be.
    pub has_ended: bool,
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
    /// The hand-out of a frozen chain.
    handing_out: Option<Cursor>,
    /// The checkpoint that is stored and does not count yet.
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
        let base = Base { compared: same_chain, ..Base::start(&claim) }.beyond(&claim.gaps);
        Slot {
            metrics,
            has_ended: false,
            stage: Stage::Waiting(None),
            candidates: of_speaker.collect(),
            same_chain,
            needs_state: history.needs_state,
            base,
            caution,
            below: None,
            handing_out: None,
            stored: None,
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
        let base = Base { compared: self.same_chain, ..Base::of(&manifest) }.beyond(&self.claim.gaps);
        let fired = idle::repeat_behind(&mut chain, &self.claim, manifest.at, base.at)?;
        self.base = Base { rows: base.rows + fired, ..base };
        self.stage = Stage::Waiting(Some(chain));
        // Changes can be laid over what this very chain has read as it was.
        self.below = Some(manifest).filter(|_| self.same_chain && !migrates);
        Ok(self.base.at)
    }

    /// The lane's runner, made at the first run after its topic's encoder is there.
    pub fn runner(
        &mut self,
        converters: &Converters,
        tolerance: Tolerance,
        encoder: &mut dyn Encoder,
    ) -> Result<&mut LaneRunner> {
        if let Stage::Waiting(chain) = &mut self.stage {
            encoder.resume(self.claim.rows);
            let chain = chain.take().unwrap_or_default();
            let projection = chain.projection(encoder.wants());
            let decoder = Decoder::new(Arc::clone(&converters.key), Arc::clone(&converters.value), projection)?;
            let runner = LaneRunner::new(&self.claim, self.base, self.caution.clone(), decoder, chain, tolerance);
            self.stage = Stage::Running(Box::new(runner));
        }
        match &mut self.stage {
            Stage::Running(runner) => Ok(runner),
            Stage::Waiting(_) | Stage::Restoring { .. } => Err(Error::new(Kind::Internal, "a lane has no runner")),
        }
    }

    /// Up to which offset it replays, while it does.
    pub fn replay_until(&self) -> Option<i64> {
        match &self.stage {
            Stage::Running(runner) => runner.replay_until(),
            Stage::Restoring { .. } | Stage::Waiting(_) => None,
        }
    }

    /// Freezes the chain: the draft of a checkpoint at this offset, after so many silences.
    pub fn freeze(&mut self, at: i64, idles: i64, generation: Generation) -> Result<Draft> {
        let below = self.below.as_ref().filter(|below| !below.is_worn());
        let below: Vec<Layer> = below.map(|below| below.content.layers.clone()).unwrap_or_default();
        let extent = if below.is_empty() { Extent::Full } else { Extent::Incremental };
        let (lane, epoch) = (self.claim.lane.clone(), self.claim.epoch);
        let counts = self.counts();
        let stages = self.chain()?.begin_checkpoint(extent)?;
        self.handing_out = Some(Cursor::default());
        Ok(Draft { lane, epoch, at, generation, counts, idles, stages, below })
    }

    /// Whether a frozen chain has more to hand out.
    pub fn is_handing_out(&self) -> bool {
        self.handing_out.is_some()
    }

    /// The next entries of the frozen chain; None after the last.
    pub fn hand_out(&mut self) -> Result<Option<(u16, Vec<Entries>)>> {
        let Some(mut cursor) = self.handing_out else { return Ok(None) };
        let piece = self.chain()?.next_entries(&mut cursor, CHECKPOINT_PIECE_BYTES)?;
        self.handing_out = piece.is_some().then_some(cursor);
        Ok(piece)
    }

    /// The checkpoint's chunks are durable.
    pub fn stored(&mut self, manifest: Manifest) {
        self.stored = Some(manifest);
    }

    /// The checkpoint that is stored and not ended yet.
    pub fn stored_manifest(&self) -> Option<&Manifest> {
        self.stored.as_ref()
    }

    /// Ends the checkpoint.
    pub fn thaw(&mut self, counts: bool) -> Result<()> {
        self.handing_out = None;
        let stored = self.stored.take();
        if counts {
            self.below = stored;
        }
        self.chain()?.end_checkpoint(counts)
    }

    fn counts(&self) -> (u64, u64) {
        match &self.stage {
            Stage::Running(runner) => runner.counts(),
            Stage::Restoring { .. } | Stage::Waiting(_) => (self.claim.records, self.claim.rows),
        }
    }

    fn chain(&mut self) -> Result<&mut Chain> {
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

/// How a pipeline's keys and values are read.
pub struct Converters {
    /// Keys.
    pub key: Arc<dyn Converter>,
    /// Values.
    pub value: Arc<dyn Converter>,
}
