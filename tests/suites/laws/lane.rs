//! One lane in process, as a task runs it: records in, COPY bytes and decisions out, with a sink that only keeps the
//! books. A plan says where batches and flushes are cut, and where the lane is rebuilt or the worker ends; where the lane
//! falls silent lies in the stream.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use uuid::Uuid;
use weir::convert::by_name;
use weir::record::origin::{OwnedPayloads, OwnedRecord};
use weir::record::{Claim, Decision, DecisionKind, Lane, Origin};
use weir::sink::Encoder;
use weir::sink::timescale::bind::{self, Filled, Settings, Table, TableColumn};
use weir::sink::timescale::copy::CopyEncoder;
use weir::sink::timescale::types::ColumnType;
use weir::state::Generation;
use weir::task::lane::{Encoders, LaneRunner};
use weir::task::ledger::Ledger;
use weir::task::member::{Converters, Member};
use weir::task::replay::Base;
use weir::task::suspect::Caution;
use weir::task::writer::Tolerance;
use weir::transform::Chain;
use weir_plugin_sdk::testkit::Chance;

/// How long a silence lasts: some windows of the chains are over by then.
const SILENCE: Duration = Duration::from_millis(4);

/// The records of one lane.
#[derive(Debug)]
pub struct Stream {
    whole: Origin,
    /// The records behind which the lane falls silent.
    silences: BTreeSet<usize>,
}

impl Stream {
    /// A lane that holds these records at these offsets (rising) and times (µs), and falls silent behind some of them.
    pub fn new(records: Vec<OwnedRecord>, offsets: Vec<i64>, times: Vec<i64>, silences: BTreeSet<usize>) -> Self {
        let next_offset = offsets.last().map_or(0, |last| last + 1);
        let bytes = records.iter().map(|record| record.value.as_ref().map_or(0, Vec::len)).sum();
        let payloads = Arc::new(OwnedPayloads { records });
        let whole = Origin::new(Lane::new("ticks", 0), offsets, times, next_offset, bytes, payloads);
        Stream { whole, silences }
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.whole.len()
    }

    /// The record at or after an offset.
    fn place(&self, offset: i64) -> usize {
        self.whole.offsets.partition_point(|&held| held < offset)
    }

    fn run(&self, records: Range<usize>) -> Origin {
        self.whole.slice(records)
    }
}

/// Makes the chain of a lane.
pub type Chains<'a> = &'a dyn Fn() -> Result<Chain>;

/// What a database would hold of the lane.
#[derive(Debug, Default)]
pub struct Committed {
    /// The rows as COPY BINARY has them, end to end.
    pub copy: Vec<u8>,
    /// The offset of each row.
    pub lines: Vec<i64>,
    /// Offset, stage and cause of each record without a row.
    pub decisions: Vec<Decision>,
    /// Records read, and rows that left the chain.
    pub counts: (u64, u64),
    next_offset: i64,
    /// Silences in them.
    pub silences: i64,
    epoch: i64,
}

/// How many cuts of each kind a plan had.
#[derive(Debug, Default, Clone, Copy)]
pub struct Cuts {
    /// Ends of batches.
    pub batches: usize,
    /// Ends of flushes.
    pub flushes: usize,
    /// Guests rebuilt, records replayed with output off.
    pub rebuilt: usize,
    /// Ends of the worker, with the open flush written.
    pub stopped: usize,
    /// Ends of the worker, with the open flush lost.
    pub killed: usize,
    /// Chains that took over from the one before while records were read.
    pub flipped: usize,
}

/// A lane being read.
struct Reading<'a> {
    stream: &'a Stream,
    chains: Chains<'a>,
    runner: LaneRunner,
    encoder: Box<dyn Encoder>,
    ledger: Ledger,
    committed: Committed,
    /// The record that is read next.
    at: usize,
    /// Tells the chains that take over apart.
    generation: u8,
}

/// The table: what the generated records hold, what the chains write, and the coordinates.
fn table() -> Table {
    let columns = [
        ("$key", ColumnType::Text(None), "text"),
        ("ts", ColumnType::Int8, "bigint"),
        ("price", ColumnType::Float8, "double precision"),
        ("grade", ColumnType::Int2, "smallint"),
        ("note", ColumnType::Text(None), "text"),
        ("renamed", ColumnType::Text(None), "text"),
        ("sma", ColumnType::Float8, "double precision"),
        ("n", ColumnType::Int8, "bigint"),
        ("sum", ColumnType::Float8, "double precision"),
        ("window_start", ColumnType::Timestamp, "timestamp with time zone"),
        ("key", ColumnType::Text(None), "text"),
        ("open", ColumnType::Float8, "double precision"),
        ("high", ColumnType::Float8, "double precision"),
        ("low", ColumnType::Float8, "double precision"),
        ("close", ColumnType::Float8, "double precision"),
        ("volume", ColumnType::Int8, "bigint"),
        ("count", ColumnType::Int8, "bigint"),
        (bind::TOPIC, ColumnType::Text(None), "text"),
        (bind::PARTITION, ColumnType::Int4, "integer"),
        (bind::OFFSET, ColumnType::Int8, "bigint"),
    ];
    let column = |(name, column_type, type_name): (&str, ColumnType, &str)| TableColumn {
        name: name.to_owned(),
        column_type: Some(column_type),
        type_name: type_name.to_owned(),
        not_null: false,
        has_default: false,
        filled: Filled::ByWriter,
    };
    Table { schema: "public".to_owned(), name: "ticks".to_owned(), columns: columns.map(column).to_vec() }
}

