//! Which columns hang on which member: the wanted paths as a tree of objects.

use std::collections::BTreeMap;
use std::ops::Range;

use super::names::Names;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::limits::JSON_DEPTH_MAX;

/// What is wanted of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Nothing.
    Skip,
    /// One column, the value itself.
    Column(u32),
    /// More, see [`Plan::branches`].
    Branch(u32),
}

/// What is wanted of a value: columns of its own, and columns from within it if it is an object.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Its own columns.
    pub own: Range<usize>,
    /// Those from within.
    pub inner: Range<usize>,
    /// Its object in [`Plan::objects`], if something from within is wanted.
    pub object: Option<usize>,
}

/// The tree. Columns are numbered along it, so that all columns from within a value are neighbours.
#[derive(Debug)]
pub struct Plan {
    /// What is wanted of the whole document.
    pub root: Target,
    /// The values of which more is wanted than themselves as one column.
    pub branches: Vec<Branch>,
    /// The objects from which something is wanted.
    pub objects: Vec<Names>,
    /// For each column of the tree, which path it is.
    pub columns: Vec<usize>,
}

/// The tree while it grows.
#[derive(Default)]
struct Sprout<'p> {
    columns: Vec<usize>,
    members: BTreeMap<&'p str, Sprout<'p>>,
}

impl Plan {
    /// The tree of these paths; the empty path is the whole document. Refuses a path of more segments than
    /// documents may be deep.
    pub fn new(paths: &[&str]) -> Result<Plan> {
        let mut root = Sprout::default();
        for (column, path) in paths.iter().enumerate() {
            let mut sprout = &mut root;
            for (depth, segment) in path.split('.').filter(|_| !path.is_empty()).enumerate() {
                if depth == JSON_DEPTH_MAX {
                    let message = format!("field {path} has more than {JSON_DEPTH_MAX} segments; name one less deep");
                    return Err(Error::new(ErrorKind::Config, message));
                }
                sprout = sprout.members.entry(segment).or_default();
            }
            sprout.columns.push(column);
        }
        let mut plan = Plan { root: Target::Skip, branches: Vec::new(), objects: Vec::new(), columns: Vec::new() };
        plan.root = plan.add(&root);
        Ok(plan)
    }

    /// Recursive as deep as the longest path.
    fn add(&mut self, sprout: &Sprout<'_>) -> Target {
        let first = self.columns.len();
        self.columns.extend(&sprout.columns);
        let inner = self.columns.len();
        if sprout.members.is_empty() {
            match inner - first {
                0 => return Target::Skip,
                1 => return Target::Column(first as u32),
                _ => {
                    return self.branch(Branch { own: first..inner, inner: inner..inner, object: None });
                }
            }
        }
        let members = sprout.members.iter().map(|(name, member)| (Box::from(*name), self.add(member))).collect();
        self.objects.push(Names::new(members));
        let object = Some(self.objects.len() - 1);
        self.branch(Branch { own: first..inner, inner: inner..self.columns.len(), object })
    }

    fn branch(&mut self, branch: Branch) -> Target {
        self.branches.push(branch);
        Target::Branch((self.branches.len() - 1) as u32)
    }
}
