//! A deterministic simulation: the production state machine, books, writer and checkpoint rules of two workers against
//! a simulated log, a simulated transactional database and a store of chunks, under kills, zombies, lost answers,
//! refusals, silences, checkpoints that fail, and a database that goes back in time. Each row holds what the state was
//! when its record was processed, so that state that is restored wrongly shows. One seed is one course of events; a
//! failure names it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed simulation may panic")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use uuid::Uuid;

use super::checkpoint::Interval;
use super::lane::idle::recorded;
use super::machine::{Action, Event, Machine, Settings};
use super::planted::{self, Bug};
use super::writer::{Fate, Report, Step, Tolerance, Writer};
use crate::error::{Error, Kind};
use crate::record::{Claim, Decision, DecisionKind, Flush, Lane, PositionRow, Segment, Stage};
use crate::sink::{ClaimRequest, Claimed, History, Refusal, WriteError};
use crate::state::manifest::Content;
use crate::state::{Generation, Layer, Manifest, StageState};

const LANES: i32 = 3;
const RECORDS: i64 = 60;
const STEPS: usize = 400;
/// A silence of this length moves a lane's watermark.
const IDLE_MS: u64 = 600;

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

/// Faults in what surrounds the production code, planted to show that they would be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// The advance does not ask for the claim's token.
    AdvanceWithoutToken,
    /// The advance does not ask for the expected offset.
    AdvanceWithoutOffset,
    /// A claim leaves manifests beyond the position.
    KeepLostManifests,
    /// A restored lane is not replayed from its checkpoint to the position.
    SkipReplay,
    /// What changes while a checkpoint is written is not in the next one.
    ForgetChangesWhileFrozen,
    /// What a failed checkpoint held does not count as changed again.
    ForgetChangesOfFailed,
    /// Rows are written although the position is not as expected.
    RowsWithoutPosition,
    /// What the state gives depends on where a batch ends.
    TimerAtBatchEdge,
    /// A replay does not repeat what silences have fired.
    ForgetSilences,
}

/// The keys of a lane's state.
const KEYS: usize = 3;
type Sums = [u64; KEYS];

/// The state of a lane, as a guest with incremental checkpoints keeps it.
#[derive(Debug, Clone, Default)]
struct Guest {
    sums: Sums,
    dirty: [bool; KEYS],
    frozen: Option<[bool; KEYS]>,
    below: Option<Manifest>,
    stored: Option<Manifest>,
    /// The newest event time: ten for each offset.
    newest: i64,
}

impl Guest {
    /// Where a silence moves the watermark: between those of two records.
    fn idle_watermark(&self) -> i64 {
        self.newest + 5
    }

    /// Moves the watermark, where it is not there already; returns what the row holds that this fires.
    fn advance(&mut self, watermark: i64) -> Option<u64> {
        if self.newest >= watermark {
            return None;
        }
        self.newest = watermark;
        self.sums[0] = self.sums[0].wrapping_mul(37).wrapping_add(11);
        self.dirty[0] = true;
        Some(self.sums[0])
    }

    /// Repeats what was decided behind a record.
    fn repeat(&mut self, decisions: &[Decision], offset: i64) -> Option<u64> {
        let idle = decisions.iter().filter(|decision| decision.offset == offset);
        idle.filter_map(|decision| decision.kind.watermark_us()).find_map(|watermark| self.advance(watermark))
    }

    /// Processes a record; returns what its row holds.
    fn process(&mut self, offset: i64) -> u64 {
        let key = offset as usize % KEYS;
        self.sums[key] = self.sums[key].wrapping_mul(31).wrapping_add(offset as u64 + 1);
        self.dirty[key] = true;
        self.newest = self.newest.max(offset * 10);
        self.sums[key]
    }

    /// Freezes what has changed, or everything; returns it.
    fn freeze(&mut self) -> [Option<u64>; KEYS] {
        let all = self.below.is_none();
        let frozen = std::mem::take(&mut self.dirty);
        self.frozen = Some(frozen);
        std::array::from_fn(|key| (all || frozen[key]).then_some(self.sums[key]))
    }

