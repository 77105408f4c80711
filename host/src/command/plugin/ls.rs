//! `weir plugin ls`: what a worker would find in the plugin directories.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use super::inspect;
use crate::command::display::size;
use crate::guest::{Catalog, Compiler, Plugin};

/// A line for each plugin, by id and version, the oldest first, and one for each file that is none.
pub(super) fn run(directories: &[PathBuf], compiler: Compiler, out: &mut dyn Write) -> Result<()> {
    let catalog = Catalog::scan(compiler, directories);
    let mut plugins = catalog.plugins();
    // A stable order: of one version those that came first.
    plugins.sort_by(|a, b| (&a.manifest().id, &a.manifest().version).cmp(&(&b.manifest().id, &b.manifest().version)));
    let heads = ["ID", "VERSION", "DIGEST", "STATE", "INTERFACE", "SIZE", "FILE"];
    let mut rows = vec![heads.map(str::to_owned)];
    for (position, plugin) in plugins.iter().enumerate() {
        let later = plugins.get(position + 1).filter(|later| plugin.is_version_of(later));
        rows.push(row(plugin, later.is_some()));
    }
    if plugins.is_empty() {
        writeln!(out, "no plugin in {}", inspect::list(&shown(directories)))?;
    } else {
        write_table(&rows, out)?;
    }
    for refused in catalog.refused() {
        writeln!(out, "refused: {}", refused.error)?;
    }
    Ok(())
}

fn shown(directories: &[PathBuf]) -> Vec<String> {
    directories.iter().map(|directory| directory.display().to_string()).collect()
}

fn row(plugin: &Plugin, is_replaced: bool) -> [String; 7] {
    let about = plugin.manifest();
    let file = plugin.file().display();
    [
        about.id.clone(),
        about.version.to_string(),
        plugin.digest().short(),
        inspect::state(about),
        plugin.inspection().interface.clone(),
        size(plugin.size()),
        if is_replaced { format!("{file} (replaced by the next)") } else { file.to_string() },
    ]
}

fn write_table<const N: usize>(rows: &[[String; N]], out: &mut dyn Write) -> Result<()> {
    let mut widths = [0; N];
    for row in rows {
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
    }
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}
