//! From a run of records to a batch: the key converter, the value converter and the record's own fields, each
//! asked once for all that any stage of a chain wants.

use std::sync::Arc;

use arrow_buffer::ScalarBuffer;

use super::meta::{self, MetaReader};
use super::{Converter, Reader, Side};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::record::{Batch, Column, Decoded, Kind, Origin, Path, RowError, Rows, Stage};

/// Who reads a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Key,
    Value,
    Meta,
}

impl Part {
    fn of(path: &Path) -> Part {
        match path.as_str() {
            "$key" => Part::Key,
            other if other.starts_with("$key.") => Part::Key,
            _ if path.is_meta() => Part::Meta,
            _ => Part::Value,
        }
    }
}

/// Decodes the records of one lane for one chain. Keeps buffers from run to run, never anything that a cell
/// could depend on.
pub struct Decoder {
    key: Arc<dyn Converter>,
    value: Arc<dyn Converter>,
    wants: Vec<(Path, Kind)>,
    /// None when nobody wants the key.
    key_reader: Option<Box<dyn Reader>>,
    value_reader: Box<dyn Reader>,
    meta_reader: MetaReader,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("wants", &self.wants).finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder that pulls these fields (one wanted twice is pulled once). Refuses a field that its converter
    /// cannot give ([`ErrorKind::Config`], naming the field).
    ///
    /// Values are always read and checked; keys only when a field of them is wanted: else a key that its
    /// converter could not read goes unnoticed, and costs nothing.
    pub fn new(key: Arc<dyn Converter>, value: Arc<dyn Converter>, wants: Vec<(Path, Kind)>) -> Result<Decoder> {
        let mut distinct: Vec<(Path, Kind)> = Vec::with_capacity(wants.len());
        for want in wants {
            if !distinct.contains(&want) {
                distinct.push(want);
            }
        }
        let wants = distinct;
        let part = |part| -> Vec<_> { wants.iter().filter(|(path, _)| Part::of(path) == part).cloned().collect() };
        let key_wants = part(Part::Key);
        let key_reader = if key_wants.is_empty() { None } else { Some(key.reader(Side::Key, &key_wants)?) };
        let value_reader = value.reader(Side::Value, &part(Part::Value))?;
        let meta_reader = MetaReader::new(&part(Part::Meta))?;
        Ok(Decoder { key, value, wants, key_reader, value_reader, meta_reader })
    }

    /// The fields that it pulls.
    pub fn wants(&self) -> &[(Path, Kind)] {
        &self.wants
    }

    /// The batch of a run, and the records that are malformed: those are no rows of it. A record is reported
    /// once, for its key before its value. Whether required fields are there is for the stages to check.
    pub fn decode(&mut self, origin: &Arc<Origin>) -> Result<(Batch, Vec<RowError>)> {
        let keys = self.key_reader.as_mut().map(|reader| reader.read(origin)).transpose()?.unwrap_or_default();
        let values = self.value_reader.read(origin)?;
        let metas = self.meta_reader.read(origin)?;
        let errors = malformed(keys.malformed, values.malformed);
        let decoded = Decoded { columns: self.arrange(keys.columns, values.columns, metas)?, nulls: values.nulls };
        let rows = if errors.is_empty() { Rows::All(origin.len()) } else { Rows::Picked(others(origin, &errors)) };
        Ok((Batch::new(Arc::clone(origin), decoded, rows), errors))
    }

    /// The columns of the three readers under their paths.
    fn arrange(&self, keys: Vec<Column>, values: Vec<Column>, metas: Vec<Column>) -> Result<Vec<(Path, Column)>> {
        let (mut keys, mut values, mut metas) = (keys.into_iter(), values.into_iter(), metas.into_iter());
        let columns = self.wants.iter().map(|(path, _)| {
            let column = match Part::of(path) {
                Part::Key => keys.next(),
                Part::Value => values.next(),
                Part::Meta => metas.next(),
            };
            let column = column.ok_or_else(|| {
                Error::new(ErrorKind::Internal, format!("the converter gave no column for field {path}"))
            })?;
            Ok((path.clone(), column))
        });
        columns.collect()
    }

    /// Why a cell is a mismatch, or null or absent where a value is required, in one sentence.
    pub fn explain(&self, origin: &Origin, record: usize, path: &Path, kind: Kind) -> String {
        match Part::of(path) {
            Part::Key => self.key.explain(origin, record, path, kind),
            Part::Value => self.value.explain(origin, record, path, kind),
            Part::Meta => meta::explain(path),
        }
    }
}

/// One error per malformed record, rising.
fn malformed(keys: Vec<(u32, String)>, values: Vec<(u32, String)>) -> Vec<RowError> {
    let error = |stage| move |(record, message)| RowError { record, stage, field: None, message };
    let keys = keys.into_iter().map(error(Stage::KeyConverter));
    let values = values.into_iter().map(error(Stage::ValueConverter));
    let mut errors: Vec<RowError> = keys.chain(values).collect();
    errors.sort_by_key(|error| (error.record, error.stage));
    errors.dedup_by_key(|error| error.record);
    errors
}

/// The records without an error.
fn others(origin: &Origin, errors: &[RowError]) -> ScalarBuffer<u32> {
    let mut errors = errors.iter().map(|error| error.record).peekable();
    (0..origin.len() as u32).filter(|record| errors.next_if_eq(record).is_none()).collect::<Vec<_>>().into()
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
