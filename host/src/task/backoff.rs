//! How long to wait between attempts, whoever makes them. Pure.

use std::time::Duration;

use crate::limits::{RETRY_DELAY_MAX, RETRY_DELAY_MIN};

/// Doubling waits.
#[derive(Debug)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Backoff(RETRY_DELAY_MIN)
    }
}

impl Backoff {
    /// How long to wait this time.
    pub fn wait(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (self.0 * 2).min(RETRY_DELAY_MAX);
        wait
    }
}
