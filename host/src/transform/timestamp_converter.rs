//! TimestampConverter.
