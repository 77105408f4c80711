//! Faults that a test switches on, to show that the simulation catches them. A real build has none of them: there the
//! question is answered by a constant.

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A manifest is written before its offset is committed.
    CountBeforeCommit,
    /// A COMMIT without an answer is taken for done.
    UnknownIsCommitted,
    /// A position that went back is taken for the one that was written.
    LostTailIsCommitted,
    /// A refused row is taken out without a decision.
    RefusalWithoutDecision,
    /// What an unknown outcome means for a segment that moves no offset is told by the offset.
    SilenceIsCommitted,
    /// Of which silences a checkpoint is plays no part.
    CheckpointsWithoutSilences,
}

/// Whether a fault is switched on.
#[cfg(not(test))]
#[inline]
pub const fn is_on(_: Bug) -> bool {
    false
}

#[cfg(test)]
pub use switch::{is_on, with};

#[cfg(test)]
mod switch {
    use super::Bug;
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether a fault is switched on for this thread.
    pub fn is_on(bug: Bug) -> bool {
        ON.get() == Some(bug)
    }

    /// Does something with a fault switched on.
    pub fn with<T>(bug: Bug, act: impl FnOnce() -> T) -> T {
        struct Off;
        impl Drop for Off {
            fn drop(&mut self) {
                ON.set(None);
            }
        }
        ON.set(Some(bug));
        let _off = Off;
        act()
    }
}
