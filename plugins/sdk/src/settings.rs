//! The settings of one pipeline, checked against the plugin's description and read by type.

use crate::setting::{DURATION, boolean};
use crate::{CODE_SETTING, Description, Failure, Setting, SettingType};

/// The settings of one pipeline. Types, checks, missing and unknown keys are dealt with before a plugin
/// sees them, so a getter fails only where the plugin asks for what it has not described.
#[derive(Clone, Debug)]
pub struct Settings {
    definitions: Vec<Setting>,
    /// What the operator wrote, sorted by key.
    given: Vec<(String, String)>,
}

impl Settings {
    /// Checks what the operator wrote against the description.
    ///
    /// # Errors
    /// One sentence for every unknown key, missing setting, value of another type or out of bounds.
    pub fn new(description: &Description, given: impl IntoIterator<Item = (String, String)>) -> Result<Self, Failure> {
        let mut given: Vec<_> = given.into_iter().collect();
        given.sort();
        let settings = Self { definitions: description.settings.clone(), given };
        let problems = settings.problems();
        if problems.is_empty() { Ok(settings) } else { Err(Failure::new(CODE_SETTING, problems.join(" "))) }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, value) in &self.given {
            match self.definition(key) {
                None => problems.push(self.unknown(key)),
                Some(setting) if !setting.admits(value.trim()) => {
                    problems.push(refusal(setting, value));
                }
                Some(_) => {}
            }
        }
        let missing =
            self.definitions.iter().filter(|setting| setting.required && self.written(&setting.name).is_none());
        problems.extend(
            missing.map(|setting| format!("Setting `{}` is required and takes {}.", setting.name, setting.takes())),
        );
        problems
    }

    fn definition(&self, key: &str) -> Option<&Setting> {
        self.definitions.iter().find(|setting| setting.name == key)
    }

    /// As Connect does, blanks around a value do not count.
    fn written(&self, key: &str) -> Option<&str> {
        self.given.iter().find(|(name, _)| name == key).map(|(_, value)| value.trim())
    }

    fn unknown(&self, key: &str) -> String {
        let nearest = self.definitions.iter().map(|setting| (distance(key, &setting.name), &setting.name)).min();
        match nearest {
            Some((_, name)) => format!("Setting `{key}` is unknown; the nearest one is `{name}`."),
            None => format!("Setting `{key}` is unknown; this plugin takes none."),
        }
    }

    /// What the operator wrote, sorted by key, without defaults and without passwords: what the header
    /// of a checkpoint records.
    pub fn recorded(&self) -> Vec<(String, String)> {
        let mut recorded = self.given.clone();
        recorded.retain(|(key, _)| !self.is_secret(key));
        recorded
    }

    fn is_secret(&self, key: &str) -> bool {
        self.definition(key).is_some_and(|setting| setting.setting_type == SettingType::Password)
    }

    /// The value or its default, as text; `None` where an optional setting was not given.
    pub fn get(&self, key: &str) -> Result<Option<&str>, Failure> {
        let setting = self.definition(key).ok_or_else(|| {
            Failure::new(CODE_SETTING, format!("The plugin reads setting `{key}`, which it does not describe."))
        })?;
        Ok(self.written(key).or(setting.default.as_deref()))
    }

    /// The text of a setting that is required or has a default.
    pub fn text(&self, key: &str) -> Result<&str, Failure> {
        self.get(key)?.ok_or_else(|| {
            Failure::new(
                CODE_SETTING,
                format!("Setting `{key}` was not given; read it with `get` where it is optional."),
            )
        })
    }

    /// The boolean of a setting that is required or has a default.
    pub fn boolean(&self, key: &str) -> Result<bool, Failure> {
        boolean(self.text(key)?).ok_or_else(|| self.invalid(key, "true or false"))
    }

    /// The whole number of a setting that is required or has a default.
    pub fn int64(&self, key: &str) -> Result<i64, Failure> {
        self.parsed(key)
    }

    /// The number of a setting that is required or has a default.
    pub fn float64(&self, key: &str) -> Result<f64, Failure> {
        self.parsed(key)
    }

    /// The texts of a list, trimmed; an empty list has none.
    pub fn list(&self, key: &str) -> Result<Vec<&str>, Failure> {
        let text = self.text(key)?;
        Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect())
    }

    /// The duration of a setting that is required or has a default, in µs.
    pub fn duration(&self, key: &str) -> Result<i64, Failure> {
        duration_us(self.text(key)?).ok_or_else(|| self.invalid(key, DURATION))
    }

    fn parsed<T: std::str::FromStr>(&self, key: &str) -> Result<T, Failure> {
        let takes = self.definition(key).map(Setting::takes).unwrap_or_default();
        self.text(key)?.parse().map_err(|_| self.invalid(key, &takes))
    }

    /// The failure of a value that the plugin itself refuses: names the key and the value, and says what
    /// the setting takes ("a row count from 1 to 100000, or a duration").
    pub fn invalid(&self, key: &str, takes: &str) -> Failure {
        let value = self.get(key).ok().flatten().unwrap_or_default();
        Failure::new(CODE_SETTING, sentence(key, takes, if self.is_secret(key) { None } else { Some(value) }))
    }
}

fn refusal(setting: &Setting, value: &str) -> String {
    let shown = (setting.setting_type != SettingType::Password).then_some(value);
    sentence(&setting.name, &setting.takes(), shown)
}

fn sentence(key: &str, takes: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("Setting `{key}` takes {takes}, not `{value}`."),
        None => format!("Setting `{key}` takes {takes}, not what was given."),
    }
}

/// The duration that a text such as `250ms`, `5s`, `5m`, `1h` or `1d` stands for, in µs: a whole number
/// and a unit, without blanks. `None` for anything else and beyond 2^63 µs.
pub fn duration_us(text: &str) -> Option<i64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let unit_us = match unit {
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit_us)
}

/// The lateness that a text stands for, in µs: `0`, or a duration as [`duration_us`] reads it.
pub fn lateness_us(text: &str) -> Option<u64> {
    if text == "0" { Some(0) } else { u64::try_from(duration_us(text)?).ok() }
}

/// The number of letters to insert, delete or replace to make one text of the other (Levenshtein 1966).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (cell, candidate) in row.iter_mut().skip(1).zip(other.chars()) {
            let replaced = diagonal + usize::from(letter != candidate);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