    fn thaw(&mut self, counts: bool, flaw: Option<Flaw>) {
        let Some(frozen) = self.frozen.take() else { return };
        if counts {
            self.below = self.stored.take();
            if flaw == Some(Flaw::ForgetChangesWhileFrozen) {
                self.dirty = [false; KEYS];
            }
        } else if flaw != Some(Flaw::ForgetChangesOfFailed) {
            (0..KEYS).for_each(|key| self.dirty[key] |= frozen[key]);
        }
    }
}

/// Rows, positions and manifests, always changed together.
#[derive(Clone, Default)]
struct Database {
    positions: BTreeMap<Lane, PositionRow>,
    rows: BTreeMap<Lane, Vec<(i64, u64)>>,
    decisions: BTreeMap<Lane, Vec<Decision>>,
    manifests: BTreeMap<Lane, Vec<Manifest>>,
    flaw: Option<Flaw>,
    /// How often it went back in time.
    rollbacks: u64,
}

/// Chunks by checkpoint; a database that goes back in time does not take them along.
#[derive(Default)]
struct Chunks {
    stored: BTreeMap<Uuid, [Option<u64>; KEYS]>,
    ids: u128,
}

impl Chunks {
    fn next_id(&mut self) -> u128 {
        self.ids += 1;
        self.ids
    }
}

impl Database {
    fn claim(&mut self, request: &ClaimRequest, owner: &str, random: &mut Random) -> Claimed {
        let row = match (self.positions.get(&request.lane), request.start) {
            (Some(row), _) => row.clone(),
            (None, None) => return Claimed::NoPosition(request.lane.clone()),
            (None, Some(start)) => {
                PositionRow { epoch: 0, token: Uuid::nil(), next_offset: start, idles: 0, owner: String::new() }
            }
        };
        let row = PositionRow {
            epoch: row.epoch + 1,
            token: Uuid::from_u128(u128::from(random.next())),
            owner: owner.to_owned(),
            ..row
        };
        self.positions.insert(request.lane.clone(), row.clone());
        let manifests = self.manifests.entry(request.lane.clone()).or_default();
        if self.flaw != Some(Flaw::KeepLostManifests) {
            let idles = if planted::is_on(Bug::CheckpointsWithoutSilences) { i64::MAX } else { row.idles };
            manifests.retain(|manifest| (manifest.at, manifest.idles) <= (row.next_offset, idles));
        }
        let history = History { checkpoints: manifests.iter().rev().cloned().collect(), ..History::default() };
        let decisions = self.decisions.get(&request.lane).into_iter().flatten();
        let decisions = decisions.filter(|decision| decision.offset < row.next_offset).cloned().collect();
        let claim = Claim {
            lane: request.lane.clone(),
            epoch: row.epoch,
            token: row.token,
            next_offset: row.next_offset,
            gaps: Vec::new(),
            leader_epoch: None,
            start_offset: 0,
            records: 0,
            rows: 0,
            idles: row.idles,
            rewrite_until: None,
            decisions,
        };
        Claimed::Held(claim, history)
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
                (row.epoch == claim.epoch && row.token == claim.token || self.flaw == Some(Flaw::AdvanceWithoutToken))
                    && ((row.next_offset, row.idles) == (segment.from, claim.idles)
                        || self.flaw == Some(Flaw::AdvanceWithoutOffset))
            })
        });
        if !matches && self.flaw != Some(Flaw::RowsWithoutPosition) {
            return Err(WriteError::Unknown(Error::new(Kind::Fenced, "the position is not as expected")));
        }
        for segment in &flush.segments {
            let stored: Vec<(i64, u64)> = segment.data.chunks_exact(ROW_BYTES).map(row_of).collect();
            assert!(stored.iter().map(|(offset, _)| offset).eq(&segment.lines), "data and lines belong together");
            self.rows.entry(segment.lane.clone()).or_default().extend(stored);
            for decision in &segment.decisions {
                self.decide(&segment.lane, decision);
            }
            let row = self.positions.get_mut(&segment.lane).unwrap();
            (row.next_offset, row.idles) = (segment.to, row.idles + segment.idles);
        }
        Ok(())
    }

    /// Of one offset, kind and stage there is one decision.
    fn decide(&mut self, lane: &Lane, decision: &Decision) {
        let decided = self.decisions.entry(lane.clone()).or_default();
        let key = |d: &Decision| (d.offset, d.kind.name(), d.stage.number());
        match decided.iter_mut().find(|known| key(known) == key(decision)) {
            Some(known) => *known = decision.clone(),
            None => decided.push(decision.clone()),
        }
    }

    /// What a worker takes for committed is there.
    fn check_believed(&self, report: &Report) {
        for (segment, claim, _) in report.segments.iter().filter(|(_, _, fate)| matches!(fate, Fate::Committed)) {
            let row = self.positions.get(&segment.lane);
            let (to, idles) = (segment.to, claim.idles + segment.idles);
            let is_there =
                row.is_some_and(|row| row.epoch > claim.epoch || (row.next_offset >= to && row.idles >= idles));
            assert!(is_there, "{} is believed to be at {}, but is {row:?}", segment.lane, segment.to);
        }
    }

    /// Makes a checkpoint count under its claim.
    fn count(&mut self, claim: &Claim, manifest: &Manifest) -> bool {
        let Some(row) = self.positions.get(&claim.lane) else { return false };
        let holds = row.epoch == claim.epoch && row.token == claim.token;
        let idles = if planted::is_on(Bug::CheckpointsWithoutSilences) { 0 } else { manifest.idles };
        let reached = (row.next_offset, row.idles) >= (manifest.at, idles);
        let reached = reached || planted::is_on(Bug::CountBeforeCommit);
        if !(holds && reached) {
            return false;
        }
        assert!(manifest.at <= row.next_offset, "a manifest at {} of a lane at {}", manifest.at, row.next_offset);
        let manifests = self.manifests.entry(claim.lane.clone()).or_default();
        if manifests.iter().all(|known| known.id != manifest.id) {
            manifests.push(manifest.clone());
            manifests.sort_by_key(|manifest| (manifest.at, manifest.idles));
            let old = manifests.len().saturating_sub(3);
            manifests.drain(..old);
        }
        true
    }
}

