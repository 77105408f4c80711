//! What is decided about chains that are to take over, in the words that workers and operators share.

/// What a ruling says of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// It is not to speak; the detail says why.
    Refused,
    /// It may speak whatever the policy says.
    Approved,
    /// The stage of this alias takes the version range that is the detail.
    Pinned,
}

impl Says {
    /// Its word in table `ruling`.
    pub fn name(self) -> &'static str {
        match self {
            Says::Refused => "refused",
            Says::Approved => "approved",
            Says::Pinned => "pinned",
        }
    }

    /// What that word says.
    pub fn parse(name: &str) -> Option<Self> {
        [Says::Refused, Says::Approved, Says::Pinned].into_iter().find(|says| says.name() == name)
    }
}

/// A decision about one subject of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// A component's SHA-256, or a generation, as hexadecimal digits; or a stage's alias.
    pub subject: String,
    /// What is decided.
    pub says: Says,
    /// Why, or the version range.
    pub detail: String,
}

/// Where a chain that was to take over stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its generation.
    pub generation: super::Generation,
    /// Its plugins, for people.
    pub plugins: String,
    /// The word for where it stands.
    pub stage: String,
    /// Why, or what it changes.
    pub detail: String,
    /// What a ruling about it would be about.
    pub subjects: Vec<String>,
}
