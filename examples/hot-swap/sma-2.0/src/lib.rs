//! Version 2.0 of the moving average, as an example of a break: its state has a layout that shares nothing with the one
//! before, and it says so. weir leaves the version that runs where it is, and tells why.

use sma::Sma;
use weir_plugin_sdk::state::{Acceptance, Header, Table};
use weir_plugin_sdk::{Batch, Description, Failure, Output, Plan, Plugin, Settings, Stateful};

/// The plugin under one pipeline's settings.
#[derive(Debug)]
pub struct Sma20(Sma);

impl Plugin for Sma20 {
    fn describe() -> Description {
        Description { version: env!("CARGO_PKG_VERSION").to_owned(), ..Sma::describe() }
    }

    fn configure(settings: &Settings) -> Result<(Self, Plan), Failure> {
        let (sma, plan) = Sma::configure(settings)?;
        Ok((Self(sma), plan))
    }

    fn process(&mut self, batch: &Batch<'_>, output: &mut Output) -> Result<(), Failure> {
        self.0.process(batch, output)
    }
}

impl Stateful for Sma20 {
    const STATE_VERSION: u32 = 3;

    fn tables(&mut self) -> Vec<&mut dyn Table> {
        self.0.tables()
    }

    fn accept(&self, header: &Header) -> Acceptance {
        match Acceptance::by_version(header, Self::STATE_VERSION, Self::CONVERTS) {
            Acceptance::Reject(_) => Acceptance::Reject(format!(
                "version 2 begins with empty windows and takes no state of layout {}; run it in a pipeline of its own",
                header.state_version
            )),
            accepted => accepted,
        }
    }
}

weir_plugin_sdk::export!(Sma20 with state);
