//! A plugin made for these suites: it passes every row on, and traps on a price below zero. Written by hand, since
//! nothing that is kept in `plugins` should do so. Data that it returns lies where the canonical ABI wants it
//! (github.com/WebAssembly/component-model, CanonicalABI.md).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use weir_tests::environment::repository;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What it says of itself.
const ABOUT: &str = r#"{"id":"brittle","version":"1.0.0","doc":"Traps on a price below zero.","settings":[],"state":null,"limits":{"memory_bytes":null,"call_ms":null}}"#;
/// The only field that it reads.
const FIELD: &str = "price";
/// Where its data lies: what it says of itself, address and length of that, the field's name, the plan's only input, the
/// plan, and a result without row errors.
const ABOUT_AT: u32 = 4_096;
const ABOUT_PAIR_AT: u32 = 5_120;
const FIELD_AT: u32 = 5_136;
const INPUT_AT: u32 = 5_152;
const PLAN_AT: u32 = 5_168;
const OK_AT: u32 = 5_272;
const HEAP_AT: u32 = 5_296;
/// The number of `float64` among the kinds.
const FLOAT64: u32 = 1;

/// Numbers as bytes of a data segment.
fn words(words: &[u32]) -> String {
    words.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("\\{byte:02x}")).collect()
}

fn module() -> String {
    // The plan: a result that is good, one input, no output, everything carried, no event time, no tombstones.
    let mut plan = vec![0; 22];
    (plan[2], plan[3]) = (INPUT_AT, 1);
    let about = ABOUT.replace('"', "\\22");
    format!(
        r#"(module
  (import "weir:plugin/output@0.1.0" "emit" (func $emit (param i32 i32 i32 i32 i32)))
  (memory (export "memory") 16)
  (data (i32.const {ABOUT_AT}) "{about}")
  (data (i32.const {ABOUT_PAIR_AT}) "{about_pair}")
  (data (i32.const {FIELD_AT}) "{FIELD}")
  (data (i32.const {INPUT_AT}) "{input}")
  (data (i32.const {PLAN_AT}) "{plan}")
  (global $heap (mut i32) (i32.const {HEAP_AT}))
  (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (local.get $at))
  (func (export "weir:plugin/transform@0.1.0#describe") (result i32) (i32.const {ABOUT_PAIR_AT}))
  (func (export "weir:plugin/transform@0.1.0#configure") (param i32 i32) (result i32) (i32.const {PLAN_AT}))
  (func (export "weir:plugin/transform@0.1.0#advance") (param i64) (result i32) (i32.const {OK_AT}))
  (func (export "weir:plugin/transform@0.1.0#process") (param $rows i32) (param $columns i32) (param i32) (result i32)
    (local $price i32) (local $end i32)
    (local.set $price (i32.load offset=24 (local.get $columns)))
    (local.set $end (i32.add (local.get $price) (i32.shl (local.get $rows) (i32.const 3))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $price) (local.get $end)))
        (if (f64.lt (f64.load (local.get $price)) (f64.const 0)) (then (unreachable)))
        (local.set $price (i32.add (local.get $price) (i32.const 8)))
        (br $next)))
    (call $emit (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
    (global.set $heap (i32.const {HEAP_AT}))
    (i32.const {OK_AT}))
)"#,
        about_pair = words(&[ABOUT_AT, ABOUT.len() as u32]),
        input = words(&[FIELD_AT, FIELD.len() as u32, FLOAT64]),
        plan = words(&plan),
    )
}

/// Writes the plugin into a folder.
pub fn write(folder: &Path) -> Result<()> {
    let mut module = wat::parse_str(module())?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(repository().join("wit/v0"))?;
    let world = resolve.select_world(&[package], Some("transformer"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    let component = ComponentEncoder::default().module(&module)?.validate(true).encode()?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join("brittle.wasm"), component).context("write the plugin")
}
