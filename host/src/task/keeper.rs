//! The keeping of checkpoints: the only user of the sink's [`Keeper`], beside the two stages of a task.
//!
//! The thread hands over a frozen chain piece by piece; here the pieces are gathered into chunks, compressed and
//! stored, while records are processed on. What a lane restores comes back the same way. What the store may cure by
//! itself is tried again, visible in status; a checkpoint that cannot be stored otherwise costs nothing but itself.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::patience::{Patience, Waiting, unless};
use crate::error::{Error, Kind, Result};
use crate::limits::{CHECKPOINT_CHUNK_BYTES, DATABASE_ANSWER_MAX};
use crate::record::{Claim, Lane};
use crate::sink::Keeper;
use crate::state::chunk::About;
use crate::state::manifest::Content;
use crate::state::{Chunk, ChunkId, Entries, Generation, Layer, Manifest, Overlay, StageState};

/// What the thread asks for. Everything about one checkpoint comes in order.
#[derive(Debug)]
pub enum Request {
    /// A chain was frozen.
    Begin(Box<Draft>),
    /// Entries of one of its stages.
    Put(Lane, u16, Vec<Entries>),
    /// There are no more; answered by [`Answer::Stored`] or [`Answer::Failed`].
    Seal(Lane),
    /// The checkpoint of a lane is of no more interest.
    Forget(Lane),
    /// Make a checkpoint count; answered by [`Answer::Counted`] or [`Answer::Failed`]. With `true` its chain speaks.
    Count(Claim, Manifest, bool),
    /// Read a checkpoint.
    Load(Lane, Manifest, mpsc::Sender<Piece>),
}

/// A checkpoint that is being written.
#[derive(Debug)]
pub struct Draft {
    /// The checkpoint's id.
    pub id: Uuid,
    /// The lane.
    pub lane: Lane,
    /// The offset below which every record is in the state.
    pub at: i64,
    /// The chain.
    pub generation: Generation,
    /// Records read up to `at`, and rows that left the chain.
    pub counts: (u64, u64),
    /// Silences that have moved its watermarks.
    pub idles: i64,
    /// The frozen stages.
    pub stages: Vec<StageState>,
    /// The layers that this one is laid over; none = it is a full one.
    pub below: Vec<Layer>,
}

/// A part of a checkpoint on its way back.
#[derive(Debug)]
pub enum Piece {
    /// Entries of the stage of this alias, each key once.
    Entries(String, Box<Entries>),
    /// That was all: the number of entries; or why it cannot be used.
    End(Result<u64>),
}

/// What the thread hears.
#[derive(Debug)]
pub enum Answer {
    /// There is room for more, or a piece has come.
    Moved,
    /// All chunks are durable.
    Stored(Lane, Manifest),
    /// Whether the checkpoint of this id counts.
    Counted(Lane, Uuid, bool),
    /// It came to nothing.
    Failed(Lane, Uuid, Error),
}

/// Where answers go; must not block.
pub type Answers = Box<dyn Fn(Answer) + Send + Sync>;

/// The keeping side's parts.
pub struct Keeping {
    /// Where checkpoints lie.
    pub keeper: Box<dyn Keeper>,
    /// Whose they are.
    pub pipeline: String,
    /// To the thread.
    pub answers: Answers,
    /// To the task's status.
    pub waiting: Waiting,
}

impl std::fmt::Debug for Keeping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeping").field("pipeline", &self.pipeline).finish_non_exhaustive()
    }
}

/// A draft with what has come of it.
struct Writing {
    draft: Draft,
    id: Uuid,
    stage: u16,
    gathered: Vec<Entries>,
    layer: Layer,
    failure: Option<Error>,
}

impl Keeping {
    /// Serves requests until the sender is gone or `abandon` turns true.
    pub async fn run(mut self, mut requests: mpsc::Receiver<Request>, abandon: watch::Receiver<bool>) {
        let mut writing = BTreeMap::new();
        let work = async {
            while let Some(request) = requests.recv().await {
                self.serve(&mut writing, request).await;
                (self.answers)(Answer::Moved);
            }
        };
        unless(abandon, work).await;
        self.keeper.close().await;
    }

    async fn serve(&mut self, writing: &mut BTreeMap<Lane, Writing>, request: Request) {
        match request {
            Request::Begin(draft) => {
                writing.insert(draft.lane.clone(), Writing::new(*draft));
            }
            Request::Put(lane, stage, runs) => {
                if let Some(writing) = writing.get_mut(&lane) {
                    self.gather(writing, stage, runs).await;
                }
            }
            Request::Seal(lane) => {
                if let Some(writing) = writing.remove(&lane) {
                    self.seal(writing).await;
                }
            }
            Request::Forget(lane) => {
                writing.remove(&lane);
            }
            Request::Count(claim, manifest, speaks) => self.count(claim, &manifest, speaks).await,
            Request::Load(lane, manifest, pieces) => {
                let end = self.load(&lane, &manifest, &pieces).await;
                // A lane that has been given up does not listen any more.
                let _ = pieces.send(Piece::End(end)).await;
            }
        }
    }

    /// Takes entries in; what makes a chunk is stored.
    async fn gather(&mut self, writing: &mut Writing, stage: u16, runs: Vec<Entries>) {
        if writing.stage != stage {
            self.store(writing).await;
            writing.stage = stage;
        }
        writing.gathered.extend(runs);
        if writing.gathered.iter().map(Entries::bytes).sum::<usize>() >= CHECKPOINT_CHUNK_BYTES {
            self.store(writing).await;
        }
    }

