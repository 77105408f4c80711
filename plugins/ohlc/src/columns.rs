//! The output columns: one row per window that fires.

use crate::bar::{Bar, Volume};
use weir_plugin_sdk::builder::{Float64Builder, Int64Builder, TextBuilder};
use weir_plugin_sdk::{Failure, Kind, Origins, Output, OutputColumn, Parts, Plan, Rejected};

use crate::settings::{Config, VolumeType};

/// Where the windows go that fire, and the rows that cannot be taken.
#[derive(Debug)]
pub(crate) struct Columns<'a> {
    start: &'a mut Int64Builder,
    open: &'a mut Float64Builder,
    high: &'a mut Float64Builder,
    low: &'a mut Float64Builder,
    close: &'a mut Float64Builder,
    count: &'a mut Int64Builder,
    record_key: &'a mut TextBuilder,
    key: &'a mut TextBuilder,
    volume: Option<&'a mut OutputColumn>,
    origins: &'a mut Origins,
    rejected: &'a mut Rejected,
}

/// Adds the output fields to a plan, in the order that [`Columns::of`] takes them.
pub(crate) fn plan(plan: Plan, config: &Config) -> Plan {
    let plan = plan
        .output(config.start_field.as_str(), Kind::Timestamp)
        .output(config.open_field.as_str(), Kind::Float64)
        .output(config.high_field.as_str(), Kind::Float64)
        .output(config.low_field.as_str(), Kind::Float64)
        .output(config.close_field.as_str(), Kind::Float64)
        .output(config.count_field.as_str(), Kind::Int64)
        .output(weir_plugin_sdk::KEY, Kind::Text)
        .output(config.key_output_field.as_str(), Kind::Text);
    match &config.volume {
        Some(volume) => plan.output(
            volume.output_field.as_str(),
            match volume.volume_type {
                VolumeType::Int64 => Kind::Int64,
                VolumeType::Float64 => Kind::Float64,
            },
        ),
        None => plan,
    }
}

impl<'a> Columns<'a> {
    pub(crate) fn of(output: &'a mut Output, config: &Config) -> Result<Self, Failure> {
        let ([start, open, high, low, close, count, record_key, key], volume, origins, rejected) =
            if config.volume.is_some() {
                let Parts { columns, origins, rejected } = output.parts([0, 1, 2, 3, 4, 5, 6, 7, 8])?;
                let [start, open, high, low, close, count, record_key, key, volume] = columns;
                ([start, open, high, low, close, count, record_key, key], Some(volume), origins, rejected)
            } else {
                let Parts { columns, origins, rejected } = output.parts([0, 1, 2, 3, 4, 5, 6, 7])?;
                (columns, None, origins, rejected)
            };
        Ok(Self {
            start: start.int64s()?,
            open: open.float64s()?,
            high: high.float64s()?,
            low: low.float64s()?,
            close: close.float64s()?,
            count: count.int64s()?,
            record_key: record_key.texts()?,
            key: key.texts()?,
            volume,
            origins,
            rejected,
        })
    }

    /// Reports a row that cannot be taken.
    pub(crate) fn reject(&mut self, row: usize, code: u16, message: String) {
        self.rejected.push(row, code, message);
    }

    /// Writes the window of `key` that begins at `start_us`; `row` has fired it.
    pub(crate) fn push(&mut self, row: usize, start_us: i64, key: Option<&[u8]>, bar: &Bar) -> Result<(), Failure> {
        self.start.push_value(start_us);
        self.open.push_value(bar.open);
        self.high.push_value(bar.high);
        self.low.push_value(bar.low);
        self.close.push_value(bar.close);
        self.count.push_value(i64::try_from(bar.count).unwrap_or(i64::MAX));
        // Keys have come as texts; only a checkpoint made elsewhere could hold other bytes.
        let key = key.map(String::from_utf8_lossy);
        self.record_key.push(key.as_deref());
        self.key.push(key.as_deref());
        if let Some(column) = &mut self.volume {
            match &bar.volume {
                Volume::Whole(sum) => column.int64s()?.push_value(*sum),
                Volume::Exact(sum) => column.float64s()?.push_value(sum.total()),
                Volume::None if column.field().kind == Kind::Int64 => column.int64s()?.push_null(),
                Volume::None => column.float64s()?.push_null(),
            }
        }
        self.origins.push(row);
        Ok(())
    }
}
