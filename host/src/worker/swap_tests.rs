//! The courses that swaps take: what is offered, told and asked in, orders out.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test may panic")]

use super::*;
use crate::convert;
use crate::error::Kind;
use crate::task::line::Nature;
use crate::task::member::Converters;
use crate::transform::Chain;

const PROBATION_MS: u64 = 1_000;

fn candidate(number: u64) -> Arc<Candidate> {
    let converters =
        Converters { key: convert::by_name("string").unwrap(), value: convert::by_name("string").unwrap() };
    let line = Line {
        generation: Generation([number as u8; 32]),
        plugins: Vec::new(),
        converters,
        chain: Arc::new(|_| Ok(Chain::default())),
    };
    Arc::new(Candidate { number, line, nature: Nature { stateful: true, outputs: Vec::new() } })
}

fn swaps(policy: SwapPolicy) -> Swaps {
    Swaps::new(Rules { policy, probation_ms: PROBATION_MS }, 2)
}

/// The steps in short: orders by their first word, candidates by number and stage.
fn told(steps: &[Step]) -> Vec<String> {
    let short = |step: &Step| match step {
        Step::Tell(Order::Offer(candidate)) => format!("offer {}", candidate.number),
        Step::Tell(Order::Cut(number)) => format!("cut {number}"),
        Step::Tell(Order::RollBack(number)) => format!("roll back {number}"),
        Step::Tell(Order::End(number)) => format!("end {number}"),
        Step::Came(life, _) => format!("{} {}", life.generation.0[0], life.stage.name()),
        Step::Speaks(candidate) => format!("speaks {}", candidate.number),
        Step::TakenBack(candidate) => format!("taken back {}", candidate.number),
        Step::Refuse(candidate, why) => format!("refuse {}: {why}", candidate.number),
    };
    steps.iter().map(short).collect()
}

fn same(rows: u64) -> News {
    News::Ready(Comparison { rows, ..Comparison::default() })
}

fn other() -> News {
    News::Ready(Comparison { rows: 9, differing: 3, first: Some("t-0, offset 7, sma: 1 became 2".to_owned()) })
}

fn speaks() -> News {
    News::Speaks(Duration::from_micros(2_500))
}

fn trap() -> Error {
    Error::new(Kind::PluginTrap, "boom")
}

/// Swaps whose candidate 1 speaks in both tasks.
fn in_probation(policy: SwapPolicy) -> Swaps {
    let mut swaps = swaps(policy);
    swaps.offer(candidate(1), false);
    for task in 0..2 {
        swaps.heard(task, 1, same(5), 0);
    }
    for task in 0..2 {
        swaps.heard(task, 1, speaks(), 0);
    }
    swaps
}

#[test]
fn a_candidate_speaks_in_all_tasks_or_in_none() {
    let mut swaps = swaps(SwapPolicy::Auto);
    assert_eq!(told(&swaps.offer(candidate(1), false)), ["1 canary", "offer 1"]);
    assert!(swaps.heard(0, 1, other(), 0).is_empty(), "the other task has not prepared it");
    assert!(swaps.heard(0, 1, other(), 0).is_empty());
    assert_eq!(told(&swaps.heard(1, 1, same(4), 0)), ["1 cutting over", "cut 1"]);
    assert!(swaps.heard(1, 1, speaks(), 5).is_empty());
    assert_eq!(told(&swaps.heard(0, 1, speaks(), 5)), ["speaks 1", "1 probation"]);
    let life = swaps.lives().last().unwrap();
    let changes = "pause 2.5 ms; 3 of 13 rows differ (first: t-0, offset 7, sma: 1 became 2)";
    assert_eq!(life.detail, changes);
    assert!(swaps.tick(5 + PROBATION_MS - 1).is_empty());
    assert_eq!(told(&swaps.tick(5 + PROBATION_MS)), ["end 1", "1 active"]);
    assert!(swaps.is_quiet());
}

#[test]
fn a_candidate_whose_rows_differ_is_refused_where_they_must_not() {
    let mut swaps = swaps(SwapPolicy::CanaryEqual);
    swaps.offer(candidate(1), false);
    for task in 0..2 {
        assert!(swaps.heard(task, 1, same(0), 0).is_empty(), "nothing was compared yet");
    }
    let steps = told(&swaps.heard(0, 1, other(), 0));
    assert_eq!(&steps[..2], ["end 1", "1 refused"]);
    assert!(steps[2].starts_with("refuse 1: its rows are not those of the version that runs: 3 of 9"), "{steps:?}");
    assert!(swaps.heard(0, 1, same(5), 0).is_empty(), "it is nobody's candidate any more");
    let approved = told(&swaps.offer(candidate(2), true));
    assert_eq!(approved, ["2 canary", "offer 2"]);
    swaps.heard(0, 2, other(), 0);
    assert_eq!(told(&swaps.heard(1, 2, other(), 0)), ["2 cutting over", "cut 2"], "an operator has the last word");
}

#[test]
fn equal_rows_let_a_candidate_speak() {
    let mut swaps = swaps(SwapPolicy::CanaryEqual);
    swaps.offer(candidate(1), false);
    swaps.heard(0, 1, same(0), 0);
    assert_eq!(told(&swaps.heard(1, 1, same(1), 0)), ["1 cutting over", "cut 1"]);
}

