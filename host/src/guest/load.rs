//! From a file to bytes that may be compiled: read once, hashed, validated, and every import and export
//! looked at before any of its code is.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};

use crate::error::{Error, Kind, Result};
use crate::limits;

/// The interface that this host offers: package `weir:plugin` of this version.
pub const INTERFACE_VERSION: (u64, u64, u64) = (0, 1, 0);

/// The SHA-256 of a component.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// A digest as it is shown: 64 hexadecimal digits.
    pub fn parse(digits: &str) -> Option<Digest> {
        let digit = |at: usize| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok();
        let is_whole = digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let bytes: Vec<u8> = (0..32).filter(|_| is_whole).filter_map(digit).collect();
        bytes.try_into().ok().map(Digest)
    }

    /// Its first twelve hexadecimal digits: enough to tell plugins apart in logs and tables.
    pub fn short(&self) -> String {
        self.0.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The bytes of a plugin file and their digest: what is inspected, compiled and remembered is the same.
#[derive(Clone)]
pub struct Source {
    /// Where it was read.
    pub file: PathBuf,
    /// The component.
    pub bytes: Arc<[u8]>,
    /// SHA-256 of `bytes`.
    pub digest: Digest,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("file", &self.file).field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// What a component needs and offers, seen without running it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The version of `weir:plugin` that it was built against.
    pub interface: String,
    /// Its imports, as written.
    pub imports: Vec<String>,
    /// Its exports, as written.
    pub exports: Vec<String>,
    /// Whether it keeps state: exports `weir:plugin/state`.
    pub has_state: bool,
}

impl Source {
    /// Reads a file. It is opened once and must be a regular file, not a link to one.
    pub fn open(file: &Path) -> Result<Source> {
        let invalid = |what: String| Error::new(Kind::PluginInvalid, format!("{} {what}", file.display()));
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(file);
        let opened: File = opened.map_err(|e| match e.raw_os_error() {
            Some(libc::ELOOP) => invalid("is a symbolic link; put the file itself there".to_owned()),
            _ => invalid(format!("cannot be opened: {e}")),
        })?;
        let about = opened.metadata().map_err(|e| invalid(format!("cannot be read: {e}")))?;
        if !about.is_file() {
            return Err(invalid("is no regular file".to_owned()));
        }
        let mut bytes = Vec::with_capacity(about.len().min(limits::COMPONENT_BYTES_MAX as u64 + 1) as usize);
        let read = opened.take(limits::COMPONENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|e| invalid(format!("cannot be read: {e}")))?;
        if bytes.len() > limits::COMPONENT_BYTES_MAX {
            return Err(invalid(format!(
                "is larger than {} MiB, the limit of a plugin",
                limits::COMPONENT_BYTES_MAX >> 20
            )));
        }
        Ok(Source::new(file, bytes))
    }

    /// Bytes that did not come from a file; `file` names them.
    pub fn new(file: &Path, bytes: Vec<u8>) -> Source {
        let digest = Digest::of(&bytes);
        Source { file: file.to_owned(), bytes: bytes.into(), digest }
    }

    /// The file's own name, for messages.
    pub fn name(&self) -> String {
        self.file.file_name().unwrap_or(self.file.as_os_str()).to_string_lossy().into_owned()
    }

    /// Checks that this is a component that this host can run, and tells what it needs and offers.
    pub fn inspect(&self) -> Result<Inspection> {
        let invalid = |what: String| Error::new(Kind::PluginInvalid, format!("{} {what}", self.file.display()));
        self.check_header().map_err(invalid)?;
        let mut validator = Validator::new_with_features(features());
        if let Err(error) = validator.validate_all(&self.bytes) {
            let whole = self.bytes.len();
            return Err(invalid(match error.message().starts_with("unexpected end") {
                true => format!("ends in the middle, after {whole} bytes: copy the whole file"),
                false => format!(
                    "is damaged or uses what weir has switched off: {} at byte {} of {whole}",
                    error.message(),
                    error.offset()
                ),
            }));
        }
        let (imports, exports) = names(&self.bytes).map_err(|e| invalid(format!("is damaged: {e}")))?;
        check_imports(&imports).map_err(invalid)?;
        let interface = interface(imports.iter().chain(&exports)).map_err(invalid)?;
        let offers = |name: &str| exports.iter().any(|export| parse(export).is_some_and(|(n, _)| n == name));
        if !offers("transform") {
            let (major, minor, patch) = INTERFACE_VERSION;
            return Err(invalid(format!(
                "exports no weir:plugin/transform@{major}.{minor}.{patch}, which every plugin must"
            )));
        }
        let has_state = offers("state");
        Ok(Inspection { interface, imports, exports, has_state })
    }

    fn check_header(&self) -> Result<(), String> {
        let build = "build it with `weir plugin build`";
        match &*self.bytes {
            [] => Err("is empty: copy the whole file".to_owned()),
            bytes if Parser::is_component(bytes) => Ok(()),
            bytes if Parser::is_core_wasm(bytes) => {
                Err(format!("is a core WebAssembly module, not a component: {build}"))
            }
            bytes if b"\0asm".starts_with(bytes.get(..4).unwrap_or(bytes)) && bytes.len() < 8 => {
                Err(format!("ends in the middle, after {} bytes: copy the whole file", bytes.len()))
            }
            [b'\0', b'a', b's', b'm', version @ ..] => {
                let version = version.first_chunk::<4>().copied().unwrap_or_default();
                Err(format!("is WebAssembly of a layout that weir does not know ({version:02x?}): {build}"))
            }
            bytes => {
                let start: String = String::from_utf8_lossy(bytes.get(..16).unwrap_or(bytes)).escape_debug().collect();
                Err(format!("is not WebAssembly: it begins with \"{start}\"; {build}"))
            }
        }
    }
}

/// What guests may use; the engine is configured alike.
fn features() -> WasmFeatures {
    WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::CALL_INDIRECT_OVERLONG
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::BULK_MEMORY_OPT
        | WasmFeatures::SIMD
        | WasmFeatures::FLOATS
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::WIDE_ARITHMETIC
        | WasmFeatures::COMPONENT_MODEL
}

/// The names of the component's own imports and exports.
fn names(bytes: &[u8]) -> wasmparser::Result<(Vec<String>, Vec<String>)> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding: Encoding::Component | Encoding::Module, .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(import?.name.full_name().into_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    exports.push(export?.name.full_name().into_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

/// The interface name and version of `weir:plugin/NAME@VERSION`.
fn parse(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("weir:plugin/")?.split_once('@')
}

/// Only `weir:plugin` may be imported.
fn check_imports(imports: &[String]) -> Result<(), String> {
    let foreign: Vec<&str> = imports.iter().map(String::as_str).filter(|name| parse(name).is_none()).collect();
    if foreign.is_empty() {
        return Ok(());
    }
    Err(format!(
        "imports {}, which plugins do not get: build it for wasm32-unknown-unknown with `weir plugin build`, \
         without WASI (componentize-py: --stub-wasi; componentize-js: disable all features)",
        foreign.join(", ")
    ))
}

/// The one version of `weir:plugin` that all names are of, if this host can serve it.
fn interface<'a>(names: impl Iterator<Item = &'a String>) -> Result<String, String> {
    let (major, minor, patch) = INTERFACE_VERSION;
    let ours = format!("{major}.{minor}.{patch}");
    let mut newest = None;
    for version in names.filter_map(|name| parse(name)).map(|(_, version)| version) {
        match number(version) {
            Some((found_major, found_minor, found_patch)) if (found_major, found_minor) == (major, minor) => {
                if found_patch > patch {
                    return Err(format!("needs weir:plugin {version}, but this weir offers {ours}: use a newer weir"));
                }
                newest = newest.max(Some(found_patch));
            }
            _ => {
                return Err(format!(
                    "was built for weir:plugin {version}, but this weir runs {major}.{minor}: build it again with the SDK of this weir"
                ));
            }
        }
    }
    Ok(format!("{major}.{minor}.{}", newest.unwrap_or(patch)))
}

fn number(version: &str) -> Option<(u64, u64, u64)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    let number = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(number)
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
