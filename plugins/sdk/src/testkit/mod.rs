//! Tests for plugin authors, natively and without a host: records from literals, batches cut wherever the
//! test wants, and the laws every plugin has to keep.
//!
//! - [`law_of_cuts`]: where the host cuts batches changes nothing.
//! - [`law_of_restarts`]: checkpoints, failed checkpoints and restores into new guests change nothing.
//! - [`law_of_increments`]: a chain of incremental checkpoints holds what a full one does.
//!
//! ```
//! use weir_plugin_sdk::testkit::{Kit, law_of_cuts};
//! use weir_plugin_sdk::{Batch, Description, Failure, Kind, Output, Plan, Plugin, Settings, record};
//!
//! struct Double;
//!
//! impl Plugin for Double {
//!     fn describe() -> Description {
//!         Description::new("double", "1.0.0", "Doubles the price.")
//!     }
//!
//!     fn configure(_: &Settings) -> Result<(Self, Plan), Failure> {
//!         Ok((Self, Plan::new().input("price", Kind::Float64).output("double", Kind::Float64).carry_all()))
//!     }
//!
//!     fn process(&mut self, batch: &Batch<'_>, output: &mut Output) -> Result<(), Failure> {
//!         for row in batch.rows() {
//!             let doubled = row.float64("price")?.map(|price| 2.0 * price);
//!             output.row(row.index()).set("double", doubled)?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let records = [record! { "price": 1.5 }, record! {}];
//! let outcome = Kit::<Double>::new(&[])?.process(&records)?;
//! assert_eq!(outcome.rows[0], record! { "double": 3.0 });
//! assert_eq!(outcome.rows[1], record! {});
//! law_of_cuts::<Double>(&[], &records, 1, 100)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chance;
mod kit;
mod laws;
mod record;
mod store;

pub use chance::Chance;
pub use kit::{Kit, Outcome};
pub use laws::{Broken, law_of_cuts, law_of_increments, law_of_restarts};
pub use record::{Datum, Record};
pub use store::Store;