/// A row: the offset of its record, and what the state gave for it.
const ROW_BYTES: usize = 16;

fn row_of(bytes: &[u8]) -> (i64, u64) {
    let (offset, value) = bytes.split_at(8);
    (i64::from_be_bytes(offset.try_into().unwrap()), u64::from_be_bytes(value.try_into().unwrap()))
}

/// What a simulated committer has to do.
enum Work {
    Claim(u64, Vec<ClaimRequest>),
    /// With how often the database had gone back when it began.
    Write(Box<Writer>, Step, Option<u64>),
}

/// What a simulated keeper of checkpoints has to do.
enum Keep {
    Store(Lane, i64, Manifest, [Option<u64>; KEYS]),
    Count(Claim, Manifest),
}

/// One worker: the production machine, and a committer that takes one step at a time.
struct Worker {
    name: String,
    machine: Machine,
    work: VecDeque<Work>,
    keep: VecDeque<Keep>,
    guests: BTreeMap<Lane, Guest>,
    chunks: Rc<RefCell<Chunks>>,
    flaw: Option<Flaw>,
    read_at: BTreeMap<Lane, i64>,
    failed: Option<Error>,
}

impl Worker {
    fn new(name: String, chunks: &Rc<RefCell<Chunks>>, flaw: Option<Flaw>) -> Self {
        let settings = Settings {
            stateful: true,
            generation: Generation([1; 32]),
            checkpoints: Some(Interval { records: 7, ms: 2_000 }),
            idle_ms: Some(IDLE_MS),
            linger_ms: 0,
            flush_rows_max: 9,
            flush_bytes_max: 1 << 20,
        };
        let mut worker = Worker {
            name,
            machine: Machine::new(settings),
            work: VecDeque::new(),
            keep: VecDeque::new(),
            guests: BTreeMap::new(),
            chunks: Rc::clone(chunks),
            flaw,
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
                Action::Start(claim, history) => {
                    self.restore(&claim, history.checkpoints.first());
                    self.read_at.insert(claim.lane.clone(), claim.next_offset);
                    self.on(Event::CaughtUp(claim.lane), now);
                }
                Action::Stop { lanes, .. } => {
                    self.read_at.retain(|lane, _| !lanes.contains(lane));
                    self.guests.retain(|lane, _| !lanes.contains(lane));
                }
                Action::Idle { lane, epoch } => self.idle(lane, epoch, now),
                Action::Freeze { lane, at, .. } => self.freeze(lane, at),
                Action::Count(claim, manifest, _) => self.keep.push_back(Keep::Count(claim, manifest)),
                Action::Thaw { lane, counts } => {
                    if let Some(guest) = self.guests.get_mut(&lane) {
                        guest.thaw(counts, self.flaw);
                    }
                }
                Action::Write(flush, claims) => {
                    let writer = Writer::new(flush, claims, Tolerance::All);
                    self.work.push_back(Work::Write(Box::new(writer), Step::Attempt, None));
                }
                Action::Fail(error) => self.failed = Some(error),
                Action::End => {}
            }
        }
    }

    /// Builds a lane's state: from a checkpoint where there is one, then by replay up to the position.
    fn restore(&mut self, claim: &Claim, checkpoint: Option<&Manifest>) {
        let mut guest = Guest { below: checkpoint.cloned(), ..Guest::default() };
        let chunks = self.chunks.borrow();
        for layer in checkpoint.iter().flat_map(|manifest| &manifest.content.layers) {
            let chunk = chunks.stored[&layer.checkpoint];
            (0..KEYS).for_each(|key| guest.sums[key] = chunk[key].unwrap_or(guest.sums[key]));
        }
        let from = checkpoint.map_or(0, |manifest| manifest.at);
        guest.newest = checkpoint.and_then(|manifest| manifest.content.stages[0].watermark).unwrap_or_default();
        let mut silences = recorded(claim);
        if self.flaw == Some(Flaw::ForgetSilences) {
            silences.clear();
        }
        let repeat = |guest: &mut Guest, offset| {
            let here = silences.iter().find(|silence| silence.offset == offset);
            here.map(|silence| guest.advance(silence.watermarks[0].1));
        };
        repeat(&mut guest, from - 1);
        if !(checkpoint.is_some() && self.flaw == Some(Flaw::SkipReplay)) {
            for offset in (from..claim.next_offset).filter(|&offset| exists(offset)) {
                guest.process(offset);
                repeat(&mut guest, offset);
            }
        }
        self.guests.insert(claim.lane.clone(), guest);
    }

    /// Moves the watermark of a lane that is silent, as if its log ended there.
    fn idle(&mut self, lane: Lane, epoch: i64, now: u64) {
        let offset = self.machine.ledger.processed(&lane).unwrap() - 1;
        let guest = self.guests.get_mut(&lane).unwrap();
        let fill = |segment: &mut Segment| {
            let watermark_us = guest.idle_watermark();
            let value = guest.advance(watermark_us).unwrap();
            segment.data.extend(offset.to_be_bytes());
            segment.data.extend(value.to_be_bytes());
            segment.lines.push(offset);
            segment.idles += 1;
            let kind = DecisionKind::Idle { watermark_us };
            let stage = Stage::Transform(0);
            segment.decisions.push(Decision { offset, kind, stage, detail: String::new() });
            Ok::<(), Error>(())
        };
        self.machine.ledger.idle(&lane, 0, fill).unwrap();
        self.on(Event::Idled { lane, epoch, moved: true }, now);
    }

    fn freeze(&mut self, lane: Lane, at: i64) {
        let epoch = self.machine.ledger.claim(&lane).unwrap().epoch;
        let guest = self.guests.get_mut(&lane).unwrap();
        let id = Uuid::from_u128(self.chunks.borrow_mut().next_id());
        let chunk = guest.freeze();
        let mut layers = guest.below.as_ref().map(|below| below.content.layers.clone()).unwrap_or_default();
        layers.push(Layer { checkpoint: id, chunks: 1, bytes: 1, entries: 1 });
        let watermark = Some(guest.newest);
        let stage = StageState { stage: 0, alias: "s".into(), header: None, digest: String::new(), watermark };
        let content = Content { stages: vec![stage], layers };
        let idles = self.machine.ledger.idles(&lane);
        let manifest = Manifest { id, at, generation: Generation([1; 32]), records: 0, rows: 0, idles, content };
        self.keep.push_back(Keep::Store(lane, epoch, manifest, chunk));
    }

    /// One step of the keeper.
    fn keep(&mut self, database: &mut Database, random: &mut Random, faults: bool, now: u64) {
        match self.keep.pop_front() {
            None => {}
            Some(Keep::Store(lane, epoch, manifest, chunk)) => {
                let ours = self.machine.ledger.claim(&lane).is_some_and(|claim| claim.epoch == epoch);
                if faults && random.chance(25) {
                    self.on(Event::CheckpointFailed(lane, epoch), now);
                    return;
                }
                self.chunks.borrow_mut().stored.insert(manifest.id, chunk);
                if let Some(guest) = self.guests.get_mut(&lane).filter(|_| ours) {
                    guest.stored = Some(manifest.clone());
                }
                self.on(Event::Stored(lane, epoch, manifest), now);
            }
            Some(Keep::Count(claim, manifest)) => {
                if faults && random.chance(15) {
                    self.keep.push_front(Keep::Count(claim, manifest));
                    return;
                }
                let counted = database.count(&claim, &manifest);
                if faults && random.chance(15) {
                    // The answer is lost: asked again, it is the same.
                    self.keep.push_front(Keep::Count(claim, manifest));
                    return;
                }
                self.on(Event::Counted(claim.lane, claim.epoch, counted), now);
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
        let guest = self.guests.get_mut(&lane).unwrap();
        let edge = if self.flaw == Some(Flaw::TimerAtBatchEdge) { offsets.len() as u64 } else { 0 };
        let fill = |segment: &mut Segment| {
            for &offset in &offsets {
                segment.data.extend(offset.to_be_bytes());
                segment.data.extend((guest.process(offset) + edge).to_be_bytes());
            }
            segment.lines.extend_from_slice(&offsets);
            segment.records += offsets.len() as u64;
            Ok::<(), Error>(())
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
            Some(Work::Write(mut writer, step, began)) => {
                let began = began.unwrap_or(database.rollbacks);
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
                    Step::Finish => {
                        let report = writer.into_report();
                        if began == database.rollbacks {
                            database.check_believed(&report);
                        }
                        self.on(Event::Written(report), now);
                    }
                    step => self.work.push_front(Work::Write(writer, step, Some(began))),
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
    let rows: Vec<&[u8]> = segment.data.chunks_exact(ROW_BYTES).filter(|row| row_of(row).0 != offset).collect();
    segment.data = rows.concat();
}

fn lane(partition: i32) -> Lane {
    Lane::new("t", partition)
}

/// Runs one seed; `rollbacks`: whether the database may lose its tail.
fn simulate(seed: u64, rollbacks: bool, flaw: Option<Flaw>) {
    let mut random = Random(seed);
    let mut database = Database { flaw, ..Database::default() };
    let mut backup = database.clone();
    let chunks = Rc::default();
    let mut workers = [Worker::new("a".into(), &chunks, flaw), Worker::new("b".into(), &chunks, flaw)];
    let mut owners: BTreeMap<Lane, BTreeSet<usize>> = (0..LANES).map(|p| (lane(p), BTreeSet::new())).collect();
    for step in 0..STEPS {
        let now = step as u64 * 50;
        let who = random.below(2) as usize;
        match random.below(100) {
            0..5 => move_lane(&mut workers, &mut owners, &mut random, now),
            5..7 => kill(&mut workers, &mut owners, who),
            7 if rollbacks && random.chance(20) => {
                // A restore by hand may leave the manifests of what is lost.
                let manifests = database.manifests.clone();
                let rollbacks = database.rollbacks + 1;
                database = Database { rollbacks, ..backup.clone() };
                if random.chance(50) {
                    database.manifests = manifests;
                }
            }
            8..12 => backup = database.clone(),
            12..55 => workers[who].read(&mut random, now),
            55..82 => workers[who].commit(&mut database, &mut random, true, now),
            82..93 => workers[who].keep(&mut database, &mut random, true, now),
            _ => workers[who].on(Event::Tick, now),
        }
        for worker in &mut workers {
            if let Some(error) = worker.failed.take() {
                assert_eq!(error.kind(), Kind::Fenced, "seed {seed}: only fences may fail a task: {error}");
                let name = worker.name.clone();
                *worker = Worker::new(name, &chunks, flaw);
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
    workers[who] = Worker::new(name, &Rc::clone(&workers[who].chunks), workers[who].flaw);
    for owners in owners.values_mut() {
        owners.remove(&who);
    }
}

/// Faults end, one fresh worker gets everything: it must finish.
fn settle(seed: u64, workers: &mut [Worker; 2], database: &mut Database, random: &mut Random) {
    let worker = &mut workers[0];
    *worker = Worker::new("last".into(), &Rc::clone(&worker.chunks), worker.flaw);
    worker.on(Event::Assigned((0..LANES).map(lane).collect()), 0);
    for step in 0..5_000u64 {
        worker.commit(database, random, false, step * 1_000);
        worker.keep(database, random, false, step * 1_000);
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
        let mut guest = Guest::default();
        let decided = database.decisions.get(&lane(partition)).cloned().unwrap_or_default();
        let mut expected: Vec<(i64, u64)> = Vec::new();
        for offset in all() {
            expected.push((offset, guest.process(offset)));
            expected.extend(guest.repeat(&decided, offset).map(|value| (offset, value)));
        }
        expected.retain(|(offset, _)| !is_poison(*offset));
        assert_eq!(*rows, expected, "seed {seed}, partition {partition}: lost, doubled, wrong or out of order");
        let refused = decided.iter().filter(|decision| decision.kind == DecisionKind::Refused);
        let refused: Vec<i64> = refused.map(|decision| decision.offset).collect();
        let poison: Vec<i64> = all().filter(|&offset| is_poison(offset)).collect();
        assert_eq!(refused, poison, "seed {seed}, partition {partition}: each refused record has one decision");
    }
}

/// The first seed and the number of seeds: `WEIR_SEED`, `WEIR_SIMULATE_SEEDS`.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str, default: u64| std::env::var(name).ok().map_or(default, |v| v.parse().unwrap());
    let first = number("WEIR_SEED", 1);
    first..first + number("WEIR_SIMULATE_SEEDS", 5_000)
}

/// Runs all seeds; the one that fails is the last thing that is told.
fn simulate_all(rollbacks: bool) {
    let seeds = seeds();
    println!("{} courses of events, rollbacks {rollbacks}, from seed {} on", seeds.clone().count(), seeds.start);
    for seed in seeds {
        let simulated = std::panic::catch_unwind(|| simulate(seed, rollbacks, None));
        assert!(simulated.is_ok(), "the simulation of seed {seed} failed; rollbacks: {rollbacks}");
    }
}

#[test]
fn every_record_becomes_one_row_under_any_course_of_events() {
    simulate_all(false);
}

#[test]
fn a_database_that_goes_back_in_time_is_written_again_from_there() {
    simulate_all(true);
}

/// The first of a thousand seeds whose simulation fails.
fn caught(simulate: impl Fn(u64) + std::panic::RefUnwindSafe) -> Option<u64> {
    (1..=1_000).find(|&seed| std::panic::catch_unwind(|| simulate(seed)).is_err())
}

#[test]
fn planted_faults_are_caught() {
    // The panics are what is looked for: nobody has to read them.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let bugs = [
        Bug::CountBeforeCommit,
        Bug::UnknownIsCommitted,
        Bug::LostTailIsCommitted,
        Bug::RefusalWithoutDecision,
        Bug::SilenceIsCommitted,
        Bug::CheckpointsWithoutSilences,
    ];
    let flaws = [
        Flaw::AdvanceWithoutToken,
        Flaw::AdvanceWithoutOffset,
        Flaw::KeepLostManifests,
        Flaw::SkipReplay,
        Flaw::ForgetChangesWhileFrozen,
        Flaw::ForgetChangesOfFailed,
        Flaw::RowsWithoutPosition,
        Flaw::TimerAtBatchEdge,
        Flaw::ForgetSilences,
    ];
    let mut found: Vec<(String, Option<u64>)> = Vec::new();
    found
        .extend(bugs.map(|bug| (format!("{bug:?}"), caught(|seed| planted::with(bug, || simulate(seed, true, None))))));
    found.extend(flaws.map(|flaw| (format!("{flaw:?}"), caught(|seed| simulate(seed, true, Some(flaw))))));
    std::panic::set_hook(hook);
    for (fault, seed) in &found {
        println!("{fault}: caught by seed {seed:?}");
    }
    assert!(found.iter().all(|(_, seed)| seed.is_some()), "a fault is not caught: {found:?}");
}
