//! How old records are when they are committed, told of a sample of them. Pure.

use std::time::Duration;

use crate::limits::{AGES_MAX, AGES_PER_S};
use crate::record::origin::NO_TIMESTAMP;

/// Takes about [`AGES_PER_S`] ages in a second, of every so-manieth record whatever flush it is in: what waits for a
/// slow commit comes in one large flush, and must count as much as if it had come in small ones.
#[derive(Debug)]
pub struct Ages {
    /// Of so many records one is taken.
    stride: usize,
    /// Records before the next one that is taken.
    skip: usize,
    /// Records since the stride was set.
    seen: usize,
    since: Duration,
}

impl Default for Ages {
    fn default() -> Self {
        Ages { stride: 1, skip: 0, seen: 0, since: Duration::ZERO }
    }
}

impl Ages {
    /// The ages in µs of the records taken from one flush, at most [`AGES_MAX`], at `wall_us` since the epoch; `runs`
    /// are the records' timestamps and `now` rises from call to call.
    pub fn of<'a>(&mut self, runs: impl Iterator<Item = &'a [i64]> + Clone, wall_us: i64, now: Duration) -> Vec<i64> {
        let records: usize = runs.clone().map(<[i64]>::len).sum();
        let stride = self.stride.max(records.div_ceil(AGES_MAX));
        let mut ages = Vec::with_capacity(records / stride + 1);
        let mut skip = self.skip.min(stride - 1);
        for run in runs {
            let taken = run.iter().skip(skip).step_by(stride).filter(|&&at| at != NO_TIMESTAMP);
            ages.extend(taken.map(|at| (wall_us - at).max(0)));
            // Records of the next run before the one that is taken.
            let beyond = run.len().saturating_sub(skip) % stride;
            skip = if run.len() < skip { skip - run.len() } else { (stride - beyond) % stride };
        }
        self.skip = skip;
        self.count(records, now);
        ages
    }

    /// Sets the stride once a second, by the records of the second before.
    fn count(&mut self, records: usize, now: Duration) {
        self.seen += records;
        let time = now.saturating_sub(self.since);
        if time >= Duration::from_secs(1) {
            let wanted = time.as_secs_f64() * AGES_PER_S as f64;
            self.stride = (self.seen as f64 / wanted).ceil().max(1.0) as usize;
            (self.seen, self.since) = (0, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: i64 = 1_000_000;

    fn ages(ages: &mut Ages, sizes: &[usize], second: u64) -> usize {
        let runs: Vec<Vec<i64>> = sizes.iter().map(|&size| vec![WALL - 7; size]).collect();
        let taken = ages.of(runs.iter().map(Vec::as_slice), WALL, Duration::from_secs(second));
        assert!(taken.iter().all(|&age| age == 7));
        taken.len()
    }

    #[test]
    fn a_record_counts_the_same_in_small_flushes_and_in_large_ones() {
        let mut one = Ages::default();
        ages(&mut one, &[10_000], 1);
        assert_eq!(one.stride, 10_000 / AGES_PER_S);
        let small: usize = (0..1_000).map(|_| ages(&mut one, &[3, 1, 0, 6], 1)).sum();
        let large = ages(&mut one, &[1, 4_000, 5_999], 1);
        assert_eq!((small, large), (AGES_PER_S, AGES_PER_S));
    }

    #[test]
    fn where_there_are_few_all_are_taken_and_of_a_flood_no_more_than_the_limit() {
        let mut one = Ages::default();
        assert_eq!(ages(&mut one, &[1, 2], 1), 3);
        let flood = ages(&mut one, &[AGES_MAX * 10, AGES_MAX / 2], 1);
        assert!((AGES_MAX / 2..=AGES_MAX).contains(&flood), "{flood} are taken");
    }

    #[test]
    fn records_without_a_timestamp_have_no_age_and_none_is_below_zero() {
        let runs = [vec![NO_TIMESTAMP, WALL + 5, WALL - 5]];
        let taken = Ages::default().of(runs.iter().map(Vec::as_slice), WALL, Duration::ZERO);
        assert_eq!(taken, [0, 5]);
    }
}
