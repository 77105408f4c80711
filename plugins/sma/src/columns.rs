//! The output columns: mean, and where asked for number and sum of the observations.

use crate::settings::Config;
use weir_plugin_sdk::builder::{Float64Builder, Int64Builder};
use weir_plugin_sdk::exact::Sum;
use weir_plugin_sdk::{CODE_OUTPUT, Failure, Origins, Output, OutputColumn, Parts, Rejected};

/// The cause number of a row without an event time.
pub(crate) const CODE_TIME: u16 = 2;

/// Where the results of a batch go.
#[derive(Debug)]
pub(crate) struct Columns<'a> {
    mean: &'a mut Float64Builder,
    count: Option<&'a mut Int64Builder>,
    sum: Option<&'a mut Float64Builder>,
    origins: &'a mut Origins,
    rejected: &'a mut Rejected,
    only_ready: bool,
    min_periods: u32,
}

impl<'a> Columns<'a> {
    /// The columns of the plan under `config`: mean, count, sum.
    pub(crate) fn of(output: &'a mut Output, config: &Config) -> Result<Self, Failure> {
        let (columns, origins, rejected): (Vec<&'a mut OutputColumn>, _, _) =
            match [&config.count_field, &config.sum_field].into_iter().flatten().count() {
                0 => split(output.parts([0])?),
                1 => split(output.parts([0, 1])?),
                _ => split(output.parts([0, 1, 2])?),
            };
        let mut columns = columns.into_iter();
        let missing = || Failure::new(CODE_OUTPUT, "The plan lacks an output.");
        let mean = columns.next().ok_or_else(missing)?.float64s()?;
        let count = match &config.count_field {
            Some(_) => Some(columns.next().ok_or_else(missing)?.int64s()?),
            None => None,
        };
        let sum = match &config.sum_field {
            Some(_) => Some(columns.next().ok_or_else(missing)?.float64s()?),
            None => None,
        };
        if !config.only_ready {
            origins.identity();
        }
        let (only_ready, min_periods) = (config.only_ready, config.min_periods);
        Ok(Self { mean, count, sum, origins, rejected, only_ready, min_periods })
    }

    /// Reports a row that has no place in a window of time.
    pub(crate) fn reject(&mut self, row: usize, message: String) {
        self.rejected.push(row, CODE_TIME, message);
        self.push(row, None);
    }

    /// Writes the row whose window has this sum; `None` = it has no window.
    #[inline(always)]
    pub(crate) fn push(&mut self, row: usize, window: Option<&Sum>) {
        let ready = window.filter(|sum| sum.count() >= self.min_periods);
        let mean = ready.and_then(Sum::mean);
        if self.only_ready {
            if mean.is_none() {
                return;
            }
            self.origins.push(row);
        }
        self.mean.push(mean);
        if let Some(count) = &mut self.count {
            count.push(window.map(|sum| i64::from(sum.count())));
        }
        if let Some(sum) = &mut self.sum {
            sum.push(ready.map(Sum::total));
        }
    }
}

/// The columns of all plans as one type.
fn split<const N: usize>(parts: Parts<'_, N>) -> (Vec<&mut OutputColumn>, &mut Origins, &mut Rejected) {
    (parts.columns.into(), parts.origins, parts.rejected)
}
