//! A deterministic simulation: the production state machine, books and writer of two workers against a simulated
//! log and a simulated transactional database, under kills, zombies, lost answers, refusals and a database that
//! goes back in time. One seed is one course of events; a failure names it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed simulation may panic")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use super::machine::{Action, Event, Machine, Settings};
use super::writer::{Step, Tolerance, Writer};
use crate::error::{Error, Kind};
use crate::record::{Claim, Flush, Lane, PositionRow, Segment};
use crate::sink::{ClaimRequest, Claimed, Refusal, WriteError};

const LANES: i32 = 3;
const RECORDS: i64 = 60;
const STEPS: usize = 400;

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough to choose.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Offsets that exist: every seventh is a gap, as compaction and transaction markers leave them.
fn exists(offset: i64) -> bool {
    offset % 7 != 6
}

/// Offsets whose rows the database refuses.
fn is_poison(offset: i64) -> bool {
    offset % 23 == 11
}

/// Rows and positions, always changed together.
#[derive(Clone, Default)]
struct Database {
    positions: BTreeMap<Lane, PositionRow>,
    rows: BTreeMap<Lane, Vec<i64>>,
    decisions: BTreeMap<Lane, Vec<i64>>,
}

impl Database {
    fn claim(&mut self, request: &ClaimRequest, owner: &str, random: &mut Random) -> Claimed {
        let row = match (self.positions.get(&request.lane), request.start) {
            (Some(row), _) => row.clone(),
            (None, None) => return Claimed::NoPosition(request.lane.clone()),
            (None, Some(start)) => {
                PositionRow { epoch: 0, token: Uuid::nil(), next_offset: start, owner: String::new() }
            }
        };
        let row = PositionRow {
            epoch: row.epoch + 1,
            token: Uuid::from_u128(u128::from(random.next())),
            owner: owner.to_owned(),
            ..row
        };
        self.positions.insert(request.lane.clone(), row.clone());
        Claimed::Held(Claim {
            lane: request.lane.clone(),
            epoch: row.epoch,
            token: row.token,
            next_offset: row.next_offset,
            start_offset: 0,
            records: 0,
            rows: 0,
            decisions: Vec::new(),
        })
    }

    /// One transaction: everything or nothing.
    fn commit(&mut self, flush: &Flush, claims: &[Claim]) -> Result<(), WriteError> {
        for (at, segment) in flush.segments.iter().enumerate() {
            if let Some(line) = segment.lines.iter().position(|&offset| is_poison(offset)) {
                return Err(WriteError::Refused(Refusal {
                    segment: at,
                    line: Some(line),
                    column: None,
                    sqlstate: "23514".into(),
                    message: "poison".into(),
                }));
            }
        }
        let matches = flush.segments.iter().zip(claims).all(|(segment, claim)| {
            self.positions.get(&segment.lane).is_some_and(|row| {
                row.epoch == claim.epoch && row.token == claim.token && row.next_offset == segment.from
            })
        });
        if !matches {
            return Err(WriteError::Unknown(Error::new(Kind::Fenced, "the position is not as expected")));
        }
        for segment in &flush.segments {
            let stored: Vec<i64> =
                segment.data.chunks_exact(8).map(|b| i64::from_be_bytes(b.try_into().unwrap())).collect();
            assert_eq!(stored, segment.lines, "data and lines belong together");
            self.rows.entry(segment.lane.clone()).or_default().extend(stored);
            let decided = segment.decisions.iter().map(|d| d.offset);
            self.decisions.entry(segment.lane.clone()).or_default().extend(decided);
            self.positions.get_mut(&segment.lane).unwrap().next_offset = segment.to;
        }
        Ok(())
    }
}

/// What a simulated committer has to do.
enum Work {
    Claim(u64, Vec<ClaimRequest>),
    Write(Box<Writer>, Step),
}

/// One worker: the production machine, and a committer that takes one step at a time.
struct Worker {
    name: String,
    machine: Machine,
    work: VecDeque<Work>,
    read_at: BTreeMap<Lane, i64>,
    failed: Option<Error>,
}

impl Worker {
    fn new(name: String) -> Self {
        let settings = Settings { stateful: false, linger_ms: 0, flush_rows_max: 9, flush_bytes_max: 1 << 20 };
        let mut worker = Worker {
            name,
            machine: Machine::new(settings),
            work: VecDeque::new(),
            read_at: BTreeMap::new(),
            failed: None,
        };
        worker.on(Event::Prepared(Arc::from("t")), 0);
        worker
    }

