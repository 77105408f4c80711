//! JSON without schema (`JsonConverter` with `schemas.enable=false`): documents stay bytes, and fields are
//! pulled by path as the kind that somebody wants.
//!
//! The whole document is checked whatever is pulled: RFC 8259 syntax, UTF-8, escapes, nesting of at most
//! [`crate::limits::JSON_DEPTH_MAX`], numbers within float64. Of members of one name the last counts, as with
//! Jackson. A member whose name holds a dot, and one at the top whose name is empty or begins with `$`, cannot
//! be named by a path. A document that is `null` is a tombstone, as with Connect. A field within something
//! that is no object is a mismatch, within something absent or null it is absent.

#![allow(clippy::inline_always, reason = "measured: left to itself, the compiler splits the loop over members")]

mod cells;
mod explain;
mod fault;
mod names;
mod number;
mod plan;
mod pull;
mod sample;
mod scan;
mod string;
mod timestamp;

#[cfg(test)]
mod tests;

use super::{Converter, Pulled, Reader, Side};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::record::{Field, Kind, Origin, Path};
use pull::Puller;

/// The converter `JsonConverter` without schemas.
#[derive(Debug)]
pub struct Json;

/// Pulls fields from the documents of one side.
#[derive(Debug)]
struct JsonReader {
    side: Side,
    puller: Puller,
}

impl Reader for JsonReader {
    fn read(&mut self, origin: &Origin) -> Result<Pulled> {
        self.puller.begin(origin.len());
        let (mut nulls, mut malformed) = (Vec::new(), Vec::new());
        for row in 0..origin.len() {
            let Some(payload) = self.side.payload(origin, row) else {
                continue;
            };
            match self.puller.document(row, payload) {
                Ok(false) => {}
                Ok(true) => nulls.push(row as u32),
                Err(fault) => malformed.push((row as u32, not_json(self.side, fault, payload))),
            }
        }
        Ok(Pulled { columns: self.puller.finish()?, nulls, malformed })
    }
}

impl Converter for Json {
    fn reader(&self, side: Side, wants: &[(Path, Kind)]) -> Result<Box<dyn Reader>> {
        let inner = wants.iter().map(|(path, kind)| {
            let inner = side.inner(path).ok_or_else(|| {
                Error::new(ErrorKind::Config, format!("field {path} is not part of a JSON {side}; name a path into it"))
            })?;
            Ok((inner, *kind))
        });
        let puller = Puller::new(&inner.collect::<Result<Vec<_>>>()?, side == Side::Key)?;
        Ok(Box::new(JsonReader { side, puller }))
    }

    fn sample(&self, origin: &Origin) -> Option<Vec<Field>> {
        Some(sample::sample(origin)).filter(|fields| !fields.is_empty())
    }

    fn explain(&self, origin: &Origin, row: usize, path: &Path, kind: Kind) -> String {
        explain::explain(origin, row, path, kind)
    }
}

/// The sentence for a payload that is no JSON document.
fn not_json(side: Side, fault: fault::Fault, payload: &[u8]) -> String {
    if payload.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
        return format!("the {side} is not JSON: it is empty");
    }
    format!("the {side} is not JSON: {}", fault.sentence(payload.len()))
}
