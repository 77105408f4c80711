//! Files that are no plugins a worker could run: each is refused in one line, and costs nothing else.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use weir_tests::environment::{PLUGINS, directory, variable};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::super::errors::Bed;

/// A start function that never returns: no setting can ask for it, since it runs before there is any.
const ENDLESS_START: &str = r#"(module
  (memory (export "memory") 2)
  (func $start (loop (br 0)))
  (start $start)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "weir:plugin/transform@0.1.0#describe") (result i32) (unreachable))
  (func (export "weir:plugin/transform@0.1.0#configure") (param i32 i32) (result i32) (unreachable))
  (func (export "weir:plugin/transform@0.1.0#advance") (param i64) (result i32) (unreachable))
  (func (export "weir:plugin/transform@0.1.0#process") (param i32 i32 i32) (result i32) (unreachable)))"#;

fn endless_start() -> Result<Vec<u8>> {
    let mut module = wat::parse_str(ENDLESS_START)?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/v0"))?;
    let world = resolve.select_world(&[package], Some("transformer"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    Ok(weir::guest::componentize(&module, "endless start")?)
}

/// The text of a component that claims to be a plugin and has this core module.
fn component(module: &str) -> Result<Vec<u8>> {
    let text = format!(
        r#"(component (core module {module}) (instance $i) (export "weir:plugin/transform@0.1.0" (instance $i)))"#
    );
    Ok(wat::parse_str(text)?)
}

/// Little to read and much to compile: loops in loops, in which hundreds of values are carried.
fn bomb() -> Result<Vec<u8>> {
    const LOCALS: usize = 400;
    const LOOPS: usize = 120;
    let locals = "(local ".to_owned() + &"i64 ".repeat(LOCALS) + ")";
    let mut body = String::new();
    for depth in 0..LOOPS {
        let steps = (1..LOCALS).step_by(7).map(|local| {
            let (local, other) = ((local + depth) % LOCALS + 1, (local * 3 + depth) % LOCALS + 1);
            format!(
                "(local.set {local} (i64.mul (local.get {local}) (i64.xor (local.get {other}) (i64.const {depth}))))"
            )
        });
        body.push_str("(loop ");
        body.extend(steps);
    }
    body.push_str(&"(br_if 0 (local.get 0)))".repeat(LOOPS));
    let function = format!("(func (param i32) (result i64) {locals} {body} (local.get 1))");
    component(&function.repeat(24))
}

#[tokio::test]
async fn files_that_are_no_plugins_are_refused_in_one_line_each() -> Result<()> {
    let mut bed = Bed::start("files").await?;
    let good = variable(PLUGINS)?;
    let folder = directory("bad-plugins")?;
    fs::create_dir_all(&folder)?;
    let sma = fs::read_dir(&good)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("sma-")))
        .context("the average is built")?;
    let whole = fs::read(&sma)?;
    let wasi = wat::parse_str(
        r#"(component (import "wasi:clocks/wall-clock@0.2.6" (instance)) (import "weir:plugin/output@0.1.0" (instance)))"#,
    )?;
    let older = wat::parse_str(r#"(component (import "weir:plugin/output@0.0.9" (instance)))"#)?;
    let cases = [
        (
            "endless-start",
            endless_start()?,
            "did not return from start within its time limit of 2s (plugin.limits.call.ms)",
        ),
        ("wasi", wasi, "imports wasi:clocks/wall-clock@0.2.6, which plugins do not get"),
        ("older", older, "was built for weir:plugin 0.0.9, but this weir runs 0.1"),
        ("half", whole.iter().take(whole.len() / 2).copied().collect(), "ends in the middle, after"),
        ("text", b"(module)".to_vec(), "is not WebAssembly"),
        ("module", wat::parse_str("(module)")?, "is a core WebAssembly module, not a component"),
        ("other", component("")?, "was built against another weir:plugin of the same version"),
        ("bomb", bomb()?, "cannot be compiled within 3 s of processor time and 1024 MiB of memory"),
    ];
    for (name, bytes, _) in &cases {
        fs::write(folder.join(format!("{name}.wasm")), bytes)?;
    }
    let config = folder.join("worker.yaml");
    fs::write(&config, "plugin.compile.ms: 3000\nplugin.compile.memory: 1G\n")?;
    let plan = bed.plan()?.flag("--config", &config.display().to_string());
    let worker = plan.flag("--plugins", &format!("{good},{}", folder.display())).start()?;
    worker.ready().await?;
    for (name, _, said) in &cases {
        let refused = worker.logs().with("plugin refused").into_iter().filter(|line| {
            let file = line.field("file").map(ToString::to_string).unwrap_or_default();
            file.contains(&format!("/{name}.wasm"))
        });
        let refused: Vec<_> = refused.collect();
        let [line] = refused.as_slice() else { anyhow::bail!("{} lines about {name}.wasm", refused.len()) };
        let in_time = line.message().contains("could not be compiled within 3s");
        assert!(line.message().contains(said) || (*name == "bomb" && in_time), "{name}: {}", line.message());
    }
    bed.beat(&worker, "files that are refused").await?;
    worker.stop().await?;
    Ok(())
}
