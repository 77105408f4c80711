//! The cursor over one payload, and the checks that every byte of it passes: RFC 8259 syntax, UTF-8, control
//! characters, escapes, nesting. Works on eight bytes at a time with plain 64-bit arithmetic; near the end of
//! the payload a word is padded with zero bytes, which no token contains, so that one code path serves all.
//!
//! What runs per token is inlined into its loop; what is rare or large is a call that takes the cursor by value
//! and gives back how many bytes are left after it. So the cursor stays in registers, which is what decides the
//! speed here.

use super::fault::{Cause, Fault};
use super::number;
use super::string::{check_escape, check_utf8};
use crate::limits::JSON_DEPTH_MAX;

/// The lowest bit of each byte of a word.
pub const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte of a word.
pub const HIGHS: u64 = 0x8080_8080_8080_8080;

/// What of a payload is still to be read.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a>(&'a [u8]);

/// A scanned string: its checked content without the quotes.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a> {
    /// UTF-8, escapes still in it.
    pub content: &'a [u8],
    /// Whether there are escapes.
    pub escaped: bool,
}

/// The three names that JSON knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literal {
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

impl<'a> Cursor<'a> {
    /// At the first byte of a payload.
    #[inline]
    pub fn new(payload: &'a [u8]) -> Self {
        Cursor(payload)
    }

    /// The bytes that are left.
    #[inline]
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Their number.
    #[inline]
    pub fn left(self) -> usize {
        self.0.len()
    }

    /// Goes on to where only that many bytes are left.
    #[inline]
    pub fn leave(&mut self, left: usize) {
        self.advance(self.0.len().wrapping_sub(left));
    }

    /// The next eight bytes, the first in the low end; zero bytes stand for those after the end.
    #[inline(always)]
    pub fn word(self) -> u64 {
        match self.0.first_chunk::<8>() {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => last_word(self.0),
        }
    }

    /// The eight bytes after the next eight.
    #[inline]
    pub fn second_word(self) -> u64 {
        self.0.get(8..).map_or(0, |rest| Cursor(rest).word())
    }

    /// The next byte.
    #[inline]
    pub fn peek(self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Goes on by this many bytes, at most to the end.
    #[inline(always)]
    pub fn advance(&mut self, bytes: usize) {
        match self.0.get(bytes..) {
            Some(rest) => self.0 = rest,
            None => self.0 = nothing(),
        }
    }

    /// Goes over this byte if it is the next.
    #[inline]
    pub fn eat(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((&first, rest)) if first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Goes over this byte, which must be the next.
    #[inline]
    pub fn expect(&mut self, byte: u8, cause: Cause) -> Result<(), Fault> {
        if self.eat(byte) { Ok(()) } else { Err(self.fault(cause)) }
    }

    /// Goes over white space.
    #[inline]
    pub fn skip_whitespace(&mut self) {
        if self.peek().is_some_and(|byte| byte <= b' ') {
            self.leave(left_after_whitespace(*self));
        }
    }

    /// The bytes from here to where `later` stands.
    #[inline]
    pub fn until(self, later: Cursor<'a>) -> &'a [u8] {
        self.0.get(..self.0.len().wrapping_sub(later.0.len())).unwrap_or_default()
    }

    /// A fault at the next byte.
    #[cold]
    pub fn fault(self, cause: Cause) -> Fault {
        Fault::new(cause, self.0.len())
    }

    /// Goes over a string, whose opening quote is the next byte.
    #[inline(always)]
    pub fn string(&mut self) -> Result<Quoted<'a>, Fault> {
        self.advance(1);
        let start = *self;
        let mut escaped = false;
        let mut beyond_ascii = 0;
        loop {
            let word = self.word();
            let stops = string_stops(word);
            if stops == 0 {
                beyond_ascii |= word & HIGHS;
                self.advance(8);
                continue;
            }
            let first = stops & stops.wrapping_neg();
            beyond_ascii |= word & HIGHS & first.wrapping_sub(1);
            self.advance(first.trailing_zeros() as usize >> 3);
            if self.peek() == Some(b'"') {
                break;
            }
            escaped = true;
            self.leave(check_escape(*self)?);
        }
        let content = start.until(*self);
        self.advance(1);
        if beyond_ascii != 0 {
            check_utf8(content, start.left())?;
        }
        Ok(Quoted { content, escaped })
    }

    /// Goes over `true`, `false` or `null`, or fails as no value begins here.
    #[inline]
    pub fn literal(&mut self) -> Result<Literal, Fault> {
        let word = self.word();
        let (literal, bytes) = if word as u32 == u32::from_le_bytes(*b"true") {
            (Literal::True, 4)
        } else if word as u32 == u32::from_le_bytes(*b"null") {
            (Literal::Null, 4)
        } else if word & 0xFF_FFFF_FFFF == u64::from_le_bytes(*b"false\0\0\0") {
            (Literal::False, 5)
        } else {
            return Err(self.fault(Cause::Value));
        };
        self.advance(bytes);
        Ok(literal)
    }

    /// Goes over the name of a member and its colon; gives the name.
    #[inline(always)]
    pub fn skip_name(&mut self) -> Result<Quoted<'a>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault(Cause::Name));
        }
        let name = self.string()?;
        self.skip_whitespace();
        self.expect(b':', Cause::Colon)?;
        self.skip_whitespace();
        Ok(name)
    }

