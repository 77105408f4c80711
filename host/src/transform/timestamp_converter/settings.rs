//! The settings of TimestampConverter: its rows of the option table, and what they come to.

use super::convert::{Precision, Target};
use super::pattern::Pattern;
use crate::config::keys::{self, Check, Default, Importance, Key, Type};
use crate::config::problem::{Problem, shown};

const fn row(
    name: &'static str,
    kind: Type,
    default: Default,
    importance: Importance,
    check: Check,
    doc: &'static str,
    example: &'static str,
) -> Key {
    Key { name, kind, default, importance, group: "Transforms", sink: None, check, doc, example }
}

const FIELD: Key = row(
    "field",
    Type::String,
    Default::Required,
    Importance::High,
    Check::Fits { takes: "the path of one field of the value", fits: is_field },
    "The field with the timestamp. In Connect an empty name means the whole value, which weir does not have yet.",
    "ts",
);

const TARGET_TYPE: Key = row(
    "target.type",
    Type::String,
    Default::Required,
    Importance::High,
    Check::OneOf(&["string", "unix", "Date", "Time", "Timestamp"]),
    "What the field becomes: a text by `format`, a number of `unix.precision`, midnight of its day, its time of day \
     on 1970-01-01, or a timestamp.",
    "Timestamp",
);

const FORMAT: Key = row(
    "format",
    Type::String,
    Default::Value(""),
    Importance::Medium,
    Check::Fits { takes: "a pattern of Java's SimpleDateFormat", fits: |_| true },
    "How texts are read and written, in UTC: a pattern of SimpleDateFormat with the letters y M d E a H h m s S z Z \
     X. Without it texts are not read.",
    "yyyy-MM-dd'T'HH:mm:ss.SSSX",
);

const UNIX_PRECISION: Key = row(
    "unix.precision",
    Type::String,
    Default::Value("milliseconds"),
    Importance::Low,
    Check::OneOf(&["seconds", "milliseconds", "microseconds", "nanoseconds"]),
    "What numbers count, as input and as `unix` output.",
    "seconds",
);

const REPLACE_NULL: Key = row(
    "replace.null.with.default",
    Type::Boolean,
    Default::Value("true"),
    Importance::Medium,
    Check::Any,
    "Whether a null becomes the default of its field. Fields without a schema have none, so a null stays null.",
    "false",
);

/// Every setting.
pub const KEYS: &[&Key] = &[&FIELD, &TARGET_TYPE, &FORMAT, &UNIX_PRECISION, &REPLACE_NULL];

/// Settings that were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) field: String,
    pub(super) target: Target,
    pub(super) precision: Precision,
    /// How texts are read; None = they are not.
    pub(super) pattern: Option<Pattern>,
}

impl Settings {
    /// Reads settings, or says everything that is wrong with them.
    pub(super) fn parse(settings: &[(String, String)]) -> Result<Settings, Vec<Problem>> {
        let mut problems = unknown(settings);
        let mut value = |key: &Key| {
            let given = settings.iter().find(|(name, _)| name == key.name).map(|(_, value)| value.trim());
            match (given, key.default) {
                (Some(value), _) => match key.check(value, value) {
                    Ok(()) => value.to_owned(),
                    Err(message) => {
                        problems.push(Problem::new(key.name, message, key.hint()));
                        String::new()
                    }
                },
                (None, Default::Required) => {
                    problems.push(Problem::new(key.name, "is missing", key.hint()));
                    String::new()
                }
                (None, _) => key.default_text().to_owned(),
            }
        };
        let field = value(&FIELD);
        let target = value(&TARGET_TYPE);
        let format = value(&FORMAT);
        let precision = Precision::parse(&value(&UNIX_PRECISION)).unwrap_or_default();
        value(&REPLACE_NULL);
        let target = Target::parse(&target).unwrap_or_default();
        let pattern = match Pattern::compile(&format) {
            Ok(pattern) => Some(pattern).filter(|_| !format.is_empty()),
            Err(why) => {
                let message = format!("takes a pattern of Java's SimpleDateFormat, not {}: {why}", shown(&format));
                problems.push(Problem::new(FORMAT.name, message, FORMAT.hint()));
                None
            }
        };
        if target == Target::Text && format.is_empty() {
            let message = "is missing, and `target.type: string` needs it";
            problems.push(Problem::new(FORMAT.name, message, FORMAT.hint()));
        }
        if problems.is_empty() { Ok(Settings { field, target, precision, pattern }) } else { Err(problems) }
    }
}

/// Settings that TimestampConverter does not have.
fn unknown(settings: &[(String, String)]) -> Vec<Problem> {
    let names = || KEYS.iter().map(|key| key.name);
    let strange = settings.iter().filter(|(name, _)| names().all(|known| known != name));
    strange
        .map(|(name, _)| {
            let meant = keys::nearest(name, names());
            let hint = meant.map_or_else(|| "remove it".to_owned(), |meant| format!("did you mean `{meant}`?"));
            Problem::new(name, "is no setting of TimestampConverter", hint)
        })
        .collect()
}

/// Whether a text is the path of one field: nothing of the record itself, and no list.
fn is_field(path: &str) -> bool {
    !path.starts_with('$') && !path.contains(',') && path.split('.').all(|segment| !segment.is_empty())
}
