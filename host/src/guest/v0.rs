//! Guests of the interface `weir:plugin` 0.1: one running instance of a plugin, and typed calls into it.
//!
//! A guest that fails a call is gone: its store is dropped at once, and every later call gives the same
//! error. Whoever holds it builds a new one.

use std::sync::Arc;

use self::bindings::exports::weir::plugin::{state as wit_state, transform as wit};
use self::bindings::weir::plugin::types;
use super::entries;
use super::lift::{Budget, Fault};
use super::lower::{self, Lowered};
use super::name::{GuestName, presentable};
use super::output::{GuestRowError, Output, Processed};
use super::plan::{self, Plan};
use super::plugin::{Plugin, Program};
use super::store::{Call, Limits, Sandbox};
use crate::error::{Error, Kind, Result};
use crate::limits::GUEST_EMPTY_PIECES_MAX;
use crate::metrics::Meters;
use crate::record::{Column, Field};
use crate::state::{Acceptance, Entries, Extent, Header};

/// The interface in Rust, made from its WIT.
#[allow(clippy::all, clippy::pedantic, missing_debug_implementations, reason = "generated")]
pub(super) mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/v0",
        world: "stateful",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: { default: trappable },
    });
}

/// What a guest is built for.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The alias in the pipeline's `transforms`.
    pub alias: String,
    /// The settings without the `transforms.ALIAS.` prefix.
    pub settings: Vec<(String, String)>,
    /// The bounds of its calls.
    pub limits: Limits,
    /// Where its figures are kept; the same for every guest of the stage.
    pub meters: Arc<Meters>,
}

/// A configured guest.
#[derive(Debug)]
pub struct Guest {
    /// The instance, or why it is gone.
    live: Result<Live>,
    name: GuestName,
    plan: Plan,
    outputs: Arc<[Field]>,
    stateful: bool,
    /// Rows rejected up to now, one after the other.
    rejected: u64,
}

struct Live {
    /// Bytes of state handed out for the checkpoint under way, and pieces of it in a row that held nothing.
    handed_out: (usize, u32),
    sandbox: Sandbox,
    transform: wit::Guest,
    state: Option<wit_state::Guest>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("sandbox", &self.sandbox).finish_non_exhaustive()
    }
}

/// Instantiates a plugin in a store of its own.
fn start(program: &Program, name: GuestName, limits: Limits, meters: Arc<Meters>) -> Result<Live> {
    let mut sandbox = Sandbox::new(&program.engine, name, limits, meters);
    let (transform, state) = sandbox.call(Call::Start, |store| {
        let instance = program.instance.instantiate(&mut *store)?;
        let transform = program.transform.load(&mut *store, &instance)?;
        let state = program.state.as_ref().map(|state| state.load(&mut *store, &instance)).transpose()?;
        Ok((transform, state))
    })?;
    Ok(Live { handed_out: (0, 0), sandbox, transform, state })
}

/// Asks a plugin who it is: the JSON text of its description. `file` names it in errors.
pub(super) fn describe(program: &Program, file: &str) -> Result<String> {
    let mut live = start(program, GuestName::unknown(file), Limits::default(), Arc::default())?;
    let transform = live.transform.clone();
    live.sandbox.call(Call::Describe, |store| transform.call_describe(store))
}

/// Starts a plugin and hands it its settings.
fn asked(plugin: &Plugin, setup: &Setup) -> Result<(Live, Result<wit::Plan, types::Failure>)> {
    let about = plugin.manifest();
    let name = GuestName::used(&about.id, about.version.as_str(), &setup.alias);
    let mut live = start(plugin.program(), name, setup.limits, Arc::clone(&setup.meters))?;
    let settings: Vec<(&str, &str)> = setup.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let transform = live.transform.clone();
    let answer = live.sandbox.call(Call::Configure, |store| transform.call_configure(store, &settings))?;
    Ok((live, answer))
}

/// A plan that can be carried out.
fn planned(name: &GuestName, plan: wit::Plan) -> Result<Plan> {
    plan::checked(plan).map_err(|what| Error::new(Kind::PluginInvalid, format!("{name} has a plan that {what}")))
}

