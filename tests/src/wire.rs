//! As much of PostgreSQL's wire protocol (version 3) as it takes to know when a COMMIT goes to the server and when its
//! answer comes back. Pure: bytes in, facts out; the proxy moves the bytes.
//!
//! A client may send many messages before it reads an answer, so answers are matched by counting: the server sends one
//! ReadyForQuery for every Query and every Sync, except that it ignores a Sync that arrives while a COPY FROM STDIN
//! waits for data (protocol documentation, "COPY Operations").

use std::collections::HashSet;

/// Bytes of a message before its body: tag and length.
const HEADER: usize = 5;

/// One message, header included.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The message's tag.
    pub tag: u8,
    /// What follows the length.
    pub body: &'a [u8],
    /// The whole message.
    pub bytes: &'a [u8],
}

/// The first whole message of `bytes`, none while it is incomplete.
pub fn frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let (&tag, rest) = bytes.split_first()?;
    let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
    let whole = bytes.get(..=length)?;
    Some(Frame { tag, body: whole.get(HEADER..)?, bytes: whole })
}

/// A COMMIT on its way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Its number among all COMMITs of the proxy, from 1.
    pub number: u64,
    /// Its number among the COMMITs of transactions that copied rows, from 1; none when this one copied none.
    pub copy_number: Option<u64>,
}

/// What one connection has asked and what was answered.
#[derive(Debug)]
pub struct Conversation {
    asked: u64,
    answered: u64,
    syncs_since_execute: u64,
    commit_statements: HashSet<Vec<u8>>,
    commit_portals: HashSet<Vec<u8>>,
    copied: bool,
    awaited: Option<u64>,
}

impl Default for Conversation {
    /// The startup is the first thing asked.
    fn default() -> Self {
        Self {
            asked: 1,
            answered: 0,
            syncs_since_execute: 0,
            commit_statements: HashSet::new(),
            commit_portals: HashSet::new(),
            copied: false,
            awaited: None,
        }
    }
}

impl Conversation {
    /// Notes a message of the client. A COMMIT is told, with whether its transaction copied rows.
    pub fn asks(&mut self, frame: Frame<'_>) -> Option<bool> {
        match frame.tag {
            b'Q' => {
                self.asked += 1;
                self.syncs_since_execute = 0;
                return commits(text(frame.body).0).then(|| std::mem::take(&mut self.copied));
            }
            b'P' => {
                let (name, rest) = text(frame.body);
                remember(&mut self.commit_statements, name, commits(text(rest).0));
            }
            b'B' => {
                let (portal, rest) = text(frame.body);
                let is_commit = self.commit_statements.contains(text(rest).0);
                remember(&mut self.commit_portals, portal, is_commit);
            }
            b'E' => {
                self.syncs_since_execute = 0;
                let is_commit = self.commit_portals.contains(text(frame.body).0);
                return is_commit.then(|| std::mem::take(&mut self.copied));
            }
            b'S' => {
                self.asked += 1;
                self.syncs_since_execute += 1;
            }
            b'd' => self.copied = true,
            b'c' | b'f' => self.asked -= std::mem::take(&mut self.syncs_since_execute),
            _ => {}
        }
        None
    }

    /// From now on [`Self::answers`] looks for the answer to the COMMIT that `asks` has just told.
    pub fn await_commit(&mut self, asked_by: u8) {
        self.awaited = Some(if asked_by == b'Q' { self.asked } else { self.asked + 1 });
    }

    /// Notes a message of the server, unless it is the answer to the awaited COMMIT, be it success or failure: then
    /// it tells so, once, and the message is still to be noted.
    pub fn answers(&mut self, frame: Frame<'_>) -> bool {
        let ends = match frame.tag {
            b'C' => frame.body.starts_with(b"COMMIT") || frame.body.starts_with(b"ROLLBACK"),
            b'E' | b'Z' => true,
            _ => false,
        };
        if ends && self.awaited.is_some_and(|awaited| self.answered + 1 >= awaited) {
            self.awaited = None;
            return true;
        }
        self.answered += u64::from(frame.tag == b'Z');
        false
    }
}

fn remember(names: &mut HashSet<Vec<u8>>, name: &[u8], keep: bool) {
    if keep {
        names.insert(name.to_vec());
    } else {
        names.remove(name);
    }
}

/// The bytes before the first zero, and those after it.
fn text(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (text, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
    (text, rest.get(1..).unwrap_or_default())
}

/// Whether one of the statements is COMMIT or its synonym END.
fn commits(sql: &[u8]) -> bool {
    String::from_utf8_lossy(sql).split(';').any(|statement| {
        let first = statement.split_whitespace().next().unwrap_or_default();
        first.eq_ignore_ascii_case("commit") || first.eq_ignore_ascii_case("end")
    })
}
