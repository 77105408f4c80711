//! Machine code of plugins that was compiled before: a private directory, one file per component, engine and
//! build of weir. What does not fit is compiled again; nothing that lies there is ever needed.

use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use super::compile::{self, ChildError, CompileBounds};
use super::engine::Engine;
use super::load::{Digest, Source};
use super::precompiled::{self, Precompiled};
use super::whole;
use crate::error::{Error, Kind, Result};

/// The first bytes of a file; the digest of the code and the code follow.
const MAGIC: &[u8] = b"weir code 1\n";

/// Turns components into machine code, by way of the cache where there is one. Clones are one compiler.
#[derive(Debug, Clone)]
pub struct Compiler {
    engine: Engine,
    program: Option<PathBuf>,
    bounds: CompileBounds,
    cache: Option<Cache>,
}

impl Compiler {
    /// A compiler that runs `program` (a weir, usually this one) as its child; None compiles in this process.
    /// `directory` keeps the results; without one, or where it cannot be used (which is said once), everything is
    /// compiled at each start.
    pub fn new(engine: Engine, program: Option<PathBuf>, directory: Option<&Path>) -> Compiler {
        let cache = match directory.map(|directory| Cache::open(directory, &engine)) {
            Some(Ok(cache)) => Some(cache),
            Some(Err(error)) => {
                tracing::warn!("plugins are compiled at every start: {error}");
                None
            }
            None => {
                tracing::debug!("no code cache: plugins are compiled anew");
                None
            }
        };
        Compiler { engine, program, bounds: CompileBounds::default(), cache }
    }

    /// The same with other bounds for its child.
    #[must_use]
    pub fn within(self, bounds: CompileBounds) -> Compiler {
        Compiler { bounds, ..self }
    }

    /// The engine that it compiles for.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The component ready to run.
    pub fn component(&self, source: &Source) -> Result<Component> {
        if let Some(code) = self.cache.as_ref().and_then(|cache| cache.read(source.digest)) {
            match precompiled::load(&self.engine, &code) {
                Ok(component) => return Ok(component),
                Err(why) => tracing::warn!(plugin = source.name(), "cached code does not fit, compiling again: {why}"),
            }
        }
        let code = self.compile(source)?;
        if let Some(cache) = &self.cache
            && let Err(error) = cache.write(source.digest, &code)
        {
            tracing::warn!(directory = %cache.directory.display(), "machine code is not kept: {error}");
        }
        let invalid =
            |why| Error::new(Kind::PluginInvalid, format!("{} cannot be loaded: {why}", source.file.display()));
        precompiled::load(&self.engine, &code).map_err(invalid)
    }

    fn compile(&self, source: &Source) -> Result<Precompiled> {
        let failed = |kind, what: String| Error::new(kind, format!("{} {what}", source.file.display()));
        if let Some(program) = &self.program {
            match compile::in_child(program, &source.bytes, &self.bounds) {
                Ok(code) => return Ok(code),
                Err(ChildError::Failed(kind, what)) => return Err(failed(kind, what)),
                Err(ChildError::NotStarted(error)) => {
                    tracing::warn!(program = %program.display(), "compiling inside the worker, as a child cannot be started: {error}");
                }
            }
        }
        let invalid = |why| failed(Kind::PluginInvalid, format!("cannot be compiled: {why}"));
        precompiled::compile(&self.engine, &source.bytes).map_err(invalid)
    }
}

/// The directory.
#[derive(Debug, Clone)]
struct Cache {
    directory: PathBuf,
    /// The end of the name of files that fit this engine and this build.
    suffix: String,
}

impl Cache {
    /// Opens the directory, making it if needed. It must belong to this user and be closed to all others,
    /// since what lies there is run.
    fn open(directory: &Path, engine: &Engine) -> Result<Cache> {
        let unusable = |why: String| {
            Error::new(Kind::Config, format!("the code cache {} cannot be used: {why}", directory.display()))
        };
        whole::make_directory(directory).map_err(|e| unusable(e.to_string()))?;
        let about = fs::symlink_metadata(directory).map_err(|e| unusable(e.to_string()))?;
        if !about.is_dir() {
            return Err(unusable("it is no directory".to_owned()));
        }
        if about.uid() != precompiled::user() {
            return Err(unusable(format!("it belongs to user {}", about.uid())));
        }
        if about.mode() & 0o077 != 0 {
            return Err(unusable(format!("others may use it (mode {:o}); set it to 700", about.mode() & 0o777)));
        }
        let mut engine_hash = DefaultHasher::new();
        engine.wasm().precompile_compatibility_hash().hash(&mut engine_hash);
        let suffix = format!("{:016x}-{}.code", engine_hash.finish(), build_id());
        Ok(Cache { directory: directory.to_owned(), suffix })
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(format!("{digest}-{}", self.suffix))
    }

    /// The code of a component, if the file is there, ours and whole.
    fn read(&self, digest: Digest) -> Option<Precompiled> {
        let path = self.path(digest);
        let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&path).ok()?;
        let about = file.metadata().ok()?;
        if !about.is_file() || about.uid() != precompiled::user() || about.mode() & 0o022 != 0 {
            tracing::warn!(file = %path.display(), "cached code is not this user's alone, compiling again");
            return None;
        }
        let mut bytes = Vec::with_capacity(about.len() as usize);
        file.read_to_end(&mut bytes).ok()?;
        let code = whole(&bytes);
        if code.is_none() {
            tracing::warn!(file = %path.display(), "cached code is damaged, compiling again");
        }
        code.map(|code| Precompiled::trusted(code.to_vec()))
    }

    /// Keeps the code.
    fn write(&self, digest: Digest, code: &Precompiled) -> io::Result<()> {
        let name = format!("{digest}-{}", self.suffix);
        whole::write(&self.directory, &name, &[MAGIC, &Digest::of(code.bytes()).0, code.bytes()])?;
        self.drop_others(digest)
    }

    /// Removes what other engines and builds have made of the same component.
    fn drop_others(&self, digest: Digest) -> io::Result<()> {
        let (ours, prefix) = (self.path(digest), format!("{digest}-"));
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) && entry.path() != ours {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// The code of a file's bytes, if they are as they were written.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let (digest, code) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<32>()?;
    (Digest::of(code).0 == *digest).then_some(code)
}

/// Tells builds of weir apart: the running program's version, size and time of writing.
fn build_id() -> String {
    let program = fs::metadata("/proc/self/exe").or_else(|_| fs::metadata(std::env::current_exe()?));
    let mut hash = Sha256::new_with_prefix(env!("CARGO_PKG_VERSION"));
    if let Ok(program) = program {
        for number in [program.size() as i64, program.mtime(), program.mtime_nsec()] {
            hash.update(number.to_le_bytes());
        }
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
