//! The lanes of a task: claimed, restored, frozen for checkpoints, given up.

use uuid::Uuid;

use super::Task;
use super::checkpoint::Of;
use super::keeper::{Answer, Piece, Request};
use super::machine::Event;
use super::slot::{Next, Slot};
use super::suspect::{Breakage, is_breakage};
use crate::error::{Error, Kind, Result};
use crate::limits::CHECKPOINT_PIECES_MAX;
use crate::record::{Claim, Lane, Origin, Stage};
use crate::sink::History;

impl Task {
    /// Takes a lane up: from its newest checkpoint that will do, else from its start.
    pub(super) fn start(&mut self, claim: Claim, history: History) -> Result<()> {
        let lane = claim.lane.clone();
        let metrics = self.spec.metrics.lane(&lane.topic, lane.partition);
        metrics.position.set(claim.next_offset);
        let caution = self.suspects.caution(&claim);
        let generation = self.machine.generation_for(&history);
        let slot = Slot::new(claim, history, generation, caution, metrics);
        self.slots.insert(lane.clone(), slot);
        self.begin(&lane)
    }

    /// Tries the lane's checkpoints until one is on its way, or none is left.
    fn begin(&mut self, lane: &Lane) -> Result<()> {
        loop {
            let Some(generation) = self.slots.get(lane).map(|slot| slot.generation) else { return Ok(()) };
            let chain = (self.line(generation).chain)(Some(lane))?;
            let Some(slot) = self.slots.get_mut(lane) else { return Ok(()) };
            match slot.begin(chain) {
                Ok(None) => {
                    let from = slot.reads_from();
                    return self.read_from(lane, from);
                }
                Ok(Some((manifest, pieces))) => {
                    self.keep(Request::Load(lane.clone(), manifest, pieces));
                    return Ok(());
                }
                Err(error) if error.kind() == Kind::StateLost => return Err(error),
                Err(error) => self.pass_over(lane, &error),
            }
        }
    }

    fn pass_over(&self, lane: &Lane, error: &Error) {
        let (pipeline, task, topic, partition) = (&self.spec.pipeline, self.spec.number, &*lane.topic, lane.partition);
        self.spec.metrics.checkpoints_unusable.inc();
        tracing::warn!(pipeline, task, topic, partition, "a checkpoint is passed over: {error}");
    }

    /// Begins to read a lane whose state is that of an offset.
    fn read_from(&mut self, lane: &Lane, from: i64) -> Result<()> {
        let Some(slot) = self.slots.get(lane) else { return Ok(()) };
        let (next_offset, epoch) = (slot.claim.next_offset, slot.claim.epoch);
        let (pipeline, task, topic, partition) = (&self.spec.pipeline, self.spec.number, &*lane.topic, lane.partition);
        tracing::info!(pipeline, task, topic, partition, next_offset, replay_from = from, epoch, "lane claimed");
        // The epoch belongs to the position; where the lane is replayed, the end of the replay compares it.
        let leader_epoch = slot.claim.leader_epoch.filter(|_| from == next_offset);
        self.consumer.start(lane, from, leader_epoch)?;
        if from >= next_offset {
            self.on(Event::CaughtUp(lane.clone()))?;
        }
        Ok(())
    }

    /// Puts back what has come of checkpoints.
    pub(super) fn restore(&mut self) -> Result<()> {
        let lanes: Vec<Lane> =
            self.slots.iter().filter(|(_, slot)| slot.is_restoring()).map(|(l, _)| l.clone()).collect();
        for lane in lanes {
            let Some(slot) = self.slots.get_mut(&lane) else { continue };
            match slot.restore() {
                Next::Wait => {}
                Next::Read(from) => {
                    self.spec.metrics.restores.inc();
                    self.read_from(&lane, from)?;
                }
                Next::TryAnother(error) => {
                    self.pass_over(&lane, &error);
                    self.begin(&lane)?;
                }
            }
        }
        Ok(())
    }

    /// The part of a run before the lane's end, where it has one.
    pub(super) fn part_before_end(&mut self, run: Origin) -> Result<Option<Origin>> {
        let Some(&until) = self.spec.until.get(&run.lane) else { return Ok(Some(run)) };
        if run.next_offset >= until
            && let Some(slot) = self.slots.get_mut(&run.lane)
            && !slot.has_ended
        {
            slot.has_ended = true;
            self.consumer.stop(std::slice::from_ref(&run.lane), false)?;
        }
        let before = run.offsets.partition_point(|&offset| offset < until);
        Ok((before > 0).then(|| if before == run.len() { run } else { run.slice(0..before) }))
    }

