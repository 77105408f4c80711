//! Whether and when another chain takes over in a pipeline, for all its tasks together. Pure: what is offered, what tasks
//! tell and what operators ask go in, orders come out.
//!
//! A candidate is prepared by every task, is let speak in all lanes or in none, and is then on probation, for which the
//! chain before follows the stream. A candidate that is offered meanwhile takes the place of one that does not speak yet,
//! and ends the probation of one that does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::config::pipeline::{Swap as Rules, SwapPolicy};
use crate::error::Error;
use crate::state::Generation;
use crate::task::comparison::Comparison;
use crate::task::line::Line;
use crate::task::swap::{Candidate, News, Order};

/// How long a candidate that is ready waits for a first row to be compared, in milliseconds.
const FIRST_ROW_MS: u64 = 5_000;
/// Lives of candidates that are remembered.
const LIVES_MAX: usize = 20;

/// Where a candidate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is given the state and follows the stream.
    Canary,
    /// It follows, and waits for an operator's word.
    Waiting,
    /// It is being let speak.
    CuttingOver,
    /// It speaks, and the chain before follows.
    Probation,
    /// It speaks.
    Active,
    /// A newer one took its place.
    Parked,
    /// It does not speak, and why.
    Refused,
    /// It spoke, and the chain before speaks again.
    RolledBack,
}

impl Stage {
    /// Its word in status, log and tables.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Canary => "canary",
            Stage::Waiting => "waiting for approval",
            Stage::CuttingOver => "cutting over",
            Stage::Probation => "probation",
            Stage::Active => "active",
            Stage::Parked => "parked",
            Stage::Refused => "refused",
            Stage::RolledBack => "rolled back",
        }
    }
}

/// What is known of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Its generation.
    pub generation: Generation,
    /// Its plugins: `sma 1.1.0`.
    pub name: String,
    /// Where it stands.
    pub stage: Stage,
    /// Why, or what it would change.
    pub detail: String,
}

/// What follows from an event.
#[derive(Debug)]
pub enum Step {
    /// Tell every task.
    Tell(Order),
    /// A candidate has come to a stage: to be logged, counted and shown.
    Came(Life, Box<Line>),
    /// A candidate speaks in all lanes.
    Speaks(Arc<Candidate>),
    /// It does no longer.
    TakenBack(Arc<Candidate>),
    /// The candidate is not to be offered again unless an operator approves it.
    Refuse(Arc<Candidate>, String),
}

/// The swaps of one pipeline.
#[derive(Debug)]
pub struct Swaps {
    rules: Rules,
    tasks: usize,
    phase: Phase,
    /// Offered while another one was changing over.
    next: Option<Arc<Candidate>>,
    lives: VecDeque<Life>,
}

#[derive(Debug)]
enum Phase {
    Quiet,
    Preparing {
        candidate: Arc<Candidate>,
        ready: BTreeMap<usize, Comparison>,
        approved: bool,
        /// Until when a first row to compare is waited for.
        patience_ms: Option<u64>,
    },
    Cutting {
        candidate: Arc<Candidate>,
        spoken: BTreeMap<usize, Duration>,
        changes: Comparison,
    },
    Probation {
        candidate: Arc<Candidate>,
        until_ms: u64,
    },
    RollingBack {
        candidate: Arc<Candidate>,
        why: String,
        done: BTreeSet<usize>,
    },
}

impl Swaps {
    /// A pipeline of so many tasks in which nothing is swapped.
    pub fn new(rules: Rules, tasks: usize) -> Self {
        Swaps { rules, tasks, phase: Phase::Quiet, next: None, lives: VecDeque::new() }
    }

