//! What an unknown outcome means, once the position row has been read back. Pure.

use crate::record::{Claim, PositionRow};

/// What the row says about a segment whose transaction may or may not have been committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was not committed: send the same bytes again.
    SendAgain,
    /// It was committed.
    Committed,
    /// The database went back in time; the sink now stands here.
    LostTail {
        /// Where the sink stands; None = it has no row at all.
        next_offset: Option<i64>,
    },
    /// Somebody else holds the lane.
    Fenced {
        /// The other worker.
        owner: String,
    },
    /// None of these can be: a defect, or somebody edited the table.
    Halt(String),
}

/// Judges a segment `[from, to)` with so many advances by silence, written under `claim`, by its position row. The row was
/// read after every transaction that might still hold it had ended, so there is no "in progress".
pub fn judge(claim: &Claim, from: i64, to: i64, idles: i64, row: Option<&PositionRow>) -> Verdict {
    let Some(row) = row else { return Verdict::LostTail { next_offset: None } };
    let lost = Verdict::LostTail { next_offset: Some(row.next_offset) };
    if row.token == claim.token && row.epoch == claim.epoch {
        // A segment of a silence moves no offset: there the count of silences tells.
        let (before, after) = ((from, claim.idles), (to, claim.idles + idles));
        return match (row.next_offset, row.idles) {
            at if at == before => Verdict::SendAgain,
            at if at == after => Verdict::Committed,
            at if at < before => lost,
            (at, idles) => Verdict::Halt(format!(
                "the position is {at} after {idles} silences, neither {from} after {} nor {to} after {}, under this \
                 worker's own claim",
                before.1, after.1
            )),
        };
    }
    if row.epoch < claim.epoch {
        // Epochs only grow, so the database went back in time; whose claim that was does not matter.
        return lost;
    }
    if row.token == claim.token {
        let epochs = (row.epoch, claim.epoch);
        return Verdict::Halt(format!("the position has epoch {}, under the token of epoch {}", epochs.0, epochs.1));
    }
    Verdict::Fenced { owner: row.owner.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Lane;
    use uuid::Uuid;

    const MINE: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn claim() -> Claim {
        Claim {
            lane: Lane::new("t", 0),
            epoch: 5,
            token: MINE,
            next_offset: 10,
            gaps: Vec::new(),
            leader_epoch: None,
            start_offset: 0,
            records: 0,
            rows: 0,
            idles: 3,
            rewrite_until: None,
            decisions: vec![],
        }
    }

    #[test]
    fn every_combination_of_epoch_token_and_offset_has_its_verdict() {
        let lost = |at| Verdict::LostTail { next_offset: Some(at) };
        let fenced = || Verdict::Fenced { owner: "w2".to_owned() };
        let foreign = |at| {
            let sentence = "neither 10 after 3 nor 20 after 3, under this worker's own claim";
            Verdict::Halt(format!("the position is {at} after 3 silences, {sentence}"))
        };
        let future = || Verdict::Halt("the position has epoch 6, under the token of epoch 5".to_owned());
        // Offsets: below from, from, between, to, beyond to.
        let offsets = [7, 10, 15, 20, 21];
        let table = [
            (4, MINE, offsets.map(lost)),
            (4, OTHER, offsets.map(lost)),
            (5, MINE, [lost(7), Verdict::SendAgain, foreign(15), Verdict::Committed, foreign(21)]),
            (5, OTHER, offsets.map(|_| fenced())),
            (6, MINE, offsets.map(|_| future())),
            (6, OTHER, offsets.map(|_| fenced())),
        ];
        for (epoch, token, verdicts) in table {
            for (next_offset, expected) in offsets.into_iter().zip(verdicts) {
                let row = PositionRow { epoch, token, next_offset, idles: 3, owner: "w2".to_owned() };
                let found = judge(&claim(), 10, 20, 0, Some(&row));
                assert_eq!(found, expected, "epoch {epoch} at {next_offset}");
            }
        }
    }

    #[test]
    fn a_segment_that_moves_no_offset_is_judged_by_its_silence() {
        let lost = || Verdict::LostTail { next_offset: Some(10) };
        // At the offset before the segment, after so many silences: one alone, one with records behind it, none.
        let table = [
            (2, [Some(lost()), Some(lost()), Some(lost())]),
            (3, [Some(Verdict::SendAgain), Some(Verdict::SendAgain), Some(Verdict::SendAgain)]),
            (4, [Some(Verdict::Committed), None, None]),
            (5, [None, None, None]),
        ];
        for (idles, verdicts) in table {
            let row = PositionRow { epoch: 5, token: MINE, next_offset: 10, idles, owner: "w1".to_owned() };
            for ((to, of), expected) in [(10, 1), (20, 1), (20, 0)].into_iter().zip(verdicts) {
                let found = judge(&claim(), 10, to, of, Some(&row));
                let as_expected = expected.map_or(matches!(found, Verdict::Halt(_)), |expected| found == expected);
                assert!(as_expected, "to {to} with {of}, found after {idles}: {found:?}");
            }
        }
        let row = PositionRow { epoch: 5, token: MINE, next_offset: 20, idles: 4, owner: "w1".to_owned() };
        assert_eq!(judge(&claim(), 10, 20, 1, Some(&row)), Verdict::Committed);
    }

    #[test]
    fn a_row_that_is_gone_is_a_tail_that_is_lost_whole() {
        assert_eq!(judge(&claim(), 10, 20, 0, None), Verdict::LostTail { next_offset: None });
    }
}
