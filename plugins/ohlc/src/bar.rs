//! One window of one key: the first, highest, lowest and last price by event time, and the volume.

use weir_plugin_sdk::exact::Sum;
use weir_plugin_sdk::state::{Reader, Stored};

/// What a row adds to the volume of its window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Amount {
    Whole(i64),
    Double(f64),
}

/// The volume of a window: nothing until a row has one.
#[derive(Clone, Debug, Default)]
pub(crate) enum Volume {
    #[default]
    None,
    /// Whole numbers, never beyond 64 bits.
    Whole(i64),
    /// Doubles, summed without loss and rounded once at the end.
    Exact(Sum),
}

/// A window with at least one observation; its default has none and is nothing that is stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bar {
    pub(crate) open: f64,
    pub(crate) high: f64,
    pub(crate) low: f64,
    pub(crate) close: f64,
    /// The event times of open and close in µs.
    open_us: i64,
    close_us: i64,
    /// Observations.
    pub(crate) count: u64,
    pub(crate) volume: Volume,
}

impl Bar {
    /// Whether the volume can take the amount.
    pub(crate) fn has_room(&self, amount: Option<Amount>) -> bool {
        match (&self.volume, amount) {
            (Volume::Whole(sum), Some(Amount::Whole(more))) => sum.checked_add(more).is_some(),
            _ => true,
        }
    }

    /// Takes an observation in; false, and nothing taken, where the volume has no room. Of equal event times the
    /// first in the order of rows opens and the last one closes.
    #[inline]
    pub(crate) fn add(&mut self, time_us: i64, price: f64, amount: Option<Amount>) -> bool {
        if !self.volume.add(amount) {
            return false;
        }
        if self.count == 0 {
            (self.open, self.high, self.low, self.close) = (price, price, price, price);
            (self.open_us, self.close_us) = (time_us, time_us);
        } else {
            self.high = self.high.max(price);
            self.low = self.low.min(price);
            if time_us < self.open_us {
                (self.open, self.open_us) = (price, time_us);
            }
            if time_us >= self.close_us {
                (self.close, self.close_us) = (price, time_us);
            }
        }
        self.count += 1;
        true
    }
}

impl Volume {
    #[inline]
    fn add(&mut self, amount: Option<Amount>) -> bool {
        match (&mut *self, amount) {
            (_, None) => {}
            (Self::Whole(sum), Some(Amount::Whole(more))) => match sum.checked_add(more) {
                Some(total) => *sum = total,
                None => return false,
            },
            (Self::Exact(sum), Some(Amount::Double(more))) => sum.add(more),
            (_, Some(Amount::Whole(first))) => *self = Self::Whole(first),
            (_, Some(Amount::Double(first))) => {
                let mut sum = Sum::default();
                sum.add(first);
                *self = Self::Exact(sum);
            }
        }
        true
    }
}

const NONE: u8 = 0;
const WHOLE: u8 = 1;
const EXACT: u8 = 2;

/// State version 1, little endian: `open high low close f64, open_us close_us i64, count u64`, then the volume:
/// `0` for none, `1` and `i64`, or `2` and the exact sum.
impl Stored for Bar {
    fn encode(&self, out: &mut Vec<u8>) {
        [self.open, self.high, self.low, self.close].encode(out);
        [self.open_us, self.close_us].encode(out);
        self.count.encode(out);
        match &self.volume {
            Volume::None => out.push(NONE),
            Volume::Whole(sum) => {
                out.push(WHOLE);
                sum.encode(out);
            }
            Volume::Exact(sum) => {
                out.push(EXACT);
                sum.encode(out);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let [open, high, low, close] = <[f64; 4]>::decode(reader)?;
        let [open_us, close_us] = <[i64; 2]>::decode(reader)?;
        let count = reader.u64()?;
        let volume = match reader.u8()? {
            NONE => Volume::None,
            WHOLE => Volume::Whole(reader.i64()?),
            EXACT => Volume::Exact(Sum::decode(reader)?),
            _ => return None,
        };
        let ordered = [open, close].into_iter().all(|price| (low..=high).contains(&price));
        (ordered && open_us <= close_us && count > 0).then_some(Self {
            open,
            high,
            low,
            close,
            open_us,
            close_us,
            count,
            volume,
        })
    }
}
