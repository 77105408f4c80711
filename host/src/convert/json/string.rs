//! The rarer parts of strings: escapes and characters beyond ASCII.

use super::fault::{Cause, Fault};
use super::scan::{Cursor, Quoted};

/// Checks what ended a run of plain characters and is no quote: the bytes left after the escape that stands here.
#[cold]
pub fn check_escape(cursor: Cursor<'_>) -> Result<usize, Fault> {
    match cursor.peek() {
        Some(b'\\') => {}
        Some(_) => return Err(cursor.fault(Cause::Control)),
        None => return Err(cursor.fault(Cause::Quote)),
    }
    let mut after = cursor;
    after.advance(1);
    match after.peek() {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => after.advance(1),
        Some(b'u') => {
            let low_follows = |after: &mut Cursor<'_>| {
                Ok(after.eat(b'\\') && after.peek() == Some(b'u') && (0xDC00..0xE000).contains(&unit(after)?))
            };
            match unit(&mut after)? {
                0xD800..0xDC00 if !low_follows(&mut after)? => {
                    return Err(cursor.fault(Cause::Surrogate));
                }
                0xDC00..0xE000 => return Err(cursor.fault(Cause::Surrogate)),
                _ => {}
            }
        }
        Some(_) => return Err(cursor.fault(Cause::Escape)),
        None => return Err(after.fault(Cause::Quote)),
    }
    Ok(after.left())
}

/// Goes over the `uXXXX` of an escape: one unit of UTF-16.
fn unit(cursor: &mut Cursor<'_>) -> Result<u32, Fault> {
    let [_, digits @ .., _, _, _] = cursor.word().to_le_bytes();
    let unit = hex4(digits).ok_or_else(|| cursor.fault(Cause::Escape))?;
    cursor.advance(5);
    Ok(unit)
}

fn hex4(digits: [u8; 4]) -> Option<u32> {
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}

/// Checks the content of a string, which begins before the last `left` bytes of the payload.
#[cold]
pub fn check_utf8(content: &[u8], left: usize) -> Result<(), Fault> {
    match std::str::from_utf8(content) {
        Ok(_) => Ok(()),
        Err(e) => Err(Fault::new(Cause::Utf8, left.saturating_sub(e.valid_up_to()))),
    }
}

impl Quoted<'_> {
    /// Appends the text that the string stands for. True, as it always has one.
    #[inline]
    pub fn append_to(self, out: &mut Vec<u8>) -> bool {
        if self.escaped {
            unescape(self.content, out);
        } else {
            out.extend_from_slice(self.content);
        }
        true
    }

    /// Hands on the text that the string stands for.
    pub fn with_text<T>(self, read: impl FnOnce(&[u8]) -> T) -> T {
        if !self.escaped {
            return read(self.content);
        }
        let mut text = Vec::with_capacity(self.content.len());
        unescape(self.content, &mut text);
        read(&text)
    }
}

/// Appends the checked content of a string with its escapes resolved.
fn unescape(content: &[u8], out: &mut Vec<u8>) {
    let mut rest = content;
    while let Some(plain) = rest.iter().position(|&byte| byte == b'\\') {
        let (head, tail) = rest.split_at(plain);
        out.extend_from_slice(head);
        let (character, bytes) = escaped_character(tail);
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = tail.get(bytes..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// The character of the escape at the beginning of `text`, which was checked, and its length.
fn escaped_character(text: &[u8]) -> (char, usize) {
    let simple = match text.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(text),
        Some(&byte) => char::from(byte),
        None => char::REPLACEMENT_CHARACTER,
    };
    (simple, 2)
}

fn unicode_escape(text: &[u8]) -> (char, usize) {
    let unit = |at: usize| text.get(at..)?.first_chunk::<4>().copied().and_then(hex4);
    let (code, bytes) = match unit(2).unwrap_or(0) {
        high @ 0xD800..0xDC00 => (0x1_0000 + ((high & 0x3FF) << 10 | unit(8).unwrap_or(0) & 0x3FF), 12),
        code => (code, 6),
    };
    (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), bytes)
}