    /// Goes over a value that is no array or object.
    #[inline(always)]
    pub fn skip_scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => number::scan(self).map(drop),
            _ => self.literal().map(drop),
        }
    }

    /// Goes over an array or object, which begins here inside `depth` others.
    #[inline]
    pub fn skip_container(&mut self, depth: usize) -> Result<(), Fault> {
        self.leave(left_after_container(*self, depth)?);
        Ok(())
    }
}

/// No bytes. Never inlined, so that an advance to the end costs the others nothing.
#[cold]
#[inline(never)]
fn nothing() -> &'static [u8] {
    &[]
}

/// The word that fewer than eight bytes make.
#[inline(never)]
fn last_word(rest: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        let shift = (8 * rest.len() as u32) & 31;
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << shift
    } else {
        rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
    }
}

#[inline(never)]
fn left_after_whitespace(mut cursor: Cursor<'_>) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = cursor.peek() {
        cursor.advance(1);
    }
    cursor.left()
}

/// The bytes after an array or object. Not recursive: what is open is one bit per level.
#[inline(never)]
fn left_after_container(mut cursor: Cursor<'_>, depth: usize) -> Result<usize, Fault> {
    let mut open = Open { objects: 0, levels: depth, outer: depth };
    open.push(&mut cursor)?;
    let mut may_close = true;
    loop {
        cursor.skip_whitespace();
        if may_close && cursor.eat(open.closing()) {
            if open.pop() {
                return Ok(cursor.left());
            }
        } else {
            if open.is_object() {
                cursor.skip_name()?;
            }
            if matches!(cursor.peek(), Some(b'{' | b'[')) {
                open.push(&mut cursor)?;
                may_close = true;
                continue;
            }
            cursor.skip_scalar()?;
        }
        // After a value: closing brackets up to the next comma.
        loop {
            if cursor.eat(b',') {
                may_close = false;
                break;
            }
            cursor.skip_whitespace();
            if cursor.eat(b',') {
                may_close = false;
                break;
            }
            cursor.expect(open.closing(), open.unclosed())?;
            if open.pop() {
                return Ok(cursor.left());
            }
        }
    }
}

/// The open arrays and objects while one is skipped.
struct Open {
    /// One bit per level, the innermost lowest: set for an object.
    objects: u128,
    levels: usize,
    /// The levels that were open before.
    outer: usize,
}

impl Open {
    /// Goes over the opening bracket at the cursor.
    #[inline(always)]
    fn push(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        if self.levels >= JSON_DEPTH_MAX {
            return Err(cursor.fault(Cause::Depth));
        }
        self.levels += 1;
        self.objects = self.objects << 1 | u128::from(cursor.peek() == Some(b'{'));
        cursor.advance(1);
        Ok(())
    }

    /// Closes the innermost; true when it was the last.
    #[inline]
    fn pop(&mut self) -> bool {
        self.levels = self.levels.wrapping_sub(1);
        self.objects >>= 1;
        self.levels == self.outer
    }

    #[inline]
    fn is_object(&self) -> bool {
        self.objects & 1 == 1
    }

    #[inline]
    fn closing(&self) -> u8 {
        if self.is_object() { b'}' } else { b']' }
    }

    fn unclosed(&self) -> Cause {
        if self.is_object() { Cause::MemberEnd } else { Cause::ElementEnd }
    }
}

/// The high bit of each byte that ends a run of plain characters: quote, backslash, control characters. Exact
/// up to the first such byte; later bits may be false. Bytes of multi-byte characters are plain.
#[inline]
fn string_stops(word: u64) -> u64 {
    let quotes = word ^ (ONES * u64::from(b'"'));
    let backslashes = word ^ (ONES * u64::from(b'\\'));
    let hits = (quotes.wrapping_sub(ONES) & !quotes)
        | (backslashes.wrapping_sub(ONES) & !backslashes)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    hits & HIGHS
}
