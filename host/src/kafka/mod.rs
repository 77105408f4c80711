//! Everything that touches the Kafka client.
