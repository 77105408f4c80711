//! Gaps: parts of a lane's log that are gone, and without which an operator has decided to go on. Pure.
//!
//! A gap may lie ahead of the position, where its records were never read; then the position moves behind it, and the
//! state goes on as it was. Or it lies below, where its records have their rows, but the state cannot be rebuilt from
//! them any more; then the state goes on without them.

/// Offsets `from..to` of a lane that a replay passes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The first offset in it.
    pub from: i64,
    /// The first offset behind it.
    pub to: i64,
    /// Whether its records have been read and counted before they were given up.
    pub counted: bool,
}

/// The names of both kinds in the `decision` table.
const UNREAD: &str = "gap";
const COUNTED: &str = "forgotten";

impl Gap {
    /// Its name in the `decision` table.
    pub fn name(&self) -> &'static str {
        if self.counted { COUNTED } else { UNREAD }
    }

    /// The gap of a row of the `decision` table; None where the row is of another kind.
    pub fn parse(name: &str, from: i64, to: Option<i64>) -> Option<Self> {
        let counted = name == COUNTED;
        (counted || name == UNREAD).then_some(Gap { from, to: to?, counted })
    }

    /// What the acceptance of `from..to` comes to in a lane that stands at `next_offset`, and whose log begins at `first`:
    /// its gaps, and where it stands then. An empty gap at the position accepts the log as it is. Errors: the sentence,
    /// when it cannot be accepted; records that can still be read are never passed over.
    pub fn accept(next_offset: i64, first: i64, from: i64, to: i64) -> Result<(Vec<Gap>, i64), String> {
        if from < 0 || to < from || (to == from && from != next_offset) {
            return Err(format!("offsets {from} to {to} are no gap"));
        }
        if from > next_offset {
            return Err(format!(
                "the position is {next_offset}, so that offsets {next_offset} to {} would be passed over as well: write --from {next_offset}",
                from - 1
            ));
        }
        let there = first.max(next_offset);
        if to > there {
            return Err(format!(
                "the log still holds what follows offset {there}, which would be passed over: write --to {there}"
            ));
        }
        let split = to.min(next_offset);
        let counted = (from < split).then_some(Gap { from, to: split, counted: true });
        let unread = (to > next_offset || from == next_offset).then_some(Gap { from: split, to, counted: false });
        Ok((counted.into_iter().chain(unread).collect(), to.max(next_offset)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(from: i64, to: i64, counted: bool) -> Gap {
        Gap { from, to, counted }
    }

    #[test]
    fn what_was_read_is_forgotten_and_what_was_not_is_passed_over() {
        assert_eq!(Gap::accept(50, 80, 50, 80), Ok((vec![gap(50, 80, false)], 80)));
        assert_eq!(Gap::accept(50, 80, 40, 80), Ok((vec![gap(40, 50, true), gap(50, 80, false)], 80)));
        assert_eq!(Gap::accept(50, 80, 30, 40), Ok((vec![gap(30, 40, true)], 50)));
        assert_eq!(Gap::accept(50, 80, 30, 50), Ok((vec![gap(30, 50, true)], 50)));
        assert_eq!(Gap::accept(50, 80, 50, 50), Ok((vec![gap(50, 50, false)], 50)), "the log as it is");
    }

    #[test]
    fn what_is_no_gap_is_refused() {
        for (from, to) in [(-1, 5), (60, 50), (40, 40), (60, 60)] {
            assert!(Gap::accept(50, 80, from, to).is_err(), "{from} to {to}");
        }
        let sentence = Gap::accept(50, 80, 60, 80).unwrap_err();
        assert!(sentence.contains("offsets 50 to 59 would be passed over as well: write --from 50"), "{sentence}");
    }

    #[test]
    fn what_can_still_be_read_is_not_passed_over() {
        for (first, to, instead) in [(80, 81, 80), (0, 60, 50), (50, 51, 50)] {
            let sentence = Gap::accept(50, first, 50, to).unwrap_err();
            assert!(sentence.ends_with(&format!("write --to {instead}")), "{sentence}");
        }
        assert!(Gap::accept(50, 0, 20, 50).is_ok(), "only the state goes without them, their rows are there");
    }

    #[test]
    fn each_kind_comes_back_from_its_row() {
        for kept in [gap(3, 9, false), gap(3, 9, true)] {
            assert_eq!(Gap::parse(kept.name(), 3, Some(9)), Some(kept));
        }
        assert_eq!(Gap::parse("rejected", 3, None), None);
    }
}
