//! Whether a topic is compacted, and how soon: what the broker says of the topic's settings.
//!
//! Asked with a client of its own, since the safe client library offers the question on no consumer; that is rare, once
//! for each topic of a task.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

use super::consumer::GroupContext;
use super::failure;
use super::topics::any_broker;
use crate::error::{Error, Kind, Result};

/// How a topic's log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compaction {
    /// Every record stays until it is deleted by age or size.
    None,
    /// Older records of a key may go when they are so old, in milliseconds.
    After(u64),
}

/// Asks how the logs of topics are kept; one answer per name. Waits for the broker. `consumer` is already connected and
/// knows the brokers; `config` has the credentials.
pub(super) fn describe(
    consumer: &BaseConsumer<GroupContext>,
    config: &ClientConfig,
    names: &[Arc<str>],
    limit: Duration,
) -> Result<Vec<Compaction>> {
    let asking = "ask for the settings of topics";
    let broker = any_broker(consumer, names, limit)?;
    let client: AdminClient<DefaultClientContext> = config.create().map_err(|e| failure(asking, &e))?;
    let topics: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(limit)).broker_id(broker);
    let runtime = tokio::runtime::Handle::try_current().map_err(|e| Error::caused(Kind::Internal, asking, e))?;
    let answers = runtime.block_on(client.describe_configs(&topics, &options)).map_err(|e| failure(asking, &e))?;
    let read = |answer: Result<ConfigResource, _>| {
        answer.map(|topic| read(&topic)).map_err(|code| failure(asking, &KafkaError::AdminOp(code)))
    };
    answers.into_iter().map(read).collect()
}

fn read(topic: &ConfigResource) -> Compaction {
    let value = |name| topic.get(name).and_then(|entry| entry.value.as_deref()).unwrap_or_default();
    if value("cleanup.policy").split(',').any(|policy| policy.trim() == "compact") {
        Compaction::After(value("min.compaction.lag.ms").parse().unwrap_or_default())
    } else {
        Compaction::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::admin::{ConfigEntry, ConfigSource, OwnedResourceSpecifier};

    fn topic(settings: &[(&str, &str)]) -> ConfigResource {
        let entry = |(name, value): &(&str, &str)| ConfigEntry {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
            source: ConfigSource::DynamicTopic,
            is_read_only: false,
            is_default: false,
            is_sensitive: false,
        };
        let entries = settings.iter().map(entry).collect();
        ConfigResource { specifier: OwnedResourceSpecifier::Topic("t".to_owned()), entries }
    }

    #[test]
    fn a_topic_is_compacted_where_its_policy_says_so_among_others() {
        let lag = ("min.compaction.lag.ms", "60000");
        for (policy, kept) in [
            ("delete", Compaction::None),
            ("compact", Compaction::After(60_000)),
            ("compact,delete", Compaction::After(60_000)),
            ("delete, compact", Compaction::After(60_000)),
        ] {
            assert_eq!(read(&topic(&[("cleanup.policy", policy), lag])), kept, "{policy}");
        }
        assert_eq!(read(&topic(&[("cleanup.policy", "compact")])), Compaction::After(0));
        assert_eq!(read(&topic(&[])), Compaction::None, "a broker that names no policy");
    }
}
