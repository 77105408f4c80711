//! A chain's state as a whole: frozen at one offset, handed out piece by piece, and put back.
//!
//! The stages of a chain are always at the same offset between two batches, so freezing one after the other there is
//! freezing them at once.

use super::{Chain, Stateful};
use crate::error::{Error, Kind, Result};
use crate::state::{Acceptance, Entries, Extent, StageState};

/// Where the handing out of a frozen chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    stage: u16,
}

/// A chain's answer to a checkpoint that it is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// Its entries can be put. `migrates`: some of them are converted, so the next checkpoint has to be a full one and
    /// the number of entries may change.
    Taken {
        /// Whether a stage converts them.
        migrates: bool,
    },
    /// A stage does not take them, and why.
    Rejected(String),
}

impl Chain {
    /// Freezes every stage; returns what each is, in order. The stages that keep no state are part of the list.
    pub fn begin_checkpoint(&mut self, extent: Extent) -> Result<Vec<StageState>> {
        let freeze = |(position, stage): (usize, &mut Box<dyn super::Transform>)| {
            let (alias, digest, watermark) = (stage.alias().to_owned(), stage.digest(), stage.watermark());
            let header = stage.as_stateful().map(|stateful| stateful.begin_checkpoint(extent)).transpose()?;
            Ok(StageState { stage: position as u16, alias, header, digest, watermark })
        };
        self.stages.iter_mut().enumerate().map(freeze).collect()
    }

    /// The next entries of the frozen stages, about `bytes_max` bytes of one of them; None after the last.
    pub fn next_entries(&mut self, cursor: &mut Cursor, bytes_max: u32) -> Result<Option<(u16, Vec<Entries>)>> {
        while let Some(stage) = self.stages.get_mut(usize::from(cursor.stage)) {
            let at = cursor.stage;
            let Some(stateful) = stage.as_stateful() else {
                cursor.stage += 1;
                continue;
            };
            let (entries, more) = stateful.next_entries(bytes_max)?;
            if !more {
                cursor.stage += 1;
            }
            if !entries.is_empty() {
                return Ok(Some((at, entries)));
            }
        }
        Ok(None)
    }

    /// Ends a checkpoint in every stage; where it is not committed, what it held counts as changed again.
    pub fn end_checkpoint(&mut self, committed: bool) -> Result<()> {
        self.each_stateful(|stateful| stateful.end_checkpoint(committed))
    }

    /// Offers a checkpoint to stages that have not processed anything. Each stage is given what the stage of its alias
    /// wrote; a stage with state that the checkpoint does not know makes it useless.
    pub fn begin_restore(&mut self, states: &[StageState]) -> Result<Offer> {
        let mut migrates = false;
        for stage in &mut self.stages {
            let alias = stage.alias().to_owned();
            let state = states.iter().find(|state| state.alias == alias);
            stage.set_watermark(state.and_then(|state| state.watermark));
            let Some(stateful) = stage.as_stateful() else { continue };
            let Some(header) = state.and_then(|state| state.header.as_ref()) else {
                return Ok(Offer::Rejected(format!("it has no state of transforms.{alias}")));
            };
            match stateful.begin_restore(header)? {
                Acceptance::Accept => {}
                Acceptance::Migrate(_) => migrates = true,
                Acceptance::Reject(why) => return Ok(Offer::Rejected(format!("transforms.{alias}: {why}"))),
            }
        }
        Ok(Offer::Taken { migrates })
    }

    /// Hands entries to the stage of this alias. Those of a stage that is no longer there are of no use. Returns how many
    /// were taken.
    pub fn put_entries(&mut self, alias: &str, entries: &Entries) -> Result<u64> {
        let stage = self.stages.iter_mut().find(|stage| stage.alias() == alias);
        let Some(stateful) = stage.and_then(|stage| stage.as_stateful()) else { return Ok(0) };
        stateful.put_entries(entries)?;
        Ok(entries.len() as u64)
    }

    /// Ends the restore of every stage: how many entries they hold together.
    pub fn end_restore(&mut self) -> Result<u64> {
        let mut held = 0;
        self.each_stateful(|stateful| {
            held += stateful.end_restore()?;
            Ok(())
        })?;
        Ok(held)
    }

    fn each_stateful(&mut self, each: impl FnMut(&mut dyn Stateful) -> Result<()>) -> Result<()> {
        self.stages.iter_mut().filter_map(|stage| stage.as_stateful()).try_for_each(each)
    }
}

/// The failure of a restore whose guests hold another number of entries than they were given.
pub fn miscounted(given: u64, held: u64) -> Error {
    let message = format!("the checkpoint gave {given} entries, but its plugins hold {held}");
    Error::new(Kind::CheckpointUnusable, message)
}
