//! What a guest may call: rows out, checkpoint entries out, log lines, metrics. Nothing else exists for it.

use wasmtime::component::{HasSelf, Linker};

use super::entries;
use super::lift::Fault;
use super::log::Level;
use super::name::presentable;
use super::store::{Call, HostState, Violation};
use super::v0::bindings::weir::plugin::{log, metric, output, state_out, types};
use crate::metrics::MeterKind;

/// A linker that offers exactly the imports of the interface.
pub(super) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    types::add_to_linker::<_, HasSelf<HostState>>(&mut linker, |state| state)?;
    output::add_to_linker::<_, HasSelf<HostState>>(&mut linker, |state| state)?;
    state_out::add_to_linker::<_, HasSelf<HostState>>(&mut linker, |state| state)?;
    log::add_to_linker::<_, HasSelf<HostState>>(&mut linker, |state| state)?;
    metric::add_to_linker::<_, HasSelf<HostState>>(&mut linker, |state| state)?;
    Ok(linker)
}

impl HostState {
    fn misplaced(&self, what: &str, place: &str) -> wasmtime::Error {
        Violation(Fault::Contract(format!("called {what} in {}; it belongs into {place}", self.call))).into()
    }
}

impl types::Host for HostState {}

impl output::Host for HostState {
    fn emit(&mut self, origin: output::Origin, columns: Vec<types::ColumnResult>) -> wasmtime::Result<()> {
        match &mut self.output {
            Some(output) => output.emit(origin, columns).map_err(|fault| Violation(fault).into()),
            None => Err(self.misplaced("output.emit", "process and advance")),
        }
    }
}

impl state_out::Host for HostState {
    fn put(&mut self, entries: types::EntriesResult) -> wasmtime::Result<()> {
        let Some((taken, budget)) = &mut self.entries else {
            return Err(self.misplaced("state-out.put", "next-entries"));
        };
        let lifted = entries::lift(entries).and_then(|entries| {
            budget.spend(entries.bytes())?;
            Ok(entries)
        });
        taken.push(lifted.map_err(Violation)?);
        Ok(())
    }
}

impl log::Host for HostState {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.log.write(level, &message);
        Ok(())
    }
}

impl metric::Host for HostState {
    fn declare(&mut self, name: String, kind: metric::Kind, help: String) -> wasmtime::Result<u32> {
        if self.call != Call::Configure {
            return Err(self.misplaced("metric.declare", "configure"));
        }
        let kind = match kind {
            metric::Kind::Counter => MeterKind::Counter,
            metric::Kind::Gauge => MeterKind::Gauge,
        };
        let (wanted, max) = (self.declared.len() + 1, self.limits().metrics_max);
        if wanted > max {
            let message = format!("declares {wanted} metrics; its limit is {max} (plugin.limits.metrics)");
            return Err(Violation(Fault::Limit(message)).into());
        }
        let declared = self.meters.declare(&presentable(&name), kind, &presentable(&help));
        let meter = declared.map_err(|what| Violation(Fault::Contract(what)))?;
        self.declared.push(meter);
        Ok(self.declared.len() as u32 - 1)
    }

    fn update(&mut self, id: u32, value: f64) -> wasmtime::Result<()> {
        let Some(meter) = self.declared.get(id as usize) else {
            return Err(Violation(Fault::Contract(format!("updates metric {id}, which it has not declared"))).into());
        };
        if !self.muted {
            meter.update(value);
        }
        Ok(())
    }
}