    fn on(&mut self, event: Event, now: u64) {
        for action in self.machine.on(event, now) {
            match action {
                Action::Claim { asked, requests } => self.work.push_back(Work::Claim(asked, requests)),
                Action::FindStarts { asked, lanes } => {
                    let starts = lanes.into_iter().map(|lane| (lane, 0)).collect();
                    self.on(Event::Starts { asked, starts }, now);
                }
                Action::Start(claim) => {
                    self.read_at.insert(claim.lane, claim.next_offset);
                }
                Action::Stop { lanes, .. } => self.read_at.retain(|lane, _| !lanes.contains(lane)),
                Action::Write(flush, claims) => {
                    let writer = Writer::new(flush, claims, Tolerance::All);
                    self.work.push_back(Work::Write(Box::new(writer), Step::Attempt));
                }
                Action::Fail(error) => self.failed = Some(error),
                Action::End => {}
            }
        }
    }

    /// Reads up to a few records of some lane.
    fn read(&mut self, random: &mut Random, now: u64) {
        let lanes: Vec<Lane> = self.read_at.keys().cloned().collect();
        if lanes.is_empty() || self.machine.room() == 0 {
            return;
        }
        let lane = lanes[random.below(lanes.len() as u64) as usize].clone();
        let from = self.read_at[&lane];
        let offsets: Vec<i64> = (from..RECORDS).filter(|&o| exists(o)).take(1 + random.below(5) as usize).collect();
        let Some(to) = offsets.last().map(|last| last + 1) else { return };
        let fill = |segment: &mut Segment| {
            segment.data.extend(offsets.iter().flat_map(|offset| offset.to_be_bytes()));
            segment.lines.extend_from_slice(&offsets);
            segment.records += offsets.len() as u64;
            Ok(())
        };
        self.machine.ledger.fill(&lane, to, 0, fill).unwrap();
        self.read_at.insert(lane, to);
        self.on(Event::Tick, now);
    }

    /// One step of the committer. `faults`: whether the database may misbehave.
    fn commit(&mut self, database: &mut Database, random: &mut Random, faults: bool, now: u64) {
        match self.work.pop_front() {
            None => {}
            Some(Work::Claim(asked, requests)) => {
                let answers = requests.iter().map(|r| database.claim(r, &self.name, random)).collect();
                self.on(Event::Claimed { asked, answers }, now);
            }
            Some(Work::Write(mut writer, step)) => {
                let next = match step {
                    Step::Attempt => attempt(&mut writer, database, random, faults),
                    Step::ReadPositions => {
                        let rows = writer.lanes().iter().map(|lane| database.positions.get(lane).cloned()).collect();
                        writer.judged(Ok(rows))
                    }
                    Step::Wait(..) => writer.waited(),
                    Step::Finish => panic!("a finished writer is not kept"),
                };
                match next {
                    Step::Finish => self.on(Event::Written(writer.into_report()), now),
                    step => self.work.push_front(Work::Write(writer, step)),
                }
            }
        }
    }
}

fn attempt(writer: &mut Writer, database: &mut Database, random: &mut Random, faults: bool) -> Step {
    let lost = || WriteError::Unknown(Error::new(Kind::DatabaseUnreachable, "the answer is lost"));
    let outcome = if faults && random.chance(15) {
        Err(lost())
    } else if faults && random.chance(10) {
        Err(WriteError::Failed(Error::new(Kind::DatabaseBusy, "locked")))
    } else {
        let outcome = database.commit(writer.flush(), writer.claims());
        if outcome.is_ok() && faults && random.chance(25) { Err(lost()) } else { outcome }
    };
    writer.attempted(outcome, &withdraw)
}

fn withdraw(segment: &mut Segment, offset: i64) {
    segment.lines.retain(|&line| line != offset);
    segment.data = segment.lines.iter().flat_map(|line| line.to_be_bytes()).collect();
}

fn lane(partition: i32) -> Lane {
    Lane::new("t", partition)
}

