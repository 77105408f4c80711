//! From the database's error to the row it is about: COPY names the line in the error's context.
//!
//! The context is written for people, in the server's language (`COPY ticks, line 7, column price`, `COPY ticks,
//! Zeile 7, Spalte price`), so only its shape is read: the word COPY, the table, the first number behind it.

use tokio_postgres::error::DbError;

/// What a context names: a line counted from 1, and the column where there is one.
#[derive(Debug, PartialEq, Eq)]
pub struct CopyContext<'a> {
    /// The line, from 1.
    pub line: usize,
    /// The column.
    pub column: Option<&'a str>,
}

/// The line that an error names, None where its context is not that of a COPY into this table (unquoted name).
pub fn copy_context<'a>(said: &'a DbError, table: &str) -> Option<CopyContext<'a>> {
    parse(said.where_()?, table)
}

/// The outermost frame of the context is its last line: what is inside, such as a trigger's, comes before.
fn parse<'a>(context: &'a str, table: &str) -> Option<CopyContext<'a>> {
    context.lines().rev().find_map(|frame| {
        let rest = match frame.split_once(table)? {
            (before, after) if before.contains("COPY") || after.contains("COPY") => after,
            _ => return None,
        };
        let rest = rest.get(rest.find(|c: char| c.is_ascii_digit())?..)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (line, rest) = rest.split_at_checked(end)?;
        // ", column price": a word in the server's language, then the name.
        let column = rest.strip_prefix(", ").and_then(|rest| rest.split_once(' ')).map(|(_, name)| name);
        Some(CopyContext { line: line.parse().ok()?, column })
    })
}

/// The segment and line, both from 0, of a line of one COPY that carried these segments, given as their place in
/// the flush and their number of lines.
pub fn place(line: usize, segments: impl IntoIterator<Item = (usize, usize)>) -> Option<(usize, usize)> {
    let mut line = line.checked_sub(1)?;
    for (segment, lines) in segments {
        if line < lines {
            return Some((segment, line));
        }
        line -= lines;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::unnecessary_wraps, reason = "it is what `parse` returns")]
    fn named(line: usize, column: Option<&str>) -> Option<CopyContext<'_>> {
        Some(CopyContext { line, column })
    }

    #[test]
    fn the_line_is_read_in_any_language() {
        assert_eq!(parse("COPY ticks, line 7", "ticks"), named(7, None));
        assert_eq!(parse("COPY ticks, line 7, column price", "ticks"), named(7, Some("price")));
        assert_eq!(parse("COPY ticks, Zeile 12, Spalte price", "ticks"), named(12, Some("price")));
        assert_eq!(parse("COPY ticks, ligne 12, colonne unit price", "ticks"), named(12, Some("unit price")));
        assert_eq!(parse("ticksのCOPY、12行目", "ticks"), named(12, None));
    }

    #[test]
    fn digits_in_the_table_s_name_are_not_the_line() {
        assert_eq!(parse("COPY ticks_2024, line 3", "ticks_2024"), named(3, None));
        assert_eq!(parse("COPY a, line 1, b, line 8", "a, line 1, b"), named(8, None));
    }

    #[test]
    fn the_outermost_frame_counts() {
        let context = "SQL statement \"INSERT INTO ticks VALUES (1)\"\nPL/pgSQL function f() line 3 at SQL statement\n\
                       COPY ticks, line 9";
        assert_eq!(parse(context, "ticks"), named(9, None));
        assert_eq!(parse("PL/pgSQL function ticks() line 3 at RAISE", "ticks"), None);
        assert_eq!(parse("COPY other, line 9", "ticks"), None);
    }

    #[test]
    fn a_line_is_placed_in_its_segment() {
        let segments = [(0, 2), (3, 0), (4, 3)];
        let places: Vec<_> = (0..=6).map(|line| place(line, segments)).collect();
        assert_eq!(places, [None, Some((0, 0)), Some((0, 1)), Some((4, 0)), Some((4, 1)), Some((4, 2)), None]);
    }
}
