//! Names and types of fields: what a stage wants to read and what it writes.

use std::fmt;
use std::sync::Arc;

/// A field's name: a dotted path into the value (`price`, `position.lat`) or a name with `$` in front for
/// what belongs to the record itself (`$key $timestamp $topic $partition $offset $headers.NAME $watermark`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Arc<str>);

impl Path {
    /// The path as written.
    pub fn new(path: impl Into<Arc<str>>) -> Self {
        Path(path.into())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The steps into nested objects.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether it is this path or a step below it: `position.lat` lies within `position`. A header's name is
    /// one step, dots and all.
    pub fn is_within(&self, other: &Path) -> bool {
        let header = self.0.starts_with("$headers.");
        let rest = self.0.strip_prefix(other.as_str());
        rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('.') && !header))
    }

    /// Whether it names something of the record instead of a field of its value.
    pub fn is_meta(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Path {
    fn from(path: &str) -> Self {
        Path::new(path)
    }
}

/// The types that cells have inside; each is one Arrow type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `Int64Array`.
    Int64,
    /// `Float64Array`.
    Float64,
    /// `BooleanArray`.
    Boolean,
    /// `StringArray`.
    Text,
    /// `BinaryArray`.
    Binary,
    /// `Decimal128Array`; the scale is the array's.
    Decimal,
    /// `TimestampMicrosecondArray` with time zone `UTC`.
    Timestamp,
    /// `StringArray` holding one JSON value each, as its text.
    Json,
}

impl Kind {
    /// The word for it in settings, docs and errors.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Int64 => "int64",
            Kind::Float64 => "float64",
            Kind::Boolean => "boolean",
            Kind::Text => "text",
            Kind::Binary => "binary",
            Kind::Decimal => "decimal",
            Kind::Timestamp => "timestamp",
            Kind::Json => "json",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Kind> {
        use Kind::{Binary, Boolean, Decimal, Float64, Int64, Json, Text, Timestamp};
        [Int64, Float64, Boolean, Text, Binary, Decimal, Timestamp, Json].into_iter().find(|k| k.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A field that a stage reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Want {
    /// Where it is.
    pub path: Path,
    /// The type it must have; the same path may be wanted as several kinds.
    pub kind: Kind,
    /// Whether a row without it (absent or null) is a row error.
    pub required: bool,
}

/// A field that a stage writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its path; it hides an older field of the same path.
    pub path: Path,
    /// Its type.
    pub kind: Kind,
}

/// What of the origin row stays visible beside the fields that a stage writes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Carry {
    /// Every field.
    #[default]
    All,
    /// None.
    None,
    /// These.
    These(Vec<Path>),
}

impl Carry {
    /// Whether a field of the record stays visible. What belongs to the record itself (`$key`, …) always does.
    pub fn shows(&self, path: &Path) -> bool {
        path.is_meta()
            || match self {
                Carry::All => true,
                Carry::None => false,
                Carry::These(paths) => paths.iter().any(|shown| path.is_within(shown)),
            }
    }

    /// What stays visible after two stages.
    #[must_use]
    pub fn and(&self, other: &Carry) -> Carry {
        match (self, other) {
            (Carry::All, carry) | (carry, Carry::All) => carry.clone(),
            (Carry::None, _) | (_, Carry::None) => Carry::None,
            (Carry::These(a), Carry::These(b)) => {
                let narrower = |these: &[Path], those: &[Path]| {
                    let kept = these.iter().filter(|path| those.iter().any(|other| path.is_within(other)));
                    kept.cloned().collect::<Vec<_>>()
                };
                let mut both = narrower(a, b);
                both.extend(narrower(b, a).into_iter().filter(|path| !a.contains(path)));
                Carry::These(both)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn these(paths: &[&str]) -> Carry {
        Carry::These(paths.iter().map(|path| Path::from(*path)).collect())
    }

    #[test]
    fn a_carried_path_shows_itself_and_what_lies_below_it() {
        let carry = these(&["position", "price"]);
        for (path, shown) in [
            ("position", true),
            ("position.lat", true),
            ("positions", false),
            ("price", true),
            ("symbol", false),
            ("$key", true),
        ] {
            assert_eq!(carry.shows(&path.into()), shown, "{path}");
        }
        assert!(!Path::from("$headers.a.b").is_within(&"$headers.a".into()));
        assert!(Path::from("$headers.a.b").is_within(&"$headers.a.b".into()));
        assert!(Carry::None.shows(&"$headers.trace".into()) && !Carry::None.shows(&"price".into()));
    }

    #[test]
    fn two_stages_show_what_both_show() {
        assert_eq!(Carry::All.and(&these(&["a"])), these(&["a"]));
        assert_eq!(these(&["a"]).and(&Carry::None), Carry::None);
        assert_eq!(these(&["a", "b.c", "d"]).and(&these(&["a", "b", "e", "d.f"])), these(&["a", "b.c", "d.f"]));
    }
}