/// How the records are read.
fn converters() -> Converters {
    let converter = |name| by_name(name).expect("a converter of this name");
    Converters { key: converter("string"), value: converter("json") }
}

/// The encoder of the rows that a chain gives.
fn encoder(chain: &Chain) -> Result<Box<dyn Encoder>> {
    let mut table = table();
    let outputs = chain.outputs();
    let writes = |name: &str| outputs.iter().any(|field| field.path.as_str() == name);
    let of_records = ["$key", "ts", "price", "grade", "note", bind::TOPIC, bind::PARTITION, bind::OFFSET];
    table.columns.retain(|column| writes(&column.name) || of_records.contains(&column.name.as_str()));
    for column in table.columns.iter_mut().filter(|column| column.name == "ts" && writes("ts")) {
        column.column_type = Some(ColumnType::Timestamp);
    }
    let columns = bind::bind(&table, Settings { outputs: &outputs, listed: &[], coordinates: true })?;
    Ok(Box::new(CopyEncoder::new(0, "public.ticks".to_owned(), columns, true)))
}

impl Committed {
    /// The next claim of the lane.
    fn claim(&mut self) -> Claim {
        self.epoch += 1;
        Claim {
            lane: Lane::new("ticks", 0),
            epoch: self.epoch,
            token: Uuid::nil(),
            next_offset: self.next_offset,
            gaps: Vec::new(),
            leader_epoch: None,
            start_offset: 0,
            records: self.counts.0,
            rows: self.counts.1,
            idles: self.silences,
            rewrite_until: None,
            decisions: self.decisions.clone(),
        }
    }

    /// What must not depend on cuts: all but how often the lane was claimed.
    pub fn differs(&self, other: &Committed) -> Option<String> {
        if self.lines != other.lines || self.counts != other.counts || self.next_offset != other.next_offset {
            return Some(format!("rows of other records: {:?} and {:?}", self.counts, other.counts));
        }
        let decisions = self.decisions.iter().zip(&other.decisions).find(|(one, other)| one != other);
        if decisions.is_some() || self.decisions.len() != other.decisions.len() {
            return Some(format!("other decisions: {decisions:?}"));
        }
        let byte = self.copy.iter().zip(&other.copy).position(|(one, other)| one != other);
        (self.copy != other.copy).then(|| format!("other rows from byte {byte:?} on"))
    }
}

impl<'a> Reading<'a> {
    /// Takes the lane up where `committed` ends, as a worker that has just started.
    fn started(stream: &'a Stream, chains: Chains<'a>, committed: Committed) -> Result<Self> {
        let encoder = encoder(&chains()?)?;
        Self::claimed(stream, chains, committed, encoder, Ledger::default())
    }

    /// Claims the lane and builds its chain.
    fn claimed(
        stream: &'a Stream,
        chains: Chains<'a>,
        mut committed: Committed,
        encoder: Box<dyn Encoder>,
        mut ledger: Ledger,
    ) -> Result<Self> {
        let (claim, chain) = (committed.claim(), chains()?);
        let member = Member::new(Generation([1; 32]), chain, &converters(), encoder.wants())?;
        let runner = LaneRunner::new(&claim, Base::start(&claim), Caution::default(), member, Tolerance::All);
        let at = if runner.replay_until().is_some() { 0 } else { stream.place(claim.next_offset) };
        ledger.open(claim);
        Ok(Reading { stream, chains, runner, encoder, ledger, committed, at, generation: 1 })
    }

    /// Reads a run of records, which silences cut.
    fn batch(&mut self, records: usize) -> Result<()> {
        let until = self.stream.len().min(self.at + records);
        while self.at < until {
            let silence = self.stream.silences.range(self.at..until).next();
            let to = silence.map_or(until, |record| record + 1);
            let run = self.stream.run(self.at..to);
            self.at = to;
            let processed = self.runner.process(run, &mut self.ledger, &mut Encoders::of(self.encoder.as_mut()));
            processed.map_err(|failed| anyhow::anyhow!("{failed:?}"))?;
            if let Some(&record) = silence {
                self.silence(self.stream.whole.offsets[record])?;
            }
        }
        Ok(())
    }

