//! `plugin.limits.*`: what a pipeline, or one of its stages, says about the bounds of its guests.

use super::keys::{self, Key};
use super::quantity;

/// The bounds as written. None: the host's default, or less where the plugin asks for less. What is written counts
/// whatever the plugin asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PluginLimits {
    /// Milliseconds of one call.
    pub call_ms: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Elements of one table.
    pub table_elements: Option<u64>,
    /// Rows that one call may emit.
    pub output_rows: Option<u64>,
    /// Bytes that one call may hand over.
    pub output_bytes: Option<u64>,
    /// Rows that may be rejected one after the other.
    pub rejected_rows: Option<u64>,
    /// Log lines in one second.
    pub log_lines: Option<u64>,
    /// Bytes of one log line.
    pub log_line_bytes: Option<u64>,
    /// Metrics.
    pub metrics: Option<u64>,
}

/// Where the amount of a row is kept.
type Place = fn(&mut PluginLimits) -> &mut Option<u64>;

const PLACES: [(&Key, Place); 9] = [
    (&keys::LIMIT_CALL_MS, |limits| &mut limits.call_ms),
    (&keys::LIMIT_MEMORY, |limits| &mut limits.memory_bytes),
    (&keys::LIMIT_TABLE_ELEMENTS, |limits| &mut limits.table_elements),
    (&keys::LIMIT_OUTPUT_ROWS, |limits| &mut limits.output_rows),
    (&keys::LIMIT_OUTPUT_BYTES, |limits| &mut limits.output_bytes),
    (&keys::LIMIT_REJECTED_ROWS, |limits| &mut limits.rejected_rows),
    (&keys::LIMIT_LOG_LINES, |limits| &mut limits.log_lines),
    (&keys::LIMIT_LOG_LINE_BYTES, |limits| &mut limits.log_line_bytes),
    (&keys::LIMIT_METRICS, |limits| &mut limits.metrics),
];

impl PluginLimits {
    /// These, with what else is written. `written` gives the value of a row where there is one, and `wrong` takes the
    /// row and the sentence of a value that it does not take.
    pub(super) fn with(
        mut self,
        mut written: impl FnMut(&'static Key) -> Option<String>,
        mut wrong: impl FnMut(&'static Key, String),
    ) -> PluginLimits {
        for (key, place) in PLACES {
            let Some(value) = written(key) else { continue };
            match key.check(value.trim(), &value) {
                Ok(()) => *place(&mut self) = quantity::bytes(&value),
                Err(message) => wrong(key, message),
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "a test may fail by panic")]

    use super::*;

    #[test]
    fn each_row_has_a_place_of_its_own() {
        for (number, (key, _)) in PLACES.iter().enumerate() {
            let value = (number + 70_000).to_string();
            let only = |row: &'static Key| (row.name == key.name).then(|| value.clone());
            let mut refused = Vec::new();
            let limits = PluginLimits::default().with(only, |key, message| refused.push((key.name, message)));
            let same = PLACES.iter().filter(|(_, place)| place(&mut limits.clone()).is_some()).count();
            // The number is too large for some of the rows.
            assert_eq!(same + refused.len(), 1, "{}: {refused:?}", key.name);
        }
    }

    #[test]
    fn what_is_written_later_counts() {
        let of = |pairs: &'static [(&'static str, &'static str)]| {
            move |key: &'static Key| {
                pairs.iter().find(|(name, _)| *name == key.name).map(|(_, value)| (*value).to_owned())
            }
        };
        let wrong = |key: &'static Key, message: String| panic!("{}: {message}", key.name);
        let pipeline = of(&[("plugin.limits.memory", "64M"), ("plugin.limits.call.ms", "500")]);
        let stage = of(&[("plugin.limits.memory", "1G")]);
        let limits = PluginLimits::default().with(pipeline, wrong).with(stage, wrong);
        let expected = PluginLimits { call_ms: Some(500), memory_bytes: Some(1 << 30), ..PluginLimits::default() };
        assert_eq!(limits, expected);
    }
}
