//! A lane: one topic partition.

use std::fmt;
use std::str::FromStr;
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

impl FromStr for Lane {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once('-').filter(|(topic, _)| !topic.is_empty());
        let lane = parts.and_then(|(topic, number)| Some(Lane::new(topic, number.parse::<u16>().ok()?.into())));
        lane.ok_or_else(|| format!("`{text}` is no lane: write TOPIC-PARTITION"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_read_as_it_is_shown() {
        let lane = Lane::new("ticks-of-2026", 12);
        assert_eq!(lane.to_string().parse(), Ok(lane));
        for text in ["", "ticks", "ticks-", "-3", "ticks-x", "ticks--"] {
            assert!(text.parse::<Lane>().is_err(), "{text}");
        }
    }
}