impl Guest {
    /// Starts a plugin and configures it. Errors: [`Kind::PluginFailure`] where it refuses the settings,
    /// [`Kind::PluginInvalid`] where its plan cannot be carried out, and all that a call can fail with.
    pub fn new(plugin: &Plugin, setup: &Setup) -> Result<Guest> {
        Guest::configured(plugin, setup).map_err(|error| error.during(format!("transforms.{}", setup.alias)))
    }

    /// Asks a plugin whether it takes settings: None, or its own words where it refuses them. Errors: all others that
    /// [`Guest::new`] has.
    pub fn refusal(plugin: &Plugin, setup: &Setup) -> Result<Option<String>> {
        let (live, answer) = asked(plugin, setup)?;
        match answer {
            Ok(plan) => planned(live.sandbox.name(), plan).map(|_| None),
            Err(failure) => Ok(Some(words(&failure))),
        }
    }

    fn configured(plugin: &Plugin, setup: &Setup) -> Result<Guest> {
        let (live, answer) = asked(plugin, setup)?;
        let name = live.sandbox.name().clone();
        let plan = planned(&name, answer.map_err(|failure| failed(&name, Call::Configure, &failure))?)?;
        let outputs = plan.outputs.iter().cloned().collect();
        let stateful = live.state.is_some();
        Ok(Guest { live: Ok(live), name, plan, outputs, stateful, rejected: 0 })
    }

    /// What it needs and gives.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its plugin and version, for messages, and its alias.
    pub fn name(&self) -> &GuestName {
        &self.name
    }

    /// Whether its plugin keeps state.
    pub fn is_stateful(&self) -> bool {
        self.stateful
    }

