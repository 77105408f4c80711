//! The REST surface: Kafka Connect's shapes.
