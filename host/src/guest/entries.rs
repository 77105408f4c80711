//! Entries of keyed state across the guest's boundary: what a guest hands over is checked here.

use arrow_buffer::BooleanBuffer;

use super::lift::{self, Fault};
use super::v0::bindings::weir::plugin::types as wit;
use crate::state::Entries;

/// Entries that a guest handed over, checked.
pub(super) fn lift(entries: wit::EntriesResult) -> Result<Entries, Fault> {
    let wit::EntriesResult { space, keys, values, ops } = entries;
    let named = |what: &'static str| {
        move |fault| match fault {
            Fault::Contract(why) => Fault::Contract(format!("handed over entries whose {what} {why}")),
            limit @ Fault::Limit(_) => limit,
        }
    };
    let keys = lift::binaries(keys, ops.len()).map_err(named("list of keys"))?;
    let values = lift::binaries(values, ops.len()).map_err(named("list of values"))?;
    if let Some(op) = ops.iter().find(|op| **op > 1) {
        return Err(Fault::Contract(format!("handed over an entry with operation {op}, which is neither 0 nor 1")));
    }
    let deleted: BooleanBuffer = ops.iter().map(|op| *op == 1).collect();
    if deleted.set_indices().any(|row| values.value_length(row) != 0) {
        return Err(Fault::Contract("handed over a deleted entry with a value".to_owned()));
    }
    Ok(Entries { space, keys, values, deleted })
}

/// The operations of entries as bytes: 0 = set, 1 = deleted.
pub(super) fn ops(entries: &Entries) -> Vec<u8> {
    entries.deleted.iter().map(u8::from).collect()
}
