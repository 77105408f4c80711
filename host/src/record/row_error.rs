//! A record that some stage cannot take.

use std::fmt;

/// Where a record failed, in the order it travels. The names shown are Kafka Connect's error stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Reading the key.
    KeyConverter,
    /// Reading the value.
    ValueConverter,
    /// The transform at this position of the chain, from 0.
    Transform(u16),
    /// Binding to the table, or the database itself.
    Sink,
}

impl Stage {
    /// Its number in decisions: −2 key, −1 value, the transform's position, and `i16::MAX` for the sink.
    pub fn number(self) -> i16 {
        match self {
            Stage::KeyConverter => -2,
            Stage::ValueConverter => -1,
            Stage::Transform(position) => position as i16,
            Stage::Sink => i16::MAX,
        }
    }

    /// The stage of a number from a decision.
    pub fn from_number(number: i16) -> Stage {
        match number {
            i16::MAX => Stage::Sink,
            -1 => Stage::ValueConverter,
            n if n < -1 => Stage::KeyConverter,
            n => Stage::Transform(n as u16),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::KeyConverter => "KEY_CONVERTER",
            Stage::ValueConverter => "VALUE_CONVERTER",
            Stage::Transform(_) => "TRANSFORMATION",
            Stage::Sink => "TASK_PUT",
        })
    }
}

/// One record's failure. It leaves no output and no trace in any state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The record, counted in its batch's origin.
    pub record: u32,
    /// Where it failed.
    pub stage: Stage,
    /// The field or column at fault, where there is one.
    pub field: Option<String>,
    /// The cause in one sentence, without topic, partition and offset: whoever reports it adds them.
    pub message: String,
}
