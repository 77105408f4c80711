//! Files of weir's own that are whole or not there: written aside, synced, then given their name.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a directory that only this user may enter, with those above it.
pub(super) fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Puts a file that only this user may read into a directory, down to the disk; `parts` are its bytes, end to end.
/// What was there under the name is replaced at once or stays.
pub(super) fn write(directory: &Path, name: &str, parts: &[&[u8]]) -> io::Result<()> {
    let aside = directory.join(format!(".{name}-{}", std::process::id()));
    let written = write_aside(&aside, parts).and_then(|()| fs::rename(&aside, directory.join(name)));
    if written.is_err() {
        // It may not even exist.
        let _ = fs::remove_file(&aside);
    }
    written?;
    File::open(directory)?.sync_all()
}

fn write_aside(aside: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(aside)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.sync_all()
}
