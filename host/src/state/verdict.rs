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

/// Judges a segment `[from, to)` written under `claim` by its position row. The row was read after every
/// transaction that might still hold it had ended, so there is no "in progress".
pub fn judge(claim: &Claim, from: i64, to: i64, row: Option<&PositionRow>) -> Verdict {
    let Some(row) = row else { return Verdict::LostTail { next_offset: None } };
    let lost = Verdict::LostTail { next_offset: Some(row.next_offset) };
    if row.token == claim.token && row.epoch == claim.epoch {
        return match row.next_offset {
            at if at == from => Verdict::SendAgain,
            at if at == to => Verdict::Committed,
            at if at < from => lost,
            at => {
                Verdict::Halt(format!("the position is {at}, neither {from} nor {to}, under this worker's own claim"))
            }
        };
    }
    if row.epoch < claim.epoch {
        return lost;
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

    fn check(row: Option<(i64, Uuid, i64)>) -> Verdict {
        let claim = Claim {
            lane: Lane::new("t", 0),
            epoch: 5,
            token: MINE,
            next_offset: 10,
            start_offset: 0,
            records: 0,
            rows: 0,
            decisions: vec![],
        };
        let row =
            row.map(|(epoch, token, next_offset)| PositionRow { epoch, token, next_offset, owner: "w2".to_owned() });
        judge(&claim, 10, 20, row.as_ref())
    }

    #[test]
    fn every_row_has_one_verdict() {
        assert_eq!(check(Some((5, MINE, 10))), Verdict::SendAgain);
        assert_eq!(check(Some((5, MINE, 20))), Verdict::Committed);
        assert_eq!(check(Some((5, MINE, 7))), Verdict::LostTail { next_offset: Some(7) });
        assert_eq!(check(Some((4, OTHER, 10))), Verdict::LostTail { next_offset: Some(10) });
        assert_eq!(check(Some((4, OTHER, 20))), Verdict::LostTail { next_offset: Some(20) });
        assert_eq!(check(Some((6, OTHER, 10))), Verdict::Fenced { owner: "w2".to_owned() });
        assert_eq!(check(Some((5, OTHER, 20))), Verdict::Fenced { owner: "w2".to_owned() });
        assert_eq!(check(None), Verdict::LostTail { next_offset: None });
        assert!(matches!(check(Some((5, MINE, 15))), Verdict::Halt(_)));
        assert!(matches!(check(Some((5, MINE, 21))), Verdict::Halt(_)));
    }
}
