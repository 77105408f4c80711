//! The exports of a plugin with state: checkpoints out, restores in.

use super::bindings::stateful::exports::weir::plugin::state;
use super::bindings::stateful::weir::plugin::state_out;
use super::bindings::transformer::weir::plugin::types;
use super::{Component, lower};
use crate::Stateful;
use crate::state::{Acceptance, Arena, Entries, Extent, Header};

impl<C: Component<Plugin: Stateful>> state::Guest for C {
    fn begin_checkpoint(extent: state::Extent) -> Result<state::Header, types::Failure> {
        let extent = match extent {
            state::Extent::Full => Extent::Full,
            state::Extent::Incremental => Extent::Incremental,
        };
        let header = C::with(|guest| guest.begin_checkpoint(extent)).map_err(lower::failure)?;
        let Header { plugin, version, state_version, settings } = header;
        Ok(state::Header { plugin, version, state_version, settings })
    }

    fn next_entries(max_bytes: u32) -> Result<bool, types::Failure> {
        C::with(|guest| guest.next_entries(max_bytes as usize, put)).map_err(lower::failure)
    }

    fn end_checkpoint(committed: bool) {
        C::with(|guest| guest.end_checkpoint(committed));
    }

    fn begin_restore(header: state::Header) -> Result<state::Acceptance, types::Failure> {
        let state::Header { plugin, version, state_version, settings } = header;
        let header = Header { plugin, version, state_version, settings };
        let acceptance = C::with(|guest| guest.begin_restore(&header)).map_err(lower::failure)?;
        Ok(match acceptance {
            Acceptance::Accept => state::Acceptance::Accept,
            Acceptance::Migrate(version) => state::Acceptance::Migrate(version),
            Acceptance::Reject(reason) => state::Acceptance::Reject(reason),
        })
    }

    fn put_entries(entries: types::EntriesResult) -> Result<(), types::Failure> {
        let types::EntriesResult { space, keys, values, ops } = entries;
        let entries = Entries { keys: arena(keys), values: arena(values), ops };
        C::with(|guest| guest.put_entries(space, &entries)).map_err(lower::failure)
    }

    fn end_restore() -> Result<u64, types::Failure> {
        C::with(crate::guest::Guest::end_restore).map_err(lower::failure)
    }

    fn stats() -> Vec<(String, u64)> {
        C::with(crate::guest::Guest::stats)
    }
}

fn arena(texts: types::TextsResult) -> Arena {
    Arena { bytes: texts.bytes, offsets: texts.offsets }
}

fn put(space: u16, entries: &Entries) {
    fn texts(arena: &Arena) -> types::TextsParam<'_> {
        types::TextsParam { bytes: &arena.bytes, offsets: &arena.offsets }
    }
    state_out::put(types::EntriesParam {
        space,
        keys: texts(&entries.keys),
        values: texts(&entries.values),
        ops: &entries.ops,
    });
}
