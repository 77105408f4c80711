//! Which entries of a checkpoint's layers count: of each key the newest. Layers are read newest first, so that nothing
//! but the keys of the changes has to be remembered, and a guest is given each key once.

use std::collections::{HashMap, HashSet};

use arrow_buffer::BooleanBuffer;

use super::entries::Entries;
use crate::error::Result;

/// Reads layers newest first.
#[derive(Debug, Default)]
pub struct Overlay {
    /// Keys by stage and space.
    seen: HashMap<(u16, u16), HashSet<Box<[u8]>>>,
}

impl Overlay {
    /// The entries of a stage that count: not deleted, and of a key that no newer layer has. `is_oldest`: no layer
    /// follows, so the keys need not be remembered.
    pub fn take(&mut self, stage: u16, entries: &Entries, is_oldest: bool) -> Result<Entries> {
        let seen = self.seen.entry((stage, entries.space)).or_default();
        if is_oldest && seen.is_empty() && entries.deleted.count_set_bits() == 0 {
            return Ok(entries.clone());
        }
        let counts = |row: usize| {
            let key = entries.keys.value(row);
            let known = if is_oldest { seen.contains(key) } else { !seen.insert(key.into()) };
            !known && !entries.deleted.value(row)
        };
        let kept: BooleanBuffer = (0..entries.len()).map(counts).collect();
        entries.filter(kept)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]
    use super::*;
    use arrow_array::BinaryArray;

    fn entries(space: u16, changes: &[(&str, Option<&str>)]) -> Entries {
        Entries {
            space,
            keys: changes.iter().map(|(key, _)| Some(key.as_bytes())).collect::<BinaryArray>(),
            values: changes.iter().map(|(_, value)| Some(value.unwrap_or("").as_bytes())).collect::<BinaryArray>(),
            deleted: changes.iter().map(|(_, value)| value.is_none()).collect(),
        }
    }

    #[test]
    fn of_each_key_the_newest_entry_counts_and_a_deleted_one_is_gone() {
        let newest = entries(0, &[("a", Some("3")), ("b", None)]);
        let middle = entries(0, &[("b", Some("2")), ("c", Some("2"))]);
        let oldest = entries(0, &[("a", Some("1")), ("b", Some("1")), ("c", Some("1")), ("d", Some("1"))]);
        let mut overlay = Overlay::default();
        assert_eq!(overlay.take(0, &newest, false).unwrap(), entries(0, &[("a", Some("3"))]));
        assert_eq!(overlay.take(0, &middle, false).unwrap(), entries(0, &[("c", Some("2"))]));
        assert_eq!(overlay.take(0, &oldest, true).unwrap(), entries(0, &[("d", Some("1"))]));
    }

    #[test]
    fn stages_and_spaces_do_not_meet() {
        let mut overlay = Overlay::default();
        let a = |space| entries(space, &[("a", Some("1"))]);
        for (stage, space) in [(0, 0), (0, 1), (1, 0)] {
            assert_eq!(overlay.take(stage, &a(space), false).unwrap(), a(space));
        }
        assert!(overlay.take(1, &a(0), true).unwrap().is_empty());
    }
}
