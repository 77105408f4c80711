//! Drives a plugin's tables through checkpoints and restores, entry by entry.

use crate::guest::{Configured, Guest};
use crate::state::{Acceptance, Entries, Extent, Header};
use crate::{CODE_ORDER, CODE_STATE, Failure, Stateful};

/// Where checkpoint and restore of one guest stand.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    /// The table whose entries come next; `None` outside a checkpoint.
    space: Option<u16>,
    /// The layout that a restore reads; `None` outside a restore.
    restoring: Option<u32>,
    /// Entries on their way out, or converted ones on their way in; kept for its buffers.
    entries: Entries,
}

impl Checkpoints {
    /// Whether a restore has begun and not ended.
    pub(crate) fn is_restoring(&self) -> bool {
        self.restoring.is_some()
    }
}

impl<P: Stateful> Guest<P> {
    /// Freezes what the checkpoint will hold and returns its header. Rows may be processed before it ends.
    pub fn begin_checkpoint(&mut self, extent: Extent) -> Result<Header, Failure> {
        let configured = self.configured()?;
        for table in configured.plugin.tables() {
            table.begin(extent);
        }
        configured.checkpoints.space = Some(0);
        let description = P::describe();
        Ok(Header {
            plugin: description.id,
            version: description.version,
            state_version: P::STATE_VERSION,
            settings: configured.settings.recorded(),
        })
    }

    /// Hands about `max_bytes` of the checkpoint's next entries to `put`, with the number of their table.
    /// Returns false when there are no more.
    pub fn next_entries(&mut self, max_bytes: usize, mut put: impl FnMut(u16, &Entries)) -> Result<bool, Failure> {
        let Configured { plugin, checkpoints, .. } = self.configured()?;
        let Checkpoints { space: Some(space), entries, .. } = checkpoints else {
            return Err(Failure::new(CODE_ORDER, "Entries were asked for outside a checkpoint."));
        };
        let mut left = max_bytes.max(1);
        for table in plugin.tables().into_iter().skip(usize::from(*space)) {
            loop {
                if left == 0 {
                    return Ok(true);
                }
                entries.clear();
                let more = table.next_entries(left, entries)?;
                if !entries.is_empty() {
                    put(*space, entries);
                }
                if !more {
                    break;
                }
                if entries.is_empty() {
                    return Err(Failure::new(
                        CODE_STATE,
                        format!("Table {space} has more entries but hands out none."),
                    ));
                }
                left = left.saturating_sub(entries.bytes().max(1));
            }
            left = left.saturating_sub(entries.bytes());
            *space += 1;
        }
        Ok(false)
    }

    /// Ends the checkpoint. Not `committed`: what it held counts as changed again.
    pub fn end_checkpoint(&mut self, committed: bool) {
        if let Some(configured) = self.configured.as_mut()
            && configured.checkpoints.space.take().is_some()
        {
            for table in configured.plugin.tables() {
                table.end(committed);
            }
        }
    }

    /// Starts a restore into a configured guest that has not processed anything.
    pub fn begin_restore(&mut self, header: &Header) -> Result<Acceptance, Failure> {
        let Configured { plugin, checkpoints, is_used, .. } = self.configured()?;
        if *is_used || checkpoints.restoring.is_some() {
            return Err(Failure::new(
                CODE_ORDER,
                "State can only be restored once and before the first row: use a new instance.",
            ));
        }
        let id = P::describe().id;
        if header.plugin != id {
            return Ok(Acceptance::Reject(format!(
                "The state belongs to plugin {}, not to {id}; start empty.",
                header.plugin
            )));
        }
        let acceptance = plugin.accept(header);
        checkpoints.restoring = match &acceptance {
            Acceptance::Accept => Some(P::STATE_VERSION),
            Acceptance::Migrate(version) => Some(*version),
            Acceptance::Reject(_) => None,
        };
        Ok(acceptance)
    }

    /// Takes entries of table `space`, in any number of calls and any order.
    pub fn put_entries(&mut self, space: u16, given: &Entries) -> Result<(), Failure> {
        let Configured { plugin, checkpoints, .. } = self.configured()?;
        let Some(version) = checkpoints.restoring else {
            return Err(Failure::new(CODE_ORDER, "Entries came outside a restore."));
        };
        let mut tables = plugin.tables();
        let count = tables.len();
        let table = tables.get_mut(usize::from(space)).ok_or_else(|| {
            Failure::new(CODE_STATE, format!("Entries came for table {space}, but the plugin has {count} tables."))
        })?;
        if version == P::STATE_VERSION {
            return table.put(given);
        }
        let converted = &mut checkpoints.entries;
        converted.clear();
        for (key, value) in given.iter() {
            P::convert(version, space, key, value, converted)?;
        }
        table.put(converted)
    }

    /// Ends the restore; returns the number of entries now held.
    pub fn end_restore(&mut self) -> Result<u64, Failure> {
        let Configured { plugin, checkpoints, is_used, .. } = self.configured()?;
        if checkpoints.restoring.take().is_none() {
            return Err(Failure::new(CODE_ORDER, "A restore was ended that had not begun."));
        }
        *is_used = true;
        let mut held = 0;
        for table in plugin.tables() {
            table.end_restore()?;
            held += table.len();
        }
        Ok(held)
    }

    /// Figures for operators, by name: `keys`, `entries` and `bytes` of all tables, then the plugin's own.
    pub fn stats(&mut self) -> Vec<(String, u64)> {
        let Some(configured) = self.configured.as_mut() else {
            return vec![("keys".to_owned(), 0)];
        };
        let (mut keys, mut entries, mut bytes) = (0, 0, 0);
        for table in configured.plugin.tables() {
            keys += table.keys();
            entries += table.len();
            bytes += table.bytes();
        }
        let mut stats: Vec<_> = [("keys", keys), ("entries", entries), ("bytes", bytes)]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        stats.extend(configured.plugin.stats());
        stats
    }
}
