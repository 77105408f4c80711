//! Components for tests, written by hand in WebAssembly text: guests that misbehave in one exact way each,
//! and the plainest guest there can be. The data that a guest returns is laid out here by the canonical ABI
//! (github.com/WebAssembly/component-model, CanonicalABI.md: records in order, each member at its alignment;
//! lists as pointer and length; variants as tag and payload).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests use it"
)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::{Compiler, Engine, Guest, Limits, Plugin, Setup, Source};
use crate::error::Result;
use crate::metrics::Meters;
use crate::record::Kind;

/// Where data begins that a guest is born with; below lies what its code writes.
const DATA: u32 = 4096;

/// Bytes at fixed addresses of a guest's memory.
#[derive(Debug, Default)]
pub(crate) struct Image {
    bytes: Vec<u8>,
}

/// A list: address and number of elements.
type List = (u32, u32);

impl Image {
    /// Places bytes at a multiple of 8; returns their address.
    pub(crate) fn place(&mut self, bytes: &[u8]) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = DATA + self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        at
    }

    /// A string or list of bytes.
    pub(crate) fn text(&mut self, text: &[u8]) -> List {
        (self.place(text), text.len() as u32)
    }

    /// A list of 32-bit numbers.
    pub(crate) fn u32s(&mut self, numbers: &[u32]) -> List {
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        (self.place(&bytes), numbers.len() as u32)
    }

    /// A list of columns: field, validity, absent, and the values' tag with the words of its payload.
    pub(crate) fn columns(&mut self, columns: &[(u32, List, List, u8, Vec<u32>)]) -> List {
        let mut bytes = Vec::new();
        for (field, validity, absent, tag, payload) in columns {
            let start = bytes.len();
            for word in [*field, validity.0, validity.1, absent.0, absent.1, u32::from(*tag)] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
            for word in payload {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
            bytes.resize(start + 48, 0);
        }
        (self.place(&bytes), columns.len() as u32)
    }

    fn escaped(&self) -> String {
        self.bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
    }
}

/// The plan of a hand-written guest.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlanSpec {
    pub(crate) inputs: Vec<(&'static str, Kind, bool)>,
    pub(crate) outputs: Vec<(&'static str, Kind)>,
    /// 0 all, 1 none.
    pub(crate) carry: u8,
    /// Path, lateness and bound on the future in µs.
    pub(crate) event_time: Option<(&'static str, u64, Option<u64>)>,
    pub(crate) tombstones: bool,
}

fn kind_tag(kind: Kind) -> u8 {
    match kind {
        Kind::Int64 => 0,
        Kind::Float64 => 1,
        Kind::Boolean => 2,
        Kind::Text => 3,
        Kind::Binary => 4,
        Kind::Decimal => 5,
        Kind::Timestamp => 6,
        Kind::Json => 7,
    }
}

impl PlanSpec {
    /// `result<plan, failure>` with this plan; returns its address.
    fn place(&self, image: &mut Image) -> u32 {
        let mut inputs = Vec::new();
        for (path, kind, required) in &self.inputs {
            let (at, len) = image.text(path.as_bytes());
            inputs.extend([at.to_le_bytes(), len.to_le_bytes(), [kind_tag(*kind), u8::from(*required), 0, 0]].concat());
        }
        let mut outputs = Vec::new();
        for (path, kind) in &self.outputs {
            let (at, len) = image.text(path.as_bytes());
            outputs.extend([at.to_le_bytes(), len.to_le_bytes(), [kind_tag(*kind), 0, 0, 0]].concat());
        }
        let (inputs_at, outputs_at) = (image.place(&inputs), image.place(&outputs));
        let time = self.event_time.map(|(path, lateness, bound)| (image.text(path.as_bytes()), lateness, bound));
        let mut result = vec![0u8; 8];
        for word in
            [inputs_at, self.inputs.len() as u32, outputs_at, self.outputs.len() as u32, u32::from(self.carry), 0, 0, 0]
        {
            result.extend_from_slice(&word.to_le_bytes());
        }
        let ((path_at, path_len), lateness, bound) = time.unwrap_or_default();
        for word in [u32::from(time.is_some()), 0, path_at, path_len] {
            result.extend_from_slice(&word.to_le_bytes());
        }
        for word in [lateness, u64::from(bound.is_some()), bound.unwrap_or_default()] {
            result.extend_from_slice(&word.to_le_bytes());
        }
        result.push(u8::from(self.tombstones));
        result.resize(8 + 80, 0);
        image.place(&result)
    }
}

/// A guest written by hand.
#[derive(Debug, Default)]
pub(crate) struct Spec {
    /// Its `describe`; empty = id `fixture`, version 1.0.0.
    pub(crate) description: String,
    pub(crate) plan: PlanSpec,
    pub(crate) image: Image,
    /// The body of `process (param $rows i32) (param $columns i32) (param $count i32) (result i32)`; may use
    /// `$emit`, `$log`, `$ok` (a result without row errors).
    pub(crate) process: String,
    /// The body of `describe`, `configure` and the start function, before they answer.
    pub(crate) on_describe: String,
    pub(crate) on_configure: String,
    pub(crate) on_start: String,
    /// More of the module: functions, globals, tables.
    pub(crate) extra: String,
    /// Pages of memory at the start.
    pub(crate) pages: u32,
    /// Whether it also exports `weir:plugin/state`, holding nothing.
    pub(crate) state: bool,
}

/// A description that `describe.schema.json` admits.
pub(crate) fn description(id: &str, version: &str) -> String {
    format!(
        r#"{{"id":"{id}","version":"{version}","doc":"A fixture.","settings":[],"state":null,"limits":{{"memory_bytes":null,"call_ms":null}}}}"#
    )
}

impl Spec {
    /// The core module as text.
    fn module(mut self) -> String {
        let about = if self.description.is_empty() { description("fixture", "1.0.0") } else { self.description };
        let (about_at, about_len) = self.image.text(about.as_bytes());
        let about = self.image.u32s(&[about_at, about_len]).0;
        let plan = self.plan.place(&mut self.image);
        let ok = self.image.place(&[0; 16]);
        let pages = self.pages.max(4).max((DATA + self.image.bytes.len() as u32).div_ceil(65536) + 2);
        let heap = (DATA + self.image.bytes.len() as u32).next_multiple_of(8);
        let state = if self.state { STATE } else { "" };
        format!(
            r#"(module
  (import "weir:plugin/output@0.1.0" "emit" (func $emit (param i32 i32 i32 i32 i32)))
  (import "weir:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  (import "weir:plugin/metric@0.1.0" "declare" (func $declare (param i32 i32 i32 i32 i32) (result i32)))
  (import "weir:plugin/metric@0.1.0" "update" (func $update (param i32 f64)))
  (memory (export "memory") {pages})
  (data (i32.const {DATA}) "{data}")
  (global $heap (mut i32) (i32.const {heap}))
  (global $ok i32 (i32.const {ok}))
  {extra}
  (func $start {on_start})
  (start $start)
  (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
      (then (drop (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1))))))
    (local.get $at))
  (func (export "weir:plugin/transform@0.1.0#describe") (result i32) {on_describe} (i32.const {about}))
  (func (export "weir:plugin/transform@0.1.0#configure") (param i32 i32) (result i32) {on_configure} (i32.const {plan}))
  (func (export "weir:plugin/transform@0.1.0#advance") (param i64) (result i32) (global.get $ok))
  (func $process (param $rows i32) (param $columns i32) (param $count i32) (result i32) {process} (global.get $ok))
  (func (export "weir:plugin/transform@0.1.0#process") (param i32 i32 i32) (result i32)
    (call $process (local.get 0) (local.get 1) (local.get 2))
    (global.set $heap (i32.const {heap})))
  {state}
)"#,
            data = self.image.escaped(),
            extra = self.extra,
            on_start = self.on_start,
            on_describe = self.on_describe,
            on_configure = self.on_configure,
            process = self.process,
        )
    }

    /// The component.
    pub(crate) fn component(self) -> Vec<u8> {
        let world = if self.state { "stateful" } else { "transformer" };
        component(&self.module(), world)
    }

    /// A plugin of it.
    pub(crate) fn plugin(self) -> Result<Plugin> {
        Plugin::load(compiler(), &Source::new(Path::new("fixture.wasm"), self.component()))
    }

    /// A guest of it under these limits.
    pub(crate) fn guest(self, limits: Limits) -> Result<Guest> {
        Guest::new(&self.plugin()?, &setup(&[], limits))
    }
}

