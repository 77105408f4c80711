//! The chain: `transforms` and the settings under `transforms.ALIAS.`. Which settings a transformation takes is
//! its own affair; here every alias must have a type, and every setting an alias.

use std::collections::{BTreeMap, BTreeSet};

use super::keys::{Key, TRANSFORM_TYPE, TRANSFORMS, nearest};
use super::limits::PluginLimits;
use super::pipeline::Transform;
use super::problem::shown;
use super::reference;
use super::validate::Values;

const PREFIX: &str = "transforms.";

/// Reads the chain; entries with a problem are left out.
pub(super) fn read(values: &mut Values<'_, '_>) -> Vec<Transform> {
    let written = values.written(TRANSFORMS.name);
    if reference::is_referring(&written) {
        let message = format!("takes aliases that are written out, not {}", shown(&written));
        values.problem(TRANSFORMS.name, message, "write them, since they are parts of other keys");
        return Vec::new();
    }
    let limits = limits(values);
    let aliases = aliases(values);
    let mut settings: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    let mut undeclared = BTreeSet::new();
    for (key, value) in values.with_prefix(PREFIX) {
        let rest = key.strip_prefix(PREFIX).unwrap_or_default();
        // An alias may hold dots: the longest that fits is meant.
        let fits = |alias: &&String| rest.strip_prefix(alias.as_str()).is_some_and(|rest| rest.starts_with('.'));
        if let Some(alias) = aliases.iter().filter(fits).max_by_key(|alias| alias.len()) {
            let setting = rest.get(alias.len() + 1..).unwrap_or_default().to_owned();
            settings.entry(alias).or_default().push((setting, value));
            continue;
        }
        let alias = rest.split('.').next().unwrap_or_default();
        if undeclared.insert(alias.to_owned()) {
            refuse_undeclared(values, &key, alias, &aliases);
        }
    }
    aliases.iter().filter_map(|alias| one(values, alias, settings.remove(alias.as_str()), limits)).collect()
}

/// What holds for every stage that says nothing else.
fn limits(values: &mut Values<'_, '_>) -> PluginLimits {
    let written = |key: &'static Key| if values.is_given(key.name) { values.optional(key) } else { None };
    // What they give is checked already.
    PluginLimits::default().with(written, |_, _| {})
}

/// The aliases in order, each once.
fn aliases(values: &mut Values<'_, '_>) -> Vec<String> {
    let mut aliases: Vec<String> = Vec::new();
    for alias in values.list(&TRANSFORMS) {
        if aliases.contains(&alias) {
            let message = format!("names {} twice", shown(&alias));
            values.problem(TRANSFORMS.name, message, "give each transformation an alias of its own");
        } else {
            aliases.push(alias);
        }
    }
    aliases
}

fn refuse_undeclared(values: &mut Values<'_, '_>, key: &str, alias: &str, aliases: &[String]) {
    let hint = match nearest(alias, aliases.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean `{PREFIX}{meant}`?"),
        None => format!("add `{alias}` to `transforms`, or remove its settings"),
    };
    values.problem(key, format!("belongs to {}, which `transforms` does not list", shown(alias)), hint);
}

/// One transformation, from its settings.
fn one(
    values: &mut Values<'_, '_>,
    alias: &str,
    settings: Option<Vec<(String, String)>>,
    limits: PluginLimits,
) -> Option<Transform> {
    let Some(mut settings) = settings else {
        let prefix = format!("{PREFIX}{alias}.");
        if values.names().iter().any(|name| name.starts_with(&prefix)) {
            return None;
        }
        let message = format!("lists {}, which has no settings", shown(alias));
        let hint = format!("write at least `{PREFIX}{alias}.type`, or remove `{alias}` from the list");
        values.problem(TRANSFORMS.name, message, hint);
        return None;
    };
    let mut take = |name: &str| {
        let at = settings.iter().position(|(setting, _)| setting == name)?;
        Some(settings.remove(at).1.trim().to_owned())
    };
    let (class, version) = (take("type"), take("plugin.version"));
    let mut wrong = Vec::new();
    let limits = limits.with(|key| take(key.name), |key, message| wrong.push((key, message)));
    for (key, message) in wrong {
        values.problem(&format!("{PREFIX}{alias}.{}", key.name), message, key.hint());
    }
    let key = format!("{PREFIX}{alias}.type");
    match class {
        Some(class) if !class.is_empty() => {
            settings.sort();
            let plugin_version = version.filter(|version| !version.is_empty() && version != "latest");
            Some(Transform { alias: alias.to_owned(), class, plugin_version, settings, limits })
        }
        Some(_) => {
            values.problem(&key, "is blank", format!("for example `{key}: {}`", TRANSFORM_TYPE.example));
            None
        }
        None if values.is_given(&key) => None,
        None => {
            let line = settings.first().and_then(|(setting, _)| values.line(&format!("{PREFIX}{alias}.{setting}")));
            values.problem_at(line, &key, "is missing", format!("for example `{key}: {}`", TRANSFORM_TYPE.example));
            None
        }
    }
}
