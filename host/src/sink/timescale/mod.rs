//! The TimescaleDB and PostgreSQL sink.
