//! What weir tells the Kafka client, and why.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;

/// What one task's consumer needs to know.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// `host:port,…`.
    pub bootstrap_servers: String,
    /// The consumer group.
    pub group: String,
    /// Stable name of this member, so that a killed worker's task is back at once (KIP-345).
    pub instance: String,
    /// `connector-consumer-<pipeline>-<task>`, as Connect names it.
    pub client_id: String,
    /// The topics to subscribe to.
    pub topics: Vec<String>,
    /// `consumer.override.*`; they win over everything here but what exactness needs.
    pub overrides: BTreeMap<String, String>,
    /// Whether the consumer tells that it has reached the end of a lane.
    pub tells_ends: bool,
    /// Bytes that prefetched records may take in this task.
    pub fetch_bytes_max: usize,
}

/// What an operator's override may not change: exactness rests on it.
const FIXED: [(&str, &str); 4] = [
    // The start is always given by the position; where it is gone, the lane stops instead of skipping.
    ("auto.offset.reset", "error"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // Aborted transactions must never reach the sink.
    ("isolation.level", "read_committed"),
];

/// Estimated memory of a prefetched record beside its payload: librdkafka's own bookkeeping.
pub const RECORD_OVERHEAD_BYTES: usize = 256;

impl ConsumerSettings {
    /// The client's configuration.
    pub(super) fn client_config(&self) -> ClientConfig {
        // Prefetch stops when the queue holds its part, so a last response comes on top of it. Responses are small beside
        // the queue, since each is held whole until the last of its records is done with.
        let response_bytes = (self.fetch_bytes_max / 8).clamp(1 << 18, 16 << 20);
        let queue_kib = (self.fetch_bytes_max.saturating_sub(response_bytes) / 1024).clamp(256, 65_536);
        // Whichever comes first; the overhead dominates for small records.
        let records = (self.fetch_bytes_max / (2 * RECORD_OVERHEAD_BYTES)).clamp(1_000, 200_000);
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("group.id", &self.group)
            .set("group.instance.id", &self.instance)
            .set("client.id", &self.client_id)
            .set("partition.assignment.strategy", "cooperative-sticky")
            // A fast consumer must not sleep a second when its queue was full for a moment (the default).
            .set("fetch.queue.backoff.ms", "2")
            .set("fetch.wait.max.ms", "100")
            .set("queued.min.messages", records.to_string())
            .set("queued.max.messages.kbytes", queue_kib.to_string())
            .set("fetch.max.bytes", response_bytes.to_string())
            .set("fetch.message.max.bytes", (response_bytes.min(1 << 20)).to_string())
            // Limits what is produced, but the client takes no smaller response than this; larger records come all the same.
            .set("message.max.bytes", (response_bytes.min(1_000_000)).to_string())
            .set("reconnect.backoff.max.ms", "2000")
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("allow.auto.create.topics", "false");
        for (key, value) in &self.overrides {
            config.set(key, value);
        }
        for (key, value) in FIXED {
            config.set(key, value);
        }
        config.set("enable.partition.eof", self.tells_ends.to_string());
        if config.get("group.protocol") == Some("consumer") {
            // The broker assigns (KIP-848); these belong to the classic protocol and are refused beside it.
            config.remove("partition.assignment.strategy");
            config.remove("session.timeout.ms");
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(overrides: &[(&str, &str)]) -> ConsumerSettings {
        ConsumerSettings {
            bootstrap_servers: "localhost:9092".into(),
            group: "connect-x".into(),
            instance: "w-x-0".into(),
            client_id: "connector-consumer-x-0".into(),
            topics: vec!["t".into()],
            overrides: overrides.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            tells_ends: false,
            fetch_bytes_max: 32 << 20,
        }
    }

    #[test]
    fn overrides_win_but_for_what_exactness_needs() {
        let config = settings(&[("fetch.wait.max.ms", "7"), ("isolation.level", "read_uncommitted")]).client_config();
        assert_eq!(config.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(config.get("isolation.level"), Some("read_committed"));
        assert_eq!(config.get("auto.offset.reset"), Some("error"));
    }

    #[test]
    fn the_client_takes_every_share_of_the_memory() {
        for fetch_bytes_max in [0, 1 << 20, 6 << 20, 8 << 20, 64 << 20, usize::MAX] {
            let settings = ConsumerSettings { fetch_bytes_max, ..settings(&[]) };
            let made = settings.client_config().create::<rdkafka::consumer::BaseConsumer>();
            assert!(made.is_ok(), "{fetch_bytes_max} bytes: {:?}", made.err());
        }
    }

    #[test]
    fn the_consumer_protocol_takes_no_assignor() {
        let config = settings(&[("group.protocol", "consumer")]).client_config();
        assert_eq!(config.get("partition.assignment.strategy"), None);
    }
}
