//! Payloads that are one value without fields: texts and byte strings.

use super::builder::{Bytes, State};
use super::{Pulled, Reader, Side};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::record::{Kind, Origin, Path};

/// Which whole payloads a converter takes, and as what it gives them.
#[derive(Debug)]
pub struct Format {
    /// The converter, as an error names it.
    pub name: &'static str,
    /// The kinds in which it gives a payload.
    pub kinds: &'static [Kind],
    /// Whether a payload that is not UTF-8 is malformed (else only a mismatch for whoever wants text).
    pub text_only: bool,
}

/// Reads whole payloads.
#[derive(Debug)]
struct WholeReader {
    format: &'static Format,
    side: Side,
    columns: Vec<(Kind, Bytes)>,
}

impl Format {
    /// A reader of these fields; each must be the whole payload.
    pub fn reader(&'static self, side: Side, wants: &[(Path, Kind)]) -> Result<Box<dyn Reader>> {
        let columns = wants.iter().map(|(path, kind)| Ok((self.check(side, path, *kind)?, Bytes::default())));
        Ok(Box::new(WholeReader { format: self, side, columns: columns.collect::<Result<_>>()? }))
    }

    fn check(&self, side: Side, path: &Path, kind: Kind) -> Result<Kind> {
        let name = self.name;
        if side.inner(path) != Some("") {
            let message = format!(
                "field {path} cannot be read by {name}, whose {side}s have no fields; set `{side}.converter` to json"
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        if !self.kinds.contains(&kind) {
            let given: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
            let message = format!(
                "the {side} cannot be read as {kind} by {name}, which gives {}; set `{side}.converter` to json",
                given.join(" or ")
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        Ok(kind)
    }

    /// Why a cell is a mismatch or missing.
    pub fn explain(origin: &Origin, row: usize, path: &Path, kind: Kind) -> String {
        let side = if path.is_meta() { Side::Key } else { Side::Value };
        match side.payload(origin, row) {
            None => format!("the {side} is null, expected {kind}"),
            Some(payload) => match std::str::from_utf8(payload) {
                Err(e) => not_utf8(side, e),
                Ok(_) => format!("the {side} has {} bytes, expected {kind}", payload.len()),
            },
        }
    }
}

impl Reader for WholeReader {
    fn read(&mut self, origin: &Origin) -> Result<Pulled> {
        let mut malformed = Vec::new();
        let text_wanted = self.columns.iter().any(|(kind, _)| *kind == Kind::Text);
        self.columns.iter_mut().for_each(|(_, cells)| cells.begin(origin.len()));
        for row in 0..origin.len() {
            let Some(payload) = self.side.payload(origin, row) else {
                continue;
            };
            let checked = self.format.text_only || text_wanted;
            let invalid = if checked { std::str::from_utf8(payload).err() } else { None };
            if let (Some(e), true) = (invalid, self.format.text_only) {
                malformed.push((row as u32, not_utf8(self.side, e)));
                self.columns.iter_mut().for_each(|(_, cells)| cells.mark(row, State::Null));
                continue;
            }
            for (kind, cells) in &mut self.columns {
                if *kind == Kind::Text && invalid.is_some() {
                    cells.mark(row, State::Mismatch);
                } else {
                    cells.set_bytes(row, payload);
                }
            }
        }
        let columns = self.columns.iter_mut().map(|(kind, cells)| cells.finish(*kind));
        Ok(Pulled { columns: columns.collect::<Result<_>>()?, malformed, ..Pulled::default() })
    }
}

fn not_utf8(side: Side, error: std::str::Utf8Error) -> String {
    format!("the {side} is not UTF-8 at byte {}", error.valid_up_to())
}
