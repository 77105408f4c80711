//! Worker settings: where each comes from, and the exact sentence for each mistake in a worker file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use clap::Parser;

use super::super::testing::Table;
use super::*;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    worker: WorkerArgs,
}

fn args(flags: &[&str]) -> Result<WorkerArgs, String> {
    let flags = std::iter::once("weir").chain(flags.iter().copied());
    Cli::try_parse_from(flags).map(|cli| cli.worker).map_err(|error| error.to_string())
}

fn worker(flags: &[&str], file: &str) -> Result<Worker> {
    let sources = Table::new(&[("BROKERS", "c:3")], &[("w.yaml", file)]);
    let mut args = args(flags).unwrap();
    args.config = Some(PathBuf::from("w.yaml"));
    args.resolve(&sources)
}

#[test]
fn has_defaults() {
    let worker = WorkerArgs::default().resolve(&Table::default()).unwrap();
    let expected = Worker {
        bootstrap_servers: "localhost:9092".into(),
        pipelines: vec!["pipelines".into()],
        plugins: vec!["plugins".into()],
        state: None,
        rest: "127.0.0.1:8083".into(),
        metrics: None,
        memory_bytes: 512 << 20,
        compile_ms: 120_000,
        compile_bytes: 4 << 30,
        id: None,
    };
    assert_eq!(worker, expected);
}

#[test]
fn flags_go_before_the_file_and_the_file_before_the_defaults() {
    let file = "\
bootstrap.servers: ${env:BROKERS}
pipelines: [/p1, /p2]
plugin.path: /lib/a,/lib/b
state: /var/lib/weir
listeners: http://0.0.0.0:8080
metrics: 0.0.0.0:9404
memory: 1G
plugin.compile.ms: 5000
plugin.compile.memory: 512M
worker.id: w-1
";
    let from_file = Worker {
        bootstrap_servers: "c:3".into(),
        pipelines: vec!["/p1".into(), "/p2".into()],
        plugins: vec!["/lib/a".into(), "/lib/b".into()],
        state: Some("/var/lib/weir".into()),
        rest: "0.0.0.0:8080".into(),
        metrics: Some("0.0.0.0:9404".into()),
        memory_bytes: 1 << 30,
        compile_ms: 5_000,
        compile_bytes: 512 << 20,
        id: Some("w-1".into()),
    };
    assert_eq!(worker(&[], file).unwrap(), from_file);
    let flags = [
        "--bootstrap-servers=a:1,b:2",
        "--pipelines=x.yaml,y",
        "--plugins=p",
        "--state=s",
        "--rest=h:0",
        "--metrics=h:1",
        "--memory=256M",
        "--worker-id=w-2",
    ];
    let from_flags = Worker {
        bootstrap_servers: "a:1,b:2".into(),
        pipelines: vec!["x.yaml".into(), "y".into()],
        plugins: vec!["p".into()],
        state: Some("s".into()),
        rest: "h:0".into(),
        metrics: Some("h:1".into()),
        memory_bytes: 256 << 20,
        compile_ms: 5_000,
        compile_bytes: 512 << 20,
        id: Some("w-2".into()),
    };
    assert_eq!(worker(&flags, file).unwrap(), from_flags);
}

#[test]
fn says_what_is_wrong_with_a_worker_file() {
    let cases = [
        (
            "memory: 1T",
            "w.yaml:1: memory: takes an amount of at least 64M, in bytes or with K, M or G, not `1T`; for example `memory: 512M`",
        ),
        (
            "memory: 1M",
            "w.yaml:1: memory: takes an amount of at least 64M, in bytes or with K, M or G, not `1M`; for example `memory: 512M`",
        ),
        (
            "listeners: https://h:1",
            "w.yaml:1: listeners: takes HOST:PORT, not `https://h:1`; for example `listeners: 127.0.0.1:8083`",
        ),
        ("metrics: 9404", "w.yaml:1: metrics: takes HOST:PORT, not `9404`; for example `metrics: 0.0.0.0:9404`"),
        (
            "worker.id: a b",
            "w.yaml:1: worker.id: takes 1 to 100 letters, digits, `.`, `_` and `-`, not `a b`; for example `worker.id: worker-1`",
        ),
        ("plugin.paths: x", "w.yaml:1: plugin.paths: is no option of a worker; did you mean `plugin.path`?"),
        ("offset.flush.interval.ms: 1", "w.yaml:1: offset.flush.interval.ms: is no option of a worker; remove it"),
        ("state: ${env:NONE}", "w.yaml:1: state: the variable `NONE` is not set; set it where weir is started"),
        (
            "memory: 1\nmemory: 2\nstate: ''",
            "w.yaml:1: memory: takes an amount of at least 64M, in bytes or with K, M or G, not `1`; for example `memory: 512M`\n\
             w.yaml:2: memory: stands twice, on line 1 and on line 2; remove one of them\n\
             w.yaml:3: state: takes a text that is not blank, not ``; for example `state: /var/lib/weir`",
        ),
    ];
    for (file, expected) in cases {
        let error = worker(&[], file).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Config, expected), "{file}");
    }
}

#[test]
fn a_worker_file_that_is_not_there_is_an_error() {
    let args = WorkerArgs { config: Some(PathBuf::from("none.yaml")), ..WorkerArgs::default() };
    let error = args.resolve(&Table::default()).unwrap_err();
    assert_eq!(error.to_string(), "the worker file `none.yaml` cannot be read: entity not found");
}

#[test]
fn flags_take_what_the_file_takes() {
    for (flag, expected) in [
        ("--memory=lots", "takes an amount of at least 64M, in bytes or with K, M or G, not `lots`"),
        ("--rest=8083", "takes HOST:PORT, not `8083`"),
        ("--worker-id=a/b", "takes 1 to 100 letters, digits, `.`, `_` and `-`, not `a/b`"),
    ] {
        let told = args(&[flag]).unwrap_err();
        assert!(told.contains(expected), "{told}");
    }
}
