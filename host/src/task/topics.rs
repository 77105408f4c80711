//! The topics of a task: known again before a lane of them is claimed, and looked at while they are read. An offset means
//! something in one log alone, and state is kept by partition; so a topic that was made again, and partitions that were
//! added, stop the task unless it was told to go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::committer::{Inquiry, Request};
use super::machine::Event;
use super::patience;
use super::{Message, Task};
use crate::config::pipeline::PartitionsAdded;
use crate::error::{Error, Kind, Result};
use crate::kafka::offsets::Lookup;
use crate::limits::TOPIC_CHECK_INTERVAL;
use crate::record::{Lane, Topic};
use crate::sink::ClaimRequest;

/// What is known of a task's topics.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// As they were when the pipeline first read them.
    topics: BTreeMap<Arc<str>, Topic>,
    /// Those whose logs the broker has been asked about.
    kept: BTreeSet<Arc<str>>,
    /// When the broker was asked about them, and whether it has not answered yet.
    looked_at: Duration,
    looking: bool,
}

impl Known {
    /// The broker has been asked about these logs.
    pub(super) fn are_kept(&mut self, names: Vec<Arc<str>>) {
        self.kept.extend(names);
    }
}

impl Task {
    /// A topic as it was when the pipeline first read it.
    pub(super) fn known(&self, topic: &str) -> Option<Topic> {
        self.known.topics.get(topic).cloned()
    }

    /// Has the topics of lanes described that are to be claimed.
    pub(super) fn describe(&self, asked: u64, requests: Vec<ClaimRequest>) {
        let names: BTreeSet<Arc<str>> = requests.iter().map(|request| Arc::clone(&request.lane.topic)).collect();
        let names: Vec<Arc<str>> = names.into_iter().collect();
        let unasked: Vec<Arc<str>> = names.iter().filter(|name| !self.known.kept.contains(*name)).cloned().collect();
        let asks = self.spec.records_stay_ms().is_some() && !unasked.is_empty();
        let question = move |lookup: &Lookup| {
            let topics = lookup.topics(&names)?;
            Ok((topics, asks.then(|| (unasked.clone(), lookup.kept(&unasked)))))
        };
        self.ask_broker(question, move |(mut topics, kept)| {
            for topic in &mut topics {
                count_asked(topic, &requests);
            }
            Message::Described(Inquiry { asked, requests, topics }, kept)
        });
    }

    /// Claims the lanes when their topics are those that were read first.
    pub(super) fn recognised(&mut self, inquiry: Inquiry, noted: Vec<Topic>) -> Result<()> {
        let Inquiry { asked, requests, topics } = inquiry;
        for (topic, noted) in topics.iter().zip(noted) {
            if let Some(error) = recreated(&noted, topic) {
                return self.on(Event::Failed(error));
            }
            self.known.topics.insert(Arc::clone(&noted.name), noted);
        }
        self.send(Request::Claim { asked, requests });
        Ok(())
    }

    /// Asks from time to time whether topics were made again while they are read: the client would go on in the new log.
    pub(super) fn look_again(&mut self, now: Duration) {
        if self.known.looking
            || self.known.topics.is_empty()
            || now.saturating_sub(self.known.looked_at) < TOPIC_CHECK_INTERVAL
        {
            return;
        }
        (self.known.looked_at, self.known.looking) = (now, true);
        let names: Vec<Arc<str>> = self.known.topics.keys().cloned().collect();
        self.ask_broker(move |lookup| lookup.topics(&names), Message::Seen);
    }

    /// Takes what the broker says of topics that are being read.
    pub(super) fn seen(&mut self, topics: &[Topic]) -> Result<()> {
        self.known.looking = false;
        match topics.iter().find_map(|topic| recreated(self.known.topics.get(&topic.name)?, topic)) {
            Some(error) => self.on(Event::Failed(error)),
            None => Ok(()),
        }
    }

