//! What is wrong with files is told before anything runs: by `weir check` at once with every line, and by `weir run`,
//! which refuses that pipeline and runs the others.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use weir_tests::environment::{PLUGINS, directory, variable};
use weir_tests::worker::Plan;

use super::{Bed, told};

/// Most that a verb may take.
const VERB_MAX: Duration = Duration::from_secs(60);
/// The hint of what is wrong with files.
const HINT: &str = "Correct the file and run `weir check` on it.";

/// A file that is refused: its pipeline's name, what it adds to a file that is right, and what is told of it.
struct Case {
    file: &'static str,
    name: &'static str,
    adds: &'static str,
    lines: &'static [&'static str],
}

/// `DIR` stands for the pipelines' folder, `PLUGINS` for that of the plugins.
const CASES: [Case; 9] = [
    Case {
        file: "unknown-key",
        name: "unknown-key",
        adds: "task.max: 2\nerrors.tolerence: all\n",
        lines: &[
            "DIR/unknown-key.yaml:6: task.max: is no option; did you mean `tasks.max`?",
            "DIR/unknown-key.yaml:7: errors.tolerence: is no option; did you mean `errors.tolerance`?",
        ],
    },
    Case {
        file: "twin-a",
        name: "twin",
        adds: "",
        lines: &[
            "DIR/twin-a.yaml:1: name: `twin` is also the name of the pipeline in DIR/twin-b.yaml:1; give each pipeline a \
             name of its own",
        ],
    },
    Case {
        file: "twin-b",
        name: "twin",
        adds: "",
        lines: &[
            "DIR/twin-b.yaml:1: name: `twin` is also the name of the pipeline in DIR/twin-a.yaml:1; give each pipeline a \
             name of its own",
        ],
    },
    Case {
        file: "missing-plugin",
        name: "missing-plugin",
        adds: "transforms:\n- name: avg\n  type: ema\n",
        lines: &[
            "DIR/missing-plugin.yaml:8: transforms.avg.type: transform type ema is neither built in nor in PLUGINS, which \
             holds only sma (refused: PLUGINS/cut-1.0.0.wasm ends in the middle, after 1000 bytes: copy the whole file; \
             PLUGINS/module.wasm is a core WebAssembly module, not a component: build it with `weir plugin build`; \
             PLUGINS/notes.wasm is not WebAssembly: it begins with \"remember the mil\"; build it with `weir plugin \
             build`); put the plugin's .wasm into the directory given by --plugins, or correct `type`",
        ],
    },
    Case {
        file: "no-component",
        name: "no-component",
        adds: "transforms:\n- name: avg\n  type: module\n- name: memo\n  type: notes\n",
        lines: &[
            "DIR/no-component.yaml:8: transforms.avg.type: PLUGINS/module.wasm is a core WebAssembly module, not a \
             component: build it with `weir plugin build`",
            "DIR/no-component.yaml:10: transforms.memo.type: PLUGINS/notes.wasm is not WebAssembly: it begins with \
             \"remember the mil\"; build it with `weir plugin build`",
        ],
    },
    Case {
        file: "truncated-wasm",
        name: "truncated-wasm",
        adds: "transforms:\n- name: avg\n  type: cut\n",
        lines: &[
            "DIR/truncated-wasm.yaml:8: transforms.avg.type: PLUGINS/cut-1.0.0.wasm ends in the middle, after 1000 \
             bytes: copy the whole file",
        ],
    },
    Case {
        file: "window-0",
        name: "window-0",
        adds: "transforms:\n- name: avg\n  type: sma\n  value.field: v\n  window: 0\n",
        lines: &[
            "DIR/window-0.yaml:10: transforms.avg.window: takes a number of rows from 1 to 100000, or a duration such as \
             250ms, 5s, 5m, 1h or 1d, not `0`; `weir plugin inspect PLUGINS/sma-1.0.0.wasm` shows what it takes",
        ],
    },
    Case {
        file: "settings",
        name: "settings",
        adds: "transforms:\n- name: avg\n  type: sma\n  windwo: 3\n",
        lines: &[
            "DIR/settings.yaml:8: transforms.avg.value.field: is required and takes a text that is not empty; `weir \
             plugin inspect PLUGINS/sma-1.0.0.wasm` shows what it takes",
            "DIR/settings.yaml:8: transforms.avg.window: is required and takes a number of rows from 1 to 100000, or a \
             duration such as 250ms, 5s, 5m, 1h or 1d; `weir plugin inspect PLUGINS/sma-1.0.0.wasm` shows what it takes",
            "DIR/settings.yaml:9: transforms.avg.windwo: is unknown; the nearest one is `window`; `weir plugin inspect \
             PLUGINS/sma-1.0.0.wasm` shows what it takes",
        ],
    },
    Case {
        file: "version",
        name: "version",
        adds: "transforms:\n- name: avg\n  type: sma\n  plugin.version: \"[2.0,3.0)\"\n  value.field: v\n  window: 3\n",
        lines: &[
            "DIR/version.yaml:9: transforms.avg.plugin.version: plugin sma has no version within [2.0,3.0); found: 1.0.0; \
             widen the range, or put a version within it into the plugins' directory",
        ],
    },
];

