//! Encoded rows seen from outside: where each begins, and how a record's rows are taken out of a segment.
//!
//! A row of COPY BINARY is a field count (int16) and, per field, a length (int32, −1 = null) and as many bytes
//! (PostgreSQL documentation, COPY, "Binary Format").

use std::ops::Range;

use crate::error::{Error, Kind, Result};
use crate::record::Segment;

/// The rows of encoded data, end to end. Ends early where the data is no row.
pub fn rows(data: &[u8]) -> Rows<'_> {
    Rows { rest: data }
}

/// An iterator over encoded rows.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Rows<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (row, rest) = self.rest.split_at_checked(row_bytes(self.rest)?)?;
        self.rest = rest;
        Some(row)
    }
}

/// The size of the first row, None where there is no whole one.
fn row_bytes(data: &[u8]) -> Option<usize> {
    let (count, mut rest) = data.split_first_chunk::<2>()?;
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, cell) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or_default();
        (_, rest) = cell.split_at_checked(length)?;
    }
    Some(data.len() - rest.len())
}

/// The bytes that these lines take.
pub fn span(data: &[u8], lines: &Range<usize>) -> Option<Range<usize>> {
    let mut rows = rows(data);
    let mut bytes =
        |count: usize| rows.by_ref().take(count).try_fold((0, 0), |(n, sum), row| Some((n + 1, sum + row.len())));
    let (skipped, start) = bytes(lines.start)?;
    let (taken, length) = bytes(lines.len())?;
    (skipped == lines.start && taken == lines.len()).then_some(start..start + length)
}

/// Takes all rows of the record at `offset` out of a segment. Errors: [`Kind::Internal`], and nothing is taken, when
/// the segment's data does not hold the rows that its lines promise.
pub fn withdraw(segment: &mut Segment, offset: i64) -> Result<()> {
    let lines = segment.lines.partition_point(|&o| o < offset)..segment.lines.partition_point(|&o| o <= offset);
    let bytes = span(&segment.data, &lines).ok_or_else(|| {
        Error::new(Kind::Internal, format!("segment of {} has no encoded lines {lines:?}", segment.lane))
    })?;
    segment.data.drain(bytes);
    segment.lines.drain(lines);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
    use super::*;
    use crate::record::Lane;

    /// Rows of two cells: one byte and null.
    fn encoded(values: &[u8]) -> Vec<u8> {
        values.iter().flat_map(|&value| [0, 2, 0, 0, 0, 1, value, 0xff, 0xff, 0xff, 0xff]).collect()
    }

    fn segment() -> Segment {
        let mut segment = Segment::new(Lane::new("ticks", 0), 10, 0);
        segment.data = encoded(&[1, 2, 3, 4, 5]);
        segment.lines = vec![10, 12, 12, 12, 15];
        segment
    }

    #[test]
    fn rows_come_out_one_by_one() {
        let data = encoded(&[7, 8]);
        assert_eq!(rows(&data).collect::<Vec<_>>(), [encoded(&[7]), encoded(&[8])]);
        assert_eq!(rows(data.get(..15).unwrap()).count(), 1, "half a row is none");
    }

    #[test]
    fn all_rows_of_the_record_are_withdrawn() {
        let mut segment = segment();
        withdraw(&mut segment, 12).unwrap();
        assert_eq!((&*segment.lines, &segment.data), (&[10, 15][..], &encoded(&[1, 5])));
        withdraw(&mut segment, 15).unwrap();
        assert_eq!((&*segment.lines, &segment.data), (&[10][..], &encoded(&[1])));
    }

    #[test]
    fn a_record_without_rows_takes_nothing_out() {
        let mut segment = segment();
        withdraw(&mut segment, 11).unwrap();
        assert_eq!((segment.lines.len(), segment.data.len()), (5, 55));
    }

    #[test]
    fn data_that_is_too_short_is_an_error_and_stays() {
        let mut segment = segment();
        segment.data.truncate(20);
        let sentence = withdraw(&mut segment, 12).unwrap_err().to_string();
        assert_eq!(sentence, "segment of ticks-0 has no encoded lines 1..4");
        assert_eq!((segment.data.len(), segment.lines.len()), (20, 5));
    }
}
