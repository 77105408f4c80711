//! A sink that prints: one JSON object per row on standard output, for trying a pipeline out.
//!
//! A row is the record's own fields with those that the chain wrote over them, and `kafka_topic`,
//! `kafka_partition`, `kafka_offset`. Positions live in memory, so rows repeat after a restart.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, DecimalType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, Decimal128Array};
use arrow_schema::DECIMAL128_MAX_PRECISION;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{BoxFuture, ClaimRequest, Claimed, Encoder, History, Level, Prepared, Sink, WriteError};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::record::{
    Batch, Carry, Claim, Column, Field, Flush, Kind, Lane, Path, PositionRow, RowError, Segment, Stage, Want,
};

/// The name under which a value is printed that is no object.
const VALUE: &str = "value";

/// Prints rows.
pub struct ConsoleSink {
    out: Box<dyn Write + Send>,
    held: HashMap<Lane, Claim>,
}

impl fmt::Debug for ConsoleSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleSink").field("held", &self.held).finish_non_exhaustive()
    }
}

impl Default for ConsoleSink {
    fn default() -> Self {
        ConsoleSink::to(std::io::stdout())
    }
}

impl ConsoleSink {
    /// A sink that prints to `out` instead of standard output.
    pub fn to(out: impl Write + Send + 'static) -> Self {
        ConsoleSink { out: Box::new(out), held: HashMap::new() }
    }

    fn claim_one(&mut self, request: &ClaimRequest) -> Claimed {
        let lane = &request.lane;
        let start = self.held.get(lane).map(|claim| claim.next_offset).or(request.start);
        let Some(next_offset) = start else {
            return Claimed::NoPosition(lane.clone());
        };
        let token = Uuid::new_v4();
        let claim = self.held.entry(lane.clone()).or_insert_with(|| Claim {
            lane: lane.clone(),
            epoch: 0,
            token,
            next_offset,
            gaps: Vec::new(),
            leader_epoch: None,
            start_offset: next_offset,
            records: 0,
            rows: 0,
            idles: 0,
            rewrite_until: None,
            decisions: Vec::new(),
        });
        claim.epoch += 1;
        claim.token = token;
        Claimed::Held(claim.clone(), History::default())
    }

    fn print(&mut self, flush: &Flush) -> std::io::Result<()> {
        for segment in &flush.segments {
            self.out.write_all(&segment.data)?;
        }
        self.out.flush()
    }
}

impl Sink for ConsoleSink {
    fn level(&self) -> Level {
        Level::AtLeastOnce
    }