    async fn store(&mut self, writing: &mut Writing) {
        if writing.gathered.is_empty() || writing.failure.is_some() {
            return;
        }
        let entries: usize = writing.gathered.iter().map(Entries::len).sum();
        let stored = self.put(writing).await;
        match stored {
            Ok(bytes) => {
                writing.layer.chunks += 1;
                writing.layer.bytes += bytes;
                writing.layer.entries += entries as u64;
            }
            Err(error) => writing.failure = Some(error),
        }
    }

    /// Encodes what was gathered, beside the threads that serve connections, and stores it. Returns its size.
    async fn put(&mut self, writing: &mut Writing) -> Result<u64> {
        let chunk = writing.chunk(&self.pipeline)?;
        let encoded = tokio::task::spawn_blocking(move || chunk.encode()).await;
        let bytes = encoded.map_err(|e| Error::caused(Kind::Internal, "encode a chunk", e))??;
        let id = ChunkId { checkpoint: writing.id, number: writing.layer.chunks };
        let size = bytes.len() as u64;
        let mut patience = Patience::new(&self.waiting, DATABASE_ANSWER_MAX);
        loop {
            if let Some(answer) = patience.attempt(self.keeper.put(&writing.draft.lane, id, bytes.clone())).await {
                return answer.map(|()| size);
            }
        }
    }

    async fn seal(&mut self, mut writing: Writing) {
        self.store(&mut writing).await;
        let Writing { draft, id, layer, failure, .. } = writing;
        let lane = draft.lane;
        (self.answers)(match failure {
            Some(error) => Answer::Failed(lane, id, error),
            None => {
                let mut layers = draft.below;
                layers.push(layer);
                let content = Content { stages: draft.stages, layers };
                let ((records, rows), idles) = (draft.counts, draft.idles);
                let manifest =
                    Manifest { id, at: draft.at, generation: draft.generation, records, rows, idles, content };
                Answer::Stored(lane, manifest)
            }
        });
    }

    async fn count(&mut self, claim: Claim, manifest: &Manifest, speaks: bool) {
        let mut patience = Patience::new(&self.waiting, DATABASE_ANSWER_MAX);
        let counted = loop {
            if let Some(answer) = patience.attempt(self.keeper.count(&claim, manifest, speaks)).await {
                break answer;
            }
        };
        (self.answers)(match counted {
            Ok(counted) => Answer::Counted(claim.lane, manifest.id, counted),
            Err(error) => Answer::Failed(claim.lane, manifest.id, error),
        });
    }

    /// Reads the layers, the newest first. Returns how many entries were given.
    async fn load(&mut self, lane: &Lane, manifest: &Manifest, pieces: &mpsc::Sender<Piece>) -> Result<u64> {
        let (mut overlay, mut given) = (Overlay::default(), 0);
        for (depth, layer) in manifest.content.layers.iter().enumerate().rev() {
            for number in 0..layer.chunks {
                let id = ChunkId { checkpoint: layer.checkpoint, number };
                let bytes = self.get(lane, id).await?;
                let chunk = tokio::task::spawn_blocking(move || Chunk::decode(&bytes)).await;
                let chunk = chunk.map_err(|e| Error::caused(Kind::Internal, "decode a chunk", e))??;
                let alias = alias_of(manifest, &chunk)?;
                for run in &chunk.runs {
                    let counting = overlay.take(chunk.about.stage, run, depth == 0)?;
                    given += counting.len() as u64;
                    if counting.is_empty() {
                        continue;
                    }
                    if pieces.send(Piece::Entries(alias.clone(), Box::new(counting))).await.is_err() {
                        return Ok(given);
                    }
                    (self.answers)(Answer::Moved);
                }
            }
        }
        Ok(given)
    }

    async fn get(&mut self, lane: &Lane, id: ChunkId) -> Result<Vec<u8>> {
        let mut patience = Patience::new(&self.waiting, DATABASE_ANSWER_MAX);
        loop {
            if let Some(answer) = patience.attempt(self.keeper.get(lane, id)).await {
                return answer;
            }
        }
    }
}

/// The alias of a chunk's stage.
fn alias_of(manifest: &Manifest, chunk: &Chunk) -> Result<String> {
    let stage = manifest.content.stages.iter().find(|stage| stage.stage == chunk.about.stage);
    stage.map(|stage| stage.alias.clone()).ok_or_else(|| {
        let message =
            format!("checkpoint {} has a chunk of stage {}, which it does not know", manifest.id, chunk.about.stage);
        Error::new(Kind::CheckpointUnusable, message)
    })
}

impl Writing {
    fn new(draft: Draft) -> Self {
        let id = draft.id;
        let layer = Layer { checkpoint: id, chunks: 0, bytes: 0, entries: 0 };
        Writing { draft, id, stage: 0, gathered: Vec::new(), layer, failure: None }
    }

    /// The chunk of what was gathered; nothing is gathered afterwards.
    fn chunk(&mut self, pipeline: &str) -> Result<Chunk> {
        let runs = std::mem::take(&mut self.gathered);
        let stage = self.draft.stages.iter().find(|stage| stage.stage == self.stage);
        let (stage, header) = stage.and_then(|stage| Some((stage, stage.header.clone()?))).ok_or_else(|| {
            Error::new(Kind::Internal, format!("stage {} gave entries, but keeps no state", self.stage))
        })?;
        let about = About {
            pipeline: pipeline.to_owned(),
            topic: self.draft.lane.topic.to_string(),
            partition: self.draft.lane.partition,
            offset: self.draft.at,
            stage: self.stage,
            header,
            digest: stage.digest.clone(),
            watermark: stage.watermark,
        };
        Ok(Chunk { about, runs })
    }
}
