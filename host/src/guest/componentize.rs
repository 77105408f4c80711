//! From the core module that a compiler makes to the component that weir loads.

use wit_component::ComponentEncoder;

use crate::error::{Error, Kind, Result};

/// A component of a core module that carries its interface types, as the SDK's `export!` embeds them. `name`
/// is said in errors.
pub fn componentize(module: &[u8], name: &str) -> Result<Vec<u8>> {
    let invalid = |what: &str, error: &dyn std::fmt::Display| {
        Error::new(Kind::PluginInvalid, format!("{name} {what}: {error:#}"))
    };
    let mut encoder = ComponentEncoder::default();
    if let Err(error) = encoder.validate(true).module(module) {
        return Err(invalid("holds no interface, does the crate use the SDK's `export!`?", &error));
    }
    encoder.encode().map_err(|error| invalid("cannot be made a component", &error))
}
