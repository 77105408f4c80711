//! A configuration as it may be shown: as written, references unresolved, and nothing that could be a password.

use std::collections::BTreeMap;

use super::keys::{self, Type};
use super::problem::Entry;
use super::reference;
use super::url::{self, HIDDEN};

/// The entries as REST shows them. References stay; the value of a secret key is hidden, and so is the password
/// in a URL.
pub fn of(entries: &[Entry]) -> BTreeMap<String, String> {
    entries.iter().map(|entry| (entry.key.clone(), shown(&entry.key, &entry.value))).collect()
}

fn shown(key: &str, written: &str) -> String {
    if key == keys::CONNECTION_URL.name {
        url::shown(written)
    } else if is_secret(key) && !reference::is_only_references(written) {
        HIDDEN.to_owned()
    } else {
        written.to_owned()
    }
}

/// Properties of Kafka's clients that hold keys or passwords though their names do not end so.
const SECRET_PROPERTIES: [&str; 5] = [
    "sasl.jaas.config",
    "ssl.keystore.key",
    "ssl.key.pem",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.client.secret",
];

/// How names of secrets end, in options of plugins and of Kafka's clients.
const SECRET_ENDINGS: [&str; 5] = ["password", "passphrase", "secret", "token", "api.key"];

/// Whether the value of a key must not be shown.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    keys::find(&key).is_some_and(|row| row.kind == Type::Password)
        || SECRET_ENDINGS.iter().any(|ending| key.ends_with(ending))
        || SECRET_PROPERTIES.iter().any(|property| key.ends_with(property))
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::config::problem::Entry;

    #[test]
    fn shows_references_and_hides_literal_secrets() {
        // key, written, shown
        let cases = [
            ("name", "ticks", "ticks"),
            ("topics", "${env:TOPICS}", "${env:TOPICS}"),
            ("connection.password", "hunter2", "[hidden]"),
            ("connection.password", "${env:DB}", "${env:DB}"),
            ("connection.password", "x${env:DB}", "[hidden]"),
            ("connection.url", "postgres://u:hunter2@h/db", "postgres://u:[hidden]@h/db"),
            ("consumer.override.sasl.jaas.config", "… password=\"hunter2\";", "[hidden]"),
            ("consumer.override.ssl.key.password", "hunter2", "[hidden]"),
            ("transforms.geo.api.key", "hunter2", "[hidden]"),
            ("transforms.sma.key.field", "symbol", "symbol"),
        ];
        for (key, written, expected) in cases {
            let raw = of(&[Entry::new(key, written)]);
            assert_eq!(raw.get(key).map(String::as_str), Some(expected), "{key}: {written}");
        }
    }
}
