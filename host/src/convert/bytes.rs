//! `ByteArrayConverter`: the whole key or value is one byte string. It can be wanted as text too; then one that
//! is not UTF-8 is a mismatch.

use super::whole::Format;
use super::{Converter, Reader, Side};
use crate::error::Result;
use crate::record::{Field, Kind, Origin, Path};

/// The converter `ByteArrayConverter`.
#[derive(Debug)]
pub struct ByteArray;

static FORMAT: Format = Format { name: "ByteArrayConverter", kinds: &[Kind::Binary, Kind::Text], text_only: false };

impl Converter for ByteArray {
    /// The only field is the whole payload, binary or text: `$key`, or the empty path of a value.
    fn reader(&self, side: Side, wants: &[(Path, Kind)]) -> Result<Box<dyn Reader>> {
        FORMAT.reader(side, wants)
    }

    /// None: a byte string has no fields.
    fn sample(&self, _origin: &Origin) -> Option<Vec<Field>> {
        Some(Vec::new())
    }

    fn explain(&self, origin: &Origin, row: usize, path: &Path, kind: Kind) -> String {
        Format::explain(origin, row, path, kind)
    }
}

#[cfg(test)]
#[path = "bytes_tests.rs"]
mod tests;
