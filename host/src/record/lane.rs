//! A lane: one topic partition.

use std::fmt;
use std::sync::Arc;

/// One topic partition as a task sees it. Ordered by topic, then partition: the order in which a
/// transaction touches position rows, so that two writers cannot deadlock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
}

impl Lane {
    /// The lane of a topic's partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Lane { topic: topic.into(), partition }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
