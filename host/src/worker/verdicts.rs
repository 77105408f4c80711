//! What has been decided about chains, by operators or by what became of them: shared by all workers of a pipeline.

use std::collections::{BTreeMap, BTreeSet};

use crate::task::line::Line;

/// The decisions of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Subjects that are not to speak, and why: SHA-256 digests of components, or generations, as hexadecimal digits.
    pub refused: BTreeMap<String, String>,
    /// Subjects that may speak whatever the policy says.
    pub approved: BTreeSet<String>,
    /// The version range to take, by alias, in place of the file's.
    pub pins: BTreeMap<String, String>,
}

impl Verdicts {
    /// Whether a component may be part of a chain.
    pub fn admits(&self, digest: &str) -> bool {
        !self.refused.contains_key(digest)
    }

    /// Whether an operator has approved a candidate in place of what speaks.
    pub fn approves(&self, candidate: &Line, speaks: &Line) -> bool {
        subjects(candidate, speaks).iter().any(|subject| self.approved.contains(subject))
    }

    /// Why a candidate is not to take the place of what speaks.
    pub fn refusal(&self, candidate: &Line, speaks: &Line) -> Option<&str> {
        subjects(candidate, speaks).iter().find_map(|subject| self.refused.get(subject)).map(String::as_str)
    }

    /// A candidate is not to be offered again.
    pub fn refuse(&mut self, subjects: &[String], why: &str) {
        for subject in subjects {
            self.approved.remove(subject);
            self.refused.insert(subject.clone(), why.to_owned());
        }
    }
}

/// What a verdict about a candidate is about: the components that are new in it, or, where only settings change, its
/// generation.
pub fn subjects(candidate: &Line, speaks: &Line) -> Vec<String> {
    let known = speaks.digests();
    let new: Vec<String> = candidate.digests().into_iter().filter(|digest| !known.contains(digest)).collect();
    if new.is_empty() { vec![hex(&candidate.generation.0)] } else { new }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
