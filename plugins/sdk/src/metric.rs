//! A plugin's own figures: on the host's `/metrics` inside a component, through [`value`] in native tests.

/// A figure that only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter(u32);

/// A figure whose last value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge(u32);

/// How the values of a metric combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Combine {
    Add,
    Set,
}

impl Counter {
    /// Declares a counter; only inside [`configure`](crate::Plugin::configure). The name is
    /// `[a-z][a-z0-9_]*` of at most 64 bytes; the host adds its prefix and labels.
    pub fn declare(name: &str, help: &str) -> Self {
        Self(channel::declare(name, Combine::Add, help))
    }

    /// Adds to the counter. Call it once per batch rather than once per row: every call leaves the guest.
    pub fn add(self, amount: f64) {
        channel::record(self.0, amount);
    }
}

impl Gauge {
    /// Declares a gauge, under the rules of [`Counter::declare`].
    pub fn declare(name: &str, help: &str) -> Self {
        Self(channel::declare(name, Combine::Set, help))
    }

    /// Sets the gauge. Call it once per batch rather than once per row: every call leaves the guest.
    pub fn set(self, value: f64) {
        channel::record(self.0, value);
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub use channel::value;

#[cfg(target_arch = "wasm32")]
use crate::glue::metric as channel;

/// Natively, figures are kept per thread for whoever tests the plugin.
#[cfg(not(target_arch = "wasm32"))]
mod channel {
    use super::Combine;
    use std::cell::RefCell;

    thread_local! {
        static METRICS: RefCell<Vec<(String, Combine, f64)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn declare(name: &str, combine: Combine, _help: &str) -> u32 {
        METRICS.with_borrow_mut(|metrics| {
            metrics.push((name.to_owned(), combine, 0.0));
            metrics.len() as u32 - 1
        })
    }

    pub(super) fn record(id: u32, amount: f64) {
        METRICS.with_borrow_mut(|metrics| match metrics.get_mut(id as usize) {
            Some((_, Combine::Add, held)) => *held += amount,
            Some((_, Combine::Set, held)) => *held = amount,
            None => {}
        });
    }

    /// The value of the metric that this thread declared last under `name` (native builds only).
    pub fn value(name: &str) -> Option<f64> {
        METRICS.with_borrow(|metrics| metrics.iter().rev().find(|(held, ..)| held == name).map(|(.., value)| *value))
    }
}
