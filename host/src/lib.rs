//! weir: a sink runtime between Kafka and TimescaleDB. The modules in the order of their walls, top down;
//! `ARCHITECTURE.md` follows one record through them.

pub mod app;
pub mod command;
pub mod rest;
pub mod task;
pub mod worker;

pub mod convert;
pub mod guest;
pub mod kafka;
pub mod sink;
pub mod transform;

pub mod config;
pub mod record;
pub mod state;

pub mod clock;
pub mod error;
pub mod failpoint;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod watch;
