//! A lane whose log no longer holds what it is to go on with: the task fails with what is gone, and with the command by
//! which an operator accepts that.

use std::sync::Arc;

use super::machine::Event;
use super::topics::recreated;
use super::{Message, Task};
use crate::error::{Error, Kind};
use crate::kafka::offsets::Lookup;
use crate::record::Lane;

impl Task {
    /// Whether an error says that a log does not hold what is to be read.
    pub(super) fn is_gap(error: &Error) -> bool {
        matches!(error.kind(), Kind::OffsetOutOfRange | Kind::LogTruncated)
    }

    /// Looks what the log of a lane still holds, and fails the task with what is gone.
    pub(super) fn explain(&self, lane: &Lane, error: Error) {
        let stands = self.machine.ledger.claim(lane).map_or(0, |claim| claim.next_offset);
        let unread = self.consumer.unread(lane).unwrap_or(stands);
        // What was read and is not committed has to be read again.
        let gone = Gone { pipeline: self.spec.pipeline.clone(), lane: lane.clone(), from: unread.min(stands), stands };
        let (of, names) = (lane.clone(), vec![Arc::clone(&lane.topic)]);
        let known = self.known(&lane.topic);
        self.ask_broker(
            move |lookup: &Lookup| Ok((lookup.ends(&of)?, lookup.topics(&names)?)),
            move |(ends, topics)| {
                // Another log under the same name ends elsewhere too.
                let anew = topics.iter().find_map(|topic| recreated(known.as_ref()?, topic));
                Message::Starts(Event::Failed(anew.unwrap_or_else(|| gone.told(&error, ends))))
            },
        );
    }

    /// The error of a replay that met another log than was read, with the way out.
    pub(super) fn with_way_out(&self, lane: &Lane, error: Error) -> Error {
        let slot = self.slots.get(lane).filter(|_| error.kind() == Kind::LogTruncated);
        let Some(slot) = slot else { return error };
        let (from, stands) = (slot.reads_from(), slot.claim.next_offset);
        Gone { pipeline: self.spec.pipeline.clone(), lane: lane.clone(), from, stands }.as_it_is(&error)
    }
}

/// What a lane can not go on with.
struct Gone {
    pipeline: String,
    lane: Lane,
    /// The first offset that is needed.
    from: i64,
    /// Where the sink stands; above `from` where the lane is replayed.
    stands: i64,
}

impl Gone {
    /// The sentence, by what the log holds from `low` to below `high`.
    fn told(&self, error: &Error, (low, high): (i64, i64)) -> Error {
        let Gone { lane, from, stands, .. } = self;
        if *from > high {
            let message = format!("the log of {lane} ends at offset {high}, but has been read up to {from}: {error}");
            return Error::new(Kind::LogTruncated, message);
        }
        if error.kind() == Kind::LogTruncated {
            return self.as_it_is(error);
        }
        if *from >= low {
            return error.clone();
        }
        let (last, command) = (low - 1, self.command(low));
        let needed = if from < stands {
            format!(
                "are gone, from which its state up to offset {stands} is rebuilt; to go on with the state as it was before them"
            )
        } else {
            "were deleted before they were read; to go on without them".to_owned()
        };
        let message = format!("records {from} to {last} of {lane} {needed}: {command}");
        Error::new(Kind::OffsetOutOfRange, message)
    }

    /// The sentence about a log that holds other records than those that were read.
    fn as_it_is(&self, error: &Error) -> Error {
        let message = format!(
            "{error}; to go on at offset {} with the log as it is{}: {}",
            self.stands,
            if self.from < self.stands { ", and the state as it was before the replay" } else { "" },
            self.command(self.stands)
        );
        Error::new(Kind::LogTruncated, message)
    }

    /// The command that accepts it.
    fn command(&self, to: i64) -> String {
        let Gone { pipeline, lane, from, .. } = self;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name = if pipeline.chars().all(is_plain) {
            pipeline.clone()
        } else {
            format!("'{}'", pipeline.replace('\'', "'\\''"))
        };
        format!("weir accept-gap {name} {lane} --from {from} --to {to}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: Kind, (from, stands): (i64, i64), ends: (i64, i64)) -> Error {
        let gone = Gone { pipeline: "it's mine".to_owned(), lane: Lane::new("t", 1), from, stands };
        gone.told(&Error::new(kind, "read t-1: no such offset"), ends)
    }

    #[test]
    fn what_is_gone_is_told_with_the_command_that_accepts_it() {
        let deleted = told(Kind::OffsetOutOfRange, (50, 50), (80, 100));
        assert_eq!(
            deleted.to_string(),
            "records 50 to 79 of t-1 were deleted before they were read; to go on without them: \
             weir accept-gap 'it'\\''s mine' t-1 --from 50 --to 80"
        );
        let state = told(Kind::OffsetOutOfRange, (40, 50), (80, 100)).to_string();
        assert!(
            state.contains("from which its state up to offset 50 is rebuilt") && state.contains("--from 40 --to 80")
        );
        let other = told(Kind::LogTruncated, (50, 50), (0, 100));
        assert!(
            other.to_string().ends_with("with the log as it is: weir accept-gap 'it'\\''s mine' t-1 --from 50 --to 50")
        );
        let shorter = told(Kind::OffsetOutOfRange, (50, 50), (0, 30));
        assert_eq!(shorter.kind(), Kind::LogTruncated);
        assert!(shorter.to_string().starts_with("the log of t-1 ends at offset 30, but has been read up to 50"));
        let passing = told(Kind::OffsetOutOfRange, (50, 50), (0, 100));
        assert_eq!(passing.to_string(), "read t-1: no such offset");
    }
}
