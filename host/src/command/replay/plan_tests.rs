//! Which state a replay begins with, and where it ends.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use uuid::Uuid;

use super::*;
use crate::state::manifest::Content;
use crate::state::{Generation, Manifest};

fn source(pipeline: &str, at: i64) -> Source {
    let content = Content { stages: Vec::new(), layers: Vec::new() };
    let manifest =
        Manifest { id: Uuid::nil(), at, generation: Generation([1; 32]), records: 0, rows: 0, idles: 0, content };
    Source { pipeline: pipeline.to_owned(), in_directory: false, manifest }
}

fn standing(start_offset: i64, next_offset: i64) -> Standing {
    Standing { lane: Lane::new("t", 0), next_offset, start_offset }
}

/// The step of a stateful lane whose log reaches from `low` to 1000.
fn step(low: i64, standing: Option<&Standing>, states: &[Source], from: i64, cold: bool) -> Result<Step> {
    let lane = Lane::new("t", 0);
    let states = states.iter().collect();
    let known = Known { lane: &lane, ends: (low, 1_000), standing, states, stateful: true };
    Ok(known.step(from, i64::MAX, false, cold)?.unwrap())
}

#[test]
fn the_newest_state_at_or_before_the_start_is_begun_with() {
    let states = [source("p", 500), source("p", 300), source("@savepoint/s", 400), source("p", 20)];
    let standing = standing(0, 900);
    let begin = |from| step(0, Some(&standing), &states, from, false).unwrap().begin;
    for (from, expected) in [(450, 400), (500, 500), (399, 300), (21, 20)] {
        let Begin::With { source, else_from } = begin(from) else { panic!("{from} has a state before it") };
        assert_eq!((source.manifest.at, else_from), (expected, Some(0)));
    }
    assert!(matches!(begin(10), Begin::Rebuilt(0)));
    assert!(matches!(begin(0), Begin::Without));
}

#[test]
fn state_that_cannot_be_rebuilt_is_told_unless_an_empty_one_is_asked_for() {
    let standing = standing(0, 900);
    // The checkpoint at 20 is of no use: what follows it is not in the log any more.
    let states = [source("p", 500), source("p", 20)];
    let error = step(100, Some(&standing), &states, 450, false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the state of t-0 at offset 450 cannot be rebuilt: no checkpoint or savepoint lies at or before it, and the log \
         begins at 100, after 0 where the pipeline began; `--cold` begins with empty state"
    );
    assert!(matches!(step(100, Some(&standing), &states, 450, true).unwrap().begin, Begin::Cold));
    let cut_off = step(100, Some(&standing), &states, 600, false).unwrap().begin;
    assert!(matches!(cut_off, Begin::With { else_from: None, .. }), "the log alone does not rebuild it");
}

#[test]
fn a_pipeline_that_has_not_run_begins_at_the_oldest_record() {
    assert!(matches!(step(100, None, &[], 450, false).unwrap().begin, Begin::Rebuilt(100)));
    assert!(matches!(
        step(100, None, &[], 7, false).unwrap(),
        Step { from: 100, to: 1_000, begin: Begin::Without, .. }
    ));
}

#[test]
fn a_rewind_ends_where_the_pipeline_stands() {
    let (lane, standing) = (Lane::new("t", 0), standing(0, 600));
    let known = Known { lane: &lane, ends: (0, 1_000), standing: Some(&standing), states: vec![], stateful: false };
    let step = known.step(200, i64::MAX, true, false).unwrap().unwrap();
    assert_eq!((step.from, step.to), (200, 600));
    assert!(known.step(600, i64::MAX, true, false).unwrap().is_none());
    assert!(Known { standing: None, ..known }.step(200, i64::MAX, true, false).unwrap().is_none());
}

#[test]
fn moments_are_offsets_times_or_ends() {
    assert_eq!("17".parse(), Ok(Moment::Offset(17)));
    assert_eq!("1970-01-01T00:00:02Z".parse(), Ok(Moment::Time(2_000)));
    assert_eq!("1970-01-01T01:00:02+01:00".parse(), Ok(Moment::Time(2_000)));
    assert_eq!("earliest".parse(), Ok(Moment::Earliest));
    for wrong in ["-1", "yesterday", ""] {
        assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
    }
}
