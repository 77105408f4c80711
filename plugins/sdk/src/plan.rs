//! What a configured plugin reads and writes: kinds, fields, and the [`Plan`] that names them.

/// The record's key, as a path.
pub const KEY: &str = "$key";
/// The record's own timestamp, as a path.
pub const TIMESTAMP: &str = "$timestamp";
/// The topic, as a path (read only).
pub const TOPIC: &str = "$topic";
/// The partition, as a path (read only).
pub const PARTITION: &str = "$partition";
/// The offset, as a path (read only).
pub const OFFSET: &str = "$offset";
/// The watermark before each row, as a path: µs, [`Kind::Int64`]; null until an event time was seen.
pub const WATERMARK: &str = "$watermark";

/// The type of a field (WIT `kind`). Smaller types of Kafka Connect widen to these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 64-bit integer.
    Int64,
    /// IEEE 754 double. An integer becomes one only when exact, else the host makes a row error of it.
    Float64,
    /// True or false.
    Boolean,
    /// UTF-8 text. A text never becomes a number by itself.
    Text,
    /// Bytes of any content.
    Binary,
    /// Exact decimal number of up to 128 bits.
    Decimal,
    /// Microseconds since 1970-01-01T00:00:00Z, held as a 64-bit integer.
    Timestamp,
    /// Any JSON value as its text.
    Json,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Int64,
        Self::Float64,
        Self::Boolean,
        Self::Text,
        Self::Binary,
        Self::Decimal,
        Self::Timestamp,
        Self::Json,
    ];

    /// The name in the interface, for settings that let the operator choose.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Decimal => "decimal",
            Self::Timestamp => "timestamp",
            Self::Json => "json",
        }
    }

    /// The kind of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A field of a plan: where it is in the record, and its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// A path into the record's value (`price`, `position.lat`), or one of the `$` names.
    pub path: String,
    /// The type.
    pub kind: Kind,
}

/// What the host copies from the origin row to the output row beside the plugin's own fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Carry {
    /// Every field.
    All,
    /// None.
    #[default]
    None,
    /// These paths.
    These(Vec<String>),
}

/// Where a row's event time comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTime {
    /// A path of kind timestamp, or [`TIMESTAMP`].
    pub path: String,
    /// Microseconds by which the watermark stays behind the newest event time.
    pub lateness_us: u64,
    /// Microseconds by which a row may be ahead of the newest event time before it; `None` = no bound.
    pub future_max_us: Option<u64>,
}

/// What a plugin needs and gives under its settings (WIT `plan`). Positions count from 0 in the order of
/// the calls that add a field; a batch's columns and the output's columns follow them.
///
/// ```
/// use weir_plugin_sdk::{Kind, Plan};
/// let plan = Plan::new().input("price", Kind::Float64).required().output("double", Kind::Float64).carry_all();
/// assert_eq!(plan.inputs()[0].path, "price");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    inputs: Vec<Field>,
    required: Vec<bool>,
    outputs: Vec<Field>,
    carry: Carry,
    event_time: Option<EventTime>,
    tombstones: bool,
}

impl Plan {
    /// Reads nothing, writes nothing, carries nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field to read.
    #[must_use]
    pub fn input(mut self, path: impl Into<String>, kind: Kind) -> Self {
        self.inputs.push(Field { path: path.into(), kind });
        self.required.push(false);
        self
    }

    /// Makes the input added last a required one: a row without it, or with null in it, becomes a row
    /// error made by the host and never reaches the plugin.
    #[must_use]
    pub fn required(mut self) -> Self {
        if let Some(last) = self.required.last_mut() {
            *last = true;
        }
        self
    }

    /// Adds a field to write; it hides a carried field of the same path.
    #[must_use]
    pub fn output(mut self, path: impl Into<String>, kind: Kind) -> Self {
        self.outputs.push(Field { path: path.into(), kind });
        self
    }

    /// Output rows keep every field of the row that they continue.
    #[must_use]
    pub fn carry_all(mut self) -> Self {
        self.carry = Carry::All;
        self
    }

    /// Output rows keep these fields of the row that they continue.
    #[must_use]
    pub fn carry<P: Into<String>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.carry = Carry::These(paths.into_iter().map(Into::into).collect());
        self
    }

    /// Takes the event time from `path`; the watermark stays `lateness_us` microseconds behind the newest.
    #[must_use]
    pub fn event_time(mut self, path: impl Into<String>, lateness_us: u64) -> Self {
        self.event_time = Some(EventTime { path: path.into(), lateness_us, future_max_us: None });
        self
    }

    /// Bounds the event time given before: a row more than `future_max_us` microseconds ahead of the newest
    /// event time before it becomes a row error made by the host and does not move the watermark.
    #[must_use]
    pub fn future_max(mut self, future_max_us: u64) -> Self {
        if let Some(source) = &mut self.event_time {
            source.future_max_us = Some(future_max_us);
        }
        self
    }

    /// Asks for records without a value as well; otherwise they go by untouched.
    #[must_use]
    pub fn tombstones(mut self) -> Self {
        self.tombstones = true;
        self
    }

    /// The fields to read, by position.
    pub fn inputs(&self) -> &[Field] {
        &self.inputs
    }

    /// Whether the input at this position is required.
    pub fn is_required(&self, input: usize) -> bool {
        self.required.get(input).copied().unwrap_or(false)
    }

    /// The fields to write, by position.
    pub fn outputs(&self) -> &[Field] {
        &self.outputs
    }

    /// What goes along with each output row.
    pub fn carried(&self) -> &Carry {
        &self.carry
    }

    /// Where the event time comes from, if there is one.
    pub fn event_time_source(&self) -> Option<&EventTime> {
        self.event_time.as_ref()
    }

    /// Whether records without a value are passed in.
    pub fn takes_tombstones(&self) -> bool {
        self.tombstones
    }
}