fn yaml(case: &Case, topic: &str) -> String {
    let Case { name, adds, .. } = case;
    format!(
        "name: {name}\ntopics: {topic}\nvalue.converter: json\nvalue.converter.schemas.enable: false\n\
         connector.class: ConsoleSink\n{adds}"
    )
}

/// A folder with the plugin `sma` and three files that are none.
fn plugins() -> Result<PathBuf> {
    let (built, folder) = (PathBuf::from(variable(PLUGINS)?), directory("plugins")?);
    let sma = fs::read(built.join("sma-1.0.0.wasm")).context("the plugin sma is built")?;
    fs::write(folder.join("sma-1.0.0.wasm"), &sma)?;
    fs::write(folder.join("cut-1.0.0.wasm"), &sma[..1_000])?;
    fs::write(folder.join("module.wasm"), b"\0asm\x01\0\0\0")?;
    fs::write(folder.join("notes.wasm"), "remember the milk")?;
    Ok(folder)
}

/// A text with this machine's folders taken out.
fn placeless(text: &str, files: &Path, plugins: &Path) -> String {
    text.replace(&files.display().to_string(), "DIR").replace(&plugins.display().to_string(), "PLUGINS")
}

/// All that is told of the cases, in the order of their files.
fn expected() -> Vec<&'static str> {
    let mut cases: Vec<&Case> = CASES.iter().collect();
    cases.sort_by_key(|case| case.file);
    cases.iter().flat_map(|case| case.lines.iter().copied()).collect()
}

#[tokio::test]
async fn check_tells_every_mistake_with_its_line() -> Result<()> {
    let (files, plugins) = (directory("files")?, plugins()?);
    for case in &CASES {
        fs::write(files.join(format!("{}.yaml", case.file)), yaml(case, "t"))?;
    }
    let path = files.display().to_string();
    let verb = Plan::verb(&["check", &path, "--plugins", &plugins.display().to_string()])?;
    let ended = verb.finish(VERB_MAX).await?;
    let output = placeless(&ended.output.tail(100), &files, &plugins);
    assert_eq!(output.lines().collect::<Vec<_>>(), expected());
    assert_eq!(ended.status.code(), Some(64));
    assert_eq!(ended.logs.tail(10), "", "nothing else is said");

    // Without a directory of plugins the rest is checked, and that it is only the rest is said.
    let ended = Plan::verb(&["check", &files.join("window-0.yaml").display().to_string()])?.finish(VERB_MAX).await?;
    let note = "weir check: plugins and their settings were not checked, as there is no directory `plugins`: name theirs \
                by --plugins";
    assert_eq!((ended.status.code(), ended.logs.tail(10).as_str()), (Some(0), note));
    Ok(())
}

#[tokio::test]
async fn run_refuses_the_pipelines_of_bad_files_and_runs_the_others() -> Result<()> {
    let plugins = plugins()?;
    let mut bed = Bed::start("files").await?;
    let mut plan = bed.plan()?.flag("--plugins", &plugins.display().to_string());
    for case in &CASES {
        plan = plan.pipeline(case.file, &yaml(case, &bed.healthy_topic))?;
    }
    let files = plan.folder().join("pipelines");
    let worker = plan.start()?;
    worker.ready().await?;
    worker.tasks_are(&bed.healthy, "RUNNING").await?;
    for case in &CASES {
        let status = worker.status(case.name).await?;
        assert_eq!(status["connector"]["state"], "FAILED", "{}: {status}", case.file);
        assert_eq!(status["tasks"], serde_json::json!([]), "{}", case.file);
        // Of two files of one name, the first is shown.
        if case.file != "twin-b" {
            let trace = placeless(told(&status, "trace").context("a trace")?, &files, &plugins);
            assert_eq!(trace, format!("{}. {HINT}", case.lines.join("\n")), "{}", case.file);
        }
        let refused = worker.logs().with("pipeline refused").into_iter().filter(|line| line.level() == "ERROR");
        let told: Vec<String> = refused.map(|line| placeless(line.message(), &files, &plugins)).collect();
        for line in case.lines {
            assert!(told.contains(&format!("pipeline refused: {line}")), "{line} in {told:#?}");
        }
        bed.beat(&worker, case.file).await?;
    }
    assert_eq!(worker.stop().await?.status.code(), Some(0));

    // With nothing left to run, the mistakes are the worker's.
    fs::remove_file(plan.pipeline_file(&bed.healthy))?;
    let ended = plan.flag("--rest", "127.0.0.1:0").finish(VERB_MAX).await?;
    assert_eq!(ended.status.code(), Some(64));
    let plain: Vec<String> =
        ended.logs.lines().into_iter().filter(|line| line.json.is_null()).map(|l| l.text).collect();
    let plain = placeless(&plain.join("\n"), &files, &plugins);
    assert_eq!(plain, format!("weir run: {}\nhint: {HINT}", expected().join("\n")));
    Ok(())
}
