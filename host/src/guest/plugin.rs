//! A plugin: a component that was read, checked, compiled and asked who it is. Guests are made from it.

use std::fmt;
use std::path::Path;

use wasmtime::component::InstancePre;

use super::cache::Compiler;
use super::engine::{Engine, sentence};
use super::load::{Digest, Inspection, Source};
use super::manifest::Manifest;
use super::store::{HostState, Limits};
use super::v0::{self, bindings::exports::weir::plugin as exports};
use super::version::Range;
use crate::config::pipeline::PluginLimits;
use crate::error::{Error, Kind, Result};

/// A compiled component with its exports looked up, ready to be instantiated any number of times.
pub(super) struct Program {
    pub(super) engine: Engine,
    pub(super) instance: InstancePre<HostState>,
    pub(super) transform: exports::transform::GuestIndices,
    pub(super) state: Option<exports::state::GuestIndices>,
}

/// A plugin of the catalogue.
pub struct Plugin {
    program: Program,
    manifest: Manifest,
    inspection: Inspection,
    source: Source,
}

impl Plugin {
    /// Reads, checks and compiles a file, and asks the plugin who it is.
    pub fn open(compiler: &Compiler, file: &Path) -> Result<Plugin> {
        Plugin::load(compiler, &Source::open(file)?)
    }

    /// The same with bytes that are already read.
    pub fn load(compiler: &Compiler, source: &Source) -> Result<Plugin> {
        let invalid = |what: String| Error::new(Kind::PluginInvalid, format!("{} {what}", source.file.display()));
        let inspection = source.inspect()?;
        let component = compiler.component(source)?;
        let engine = compiler.engine().clone();
        let other = |e: wasmtime::Error| {
            invalid(format!("was built against another weir:plugin of the same version: {}", sentence(&e)))
        };
        let instance = engine.linker().instantiate_pre(&component).map_err(other)?;
        let transform = exports::transform::GuestIndices::new(&instance).map_err(other)?;
        let state =
            inspection.has_state.then(|| exports::state::GuestIndices::new(&instance)).transpose().map_err(other)?;
        let program = Program { engine, instance, transform, state };
        let described = v0::describe(&program, &source.name())?;
        let manifest = Manifest::parse(&described).map_err(|what| invalid(format!("has a description that {what}")))?;
        if manifest.state.is_some() != inspection.has_state {
            let what = if inspection.has_state {
                "exports state but describes none"
            } else {
                "describes state but exports none"
            };
            return Err(invalid(what.to_owned()));
        }
        Ok(Plugin { program, manifest, inspection, source: source.clone() })
    }

    /// Whether it is what a stage of this id and version range (None = any) asks for.
    pub fn is(&self, id: &str, range: Option<&str>) -> bool {
        let fits = |range: &str| Range::parse(range).is_ok_and(|range| range.contains(&self.manifest().version));
        self.manifest().id == id && range.is_none_or(fits)
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether it is of the same id and version as another one.
    pub fn is_version_of(&self, other: &Plugin) -> bool {
        self.manifest.id == other.manifest.id && self.manifest.version == other.manifest.version
    }

    /// What it needs and offers.
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// The bytes that it was made from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Where it was read.
    pub fn file(&self) -> &Path {
        &self.source.file
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> Digest {
        self.source.digest
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> usize {
        self.source.bytes.len()
    }

    /// The limits of its guests where a pipeline says nothing about them.
    pub fn limits(&self) -> Limits {
        self.limits_under(&PluginLimits::default())
    }

    /// The limits of its guests under what a pipeline says about them.
    pub fn limits_under(&self, written: &PluginLimits) -> Limits {
        Limits::of(written, self.manifest.limits)
    }

    pub(super) fn program(&self) -> &Program {
        &self.program
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = &self.manifest;
        write!(f, "Plugin({} {} {})", about.id, about.version, self.source.digest)
    }
}