    fn prepare<'a>(
        &'a mut self,
        _topic: &'a str,
        _outputs: &'a [Field],
        _sample: Option<&'a [Field]>,
    ) -> BoxFuture<'a, Result<Prepared>> {
        Box::pin(async { Ok(Prepared::Ready(Box::new(ConsoleEncoder))) })
    }

    fn claim<'a>(&'a mut self, requests: &'a [ClaimRequest]) -> BoxFuture<'a, Result<Vec<Claimed>>> {
        let claimed = requests.iter().map(|request| self.claim_one(request)).collect();
        Box::pin(async { Ok(claimed) })
    }

    fn write<'a>(&'a mut self, flush: &'a Flush, _claims: &'a [Claim]) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(async move {
            // Half a flush may have been printed; what reads the output has gone, so nobody counts it.
            self.print(flush).map_err(|e| {
                WriteError::Failed(Error::caused(ErrorKind::Internal, "print rows to standard output", e))
            })?;
            for segment in &flush.segments {
                if let Some(claim) = self.held.get_mut(&segment.lane) {
                    claim.next_offset = segment.to;
                    claim.records += segment.records;
                    claim.rows += segment.rows;
                    claim.idles += segment.idles;
                }
            }
            Ok(())
        })
    }

    fn positions<'a>(&'a mut self, lanes: &'a [Lane]) -> BoxFuture<'a, Result<Vec<Option<PositionRow>>>> {
        let row = |claim: &Claim| PositionRow {
            epoch: claim.epoch,
            token: claim.token,
            next_offset: claim.next_offset,
            idles: claim.idles,
            owner: "this worker".to_owned(),
        };
        let rows = lanes.iter().map(|lane| self.held.get(lane).map(row)).collect();
        Box::pin(async { Ok(rows) })
    }

    fn withdraw(&self, segment: &mut Segment, offset: i64) {
        let mut lines = segment.lines.iter();
        let kept = segment.data.split_inclusive(|&byte| byte == b'\n').filter(|_| lines.next() != Some(&offset));
        segment.data = kept.flatten().copied().collect();
        segment.lines.retain(|&line| line != offset);
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Prints rows as lines of JSON.
#[derive(Debug)]
struct ConsoleEncoder;

impl Encoder for ConsoleEncoder {
    fn table(&self) -> usize {
        0
    }

    fn wants(&self) -> &[Want] {
        &[]
    }

    fn encode(&mut self, batch: &Batch, data: &mut Vec<u8>, lines: &mut Vec<i64>) -> Result<Vec<RowError>> {
        let missing = || Error::new(ErrorKind::Internal, "a batch has a row of a record that it does not hold");
        let mut errors: Vec<RowError> = (0..batch.len()).filter_map(|row| mismatch(batch, row)).collect();
        errors.dedup_by_key(|error| error.record);
        let mut refused = errors.iter().map(|error| error.record as usize).peekable();
        for row in 0..batch.len() {
            let record = batch.rows.origin(row);
            while refused.next_if(|&refused| refused < record).is_some() {}
            if refused.peek() == Some(&record) {
                continue;
            }
            let offset = *batch.origin.offsets.get(record).ok_or_else(missing)?;
            let object = object(batch, row, record, offset);
            serde_json::to_writer(&mut *data, &object)
                .map_err(|e| Error::caused(ErrorKind::Internal, "print a row as JSON", e))?;
            data.push(b'\n');
            lines.push(offset);
        }
        Ok(errors)
    }
}

/// The first written cell of a row that has no value of its kind.
fn mismatch(batch: &Batch, row: usize) -> Option<RowError> {
    let (path, column) = batch.overlay.iter().find(|(_, column)| column.is_mismatch(row))?;
    Some(RowError {
        record: batch.rows.origin(row) as u32,
        stage: Stage::Sink,
        field: Some(path.to_string()),
        message: format!("field \"{path}\" is no {}", column.kind),
    })
}

fn object(batch: &Batch, row: usize, record: usize, offset: i64) -> Map<String, Value> {
    let lane = &batch.origin.lane;
    let mut object = Map::new();
    object.insert("kafka_topic".to_owned(), (*lane.topic).into());
    object.insert("kafka_partition".to_owned(), lane.partition.into());
    object.insert("kafka_offset".to_owned(), offset.into());
    if let Some(value) = batch.origin.value(record) {
        carry(value, &batch.carry, &mut object);
    }
    for (path, column) in batch.overlay.iter().filter(|(_, column)| !column.is_absent(row)) {
        object.insert(path.to_string(), cell(column, row));
    }
    object
}

/// The fields of the record that are still visible.
fn carry(value: &[u8], carry: &Carry, object: &mut Map<String, Value>) {
    let fields = match serde_json::from_slice(value) {
        Ok(Value::Object(fields)) => fields,
        Ok(other) => Map::from_iter([(VALUE.to_owned(), other)]),
        Err(_) => Map::from_iter([(VALUE.to_owned(), bytes(value))]),
    };
    match carry {
        Carry::All => object.extend(fields),
        Carry::None => {}
        Carry::These(paths) => {
            let visible = |name: &String| paths.contains(&Path::new(name.as_str()));
            object.extend(fields.into_iter().filter(|(name, _)| visible(name)));
        }
    }
}

/// A cell as JSON; what JSON has no value for (NaN, infinities) is null.
fn cell(column: &Column, row: usize) -> Value {
    let array = &column.array;
    if array.is_null(row) {
        return Value::Null;
    }
    match column.kind {
        Kind::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        Kind::Float64 => array.as_primitive::<Float64Type>().value(row).into(),
        Kind::Boolean => array.as_boolean().value(row).into(),
        Kind::Text => array.as_string::<i32>().value(row).into(),
        Kind::Binary => bytes(array.as_binary::<i32>().value(row)),
        Kind::Decimal => decimal(array.as_primitive::<Decimal128Type>(), row).into(),
        Kind::Timestamp => timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        Kind::Json => {
            let text = array.as_string::<i32>().value(row);
            serde_json::from_str(text).unwrap_or_else(|_| text.into())
        }
    }
}

/// Text where it is UTF-8, else hexadecimal as PostgreSQL writes it.
fn bytes(value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) => text.into(),
        Err(_) => value.iter().fold("\\x".to_owned(), |hex, byte| format!("{hex}{byte:02x}")).into(),
    }
}

fn decimal(array: &Decimal128Array, row: usize) -> String {
    Decimal128Type::format_decimal(array.value(row), DECIMAL128_MAX_PRECISION, array.scale())
}

/// ISO 8601 in UTC; the number of µs where the calendar ends.
fn timestamp(us: i64) -> Value {
    match arrow_array::temporal_conversions::timestamp_us_to_datetime(us) {
        Some(time) => time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string().into(),
        None => us.into(),
    }
}

#[cfg(test)]
#[path = "console_tests.rs"]
mod tests;