#[test]
fn an_operator_lets_a_candidate_speak_by_hand() {
    let mut swaps = swaps(SwapPolicy::Manual);
    assert!(swaps.approve().is_none(), "there is nothing to approve");
    swaps.offer(candidate(1), false);
    swaps.heard(0, 1, other(), 0);
    assert_eq!(told(&swaps.heard(1, 1, same(4), 0)), ["1 waiting for approval"]);
    assert!(swaps.heard(1, 1, same(4), 0).is_empty(), "told once while nothing changes");
    assert_eq!(told(&swaps.approve().unwrap()), ["1 cutting over", "cut 1"]);
}

#[test]
fn a_newer_candidate_takes_the_place_of_one_that_does_not_speak_and_ends_a_probation() {
    let mut swaps = swaps(SwapPolicy::Auto);
    swaps.offer(candidate(1), false);
    assert_eq!(told(&swaps.offer(candidate(2), false)), ["1 parked", "2 canary", "offer 2"]);
    for task in 0..2 {
        swaps.heard(task, 2, same(1), 0);
    }
    assert!(swaps.offer(candidate(3), false).is_empty(), "it waits while another one changes over");
    swaps.heard(0, 2, speaks(), 0);
    let steps = told(&swaps.heard(1, 2, speaks(), 0));
    let expected = ["speaks 2", "2 probation", "end 2", "2 active", "3 canary", "offer 3"];
    assert_eq!(steps, expected);
}

#[test]
fn a_candidate_that_is_not_wanted_any_more_is_let_go_until_it_speaks() {
    let mut preparing = swaps(SwapPolicy::Manual);
    preparing.offer(candidate(1), false);
    assert_eq!(told(&preparing.withdraw()), ["end 1", "1 parked"]);
    assert!(preparing.is_quiet() && preparing.withdraw().is_empty());
    let mut speaking = in_probation(SwapPolicy::Auto);
    assert!(speaking.withdraw().is_empty() && !speaking.is_quiet());
    speaking.heard(0, 1, News::Broke(trap()), 0);
    assert!(speaking.is_going_back() && speaking.offer(candidate(2), false).is_empty());
    assert_eq!(speaking.underway(), Some(Generation([2; 32])));
    speaking.withdraw();
    assert_eq!(speaking.underway(), None, "what waits for its turn is let go as well");
}

#[test]
fn a_task_that_cannot_have_a_candidate_refuses_it_for_all() {
    let mut swaps = swaps(SwapPolicy::Auto);
    swaps.offer(candidate(1), false);
    swaps.heard(0, 1, same(4), 0);
    let steps = told(&swaps.heard(1, 1, News::Refused(trap()), 0));
    assert_eq!(steps, ["end 1", "1 refused", "refuse 1: boom"]);
    assert!(swaps.is_quiet());
}

#[test]
fn a_candidate_that_breaks_while_it_speaks_is_taken_back_in_all_tasks() {
    let mut swaps = in_probation(SwapPolicy::Auto);
    assert_eq!(told(&swaps.heard(1, 1, News::Broke(trap()), 10)), ["roll back 1"]);
    assert!(swaps.heard(1, 1, News::RolledBack, 10).is_empty());
    assert!(swaps.heard(1, 1, News::RolledBack, 10).is_empty(), "a task counts once");
    let steps = told(&swaps.heard(0, 1, News::RolledBack, 10));
    assert_eq!(steps, ["end 1", "taken back 1", "1 rolled back", "refuse 1: boom"]);
}

#[test]
fn an_operator_takes_back_what_speaks_and_what_does_not_yet() {
    let mut speaking = in_probation(SwapPolicy::Auto);
    assert_eq!(told(&speaking.roll_back("by hand").unwrap()), ["roll back 1"]);
    assert!(speaking.roll_back("by hand").is_none(), "that is under way");
    let mut preparing = swaps(SwapPolicy::Auto);
    preparing.offer(candidate(1), false);
    let steps = told(&preparing.roll_back("by hand").unwrap());
    assert_eq!(steps, ["end 1", "1 refused", "refuse 1: by hand"]);
}

#[test]
fn a_silent_stream_is_not_waited_for_in_vain() {
    let mut swaps = swaps(SwapPolicy::Auto);
    swaps.offer(candidate(1), false);
    for task in 0..2 {
        assert!(swaps.heard(task, 1, same(0), 7).is_empty(), "it may break on the first row");
    }
    assert!(swaps.tick(7 + FIRST_ROW_MS - 1).is_empty());
    assert_eq!(told(&swaps.tick(7 + FIRST_ROW_MS)), ["1 cutting over", "cut 1"]);
}

#[test]
fn a_task_that_has_ended_is_not_waited_for() {
    let mut swaps = swaps(SwapPolicy::Auto);
    swaps.offer(candidate(1), false);
    swaps.heard(0, 1, same(4), 0);
    assert_eq!(told(&swaps.gone(1, 0)), ["1 cutting over", "cut 1"]);
    swaps.heard(0, 1, speaks(), 0);
    assert_eq!(told(&swaps.gone(1, 0)), ["speaks 1", "1 probation"]);
    swaps.heard(0, 1, News::Broke(trap()), 0);
    swaps.heard(0, 1, News::RolledBack, 0);
    assert_eq!(told(&swaps.gone(1, 0))[0], "end 1");
}
