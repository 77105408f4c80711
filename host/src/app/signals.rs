//! The signals by which a worker is asked to end.

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Kind, Result};

/// SIGTERM and SIGINT, from the moment on that this is made: before, they end the process at once.
#[derive(Debug)]
pub struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Heeds them from now on. Errors: [`Kind::Internal`] where the system refuses.
    pub fn heed() -> Result<Self> {
        let failed = |error| Error::caused(Kind::Internal, "wait for signals", error);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let context = runtime.enter();
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        drop(context);
        Ok(Signals { runtime, terminate, interrupt })
    }

    /// Waits for one, unless it has come already.
    pub fn wait(mut self) {
        let (terminate, interrupt) = (&mut self.terminate, &mut self.interrupt);
        self.runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
    }
}
