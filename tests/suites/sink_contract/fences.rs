//! One lane of a flush is held by another worker: its segment goes, and the others are sent again byte for byte.

use anyhow::{Context, Result, bail};
use tokio::sync::{mpsc, watch};
use weir::clock::Clock;
use weir::record::{Claim, Flush, Lane, Segment};
use weir::sink::{ClaimRequest, Claimed, Sink as _};
use weir::state::Generation;
use weir::task::ages::Ages;
use weir::task::committer::{Answer, Committer, Request};
use weir::task::writer::{Fate, Report, Tolerance};

use super::{Ticks, claim, flush, settings, sink};

const LANES: i32 = 4;
/// The lane that another worker takes.
const TAKEN: usize = 2;

/// Claims all lanes from their beginning.
async fn claims(ticks: &mut Ticks) -> Result<Vec<Claim>> {
    let request = |partition| ClaimRequest {
        lane: Lane::new("ticks", partition),
        start: Some(0),
        stateful: false,
        generation: Generation([0; 32]),
    };
    let requests: Vec<ClaimRequest> = (0..LANES).map(request).collect();
    let held = |claimed| match claimed {
        Claimed::Held(claim, _) => Ok(claim),
        Claimed::NoPosition(lane) => bail!("{lane} has no position"),
    };
    ticks.sink.claim(&requests).await?.into_iter().map(held).collect()
}

/// What becomes of a flush by the committer.
async fn committed(sink: weir::sink::timescale::TimescaleSink, flush: Flush, claims: Vec<Claim>) -> Result<Report> {
    let (sender, mut answers) = mpsc::unbounded_channel();
    let committer = Committer {
        sink: Box::new(sink),
        tolerance: Tolerance::None,
        // A test that has failed does not listen any more.
        answers: Box::new(move |answer| sender.send(answer).unwrap_or_default()),
        waiting: Box::new(|_| {}),
        clock: Clock::start(),
        answer_max: weir::limits::DATABASE_ANSWER_MAX,
        ages: Ages::default(),
    };
    let (requests, received) = mpsc::channel(4);
    let (_abandon, abandoned) = watch::channel(false);
    tokio::spawn(committer.run(received, abandoned));
    requests.send(Request::Write(flush, claims)).await?;
    match answers.recv().await.context("no answer")? {
        Answer::Written(report, _) => Ok(report),
        other => bail!("{other:?}"),
    }
}

/// What is written of a segment.
fn bytes(segment: &Segment) -> (&Lane, i64, i64, &[u8], &[i64]) {
    (&segment.lane, segment.from, segment.to, &segment.data, &segment.lines)
}

#[tokio::test]
async fn a_fence_on_one_of_four_lanes_in_a_flush_costs_the_others_nothing() -> Result<()> {
    let mut ticks = Ticks::start("fence_of_four").await?;
    let claims = claims(&mut ticks).await?;
    let named = |partition: i32| ["a", "b", "c"].map(|name| format!("{name}{partition}"));
    let segments: Vec<Segment> = (0..LANES)
        .map(|partition| {
            let symbols = named(partition);
            let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
            ticks.segment_of(&Lane::new("ticks", partition), 0, &symbols)
        })
        .collect();
    let mut rival = sink(settings(&ticks.db), "rival");
    let taken = claim(&mut rival, &segments[TAKEN].lane, 0).await?;

    let report = committed(ticks.sink, Flush { segments: segments.clone() }, claims).await?;
    assert!(report.failure.is_none(), "{:?}", report.failure);
    assert_eq!((report.attempts, report.unknown), (2, 1), "once with the fenced lane, once without");
    assert_eq!(report.segments.len(), segments.len());
    for (segment, claim, fate) in &report.segments {
        let sent = segments.iter().find(|sent| sent.lane == segment.lane).context("a lane of the flush")?;
        assert_eq!(bytes(segment), bytes(sent), "byte for byte");
        assert_eq!(claim.lane, segment.lane);
        match fate {
            Fate::Fenced { owner } => assert_eq!((&segment.lane, owner.as_str()), (&taken.lane, "rival")),
            fate => assert!(matches!(fate, Fate::Committed) && segment.lane != taken.lane, "{fate:?}"),
        }
    }
    let positions = "SELECT string_agg(next_offset::text, ' ' ORDER BY partition) FROM weir.position";
    assert_eq!(ticks.db.value(positions).await?, "3 3 0 3");

    // Whoever took the lane writes its rows: all are there, each once.
    let segment = flush([segments[TAKEN].clone()]);
    super::encoder(&mut rival, "ticks").await?;
    rival.write(&segment, &[taken]).await.expect("the rows of the lane that it holds");
    assert_eq!(ticks.db.value(positions).await?, "3 3 3 3");
    let mut all: Vec<String> = (0..LANES).flat_map(named).collect();
    all.sort();
    let sql = "SELECT string_agg(symbol, ' ' ORDER BY symbol) FROM ticks";
    assert_eq!(ticks.db.value(sql).await?, all.join(" "));
    Ok(())
}
