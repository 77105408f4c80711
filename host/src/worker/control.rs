//! The thread that changes pipelines while they run: one thing after the other, off the tasks' threads.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Files, Worker};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::state::Ruling;
use crate::task::swap::Told;

/// How often it looks whether something is due.
const TICK: Duration = Duration::from_millis(100);

/// What the worker hears of while pipelines run.
#[derive(Debug)]
pub enum Notice {
    /// A task of this pipeline tells of a chain that is to take over.
    Told(String, Told),
    /// There are other plugins than before.
    Plugins,
    /// What the pipelines' files say now.
    Files(Files),
    /// Something was decided about the chains of this pipeline.
    Rulings(String, Vec<Ruling>),
}

/// Starts the thread; it ends with the worker.
pub(super) fn spawn(worker: &Arc<Worker>, notices: Receiver<Notice>) -> Result<()> {
    let worker = Arc::downgrade(worker);
    let thread = std::thread::Builder::new().name("weir-control".to_owned()).spawn(move || run(&worker, &notices));
    thread.map(drop).map_err(|e| Error::caused(Kind::Internal, "start a thread", e))
}

fn run(worker: &Weak<Worker>, notices: &Receiver<Notice>) {
    let (clock, mut ticked) = (Clock::start(), Duration::ZERO);
    loop {
        let notice = notices.recv_timeout(TICK);
        let Some(worker) = worker.upgrade() else { return };
        let now = clock.elapsed();
        match notice {
            Ok(Notice::Told(pipeline, told)) => worker.told(&pipeline, told, clock.now_ms()),
            Ok(Notice::Plugins) => worker.review(),
            Ok(Notice::Files(files)) => worker.apply(files),
            Ok(Notice::Rulings(pipeline, rulings)) => worker.ruled(&pipeline, rulings),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if now.saturating_sub(ticked) >= TICK {
            ticked = now;
            worker.tick(clock.now_ms());
        }
    }
}
