//! The exports: well-behaved but for the one fault that was asked for.

use std::cell::{Cell, RefCell};
use std::hint::black_box;

use crate::bindings::exports::weir::plugin::{state, transform};
use crate::bindings::weir::plugin::types::{Entries, Failure, Kind, RowError, Texts, Values};
use crate::bindings::weir::plugin::{log, metric, output, state_out};
use crate::{Fault, description, lies};

/// A mebibyte.
const MIB: usize = 1 << 20;

thread_local! {
    static FAULT: Cell<Fault> = const { Cell::new(Fault::None) };
    static ALWAYS: Cell<bool> = const { Cell::new(false) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
    /// The rows that passed: all of the state.
    static PASSED: Cell<u64> = const { Cell::new(0) };
    static HANDED_OUT: Cell<bool> = const { Cell::new(false) };
    static SETTINGS: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
    static LEAKED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The component.
pub struct Misbehave;

impl transform::Guest for Misbehave {
    fn describe() -> String {
        description()
    }

    fn configure(settings: Vec<(String, String)>) -> Result<transform::Plan, Failure> {
        let of = |name: &str| settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let Some(fault) = of("fault").and_then(Fault::of_name) else {
            let message = "Setting `fault` takes the name of a fault.".to_owned();
            return Err(Failure { code: 1, retryable: false, message });
        };
        FAULT.set(fault);
        ALWAYS.set(of("when") == Some("always"));
        SETTINGS.set(settings);
        match fault {
            Fault::LoopInConfigure => for_ever(),
            Fault::MetricFlood => (0..1_000).for_each(|number| {
                metric::declare(&format!("metric_{number}"), metric::Kind::Counter, "One of too many.");
            }),
            _ => {}
        }
        let input = |path: &str, kind| transform::Input { path: path.to_owned(), kind, required: false };
        let field = |path: &str, kind| transform::Field { path: path.to_owned(), kind };
        Ok(transform::Plan {
            inputs: vec![input("n", Kind::Int64), input("bad", Kind::Boolean)],
            outputs: vec![field("out", Kind::Int64), field("note", Kind::Text)],
            carry: transform::Carry::All,
            event_time: None,
            tombstones: false,
        })
    }

    fn process(batch: transform::Batch) -> Result<Vec<RowError>, Failure> {
        let (rows, numbers, bad) = read(&batch);
        CALLS.set(CALLS.get() + 1);
        if ALWAYS.get() || bad {
            if let Some(answer) = misbehave(FAULT.get(), rows, &numbers) {
                return Ok(answer);
            }
        }
        PASSED.set(PASSED.get() + u64::from(rows));
        output::emit(&output::Origin::Identity, &lies::honest(&numbers));
        Ok(Vec::new())
    }

    fn advance(_watermark: i64) -> Result<(), Failure> {
        Ok(())
    }
}

/// The number of rows, their numbers, and whether one of them is marked.
fn read(batch: &transform::Batch) -> (u32, Vec<i64>, bool) {
    let (mut numbers, mut bad) = (Vec::new(), false);
    for column in &batch.columns {
        match &column.values {
            Values::Int64s(values) => numbers.clone_from(values),
            // Where a row has no value, its bit says nothing.
            Values::Booleans(bits) if column.validity.is_empty() => bad = bits.iter().any(|byte| *byte != 0),
            Values::Booleans(bits) => bad = bits.iter().zip(&column.validity).any(|(bit, valid)| bit & valid != 0),
            _ => {}
        }
    }
    (batch.rows, numbers, bad)
}

/// Does what was asked for; the answer of the call, or none where it goes on as if nothing had happened.
fn misbehave(fault: Fault, rows: u32, numbers: &[i64]) -> Option<Vec<RowError>> {
    match fault {
        Fault::Trap => core::arch::wasm32::unreachable(),
        Fault::Loop => for_ever(),
        Fault::MemoryBomb => loop {
            leak(64 * MIB);
        },
        Fault::SlowLeak => leak(MIB * rows as usize),
        Fault::StackOverflow => drop(black_box(deeper(1))),
        Fault::HugeOutput => loop {
            let long = "x".repeat(MIB);
            output::emit(&output::Origin::Rows(vec![0]), &lies::with_note(&[0], lies::texts(&[&long])));
        },
        Fault::ManyRows => loop {
            let many = vec![0; 10_000];
            output::emit(&output::Origin::Rows(many.clone()), &lies::honest(&vec![0; many.len()]));
        },
        Fault::OriginOutOfRange => {
            output::emit(&output::Origin::Rows(vec![rows]), &lies::honest(&[0]));
        }
        Fault::ErrorFlood => return Some((0..rows).map(|row| error(row, "No row is good enough.")).collect()),
        Fault::ErrorOutOfRange => return Some(vec![error(rows, "There is no such row.")]),
        Fault::LogFlood => {
            let line = "x".repeat(4_096);
            (0..100_000).for_each(|_| log::write(log::Level::Info, &line));
        }
        Fault::Nondeterminism => {
            let times = CALLS.get() as usize;
            let origins: Vec<u32> = (0..rows).flat_map(|row| core::iter::repeat_n(row, times)).collect();
            let repeated: Vec<i64> = numbers.iter().flat_map(|n| core::iter::repeat_n(*n, times)).collect();
            output::emit(&output::Origin::Rows(origins), &lies::honest(&repeated));
            PASSED.set(PASSED.get() + u64::from(rows));
            return Some(Vec::new());
        }
        other => {
            if let Some(columns) = lies::columns(other, numbers) {
                output::emit(&output::Origin::Identity, &columns);
                return Some(Vec::new());
            }
        }
    }
    None
}

fn error(row: u32, message: &str) -> RowError {
    RowError { row, code: 7, message: message.to_owned() }
}

fn for_ever() -> ! {
    loop {
        black_box(());
    }
}

fn leak(bytes: usize) {
    LEAKED.with_borrow_mut(|leaked| leaked.push(black_box(vec![1; bytes])));
}

/// Never optimised away, and never at its end.
#[allow(unconditional_recursion, reason = "it is what is asked for")]
fn deeper(depth: u64) -> u64 {
    let below = black_box([depth; 64]);
    let more = deeper(black_box(depth + 1));
    more + below.iter().sum::<u64>()
}

impl state::Guest for Misbehave {
    fn begin_checkpoint(_extent: state::Extent) -> Result<state::Header, Failure> {
        if FAULT.get() == Fault::CheckpointHangs {
            for_ever();
        }
        HANDED_OUT.set(false);
        let mut settings = SETTINGS.with_borrow(Clone::clone);
        settings.sort();
        Ok(state::Header {
            plugin: "misbehave".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state_version: 1,
            settings,
        })
    }

    fn next_entries(_max_bytes: u32) -> Result<bool, Failure> {
        match FAULT.get() {
            Fault::StateStuck => return Ok(true),
            Fault::StateEndless => {
                state_out::put(&entry(vec![0; MIB]));
                return Ok(true);
            }
            _ => {}
        }
        if !HANDED_OUT.replace(true) {
            state_out::put(&entry(PASSED.get().to_le_bytes().to_vec()));
        }
        Ok(false)
    }

    fn end_checkpoint(_committed: bool) {}

    fn begin_restore(_header: state::Header) -> Result<state::Acceptance, Failure> {
        if FAULT.get() == Fault::RestoreHangs {
            for_ever();
        }
        Ok(state::Acceptance::Accept)
    }

    fn put_entries(entries: Entries) -> Result<(), Failure> {
        let passed = entries.values.bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        PASSED.set(passed);
        Ok(())
    }

    fn end_restore() -> Result<u64, Failure> {
        Ok(if FAULT.get() == Fault::StateMiscounted { 1_000_000 } else { 1 })
    }

    fn stats() -> Vec<(String, u64)> {
        vec![("keys".to_owned(), 1)]
    }
}

fn entry(value: Vec<u8>) -> Entries {
    let texts = |bytes: Vec<u8>| Texts { offsets: vec![0, bytes.len() as u32], bytes };
    Entries { space: 0, keys: texts(b"passed".to_vec()), values: texts(value), ops: vec![0] }
}
