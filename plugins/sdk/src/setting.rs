//! One setting of a plugin, in the terms of Kafka Connect's `ConfigDef`.

use crate::settings::duration_us;

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
    Range(i64, i64),
    /// A number that is not smaller.
    AtLeast(i64),
    /// One of these texts.
    OneOf(Vec<String>),
    /// A text that is not empty.
    NonEmpty,
    /// A duration such as `5m`: see [`duration_us`].
    Duration,
    /// Checked by the plugin in `configure`; the text says what it takes, as in "a row count or a duration".
    Described(String),
}

impl Check {
    /// One of these texts.
    pub fn one_of<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::OneOf(texts.into_iter().map(Into::into).collect())
    }
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
        Self { doc: doc.into(), ..self }
    }

    /// What counts when the operator does not give it.
    #[must_use]
    pub fn default_value(self, value: impl Into<String>) -> Self {
        Self { required: false, default: Some(value.into()), ..self }
    }

    /// The operator need not give it, and nothing takes its place.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    /// How much it matters.
    #[must_use]
    pub fn importance(self, importance: Importance) -> Self {
        Self { importance, ..self }
    }

    /// What the value has to satisfy.
    #[must_use]
    pub fn check(self, check: Check) -> Self {
        Self { check: Some(check), ..self }
    }

    /// The heading under which forms show it.
    #[must_use]
    pub fn group(self, group: impl Into<String>) -> Self {
        Self { group: Some(group.into()), ..self }
    }

    /// How wide forms show it.
    #[must_use]
    pub fn width(self, width: Width) -> Self {
        Self { width, ..self }
    }

    /// The name that forms show.
    #[must_use]
    pub fn display_name(self, name: impl Into<String>) -> Self {
        Self { display_name: Some(name.into()), ..self }
    }

    /// What a value has to be, as the end of a sentence that begins with "takes".
    pub fn takes(&self) -> String {
        let any = self.setting_type.takes();
        match &self.check {
            Some(Check::Range(low, high)) => format!("{any} from {low} to {high}"),
            Some(Check::AtLeast(low)) => format!("{any} of at least {low}"),
            Some(Check::OneOf(texts)) => format!("one of {}", texts.join(", ")),
            Some(Check::NonEmpty) => "a text that is not empty".to_owned(),
            Some(Check::Duration) => DURATION.to_owned(),
            Some(Check::Described(text)) => text.clone(),
            None => any.to_owned(),
        }
    }

    /// Whether `value`, trimmed, is of the type and satisfies the check.
    pub(crate) fn admits(&self, value: &str) -> bool {
        let typed = match self.setting_type {
            SettingType::Boolean => boolean(value).is_some(),
            SettingType::Int => value.parse::<i32>().is_ok(),
            SettingType::Long => value.parse::<i64>().is_ok(),
            SettingType::Double => value.parse::<f64>().is_ok(),
            SettingType::String | SettingType::List | SettingType::Password => true,
        };
        typed
            && match &self.check {
                Some(Check::Range(low, high)) => between(value, *low, *high),
                Some(Check::AtLeast(low)) => between(value, *low, i64::MAX),
                Some(Check::OneOf(texts)) => texts.iter().any(|text| text == value),
                Some(Check::NonEmpty) => !value.is_empty(),
                Some(Check::Duration) => duration_us(value).is_some(),
                Some(Check::Described(_)) | None => true,
            }
    }
}

/// What a duration has to look like, as the end of a sentence that begins with "takes".
pub(crate) const DURATION: &str = "a duration such as 250ms, 5s, 5m, 1h or 1d";

/// Exact for whole numbers; a double is compared as a double.
fn between(value: &str, low: i64, high: i64) -> bool {
    match value.parse::<i64>() {
        Ok(number) => (low..=high).contains(&number),
        Err(_) => value.parse::<f64>().is_ok_and(|number| (low as f64..=high as f64).contains(&number)),
    }
}

/// `true` or `false` in any case, as Connect reads it.
pub(crate) fn boolean(value: &str) -> Option<bool> {
    [("true", true), ("false", false)]
        .into_iter()
        .find_map(|(name, truth)| name.eq_ignore_ascii_case(value).then_some(truth))
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

    /// The name in `ConfigDef.Type`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Password => "PASSWORD",
        }
    }
}

impl Importance {
    /// The name in `ConfigDef.Importance`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
        }
    }
}

impl Width {
    /// The name in `ConfigDef.Width`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Short => "SHORT",
            Self::Medium => "MEDIUM",
            Self::Long => "LONG",
        }
    }
}