    /// Its linear memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.live.as_ref().map_or(0, |live| live.sandbox.memory_bytes())
    }

    /// Mutes its log and metrics while its lane replays.
    pub fn mute(&mut self, muted: bool) {
        if let Ok(live) = &mut self.live {
            let state = live.sandbox.state();
            state.muted = muted;
            state.log.mute(muted);
        }
    }

    /// Processes `rows` rows, 1 to [`crate::limits::BATCH_ROWS_MAX`]: one column per input of the plan, in that
    /// order, each as long; a mismatching cell counts as null.
    pub fn process(&mut self, rows: usize, columns: &[Column]) -> Result<Processed> {
        let fits = columns.len() == self.plan.inputs.len() && columns.iter().all(|column| column.array.len() == rows);
        if !fits {
            return Err(Error::new(
                Kind::Internal,
                format!("{} was given other columns than its plan wants", self.name),
            ));
        }
        let (outputs, rejected) = (Arc::clone(&self.outputs), self.rejected);
        let (processed, rejected) = self.attempt(Call::Process, |live| {
            let lowered: Vec<Lowered<'_>> = columns.iter().map(lower::lower).collect();
            let columns: Vec<types::ColumnParam<'_>> =
                lowered.iter().enumerate().map(|(field, column)| column.param(field as u32)).collect();
            let batch = wit::Batch { rows: rows as u32, columns: &columns };
            let transform = live.transform.clone();
            let processed = live.emitting(Call::Process, outputs, rows, |sandbox| {
                sandbox.call(Call::Process, |store| transform.call_process(store, batch))
            })?;
            let counted = processed.map(|processed| {
                let rejected = live.count_rejected(rejected, rows, &processed.row_errors)?;
                Ok((processed, rejected))
            });
            counted.map_or_else(|failure| Ok(Err(failure)), |counted| counted.map(Ok))
        })?;
        self.rejected = rejected;
        Ok(processed)
    }

    /// Moves the watermark (µs) without a row. Every origin of what it emits is 0.
    pub fn advance(&mut self, watermark_us: i64) -> Result<Processed> {
        let outputs = Arc::clone(&self.outputs);
        self.attempt(Call::Advance, |live| {
            let transform = live.transform.clone();
            live.emitting(Call::Advance, outputs, 0, |sandbox| {
                let advanced = sandbox.call(Call::Advance, |store| transform.call_advance(store, watermark_us))?;
                Ok(advanced.map(|()| Vec::new()))
            })
        })
    }

    /// Freezes what a checkpoint will hold. Errors: [`Kind::Internal`] where the plugin keeps no state.
    pub fn begin_checkpoint(&mut self, extent: Extent) -> Result<Header> {
        let extent = match extent {
            Extent::Full => wit_state::Extent::Full,
            Extent::Incremental => wit_state::Extent::Incremental,
        };
        let header = self.with_state(Call::BeginCheckpoint, |live, state| {
            live.handed_out = (0, 0);
            live.sandbox.call(Call::BeginCheckpoint, |store| state.call_begin_checkpoint(store, extent))
        })?;
        Ok(Header {
            plugin: header.plugin,
            version: header.version,
            state_version: header.state_version,
            settings: header.settings,
        })
    }

    /// The next entries of the checkpoint, about `bytes_max` bytes of them, and whether more follow.
    pub fn next_entries(&mut self, bytes_max: u32) -> Result<(Vec<Entries>, bool)> {
        self.with_state(Call::NextEntries, |live, state| {
            let budget = Budget::new(live.sandbox.limits().output_bytes_max);
            live.sandbox.state().entries = Some((Vec::new(), budget));
            let more = live.sandbox.call(Call::NextEntries, |store| state.call_next_entries(store, bytes_max));
            let taken = live.sandbox.state().entries.take().map(|(taken, _)| taken).unwrap_or_default();
            match more? {
                Ok(more) => live.count_handed_out(&taken).map(|()| Ok((taken, more))),
                Err(failure) => Ok(Err(failure)),
            }
        })
    }

    /// Ends the checkpoint; where it is not committed, what it held counts as changed again.
    pub fn end_checkpoint(&mut self, committed: bool) -> Result<()> {
        self.with_state(Call::EndCheckpoint, |live, state| {
            live.sandbox.call(Call::EndCheckpoint, |store| state.call_end_checkpoint(store, committed)).map(Ok)
        })
    }

    /// Offers a checkpoint to a guest that has not processed anything.
    pub fn begin_restore(&mut self, header: &Header) -> Result<Acceptance> {
        let settings: Vec<(&str, &str)> = header.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let header = wit_state::HeaderParam {
            plugin: &header.plugin,
            version: &header.version,
            state_version: header.state_version,
            settings: &settings,
        };
        let acceptance = self.with_state(Call::BeginRestore, |live, state| {
            live.sandbox.call(Call::BeginRestore, |store| state.call_begin_restore(store, header))
        })?;
        Ok(match acceptance {
            wit_state::Acceptance::Accept => Acceptance::Accept,
            wit_state::Acceptance::Migrate(version) => Acceptance::Migrate(version),
            wit_state::Acceptance::Reject(why) => Acceptance::Reject(presentable(&why)),
        })
    }

    /// Hands over entries of the checkpoint, in any order.
    pub fn put_entries(&mut self, entries: &Entries) -> Result<()> {
        let ops = entries::ops(entries);
        let (keys, values) = (lower::texts(&entries.keys), lower::texts(&entries.values));
        let entries =
            types::EntriesParam { space: entries.space, keys: keys.param(), values: values.param(), ops: &ops };
        self.with_state(Call::PutEntries, |live, state| {
            live.sandbox.call(Call::PutEntries, |store| state.call_put_entries(store, entries))
        })
    }

    /// Ends the restore: the number of entries that the guest now holds.
    pub fn end_restore(&mut self) -> Result<u64> {
        self.with_state(Call::EndRestore, |live, state| {
            live.sandbox.call(Call::EndRestore, |store| state.call_end_restore(store))
        })
    }

    /// Figures about the state, by name.
    pub fn stats(&mut self) -> Result<Vec<(String, u64)>> {
        let stats = self.with_state(Call::Stats, |live, state| {
            live.sandbox.call(Call::Stats, |store| state.call_stats(store)).map(Ok)
        })?;
        Ok(stats.into_iter().map(|(name, value)| (presentable(&name), value)).collect())
    }

    /// Makes a call; after an error the instance is gone.
    fn attempt<R>(
        &mut self,
        call: Call,
        make: impl FnOnce(&mut Live) -> Result<Result<R, types::Failure>>,
    ) -> Result<R> {
        let live = self.live.as_mut().map_err(|error| error.clone())?;
        let done = match make(live) {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(failure)) => failed(&self.name, call, &failure),
            Err(error) => error,
        };
        self.live = Err(done.clone());
        Err(done)
    }

    fn with_state<R>(
        &mut self,
        call: Call,
        make: impl FnOnce(&mut Live, &wit_state::Guest) -> Result<Result<R, types::Failure>>,
    ) -> Result<R> {
        let name = self.name.clone();
        self.attempt(call, |live| match live.state.clone() {
            Some(state) => make(live, &state),
            None => Err(Error::new(Kind::Internal, format!("{call} was called on {name}, which keeps no state"))),
        })
    }
}