    /// Asks where lanes begin that the sink has no position of, unless they were added and must not be read.
    pub(super) fn find_starts(&mut self, asked: u64, lanes: Vec<Lane>) -> Result<()> {
        let is_added =
            |lane: &Lane| self.known.topics.get(&lane.topic).is_some_and(|topic| lane.partition >= topic.partitions);
        let added: BTreeSet<Lane> = lanes.iter().filter(|lane| is_added(lane)).cloned().collect();
        if let Some(first) = added.first() {
            let known = self.known.topics.get(&first.topic).map_or(0, |topic| topic.partitions);
            if self.spec.partitions_added == PartitionsAdded::Fail {
                let partitions = added.iter().filter(|lane| lane.topic == first.topic).map(|lane| lane.partition);
                return self.on(Event::Failed(grown(&first.topic, known, &partitions.collect::<Vec<_>>())));
            }
            let (pipeline, task) = (&self.spec.pipeline, self.spec.number);
            tracing::info!(pipeline, task, ?added, known, "partitions were added: read from their first record on");
        }
        let reset = self.spec.offset_reset;
        let question = move |lookup: &Lookup| lookup.starts(&lanes, reset, |lane| added.contains(lane));
        self.ask_broker(question, move |starts| Message::Starts(Event::Starts { asked, starts }));
        Ok(())
    }

    /// Asks the broker on another thread, again and again until it answers.
    pub(super) fn ask_broker<T: Send + 'static>(
        &self,
        question: impl Fn(&Lookup) -> Result<T> + Send + Sync + 'static,
        answer: impl FnOnce(T) -> Message + Send + 'static,
    ) {
        let (lookup, queue) = (self.consumer.lookup(), self.queue.clone());
        let waiting = self.spec.waiting_for(super::Party::Kafka);
        let mut abandoned = self.abandon.subscribe();
        self.runtime.spawn(async move {
            let found = patience::found(move || question(&lookup), &waiting);
            tokio::select! {
                found = found => {
                    let message = found.map_or_else(|error| Message::Starts(Event::Failed(error)), answer);
                    // A task that has ended meanwhile does not listen any more.
                    let _ = queue.send(message);
                }
                _ = abandoned.wait_for(|abandoned| *abandoned) => {}
            }
        });
    }
}

/// Counts the partitions that the group gives as well: the broker that describes a topic may not have heard of all yet,
/// and those that are there from the beginning are none that were added.
fn count_asked(topic: &mut Topic, requests: &[ClaimRequest]) {
    let given = requests.iter().filter(|request| request.lane.topic == topic.name).map(|r| r.lane.partition + 1).max();
    topic.partitions = topic.partitions.max(given.unwrap_or_default());
}

/// The sentence about a topic that is not the one that was read; None where it may be.
pub(super) fn recreated(known: &Topic, found: &Topic) -> Option<Error> {
    if found.may_be(known) {
        return None;
    }
    let id = |topic: &Topic| topic.id.clone().unwrap_or_default();
    let message = format!(
        "topic {known} was deleted and made again since this pipeline first read it: its id was {}, and is {}",
        id(known),
        id(found)
    );
    Some(Error::new(Kind::TopicRecreated, message))
}

/// The sentence about partitions that were not there.
fn grown(topic: &str, known: i32, added: &[i32]) -> Error {
    let named = added.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
    let (word, were) = if added.len() == 1 { ("partition", "was") } else { ("partitions", "were") };
    let message =
        format!("{word} {named} of topic {topic} {were} added after this pipeline first read it, when it had {known}");
    Error::new(Kind::PartitionsAdded, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Generation;

    #[test]
    fn a_partition_that_the_group_gives_at_first_was_not_added() {
        let request = |topic, partition| ClaimRequest {
            lane: Lane::new(topic, partition),
            start: None,
            stateful: true,
            generation: Generation([0; 32]),
        };
        let requests = [request("t", 5), request("t", 1), request("u", 9)];
        for (described, counted) in [(4, 6), (8, 8)] {
            let mut topic = Topic { name: Arc::from("t"), id: None, partitions: described };
            count_asked(&mut topic, &requests);
            assert_eq!(topic.partitions, counted);
        }
    }

    #[test]
    fn one_partition_and_several_are_told() {
        let sentence = grown("t", 2, &[2]).to_string();
        assert_eq!(sentence, "partition 2 of topic t was added after this pipeline first read it, when it had 2");
        let sentence = grown("t", 2, &[2, 3]).to_string();
        assert_eq!(sentence, "partitions 2, 3 of topic t were added after this pipeline first read it, when it had 2");
    }
}
