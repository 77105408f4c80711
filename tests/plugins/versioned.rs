//! The moving average as a plugin of many versions: a test writes the number of a version over a mark in the component,
//! so that fifty versions need no fifty builds. Every row tells which version made it, in the field `version`.
//!
//! Included by two crates whose state differs in its layout's number alone: each converts the other's.

use sma::Sma;
use weir_plugin_sdk::state::{Acceptance, Entries, Header, Table};
use weir_plugin_sdk::{Batch, Description, Failure, Kind, Output, Plan, Plugin, Settings, Stateful};

/// What a test looks for, with the number of the version behind it.
static MARK: [u8; 21] = *b"weir-test-version=000";

/// The moving average of one version.
#[derive(Debug)]
pub struct Versioned {
    sma: Sma,
    number: i64,
}

/// The number behind the mark; the compiler must not know it.
fn number() -> i64 {
    let mark = std::hint::black_box(&MARK);
    mark.iter().skip_while(|&&byte| byte != b'=').skip(1).fold(0, |n, &digit| n * 10 + i64::from(digit - b'0'))
}

impl Plugin for Versioned {
    fn describe() -> Description {
        Description { version: format!("1.0.{}", number()), ..Sma::describe() }
    }

    fn configure(settings: &Settings) -> Result<(Self, Plan), Failure> {
        let (sma, plan) = Sma::configure(settings)?;
        Ok((Self { sma, number: number() }, plan.output("version", Kind::Int64)))
    }

    fn process(&mut self, batch: &Batch<'_>, output: &mut Output) -> Result<(), Failure> {
        let versions = output.column(1)?.int64s()?;
        (0..batch.len()).for_each(|_| versions.push_value(self.number));
        self.sma.process(batch, output)
    }
}

impl Stateful for Versioned {
    const STATE_VERSION: u32 = super::STATE_VERSION;
    const CONVERTS: &'static [u32] = &[3 - super::STATE_VERSION];

    fn tables(&mut self) -> Vec<&mut dyn Table> {
        self.sma.tables()
    }

    fn accept(&self, header: &Header) -> Acceptance {
        Acceptance::by_version(header, Self::STATE_VERSION, Self::CONVERTS)
    }

    fn convert(_: u32, _: u16, key: &[u8], value: Option<&[u8]>, into: &mut Entries) -> Result<(), Failure> {
        match value {
            Some(value) => into.put(key, value),
            None => into.delete(key),
        }
        Ok(())
    }
}
