//! Compacted topics under a chain with state. What a lane's state is rebuilt from must still be in the log, and compaction
//! takes records away in its midst; so such a topic is only read where its records stay long enough.

use std::sync::Arc;

use super::committer::{Inquiry, Request};
use super::machine::Event;
use super::{SpecParts, Task};
use crate::error::{Error, Kind, Result};
use crate::kafka::compaction::Compaction;

/// Checkpoint intervals for which records must stay. A lane goes on from its newest checkpoint, and where that one is
/// damaged from one of the two before it; the rest is the time in which a worker that is gone has to come back. What is
/// gone all the same is told by the counts at the end of the replay.
pub const INTERVALS_KEPT: u64 = 10;

/// What the broker says of topics whose logs have not been asked for yet: one answer per name.
pub(super) type Kept = (Vec<Arc<str>>, Result<Vec<Compaction>>);

impl SpecParts {
    /// How long the records of a topic must stay, in milliseconds; None = there is no state to rebuild.
    pub(super) fn records_stay_ms(&self) -> Option<u64> {
        self.checkpoint_ms.map(|ms| ms.saturating_mul(INTERVALS_KEPT))
    }
}

impl Task {
    /// Takes what the broker says of the topics of lanes to claim.
    pub(super) fn described(&mut self, inquiry: Inquiry, kept: Option<Kept>) -> Result<()> {
        if let Some((names, kept)) = kept {
            match kept {
                Ok(kept) => {
                    let stay_ms = self.spec.records_stay_ms().unwrap_or_default();
                    let refusal = names.iter().zip(kept).find_map(|(name, kept)| refusal(name, kept, stay_ms));
                    if let Some(error) = refusal {
                        return self.on(Event::Failed(error));
                    }
                }
                // Nobody says that they are compacted; the right to ask is not needed for anything else.
                Err(error) => {
                    let (pipeline, task) = (&self.spec.pipeline, self.spec.number);
                    tracing::warn!(pipeline, task, topics = ?names, "it is not known whether topics are compacted: {error}");
                }
            }
            self.known.are_kept(names);
        }
        self.send(Request::Recognise(inquiry));
        Ok(())
    }
}

/// The sentence about a topic whose records go too early.
fn refusal(topic: &str, kept: Compaction, stay_ms: u64) -> Option<Error> {
    let Compaction::After(lag_ms) = kept else { return None };
    let message = format!(
        "topic {topic} is compacted when its records are {lag_ms} ms old (`min.compaction.lag.ms`), but state is rebuilt \
         from them, for which they must stay {stay_ms} ms, {INTERVALS_KEPT} times `checkpoint.interval.ms`"
    );
    (lag_ms < stay_ms).then(|| Error::new(Kind::TopicCompacted, message))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]
    use super::*;

    #[test]
    fn a_topic_that_is_compacted_too_early_is_refused_with_both_times() {
        assert!(refusal("t", Compaction::None, 100_000).is_none());
        assert!(refusal("t", Compaction::After(100_000), 100_000).is_none());
        let error = refusal("t", Compaction::After(99_999), 100_000).unwrap();
        assert_eq!(error.kind(), Kind::TopicCompacted);
        assert_eq!(
            error.to_string(),
            "topic t is compacted when its records are 99999 ms old (`min.compaction.lag.ms`), but state is rebuilt from \
             them, for which they must stay 100000 ms, 10 times `checkpoint.interval.ms`"
        );
    }
}
