//! What has been decided about the chains of a pipeline, by operators or by what became of them: shared by all workers.

use std::collections::{BTreeMap, BTreeSet};

use crate::state::{Ruling, Says};
use crate::task::line::Line;

/// The decisions of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rulings {
    /// Subjects that are not to speak, and why: SHA-256 digests of components, or generations, as hexadecimal digits.
    refused: BTreeMap<String, String>,
    /// Subjects that may speak whatever the policy says.
    approved: BTreeSet<String>,
    /// The version range to take, by alias, in place of the file's.
    pins: BTreeMap<String, String>,
}

impl Rulings {
    /// As they are written.
    pub fn of(rulings: Vec<Ruling>) -> Self {
        let mut all = Rulings::default();
        for Ruling { subject, says, detail } in rulings {
            match says {
                Says::Refused => drop(all.refused.insert(subject, detail)),
                Says::Approved => drop(all.approved.insert(subject)),
                Says::Pinned => drop(all.pins.insert(subject, detail)),
            }
        }
        all
    }

    /// Takes over what is written, but for refusals of this worker that may not be written yet: those stand until
    /// somebody decides otherwise.
    pub fn renew(&mut self, rulings: Vec<Ruling>) {
        let newer = Rulings::of(rulings);
        let mut refused = std::mem::take(&mut self.refused);
        refused.retain(|subject, _| !newer.approved.contains(subject));
        refused.extend(newer.refused);
        *self = Rulings { refused, approved: newer.approved, pins: newer.pins };
    }

    /// Whether a component may be part of a chain.
    pub fn admits(&self, digest: &str) -> bool {
        !self.refused.contains_key(digest)
    }

    /// The version range that a stage is pinned to.
    pub fn pin(&self, alias: &str) -> Option<&str> {
        self.pins.get(alias).map(String::as_str)
    }

    /// Whether an operator has approved a chain in place of the one before.
    pub fn approves(&self, chain: &Line, before: &Line) -> bool {
        subjects(chain, before).iter().any(|subject| self.approved.contains(subject))
    }

    /// Why a chain is not to take the place of the one before.
    pub fn refusal(&self, chain: &Line, before: &Line) -> Option<&str> {
        subjects(chain, before).iter().find_map(|subject| self.refused.get(subject)).map(String::as_str)
    }

    /// Decides that these subjects are not to speak; what is to be written.
    pub fn refuse(&mut self, subjects: Vec<String>, why: &str) -> Vec<Ruling> {
        let refuse = |subject: String| {
            self.approved.remove(&subject);
            self.refused.insert(subject.clone(), why.to_owned());
            Ruling { subject, says: Says::Refused, detail: why.to_owned() }
        };
        subjects.into_iter().map(refuse).collect()
    }
}

/// What a ruling about a chain is about: the components that are new in it, or, where only settings change, its
/// generation.
pub fn subjects(chain: &Line, before: &Line) -> Vec<String> {
    let known = before.digests();
    let new: Vec<String> = chain.digests().into_iter().filter(|digest| !known.contains(digest)).collect();
    if new.is_empty() { vec![chain.generation.digits()] } else { new }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruling(subject: &str, says: Says) -> Ruling {
        Ruling { subject: subject.to_owned(), says, detail: "why".to_owned() }
    }

    #[test]
    fn a_refusal_stands_until_somebody_approves() {
        let mut rulings = Rulings::default();
        assert_eq!(rulings.refuse(vec!["a".to_owned()], "why"), [ruling("a", Says::Refused)]);
        rulings.renew(Vec::new());
        assert!(!rulings.admits("a"), "it may not be written yet");
        rulings.renew(vec![ruling("a", Says::Approved), ruling("b", Says::Refused), ruling("s", Says::Pinned)]);
        assert!(rulings.admits("a") && !rulings.admits("b"));
        assert_eq!(rulings.pin("s"), Some("why"));
        rulings.renew(Vec::new());
        assert_eq!(rulings.pin("s"), None, "a pin is taken away");
    }
}
