//! The embedded broker of the demo: librdkafka's mock cluster, inside this process, data in memory only.
//!
//! It keeps about 5 MB per partition and drops the oldest without a word, so whoever produces into it paces
//! itself by what has been committed.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::failure;
use crate::error::Result;

/// A broker that lives as long as this value.
pub struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EmbeddedBroker")
    }
}

impl EmbeddedBroker {
    /// Starts a broker with one topic.
    pub fn start(topic: &str, partitions: i32) -> Result<Self> {
        let cluster = MockCluster::new(1).map_err(|e| failure("start the embedded broker", &e))?;
        cluster.create_topic(topic, partitions, 1).map_err(|e| failure(&format!("create topic {topic}"), &e))?;
        Ok(EmbeddedBroker { cluster })
    }

    /// Where it listens.
    pub fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}
