//! Chunks of checkpoints in a directory: `PIPELINE/TOPIC-PARTITION/CHECKPOINT/NUMBER`.
//!
//! A chunk is written under another name, synced, renamed, and its folder synced, so that a name that is there stands
//! for a whole chunk whatever happens to the machine. (A crash after rename without the folder's sync may lose the
//! name: Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014.)

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::record::Lane;
use crate::state::ChunkId;

/// What a name of a pipeline may have and a name of a folder may not.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'/').add(b'\\').add(b'%').add(b'.').add(b':');

/// The chunks of one pipeline. Its calls block.
#[derive(Debug, Clone)]
pub struct Directory {
    folder: PathBuf,
}

impl Directory {
    /// The chunks of a pipeline below `root`; nothing is made before the first chunk.
    pub fn new(root: &Path, pipeline: &str) -> Self {
        Directory { folder: root.join(utf8_percent_encode(pipeline, ESCAPED).to_string()) }
    }

    fn lane(&self, lane: &Lane) -> PathBuf {
        self.folder.join(format!("{}-{}", utf8_percent_encode(&lane.topic, ESCAPED), lane.partition))
    }

    fn chunk(&self, lane: &Lane, id: ChunkId) -> PathBuf {
        self.lane(lane).join(id.checkpoint.to_string()).join(id.number.to_string())
    }

    /// Writes a chunk; it is on the disk when this returns. Errors: [`Kind::StorageFailed`].
    pub fn put(&self, lane: &Lane, id: ChunkId, bytes: &[u8]) -> Result<()> {
        let file = self.chunk(lane, id);
        written(&file, bytes).map_err(|e| failed("write", &file, e))
    }

    /// Reads a chunk. Errors: [`Kind::CheckpointUnusable`] where it is not there, [`Kind::StorageFailed`].
    pub fn get(&self, lane: &Lane, id: ChunkId) -> Result<Vec<u8>> {
        let file = self.chunk(lane, id);
        fs::read(&file).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => missing(&file.display().to_string()),
            _ => failed("read", &file, e),
        })
    }

    /// Removes everything.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", &self.folder, e)),
            _ => Ok(()),
        }
    }

    /// Removes all chunks of a lane but those of these checkpoints.
    pub fn prune(&self, lane: &Lane, kept: &[Uuid]) -> Result<()> {
        let folder = self.lane(lane);
        let entries = match fs::read_dir(&folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|e| failed("list", &folder, e))?,
        };
        for entry in entries {
            let path = entry.map_err(|e| failed("list", &folder, e))?.path();
            // What weir has not made is left alone.
            let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| Uuid::parse_str(name).ok());
            if id.is_some_and(|id| !kept.contains(&id)) {
                fs::remove_dir_all(&path).map_err(|e| failed("remove", &path, e))?;
            }
        }
        Ok(())
    }
}

/// The error of a chunk that is gone.
pub fn missing(chunk: &str) -> Error {
    Error::new(Kind::CheckpointUnusable, format!("chunk {chunk} of the checkpoint is missing"))
}

fn failed(doing: &str, path: &Path, cause: io::Error) -> Error {
    Error::caused(Kind::StorageFailed, format!("{doing} {}", path.display()), cause)
}

fn written(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(file);
    make(folder)?;
    let partial = file.with_extension("partial");
    let mut open = File::create(&partial)?;
    open.write_all(bytes)?;
    open.sync_all()?;
    fs::rename(&partial, file)?;
    File::open(folder)?.sync_all()
}

/// Makes a folder and those above it, each synced into the one that holds it.
fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let Some(parent) = folder.parent() else { return fs::create_dir(folder) };
    make(parent)?;
    match fs::create_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| File::open(parent)?.sync_all()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]
    use super::*;

    fn id(checkpoint: u128, number: u32) -> ChunkId {
        ChunkId { checkpoint: Uuid::from_u128(checkpoint), number }
    }

    #[test]
    fn chunks_are_kept_by_lane_and_pruned_by_checkpoint() {
        let root = tempfile::tempdir().unwrap();
        let (directory, other) = (Directory::new(root.path(), "p"), Directory::new(root.path(), "../q/."));
        let lanes = [Lane::new("t", 0), Lane::new("t", 1)];
        for (at, lane) in lanes.iter().enumerate() {
            directory.put(lane, id(1, 0), &[at as u8; 10]).unwrap();
            directory.put(lane, id(2, 0), b"two").unwrap();
            directory.put(lane, id(2, 7), b"seven").unwrap();
            other.put(lane, id(1, 0), b"other").unwrap();
        }
        directory.prune(&lanes[0], &[Uuid::from_u128(2)]).unwrap();
        let gone = directory.get(&lanes[0], id(1, 0)).unwrap_err();
        assert_eq!(gone.kind(), Kind::CheckpointUnusable, "{gone}");
        assert_eq!(directory.get(&lanes[0], id(2, 7)).unwrap(), b"seven");
        assert_eq!(directory.get(&lanes[1], id(1, 0)).unwrap(), [1; 10]);
        assert_eq!(other.get(&lanes[0], id(1, 0)).unwrap(), b"other");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2, "a name escapes its folder");
    }

    #[test]
    fn a_full_disk_is_told_with_the_file() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("p"), "in the way").unwrap();
        let directory = Directory::new(root.path(), "p");
        let error = directory.put(&Lane::new("t", 0), id(1, 0), b"x").unwrap_err();
        assert_eq!(error.kind(), Kind::StorageFailed);
        assert!(error.to_string().contains("/p/t-0/"), "{error}");
        directory.prune(&Lane::new("nothing", 0), &[]).unwrap_err();
    }
}
