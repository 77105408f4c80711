//! Creating topics.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use super::{failure, kind_of};
use crate::error::{Error, Result};

/// Creates a topic with one replica.
pub async fn create_topic(bootstrap_servers: &str, topic: &str, partitions: i32) -> Result<()> {
    let doing = format!("create topic {topic}");
    let created: Result<AdminClient<DefaultClientContext>, _> =
        ClientConfig::new().set("bootstrap.servers", bootstrap_servers).create();
    let client = created.map_err(|e| failure(&doing, &e))?;
    let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let answers = client.create_topics([&wanted], &AdminOptions::new()).await.map_err(|e| failure(&doing, &e))?;
    match answers.into_iter().find_map(Result::err) {
        Some((_, code)) => Err(Error::caused(kind_of(code), doing, code)),
        None => Ok(()),
    }
}
