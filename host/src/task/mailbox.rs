//! What reaches a task's thread: one queue, the only thing that it waits on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use super::committer::{Answer, Inquiry};
use super::compaction::Kept;
use super::keeper;
use super::machine::Event;
use super::swap::Order;
use crate::kafka::Waker;
use crate::record::{Lane, Topic};

/// What reaches the thread's queue.
pub(super) enum Message {
    /// The consumer has something to serve or read.
    Wake,
    /// From the committer.
    Answer(Answer),
    /// From a look-up.
    Starts(Event),
    /// What the broker says of the topics of lanes to claim, and of the logs that it has not been asked about.
    Described(Inquiry, Option<Kept>),
    /// What it says of topics that are being read.
    Seen(Vec<Topic>),
    /// Where the log of a silent lane ends, by the broker.
    Ends {
        /// The lane.
        lane: Lane,
        /// The epoch of the claim under which it was asked.
        epoch: i64,
        /// The offset after its last record.
        end: i64,
    },
    /// From whoever keeps checkpoints.
    Kept(keeper::Answer),
    /// About a chain that is to take over.
    Swap(Order),
    /// Finish and end.
    Drain,
}

/// A way to send by that others may keep and share. A task that has ended meanwhile does not listen any more.
pub(super) fn sender<T: 'static>(queue: &Sender<Message>, wrap: fn(T) -> Message) -> Box<dyn Fn(T) + Send + Sync> {
    let queue = queue.clone();
    Box::new(move |content| drop(queue.send(wrap(content))))
}

/// Wakes the thread, at most once until it looks.
pub(super) fn waker(queue: &Sender<Message>, woken: &Arc<AtomicBool>) -> Waker {
    let (queue, woken) = (queue.clone(), Arc::clone(woken));
    Arc::new(move || {
        if !woken.swap(true, Ordering::AcqRel) {
            drop(queue.send(Message::Wake));
        }
    })
}
