//! The SDK's own types and the generated ones, each into the other, without copying a value.

use super::bindings::transformer::exports::weir::plugin::transform;
use super::bindings::transformer::weir::plugin::{output, types};
use crate::{CODE_COLUMN, Carry, Column, Failure, Field, Kind, Nulls, Origin, Plan, RowError, Slices, Values};

pub(super) fn failure(failure: Failure) -> types::Failure {
    types::Failure { code: failure.code, retryable: failure.retryable, message: failure.message }
}

pub(super) fn row_error(error: RowError) -> types::RowError {
    types::RowError { row: error.row, code: error.code, message: error.message }
}

fn kind(kind: Kind) -> types::Kind {
    match kind {
        Kind::Int64 => types::Kind::Int64,
        Kind::Float64 => types::Kind::Float64,
        Kind::Boolean => types::Kind::Boolean,
        Kind::Text => types::Kind::Text,
        Kind::Binary => types::Kind::Binary,
        Kind::Decimal => types::Kind::Decimal,
        Kind::Timestamp => types::Kind::Timestamp,
        Kind::Json => types::Kind::Json,
    }
}

pub(super) fn plan(plan: &Plan) -> transform::Plan {
    let input = |(position, field): (usize, &Field)| transform::Input {
        path: field.path.clone(),
        kind: kind(field.kind),
        required: plan.is_required(position),
    };
    let field = |field: &Field| transform::Field { path: field.path.clone(), kind: kind(field.kind) };
    transform::Plan {
        inputs: plan.inputs().iter().enumerate().map(input).collect(),
        outputs: plan.outputs().iter().map(field).collect(),
        carry: match plan.carried() {
            Carry::All => transform::Carry::All,
            Carry::None => transform::Carry::None,
            Carry::These(paths) => transform::Carry::These(paths.clone()),
        },
        event_time: plan.event_time_source().map(|source| transform::EventTime {
            path: source.path.clone(),
            lateness: source.lateness_us,
            future_max: source.future_max_us,
        }),
        tombstones: plan.takes_tombstones(),
    }
}

pub(super) fn origin(origin: Origin<'_>) -> output::Origin<'_> {
    match origin {
        Origin::Identity => output::Origin::Identity,
        Origin::Rows(rows) => output::Origin::Rows(rows),
    }
}

pub(super) fn columns(columns: &[types::ColumnResult]) -> Result<Vec<Column<'_>>, Failure> {
    columns.iter().map(lifted).collect()
}

fn slices(texts: &types::TextsResult) -> Slices<'_> {
    Slices { bytes: &texts.bytes, offsets: &texts.offsets }
}

fn lifted(column: &types::ColumnResult) -> Result<Column<'_>, Failure> {
    let values = match &column.values {
        types::ValuesResult::Int64s(values) => Values::Int64s(values),
        types::ValuesResult::Float64s(values) => Values::Float64s(values),
        types::ValuesResult::Booleans(bits) => Values::Booleans(bits),
        types::ValuesResult::Texts(texts) => Values::Texts(slices(texts)),
        types::ValuesResult::Binaries(texts) => Values::Binaries(slices(texts)),
        types::ValuesResult::Decimals(decimals) => Values::Decimals { words: &decimals.words, scale: decimals.scale },
        types::ValuesResult::Dictionary(dictionary) => {
            Values::Dictionary { ids: &dictionary.ids, values: slices(&dictionary.values) }
        }
        types::ValuesResult::Other((id, _)) => {
            let message = format!(
                "Column {} is of type {id}, which this plugin's SDK does not know: build it with a newer one.",
                column.field
            );
            return Err(Failure::new(CODE_COLUMN, message));
        }
    };
    Ok(Column { nulls: Nulls { validity: &column.validity, absent: &column.absent }, values })
}

pub(super) fn column<'a>((column, field): (&Column<'a>, u32)) -> types::ColumnParam<'a> {
    let texts = |slices: Slices<'a>| types::TextsParam { bytes: slices.bytes, offsets: slices.offsets };
    let values = match column.values {
        Values::Int64s(values) => types::ValuesParam::Int64s(values),
        Values::Float64s(values) => types::ValuesParam::Float64s(values),
        Values::Booleans(bits) => types::ValuesParam::Booleans(bits),
        Values::Texts(slices) => types::ValuesParam::Texts(texts(slices)),
        Values::Binaries(slices) => types::ValuesParam::Binaries(texts(slices)),
        Values::Decimals { words, scale } => types::ValuesParam::Decimals(types::DecimalsParam { words, scale }),
        Values::Dictionary { ids, values } => {
            types::ValuesParam::Dictionary(types::DictionaryParam { ids, values: texts(values) })
        }
    };
    types::ColumnParam { field, validity: column.nulls.validity, absent: column.nulls.absent, values }
}
