//! One chunk of a checkpoint as bytes, for whoever keeps it.
//!
//! ```text
//! offset  bytes
//!      0      8  "WEIRSTAT"
//!      8      2  format version, little endian, 1
//!     10      4  n, the length of the header, little endian
//!     14      4  CRC-32 (IEEE) of all that follows, little endian
//!     18      n  header: one JSON object
//!   18+n    ...  an Arrow IPC stream, its buffers compressed by zstd
//! ```
//!
//! The stream has the columns `space` uint16, `key` binary, `value` binary, `deleted` boolean; one record batch per run
//! of entries of one space. In Python: `n = int.from_bytes(b[10:14], "little")`, then
//! `pyarrow.ipc.open_stream(b[18 + n:]).read_all()`.

use std::io::Cursor;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt16Type;
use arrow_array::{BooleanArray, RecordBatch, UInt16Array};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entries::{Entries, Header};
use crate::error::{Error, Kind, Result};

const MAGIC: &[u8; 8] = b"WEIRSTAT";
const FORMAT: u16 = 1;
/// Where the CRC begins to count.
const PREFIX: usize = 18;

/// The name of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId {
    /// The checkpoint that wrote it.
    pub checkpoint: Uuid,
    /// Counted from 0.
    pub number: u32,
}

/// What a chunk says of itself: enough to know whose state it is without its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The pipeline.
    pub pipeline: String,
    /// The lane's topic.
    pub topic: String,
    /// The lane's partition.
    pub partition: i32,
    /// The offset below which every record is in the state.
    pub offset: i64,
    /// The stage's position in the chain.
    pub stage: u16,
    /// Plugin, version, state version, settings.
    pub header: Header,
    /// SHA-256 of the plugin's component.
    pub digest: String,
    /// The newest event time that the stage has seen, in µs.
    pub watermark: Option<i64>,
}

/// Entries of one stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// What it says of itself.
    pub about: About,
    /// The entries, a run for each table.
    pub runs: Vec<Entries>,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("space", DataType::UInt16, false),
        Field::new("key", DataType::Binary, false),
        Field::new("value", DataType::Binary, false),
        Field::new("deleted", DataType::Boolean, false),
    ]))
}

impl Chunk {
    /// Its bytes.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let header = serde_json::to_vec(&self.about).map_err(|e| failed("write the header of a chunk", e))?;
        let mut bytes = Vec::with_capacity(PREFIX + header.len() + self.runs.iter().map(Entries::bytes).sum::<usize>());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&header);
        write_runs(&mut bytes, &self.runs).map_err(|e| failed("write a chunk", e))?;
        let checksum = crc32fast::hash(bytes.get(PREFIX..).unwrap_or_default());
        if let Some(place) = bytes.get_mut(PREFIX - 4..PREFIX) {
            place.copy_from_slice(&checksum.to_le_bytes());
        }
        Ok(bytes)
    }

    /// Reads a chunk. Errors: [`Kind::CheckpointUnusable`] where it is damaged or of another format.
    pub fn decode(bytes: &[u8]) -> Result<Chunk> {
        let unusable = |why: &str| Error::new(Kind::CheckpointUnusable, format!("a chunk of the checkpoint {why}"));
        let (prefix, rest) = bytes.split_first_chunk::<PREFIX>().ok_or_else(|| unusable("is cut off"))?;
        let [m0, m1, m2, m3, m4, m5, m6, m7, v0, v1, n0, n1, n2, n3, c0, c1, c2, c3] = *prefix;
        if [m0, m1, m2, m3, m4, m5, m6, m7] != *MAGIC {
            return Err(unusable("is not one of weir's"));
        }
        let format = u16::from_le_bytes([v0, v1]);
        if format != FORMAT {
            return Err(unusable(&format!("has format {format}, but this weir reads {FORMAT}")));
        }
        if crc32fast::hash(rest) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(unusable("is damaged: its checksum differs"));
        }
        let length = u32::from_le_bytes([n0, n1, n2, n3]) as usize;
        let (header, body) = rest.split_at_checked(length).ok_or_else(|| unusable("is cut off in its header"))?;
        let about = serde_json::from_slice(header);
        let about = about.map_err(|e| Error::caused(Kind::CheckpointUnusable, "read the header of a chunk", e))?;
        let runs = read_runs(body).map_err(|e| Error::caused(Kind::CheckpointUnusable, "read a chunk", e))?;
        Ok(Chunk { about, runs })
    }
}

