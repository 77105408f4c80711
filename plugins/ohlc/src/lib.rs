//! Open, high, low, close and volume: per key and interval of event time one row, when its window is over.
//!
//! Windows lie end to end from the epoch on, each from its beginning up to, and without, its end. A window fires
//! inside `process`, before the row with which the watermark reaches its end is taken in; that row is its origin.
//! Windows that one row fires go in the order of their beginnings, and of equal ones in that of their keys' bytes,
//! rows without a key first. The watermark is the newest event time less `lateness`, over all keys of the lane.
//!
//! A row whose window is over comes too late: it is counted (`late_rows_total`), gives nothing and changes nothing,
//! as in Flink. A row without a price (absent, null, NaN) is no observation and opens no window, but its event time
//! counts. Infinite prices are prices; -0.0 is taken for 0.0. A tombstone goes by untouched. State version 1.

mod bar;
mod columns;
pub mod settings;

use bar::{Amount, Bar};
use columns::Columns;
use settings::{Config, VolumeType};
use weir_plugin_sdk::metric::Counter;
use weir_plugin_sdk::state::{Acceptance, Full, Header, Keyed, Table, Timeline};
use weir_plugin_sdk::view::{Float64s, Int64s, Texts};
use weir_plugin_sdk::{Batch, Description, Failure, Kind, Output, Plan, Plugin, Settings, Stateful, WATERMARK};

/// The cause number of a window that came when `windows.max` windows were open.
pub const CODE_WINDOWS: u16 = 1;
/// The cause number of a row without an event time, or with one before the first whole window.
pub const CODE_TIME: u16 = 2;
/// The cause number of a row whose volume does not fit into the sum of its window.
pub const CODE_VOLUME: u16 = 3;

const PRICE: usize = 0;
const KEY: usize = 1;
const TIME: usize = 2;
const MARK: usize = 3;
const VOLUME: usize = 4;

/// The plugin under one pipeline's settings.
#[derive(Debug)]
pub struct Ohlc {
    config: Config,
    /// The windows that are open, by their beginning and key.
    open: Timeline<Bar>,
    /// The newest watermark that has fired windows, or to which the host has advanced; its only key is none.
    /// The host's own may be behind it: rows of a fired window stay late.
    fired: Keyed<i64>,
    late: Counter,
}

/// The columns of a batch.
#[derive(Clone, Copy, Debug)]
struct Input<'a> {
    prices: Float64s<'a>,
    keys: Texts<'a>,
    times: Int64s<'a>,
    marks: Int64s<'a>,
    volumes: Option<Volumes<'a>>,
}

#[derive(Clone, Copy, Debug)]
enum Volumes<'a> {
    Whole(Int64s<'a>),
    Double(Float64s<'a>),
}

impl<'a> Input<'a> {
    fn of(batch: &Batch<'a>, config: &Config) -> Result<Self, Failure> {
        let volumes = match config.volume.as_ref().map(|volume| volume.volume_type) {
            Some(VolumeType::Int64) => Some(Volumes::Whole(batch.int64s(VOLUME)?)),
            Some(VolumeType::Float64) => Some(Volumes::Double(batch.float64s(VOLUME)?)),
            None => None,
        };
        Ok(Self {
            prices: batch.float64s(PRICE)?,
            keys: batch.texts(KEY)?,
            times: batch.int64s(TIME)?,
            marks: batch.int64s(MARK)?,
            volumes,
        })
    }

    #[inline]
    fn amount(&self, row: usize) -> Option<Amount> {
        match &self.volumes {
            Some(Volumes::Whole(volumes)) => volumes.get(row).value().map(Amount::Whole),
            Some(Volumes::Double(volumes)) => volumes.get(row).value().map(Amount::Double),
            None => None,
        }
    }
}

/// What a row observes.
#[derive(Clone, Copy, Debug)]
struct Tick<'a> {
    /// The beginning of its window, µs.
    start_us: i64,
    time_us: i64,
    key: Option<&'a [u8]>,
    price: f64,
    amount: Option<Amount>,
}

