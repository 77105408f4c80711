//! Forgetting by event time: which keys have not been seen for longer than the time to live.
//!
//! The clock is the running maximum of the event times that a table was told. A key is stamped with the
//! clock whenever it is seen, so stamps rise in the order of the rows and do not depend on how late a
//! row's own time is. A key is forgotten once the clock has passed its stamp by more than the time to
//! live: exactly so when it is looked up or when room is needed, and otherwise no later than a 64th of
//! the time to live afterwards, when the bucket of its stamp is swept. All of it is decided by the
//! sequence of rows alone.

use super::slab::Segments;

/// Buckets per time to live.
const BUCKETS: u64 = 64;
/// No record.
const NONE: u32 = u32::MAX;

/// When a record was last seen, and its neighbours in the order of buckets.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: i64,
    older: u32,
    newer: u32,
}

impl Default for Seen {
    fn default() -> Self {
        Self { at: i64::MIN, older: NONE, newer: NONE }
    }
}

/// The clock, and the records in the order in which their buckets will be swept.
#[derive(Debug)]
pub(super) struct Expiry {
    ttl: u64,
    /// Time that one bucket spans.
    width: i64,
    now: Option<i64>,
    /// The bucket that the clock is in: its first and its last time.
    bucket_from: i64,
    bucket_to: i64,
    seen: Segments<Seen>,
    oldest: u32,
    newest: u32,
    /// Nothing can be swept while the clock is not above this.
    idle_until: i64,
}

impl Expiry {
    /// Forgets what was not seen for more than `ttl`.
    pub(super) fn new(ttl: u64) -> Self {
        let width = (ttl / BUCKETS).max(1);
        Self {
            ttl,
            width: i64::try_from(width).unwrap_or(i64::MAX),
            now: None,
            bucket_from: i64::MIN,
            bucket_to: i64::MIN,
            seen: Segments::default(),
            oldest: NONE,
            newest: NONE,
            idle_until: i64::MIN,
        }
    }

    pub(super) fn now(&self) -> Option<i64> {
        self.now
    }

    /// Moves the clock up to `time`, if that is later. Returns whether it moved.
    #[inline]
    pub(super) fn advance(&mut self, time: i64) -> bool {
        match self.now {
            Some(now) if time <= now => return false,
            Some(_) => {}
            None => self.restamp(time),
        }
        self.advance_to(time);
        true
    }

    #[inline]
    fn advance_to(&mut self, time: i64) {
        self.now = Some(time);
        if time > self.bucket_to {
            let from = i128::from(self.bucket(time)) * i128::from(self.width);
            self.bucket_from = i64::try_from(from).unwrap_or(i64::MIN);
            self.bucket_to = i64::try_from(from + i128::from(self.width) - 1).unwrap_or(i64::MAX);
        }
    }

    /// Stamps all records that came before there was a clock.
    #[cold]
    fn restamp(&mut self, at: i64) {
        let mut number = self.oldest;
        while let Some(seen) = self.seen.get_mut(number) {
            seen.at = at;
            number = seen.newer;
        }
    }

    /// Whether the clock is where something may be swept.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.now.is_some_and(|now| now > self.idle_until)
    }

    /// The next record whose whole bucket is past its time; the caller removes it.
    pub(super) fn due(&mut self) -> Option<u32> {
        let (now, oldest) = (self.now?, self.oldest);
        let Some(seen) = self.seen.get(oldest) else {
            self.idle_until = now;
            return None;
        };
        let last = i128::from(self.bucket(seen.at)) * i128::from(self.width) + i128::from(self.width) - 1;
        let until = last + i128::from(self.ttl);
        self.idle_until = i64::try_from(until).unwrap_or(if until < 0 { i64::MIN } else { i64::MAX });
        (i128::from(now) > until).then_some(oldest)
    }

    /// Records past their time that are not due yet, because others of their bucket are not.
    pub(super) fn early(&self) -> Vec<u32> {
        let Some(first) = self.seen.get(self.oldest).map(|seen| self.bucket(seen.at)) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut number = self.oldest;
        while let Some(seen) = self.seen.get(number).filter(|seen| self.bucket(seen.at) == first) {
            if self.is_expired(number) {
                found.push(number);
            }
            number = seen.newer;
        }
        found
    }

    /// Whether the record was not seen for longer than the time to live.
    #[inline]
    pub(super) fn is_expired(&self, number: u32) -> bool {
        match (self.now, self.seen.get(number)) {
            (Some(now), Some(seen)) => now > seen.at && now.abs_diff(seen.at) > self.ttl,
            _ => false,
        }
    }

    fn bucket(&self, at: i64) -> i64 {
        at.div_euclid(self.width)
    }

    /// When the record was last seen.
    pub(super) fn seen_at(&self, number: u32) -> i64 {
        self.seen.get(number).map_or(i64::MIN, |seen| seen.at)
    }

    /// Stamps a record that is there.
    #[inline]
    pub(super) fn touch(&mut self, number: u32) {
        let now = self.now.unwrap_or(i64::MIN);
        let Some(seen) = self.seen.get_mut(number) else {
            return;
        };
        let former = std::mem::replace(&mut seen.at, now);
        if former < self.bucket_from {
            self.unlink(number);
            self.link(number);
        }
    }

    /// Takes a new record in, stamped with the clock.
    pub(super) fn insert(&mut self, number: u32) {
        let now = self.now.unwrap_or(i64::MIN);
        if let Some(seen) = self.seen.get_or_make(number) {
            seen.at = now;
            self.link(number);
        }
    }

    /// Gives a restored record its stamp; [`restored`](Self::restored) has to follow.
    pub(super) fn restore(&mut self, number: u32, at: Option<i64>) {
        if let Some(seen) = self.seen.get_or_make(number) {
            seen.at = at.unwrap_or(i64::MIN);
        }
    }

    /// Ends a restore: the clock, and all records, to be ordered by their stamps. Records without a stamp
    /// (the time to live was set anew) count as seen when the clock next moves, or stands now.
    pub(super) fn restored(&mut self, now: Option<i64>, numbers: impl Iterator<Item = u32>) {
        let stamped = |number| match self.seen_at(number) {
            i64::MIN => (now.unwrap_or(i64::MIN), number),
            at => (at, number),
        };
        let mut order: Vec<(i64, u32)> = numbers.map(stamped).collect();
        order.sort_unstable();
        for (at, number) in order {
            if let Some(seen) = self.seen.get_mut(number) {
                seen.at = at;
                self.link(number);
            }
        }
        if let Some(now) = now {
            self.advance_to(now);
        }
    }

    /// Puts a record at the newest end.
    fn link(&mut self, number: u32) {
        let older = std::mem::replace(&mut self.newest, number);
        if let Some(seen) = self.seen.get_mut(number) {
            (seen.older, seen.newer) = (older, NONE);
        }
        match self.seen.get_mut(older) {
            Some(seen) => seen.newer = number,
            None => self.oldest = number,
        }
    }

    fn unlink(&mut self, number: u32) {
        let Some(Seen { older, newer, .. }) = self.seen.get(number).copied() else {
            return;
        };
        match self.seen.get_mut(older) {
            Some(seen) => seen.newer = newer,
            None => self.oldest = newer,
        }
        match self.seen.get_mut(newer) {
            Some(seen) => seen.older = older,
            None => self.newest = older,
        }
    }

    /// Takes a record out.
    pub(super) fn remove(&mut self, number: u32) {
        self.unlink(number);
        if let Some(seen) = self.seen.get_mut(number) {
            *seen = Seen::default();
        }
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.seen.bytes()
    }
}
