//! The plugins that pipelines name: found, made into stages, and asked whether they take their settings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Problem;
use crate::config::keys::worker::PLUGIN_PATH;
use crate::config::pipeline::{Pipeline, Transform as TransformConfig};
use crate::config::worker::Worker as Settings;
use crate::error::{Error, Kind, Result};
use crate::guest::{Catalog, Change, CompileBounds, Compiler, Engine, Guest, Plugin, Setup};
use crate::metrics::Meters;
use crate::transform::plugin::PluginTransform;
use crate::transform::{Chain, Transform, timestamp_converter};
use crate::worker::rulings::Rulings;

/// The plugins in the worker's directories, compiled, each told in the log.
pub fn catalog(settings: &Settings, compiler: Option<PathBuf>) -> Result<Catalog> {
    let cache = settings.state.as_ref().map(|state| state.join("cache"));
    if cache.is_none() {
        tracing::info!("plugins are compiled at every start: without a state directory there is no cache");
    }
    let (time_max, memory_bytes_max) = (Duration::from_millis(settings.compile_ms), settings.compile_bytes);
    let compiler = Compiler::new(Engine::new()?, compiler, cache.as_deref());
    let compiler = compiler.within(CompileBounds { time_max, memory_bytes_max });
    let catalog = Catalog::scan(compiler, &directories(&settings.plugins));
    Change { found: catalog.plugins(), refused: catalog.refused(), ..Change::default() }.tell();
    Ok(match &settings.state {
        Some(state) => catalog.keeping(state.join("plugins")),
        None => catalog,
    })
}

/// The directories to scan: the default one need not be there.
pub fn directories(given: &[PathBuf]) -> Vec<PathBuf> {
    let may_lack = |directory: &PathBuf| directory.as_os_str() == PLUGIN_PATH.default_text();
    given.iter().filter(|directory| directory.is_dir() || !may_lack(directory)).cloned().collect()
}

/// Makes a stage whose guests report their figures into what is given.
pub(super) type StageMaker = Box<dyn Fn(Arc<Meters>) -> Result<Box<dyn Transform>> + Send + Sync>;

/// What a stage is made of.
pub(super) struct Made {
    /// Makes it.
    pub make: StageMaker,
    /// Its plugin; None for what is built in.
    pub plugin: Option<Arc<Plugin>>,
    /// What its code is known by: another one is another generation.
    pub code: String,
}

/// Finds what a stage names, as far as rulings admit it; its guests are made later, one for each lane. `running`: the
/// plugin that the stage has now, which nothing older takes the place of because its file is gone.
pub(super) fn stage_maker(
    catalog: &Catalog,
    stage: &TransformConfig,
    rulings: &Rulings,
    running: Option<&Arc<Plugin>>,
) -> Result<Made> {
    if timestamp_converter::is_named(&stage.class) {
        let stage = stage.clone();
        let make = move |_| timestamp_converter::build(&stage.alias, &stage.class, &stage.settings);
        return Ok(Made { make: Box::new(make), plugin: None, code: timestamp_converter::REVISION.to_string() });
    }
    let range = rulings.pin(&stage.alias).or(stage.plugin_version.as_deref());
    let admits = |plugin: &Plugin| rulings.admits(&plugin.digest().to_string());
    let found = catalog.find(&stage.class, range, &admits);
    let stays = running.filter(|running| admits(running) && running.is(&stage.class, range));
    let plugin = match (found, stays) {
        (Ok(found), Some(running)) if running.manifest().version > found.manifest().version => Arc::clone(running),
        (Err(_), Some(running)) => Arc::clone(running),
        (found, _) => found.map_err(|error| error.during(format!("transforms.{}.type", stage.alias)))?,
    };
    let (setup, code) = (setup(&plugin, stage), plugin.digest().to_string());
    let guest = Arc::clone(&plugin);
    let make = move |meters| {
        let setup = Setup { meters, ..setup.clone() };
        let made: Box<dyn Transform> = Box::new(PluginTransform::new(&guest, &setup)?);
        Ok(made)
    };
    Ok(Made { make: Box::new(make), plugin: Some(plugin), code })
}

fn setup(plugin: &Plugin, stage: &TransformConfig) -> Setup {
    let (alias, settings) = (stage.alias.clone(), stage.settings.clone());
    Setup { alias, settings, limits: plugin.limits_under(&stage.limits), meters: Arc::default() }
}

/// Whether a pipeline's chains keep state.
pub fn is_stateful(catalog: &Catalog, pipeline: &Pipeline) -> Result<bool> {
    let rulings = Rulings::default();
    let stage = |stage| stage_maker(catalog, stage, &rulings, None).and_then(|made| (made.make)(Arc::default()));
    let stages = pipeline.transforms.iter().map(stage).collect::<Result<_>>()?;
    Ok(Chain::new(stages).is_stateful())
}

/// Whether a transform is no plugin, so that its settings can be checked without any.
pub fn is_built_in(stage: &TransformConfig) -> bool {
    timestamp_converter::is_named(&stage.class)
}

/// What is wrong with one transform: its plugin is found and asked, by a guest that is dropped at once.
pub fn check_transform(catalog: &Catalog, stage: &TransformConfig) -> Vec<Problem> {
    if is_built_in(stage) {
        return timestamp_converter::check(&stage.class, &stage.settings);
    }
    let plugin = match catalog.find(&stage.class, stage.plugin_version.as_deref(), &|_| true) {
        Ok(plugin) => plugin,
        Err(error) if error.kind() == Kind::Config => {
            let hint = "for example `plugin.version: \"[1.0,2.0)\"`";
            return vec![Problem::new("plugin.version", error.to_string(), hint)];
        }
        Err(error) if catalog.plugins().iter().any(|plugin| plugin.manifest().id == stage.class) => {
            let hint = "widen the range, or put a version within it into the plugins' directory";
            return vec![Problem::new("plugin.version", error.to_string(), hint)];
        }
        Err(error) => return vec![problem(&error)],
    };
    match Guest::refusal(&plugin, &setup(&plugin, stage)) {
        Ok(None) => Vec::new(),
        Ok(Some(words)) => by_setting(&plugin, &words),
        Err(error) => vec![problem(&error)],
    }
}

/// An error about the plugin itself, at the stage's type. What is wrong with a file says its own way out.
fn problem(error: &Error) -> Problem {
    let hint = if error.kind() == Kind::PluginInvalid { String::new() } else { clause(error.hint()) };
    Problem::new("", error.to_string(), hint)
}

/// A hint, which is a sentence of its own, as the end of one.
fn clause(hint: &str) -> String {
    let mut letters = hint.trim_end_matches('.').chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// A plugin's words by the settings that they are about. Plugins made with the SDK write one sentence for each wrong
/// setting: "Setting `window` takes …, not `0`."
fn by_setting(plugin: &Plugin, words: &str) -> Vec<Problem> {
    const BEGIN: &str = "Setting `";
    let about = plugin.manifest();
    let hint = format!("`weir plugin inspect {}` shows what it takes", plugin.file().display());
    let Some(told) = words.strip_prefix(BEGIN) else {
        let message = format!("plugin {} {} refuses its settings: {words}", about.id, about.version);
        return vec![Problem::new("", message, hint)];
    };
    let next = format!(". {BEGIN}");
    let problem = |sentence: &str| {
        let (setting, message) = sentence.split_once("` ").unwrap_or(("", sentence));
        Problem::new(setting, message, hint.clone())
    };
    told.split(&next).map(problem).collect()
}
