//! Checkpoints: which count, which come back with a claim, and what is kept of them.

use anyhow::{Context, Result, ensure};
use uuid::Uuid;
use weir::record::Segment;
use weir::sink::{ClaimRequest, Claimed, Keeper, Sink as _};
use weir::state::manifest::Content;
use weir::state::{ChunkId, Generation, Layer, Manifest};

use super::{Ticks, claim, empty, settings, sink};

const MINE: Generation = Generation([7; 32]);

/// A checkpoint at an offset, laid over these.
fn manifest(number: u128, at: i64, below: &[u128]) -> Manifest {
    let layer = |number: &u128| Layer { checkpoint: Uuid::from_u128(*number), chunks: 1, bytes: 9, entries: 1 };
    let layers = below.iter().chain([&number]).map(layer).collect();
    let (records, rows) = (at as u64, at as u64);
    let content = Content { stages: Vec::new(), layers };
    Manifest { id: Uuid::from_u128(number), at, generation: MINE, records, rows, idles: 0, content }
}

fn chunk(number: u128) -> ChunkId {
    ChunkId { checkpoint: Uuid::from_u128(number), number: 0 }
}

fn keeper(ticks: &Ticks) -> Result<Box<dyn Keeper>> {
    ticks.sink.keeper(None)?.context("this sink keeps checkpoints")
}

/// The offsets of the checkpoints that a claim brings, and the chain that spoke last.
async fn history(ticks: &Ticks) -> Result<(Vec<i64>, Option<Generation>)> {
    let request = ClaimRequest { lane: ticks.lane.clone(), start: None, stateful: true, generation: MINE };
    let mut answers = sink(settings(&ticks.db), "reader").claim(&[request]).await?;
    match answers.pop() {
        Some(Claimed::Held(_, history)) => {
            Ok((history.checkpoints.iter().map(|manifest| manifest.at).collect(), history.generation))
        }
        other => anyhow::bail!("{other:?}"),
    }
}

#[tokio::test]
async fn a_checkpoint_counts_only_under_its_claim_and_behind_the_position() -> Result<()> {
    let mut ticks = Ticks::start("checkpoint_counts").await?;
    let mut keeper = keeper(&ticks)?;
    let segment = ticks.segment(0, &["a", "b"]);
    ticks.write(segment).await.expect("a flush of the claimed lane");
    let first = ticks.claim.clone();
    assert!(!keeper.count(&first, &manifest(1, 3, &[]), true).await?, "the sink stands at 2");
    assert!(keeper.count(&first, &manifest(2, 2, &[]), true).await?);
    assert!(keeper.count(&first, &manifest(2, 2, &[]), true).await?, "asked again, it is the same");
    let second = claim(&mut sink(settings(&ticks.db), "second"), &ticks.lane, 0).await?;
    assert!(!keeper.count(&first, &manifest(3, 2, &[]), true).await?, "a zombie's checkpoint does not count");
    assert!(keeper.count(&second, &manifest(4, 1, &[]), true).await?);
    assert_eq!(history(&ticks).await?, (vec![2, 1], Some(MINE)));
    Ok(())
}

#[tokio::test]
async fn a_checkpoint_of_a_silence_counts_only_where_that_is_committed() -> Result<()> {
    let mut ticks = Ticks::start("checkpoint_of_silence").await?;
    let mut keeper = keeper(&ticks)?;
    let segment = ticks.segment(0, &["a", "b"]);
    ticks.write(segment).await.expect("a flush of the claimed lane");
    let (before, after) = (manifest(1, 2, &[]), Manifest { idles: 1, ..manifest(2, 2, &[]) });
    assert!(keeper.count(&ticks.claim, &before, true).await?);
    assert!(!keeper.count(&ticks.claim, &after, true).await?, "the sink stands at 2, but before the silence");
    let silence = Segment { idles: 1, ..empty(&ticks.lane, 2, 2) };
    ticks.write(silence.clone()).await.expect("a flush that moves no offset");
    ticks.write(silence).await.expect_err("it was written before");
    assert!(keeper.count(&ticks.claim, &after, true).await?);
    assert_eq!(history(&ticks).await?.0, [2, 2]);
    // The database comes back as it was before the silence, but its manifests do not: a restore by hand.
    ticks.db.batch_execute("UPDATE weir.position SET idle_advances = 0").await?;
    assert_eq!(history(&ticks).await?.0, [2]);
    Ok(())
}

#[tokio::test]
async fn three_checkpoints_are_kept_with_the_chunks_they_need() -> Result<()> {
    let mut ticks = Ticks::start("checkpoint_kept").await?;
    let mut keeper = keeper(&ticks)?;
    let segment = ticks.segment(0, &["a", "b", "c", "d", "e", "f"]);
    ticks.write(segment).await.expect("a flush of the claimed lane");
    let (lane, claim) = (ticks.lane.clone(), ticks.claim.clone());
    // A full one, two laid over it, and a full one again with one over it.
    let layers: [(u128, &[u128]); 5] = [(1, &[]), (2, &[1]), (3, &[1, 2]), (4, &[]), (5, &[4])];
    for (number, below) in layers {
        keeper.put(&lane, chunk(number), vec![number as u8; 9]).await?;
        ensure!(keeper.count(&claim, &manifest(number, number as i64, below), true).await?, "checkpoint {number}");
    }
    keeper.put(&lane, chunk(9), b"of a checkpoint that never counted".to_vec()).await?;
    keeper.put(&lane, chunk(6), vec![6; 9]).await?;
    assert!(keeper.get(&lane, chunk(1)).await.is_ok(), "the third newest lies over the first");
    ensure!(keeper.count(&claim, &manifest(6, 6, &[4, 5]), true).await?);
    assert_eq!(history(&ticks).await?.0, [6, 5, 4]);
    for number in [1, 2, 3, 9] {
        let error = keeper.get(&lane, chunk(number)).await.expect_err("a chunk that nobody needs");
        assert!(error.to_string().contains("is missing"), "{error}");
    }
    assert_eq!(keeper.get(&lane, chunk(4)).await?, [4; 9]);
    Ok(())
}

#[tokio::test]
async fn a_claim_removes_the_checkpoints_of_a_history_that_is_lost() -> Result<()> {
    let mut ticks = Ticks::start("checkpoint_lost").await?;
    let mut keeper = keeper(&ticks)?;
    let segment = ticks.segment(0, &["a", "b", "c", "d"]);
    ticks.write(segment).await.expect("a flush of the claimed lane");
    for at in [2, 4] {
        ensure!(keeper.count(&ticks.claim, &manifest(at as u128, at, &[]), true).await?);
    }
    ticks.db.batch_execute("UPDATE weir.position SET next_offset = 3").await?;
    assert_eq!(history(&ticks).await?.0, [2]);
    // Also when the sink has passed that offset again.
    ticks.db.batch_execute("UPDATE weir.position SET next_offset = 9").await?;
    assert_eq!(history(&ticks).await?.0, [2]);
    Ok(())
}
