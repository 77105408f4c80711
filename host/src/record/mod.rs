//! Records as columns: the data that moves through a task. Pure: no I/O, no clock, no async.

pub mod batch;
pub mod cast;
pub mod column;
pub mod field;
pub mod flush;
pub mod gap;
pub mod lane;
pub mod origin;
pub mod row_error;
pub mod topic;

pub use batch::{Batch, Decoded, FieldSource, Rows};
pub use column::Column;
pub use field::{Carry, Field, Kind, Path, Want};
pub use flush::{Claim, Decision, DecisionKind, Flush, PositionRow, Segment};
pub use gap::Gap;
pub use lane::Lane;
pub use origin::{Origin, Payloads};
pub use row_error::{RowError, Stage};
pub use topic::Topic;
