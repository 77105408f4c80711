//! The options of `TimescaleSink`.

use super::keys::{
    AUTO_CREATE, CHUNK_INTERVAL, CONNECTION_PASSWORD, CONNECTION_URL, CONNECTION_USER, FIELDS, FIELDS_MISSING,
    KAFKA_COORDINATES, SINK_SCHEMA, TABLE_NAME_FORMAT, TIME_COLUMN, field,
};
use super::pipeline::Timescale;
use super::secret::Secret;
use super::validate::Values;
use super::{quantity, reference, url};
use crate::record::{Field, Path};

/// Reads the sink's options.
pub(super) fn read(values: &mut Values<'_, '_>) -> Timescale {
    let connection = connection(values);
    let fields = fields(values);
    Timescale {
        url: connection.url,
        user: connection.user,
        password: connection.password,
        table_format: values.text(&TABLE_NAME_FORMAT),
        auto_create: values.boolean(&AUTO_CREATE),
        time_column: time_column(values, &fields),
        fields,
        fields_missing_null: values.text(&FIELDS_MISSING) == "null",
        chunk_interval: quantity::interval(&values.text(&CHUNK_INTERVAL)).unwrap_or_default(),
        coordinates: values.boolean(&KAFKA_COORDINATES),
        schema: values.text(&SINK_SCHEMA),
    }
}

/// What `connection.url` says.
#[derive(Default)]
struct Connection {
    /// The URL without a password.
    url: String,
    /// The user that a parameter names, which is no longer in the URL.
    user: Option<String>,
    /// Whether the URL names a user at all.
    names_user: bool,
    password: Option<Secret>,
}

fn connection(values: &mut Values<'_, '_>) -> Connection {
    let resolved = values.text(&CONNECTION_URL);
    let mut connection = match in_url(values, &resolved) {
        Ok(connection) => connection,
        Err(message) => {
            values.problem(CONNECTION_URL.name, message, CONNECTION_URL.hint());
            Connection::default()
        }
    };
    let (user, password) = (values.optional(&CONNECTION_USER), values.optional(&CONNECTION_PASSWORD));
    if user.is_some() && connection.names_user {
        values.problem(CONNECTION_USER.name, "is given beside the user in `connection.url`", "remove one of them");
    }
    if password.is_some() && connection.password.is_some() {
        let message = "is given beside the password in `connection.url`";
        values.problem(CONNECTION_PASSWORD.name, message, "remove the one in the URL");
    }
    connection.user = user.or(connection.user);
    connection.password = password.map(Secret::new).or(connection.password);
    connection
}

/// The parts of `connection.url`. It is taken apart as written, before its references are resolved, so that a
/// password from a file may hold any character; a URL that is one reference as a whole is resolved first.
fn in_url(values: &Values<'_, '_>, resolved: &str) -> Result<Connection, &'static str> {
    if resolved.is_empty() {
        return Ok(Connection::default());
    }
    let written = values.written(CONNECTION_URL.name);
    let is_whole = reference::is_only_references(&written);
    let masked = reference::mask(if is_whole { "" } else { written.trim() });
    let told = |part: &str| if is_whole { part.to_owned() } else { values.resolve(&masked.restore(part)) };
    let parts = url::split(if is_whole { resolved } else { &masked.text })?;
    let decoded = |part: Option<&str>| match part.map(|part| url::decode(part).ok_or(part)) {
        Some(Ok(text)) => Ok(Some(told(&text))),
        Some(Err(_)) => Err("holds a user or a password that is no UTF-8 behind its percent signs"),
        None => Ok(None),
    };
    Ok(Connection {
        url: told(&parts.without_credentials()),
        user: decoded(parts.user_in_query())?,
        names_user: parts.user.is_some(),
        password: decoded(parts.password)?.map(Secret::new),
    })
}

fn fields(values: &mut Values<'_, '_>) -> Vec<Field> {
    let items = values.list(&FIELDS);
    let mut fields: Vec<Field> = Vec::new();
    for (name, kind) in items.iter().filter_map(|item| field(item)) {
        if fields.iter().any(|field| field.path.as_str() == name) {
            let message = format!("names {} twice", values.shown(FIELDS.name, name));
            values.problem(FIELDS.name, message, "remove one of them");
        }
        fields.push(Field { path: Path::from(name), kind });
    }
    if !fields.is_empty() && values.peek(AUTO_CREATE.name).is_none_or(|value| value.eq_ignore_ascii_case("false")) {
        let message = "has no effect, since it names the columns of a table that weir creates";
        values.problem(FIELDS.name, message, "write `auto.create: true`, or remove it");
    }
    fields
}

fn time_column(values: &mut Values<'_, '_>, fields: &[Field]) -> Option<String> {
    let column = values.optional(&TIME_COLUMN);
    match &column {
        None if values.is_given(CHUNK_INTERVAL.name) && !values.is_given(TIME_COLUMN.name) => {
            let message = "has no effect without `timescale.time.column`";
            values.problem(CHUNK_INTERVAL.name, message, "name the column, or remove it");
        }
        Some(column) if !fields.is_empty() && fields.iter().all(|field| field.path.as_str() != column) => {
            let message = format!("names {}, which `fields` does not list", values.shown(TIME_COLUMN.name, column));
            values.problem(TIME_COLUMN.name, message, "add the column to `fields`");
        }
        _ => {}
    }
    column
}
