//! Java properties files, as Kafka's FileConfigProvider reads them (`java.util.Properties.load`).

/// The keys and values of a properties text in order; of equal keys the last counts.
pub fn parse(text: &str) -> Vec<(String, String)> {
    logical_lines(text).iter().map(|line| split(line)).collect()
}

/// Lines without comments and blank ones, those that end in an odd number of backslashes joined with the next.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;
    for natural in text.lines() {
        let natural = natural.trim_start_matches(BLANKS);
        let mut line = match open.take() {
            Some(begun) => begun + natural,
            None if natural.is_empty() || natural.starts_with(['#', '!']) => continue,
            None => natural.to_owned(),
        };
        let slashes = line.bytes().rev().take_while(|&byte| byte == b'\\').count();
        if slashes % 2 == 1 {
            line.pop();
            open = Some(line);
        } else {
            lines.push(line);
        }
    }
    lines.extend(open);
    lines
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

/// Key and value: the first `=`, `:` or blank that no backslash protects ends the key.
fn split(line: &str) -> (String, String) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (c == '=' || c == ':' || BLANKS.contains(&c));
        escaped = !escaped && c == '\\';
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANKS);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(BLANKS);
    (unescape(key), unescape(value))
}

/// Backslash escapes replaced: `\t \n \r \f \uXXXX`; any other character stands for itself.
fn unescape(text: &str) -> String {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut buffer = [0; 2];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let plain = match c {
            '\\' => match chars.next() {
                Some('u') => match hex(chars.as_str()) {
                    Some(unit) => {
                        units.push(unit);
                        chars = chars.as_str().get(4..).unwrap_or_default().chars();
                        continue;
                    }
                    None => 'u',
                },
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => break,
            },
            c => c,
        };
        units.extend_from_slice(plain.encode_utf16(&mut buffer));
    }
    String::from_utf16_lossy(&units)
}

/// The four hexadecimal digits that a text begins with.
fn hex(text: &str) -> Option<u16> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_what_java_reads() {
        let text = "# comment\n! another\n\npassword=hunter2\n  user : weir  \nblank value\nempty=\nlonely\n\
                    joined = a\\\n    b\\\nc\nslash=c:\\\\dir\\\\\nkey\\ with\\=signs=1\nunicode=\\u00e9\\uD83D\\uDE00\n\
                    tab=\\t|\\q\nbad=\\u12\nlast=1\nlast=2\ndangling=x\\";
        let expected = [
            ("password", "hunter2"),
            ("user", "weir  "),
            ("blank", "value"),
            ("empty", ""),
            ("lonely", ""),
            ("joined", "abc"),
            ("slash", "c:\\dir\\"),
            ("key with=signs", "1"),
            ("unicode", "é😀"),
            ("tab", "\t|q"),
            ("bad", "u12"),
            ("last", "1"),
            ("last", "2"),
            ("dangling", "x"),
        ];
        let read = parse(text);
        let read: Vec<(&str, &str)> = read.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(read, expected);
    }
}
