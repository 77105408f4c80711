//! One task: a consumer, its lanes, and one database connection.

pub mod ledger;
pub mod machine;
pub mod writer;
