//! How often something was taken from a task lately, and when it is worth taking back. Pure.

use std::time::Duration;

use crate::limits::{FENCE_DELAY_MIN, FENCES_FORGOTTEN, FENCES_MAX, RETRY_DELAY_MAX};

/// The times that one thing was taken. What went well between two of them says nothing: two workers that take something
/// from each other both do well in between.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fences {
    count: u32,
    last_ms: u64,
}

impl Fences {
    /// How often, since it was last long ago.
    pub(super) fn count(self) -> u32 {
        self.count
    }

    /// Counts one more; the count begins anew when the last one is long ago. How long to wait before it is taken back,
    /// longer each time; None: it was taken more than [`FENCES_MAX`] times.
    pub(super) fn another(&mut self, now_ms: u64) -> Option<Duration> {
        if now_ms.saturating_sub(self.last_ms) >= FENCES_FORGOTTEN.as_millis() as u64 {
            self.count = 0;
        }
        *self = Fences { count: self.count + 1, last_ms: now_ms };
        let wait = FENCE_DELAY_MIN.saturating_mul(1 << (self.count - 1).min(16));
        (self.count <= FENCES_MAX).then_some(wait.min(RETRY_DELAY_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_too_often_is_given_up_unless_it_was_long_ago() {
        let mut fences = Fences::default();
        let waits: Vec<_> = (0..=FENCES_MAX).map(|at| fences.another(u64::from(at) * 1_000)).collect();
        assert_eq!(waits.first(), Some(&Some(FENCE_DELAY_MIN)));
        assert_eq!(waits.get(1), Some(&Some(FENCE_DELAY_MIN * 2)));
        assert_eq!(waits.last(), Some(&None));
        let later = u64::from(FENCES_MAX) * 1_000 + FENCES_FORGOTTEN.as_millis() as u64;
        assert_eq!(fences.another(later), Some(FENCE_DELAY_MIN));
    }
}
