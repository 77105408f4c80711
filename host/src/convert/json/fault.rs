//! What makes a payload no JSON document, and where.

use std::num::NonZeroU64;

/// What was expected or is not allowed at some byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A value must begin here.
    Value,
    /// The name of a member must begin here.
    Name,
    /// `:` between name and value.
    Colon,
    /// `,` or `}` after a member.
    MemberEnd,
    /// `,` or `]` after an element.
    ElementEnd,
    /// A digit of a number.
    Digit,
    /// A number that begins with 0 goes on with digits.
    LeadingZero,
    /// The closing quote of a string.
    Quote,
    /// One of the escapes of RFC 8259 §7 after a backslash.
    Escape,
    /// Half of a surrogate pair without the other half: no Unicode character.
    Surrogate,
    /// A control character that must be escaped.
    Control,
    /// Bytes that are not UTF-8.
    Utf8,
    /// A number too large for a 64-bit float.
    Range,
    /// More open arrays and objects than [`crate::limits::JSON_DEPTH_MAX`].
    Depth,
    /// Something after the document.
    Trailing,
    /// A byte order mark, which RFC 8259 §8.1 forbids.
    ByteOrderMark,
}

const CAUSES: [Cause; 16] = [
    Cause::Value,
    Cause::Name,
    Cause::Colon,
    Cause::MemberEnd,
    Cause::ElementEnd,
    Cause::Digit,
    Cause::LeadingZero,
    Cause::Quote,
    Cause::Escape,
    Cause::Surrogate,
    Cause::Control,
    Cause::Utf8,
    Cause::Range,
    Cause::Depth,
    Cause::Trailing,
    Cause::ByteOrderMark,
];

impl Cause {
    fn sentence(self) -> &'static str {
        match self {
            Cause::Value => "expected a value",
            Cause::Name => "expected a member's name in quotes",
            Cause::Colon => "expected ':'",
            Cause::MemberEnd => "expected ',' or '}'",
            Cause::ElementEnd => "expected ',' or ']'",
            Cause::Digit => "expected a digit",
            Cause::LeadingZero => "a number with a leading zero",
            Cause::Quote => "expected the closing '\"' of a string",
            Cause::Escape => "an unknown escape in a string",
            Cause::Surrogate => "half of a surrogate pair",
            Cause::Control => "a control character in a string",
            Cause::Utf8 => "bytes that are not UTF-8",
            Cause::Range => "a number out of the range of float64",
            Cause::Depth => "arrays and objects nested more than 128 deep",
            Cause::Trailing => "expected nothing more",
            Cause::ByteOrderMark => "a byte order mark",
        }
    }
}

/// Where a payload stops being JSON, and why. One word that is never zero, so that the results of the scanner
/// stay in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault(NonZeroU64);

impl Fault {
    /// A fault before the last `left` bytes of the payload.
    pub fn new(cause: Cause, left: usize) -> Self {
        Fault(NonZeroU64::MIN.saturating_add((left as u64) << 8 | cause as u64))
    }

    /// What is wrong.
    pub fn cause(self) -> Cause {
        let code = (self.0.get() - 1) as u8;
        CAUSES.into_iter().find(|&cause| cause as u8 == code).unwrap_or(Cause::Value)
    }

    /// The byte where it is wrong, counted from 0, of a payload of that many bytes.
    pub fn at(self, payload_bytes: usize) -> usize {
        payload_bytes.saturating_sub(((self.0.get() - 1) >> 8) as usize)
    }

    /// The sentence, for a payload of that many bytes.
    pub fn sentence(self, payload_bytes: usize) -> String {
        let at = self.at(payload_bytes);
        let end = if at == payload_bytes { ", where it ends" } else { "" };
        format!("{} at byte {at}{end}", self.cause().sentence())
    }
}
