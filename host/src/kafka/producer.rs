//! A plain producer: what the demo and the benches fill topics with.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::failure;
use crate::error::Result;

/// Sends records and keeps nothing.
pub struct Producer {
    client: BaseProducer,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Producer")
    }
}

impl Producer {
    /// A producer with small linger and lz4, for `bootstrap_servers`.
    pub fn new(bootstrap_servers: &str) -> Result<Self> {
        let client = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            .set("linger.ms", "2")
            .set("queue.buffering.max.messages", "500000")
            .set("allow.auto.create.topics", "true")
            .create()
            .map_err(|e| failure("create a producer", &e))?;
        Ok(Producer { client })
    }

    /// Sends one record; waits while the client's queue is full. The partition is chosen by the key.
    pub fn send(&self, topic: &str, key: &[u8], value: &[u8], timestamp_ms: i64) -> Result<()> {
        loop {
            let record = BaseRecord::to(topic).key(key).payload(value).timestamp(timestamp_ms);
            match self.client.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.client.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(failure(&format!("send to {topic}"), &error)),
            }
        }
    }

    /// Serves delivery reports without waiting.
    pub fn serve(&self) {
        self.client.poll(Duration::ZERO);
    }

    /// Waits until everything sent has been acknowledged.
    pub fn flush(&self) -> Result<()> {
        self.client.flush(Duration::from_secs(30)).map_err(|e| failure("wait for the broker", &e))
    }
}
