//! A catalogue that is kept up to date while plugins come and go.

use std::sync::Arc;

use super::catalog::Catalog;
use super::scan::Change;
use crate::error::Result;
use crate::watch::{Next, Pace, Watch};

/// Starts a thread that scans the catalogue's directories whenever something happens in them, and calls `on_change`
/// after each scan that found something to be otherwise: once for files that come together. It runs until the
/// [`Watch`] is dropped; a scan or a call under way then is not waited for.
pub fn watch(catalog: Arc<Catalog>, pace: Pace, mut on_change: impl FnMut(&Change) + Send + 'static) -> Result<Watch> {
    let directories = catalog.directories().to_vec();
    Watch::start("plugin-watch", directories, pace, move || {
        let change = catalog.rescan();
        if !change.is_empty() {
            on_change(&change);
        }
        if change.unsettled.is_empty() { Next::Event } else { Next::Soon }
    })
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