    /// Whether a lane has been read as far as it is to be, and nothing of it waits.
    pub(super) fn has_ended(&self, lane: &Lane) -> bool {
        let ended = self.slots.get(lane).is_some_and(|slot| slot.has_ended) || self.consumer.is_at_end(lane);
        self.spec.until.contains_key(lane) && ended && !self.pending.iter().any(|run| run.lane == *lane)
    }

    /// The part of a run that may be processed now; the rest goes back to what is pending. Rows of a chain that has
    /// just taken over do not leave before its first checkpoint, only what it replays is free.
    pub(super) fn free_part(&mut self, run: Origin) -> Option<Origin> {
        if self.swap.is_some() && self.is_held_up(&run.lane) {
            self.pending.push_front(run);
            return None;
        }
        if self.machine.may_speak(&run.lane) {
            return Some(run);
        }
        let until = self.slots.get(&run.lane).map_or(i64::MIN, |slot| slot.claim.next_offset);
        let replayed = run.offsets.partition_point(|&offset| offset < until);
        if replayed < run.len() {
            self.pending.push_front(run.slice(replayed..run.len()));
        }
        (replayed > 0).then(|| run.slice(0..replayed))
    }

    /// Freezes one of a lane's chains.
    pub(super) fn freeze(&mut self, lane: &Lane, at: i64, of: Of) -> Result<()> {
        let Some(slot) = self.slots.get_mut(lane) else { return Ok(()) };
        let paused = self.spec.metrics.checkpoint_pause_seconds.start_timer();
        let frozen = slot.freeze(of, at, self.machine.ledger.idles(lane));
        paused.observe_duration();
        match frozen {
            Ok(draft) => self.keep(Request::Begin(Box::new(draft))),
            Err(error) => return self.broke_while_saved(lane, of, error),
        }
        Ok(())
    }

    /// A chain that only follows is given up where it breaks.
    fn broke_while_saved(&mut self, lane: &Lane, of: Of, error: Error) -> Result<()> {
        match of {
            Of::Speaker => self.broke_in_checkpoint(lane, error),
            Of::Follower => self.refuse(error),
        }
    }

    /// A guest that breaks while it hands out its state is rebuilt like any other; no record is at fault.
    pub(super) fn broke_in_checkpoint(&mut self, lane: &Lane, error: Error) -> Result<()> {
        if !is_breakage(error.kind()) {
            return Err(error);
        }
        let at = self.machine.ledger.processed(lane).unwrap_or_default();
        self.rebuild(lane, Breakage { from: at, until: at, records: 0, stage: Stage::Sink, error })
    }

    /// Hands out one piece of a frozen chain, if there is room for it. Returns whether more may follow at once.
    pub(super) fn hand_out(&mut self) -> Result<bool> {
        let Some(keeping) = &self.keeping else { return Ok(false) };
        let has_room = || keeping.max_capacity() - keeping.capacity() < CHECKPOINT_PIECES_MAX;
        let frozen = self.slots.iter_mut().find(|(_, slot)| slot.is_handing_out());
        let Some((lane, slot)) = frozen.filter(|_| has_room()) else { return Ok(false) };
        let paused = self.spec.metrics.checkpoint_pause_seconds.start_timer();
        let (lane, of, piece) = (lane.clone(), slot.taken_of().unwrap_or(Of::Speaker), slot.hand_out());
        paused.observe_duration();
        let request = match piece {
            Ok(Some((stage, entries))) => Request::Put(lane, stage, entries),
            Ok(None) => Request::Seal(lane),
            Err(error) => {
                self.broke_while_saved(&lane, of, error)?;
                return Ok(false);
            }
        };
        let goes_on = matches!(request, Request::Put(..));
        self.keep(request);
        Ok(goes_on)
    }

