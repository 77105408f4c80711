//! What a plugin says of itself: the JSON of `describe`, whose shape `wit/v0/describe.schema.json` fixes.

use serde::Deserialize;

use super::version::Version;

/// Bytes of a description; a longer one is no description.
const DESCRIPTION_BYTES_MAX: usize = 1 << 20;

/// A plugin's identity, settings, and what it asks for.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The name under which pipelines use it: `[a-z][a-z0-9-]*`.
    pub id: String,
    /// Its version.
    pub version: Version,
    /// One or two sentences for operators.
    pub doc: String,
    /// The settings it takes, in order; any other key is an error.
    pub settings: Vec<Setting>,
    /// The layouts of its state; None for a plugin without state.
    pub state: Option<StateVersions>,
    /// The limits that it asks for.
    pub limits: LimitsAsked,
}

/// One setting, under the names of Kafka Connect's ConfigKeyInfo.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Setting {
    /// The key, as written after `transforms.ALIAS.`.
    pub name: String,
    /// ConfigDef.Type: `BOOLEAN STRING INT SHORT LONG DOUBLE LIST PASSWORD`.
    #[serde(rename = "type")]
    pub value_type: String,
    /// Whether the operator has to give it.
    pub required: bool,
    /// What counts where it is not given.
    pub default_value: Option<String>,
    /// `HIGH MEDIUM LOW`.
    pub importance: String,
    /// What it does, for operators.
    pub documentation: String,
    /// The heading under which forms show it.
    pub group: Option<String>,
    /// `NONE SHORT MEDIUM LONG`.
    pub width: String,
    /// The name that forms show.
    pub display_name: String,
    /// Keys whose sense depends on this one.
    pub dependents: Vec<String>,
    /// Its place among the settings, from 1.
    pub order: u32,
    /// What a value has to be beyond its type, as the end of a sentence that begins with "takes".
    pub validator: Option<String>,
}

/// The layouts of state that a plugin knows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StateVersions {
    /// The one that it writes.
    pub version: u32,
    /// Older ones that it converts.
    pub converts: Vec<u32>,
}

/// Limits that a plugin asks for; None = the host's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct LimitsAsked {
    /// Bytes of linear memory.
    pub memory_bytes: Option<u64>,
    /// Milliseconds for one call.
    pub call_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Described {
    id: String,
    version: String,
    doc: String,
    settings: Vec<Setting>,
    state: Option<StateVersions>,
    limits: LimitsAsked,
}

impl Manifest {
    /// Reads a description; members that are not known are ignored. The error says what is wrong with it.
    pub fn parse(json: &str) -> Result<Manifest, String> {
        if json.len() > DESCRIPTION_BYTES_MAX {
            return Err(format!("is {} bytes long; the limit is {DESCRIPTION_BYTES_MAX}", json.len()));
        }
        let described: Described = serde_json::from_str(json).map_err(|e| format!("cannot be read: {e}"))?;
        let id = described.id;
        let begins = id.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if !begins || !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(format!("gives the id {id:?}; an id is [a-z][a-z0-9-]*"));
        }
        let numbers = described.version.split(['-', '+']).next().unwrap_or_default();
        let semantic = numbers.split('.').count() == 3 && numbers.split('.').all(is_number);
        if !semantic || described.version.len() > 64 || !described.version.bytes().all(is_version_byte) {
            return Err(format!("gives the version {:?}; a version is semantic, as in 1.2.0", described.version));
        }
        let version = Version::new(described.version);
        let Described { doc, settings, state, limits, .. } = described;
        Ok(Manifest { id, version, doc, settings, state, limits })
    }
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
}

fn is_version_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

    use super::*;

    /// A description that is right but for these members.
    fn described(id: &str, version: &str) -> String {
        format!(
            r#"{{"id":"{id}","version":"{version}","doc":"d","later":1,"state":{{"version":2,"converts":[1]}},
            "limits":{{"memory_bytes":1048576,"call_ms":null}},"settings":[{{"name":"window","type":"STRING","required":true,
            "default_value":null,"importance":"HIGH","documentation":"How much.","group":null,"width":"SHORT",
            "display_name":"window","dependents":[],"order":1,"validator":"a row count"}}]}}"#
        )
    }

    #[test]
    fn a_description_is_read_and_unknown_members_are_ignored() {
        let manifest = Manifest::parse(&described("sma-2", "1.2.0-rc.1+build")).unwrap();
        assert_eq!((manifest.id.as_str(), manifest.version.as_str()), ("sma-2", "1.2.0-rc.1+build"));
        assert_eq!(manifest.state, Some(StateVersions { version: 2, converts: vec![1] }));
        assert_eq!(manifest.limits, LimitsAsked { memory_bytes: Some(1 << 20), call_ms: None });
        let window = manifest.settings.first().unwrap();
        assert_eq!((window.name.as_str(), window.value_type.as_str(), window.order), ("window", "STRING", 1));
    }

    #[test]
    fn ids_versions_and_shapes_that_are_wrong_are_named() {
        for id in ["", "Sma", "9sma", "s_ma", "../sma"] {
            assert!(Manifest::parse(&described(id, "1.0.0")).unwrap_err().contains("[a-z][a-z0-9-]*"), "{id}");
        }
        for version in ["", "1", "1.0", "1.0.0.0", "1.x.0", "v1.0.0", "1.0.0-a/b"] {
            let error = Manifest::parse(&described("sma", version)).unwrap_err();
            assert!(error.contains("as in 1.2.0"), "{version}: {error}");
        }
        assert!(Manifest::parse("{\"id\":\"sma\"}").unwrap_err().contains("missing field"));
        assert!(Manifest::parse("sma").unwrap_err().contains("cannot be read"));
        assert!(Manifest::parse(&" ".repeat(DESCRIPTION_BYTES_MAX + 1)).unwrap_err().contains("the limit is"));
    }
}
