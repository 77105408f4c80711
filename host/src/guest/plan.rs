//! What a guest needs and gives under its settings, checked before a record is read.

use super::v0::bindings::exports::weir::plugin::transform as wit;
use super::v0::bindings::weir::plugin::types;
use crate::record::{Carry, Field, Kind, Path, Want};

/// The path of the watermark, which the host computes and no record holds.
pub const WATERMARK: &str = "$watermark";

/// Where a row's event time comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTime {
    /// A path of kind timestamp, or `$timestamp`.
    pub path: Path,
    /// µs by which the watermark stays behind the newest event time.
    pub lateness_us: u64,
    /// µs by which a row may be ahead of the newest event time before it; None = no bound.
    pub future_max_us: Option<u64>,
}

/// A guest's plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The fields it is given, in the order of a batch's columns. [`WATERMARK`] may be among them.
    pub inputs: Vec<Want>,
    /// The fields it writes, in the order of emitted columns.
    pub outputs: Vec<Field>,
    /// What stays visible beside them.
    pub carry: Carry,
    /// Where its event time comes from.
    pub event_time: Option<EventTime>,
    /// Whether records without a value reach it.
    pub tombstones: bool,
}

/// The plan that a guest has returned. The error says what of it cannot be carried out.
pub(super) fn checked(plan: wit::Plan) -> Result<Plan, String> {
    let inputs = plan.inputs.into_iter().map(|input| Want {
        path: Path::new(input.path),
        kind: kind(input.kind),
        required: input.required,
    });
    let outputs = plan.outputs.into_iter().map(|field| Field { path: Path::new(field.path), kind: kind(field.kind) });
    let plan = Plan {
        inputs: inputs.collect(),
        outputs: outputs.collect(),
        carry: match plan.carry {
            wit::Carry::All => Carry::All,
            wit::Carry::None => Carry::None,
            wit::Carry::These(paths) => Carry::These(paths.into_iter().map(Path::new).collect()),
        },
        event_time: plan.event_time.map(|time| EventTime {
            path: Path::new(time.path),
            lateness_us: time.lateness,
            future_max_us: time.future_max,
        }),
        tombstones: plan.tombstones,
    };
    for input in &plan.inputs {
        check_input(input, plan.event_time.is_some())?;
    }
    for (position, output) in plan.outputs.iter().enumerate() {
        check_output(output)?;
        if plan.outputs.iter().take(position).any(|before| before.path == output.path) {
            return Err(format!("writes {} twice", output.path));
        }
    }
    match &plan.event_time {
        Some(time) if time.path.is_meta() && time.path.as_str() != "$timestamp" => {
            Err(format!("takes its event time from {}, which is no time; it may be $timestamp or a field", time.path))
        }
        _ => Ok(plan),
    }
}

fn check_input(input: &Want, has_event_time: bool) -> Result<(), String> {
    let path = input.path.as_str();
    let known = match path {
        WATERMARK if !has_event_time => return Err(format!("wants {WATERMARK} but names no event time")),
        WATERMARK if input.kind != Kind::Int64 || input.required => {
            return Err(format!("wants {WATERMARK} as {}; it is int64 and cannot be required", input.kind));
        }
        WATERMARK | "$key" | "$timestamp" | "$topic" | "$partition" | "$offset" => true,
        _ => is_field(path) || is_header(path) || path.strip_prefix("$key.").is_some_and(is_field),
    };
    if known { Ok(()) } else { Err(format!("wants `{path}`, which no record has")) }
}

fn check_output(output: &Field) -> Result<(), String> {
    let path = output.path.as_str();
    match path {
        "$key" | "$timestamp" | "$topic" => Ok(()),
        _ if is_field(path) || is_header(path) => Ok(()),
        _ => Err(format!("writes `{path}`, which cannot be written")),
    }
}

fn is_field(path: &str) -> bool {
    !path.starts_with('$') && path.split('.').all(|segment| !segment.is_empty())
}

fn is_header(path: &str) -> bool {
    path.strip_prefix("$headers.").is_some_and(|name| !name.is_empty())
}

fn kind(kind: types::Kind) -> Kind {
    match kind {
        types::Kind::Int64 => Kind::Int64,
        types::Kind::Float64 => Kind::Float64,
        types::Kind::Boolean => Kind::Boolean,
        types::Kind::Text => Kind::Text,
        types::Kind::Binary => Kind::Binary,
        types::Kind::Decimal => Kind::Decimal,
        types::Kind::Timestamp => Kind::Timestamp,
        types::Kind::Json => Kind::Json,
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
