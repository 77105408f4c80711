//! `weir plugin inspect FILE`.

use std::io::Write;
use std::path::Path;

use anyhow::Result;

use crate::command::display::size;
use crate::guest::{Compiler, Engine, Inspection, Manifest, Plugin, Setting, Source};

/// Prints what can be seen without running the plugin first, so that it is there even where running it fails.
pub(super) fn run(file: &Path, out: &mut dyn Write) -> Result<()> {
    let source = Source::open(file)?;
    let inspection = source.inspect()?;
    write_file(&source, &inspection, out)?;
    let compiler = Compiler::new(Engine::new()?, None, None);
    write_manifest(Plugin::load(&compiler, &source)?.manifest(), out)
}

fn write_file(source: &Source, inspection: &Inspection, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "file       {}, {}", source.file.display(), size(source.bytes.len()))?;
    writeln!(out, "sha256     {}", source.digest)?;
    writeln!(out, "interface  weir:plugin {}", inspection.interface)?;
    writeln!(out, "imports    {}", list(&inspection.imports))?;
    writeln!(out, "exports    {}", list(&inspection.exports))?;
    Ok(())
}

fn write_manifest(about: &Manifest, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "plugin     {} {}", about.id, about.version)?;
    writeln!(out, "           {}", about.doc)?;
    writeln!(out, "state      {}", state(about))?;
    writeln!(out, "limits     {}", limits(about))?;
    writeln!(out, "settings   {}", if about.settings.is_empty() { "none" } else { "" }.trim_end())?;
    about.settings.iter().try_for_each(|setting| write_setting(setting, out))
}

fn write_setting(setting: &Setting, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "  {}  {}", setting.name, kind(setting))?;
    if let Some(takes) = &setting.validator {
        writeln!(out, "      takes {takes}")?;
    }
    writeln!(out, "      {}", setting.documentation)?;
    Ok(())
}

/// The layouts of state that a plugin knows.
pub(super) fn state(about: &Manifest) -> String {
    match &about.state {
        None => "none".to_owned(),
        Some(state) if state.converts.is_empty() => format!("version {}", state.version),
        Some(state) => {
            let converts: Vec<String> = state.converts.iter().map(u32::to_string).collect();
            format!("version {}, converts {}", state.version, converts.join(", "))
        }
    }
}

/// The limits that it asks for.
pub(super) fn limits(about: &Manifest) -> String {
    let memory = about.limits.memory_bytes.map(|bytes| format!("memory {}", size(bytes as usize)));
    let call = about.limits.call_ms.map(|ms| format!("{ms} ms per call"));
    list(&memory.into_iter().chain(call).collect::<Vec<_>>())
}

/// A setting's type, and what counts where it is not given.
pub(super) fn kind(setting: &Setting) -> String {
    let default = match (&setting.default_value, setting.required) {
        (Some(default), _) => format!("default {default}"),
        (None, true) => "required".to_owned(),
        (None, false) => "optional".to_owned(),
    };
    format!("{}, {default}", setting.value_type.to_lowercase())
}

/// Items with commas between them.
pub(super) fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
