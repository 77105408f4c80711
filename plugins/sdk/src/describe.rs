//! Who a plugin is and which settings it takes, in the terms of Kafka Connect's `ConfigDef`.

use crate::settings::duration_us;

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
        Self {
            id: id.into(),
            version: version.into(),
            doc: doc.into(),
            ..Self::default()
        }
    }

    /// Adds a setting.
    #[must_use]
    pub fn setting(mut self, setting: Setting) -> Self {
        self.settings.push(setting);
        self
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

/// The type of a setting (`ConfigDef.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingType {
    /// `true` or `false`.
    Boolean,
    /// Any text.
    String,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A double.
    Double,
    /// Texts separated by commas.
    List,
    /// A text that is never shown.
    Password,
}

/// How much a setting matters to most operators (`ConfigDef.Importance`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Importance {
    /// Decides whether the plugin works at all.
    High,
    /// Often worth a thought.
    #[default]
    Medium,
    /// Rarely touched.
    Low,
}

/// How wide a form shows a setting (`ConfigDef.Width`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Width {
    /// No advice.
    #[default]
    None,
    /// A few characters.
    Short,
    /// A word or two.
    Medium,
    /// A line.
    Long,
}

/// What a setting's value has to satisfy beyond its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// A number from the first to the second, both included.
    Range(f64, f64),
    /// One of these texts.
    OneOf(Vec<String>),
    /// A text that is not empty.
    NonEmpty,
    /// A duration such as `5m`: see [`duration_us`].
    Duration,
    /// Checked by the plugin in `configure`; the text says what it takes, as in "a row count or a duration".
    Described(String),
}

/// One setting. Without [`default`](Self::default_value) or [`optional`](Self::optional) it is required.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The key, as the operator writes it after `transforms.NAME.`.
    pub name: String,
    /// The type.
    pub setting_type: SettingType,
    /// Whether the operator has to give it.
    pub required: bool,
    /// What counts when it is not given.
    pub default: Option<String>,
    /// How much it matters.
    pub importance: Importance,
    /// What it does, for operators.
    pub doc: String,
    /// The heading under which forms show it.
    pub group: Option<String>,
    /// How wide forms show it.
    pub width: Width,
    /// The name that forms show; by default the key.
    pub display_name: Option<String>,
    /// What the value has to satisfy.
    pub check: Option<Check>,
}

impl Setting {
    /// A required setting of the given type.
    pub fn new(name: impl Into<String>, setting_type: SettingType) -> Self {
        Self {
            name: name.into(),
            setting_type,
            required: true,
            default: None,
            importance: Importance::default(),
            doc: String::new(),
            group: None,
            width: Width::default(),
            display_name: None,
            check: None,
        }
    }

    /// A required text.
    pub fn string(name: impl Into<String>) -> Self {
        Self::new(name, SettingType::String)
    }

    /// A required `true` or `false`.
    pub fn boolean(name: impl Into<String>) -> Self {
        Self::new(name, SettingType::Boolean)
    }

    /// A required whole number of 32 bits.
    pub fn int(name: impl Into<String>) -> Self {
        Self::new(name, SettingType::Int)
    }

    /// A required whole number of 64 bits.
    pub fn long(name: impl Into<String>) -> Self {
        Self::new(name, SettingType::Long)
    }

    /// A required double.
    pub fn double(name: impl Into<String>) -> Self {
        Self::new(name, SettingType::Double)
    }

    /// A required list of texts.
    pub fn list(name: impl Into<String>) -> Self {
        Self::new(name, SettingType::List)
    }

    /// A required duration such as `5m`.
    pub fn duration(name: impl Into<String>) -> Self {
        Self::new(name, SettingType::String).check(Check::Duration)
    }

    /// What it does.
    #[must_use]
    pub fn doc(self, doc: impl Into<String>) -> Self {
        Self {
            doc: doc.into(),
            ..self
        }
    }

    /// What counts when the operator does not give it.
    #[must_use]
    pub fn default_value(self, value: impl Into<String>) -> Self {
        Self {
            required: false,
            default: Some(value.into()),
            ..self
        }
    }

    /// The operator need not give it, and nothing takes its place.
    #[must_use]
    pub fn optional(self) -> Self {
        Self {
            required: false,
            ..self
        }
    }

    /// How much it matters.
    #[must_use]
    pub fn importance(self, importance: Importance) -> Self {
        Self { importance, ..self }
    }

    /// What the value has to satisfy.
    #[must_use]
    pub fn check(self, check: Check) -> Self {
        Self {
            check: Some(check),
            ..self
        }
    }

    /// The heading under which forms show it.
    #[must_use]
    pub fn group(self, group: impl Into<String>) -> Self {
        Self {
            group: Some(group.into()),
            ..self
        }
    }

    /// How wide forms show it.
    #[must_use]
    pub fn width(self, width: Width) -> Self {
        Self { width, ..self }
    }

    /// The name that forms show.
    #[must_use]
    pub fn display_name(self, name: impl Into<String>) -> Self {
        Self {
            display_name: Some(name.into()),
            ..self
        }
    }

    /// What a value has to be, as the end of a sentence that begins with "takes".
    pub fn takes(&self) -> String {
        match &self.check {
            Some(Check::Range(low, high)) => {
                format!("{} from {low} to {high}", self.setting_type.takes())
            }
            Some(Check::OneOf(texts)) => format!("one of {}", texts.join(", ")),
            Some(Check::NonEmpty) => "a text that is not empty".to_owned(),
            Some(Check::Duration) => "a duration such as 250ms, 5s, 5m, 1h or 1d".to_owned(),
            Some(Check::Described(text)) => text.clone(),
            None => self.setting_type.takes().to_owned(),
        }
    }

    /// Whether `value` is of the type and satisfies the check.
    pub(crate) fn admits(&self, value: &str) -> bool {
        let typed = match self.setting_type {
            SettingType::Boolean => matches!(value, "true" | "false"),
            SettingType::Int => value.parse::<i32>().is_ok(),
            SettingType::Long => value.parse::<i64>().is_ok(),
            SettingType::Double => value.parse::<f64>().is_ok(),
            SettingType::String | SettingType::List | SettingType::Password => true,
        };
        typed
            && match &self.check {
                Some(Check::Range(low, high)) => value
                    .parse::<f64>()
                    .is_ok_and(|number| (*low..=*high).contains(&number)),
                Some(Check::OneOf(texts)) => texts.iter().any(|text| text == value),
                Some(Check::NonEmpty) => !value.is_empty(),
                Some(Check::Duration) => duration_us(value).is_some(),
                Some(Check::Described(_)) | None => true,
            }
    }
}

impl SettingType {
    fn takes(self) -> &'static str {
        match self {
            Self::Boolean => "true or false",
            Self::String | Self::Password => "a text",
            Self::Int | Self::Long => "a whole number",
            Self::Double => "a number",
            Self::List => "texts separated by commas",
        }
    }
}
