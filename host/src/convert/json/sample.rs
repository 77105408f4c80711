//! Which fields a run of documents has, for tables that are made from them.

use std::collections::HashMap;

use super::fault::{Cause, Fault};
use super::scan::Cursor;
use crate::record::{Field, Kind, Origin, Path};

/// The members of the run's documents in order of first appearance, as [`crate::convert::Converter::sample`]
/// says; one that has values of several kinds is json. Members that no path can name are left out, and so are
/// records that are malformed or no objects.
pub fn sample(origin: &Origin) -> Vec<Field> {
    let mut fields = Members::default();
    for row in 0..origin.len() {
        let members = origin.value(row).and_then(|payload| members(Cursor::new(payload)).ok());
        for (name, kind) in members.unwrap_or_default().list {
            fields.merge(name, |known| both(known, kind));
        }
    }
    let nameable = |name: &str| !name.is_empty() && !name.starts_with('$') && !name.contains('.');
    let fields = fields.list.into_iter().filter(|(name, _)| nameable(name));
    fields.map(|(name, kind)| Field { path: Path::new(name), kind: kind.unwrap_or(Kind::Text) }).collect()
}

/// Names with kinds, in order of first appearance. None is the kind of null.
#[derive(Default)]
struct Members {
    list: Vec<(String, Option<Kind>)>,
    places: HashMap<String, usize>,
}

impl Members {
    /// Sets the kind of a name to what `merge` makes of the one it had.
    fn merge(&mut self, name: String, merge: impl FnOnce(Option<Kind>) -> Option<Kind>) {
        match self.places.get(&name).and_then(|&place| self.list.get_mut(place)) {
            Some((_, kind)) => *kind = merge(*kind),
            None => {
                self.places.insert(name.clone(), self.list.len());
                self.list.push((name, merge(None)));
            }
        }
    }
}

/// The kind that holds values of both; None is null alone.
fn both(one: Option<Kind>, other: Option<Kind>) -> Option<Kind> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Some(Kind::Json),
        (one, other) => one.or(other),
    }
}

/// The members of a document, each name once with the kind of its last value; none if it is no object.
fn members(mut cursor: Cursor<'_>) -> Result<Members, Fault> {
    let mut members = Members::default();
    cursor.skip_whitespace();
    if !cursor.eat(b'{') {
        return Ok(members);
    }
    cursor.skip_whitespace();
    let mut ended = cursor.eat(b'}');
    while !ended {
        cursor.skip_whitespace();
        let name = cursor.skip_name()?.with_text(|name| String::from_utf8_lossy(name).into_owned());
        let kind = kind_of(cursor);
        members.merge(name, |_| kind);
        if matches!(cursor.peek(), Some(b'{' | b'[')) {
            cursor.skip_container(1)?;
        } else {
            cursor.skip_scalar()?;
        }
        cursor.skip_whitespace();
        ended = !cursor.eat(b',');
        if ended {
            cursor.expect(b'}', Cause::MemberEnd)?;
        }
    }
    cursor.skip_whitespace();
    if cursor.peek().is_none() { Ok(members) } else { Err(cursor.fault(Cause::Trailing)) }
}

/// The kind that `auto.create` gives to the value that begins here.
fn kind_of(cursor: Cursor<'_>) -> Option<Kind> {
    match cursor.peek()? {
        b'"' => Some(Kind::Text),
        b'{' | b'[' => Some(Kind::Json),
        b't' | b'f' => Some(Kind::Boolean),
        b'n' => None,
        _ => Some(Kind::Float64),
    }
}