    /// Rebuilds a lane whose guest broke, or fails the task.
    pub(super) fn rebuild(&mut self, lane: &Lane, breakage: Breakage) -> Result<()> {
        if self.fall_back(lane, &breakage.error)? {
            return Ok(());
        }
        let (pipeline, task, topic, partition) = (&self.spec.pipeline, self.spec.number, &*lane.topic, lane.partition);
        let (offset, records) = (breakage.from, breakage.records);
        tracing::warn!(pipeline, task, topic, partition, offset, records, "lane is rebuilt: {}", breakage.error);
        self.spec.metrics.rebuilds.inc();
        self.suspects.broke(lane, breakage, self.spec.tolerance)?;
        self.on(Event::Broken(lane.clone()))
    }

    /// Ends a checkpoint.
    pub(super) fn thaw(&mut self, lane: &Lane, counts: bool) -> Result<()> {
        if !counts {
            self.keep(Request::Forget(lane.clone()));
        }
        let Some(slot) = self.slots.get_mut(lane) else { return Ok(()) };
        let of = slot.taken_of().unwrap_or(Of::Speaker);
        slot.thaw(counts).or_else(|error| self.broke_while_saved(lane, of, error))
    }

    /// Takes what whoever keeps checkpoints answers.
    pub(super) fn kept(&mut self, answer: Answer) -> Result<()> {
        let (pipeline, task) = (&self.spec.pipeline, self.spec.number);
        match answer {
            Answer::Moved => Ok(()),
            Answer::Stored(lane, manifest) => {
                let Some(epoch) = self.taking(&lane, manifest.id) else { return Ok(()) };
                if let Some(slot) = self.slots.get_mut(&lane) {
                    slot.stored(manifest.clone());
                }
                self.on(Event::Stored(lane, epoch, manifest))
            }
            Answer::Counted(lane, id, counted) => {
                let Some(epoch) = self.taking(&lane, id) else { return Ok(()) };
                let stored = self.slots.get(&lane).and_then(Slot::stored_manifest);
                if let Some(manifest) = stored.filter(|_| counted) {
                    let metrics = &self.spec.metrics;
                    metrics.checkpoints.inc();
                    let layer = manifest.content.layers.last();
                    let (bytes, entries) = layer.map_or((0, 0), |layer| (layer.bytes, layer.entries));
                    metrics.checkpoint_bytes.inc_by(bytes);
                    let (topic, partition, offset) = (&*lane.topic, lane.partition, manifest.at);
                    let layers = manifest.content.layers.len();
                    tracing::info!(
                        pipeline,
                        task,
                        topic,
                        partition,
                        offset,
                        bytes,
                        entries,
                        layers,
                        "checkpoint counted"
                    );
                }
                self.on(Event::Counted(lane, epoch, counted))
            }
            Answer::Failed(lane, id, error) => {
                let Some(epoch) = self.taking(&lane, id) else { return Ok(()) };
                self.spec.metrics.checkpoints_failed.inc();
                let (topic, partition) = (&*lane.topic, lane.partition);
                tracing::error!(pipeline, task, topic, partition, hint = error.hint(), "checkpoint failed: {error}");
                self.on(Event::CheckpointFailed(lane, epoch))
            }
        }
    }

    /// The epoch of a lane of which the checkpoint of this id is under way.
    fn taking(&self, lane: &Lane, id: Uuid) -> Option<i64> {
        self.slots.get(lane).filter(|slot| slot.is_taking(id)).map(|slot| slot.claim.epoch)
    }

    /// Asks whoever keeps checkpoints.
    pub(super) fn keep(&self, request: Request) {
        let Some(keeping) = &self.keeping else { return };
        if let Err(error) = keeping.try_send(request) {
            // Only where a great many lanes begin at once; a lane that is not answered is read from its start.
            if let Request::Load(lane, _, pieces) = error.into_inner() {
                let full = Error::new(Kind::Internal, format!("too many lanes are restored at once: {lane}"));
                let _ = pieces.try_send(Piece::End(Err(full)));
            }
        }
    }

    /// Gives lanes up.
    pub(super) fn stop(&mut self, lanes: &[Lane], revoked: bool) -> Result<()> {
        for lane in lanes {
            if self.slots.remove(lane).is_some() {
                self.keep(Request::Forget(lane.clone()));
                self.spec.metrics.forget(&lane.topic, lane.partition);
            }
        }
        self.pending.retain(|run| !lanes.contains(&run.lane));
        self.consumer.stop(lanes, revoked)
    }
}
