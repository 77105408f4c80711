//! Waiting for what another process does: look again until it holds or the time is up. Nothing else in the suites waits,
//! but for instants that are drawn by seed.

use std::future::pending;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::{MissedTickBehavior, interval, timeout_at};

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Calls `look` until it returns a value; an error means "not yet".
///
/// # Errors
/// After `limit`: a sentence with `what` and the last error of `look`.
#[allow(clippy::disallowed_methods, reason = "tests live in real time")]
pub async fn eventually<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match look().await {
            Ok(value) => return Ok(value),
            Err(not_yet) if started.elapsed() >= limit => {
                return Err(not_yet).with_context(|| format!("{what} did not come to hold within {limit:?}"));
            }
            Err(_) => {}
        }
    }
}

/// Waits for an instant: for what is to happen at any time, such as a kill, and not for what takes some time.
pub async fn reached(instant: Instant) {
    timeout_at(instant.into(), pending::<()>()).await.unwrap_or_default();
}
