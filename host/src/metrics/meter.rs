//! The figures that guests declare. The host hands a [`Meters`] to every guest it builds for the same stage of a
//! lane, so that a figure survives a rebuild of the guest, and reads it whenever metrics are asked for.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits;

/// How the values of a figure combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeterKind {
    /// Only grows.
    Counter,
    /// The last value counts.
    Gauge,
}

/// One figure of a stage.
pub struct Meter {
    /// The plugin's name for it: `[a-z][a-z0-9_]*`, at most 64 bytes. The host adds its prefix and labels.
    pub name: String,
    /// How values combine.
    pub kind: MeterKind,
    /// One line for operators.
    pub help: String,
    bits: AtomicU64,
}

impl Meter {
    /// The value now.
    pub fn value(&self) -> f64 {
        f64::from_bits(self.bits.load(Ordering::Relaxed))
    }

    /// Adds to a counter or sets a gauge. A counter ignores what is negative or no number.
    pub(crate) fn update(&self, value: f64) {
        match self.kind {
            MeterKind::Gauge => self.bits.store(value.to_bits(), Ordering::Relaxed),
            MeterKind::Counter if value >= 0.0 && value.is_finite() => {
                // Never fails: the closure always gives a value.
                let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
                let _ = self.bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
            }
            MeterKind::Counter => {}
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("name", &self.name).field("value", &self.value()).finish_non_exhaustive()
    }
}

/// The figures of one stage of one lane.
#[derive(Debug, Default)]
pub struct Meters {
    declared: Mutex<Vec<Arc<Meter>>>,
}

impl Meters {
    /// The figures declared so far, in order.
    pub fn all(&self) -> Vec<Arc<Meter>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the gauges: what they told of has left this worker. Counters go on where the lane comes back.
    pub(super) fn forget_gauges(&self) {
        let mut declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        declared.retain(|meter| meter.kind == MeterKind::Counter);
    }

    /// Declares a figure, or finds the one of that name that an earlier guest has declared.
    /// The error says what is wrong with the name, the kind or the number of figures.
    pub(crate) fn declare(&self, name: &str, kind: MeterKind, help: &str) -> Result<Arc<Meter>, String> {
        let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let rest = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !first || !rest || name.len() > 64 {
            return Err(format!("declares a metric named `{name}`; a name is [a-z][a-z0-9_]* of at most 64 bytes"));
        }
        let mut declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = declared.iter().find(|meter| meter.name == name) {
            return match meter.kind == kind {
                true => Ok(Arc::clone(meter)),
                false => Err(format!("declares the metric `{name}` as a counter and as a gauge")),
            };
        }
        if declared.len() >= limits::STAGE_METRICS_MAX {
            let max = limits::STAGE_METRICS_MAX;
            return Err(format!("declares another metric of a stage whose guests have declared {max} already"));
        }
        let bits = AtomicU64::new(0f64.to_bits());
        let meter = Arc::new(Meter { name: name.to_owned(), kind, help: help.to_owned(), bits });
        declared.push(Arc::clone(&meter));
        Ok(meter)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp, reason = "a test may fail by panic, and the sums are exact")]

    use super::*;

    #[test]
    fn counters_grow_gauges_follow_and_both_survive_a_second_declaration() {
        let meters = Meters::default();
        let late = meters.declare("late_rows", MeterKind::Counter, "Rows too late.").unwrap();
        let keys = meters.declare("keys", MeterKind::Gauge, "Keys held.").unwrap();
        for value in [2.0, -1.0, f64::NAN, f64::INFINITY, 0.5] {
            late.update(value);
        }
        keys.update(7.0);
        keys.update(3.0);
        let again = meters.declare("late_rows", MeterKind::Counter, "").unwrap();
        again.update(1.0);
        assert_eq!((late.value(), keys.value(), meters.all().len()), (3.5, 3.0, 2));
    }

    #[test]
    fn names_kinds_and_number_are_checked() {
        let meters = Meters::default();
        for bad in ["", "Late", "9lives", "a-b", &"a".repeat(65)] {
            assert!(meters.declare(bad, MeterKind::Gauge, "").unwrap_err().contains("[a-z][a-z0-9_]*"), "{bad}");
        }
        for i in 0..limits::STAGE_METRICS_MAX {
            meters.declare(&format!("m{i}"), MeterKind::Gauge, "").unwrap();
        }
        assert!(meters.declare("m0", MeterKind::Counter, "").unwrap_err().contains("as a counter and as a gauge"));
        assert!(meters.declare("one_more", MeterKind::Gauge, "").unwrap_err().contains("have declared 1000 already"));
    }
}