/// `weir:plugin/state` of a guest that holds nothing: every result is the zero word, which is `ok`.
const STATE: &str = r#"
  (func (export "weir:plugin/state@0.1.0#begin-checkpoint") (param i32) (result i32) (unreachable))
  (func (export "weir:plugin/state@0.1.0#next-entries") (param i32) (result i32) (global.get $ok))
  (func (export "weir:plugin/state@0.1.0#end-checkpoint") (param i32))
  (func (export "weir:plugin/state@0.1.0#begin-restore") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (global.get $ok))
  (func (export "weir:plugin/state@0.1.0#put-entries") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (global.get $ok))
  (func (export "weir:plugin/state@0.1.0#end-restore") (result i32) (global.get $ok))
  (func (export "weir:plugin/state@0.1.0#stats") (result i32) (global.get $ok))
"#;

/// A component of a core module and a world of the interface.
pub(crate) fn component(module: &str, world: &str) -> Vec<u8> {
    let mut bytes = wat::parse_str(module).expect("the module is valid text");
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/v0");
    let (package, _) = resolve.push_dir(wit).expect("the interface is valid");
    let world = resolve.select_world(&[package], Some(world)).expect("the world is there");
    embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8, false).expect("metadata fits");
    ComponentEncoder::default().module(&bytes).expect("a module").validate(true).encode().expect("a component")
}

/// A compiler without cache or child, shared by the tests of this process.
pub(crate) fn compiler() -> &'static Compiler {
    static COMPILER: OnceLock<Compiler> = OnceLock::new();
    COMPILER.get_or_init(|| Compiler::new(Engine::new().expect("the engine starts"), None, None))
}

/// The set-up of a guest under the alias `x`.
pub(crate) fn setup(settings: &[(&str, &str)], limits: Limits) -> Setup {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Setup { alias: "x".to_owned(), settings, limits, meters: Arc::new(Meters::default()) }
}

/// A guest whose output is its input: field `from` under the name `to`, passed through by reference.
pub(crate) fn echo(from: &'static str, to: &'static str, kind: Kind) -> Spec {
    Spec {
        plan: PlanSpec { inputs: vec![(from, kind, false)], outputs: vec![(to, kind)], ..PlanSpec::default() },
        process: "(call $emit (i32.const 0) (i32.const 0) (i32.const 0) (local.get $columns) (i32.const 1))".to_owned(),
        ..Spec::default()
    }
}

/// A directory of a test's own, gone when the test ends.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("weir-{name}-{}-{next}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary directory can be written");
        Scratch(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is the system's temporary data.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