impl Live {
    /// The rows rejected one after the other, those of this call included. More than the limit are the plugin's fault,
    /// not the records'. What a replay repeats was counted when it was decided.
    fn count_rejected(&mut self, before: u64, rows: usize, errors: &[GuestRowError]) -> Result<u64> {
        if self.sandbox.state().muted || errors.is_empty() {
            return Ok(0);
        }
        let (mut run, mut longest, mut next) = (before, before, 0);
        for error in errors {
            run = if u64::from(error.row) == next { run + 1 } else { 1 };
            (longest, next) = (longest.max(run), u64::from(error.row) + 1);
        }
        let (name, max) = (self.sandbox.name(), self.sandbox.limits().rejected_rows_max);
        if let Some(last) = errors.last().filter(|_| longest > max) {
            let message = format!(
                "{name} rejected {longest} rows one after the other; its limit is {max} (plugin.limits.rejected.rows); \
                 the last (code {}): {}",
                last.code,
                last.message.trim_end_matches('.')
            );
            return Err(Error::new(Kind::PluginRejects, message));
        }
        Ok(if next == rows as u64 { run } else { 0 })
    }

    /// Counts what a guest hands out for one checkpoint: no more than its memory can hold, and something at least.
    fn count_handed_out(&mut self, taken: &[Entries]) -> Result<()> {
        let (all, empty) = self.handed_out;
        let bytes: usize = taken.iter().map(Entries::bytes).sum();
        let (all, empty) = (all.saturating_add(bytes), if bytes == 0 { empty + 1 } else { 0 });
        self.handed_out = (all, empty);
        let max = self.sandbox.limits().memory_bytes_max;
        let fault = if all > max {
            let (all, max) = (all.div_ceil(1 << 10), max >> 10);
            Fault::Limit(format!(
                "handed out {all} KiB of state for one checkpoint; its memory is {max} KiB (plugin.limits.memory)"
            ))
        } else if empty > GUEST_EMPTY_PIECES_MAX {
            Fault::Contract(format!("said {empty} times that more entries follow, and handed out none"))
        } else {
            return Ok(());
        };
        Err(self.sandbox.fault(Call::NextEntries, &fault))
    }

    /// Makes a call that emits rows, and joins them with the row errors that it returns.
    fn emitting(
        &mut self,
        call: Call,
        outputs: Arc<[Field]>,
        rows: usize,
        make: impl FnOnce(&mut Sandbox) -> Result<Result<Vec<types::RowError>, types::Failure>>,
    ) -> Result<Result<Processed, types::Failure>> {
        let limits = self.sandbox.limits();
        let output = Output::new(outputs, rows, limits.output_rows_max, limits.output_bytes_max);
        self.sandbox.state().output = Some(output);
        let returned = make(&mut self.sandbox);
        let output = self.sandbox.state().output.take();
        match (returned?, output) {
            (Ok(errors), Some(output)) => {
                output.finish(errors).map(Ok).map_err(|fault: Fault| self.sandbox.fault(call, &fault))
            }
            (Err(failure), _) => Ok(Err(failure)),
            (Ok(_), None) => Err(Error::new(Kind::Internal, format!("{} lost its output", self.sandbox.name()))),
        }
    }
}

/// A failure that the guest itself reports.
fn failed(name: &GuestName, call: Call, failure: &types::Failure) -> Error {
    let again = if failure.retryable { ", may pass when tried again" } else { "" };
    let what = if call == Call::Configure { "refuses its settings".to_owned() } else { format!("failed in {call}") };
    Error::new(Kind::PluginFailure, format!("{name} {what} (code {}{again}): {}", failure.code, words(failure)))
}

/// A failure in the guest's words. Error sentences end without a full stop: the hint follows.
fn words(failure: &types::Failure) -> String {
    presentable(&failure.message).trim_end_matches('.').to_owned()
}

#[cfg(test)]
#[path = "v0_tests.rs"]
mod tests;
