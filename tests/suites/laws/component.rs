//! The built components in the host's guest runtime: found as a worker finds them, called batch by batch, with
//! checkpoints kept as a host keeps them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, Float64Array, StringArray, TimestampMicrosecondArray};
use arrow_buffer::BooleanBuffer;
use weir::guest::{Catalog, Compiler, Engine, Guest, Plugin, Processed, RowOrigin, Setup};
use weir::record::{Column, Want};
use weir::state::{Acceptance, Entries, Extent, Header};
use weir_tests::environment::{PLUGINS, variable};
use weir_tests::sma_cases::{Expected, Row};

/// Bytes of entries asked for at a time: little, so that a checkpoint comes in several parts.
const PART_BYTES: u32 = 2_000;

/// The newest plugin of this id among the built components, compiled once per run.
pub fn plugin(id: &str) -> Result<Arc<Plugin>> {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    let folder = PathBuf::from(variable(PLUGINS)?);
    let scan = || {
        let engine = Engine::new().expect("the engine starts");
        Catalog::scan(Compiler::new(engine, None, None), &[folder])
    };
    Ok(CATALOG.get_or_init(scan).find(id, None, &|_| true)?)
}

/// What a stage of this plugin is built for.
pub fn setup(plugin: &Plugin, settings: impl IntoIterator<Item = (String, String)>) -> Setup {
    let settings = settings.into_iter().collect();
    Setup { alias: plugin.manifest().id.clone(), settings, limits: plugin.limits(), meters: Arc::default() }
}

/// A guest with state, as a host drives it.
#[derive(Debug)]
pub struct Instance {
    plugin: Arc<Plugin>,
    setup: Setup,
    guest: Guest,
}

/// Table and key of an entry, and its value.
type Entry<'a> = (&'a (u16, Vec<u8>), &'a Vec<u8>);

/// The state of a guest as checkpoints have told it.
#[derive(Debug, Default)]
pub struct Store {
    header: Option<Header>,
    entries: BTreeMap<(u16, Vec<u8>), Vec<u8>>,
}

impl Instance {
    /// Starts one of this plugin under these settings.
    pub fn start(id: &str, settings: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let plugin = plugin(id)?;
        let setup = setup(&plugin, settings);
        let guest = Guest::new(&plugin, &setup)?;
        Ok(Self { plugin, setup, guest })
    }

    /// One of the moving average with all its outputs; its fields are those of [`Row`].
    pub fn average(settings: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let fields = [("value.field", "price"), ("time.field", "ts"), ("count.field", "n"), ("sum.field", "sum")];
        let fields = fields.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self::start("sma", fields.into_iter().chain(settings))
    }

    /// What becomes of each row of the moving average; at most 8 192 of them.
    pub fn averages(&mut self, rows: &[Row]) -> Result<Vec<Expected>> {
        let processed = self.process(rows.len(), |want| column(want, rows))?;
        ensure!(processed.row_errors.is_empty(), "rows are rejected: {:?}", processed.row_errors);
        answers(&processed, rows.len())
    }

    /// What the guest makes of `rows` rows, each input of its plan filled by `fill`.
    pub fn process(&mut self, rows: usize, fill: impl Fn(&Want) -> Column) -> Result<Processed> {
        let columns: Vec<Column> = self.guest.plan().inputs.iter().map(fill).collect();
        Ok(self.guest.process(rows, &columns)?)
    }

    /// What the guest gives when its watermark moves without a row.
    pub fn advance(&mut self, watermark_us: i64) -> Result<Processed> {
        Ok(self.guest.advance(watermark_us)?)
    }

    /// Takes a checkpoint into the store. What comes between its parts, `meanwhile` does.
    pub fn checkpoint(
        &mut self,
        extent: Extent,
        store: &mut Store,
        mut meanwhile: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        store.header = Some(self.guest.begin_checkpoint(extent)?);
        if extent == Extent::Full {
            store.entries.clear();
        }
        loop {
            meanwhile(self)?;
            let (parts, more) = self.guest.next_entries(PART_BYTES)?;
            for part in &parts {
                store.take(part);
            }
            if !more {
                return Ok(self.guest.end_checkpoint(true)?);
            }
        }
    }

    /// A fresh guest of the same settings that goes on where the store's last checkpoint was begun.
    pub fn restored(&self, store: &Store) -> Result<Self> {
        let mut guest = Guest::new(&self.plugin, &self.setup)?;
        let header = store.header.as_ref().context("a checkpoint")?;
        ensure!(guest.begin_restore(header)? == Acceptance::Accept, "the plugin refuses its own checkpoint");
        for entries in store.parts() {
            guest.put_entries(&entries)?;
        }
        let held = guest.end_restore()?;
        ensure!(held == store.entries.len() as u64, "{held} of {} entries are held", store.entries.len());
        Ok(Self { plugin: Arc::clone(&self.plugin), setup: self.setup.clone(), guest })
    }
}

impl Store {
    fn take(&mut self, part: &Entries) {
        for row in 0..part.len() {
            let key = (part.space, part.keys.value(row).to_vec());
            if part.deleted.value(row) {
                self.entries.remove(&key);
            } else {
                self.entries.insert(key, part.values.value(row).to_vec());
            }
        }
    }

    /// The entries in parts of one table each.
    fn parts(&self) -> Vec<Entries> {
        let entries: Vec<_> = self.entries.iter().collect();
        let parts = entries.chunk_by(|((one, _), _), ((other, _), _)| one == other).flat_map(|table| table.chunks(7));
        let part = |part: &[Entry<'_>]| Entries {
            space: part.first().map_or(0, |((space, _), _)| *space),
            keys: BinaryArray::from_iter_values(part.iter().map(|((_, key), _)| key)),
            values: BinaryArray::from_iter_values(part.iter().map(|(_, value)| value)),
            deleted: BooleanBuffer::new_unset(part.len()),
        };
        parts.map(part).collect()
    }
}

/// A column of the plan, filled from rows.
fn column(want: &Want, rows: &[Row]) -> Column {
    let array: ArrayRef = match want.path.as_str() {
        "price" => Arc::new(rows.iter().map(|row| row.value).collect::<Float64Array>()),
        "$key" => Arc::new(rows.iter().map(|row| row.key.as_deref()).collect::<StringArray>()),
        _ => {
            let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.time_us));
            Arc::new(times.with_timezone("UTC"))
        }
    };
    Column::of(want.kind, array)
}

/// The outputs `sma`, `n`, `sum` by row of the batch.
fn answers(processed: &Processed, rows: usize) -> Result<Vec<Expected>> {
    let [mean, count, sum] = processed.columns.as_slice() else { anyhow::bail!("three columns") };
    let double = |column: &Column, row: usize| {
        let array = column.array.as_primitive::<Float64Type>();
        array.is_valid(row).then(|| array.value(row))
    };
    let counts = count.array.as_primitive::<Int64Type>();
    let origins: Vec<usize> = match &processed.origin {
        RowOrigin::Identity => (0..rows).collect(),
        RowOrigin::Rows(rows) => rows.iter().map(|row| *row as usize).collect(),
    };
    let mut answers = vec![Expected::Dropped; rows];
    for (out, row) in origins.into_iter().enumerate() {
        ensure!(answers[row] == Expected::Dropped, "row {row} goes on twice");
        let count = counts.is_valid(out).then(|| counts.value(out));
        answers[row] = Expected::Row { mean: double(mean, out), count, sum: double(sum, out) };
    }
    Ok(answers)
}