/// What a row means before it is taken in.
#[derive(Clone, Copy, Debug)]
struct Seen<'a> {
    /// Its observation; none where it has no price, or where it is late.
    tick: Option<Tick<'a>>,
    /// Whether it has a price and comes too late.
    is_late: bool,
    /// The watermark with it, µs.
    watermark_us: i64,
}

impl Plugin for Ohlc {
    fn describe() -> Description {
        settings::describe()
    }

    fn configure(settings: &Settings) -> Result<(Self, Plan), Failure> {
        let config = Config::read(settings)?;
        let late =
            Counter::declare("late_rows_total", "Rows that came when their window had fired; they are in no window.");
        let plan = plan(&config);
        let open = Timeline::new().entries_max(config.windows_max);
        Ok((Self { config, open, fired: Keyed::new(), late }, plan))
    }

    fn process(&mut self, batch: &Batch<'_>, output: &mut Output) -> Result<(), Failure> {
        let input = Input::of(batch, &self.config)?;
        let mut columns = Columns::of(output, &self.config)?;
        let mut fired = self.fired.get(None).copied();
        let mut late_rows = 0_u32;
        for row in 0..batch.len() {
            let Seen { tick, is_late, watermark_us } = match self.look(&input, row, fired) {
                Ok(seen) => seen,
                Err(message) => {
                    columns.reject(row, CODE_TIME, message);
                    continue;
                }
            };
            late_rows += u32::from(is_late);
            if self.is_due(watermark_us) {
                // A row that is rejected fires nothing: the next one does.
                if let Some(tick) = tick.filter(|tick| !self.has_room(tick)) {
                    columns.reject(row, CODE_VOLUME, self.too_large(&tick));
                    continue;
                }
                self.fire(watermark_us, row, &mut columns)?;
                fired = Some(watermark_us);
            }
            if let Some(tick) = tick
                && !self.take(&tick)?
            {
                columns.reject(row, CODE_VOLUME, self.too_large(&tick));
            }
        }
        if late_rows > 0 {
            self.late.add(f64::from(late_rows));
        }
        Ok(())
    }

    fn advance(&mut self, watermark_us: i64, output: &mut Output) -> Result<(), Failure> {
        if self.fired.get(None).is_some_and(|fired| *fired >= watermark_us) {
            return Ok(());
        }
        let mut columns = Columns::of(output, &self.config)?;
        self.fire(watermark_us, 0, &mut columns)
    }
}

impl Stateful for Ohlc {
    const STATE_VERSION: u32 = 1;

    fn tables(&mut self) -> Vec<&mut dyn Table> {
        vec![&mut self.open, &mut self.fired]
    }

    fn accept(&self, header: &Header) -> Acceptance {
        match Acceptance::by_version(header, Self::STATE_VERSION, Self::CONVERTS) {
            Acceptance::Accept => self.config.refusal(header).map_or(Acceptance::Accept, Acceptance::Reject),
            other => other,
        }
    }

    fn stats(&self) -> Vec<(String, u64)> {
        vec![("open_windows".to_owned(), self.open.len() as u64)]
    }
}

