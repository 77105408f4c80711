//! The watermark of a stage: how far the event times of the rows that it was given have come, and which rows claim
//! to be further than they can be.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::temporal_conversions::timestamp_us_to_datetime;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, Int64Array};
use arrow_buffer::ScalarBuffer;

use super::Rejection;
use crate::guest::EventTime;
use crate::record::{Column, Kind, Path};

/// The running maximum of event time over the rows that the stage was given, less the allowed lateness.
#[derive(Debug)]
pub(super) struct Watermark {
    path: Path,
    newest: Option<i64>,
    lateness_us: u64,
    future_max_us: Option<u64>,
}

impl Watermark {
    pub(super) fn new(time: &EventTime) -> Watermark {
        let EventTime { path, lateness_us, future_max_us } = time.clone();
        Watermark { path, newest: None, lateness_us, future_max_us }
    }

    /// The newest event time (µs) of the rows that the stage was given.
    pub(super) fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// Goes on from a checkpoint.
    pub(super) fn set_newest(&mut self, newest_us: Option<i64>) {
        self.newest = newest_us;
    }

    /// Where it would be after a silence of so many microseconds.
    pub(super) fn after(&self, idle_us: u64) -> Option<i64> {
        Some(self.newest?.saturating_add_unsigned(idle_us).saturating_sub_unsigned(self.lateness_us))
    }

    /// Moves it without a row; false where it is there already.
    pub(super) fn advance(&mut self, watermark_us: i64) -> bool {
        let newest = Some(watermark_us.saturating_add_unsigned(self.lateness_us));
        let moves = newest > self.newest;
        self.newest = self.newest.max(newest);
        moves
    }

    /// The watermark before each row (µs), null until a row with an event time was seen; moves past the rows.
    pub(super) fn pass(&mut self, times: &Column) -> Column {
        let times = times.array.as_primitive::<TimestampMicrosecondType>();
        let before: Int64Array = times
            .iter()
            .map(|time| {
                let before = self.newest.map(|newest| newest.saturating_sub_unsigned(self.lateness_us));
                self.newest = self.newest.max(time);
                before
            })
            .collect();
        Column::of(Kind::Int64, Arc::new(before))
    }

    /// The rows among `passed` (None = all) that are further ahead of the newest event time before them than the plan
    /// allows. One wrong clock would otherwise make every later row a late one. They leave no trace in the watermark.
    pub(super) fn too_early(&self, times: &Column, passed: Option<&ScalarBuffer<u32>>) -> Vec<Rejection> {
        let Some(future_max_us) = self.future_max_us else {
            return Vec::new();
        };
        let times = times.array.as_primitive::<TimestampMicrosecondType>();
        let mut newest = self.newest;
        let mut early = Vec::new();
        let mut look = |row: u32| {
            let index = row as usize;
            let time = times.is_valid(index).then(|| times.values().get(index).copied()).flatten();
            match (time, newest) {
                (Some(time), Some(before)) if time > before && time.abs_diff(before) > future_max_us => {
                    let message = Some(self.too_far(time, before, future_max_us));
                    early.push(Rejection { row, field: Some(self.path.to_string()), message });
                }
                _ => newest = newest.max(time),
            }
        };
        match passed {
            Some(rows) => rows.iter().copied().for_each(&mut look),
            None => (0..times.len() as u32).for_each(&mut look),
        }
        early
    }

    fn too_far(&self, time: i64, before: i64, future_max_us: u64) -> String {
        format!(
            "event time {} is {}, which is more than {} s ahead of the newest before it, {}; mend the record, or raise the \
             transform's bound on future event times",
            self.path,
            shown(time),
            future_max_us / 1_000_000,
            shown(before),
        )
    }
}

/// A time as ISO 8601 has it; as a number where no calendar reaches.
fn shown(time_us: i64) -> String {
    timestamp_us_to_datetime(time_us).map_or_else(|| format!("{time_us} µs"), |time| format!("{time:?}Z"))
}
