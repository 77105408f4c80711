//! Version 1.1 of the moving average: `total.field` takes the number of observations of the key so far, in all windows
//! there ever were. That is one more table of state, so the layout has a new number, 2; what 1.0 has kept is taken as it
//! is, and the totals of its keys begin where 1.1 does.

use sma::Sma;
use weir_plugin_sdk::state::{Acceptance, Entries, Header, Keyed, Table};
use weir_plugin_sdk::{
    Batch, Check, Description, Failure, Importance, Kind, Output, Plan, Plugin, Setting, Settings, Stateful,
};

/// The columns of the plan that [`Sma`] reads.
const VALUE: usize = 0;
const KEY: usize = 1;

/// The plugin under one pipeline's settings.
#[derive(Debug)]
pub struct Sma11 {
    sma: Sma,
    totals: Keyed<u64>,
    /// The output that takes the totals, where one is asked for.
    output: Option<usize>,
}

impl Plugin for Sma11 {
    fn describe() -> Description {
        let total = Setting::string("total.field")
            .optional()
            .check(Check::NonEmpty)
            .importance(Importance::Low)
            .doc("A field that takes the number of observations of the key so far, windows aside.");
        Description { version: env!("CARGO_PKG_VERSION").to_owned(), ..Sma::describe() }.setting(total)
    }

    fn configure(settings: &Settings) -> Result<(Self, Plan), Failure> {
        let (sma, mut plan) = Sma::configure(settings)?;
        let mut output = None;
        if let Some(field) = settings.get("total.field")? {
            output = Some(plan.outputs().len());
            plan = plan.output(field, Kind::Int64);
        }
        Ok((Self { sma, totals: Keyed::new(), output }, plan))
    }

    fn process(&mut self, batch: &Batch<'_>, output: &mut Output) -> Result<(), Failure> {
        if let Some(position) = self.output {
            let (values, keys) = (batch.float64s(VALUE)?, batch.binaries(KEY)?);
            let totals = output.column(position)?.int64s()?;
            for (row, value) in values.iter().enumerate() {
                let total = self.totals.entry(keys.get(row).value());
                let total =
                    total.map_err(|full| Failure::new(sma::CODE_KEYS, format!("More than {} keys.", full.keys_max)))?;
                *total += u64::from(value.value().is_some());
                totals.push_value(i64::try_from(*total).unwrap_or(i64::MAX));
            }
        }
        self.sma.process(batch, output)
    }

    fn advance(&mut self, watermark_us: i64, output: &mut Output) -> Result<(), Failure> {
        self.sma.advance(watermark_us, output)
    }
}

impl Stateful for Sma11 {
    const STATE_VERSION: u32 = 2;
    const CONVERTS: &'static [u32] = &[1];

    fn tables(&mut self) -> Vec<&mut dyn Table> {
        let mut tables = self.sma.tables();
        tables.push(&mut self.totals);
        tables
    }

    fn accept(&self, header: &Header) -> Acceptance {
        // Whether the windows fit is for 1.0 to say, whichever layout they lie in.
        let windows = Header { state_version: Sma::STATE_VERSION, ..header.clone() };
        match self.sma.accept(&windows) {
            Acceptance::Accept => Acceptance::by_version(header, Self::STATE_VERSION, Self::CONVERTS),
            refused => refused,
        }
    }

    fn convert(_: u32, _: u16, key: &[u8], value: Option<&[u8]>, into: &mut Entries) -> Result<(), Failure> {
        match value {
            Some(value) => into.put(key, value),
            None => into.delete(key),
        }
        Ok(())
    }
}

weir_plugin_sdk::export!(Sma11 with state);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_the_windows_of_1_0_and_its_own() {
        let given = [("value.field", "price"), ("window", "3"), ("total.field", "total")];
        let given = given.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let settings = Settings::new(&Sma11::describe(), given.clone()).unwrap_or_else(|e| panic!("{e:?}"));
        let (sma, plan) = Sma11::configure(&settings).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(plan.outputs().len(), 2);
        let header = |state_version, window: &str| Header {
            plugin: "sma".to_owned(),
            version: "1.0.0".to_owned(),
            state_version,
            settings: vec![("value.field".to_owned(), "price".to_owned()), ("window".to_owned(), window.to_owned())],
        };
        assert_eq!(sma.accept(&header(1, "3")), Acceptance::Migrate(1));
        assert_eq!(sma.accept(&header(2, "3")), Acceptance::Accept);
        for other in [header(1, "4"), header(3, "3")] {
            assert!(matches!(sma.accept(&other), Acceptance::Reject(_)), "{other:?}");
        }
    }
}
