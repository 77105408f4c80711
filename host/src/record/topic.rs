//! A topic as its broker describes it, and as a pipeline found it when it read it first.

use std::fmt;
use std::sync::Arc;

/// What a topic is known again by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id, which a topic made again under the same name does not share (KIP-516); None = the broker tells none.
    pub id: Option<String>,
    /// Its number of partitions.
    pub partitions: i32,
}

impl Topic {
    /// Whether `other` may be the same topic: not where both have ids, and these differ.
    pub fn may_be(&self, other: &Topic) -> bool {
        self.name == other.name && (self.id.is_none() || other.id.is_none() || self.id == other.id)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_another_where_both_ids_are_known_and_differ() {
        let topic = |id: Option<&str>| Topic { name: Arc::from("t"), id: id.map(str::to_owned), partitions: 1 };
        assert!(topic(Some("a")).may_be(&topic(Some("a"))));
        assert!(topic(None).may_be(&topic(Some("a"))) && topic(Some("a")).may_be(&topic(None)));
        assert!(!topic(Some("a")).may_be(&topic(Some("b"))));
    }
}
