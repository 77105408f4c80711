//! What a task's lanes are read by: one generation of its chain, of which each lane gets its own.

use std::sync::Arc;

use super::member::Converters;
use crate::error::Result;
use crate::guest::Plugin;
use crate::record::{Field, Lane};
use crate::state::Generation;
use crate::transform::Chain;

/// Builds the chain of a lane; of none, to learn what its chains read and write.
pub type ChainFactory = Arc<dyn Fn(Option<&Lane>) -> Result<Chain> + Send + Sync>;

/// One generation of a pipeline's chain.
#[derive(Clone)]
pub struct Line {
    /// Which.
    pub generation: Generation,
    /// Its plugins, by the alias of their stage.
    pub plugins: Vec<(String, Arc<Plugin>)>,
    /// How keys and values are read.
    pub converters: Converters,
    /// Its chains.
    pub chain: ChainFactory,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("generation", &self.generation)
            .field("plugins", &self.name())
            .finish_non_exhaustive()
    }
}

/// What a line's chains are alike in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nature {
    /// Whether they keep state.
    pub stateful: bool,
    /// The fields that they write.
    pub outputs: Vec<Field>,
}

impl Line {
    /// Its plugins, for people: `sma 1.1.0`.
    pub fn name(&self) -> String {
        let named = |(_, plugin): &(String, Arc<Plugin>)| {
            let about = plugin.manifest();
            format!("{} {}", about.id, about.version)
        };
        let names: Vec<String> = self.plugins.iter().map(named).collect();
        if names.is_empty() { "no plugin".to_owned() } else { names.join(", ") }
    }

    /// The plugin of a stage.
    pub fn plugin(&self, alias: &str) -> Option<&Arc<Plugin>> {
        self.plugins.iter().find(|(of, _)| of == alias).map(|(_, plugin)| plugin)
    }

    /// The SHA-256 of each of its components, as hexadecimal digits.
    pub fn digests(&self) -> Vec<String> {
        self.plugins.iter().map(|(_, plugin)| plugin.digest().to_string()).collect()
    }

    /// Builds a chain of its own to learn what it is. Errors: the chain cannot be had.
    pub fn nature(&self) -> Result<Nature> {
        let probe = (self.chain)(None)?;
        Ok(Nature { stateful: probe.is_stateful(), outputs: probe.outputs() })
    }
}
