//! What a weir plugin is written against: rows or columns in, rows out, and state that tracks its own
//! changes. Authors never meet the WebAssembly boundary; the same crate compiles natively for its tests.

mod batch;
pub mod builder;
mod checkpoint;
mod column;
mod describe;
pub mod exact;
mod export;
mod failure;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod glue;
pub mod guest;
mod json;
pub mod log;
pub mod metric;
mod output;
mod output_column;
mod plan;
mod plugin;
mod setting;
mod settings;
pub mod state;
#[cfg(not(target_arch = "wasm32"))]
pub mod testkit;
pub mod view;

pub use batch::{Batch, Row};
pub use column::{Cell, Column, Decimal, Nulls, Slices, Values};
pub use describe::{Description, Limits, StateVersions};
#[doc(hidden)]
pub use export::{is_plugin, is_stateful};
pub use failure::{CODE_COLUMN, CODE_ORDER, CODE_OUTPUT, CODE_SETTING, CODE_STATE, Failure, RowError};
pub use output::{Emitted, Origin, Origins, Output, Parts, Rejected, RowWriter};
pub use output_column::{OutputColumn, Value};
pub use plan::{Carry, EventTime, Field, KEY, Kind, OFFSET, PARTITION, Plan, TIMESTAMP, TOPIC, WATERMARK};
pub use plugin::{Plugin, Stateful};
pub use setting::{Check, Importance, Setting, SettingType, Width};
pub use settings::{Settings, duration_us, lateness_us};
