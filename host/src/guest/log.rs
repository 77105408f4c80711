//! The log lines of a guest: bounded per second, muted while its lane replays, and remembered until the call
//! ends, because a panic reports itself here before it traps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::name::{GuestName, presentable_within};
use crate::limits;

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// One guest's log.
#[derive(Debug)]
pub(super) struct GuestLog {
    name: GuestName,
    ticks: Arc<AtomicU64>,
    muted: bool,
    last_error: Option<String>,
    /// The second that `lines` counts in, by the engine's ticks.
    second: u64,
    lines: u32,
    lines_max: u32,
    line_bytes_max: usize,
    withheld: u32,
}

impl GuestLog {
    /// An empty log that takes so many lines in a second, of so many bytes; `ticks` counts [`limits::GUEST_TICK`]s.
    pub(super) fn new(name: GuestName, ticks: Arc<AtomicU64>, lines_max: u32, line_bytes_max: usize) -> Self {
        let (second, lines, withheld) = (0, 0, 0);
        GuestLog { name, ticks, muted: false, last_error: None, second, lines, lines_max, line_bytes_max, withheld }
    }

    pub(super) fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// A call begins: what an earlier one said is not about it.
    pub(super) fn begin_call(&mut self) {
        self.last_error = None;
        self.turn();
    }

    /// The last error line of the running call: the panic's text where it trapped.
    pub(super) fn take_last_error(&mut self) -> Option<String> {
        self.last_error.take()
    }

    /// Takes one line of the guest.
    pub(super) fn write(&mut self, level: Level, message: &str) {
        let line = presentable_within(message, self.line_bytes_max);
        if !self.muted && self.admit() {
            self.show(level, &line);
        }
        if level == Level::Error {
            self.last_error = Some(line);
        }
    }

    /// Where another second has begun, counts anew.
    fn turn(&mut self) {
        let ticks_per_second = 1_000 / limits::GUEST_TICK.as_millis().max(1) as u64;
        let second = self.ticks.load(Ordering::Relaxed) / ticks_per_second.max(1);
        if second != self.second {
            self.tell_withheld();
            (self.second, self.lines, self.withheld) = (second, 0, 0);
        }
    }

    fn tell_withheld(&self) {
        if self.withheld > 0 {
            tracing::warn!(target: "guest", plugin = %self.name, alias = self.name.alias(), lines = self.withheld, "log lines withheld: more than {} in a second (plugin.limits.log.lines)", self.lines_max);
        }
    }

    /// Whether this second has room for one more line.
    fn admit(&mut self) -> bool {
        self.turn();
        let admitted = self.lines < self.lines_max;
        if admitted {
            self.lines += 1;
        } else {
            self.withheld = self.withheld.saturating_add(1);
        }
        admitted
    }

    fn show(&self, level: Level, line: &str) {
        let (plugin, alias) = (&self.name, self.name.alias());
        match level {
            Level::Debug => tracing::debug!(target: "guest", %plugin, alias, "{line}"),
            Level::Info => tracing::info!(target: "guest", %plugin, alias, "{line}"),
            Level::Warn => tracing::warn!(target: "guest", %plugin, alias, "{line}"),
            Level::Error => tracing::error!(target: "guest", %plugin, alias, "{line}"),
        }
    }
}

/// What the last second withheld is told as well.
impl Drop for GuestLog {
    fn drop(&mut self) {
        self.tell_withheld();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (GuestLog, Arc<AtomicU64>) {
        let ticks = Arc::new(AtomicU64::new(0));
        (GuestLog::new(GuestName::unknown("x.wasm"), Arc::clone(&ticks), 5, 60), ticks)
    }

    #[test]
    fn a_second_holds_a_bounded_number_of_lines() {
        let (mut log, ticks) = log();
        let admitted = (0..12).filter(|_| log.admit()).count();
        assert_eq!((admitted, log.withheld), (5, 7));
        ticks.store(100, Ordering::Relaxed);
        assert!(log.admit() && log.withheld == 0);
    }

    #[test]
    fn the_last_error_line_is_kept_for_the_trap_even_while_muted() {
        let (mut log, _) = log();
        log.mute(true);
        log.write(Level::Error, "panicked at lib.rs:1:\nwindow is empty");
        log.write(Level::Info, "something else");
        assert_eq!(log.lines, 0, "muted lines are not shown");
        assert_eq!(log.take_last_error().as_deref(), Some("panicked at lib.rs:1: window is empty"));
        log.write(Level::Error, &"x".repeat(100));
        assert_eq!(log.take_last_error().map(|line| line.len()), Some(60), "what is too long is cut");
        log.write(Level::Error, "old");
        log.begin_call();
        assert_eq!(log.take_last_error(), None);
    }
}
