//! A plugin that breaks every promise of the interface, one at a time: what the host's walls are tried with.
//!
//! `fault` names what it does, and `when` whether it does so in each call or only in one that holds a row whose field
//! `bad` is true. All other rows pass with `out` = `n` and `note` = `ok`, and are counted in its state. It is written
//! against the bare interface, because the SDK would not let it lie. Two faults cannot be had by a setting, since they
//! happen before there is one: a start function that never returns, and imports that no plugin gets.

#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(target_arch = "wasm32")]
mod lies;

/// What it does. The names are the values of the setting `fault`, with dashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Executes `unreachable`.
    Trap,
    /// Never returns from `process`.
    Loop,
    /// Never returns from `configure`.
    LoopInConfigure,
    /// Takes memory until there is no more, in one call.
    MemoryBomb,
    /// Takes a mebibyte for each row and gives none back.
    SlowLeak,
    /// Calls itself without end.
    StackOverflow,
    /// Emits texts without end, in one call.
    HugeOutput,
    /// Emits rows without end, in one call.
    ManyRows,
    /// Emits a column less than its plan says.
    ColumnCount,
    /// Emits texts where its plan says integers.
    ColumnType,
    /// Emits a column that is shorter than its rows.
    ColumnLength,
    /// Emits texts whose offsets fall.
    OffsetsFall,
    /// Emits ids beyond their dictionary.
    IdsOutOfRange,
    /// Emits a text that is not UTF-8.
    InvalidUtf8,
    /// Emits a validity bitmap that is too long.
    ValidityLength,
    /// Emits rows that continue rows which are not in the batch.
    OriginOutOfRange,
    /// Rejects each row.
    ErrorFlood,
    /// Rejects a row that is not in the batch.
    ErrorOutOfRange,
    /// Writes a hundred thousand log lines of four kibibytes in each call.
    LogFlood,
    /// Declares a thousand metrics.
    MetricFlood,
    /// Says that it holds more entries than it was given.
    StateMiscounted,
    /// Hands out entries of a checkpoint without end.
    StateEndless,
    /// Says without end that more entries follow, and hands out none.
    StateStuck,
    /// Never returns from `begin-restore`.
    RestoreHangs,
    /// Never returns from `begin-checkpoint`.
    CheckpointHangs,
    /// Emits each row as often as the instance was called before: replays give other rows.
    Nondeterminism,
}

impl Fault {
    /// Every fault by its name.
    pub const ALL: [(&'static str, Fault); 27] = [
        ("none", Fault::None),
        ("trap", Fault::Trap),
        ("loop", Fault::Loop),
        ("loop-in-configure", Fault::LoopInConfigure),
        ("memory-bomb", Fault::MemoryBomb),
        ("slow-leak", Fault::SlowLeak),
        ("stack-overflow", Fault::StackOverflow),
        ("huge-output", Fault::HugeOutput),
        ("many-rows", Fault::ManyRows),
        ("column-count", Fault::ColumnCount),
        ("column-type", Fault::ColumnType),
        ("column-length", Fault::ColumnLength),
        ("offsets-fall", Fault::OffsetsFall),
        ("ids-out-of-range", Fault::IdsOutOfRange),
        ("invalid-utf8", Fault::InvalidUtf8),
        ("validity-length", Fault::ValidityLength),
        ("origin-out-of-range", Fault::OriginOutOfRange),
        ("error-flood", Fault::ErrorFlood),
        ("error-out-of-range", Fault::ErrorOutOfRange),
        ("log-flood", Fault::LogFlood),
        ("metric-flood", Fault::MetricFlood),
        ("state-miscounted", Fault::StateMiscounted),
        ("state-endless", Fault::StateEndless),
        ("state-stuck", Fault::StateStuck),
        ("restore-hangs", Fault::RestoreHangs),
        ("checkpoint-hangs", Fault::CheckpointHangs),
        ("nondeterminism", Fault::Nondeterminism),
    ];

    /// The fault of this name.
    pub fn of_name(name: &str) -> Option<Fault> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, fault)| *fault)
    }
}

/// What `describe` answers: the members of `wit/v0/describe.schema.json`.
pub fn description() -> String {
    let setting = |name: &str, required: bool, default: &str, doc: &str, order: u32| {
        format!(
            r#"{{"name":"{name}","type":"STRING","required":{required},"default_value":{default},"importance":"HIGH",
            "documentation":"{doc}","group":null,"width":"SHORT","display_name":"{name}","dependents":[],"order":{order},
            "validator":null}}"#
        )
    };
    format!(
        r#"{{"id":"misbehave","version":"{}","doc":"Breaks one promise of the interface: what the walls are tried with.",
        "settings":[{},{}],"state":{{"version":1,"converts":[]}},"limits":{{"memory_bytes":null,"call_ms":null}}}}"#,
        env!("CARGO_PKG_VERSION"),
        setting("fault", true, "null", "What it does.", 1),
        setting(
            "when",
            false,
            r#""marked""#,
            "`always`, or `marked`: in calls with a row whose field `bad` is true.",
            2
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_found_by_its_name_and_no_other() {
        for (position, (name, fault)) in Fault::ALL.iter().enumerate() {
            assert_eq!(Fault::of_name(name), Some(*fault));
            assert!(Fault::ALL.iter().skip(position + 1).all(|(_, other)| other != fault), "{name} is there twice");
        }
        assert_eq!(Fault::of_name("kindness"), None);
    }

    #[test]
    fn the_description_names_what_configure_takes() {
        let text = description();
        for part in [r#""name":"fault""#, r#""name":"when""#, r#""id":"misbehave""#] {
            assert!(text.contains(part), "{text}");
        }
    }
}
