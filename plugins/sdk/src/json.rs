//! A JSON writer of a few lines, because a JSON library would be most of a small component (RFC 8259).

/// Text of one JSON object in the making; members appear in the order of the calls.
#[derive(Debug, Default)]
pub(crate) struct Object {
    text: String,
}

impl Object {
    /// Adds a text.
    pub(crate) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        string(&mut self.text, value);
        self
    }

    /// Adds a text, or null.
    pub(crate) fn maybe_text(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(name, value),
            None => self.raw(name, "null"),
        }
    }

    /// Adds a number, or null.
    pub(crate) fn maybe_number(&mut self, name: &str, value: Option<u64>) -> &mut Self {
        match value {
            Some(value) => self.raw(name, &value.to_string()),
            None => self.raw(name, "null"),
        }
    }

    /// Adds what is JSON already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) -> &mut Self {
        self.name(name);
        self.text.push_str(json);
        self
    }

    /// Adds an array of what is JSON already.
    pub(crate) fn array(&mut self, name: &str, items: impl IntoIterator<Item = String>) -> &mut Self {
        let items: Vec<String> = items.into_iter().collect();
        self.raw(name, &format!("[{}]", items.join(",")))
    }

    /// The object's text.
    pub(crate) fn finish(&self) -> String {
        format!("{{{}}}", self.text)
    }

    fn name(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
        string(&mut self.text, name);
        self.text.push(':');
    }
}

/// Appends a JSON string; what may not stand in one is escaped.
fn string(text: &mut String, value: &str) {
    text.push('"');
    for letter in value.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\0'..='\x1f' => {
                let code = u32::from(letter);
                let digits = [code >> 4, code & 0xf].map(|digit| char::from_digit(digit, 16));
                text.push_str("\\u00");
                text.extend(digits.into_iter().flatten());
            }
            _ => text.push(letter),
        }
    }
    text.push('"');
}
