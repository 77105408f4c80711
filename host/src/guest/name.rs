//! How a guest is called in errors and logs, and how its own words are made fit to be shown.

use std::fmt;
use std::sync::Arc;

use crate::limits;

/// Who a guest is: the plugin's identity, and the alias under which a pipeline uses it. Cheap to clone; shown
/// without the alias, since whoever calls a guest says where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestName {
    plugin: Arc<str>,
    alias: Arc<str>,
}

impl GuestName {
    /// The guest of a pipeline's `transforms.ALIAS`.
    pub fn used(id: &str, version: &str, alias: &str) -> GuestName {
        GuestName { plugin: format!("plugin {id} {version}").into(), alias: alias.into() }
    }

    /// A guest that is only asked who it is; all that is known is its file.
    pub fn unknown(file: &str) -> GuestName {
        GuestName { plugin: format!("plugin file {file}").into(), alias: "".into() }
    }

    /// Its alias; empty where it has none.
    pub fn alias(&self) -> &str {
        &self.alias
    }
}

impl fmt::Display for GuestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plugin)
    }
}

/// A guest's text as one line for people: without control characters (line ends and tabs become blanks) and
/// at most [`limits::GUEST_MESSAGE_BYTES_MAX`] bytes long.
pub(super) fn presentable(text: &str) -> String {
    presentable_within(text, limits::GUEST_MESSAGE_BYTES_MAX)
}

/// The same, at most `bytes_max` bytes long.
pub(super) fn presentable_within(text: &str, bytes_max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(bytes_max));
    for letter in text.trim().chars() {
        let letter = match letter {
            '\n' | '\t' => ' ',
            control if control.is_control() => continue,
            other => other,
        };
        if line.len() + letter.len_utf8() > bytes_max {
            break;
        }
        line.push(letter);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_text_is_one_bounded_line_without_control_characters() {
        assert_eq!(
            presentable("panicked at src/lib.rs:5:9:\nno\u{1b}[31m price\r\n"),
            "panicked at src/lib.rs:5:9: no[31m price"
        );
        let long = "é".repeat(limits::GUEST_MESSAGE_BYTES_MAX);
        assert_eq!(presentable(&long).len(), limits::GUEST_MESSAGE_BYTES_MAX);
        assert_eq!(presentable(&format!("a{long}")).len(), limits::GUEST_MESSAGE_BYTES_MAX - 1);
    }
}
