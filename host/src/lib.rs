//! weir: a sink runtime between Kafka and TimescaleDB. The modules in the order of their walls, top down;
//! `ARCHITECTURE.md` follows one record through them.

pub mod command;
pub mod app;
pub mod rest;
pub mod worker;
pub mod task;

pub mod kafka;
pub mod convert;
pub mod transform;
pub mod guest;
pub mod sink;

pub mod state;
pub mod config;
pub mod record;

pub mod clock;
pub mod error;
pub mod limits;
pub mod metrics;
