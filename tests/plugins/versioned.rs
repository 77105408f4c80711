//! The moving average as a plugin of many versions: a test writes the number of a version over a mark in the component,
//! so that fifty versions need no fifty builds. Every row tells which version made it, in the field `version`.
//!
//! Included by two crates whose state differs in its layout's number alone: each converts the other's.

use sma::Sma;
use weir_plugin_sdk::state::{Acceptance, Entries, Header, Table};
use weir_plugin_sdk::{Batch, Description, Failure, Kind, Output, Plan, Plugin, Settings, Stateful};

/// What a test looks for, with the number of the version and that of its fault behind it.
static MARK: [u8; 23] = *b"weir-test-version=000;0";

/// It breaks on the first batch.
const AT_ONCE: u8 = b'1';
/// It takes no state.
const NO_STATE: u8 = b'2';
/// Its rows say that version 1 made them.
const SAYS_ONE: u8 = b'3';
/// It breaks on a price of 999.75.
const ON_PRICE: u8 = b'4';

/// The moving average of one version.
#[derive(Debug)]
pub struct Versioned {
    sma: Sma,
    says: i64,
    fault: u8,
}

/// The number and the fault behind the mark; the compiler must not know them.
fn mark() -> (i64, u8) {
    let behind = std::hint::black_box(&MARK).iter().skip_while(|&&byte| byte != b'=').skip(1);
    let number = behind.clone().take(3).fold(0, |n, &digit| n * 10 + i64::from(digit - b'0'));
    (number, behind.last().copied().unwrap_or_default())
}

impl Plugin for Versioned {
    fn describe() -> Description {
        Description { version: format!("1.0.{}", mark().0), ..Sma::describe() }
    }

    fn configure(settings: &Settings) -> Result<(Self, Plan), Failure> {
        let (sma, plan) = Sma::configure(settings)?;
        let (number, fault) = mark();
        let says = if fault == SAYS_ONE { 1 } else { number };
        Ok((Self { sma, says, fault }, plan.output("version", Kind::Int64)))
    }

    fn process(&mut self, batch: &Batch<'_>, output: &mut Output) -> Result<(), Failure> {
        let poison = || batch.float64s(0).is_ok_and(|prices| prices.iter().any(|price| price.value() == Some(999.75)));
        if self.fault == AT_ONCE || (self.fault == ON_PRICE && poison()) {
            return Err(Failure::new(1, "It breaks as it was told to."));
        }
        let versions = output.column(1)?.int64s()?;
        (0..batch.len()).for_each(|_| versions.push_value(self.says));
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
        if self.fault == NO_STATE {
            return Acceptance::Reject("it takes no state".to_owned());
        }
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
