//! Who a plugin is, which settings it takes and what it asks for; as JSON for the host.
//!
//! The shape of the JSON is held by `wit/v0/describe.schema.json`.

use crate::json::Object;
use crate::{CODE_SETTING, Failure, Setting};

/// A plugin's identity and settings. The host shows them in `GET /connector-plugins` and checks every
/// pipeline against them before it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// The name under which pipelines use it (`transforms.NAME.type`): `[a-z][a-z0-9-]*`.
    pub id: String,
    /// Its version, semantic (`1.2.0`).
    pub version: String,
    /// One or two sentences for operators.
    pub doc: String,
    /// The settings it takes; any other key is an error.
    pub settings: Vec<Setting>,
    /// The limits it asks for; the operator may grant less.
    pub limits: Limits,
}

impl Description {
    /// A plugin without settings. `version` is best `env!("CARGO_PKG_VERSION")`.
    pub fn new(id: impl Into<String>, version: impl Into<String>, doc: impl Into<String>) -> Self {
        Self { id: id.into(), version: version.into(), doc: doc.into(), ..Self::default() }
    }

    /// Adds a setting.
    #[must_use]
    pub fn setting(mut self, setting: Setting) -> Self {
        self.settings.push(setting);
        self
    }

    /// Checks what the host will hold against the plugin; the test kit calls it.
    ///
    /// # Errors
    /// An id that is not `[a-z][a-z0-9-]*`, a setting described twice, a default that the setting itself
    /// does not take.
    pub fn check(&self) -> Result<(), Failure> {
        let is_part = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if !self.id.starts_with(|letter: char| letter.is_ascii_lowercase()) || !self.id.chars().all(is_part) {
            let message =
                format!("The plugin's id `{}` has to be a small letter, then small letters, digits and `-`.", self.id);
            return Err(Failure::new(CODE_SETTING, message));
        }
        for (position, setting) in self.settings.iter().enumerate() {
            let name = &setting.name;
            if self.settings.iter().take(position).any(|earlier| earlier.name == *name) {
                return Err(Failure::new(CODE_SETTING, format!("Setting `{name}` is described twice.")));
            }
            if let Some(default) = setting.default.as_deref().filter(|default| !setting.admits(default)) {
                let message = format!("Setting `{name}` takes {}, not its own default `{default}`.", setting.takes());
                return Err(Failure::new(CODE_SETTING, message));
            }
        }
        Ok(())
    }

    /// Asks for this much linear memory, in bytes.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.limits.memory_bytes = Some(bytes);
        self
    }

    /// Asks for this much time per call, in milliseconds.
    #[must_use]
    pub fn call_ms(mut self, ms: u64) -> Self {
        self.limits.call_ms = Some(ms);
        self
    }
}

/// Limits that a plugin asks for; `None` = the host's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory.
    pub memory_bytes: Option<u64>,
    /// Milliseconds for one call.
    pub call_ms: Option<u64>,
}

/// The layouts of state that a plugin writes and reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateVersions {
    /// The layout that it writes.
    pub current: u32,
    /// Older layouts that it converts.
    pub converts: &'static [u32],
}

impl Description {
    /// The description as the host reads it; `state` is `None` for a plugin without state.
    pub fn to_json(&self, state: Option<StateVersions>) -> String {
        let mut limits = Object::default();
        limits.maybe_number("memory_bytes", self.limits.memory_bytes).maybe_number("call_ms", self.limits.call_ms);
        let mut all = Object::default();
        all.text("id", &self.id)
            .text("version", &self.version)
            .text("doc", &self.doc)
            .array("settings", self.settings.iter().zip(1..).map(setting_json))
            .raw("state", &state.map_or_else(|| "null".to_owned(), state_json))
            .raw("limits", &limits.finish());
        all.finish()
    }
}

fn state_json(versions: StateVersions) -> String {
    let mut object = Object::default();
    object
        .raw("version", &versions.current.to_string())
        .array("converts", versions.converts.iter().map(u32::to_string));
    object.finish()
}

/// One definition under the names of Connect's `ConfigKeyInfo`, so that the host can hand it on as it is.
fn setting_json((setting, order): (&Setting, u64)) -> String {
    let mut object = Object::default();
    object
        .text("name", &setting.name)
        .text("type", setting.setting_type.name())
        .raw("required", if setting.required { "true" } else { "false" })
        .maybe_text("default_value", setting.default.as_deref())
        .text("importance", setting.importance.name())
        .text("documentation", &setting.doc)
        .maybe_text("group", setting.group.as_deref())
        .text("width", setting.width.name())
        .text("display_name", setting.display_name.as_deref().unwrap_or(&setting.name))
        .raw("dependents", "[]")
        .maybe_number("order", Some(order))
        .maybe_text("validator", setting.check.as_ref().map(|_| setting.takes()).as_deref());
    object.finish()
}