    /// The lane falls silent behind the record at an offset; a replay repeats what was decided about it.
    fn silence(&mut self, offset: i64) -> Result<()> {
        let of_it =
            |decision: &Decision| decision.offset == offset && matches!(decision.kind, DecisionKind::Idle { .. });
        let is_read = self.ledger.processed(&self.stream.whole.lane) == Some(offset + 1);
        if !is_read || self.runner.replay_until().is_some() || self.committed.decisions.iter().any(of_it) {
            return Ok(());
        }
        let moved = self.runner.idle(SILENCE, &mut self.ledger, self.encoder.as_mut());
        moved.map_err(|failed| anyhow::anyhow!("{failed:?}"))?;
        Ok(())
    }

    /// Commits what is open.
    fn flush(&mut self) -> Result<()> {
        let (flush, _) = self.ledger.take();
        for segment in flush.segments {
            ensure!(segment.from == self.committed.next_offset, "the segment begins where the sink stands");
            let committed = &mut self.committed;
            committed.copy.extend_from_slice(&segment.data);
            committed.lines.extend_from_slice(&segment.lines);
            // That another chain speaks is no decision about a record.
            let about = segment.decisions.into_iter().filter(|decision| decision.kind != DecisionKind::Cutover);
            committed.decisions.extend(about);
            committed.counts.0 += segment.records;
            committed.counts.1 += segment.rows;
            committed.next_offset = segment.to;
            committed.silences += segment.idles;
            self.ledger.committed(&segment.lane, committed.epoch, segment.to, segment.idles);
        }
        Ok(())
    }

    /// Takes another chain a step nearer to speaking: it is given the state piece by piece, catches up, and takes over at an
    /// edge of a flush. Returns whether it did.
    fn change_over(&mut self, chance: &mut Chance) -> Result<bool> {
        let failed = |fault| anyhow::anyhow!("{fault:?}");
        let Some(follower) = self.runner.follower_mut() else {
            if self.runner.replay_until().is_none() && chance.one_in(4) {
                self.generation += 1;
                let generation = Generation([self.generation; 32]);
                let member = Member::new(generation, (self.chains)()?, &converters(), self.encoder.wants())?;
                self.runner.join(member, None).map_err(failed)?;
            }
            return Ok(false);
        };
        if let Some(error) = follower.failure() {
            anyhow::bail!("the follower broke: {error}");
        }
        if follower.is_receiving() {
            self.runner.receive().map_err(failed)?;
        } else if !follower.is_level() {
            // More than comes meanwhile, or it would never be level.
            while self.runner.catch_up() && !chance.one_in(20) {}
        } else if chance.one_in(2) {
            self.flush()?;
            self.runner.flip(&mut None);
            // What spoke before is let go, or follows so that it can take over again.
            if chance.one_in(2) {
                self.runner.part()?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// The lane claimed anew by the same task: what is open is dropped, and its guests are built again.
    fn rebuilt(self) -> Result<Self> {
        Self::claimed(self.stream, self.chains, self.committed, self.encoder, self.ledger)
    }

    /// The lane as the next worker takes it up, from what was committed.
    fn restarted(self) -> Result<Self> {
        Self::started(self.stream, self.chains, self.committed)
    }
}

/// The whole lane in one batch and one flush.
pub fn uncut(stream: &Stream, chains: Chains<'_>) -> Result<Committed> {
    let mut reading = Reading::started(stream, chains, Committed::default())?;
    reading.batch(stream.len())?;
    reading.flush()?;
    Ok(reading.committed)
}

/// The lane under random cuts of every kind.
pub fn cut(stream: &Stream, chains: Chains<'_>, chance: &mut Chance, cuts: &mut Cuts) -> Result<Committed> {
    let mut reading = Reading::started(stream, chains, Committed::default())?;
    // From plans of single records to plans of a few large batches.
    let (batch_max, flush_every) = (1 + chance.below(1 + stream.len() / 2), 1 + chance.below(6));
    let mut ends_left = chance.below(6);
    while reading.at < stream.len() {
        reading.batch(1 + chance.below(batch_max))?;
        cuts.batches += 1;
        cuts.flipped += usize::from(reading.change_over(chance)?);
        if chance.one_in(flush_every) {
            reading.flush()?;
            cuts.flushes += 1;
        }
        if ends_left > 0 && chance.one_in(3) {
            ends_left -= 1;
            reading = match chance.below(3) {
                0 => {
                    cuts.rebuilt += 1;
                    reading.rebuilt()?
                }
                1 => {
                    reading.flush()?;
                    cuts.stopped += 1;
                    reading.restarted()?
                }
                _ => {
                    cuts.killed += 1;
                    reading.restarted()?
                }
            };
        }
    }
    reading.flush()?;
    Ok(reading.committed)
}