impl Ohlc {
    /// Reads a row; `fired` is the newest watermark that has fired windows. The error says what is wrong with its time.
    #[inline(always)]
    fn look<'a>(&self, input: &Input<'a>, row: usize, fired: Option<i64>) -> Result<Seen<'a>, String> {
        // The plan requires the time, so a host that keeps its word always gives one.
        let time_us = input.times.get(row).value().ok_or_else(|| self.no_time())?;
        let start_us = self.start(time_us).ok_or_else(|| self.too_early(time_us))?;
        let before = input.marks.get(row).value().max(fired);
        let price = input.prices.get(row).value().filter(|price| !price.is_nan());
        let is_over = before.is_some_and(|watermark_us| self.is_over(start_us, watermark_us));
        let tick = price.filter(|_| !is_over).map(|price| Tick {
            start_us,
            time_us,
            key: input.keys.get(row).value().map(str::as_bytes),
            // -0.0 + 0.0 is 0.0, and every other number plus zero is itself.
            price: price + 0.0,
            amount: input.amount(row),
        });
        let reached = time_us.saturating_sub_unsigned(self.config.lateness_us);
        let watermark_us = before.map_or(reached, |before| before.max(reached));
        Ok(Seen { tick, is_late: is_over && price.is_some(), watermark_us })
    }

    /// The beginning of the window of a time; `None` for the broken window before the first whole one.
    #[inline]
    fn start(&self, time_us: i64) -> Option<i64> {
        time_us.div_euclid(self.config.interval_us).checked_mul(self.config.interval_us)
    }

    /// The last beginning of a window that has ended at the watermark.
    #[inline]
    fn last_over(&self, watermark_us: i64) -> Option<i64> {
        watermark_us.checked_sub(self.config.interval_us)
    }

    #[inline]
    fn is_over(&self, start_us: i64, watermark_us: i64) -> bool {
        self.last_over(watermark_us).is_some_and(|last| start_us <= last)
    }

    /// Whether a window has to fire: one comparison, which nearly always says no.
    #[inline]
    fn is_due(&self, watermark_us: i64) -> bool {
        self.last_over(watermark_us).is_some_and(|last| self.open.is_due(last))
    }

    #[cold]
    fn fire(&mut self, watermark_us: i64, row: usize, columns: &mut Columns<'_>) -> Result<(), Failure> {
        let mut result = Ok(());
        if let Some(last) = self.last_over(watermark_us) {
            self.open.take_until(last, |start_us, key, bar| {
                if result.is_ok() {
                    result = columns.push(row, start_us, key, &bar);
                }
            });
        }
        // A table of one key is never full.
        if let Ok(fired) = self.fired.entry(None) {
            *fired = watermark_us;
        }
        result
    }

    #[cold]
    fn has_room(&self, tick: &Tick<'_>) -> bool {
        self.open.get(tick.start_us, tick.key).is_none_or(|bar| bar.has_room(tick.amount))
    }

    /// Takes an observation in; false where its volume does not fit.
    #[inline]
    fn take(&mut self, tick: &Tick<'_>) -> Result<bool, Failure> {
        match self.open.entry(tick.start_us, tick.key) {
            Ok(bar) => Ok(bar.add(tick.time_us, tick.price, tick.amount)),
            Err(full) => Err(self.too_many(full)),
        }
    }

    #[cold]
    fn too_many(&self, full: Full) -> Failure {
        Failure::new(
            CODE_WINDOWS,
            format!(
                "A new window of a key in `{}` is one more than the {} open ones that `windows.max` allows: raise it, or lower `lateness` so that windows fire earlier.",
                self.config.key_field, full.keys_max
            ),
        )
    }

    #[cold]
    fn no_time(&self) -> String {
        format!("Field `{}` is not set, and without its time a row has no window.", self.config.time_field)
    }

    #[cold]
    fn too_early(&self, time_us: i64) -> String {
        format!("Field `{}` is {time_us} µs, which is before the first whole interval.", self.config.time_field)
    }

    #[cold]
    fn too_large(&self, tick: &Tick<'_>) -> String {
        let field = self.config.volume.as_ref().map(|volume| volume.field.as_str()).unwrap_or_default();
        let amount = match tick.amount {
            Some(Amount::Whole(amount)) => amount.to_string(),
            Some(Amount::Double(amount)) => amount.to_string(),
            None => "null".to_owned(),
        };
        format!(
            "Field `{field}` is {amount}, with which the sum of the window leaves 64 bits: set `volume.type` to float64, or shorten `interval`."
        )
    }
}

fn plan(config: &Config) -> Plan {
    let mut plan = Plan::new()
        .input(config.price_field.as_str(), Kind::Float64)
        .input(config.key_field.as_str(), Kind::Text)
        .input(config.time_field.as_str(), Kind::Timestamp)
        .required()
        .input(WATERMARK, Kind::Int64)
        .event_time(config.time_field.as_str(), config.lateness_us);
    if let Some(future_max_us) = config.future_max_us {
        plan = plan.future_max(future_max_us);
    }
    if let Some(volume) = &config.volume {
        let kind = match volume.volume_type {
            VolumeType::Int64 => Kind::Int64,
            VolumeType::Float64 => Kind::Float64,
        };
        plan = plan.input(volume.field.as_str(), kind);
    }
    columns::plan(plan, config)
}

weir_plugin_sdk::export!(Ohlc with state);