/// Runs one seed; `rollbacks`: whether the database may lose its tail.
fn simulate(seed: u64, rollbacks: bool) {
    let mut random = Random(seed);
    let mut database = Database::default();
    let mut backup = database.clone();
    let mut workers = [Worker::new("a".into()), Worker::new("b".into())];
    let mut owners: BTreeMap<Lane, BTreeSet<usize>> = (0..LANES).map(|p| (lane(p), BTreeSet::new())).collect();
    for step in 0..STEPS {
        let now = step as u64 * 50;
        let who = random.below(2) as usize;
        match random.below(100) {
            0..5 => move_lane(&mut workers, &mut owners, &mut random, now),
            5..7 => kill(&mut workers, &mut owners, who),
            7 if rollbacks && random.chance(20) => database = backup.clone(),
            8..12 => backup = database.clone(),
            12..55 => workers[who].read(&mut random, now),
            55..90 => workers[who].commit(&mut database, &mut random, true, now),
            _ => workers[who].on(Event::Tick, now),
        }
        for worker in &mut workers {
            if let Some(error) = worker.failed.take() {
                assert_eq!(error.kind(), Kind::Fenced, "seed {seed}: only fences may fail a task: {error}");
                let name = worker.name.clone();
                *worker = Worker::new(name);
                let at = usize::from(worker.name == "b");
                for owners in owners.values_mut() {
                    owners.remove(&at);
                }
            }
        }
    }
    settle(seed, &mut workers, &mut database, &mut random);
    check(seed, &database);
}

/// The group moves a lane; the old owner may not hear of it for a while (a zombie).
fn move_lane(workers: &mut [Worker; 2], owners: &mut BTreeMap<Lane, BTreeSet<usize>>, random: &mut Random, now: u64) {
    let lane = lane(random.below(LANES as u64) as i32);
    let owners = owners.get_mut(&lane).unwrap();
    let to = random.below(2) as usize;
    if let Some(&from) = owners.first().filter(|_| random.chance(60)) {
        owners.remove(&from);
        workers[from].on(Event::Revoked(vec![lane.clone()]), now);
    }
    if owners.insert(to) {
        workers[to].on(Event::Assigned(vec![lane]), now);
    }
}

/// kill -9: everything in memory is gone.
fn kill(workers: &mut [Worker; 2], owners: &mut BTreeMap<Lane, BTreeSet<usize>>, who: usize) {
    let name = workers[who].name.clone();
    workers[who] = Worker::new(name);
    for owners in owners.values_mut() {
        owners.remove(&who);
    }
}

/// Faults end, one fresh worker gets everything: it must finish.
fn settle(seed: u64, workers: &mut [Worker; 2], database: &mut Database, random: &mut Random) {
    let worker = &mut workers[0];
    *worker = Worker::new("last".into());
    worker.on(Event::Assigned((0..LANES).map(lane).collect()), 0);
    for step in 0..5_000u64 {
        worker.commit(database, random, false, step * 1_000);
        worker.read(random, step * 1_000);
        worker.on(Event::Tick, step * 1_000);
        let done = |p| database.positions.get(&lane(p)).is_some_and(|row| row.next_offset >= RECORDS);
        if worker.work.is_empty() && (0..LANES).all(done) {
            return;
        }
    }
    panic!("seed {seed}: the last worker does not finish");
}

fn check(seed: u64, database: &Database) {
    for partition in 0..LANES {
        let all = || (0..RECORDS).filter(|&offset| exists(offset));
        let rows = &database.rows[&lane(partition)];
        let expected: Vec<i64> = all().filter(|&offset| !is_poison(offset)).collect();
        assert_eq!(*rows, expected, "seed {seed}, partition {partition}: lost, doubled or out of order");
        let decided = database.decisions.get(&lane(partition)).cloned().unwrap_or_default();
        let poison: Vec<i64> = all().filter(|&offset| is_poison(offset)).collect();
        assert_eq!(decided, poison, "seed {seed}, partition {partition}: each refused record has one decision");
    }
}

/// The first seed and the number of seeds: `WEIR_SIMULATE_SEED`, `WEIR_SIMULATE_SEEDS`.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str, default: u64| std::env::var(name).ok().map_or(default, |v| v.parse().unwrap());
    let first = number("WEIR_SIMULATE_SEED", 1);
    first..first + number("WEIR_SIMULATE_SEEDS", 3_000)
}

#[test]
fn every_record_becomes_one_row_under_any_course_of_events() {
    seeds().for_each(|seed| simulate(seed, false));
}

#[test]
fn a_database_that_goes_back_in_time_is_written_again_from_there() {
    seeds().for_each(|seed| simulate(seed, true));
}
