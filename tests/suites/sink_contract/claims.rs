//! Claims: where a lane stands, whose it is, and what happens when two want it.

use std::collections::BTreeSet;

use anyhow::Result;
use weir::record::{Decision, DecisionKind, Lane, Stage};
use weir::sink::{ClaimRequest, Claimed, Level, Sink as _};
use weir::state::Generation;
use weir_tests::db::Db;

use super::{Ticks, claim, empty, flush, settings, sink};

fn request(lane: &Lane, start: Option<i64>) -> ClaimRequest {
    ClaimRequest { lane: lane.clone(), start, stateful: false, generation: Generation([0; 32]) }
}

#[tokio::test]
async fn a_new_lane_starts_where_it_is_told_and_goes_on_where_it_stands() -> Result<()> {
    let mut ticks = Ticks::start("claim_start").await?;
    assert_eq!(ticks.sink.level(), Level::ExactlyOnce);
    let first = ticks.claim.clone();
    assert_eq!((first.epoch, first.next_offset, first.start_offset), (1, 0, 0));
    assert_eq!((first.records, first.rows), (0, 0));

    let segment = ticks.segment(0, &["a", "b"]);
    ticks.write(segment).await.expect("a flush of the claimed lane");
    let second = claim(&mut sink(settings(&ticks.db), "second"), &ticks.lane, 77).await?;
    assert_eq!((second.epoch, second.next_offset, second.start_offset), (2, 2, 0));
    assert_eq!((second.records, second.rows), (2, 2));
    assert_ne!(second.token, first.token);
    Ok(())
}

#[tokio::test]
async fn a_lane_without_position_and_start_is_told_and_not_made() -> Result<()> {
    let db = Db::postgres("claim_none").await?;
    let mut sink = sink(settings(&db), "first");
    let (known, unknown) = (Lane::new("ticks", 0), Lane::new("ticks", 1));
    let answers = sink.claim(&[request(&unknown, None), request(&known, Some(5))]).await?;
    assert_eq!(answers[0], Claimed::NoPosition(unknown.clone()));
    assert!(matches!(&answers[1], Claimed::Held(claim, _) if claim.next_offset == 5));
    let rows = sink.positions(&[unknown, known]).await?;
    assert_eq!(rows[0], None);
    let row = rows[1].as_ref().expect("the claimed lane's row");
    assert_eq!((row.epoch, row.next_offset, row.owner.as_str()), (1, 5, "first"));
    Ok(())
}

#[tokio::test]
async fn two_workers_that_claim_the_same_lanes_in_opposite_order_take_turns() -> Result<()> {
    const LANES: i32 = 40;
    let db = Db::postgres("claim_race").await?;
    let (mut first, mut second) = (sink(settings(&db), "first"), sink(settings(&db), "second"));
    let forth: Vec<_> = (0..LANES).map(|partition| request(&Lane::new("ticks", partition), Some(0))).collect();
    let back: Vec<_> = forth.iter().rev().cloned().collect();
    let (forth, back) = tokio::join!(first.claim(&forth), second.claim(&back));
    let epochs = |answers: Vec<Claimed>| -> BTreeSet<i64> {
        let epoch = |answer| match answer {
            Claimed::Held(claim, _) => claim.epoch,
            Claimed::NoPosition(_) => 0,
        };
        answers.into_iter().map(epoch).collect()
    };
    let found: Vec<_> = [epochs(forth?), epochs(back?)].into_iter().flatten().collect();
    assert!(found == [1, 2] || found == [2, 1], "one claimed all lanes behind the other: {found:?}");
    Ok(())
}

#[tokio::test]
async fn decisions_come_back_up_to_where_the_lane_stands() -> Result<()> {
    let mut ticks = Ticks::start("claim_decisions").await?;
    let decision = |offset, kind, stage, detail: &str| Decision { offset, kind, stage, detail: detail.to_owned() };
    let made = vec![
        decision(1, DecisionKind::Rejected, Stage::Transform(2), "too late"),
        decision(3, DecisionKind::Excluded, Stage::ValueConverter, "a NUL\0 in the message"),
        decision(3, DecisionKind::Refused, Stage::Sink, "duplicate"),
    ];
    let mut segment = empty(&ticks.lane, 0, 10);
    segment.decisions.clone_from(&made);
    ticks.write(segment).await.expect("a flush of decisions alone");

    let ask = |stateful| ClaimRequest { stateful, ..request(&Lane::new("ticks", 0), None) };
    let quiet = ticks.sink.claim(&[ask(false)]).await?;
    assert!(matches!(&quiet[0], Claimed::Held(claim, _) if claim.decisions.is_empty()));
    let told = ticks.sink.claim(&[ask(true)]).await?;
    let Claimed::Held(claim, _) = &told[0] else { panic!("{told:?}") };
    let mut expected = made;
    expected[1].detail = "a NUL\u{fffd} in the message".to_owned();
    assert_eq!(claim.decisions, expected);
    Ok(())
}

#[tokio::test]
async fn a_decision_of_a_newer_weir_is_not_passed_over() -> Result<()> {
    let mut ticks = Ticks::start("claim_unknown").await?;
    ticks.write(empty(&ticks.lane, 0, 10)).await.expect("an advance");
    let insert = "INSERT INTO weir.decision VALUES ('ticks-sma', 'ticks', 0, 4, 'postponed', 1, '')";
    ticks.db.batch_execute(insert).await?;
    let ask = ClaimRequest { stateful: true, ..request(&ticks.lane, None) };
    let error = ticks.sink.claim(&[ask]).await.expect_err("an unknown decision");
    assert_eq!(
        error.report(),
        "decision postponed at offset 4 of ticks-0 is none that this weir knows. Run a weir as new as the one \
         that last wrote the schema."
    );
    let epoch = ticks.db.number("SELECT epoch FROM weir.position").await?;
    assert_eq!(epoch, 1, "a claim that fails claims nothing");
    assert!(ticks.sink.write(&flush([empty(&ticks.lane, 10, 11)]), &[ticks.claim]).await.is_ok());
    Ok(())
}
