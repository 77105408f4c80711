//! Converter text.

use super::{Converter, Pulled, Reader, Side};
use crate::error::Result;
use crate::record::{Field, Kind, Origin, Path};

/// To be written.
#[derive(Debug)]
pub struct Text;

struct Nothing;

impl Reader for Nothing {
    fn read(&mut self, _origin: &Origin) -> Result<Pulled> {
        Ok(Pulled::default())
    }
}

impl Converter for Text {
    fn reader(&self, _side: Side, _wants: &[(Path, Kind)]) -> Result<Box<dyn Reader>> {
        Ok(Box::new(Nothing))
    }
    fn sample(&self, _origin: &Origin) -> Vec<Field> {
        Vec::new()
    }
    fn explain(&self, _origin: &Origin, _row: usize, _path: &Path, _kind: Kind) -> String {
        String::new()
    }
}
