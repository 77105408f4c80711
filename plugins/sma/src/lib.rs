//! The simple moving average: per key a window of rows or of time, and the exact mean of what is in it.
//!
//! Each row costs the same, however long the window: it comes in at one end, what leaves goes at the other,
//! and an exact running sum ([`weir_plugin_sdk::exact`]) follows. The mean is the true mean of the window, rounded once.
//! The rules in detail are with the parts: settings ([`settings`]), windows of rows (`rows`) and of time
//! (`timed`). State version 1.

mod columns;
mod rows;
pub mod settings;
mod slot;
mod timed;

use columns::Columns;
use settings::{Config, Span};
use slot::canonical;
use timed::{Covered, Reach, Timed};
use weir_plugin_sdk::exact::Sum;
use weir_plugin_sdk::metric::Counter;
use weir_plugin_sdk::state::{Acceptance, Full, Header, Table, Windows};
use weir_plugin_sdk::view::{Binaries, Float64s, Int64s};
use weir_plugin_sdk::{Batch, Description, Failure, Kind, Output, Plan, Plugin, Settings, Stateful};

/// The cause number of a key that came when `keys.max` keys were held.
pub const CODE_KEYS: u16 = 1;

const VALUE: usize = 0;
const KEY: usize = 1;
const TIME: usize = 2;

/// The plugin under one pipeline's settings.
#[derive(Debug)]
pub struct Sma {
    config: Config,
    windows: Held,
    late: Counter,
}

/// The windows of all keys.
#[derive(Debug)]
enum Held {
    Rows(Windows<Sum, 1>),
    Time(Windows<Timed, 2>, Reach),
}

/// The columns of a batch.
#[derive(Clone, Copy, Debug)]
struct Input<'a> {
    values: Float64s<'a>,
    keys: Binaries<'a>,
    times: Option<Int64s<'a>>,
}

impl Plugin for Sma {
    fn describe() -> Description {
        settings::describe()
    }

    fn configure(settings: &Settings) -> Result<(Self, Plan), Failure> {
        let config = Config::read(settings)?;
        let windows = match config.window {
            Span::Rows(rows) => Held::Rows(bounded(Windows::of(rows), &config)),
            Span::Time(window_us) => {
                let reach = Reach { window_us, lateness_us: config.lateness_us };
                Held::Time(bounded(Windows::growing(), &config), reach)
            }
        };
        let late = Counter::declare(
            "late_rows_total",
            "Rows older than the newest of their key by more than the lateness; not averaged.",
        );
        let plan = plan(&config);
        Ok((Self { config, windows, late }, plan))
    }

    fn process(&mut self, batch: &Batch<'_>, output: &mut Output) -> Result<(), Failure> {
        let has_times = batch.fields().len() > TIME;
        let input = Input {
            values: batch.float64s(VALUE)?,
            keys: batch.binaries(KEY)?,
            times: if has_times { Some(batch.int64s(TIME)?) } else { None },
        };
        let mut columns = Columns::of(output, &self.config)?;
        let result = match &mut self.windows {
            Held::Rows(windows) => average_rows(windows, &input, &mut columns).map(|()| 0),
            Held::Time(windows, reach) => average_times(windows, *reach, &input, &mut columns),
        };
        let late = result.map_err(|full| self.too_many(full))?;
        if late > 0 {
            self.late.add(f64::from(late));
        }
        Ok(())
    }

    fn advance(&mut self, watermark_us: i64, _: &mut Output) -> Result<(), Failure> {
        match &mut self.windows {
            Held::Rows(windows) => windows.advance(watermark_us),
            Held::Time(windows, _) => windows.advance(watermark_us),
        }
        Ok(())
    }
}

impl Stateful for Sma {
    const STATE_VERSION: u32 = 1;

    fn tables(&mut self) -> Vec<&mut dyn Table> {
        match &mut self.windows {
            Held::Rows(windows) => vec![windows],
            Held::Time(windows, _) => vec![windows],
        }
    }

    fn accept(&self, header: &Header) -> Acceptance {
        match Acceptance::by_version(header, Self::STATE_VERSION, Self::CONVERTS) {
            Acceptance::Accept => self.config.refusal(header).map_or(Acceptance::Accept, Acceptance::Reject),
            other => other,
        }
    }
}

impl Sma {
    fn too_many(&self, full: Full) -> Failure {
        let way_out = match self.config.key_ttl_us {
            Some(_) => "raise it or lower `key.ttl`",
            None => "raise it, or set `key.ttl` so that keys out of use are forgotten",
        };
        Failure::new(
            CODE_KEYS,
            format!(
                "A new key in `{}` is one more than the {} that `keys.max` allows: {way_out}.",
                self.config.key_field, full.keys_max
            ),
        )
    }
}

fn bounded<V, const W: usize>(windows: Windows<V, W>, config: &Config) -> Windows<V, W>
where
    V: weir_plugin_sdk::state::Stored + Default,
{
    let windows = windows.keys_max(config.keys_max);
    match config.key_ttl_us {
        Some(ttl_us) => windows.forget_after(ttl_us),
        None => windows,
    }
}

fn plan(config: &Config) -> Plan {
    let mut plan =
        Plan::new().input(config.value_field.as_str(), Kind::Float64).input(config.key_field.as_str(), Kind::Text);
    if config.needs_time() || config.key_ttl_us.is_some() {
        plan = plan
            .input(config.time_field.as_str(), Kind::Timestamp)
            .event_time(config.time_field.as_str(), config.lateness_us);
        if config.needs_time() {
            // Of the input added last: without a time there is no place in a window of time.
            plan = plan.required();
        }
    }
    plan = plan.output(config.output_field.as_str(), Kind::Float64);
    if let Some(field) = &config.count_field {
        plan = plan.output(field.as_str(), Kind::Int64);
    }
    if let Some(field) = &config.sum_field {
        plan = plan.output(field.as_str(), Kind::Float64);
    }
    plan.carry_all()
}

#[inline(never)]
fn average_rows(windows: &mut Windows<Sum, 1>, input: &Input<'_>, columns: &mut Columns<'_>) -> Result<(), Full> {
    for (row, value) in input.values.iter().enumerate() {
        if let Some(time) = input.times.and_then(|times| times.get(row).value()) {
            windows.advance(time);
        }
        let mut window = windows.window(input.keys.get(row).value())?;
        rows::step(&mut window, value.value().map(canonical));
        columns.push(row, Some(window.value()));
    }
    Ok(())
}

/// Returns the number of rows that were too late.
#[inline(never)]
fn average_times(
    windows: &mut Windows<Timed, 2>,
    reach: Reach,
    input: &Input<'_>,
    columns: &mut Columns<'_>,
) -> Result<u32, Full> {
    let mut too_late = 0;
    for (row, value) in input.values.iter().enumerate() {
        let Some(time) = input.times.and_then(|times| times.get(row).value()) else {
            // The plan requires the time, so a host that keeps its word never comes here.
            columns.reject(row, "The row has no event time: `time.field` is not set in it.".to_owned());
            continue;
        };
        windows.advance(time);
        let mut window = windows.window(input.keys.get(row).value())?;
        match timed::step(&mut window, reach, time, value.value().map(canonical)) {
            Covered::Newest(sum) => columns.push(row, Some(sum)),
            Covered::Earlier(sum) => columns.push(row, Some(&sum)),
            Covered::TooLate => {
                too_late += 1;
                columns.push(row, None);
            }
        }
    }
    Ok(too_late)
}

#[cfg(feature = "component")]
weir_plugin_sdk::export!(Sma with state);
