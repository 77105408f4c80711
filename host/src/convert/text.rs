//! `StringConverter`: the whole key or value is one text in UTF-8. A payload that is not UTF-8 is malformed
//! (Kafka Connect would quietly replace what it cannot read).

use super::whole::Format;
use super::{Converter, Reader, Side};
use crate::error::Result;
use crate::record::{Field, Kind, Origin, Path};

/// The converter `StringConverter`.
#[derive(Debug)]
pub struct Text;

static FORMAT: Format = Format { name: "StringConverter", kinds: &[Kind::Text], text_only: true };

impl Converter for Text {
    /// The only field is the whole payload as text: `$key`, or the empty path of a value.
    fn reader(&self, side: Side, wants: &[(Path, Kind)]) -> Result<Box<dyn Reader>> {
        FORMAT.reader(side, wants)
    }

    /// None: a text has no fields.
    fn sample(&self, _origin: &Origin) -> Option<Vec<Field>> {
        Some(Vec::new())
    }

    fn explain(&self, origin: &Origin, row: usize, path: &Path, kind: Kind) -> String {
        Format::explain(origin, row, path, kind)
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
