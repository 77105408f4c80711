//! Which member comes next. Records of one topic mostly have the same members in the same order, so each
//! object that fields are pulled from remembers the names it has seen as raw bytes, what is wanted of them, and
//! which followed which. A name that comes as expected costs a comparison of one or two words; any other is
//! scanned, checked and looked up. What is remembered only ever saves time: equal bytes mean equal names.

use super::fault::Fault;
use super::plan::Target;
use super::scan::{Cursor, Quoted};

/// Names remembered per object beside the wanted ones; later ones are looked up each time.
const REMEMBERED_MAX: usize = 64;
/// The longest name that is remembered, with quotes, colon and white space, in bytes.
const REMEMBERED_BYTES_MAX: usize = 64;

/// A remembered name.
#[derive(Debug)]
struct Remembered {
    /// The first eight bytes of `text` and which of their bits count.
    first: u64,
    first_mask: u64,
    /// The same for the next eight.
    second: u64,
    second_mask: u64,
    /// The name as it stood in a record, with its quotes, the colon, and white space around.
    text: Box<[u8]>,
    target: Target,
    /// The one that followed last time.
    next: usize,
}

impl Remembered {
    fn new(text: &[u8], target: Target) -> Self {
        let (first, first_mask) = masked_word(text);
        let (second, second_mask) = masked_word(text.get(8..).unwrap_or_default());
        Remembered { first, first_mask, second, second_mask, text: text.into(), target, next: 0 }
    }

    #[inline]
    fn is_next(&self, cursor: Cursor<'_>) -> bool {
        if (cursor.word() ^ self.first) & self.first_mask != 0 {
            return false;
        }
        match self.text.len() {
            0..=8 => true,
            9..=16 => (cursor.second_word() ^ self.second) & self.second_mask == 0,
            _ => cursor.rest().starts_with(&self.text),
        }
    }
}

/// The first bytes of a text as a word, at most eight, and a mask of the bits that they fill.
fn masked_word(text: &[u8]) -> (u64, u64) {
    let head = text.iter().take(8);
    head.rev().fold((0, 0), |(word, mask), &byte| (word << 8 | u64::from(byte), mask << 8 | 0xFF))
}

/// The members of one object that fields are pulled from.
#[derive(Debug)]
pub struct Names {
    /// Sorted by name.
    wanted: Vec<(Box<str>, Target)>,
    /// The first stands for the beginning of an object, the second for the last name that is not remembered;
    /// neither is ever expected.
    remembered: Vec<Remembered>,
}

const START: usize = 0;
const UNKNOWN: usize = 1;

/// A place in the order of names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Step {
    this: usize,
    next: usize,
}

impl Names {
    /// Members by name, sorted, and what is wanted of each.
    pub fn new(wanted: Vec<(Box<str>, Target)>) -> Self {
        let mut remembered = vec![Remembered::new(b"", Target::Skip), Remembered::new(b"", Target::Skip)];
        let plain = |name: &str| !name.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\');
        for (name, target) in wanted.iter().filter(|(name, _)| plain(name) && name.len() + 3 <= REMEMBERED_BYTES_MAX) {
            remembered.push(Remembered::new(format!("\"{name}\":").as_bytes(), *target));
        }
        Names { wanted, remembered }
    }

    /// Before the first member of an object.
    #[inline]
    pub fn start(&self) -> Step {
        Step { this: START, next: self.remembered.first().map_or(START, |start| start.next) }
    }

    /// Goes over the next member's name, its colon and the white space around; tells what is wanted of it.
    #[inline(always)]
    pub fn next(&mut self, cursor: &mut Cursor<'_>, step: &mut Step) -> Result<Target, Fault> {
        match self.remembered.get(step.next) {
            Some(expected) if step.next > UNKNOWN && expected.is_next(*cursor) => {
                cursor.advance(expected.text.len());
                // There may be more white space than last time.
                cursor.skip_whitespace();
                *step = Step { this: step.next, next: expected.next };
                Ok(expected.target)
            }
            _ => {
                let (this, left) = self.look_up(*cursor, step.this)?;
                cursor.leave(left);
                let Some(found) = self.remembered.get(this) else {
                    return Ok(Target::Skip);
                };
                *step = Step { this, next: found.next };
                Ok(found.target)
            }
        }
    }

    /// The name that stands here, by its place in what is remembered, and the bytes left after its colon.
    #[cold]
    fn look_up(&mut self, cursor: Cursor<'_>, before: usize) -> Result<(usize, usize), Fault> {
        let mut after = cursor;
        after.skip_whitespace();
        let name = after.skip_name()?;
        let text = cursor.until(after);
        let this = match self.find(text) {
            Some(this) => this,
            None => self.remember(text, name),
        };
        if let Some(before) = self.remembered.get_mut(before) {
            before.next = this;
        }
        Ok((this, after.left()))
    }

    fn find(&self, text: &[u8]) -> Option<usize> {
        let (first, mask) = masked_word(text);
        self.remembered
            .iter()
            .position(|known| known.first == first && known.first_mask == mask && *known.text == *text)
    }

    fn remember(&mut self, text: &[u8], name: Quoted<'_>) -> usize {
        let target = name.with_text(|name| self.wanted(name));
        if self.remembered.len() > REMEMBERED_MAX + self.wanted.len() || text.len() > REMEMBERED_BYTES_MAX {
            if let Some(unknown) = self.remembered.get_mut(UNKNOWN) {
                unknown.target = target;
            }
            return UNKNOWN;
        }
        self.remembered.push(Remembered::new(text, target));
        self.remembered.len() - 1
    }

    fn wanted(&self, name: &[u8]) -> Target {
        let found = self.wanted.binary_search_by(|(wanted, _)| wanted.as_bytes().cmp(name));
        found.ok().and_then(|at| self.wanted.get(at)).map_or(Target::Skip, |(_, target)| *target)
    }
}
