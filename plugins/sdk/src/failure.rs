//! A call that failed as a whole, and the numbers that the SDK itself gives to causes.

use std::fmt;

/// The cause number of a setting that the operator has to change.
pub const CODE_SETTING: u16 = 65_000;
/// The cause number of a column that is missing or of another type than the plan says.
pub const CODE_COLUMN: u16 = 65_001;
/// The cause number of output rows that do not fit together or do not fit the plan.
pub const CODE_OUTPUT: u16 = 65_002;
/// The cause number of state that cannot be written or read.
pub const CODE_STATE: u16 = 65_003;
/// The cause number of calls in an order that the interface does not allow.
pub const CODE_ORDER: u16 = 65_004;

/// A call that failed as a whole (WIT `failure`). The host drops the guest and rebuilds its lane from
/// the last good state; a single row that cannot be processed is a [`reject`](crate::Output::reject) instead.
///
/// Causes below 65 000 are the plugin's own; the SDK's are the `CODE_*` constants of this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The number of the cause, shown to operators.
    pub code: u16,
    /// True when the same call may succeed later without a change by the operator.
    pub retryable: bool,
    /// One sentence with the way out; the host keeps at most 1 024 bytes.
    pub message: String,
}

impl Failure {
    /// A failure that stays until somebody changes something.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Self { code, retryable: false, message: message.into() }
    }

    /// The same failure, marked as one that may pass by itself.
    #[must_use]
    pub fn retryable(self) -> Self {
        Self { retryable: true, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (code {})", self.message, self.code)
    }
}

impl std::error::Error for Failure {}

/// A row that the plugin cannot process (WIT `row-error`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The row of the batch, counted from 0.
    pub row: u32,
    /// The plugin's own number for the cause, shown to operators.
    pub code: u16,
    /// One sentence that names the field and the value; the host keeps at most 1 024 bytes.
    pub message: String,
}