    /// Goes on by other rules.
    pub fn follow(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// What became of the candidates, the oldest first.
    pub fn lives(&self) -> impl Iterator<Item = &Life> {
        self.lives.iter()
    }

    /// The generation that is to speak next, where one is.
    pub fn underway(&self) -> Option<Generation> {
        let candidate = self.next.as_ref().or(match &self.phase {
            Phase::Quiet | Phase::Probation { .. } | Phase::RollingBack { .. } => None,
            Phase::Preparing { candidate, .. } | Phase::Cutting { candidate, .. } => Some(candidate),
        });
        candidate.map(|candidate| candidate.line.generation)
    }

    /// Whether what spoke before takes over again.
    pub fn is_going_back(&self) -> bool {
        matches!(self.phase, Phase::RollingBack { .. })
    }

    /// Whether no chain follows or changes over.
    pub fn is_quiet(&self) -> bool {
        matches!(self.phase, Phase::Quiet)
    }

    /// Takes a candidate. `approved`: by an operator, whatever the policy would say.
    pub fn offer(&mut self, candidate: Arc<Candidate>, approved: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        match std::mem::replace(&mut self.phase, Phase::Quiet) {
            changing @ (Phase::Cutting { .. } | Phase::RollingBack { .. }) => {
                self.phase = changing;
                self.next = Some(candidate);
                return steps;
            }
            Phase::Preparing { candidate: older, .. } => {
                steps.push(self.came(&older, Stage::Parked, format!("{} came after it", candidate.line.name())));
            }
            Phase::Probation { candidate: older, .. } => {
                steps.push(Step::Tell(Order::End(older.number)));
                steps.push(self.settled(&older));
            }
            Phase::Quiet => {}
        }
        steps.push(self.came(&candidate, Stage::Canary, String::new()));
        steps.push(Step::Tell(Order::Offer(Arc::clone(&candidate))));
        self.phase = Phase::Preparing { candidate, ready: BTreeMap::new(), approved, patience_ms: None };
        steps
    }

    /// What speaks is to go on: lets go a candidate that does not speak yet.
    pub fn withdraw(&mut self) -> Vec<Step> {
        self.next = None;
        let Phase::Preparing { candidate, .. } = &self.phase else { return Vec::new() };
        let candidate = Arc::clone(candidate);
        self.phase = Phase::Quiet;
        let why = "it is not wanted any more".to_owned();
        vec![Step::Tell(Order::End(candidate.number)), self.came(&candidate, Stage::Parked, why)]
    }

    /// A candidate that cannot even be offered.
    pub fn refuse(&mut self, line: &Line, error: &Error) -> Vec<Step> {
        let (generation, name) = (line.generation, line.name());
        let life = Life { generation, name, stage: Stage::Refused, detail: error.to_string() };
        vec![self.note(life, line)]
    }

    /// Takes what a task tells of candidate `number`.
    pub fn heard(&mut self, task: usize, number: u64, news: News, now_ms: u64) -> Vec<Step> {
        if self.candidate().is_none_or(|candidate| candidate.number != number) {
            return Vec::new();
        }
        match (&mut self.phase, news) {
            (Phase::Preparing { ready, .. }, News::Ready(comparison)) => {
                ready.insert(task, comparison);
                self.decide(now_ms)
            }
            (Phase::Preparing { .. }, News::Refused(error)) => self.give_up(error.to_string()),
            (Phase::Cutting { spoken, .. }, News::Speaks(pause)) => {
                spoken.insert(task, pause);
                self.settle(now_ms)
            }
            (Phase::Cutting { .. } | Phase::Probation { .. }, News::Broke(error)) => self.take_back(error.to_string()),
            (Phase::RollingBack { done, .. }, News::RolledBack) => {
                done.insert(task);
                self.taken_back()
            }
            _ => Vec::new(),
        }
    }

    /// A task has ended, so that nothing is to be heard from it.
    pub fn gone(&mut self, task: usize, now_ms: u64) -> Vec<Step> {
        match &mut self.phase {
            Phase::Preparing { ready, .. } if !ready.contains_key(&task) => {
                ready.insert(task, Comparison::default());
                self.decide(now_ms)
            }
            Phase::Cutting { spoken, .. } if !spoken.contains_key(&task) => {
                spoken.insert(task, Duration::ZERO);
                self.settle(now_ms)
            }
            Phase::RollingBack { done, .. } if !done.contains(&task) => {
                done.insert(task);
                self.taken_back()
            }
            _ => Vec::new(),
        }
    }

    /// Lets the candidate speak, whatever the policy says. None: there is none that waits.
    pub fn approve(&mut self) -> Option<Vec<Step>> {
        let Phase::Preparing { approved, .. } = &mut self.phase else { return None };
        *approved = true;
        Some(self.decide(0))
    }

    /// Lets the chain before speak again. None: there is nothing to take back.
    pub fn roll_back(&mut self, why: &str) -> Option<Vec<Step>> {
        match &self.phase {
            Phase::Preparing { .. } => Some(self.give_up(why.to_owned())),
            Phase::Cutting { .. } | Phase::Probation { .. } => Some(self.take_back(why.to_owned())),
            Phase::Quiet | Phase::RollingBack { .. } => None,
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Step> {
        if matches!(self.phase, Phase::Preparing { patience_ms: Some(until), .. } if now_ms >= until) {
            return self.decide(now_ms);
        }
        if !matches!(self.phase, Phase::Probation { until_ms, .. } if now_ms >= until_ms) {
            return Vec::new();
        }
        let Some(candidate) = self.candidate() else { return Vec::new() };
        self.phase = Phase::Quiet;
        vec![Step::Tell(Order::End(candidate.number)), self.settled(&candidate)]
    }

    /// The candidate that is being prepared, speaks on probation, or is taken back.
    pub fn candidate(&self) -> Option<Arc<Candidate>> {
        match &self.phase {
            Phase::Quiet => None,
            Phase::Preparing { candidate, .. }
            | Phase::Cutting { candidate, .. }
            | Phase::Probation { candidate, .. }
            | Phase::RollingBack { candidate, .. } => Some(Arc::clone(candidate)),
        }
    }

    /// Whether a candidate that every task has prepared may speak.
    fn decide(&mut self, now_ms: u64) -> Vec<Step> {
        let Phase::Preparing { candidate, ready, approved, patience_ms } = &mut self.phase else { return Vec::new() };
        let (candidate, approved) = (Arc::clone(candidate), *approved);
        let changes = ready.values().fold(Comparison::default(), Comparison::and);
        let equal = self.rules.policy == SwapPolicy::CanaryEqual && !approved;
        if equal && changes.differing > 0 {
            return self.give_up(format!("its rows are not those of the version that runs: {changes}"));
        }
        if ready.len() < self.tasks || (equal && changes.rows == 0) {
            return Vec::new();
        }
        // One that breaks on the first row should do so before it speaks; a silent stream is not waited for in vain.
        if changes.rows == 0 && !approved && now_ms < *patience_ms.get_or_insert(now_ms + FIRST_ROW_MS) {
            return Vec::new();
        }
        if self.rules.policy == SwapPolicy::Manual && !approved {
            let is_told = self.lives.back().is_some_and(|life| life.stage == Stage::Waiting);
            let step = self.came(&candidate, Stage::Waiting, changes.to_string());
            return if is_told { Vec::new() } else { vec![step] };
        }
        self.phase =
            Phase::Cutting { candidate: Arc::clone(&candidate), spoken: BTreeMap::new(), changes: changes.clone() };
        vec![self.came(&candidate, Stage::CuttingOver, changes.to_string()), Step::Tell(Order::Cut(candidate.number))]
    }

    fn settle(&mut self, now_ms: u64) -> Vec<Step> {
        let Phase::Cutting { candidate, spoken, changes } = &self.phase else { return Vec::new() };
        if spoken.len() < self.tasks {
            return Vec::new();
        }
        let pause = spoken.values().max().copied().unwrap_or_default();
        let (candidate, detail) =
            (Arc::clone(candidate), format!("pause {:.1} ms; {changes}", pause.as_secs_f64() * 1e3));
        self.phase = Phase::Probation { candidate: Arc::clone(&candidate), until_ms: now_ms + self.rules.probation_ms };
        let mut steps = vec![Step::Speaks(Arc::clone(&candidate)), self.came(&candidate, Stage::Probation, detail)];
        steps.extend(self.offer_next());
        steps
    }

    /// A candidate that does not speak is not to.
    fn give_up(&mut self, why: String) -> Vec<Step> {
        let Some(candidate) = self.candidate() else { return Vec::new() };
        self.phase = Phase::Quiet;
        let mut steps = vec![
            Step::Tell(Order::End(candidate.number)),
            self.came(&candidate, Stage::Refused, why.clone()),
            Step::Refuse(candidate, why),
        ];
        steps.extend(self.offer_next());
        steps
    }

    /// A candidate that speaks is not to go on.
    fn take_back(&mut self, why: String) -> Vec<Step> {
        let Some(candidate) = self.candidate() else { return Vec::new() };
        let number = candidate.number;
        self.phase = Phase::RollingBack { candidate, why, done: BTreeSet::new() };
        vec![Step::Tell(Order::RollBack(number))]
    }

    fn taken_back(&mut self) -> Vec<Step> {
        let Phase::RollingBack { candidate, why, done } = &self.phase else { return Vec::new() };
        if done.len() < self.tasks {
            return Vec::new();
        }
        let (candidate, why) = (Arc::clone(candidate), why.clone());
        self.phase = Phase::Quiet;
        let mut steps = vec![
            Step::Tell(Order::End(candidate.number)),
            Step::TakenBack(Arc::clone(&candidate)),
            self.came(&candidate, Stage::RolledBack, why.clone()),
            Step::Refuse(candidate, why),
        ];
        steps.extend(self.offer_next());
        steps
    }

    fn offer_next(&mut self) -> Vec<Step> {
        self.next.take().map(|next| self.offer(next, false)).unwrap_or_default()
    }

    fn came(&mut self, candidate: &Candidate, stage: Stage, detail: String) -> Step {
        let (generation, name) = (candidate.line.generation, candidate.line.name());
        self.note(Life { generation, name, stage, detail }, &candidate.line)
    }

    /// A candidate speaks, and nothing else does; what it changed stays told.
    fn settled(&mut self, candidate: &Candidate) -> Step {
        let before = self.lives.iter().find(|life| life.generation == candidate.line.generation);
        let detail = before.map(|life| life.detail.clone()).unwrap_or_default();
        self.came(candidate, Stage::Active, detail)
    }

    /// Remembers where a candidate stands, in place of where it stood.
    fn note(&mut self, life: Life, line: &Line) -> Step {
        self.lives.retain(|old| old.generation != life.generation);
        self.lives.push_back(life.clone());
        while self.lives.len() > LIVES_MAX {
            self.lives.pop_front();
        }
        Step::Came(life, Box::new(line.clone()))
    }
}

#[cfg(test)]
#[path = "swap_tests.rs"]
mod tests;
