//! `weir plugin diff OLD NEW`: what changes where one plugin takes the place of another, told before it does.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use anyhow::Result;

use super::inspect;
use crate::command::display::size;
use crate::guest::{Compiler, Manifest, Plugin, Setting};

/// Loads both and tells what differs; what is the same is said to be.
pub(super) fn run(old: &Path, new: &Path, compiler: &Compiler, out: &mut dyn Write) -> Result<()> {
    let (old, new) = (Plugin::open(compiler, old)?, Plugin::open(compiler, new)?);
    if old.digest() == new.digest() {
        let about = old.manifest();
        writeln!(out, "the same plugin: {} {}, sha256 {}", about.id, about.version, old.digest())?;
        return Ok(());
    }
    let (before, after) = (old.manifest(), new.manifest());
    let name = |about: &Manifest| format!("{} {}", about.id, about.version);
    for (what, old, new) in [
        ("plugin", name(before), name(after)),
        ("sha256", old.digest().to_string(), new.digest().to_string()),
        ("size", size(old.size()), size(new.size())),
        ("interface", old.inspection().interface.clone(), new.inspection().interface.clone()),
        ("state", inspect::state(before), inspect::state(after)),
        ("limits", inspect::limits(before), inspect::limits(after)),
    ] {
        let both = if old == new { format!("{old} (the same)") } else { format!("{old} -> {new}") };
        writeln!(out, "{what:<10} {both}")?;
    }
    writeln!(out, "{:<10} {}", "imports", names(&old.inspection().imports, &new.inspection().imports))?;
    write_settings(&before.settings, &after.settings, out)?;
    writeln!(out, "{:<10} {}", "takeover", takeover(before, after))?;
    Ok(())
}

/// Names that came and went.
fn names(old: &[String], new: &[String]) -> String {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (old.iter().collect(), new.iter().collect());
    let came = new.difference(&old).map(|name| format!("+ {name}"));
    let went = old.difference(&new).map(|name| format!("- {name}"));
    let all: Vec<String> = came.chain(went).collect();
    if all.is_empty() { "the same".to_owned() } else { all.join(", ") }
}

fn write_settings(old: &[Setting], new: &[Setting], out: &mut dyn Write) -> Result<()> {
    let of = |settings: &[Setting], name: &str| settings.iter().find(|setting| setting.name == name).cloned();
    let mut lines = Vec::new();
    for setting in new {
        match of(old, &setting.name) {
            None => lines.push(format!("  + {}  {}", setting.name, inspect::kind(setting))),
            Some(before) => lines.extend(changes(&before, setting)),
        }
    }
    for setting in old.iter().filter(|setting| of(new, &setting.name).is_none()) {
        lines.push(format!("  - {}  {}", setting.name, inspect::kind(setting)));
    }
    writeln!(out, "{}", if lines.is_empty() { "settings   the same" } else { "settings" })?;
    lines.into_iter().try_for_each(|line| writeln!(out, "{line}").map_err(Into::into))
}

/// How one setting changed, beyond its words for people.
fn changes(old: &Setting, new: &Setting) -> Option<String> {
    let takes = |setting: &Setting| setting.validator.clone().unwrap_or_else(|| "any value".to_owned());
    let parts = [(inspect::kind(old), inspect::kind(new)), (takes(old), takes(new))];
    let changed: Vec<String> =
        parts.into_iter().filter(|(old, new)| old != new).map(|(old, new)| format!("{old} -> {new}")).collect();
    (!changed.is_empty()).then(|| format!("  ~ {}  {}", new.name, changed.join("; takes ")))
}

/// What becomes of the old one's state, as far as descriptions tell: the new one has the last word, and may refuse it for
/// its settings.
pub(super) fn takeover(old: &Manifest, new: &Manifest) -> String {
    let from_log = "and is rebuilt from the log";
    if old.id != new.id {
        return format!("{} is another plugin: it takes no state of {}", new.id, old.id);
    }
    match (&old.state, &new.state) {
        (None, None) => "neither keeps state".to_owned(),
        (None, Some(_)) => format!("the old one kept no state: the new one's begins empty {from_log}"),
        (Some(_), None) => "the new one keeps no state: the old one's is dropped".to_owned(),
        (Some(old), Some(new)) if old.version == new.version => {
            format!("state of version {} is taken as it is", old.version)
        }
        (Some(old), Some(new)) if new.converts.contains(&old.version) => {
            format!("state of version {} is converted to {}", old.version, new.version)
        }
        (Some(old), Some(new)) => {
            format!("state of version {} is refused: the new one reads {} {from_log}", old.version, new.version)
        }
    }
}
