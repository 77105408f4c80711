//! Patience with what a task depends on: calls under a deadline, repeated while another attempt may cure them, and work
//! that ends at once when nobody wants it any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::backoff::Backoff;
use crate::error::{Error, Kind, Policy, Result};

/// Told while a call is repeated (with the cause), and when it goes on (None).
pub type Waiting = Box<dyn Fn(Option<&Error>) + Send + Sync>;

/// The attempts at one call.
pub struct Patience<'a> {
    waiting: &'a Waiting,
    /// How long one attempt may take.
    limit: Duration,
    backoff: Backoff,
}

impl std::fmt::Debug for Patience<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patience").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl<'a> Patience<'a> {
    /// No attempt yet.
    pub fn new(waiting: &'a Waiting, limit: Duration) -> Self {
        Patience { waiting, limit, backoff: Backoff::default() }
    }

    /// Makes an attempt. None: it failed in a way that another may cure, and the time for that has come.
    pub async fn attempt<T>(&mut self, call: impl Future<Output = Result<T>>) -> Option<Result<T>> {
        match answered(self.limit, call).await {
            Err(error) if error.policy() == Policy::Retry => (self.waiting)(Some(&error)),
            answer => {
                (self.waiting)(None);
                return Some(answer);
            }
        }
        tokio::time::sleep(self.backoff.wait()).await;
        None
    }
}

/// Asks a question that blocks, on a thread for such, again and again until its answer is not one to retry. The asked
/// keeps its own deadline.
pub async fn found<T, F>(question: F, waiting: &Waiting) -> Result<T>
where
    T: Send + 'static,
    F: Fn() -> Result<T> + Send + Sync + 'static,
{
    let question = Arc::new(question);
    let mut patience = Patience::new(waiting, Duration::MAX);
    loop {
        let asked = Arc::clone(&question);
        let answer = tokio::task::spawn_blocking(move || asked());
        let answer = async { answer.await.map_err(|e| Error::caused(Kind::Internal, "ask the broker", e))? };
        if let Some(found) = patience.attempt(answer).await {
            return found;
        }
    }
}

/// A call under a deadline. One that is given up takes its connection with it; the next opens another.
pub async fn answered<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(unanswered(limit)))
}

/// The error of a call that was given up.
pub fn unanswered(limit: Duration) -> Error {
    Error::new(Kind::DatabaseUnreachable, format!("the database did not answer within {limit:?}"))
}

/// Works until it is done, or `abandon` turns true: then the work ends where it waits.
pub async fn unless(mut abandon: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ = abandon.wait_for(|abandoned| *abandoned) => {}
    }
}
