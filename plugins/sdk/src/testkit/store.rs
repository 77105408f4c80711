//! Where a test keeps checkpoints: entries by table and key, as a host's compacted store holds them.

use std::collections::BTreeMap;

use super::kit::Position;
use super::{Chance, Kit};
use crate::state::{Acceptance, Entries, Extent, Header};
use crate::{CODE_STATE, Failure, Stateful};

type Held = BTreeMap<(u16, Vec<u8>), Vec<u8>>;

/// The last committed checkpoint of one lane, and the one that is under way.
#[derive(Clone, Debug, Default)]
pub struct Store {
    committed: Option<Checkpoint>,
    underway: Option<Checkpoint>,
}

/// A lane's whole state at one position.
#[derive(Clone, Debug)]
struct Checkpoint {
    header: Header,
    position: Position,
    held: Held,
    /// What this checkpoint has written so far.
    written: Vec<(u16, Vec<u8>, Option<Vec<u8>>)>,
}

impl Store {
    /// A lane without a checkpoint.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a checkpoint has begun and not ended.
    pub fn is_underway(&self) -> bool {
        self.underway.is_some()
    }

    /// The number of entries of the last committed checkpoint.
    pub fn len(&self) -> usize {
        self.committed.as_ref().map_or(0, |checkpoint| checkpoint.held.len())
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Begins a checkpoint of the kit's state; a full one where none was committed before.
    pub fn begin<P: Stateful>(&mut self, kit: &mut Kit<P>, extent: Extent) -> Result<(), Failure> {
        let base = self.committed.as_ref().filter(|_| extent == Extent::Incremental);
        let extent = if base.is_some() { Extent::Incremental } else { Extent::Full };
        let held = base.map(|checkpoint| checkpoint.held.clone()).unwrap_or_default();
        let header = kit.guest().begin_checkpoint(extent)?;
        self.underway = Some(Checkpoint { header, position: kit.position, held, written: Vec::new() });
        Ok(())
    }

    /// Takes about `max_bytes` of the checkpoint's entries; false when there are no more.
    pub fn take<P: Stateful>(&mut self, kit: &mut Kit<P>, max_bytes: usize) -> Result<bool, Failure> {
        let Some(underway) = self.underway.as_mut() else {
            return Ok(false);
        };
        kit.guest().next_entries(max_bytes, |space, entries| {
            let owned = |(key, value): (&[u8], Option<&[u8]>)| (space, key.to_vec(), value.map(<[u8]>::to_vec));
            underway.written.extend(entries.iter().map(owned));
        })
    }

    /// Ends the checkpoint: takes what is left of it and commits it, or drops it as a failed one. Returns the number
    /// of entries that it has committed.
    ///
    /// # Errors
    /// A key that the checkpoint held more than once.
    pub fn end<P: Stateful>(&mut self, kit: &mut Kit<P>, committed: bool) -> Result<usize, Failure> {
        while committed && self.take(kit, 1 << 16)? {}
        kit.guest().end_checkpoint(committed);
        let Some(mut checkpoint) = self.underway.take().filter(|_| committed) else {
            return Ok(0);
        };
        let written = std::mem::take(&mut checkpoint.written);
        let mut keys: Vec<_> = written.iter().map(|(space, key, _)| (*space, key)).collect();
        keys.sort_unstable();
        if let Some([(space, key), _]) = keys.array_windows().find(|[one, next]| one == next) {
            return Err(Failure::new(
                CODE_STATE,
                format!("A checkpoint holds key {key:?} of table {space} more than once."),
            ));
        }
        let count = written.len();
        for (space, key, value) in written {
            match value {
                Some(value) => checkpoint.held.insert((space, key), value),
                None => checkpoint.held.remove(&(space, key)),
            };
        }
        self.committed = Some(checkpoint);
        Ok(count)
    }

    /// A new kit with the last committed checkpoint in it, entries in random order and portions; a fresh one
    /// where there is none. A checkpoint under way is lost.
    ///
    /// # Errors
    /// A plugin that rejects its own checkpoint or holds another number of entries afterwards.
    pub fn restore<P: Stateful>(&mut self, settings: &[(&str, &str)], chance: &mut Chance) -> Result<Kit<P>, Failure> {
        self.underway = None;
        let mut kit = Kit::new(settings)?;
        let Some(checkpoint) = &self.committed else {
            return Ok(kit);
        };
        let acceptance = kit.guest().begin_restore(&checkpoint.header)?;
        if let Acceptance::Reject(reason) = acceptance {
            return Err(Failure::new(CODE_STATE, reason));
        }
        let mut entries: Vec<_> = checkpoint.held.iter().collect();
        chance.shuffle(&mut entries);
        let mut portions: BTreeMap<u16, Entries> = BTreeMap::new();
        for ((space, key), value) in entries {
            let portion = portions.entry(*space).or_default();
            portion.put(key, value);
            if chance.one_in(4) {
                kit.guest().put_entries(*space, portion)?;
                portion.clear();
            }
        }
        for (space, portion) in &portions {
            kit.guest().put_entries(*space, portion)?;
        }
        let (held, given) = (kit.guest().end_restore()?, checkpoint.held.len() as u64);
        if held != given && acceptance == Acceptance::Accept {
            return Err(Failure::new(
                CODE_STATE,
                format!("A restore gave {given} entries, but the plugin holds {held} of them."),
            ));
        }
        kit.position = checkpoint.position;
        Ok(kit)
    }

    /// Whether both hold the same entries at the same position.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        let seen =
            |store: &Self| store.committed.as_ref().map(|checkpoint| (checkpoint.position, checkpoint.held.clone()));
        seen(self) == seen(other)
    }
}

/// The whole state of a kit.
pub(super) fn snapshot<P: Stateful>(kit: &mut Kit<P>) -> Result<Store, Failure> {
    let mut store = Store::new();
    store.begin(kit, Extent::Full)?;
    store.end(kit, true)?;
    Ok(store)
}