fn failed(doing: &'static str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::caused(Kind::Internal, doing, cause)
}

fn write_runs(bytes: &mut Vec<u8>, runs: &[Entries]) -> Result<(), ArrowError> {
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD))?;
    let schema = schema();
    let mut writer = StreamWriter::try_new_with_options(bytes, &schema, options)?;
    for entries in runs {
        let spaces = UInt16Array::from_value(entries.space, entries.len());
        let deleted = BooleanArray::new(entries.deleted.clone(), None);
        writer.write(&RecordBatch::try_new(
            Arc::clone(&schema),
            vec![Arc::new(spaces), Arc::new(entries.keys.clone()), Arc::new(entries.values.clone()), Arc::new(deleted)],
        )?)?;
    }
    writer.finish()
}

fn read_runs(body: &[u8]) -> Result<Vec<Entries>, ArrowError> {
    let reader = StreamReader::try_new(Cursor::new(body), None)?;
    if *reader.schema() != *schema() {
        return Err(ArrowError::SchemaError("the columns are others than weir writes".to_owned()));
    }
    reader.filter(|batch| batch.as_ref().map_or(true, |batch| batch.num_rows() > 0)).map(|batch| run(&batch?)).collect()
}

fn run(batch: &RecordBatch) -> Result<Entries, ArrowError> {
    let [spaces, keys, values, deleted] = batch.columns() else {
        return Err(ArrowError::SchemaError("a batch has other columns than its schema".to_owned()));
    };
    let spaces = spaces.as_primitive::<UInt16Type>();
    let space = spaces.iter().next().flatten().unwrap_or_default();
    if spaces.iter().any(|other| other != Some(space)) {
        return Err(ArrowError::SchemaError("a batch has entries of several spaces".to_owned()));
    }
    Ok(Entries {
        space,
        keys: keys.as_binary::<i32>().clone(),
        values: values.as_binary::<i32>().clone(),
        deleted: deleted.as_boolean().values().clone(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
    use super::*;
    use arrow_array::BinaryArray;

    fn chunk() -> Chunk {
        let keys: Vec<String> = (0..1_000).map(|n| format!("key {n}")).collect();
        let entries = |space| Entries {
            space,
            keys: keys.iter().map(|key| Some(key.as_bytes())).collect::<BinaryArray>(),
            values: keys.iter().map(|_| Some([0_u8; 40])).collect::<BinaryArray>(),
            deleted: (0..1_000).map(|n| n % 7 == 0).collect(),
        };
        let settings = vec![("window".to_owned(), "50".to_owned())];
        let header = Header { plugin: "sma".into(), version: "1.0.0".into(), state_version: 1, settings };
        let about = About {
            pipeline: "p".into(),
            topic: "ticks".into(),
            partition: 3,
            offset: 77,
            stage: 1,
            header,
            digest: "ab".repeat(32),
            watermark: Some(5),
        };
        Chunk { about, runs: vec![entries(0), entries(4)] }
    }

    #[test]
    fn what_was_written_is_read_and_takes_less_room() {
        let bytes = chunk().encode().unwrap();
        assert_eq!(Chunk::decode(&bytes).unwrap(), chunk());
        assert!(bytes.len() < chunk().runs.iter().map(Entries::bytes).sum::<usize>() / 2, "{}", bytes.len());
    }

    #[test]
    fn no_flipped_bit_and_no_cut_goes_unseen() {
        let bytes = chunk().encode().unwrap();
        for at in (0..bytes.len()).step_by(bytes.len() / 97).chain(0..PREFIX) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let error = Chunk::decode(&damaged).unwrap_err();
            assert_eq!(error.kind(), Kind::CheckpointUnusable, "byte {at}: {error}");
        }
        for length in [0, 5, PREFIX, PREFIX + 10, bytes.len() - 1] {
            let error = Chunk::decode(&bytes[..length]).unwrap_err();
            assert_eq!(error.kind(), Kind::CheckpointUnusable, "{length} bytes: {error}");
        }
    }

    #[test]
    fn a_later_format_is_named() {
        let mut bytes = chunk().encode().unwrap();
        bytes[8] = 9;
        let error = Chunk::decode(&bytes).unwrap_err();
        assert_eq!(error.to_string(), "a chunk of the checkpoint has format 9, but this weir reads 1");
    }
}
