//! Windows of time: the rows of a key in (t - W, t], in the order of their event times.
//!
//! Slots are sorted by time; of equal times the one that arrived first comes first. Besides the rows of the
//! newest window, the older ones are kept that the window of a late row may still need: all within
//! W + lateness of the newest event time.

use crate::slot::{observation, word};
use weir_plugin_sdk::exact::Sum;
use weir_plugin_sdk::state::{Reader, Stored, Window};

/// What a key holds beside its slots (observation, event time in µs).
#[derive(Debug, Default)]
pub(crate) struct Timed {
    /// The sum of the window that ends with the newest event time.
    sum: Sum,
    /// The newest event time in µs, of rows with and without an observation; none before the first row.
    newest: Option<i64>,
    /// The first slot of that window; older ones are kept for late rows.
    first: u32,
}

/// Window and lateness in µs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) window_us: u64,
    pub(crate) lateness_us: u64,
}

/// The window that ends with a row.
#[derive(Debug)]
pub(crate) enum Covered<'a> {
    /// That of the newest event time.
    Newest(&'a Sum),
    /// That of a late row.
    Earlier(Sum),
    /// The row is older than the lateness allows: it has none.
    TooLate,
}

impl Stored for Timed {
    fn encode(&self, out: &mut Vec<u8>) {
        self.newest.encode(out);
        self.first.encode(out);
        self.sum.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let newest = Option::decode(reader)?;
        let first = reader.u32()?;
        Some(Self { newest, first, sum: Sum::decode(reader)? })
    }
}

/// Takes a row in and tells the window that ends with it.
#[inline]
pub(crate) fn step<'a>(
    window: &'a mut Window<'_, Timed, 2>,
    reach: Reach,
    time: i64,
    value: Option<f64>,
) -> Covered<'a> {
    match window.value().newest {
        Some(newest) if time < newest => late(window, reach, (newest, time), value),
        _ => {
            in_order(window, reach, time, value);
            Covered::Newest(&window.value().sum)
        }
    }
}

#[inline]
fn in_order(window: &mut Window<'_, Timed, 2>, reach: Reach, time: i64, value: Option<f64>) {
    window.value_mut().newest = Some(time);
    if let Some(value) = value {
        window.push([word(Some(value)), time as u64]);
        window.value_mut().sum.add(value);
    }
    let mut first = window.value().first;
    while let Some(slot) = window.get(first)
        && age(time, slot) >= reach.window_us
    {
        if let Some(gone) = observed(slot) {
            window.value_mut().sum.remove(gone);
        }
        first += 1;
    }
    let kept_us = reach.window_us.saturating_add(reach.lateness_us);
    while first > 0
        && let Some(slot) = window.get(0)
        && age(time, slot) >= kept_us
    {
        window.pop_oldest();
        first -= 1;
    }
    window.value_mut().first = first;
}

/// A row older than the newest of its key, at `time`.
#[cold]
fn late<'a>(
    window: &mut Window<'_, Timed, 2>,
    reach: Reach,
    (newest, time): (i64, i64),
    value: Option<f64>,
) -> Covered<'a> {
    if newest.abs_diff(time) > reach.lateness_us {
        return Covered::TooLate;
    }
    let mut place = window.len();
    while let Some(before) = place.checked_sub(1)
        && window.get(before).is_some_and(|slot| slot_time(slot) > time)
    {
        place = before;
    }
    let mut sum = earlier(window, reach, place, time);
    if let Some(value) = value {
        window.insert(place, [word(Some(value)), time as u64]);
        let held = window.value_mut();
        if newest.abs_diff(time) < reach.window_us {
            held.sum.add(value);
        } else {
            held.first += 1;
        }
        sum.add(value);
    }
    Covered::Earlier(sum)
}

/// The sum of the slots before `place` in the window that ends at `time`. From the newest window what is
/// later than `place` is taken away and what is earlier than its first slot comes in, so that the cost is
/// the distance from the newest.
fn earlier(window: &Window<'_, Timed, 2>, reach: Reach, place: u32, time: i64) -> Sum {
    let held = window.value();
    let (mut sum, from) = if place > held.first {
        let mut sum = held.sum.clone();
        let later = (place..window.len()).filter_map(|index| window.get(index));
        later.filter_map(observed).for_each(|value| sum.remove(value));
        (sum, held.first)
    } else {
        (Sum::default(), place)
    };
    let before = (0..from).rev().filter_map(|index| window.get(index));
    let inside = before.take_while(|slot| age(time, *slot) < reach.window_us);
    inside.filter_map(observed).for_each(|value| sum.add(value));
    sum
}

fn observed([word, _]: [u64; 2]) -> Option<f64> {
    observation(word)
}

#[inline]
fn slot_time([_, time]: [u64; 2]) -> i64 {
    time as i64
}

/// How much older the slot is than `time`, which is not before it, in µs.
#[inline]
fn age(time: i64, slot: [u64; 2]) -> u64 {
    time.abs_diff(slot_time(slot))
}
