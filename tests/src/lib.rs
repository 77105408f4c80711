//! The rig: what the suites use to drive real parts. A suite starts the real `weir` binary against the servers that
//! `tests/run` started, feeds it through Kafka, cuts its connections, and asks the database what arrived.

pub mod broker;
pub mod db;
pub mod door;
pub mod environment;
pub mod eventually;
pub mod kafka;
pub mod link;
pub mod logs;
pub mod ohlc_cases;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod rest;
pub mod sma_cases;
pub mod versions;
pub mod wire;
pub mod worker;
