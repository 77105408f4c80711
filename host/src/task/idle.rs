//! Lanes that are silent: whether they really are, and the advance of their watermarks.

use std::sync::Arc;

use super::lane::ProcessError;
use super::machine::Event;
use super::{Message, Task};
use crate::error::Result;
use crate::record::Lane;

impl Task {
    /// Asks the broker whether the log of a lane holds more than was read: a broker that does not answer says nothing of
    /// silence.
    pub(super) fn ask_for_more(&mut self, lane: Lane, epoch: i64) -> Result<()> {
        if self.end_reached(&lane).is_none() {
            return self.on(Event::Idled { lane, epoch, moved: false });
        }
        let asked = lane.clone();
        self.ask_broker(move |lookup| lookup.ends(&asked), move |(_, end)| Message::Ends { lane, epoch, end });
        Ok(())
    }

    /// Moves the watermarks of a lane whose log ends at `end`, where it is silent still.
    pub(super) fn silent(&mut self, lane: Lane, epoch: i64, end: i64) -> Result<()> {
        let is_silent = self.machine.is_silent(&lane, epoch) && self.end_reached(&lane).is_some_and(|at| end <= at);
        let moved = if is_silent { self.advance(&lane)? } else { Some(false) };
        match moved {
            Some(moved) => self.on(Event::Idled { lane, epoch, moved }),
            // The lane is being rebuilt.
            None => Ok(()),
        }
    }

    /// Up to where a lane has been read, where that is the end of its log as the client knows it, and its state is of
    /// there.
    fn end_reached(&self, lane: &Lane) -> Option<i64> {
        let slot = self.slots.get(lane).filter(|slot| !slot.is_restoring() && slot.replay_until().is_none())?;
        let waits = slot.has_ended || self.pending.iter().any(|run| run.lane == *lane);
        self.consumer
            .end(lane)
            .filter(|_| !waits && self.encoders.contains_key(&(slot.generation, Arc::clone(&lane.topic))))
    }

    /// None: a guest broke, and the lane is built anew.
    fn advance(&mut self, lane: &Lane) -> Result<Option<bool>> {
        let silence = self.machine.idle_timeout();
        self.make_runner(lane)?;
        let Some(slot) = self.slots.get_mut(lane) else { return Ok(Some(false)) };
        let encoder = self.encoders.get_mut(&(slot.generation, Arc::clone(&lane.topic)));
        let Some(encoder) = encoder else { return Ok(Some(false)) };
        let runner = slot.runner()?;
        let rows = match runner.idle(silence, &mut self.machine.ledger, encoder.as_mut()) {
            Ok(Some(rows)) => rows,
            // Without an event time there is nothing to move, until a record brings one.
            Ok(None) => return Ok(Some(true)),
            Err(ProcessError::Broken(breakage)) => return self.rebuild(lane, breakage).map(|()| None),
            Err(ProcessError::Failed(error)) => return Err(error),
        };
        slot.metrics.rows.inc_by(rows);
        self.spec.metrics.idle_advances.inc();
        let (pipeline, task, topic, partition) = (&self.spec.pipeline, self.spec.number, &*lane.topic, lane.partition);
        tracing::info!(pipeline, task, topic, partition, rows, "lane is silent: its watermarks are moved");
        Ok(Some(true))
    }
}
