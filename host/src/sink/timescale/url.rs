//! `connection.url`: libpq's form (`postgres://user@host:port/database?…`) and JDBC's
//! (`jdbc:postgresql://host:port/database?user=…`), read into the client's settings. Pure.

use std::path::PathBuf;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::tls::Verify;
use crate::error::{Error, Kind, Result};

/// Where to connect, and how to know the server.
#[derive(Debug, Clone)]
pub struct Address {
    /// The client's settings, TLS mode included.
    pub config: Config,
    /// What of the server's certificate is verified.
    pub verify: Verify,
    /// `sslrootcert`: whom to trust; None = the system's store.
    pub root_certificate: Option<PathBuf>,
    /// `sslcert` and `sslkey`: the client's own certificate.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

/// Settings that the client library takes as they are.
const PASSED: &[&str] = &[
    "user",
    "password",
    "dbname",
    "host",
    "hostaddr",
    "port",
    "options",
    "application_name",
    "sslnegotiation",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "channel_binding",
    "load_balance_hosts",
];
/// JDBC's names for some of them.
const JDBC_NAMES: &[(&str, &str)] = &[
    ("ApplicationName", "application_name"),
    ("connectTimeout", "connect_timeout"),
    ("loginTimeout", "connect_timeout"),
    ("channelBinding", "channel_binding"),
];

/// Reads a URL. Errors: [`Kind::Config`] naming the part at fault, never showing the URL's credentials.
pub fn parse(url: &str) -> Result<Address> {
    let (jdbc, rest) = match url.strip_prefix("jdbc:") {
        Some(rest) => (true, rest),
        None => (false, url),
    };
    let rest = ["postgres://", "postgresql://"].into_iter().find_map(|scheme| rest.strip_prefix(scheme));
    let rest = rest.ok_or_else(|| {
        invalid("it begins with neither postgres:// nor jdbc:postgresql://, as in postgres://user@host:5432/database")
    })?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut tls = TlsSettings::default();
    let mut passed = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !tls.take(name, value, jdbc)? {
            passed.extend(parameter(name, value, jdbc)?);
        }
    }
    let mut config: Config = format!("postgres://{place}?{}", passed.join("&"))
        .parse()
        .map_err(|e: tokio_postgres::Error| Error::caused(Kind::Config, "connection.url cannot be read", e))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        config.host("localhost");
    }
    tls.address(config)
}

/// A parameter in the client library's words; None = one of JDBC's that means nothing here.
fn parameter(name: &str, value: &str, jdbc: bool) -> Result<Option<String>> {
    if PASSED.contains(&name) {
        return Ok(Some(format!("{name}={value}")));
    }
    // weir writes, so it always asks for a server that takes writes.
    if matches!((name, value), ("target_session_attrs", "read-write" | "any" | "primary")) {
        return Ok(None);
    }
    if !jdbc {
        return Err(invalid(&format!("it has the unknown parameter {name}={value}")));
    }
    if name == "currentSchema" {
        return Ok(Some(format!("options=-csearch_path%3D{value}")));
    }
    let known = JDBC_NAMES.iter().find(|(jdbc_name, _)| *jdbc_name == name);
    if known.is_none() {
        tracing::debug!(parameter = name, "connection.url has a parameter of the JDBC driver that weir does not use");
    }
    Ok(known.map(|(_, own)| format!("{own}={value}")))
}

/// What the URL says about TLS.
#[derive(Debug, Default)]
struct TlsSettings {
    mode: Option<String>,
    root: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl TlsSettings {
    /// Keeps a parameter if it is about TLS.
    fn take(&mut self, name: &str, value: &str, jdbc: bool) -> Result<bool> {
        let path = || decode(value).map(PathBuf::from);
        match name {
            "sslmode" => self.mode = Some(value.to_owned()),
            // JDBC's ssl=true means what libpq calls verify-full.
            "ssl" if jdbc => {
                let verified = matches!(value, "" | "true");
                self.mode.get_or_insert_with(|| if verified { "verify-full" } else { "disable" }.to_owned());
            }
            "sslrootcert" => self.root = Some(path()?),
            "sslcert" => self.certificate = Some(path()?),
            "sslkey" => self.key = Some(path()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn address(self, mut config: Config) -> Result<Address> {
        let root_certificate = self.root.filter(|path| path.as_os_str() != "system");
        let (mode, verify) = match self.mode.as_deref() {
            Some("disable") => (SslMode::Disable, Verify::Nothing),
            None | Some("prefer" | "allow") => (SslMode::Prefer, Verify::Nothing),
            // As in libpq: who names a root certificate wants it used.
            Some("require") if root_certificate.is_some() => (SslMode::Require, Verify::Chain),
            Some("require") => (SslMode::Require, Verify::Nothing),
            Some("verify-ca") => (SslMode::Require, Verify::Chain),
            Some("verify-full") => (SslMode::Require, Verify::ChainAndName),
            Some(other) => {
                return Err(invalid(&format!(
                    "sslmode={other} is none of disable, prefer, require, verify-ca and verify-full"
                )));
            }
        };
        config.ssl_mode(mode);
        let client_certificate = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(invalid("sslcert and sslkey are only of use together")),
        };
        Ok(Address { config, verify, root_certificate, client_certificate })
    }
}

/// Undoes percent-encoding.
fn decode(value: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut parts = value.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let digits = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let broken = || invalid(&format!("{value} has a % that is not followed by two hexadecimal digits"));
        bytes.push(digits.ok_or_else(broken)?);
        bytes.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| invalid(&format!("{value} is not UTF-8")))
}

fn invalid(why: &str) -> Error {
    Error::new(Kind::Config, format!("connection.url cannot be read: {why}"))
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
