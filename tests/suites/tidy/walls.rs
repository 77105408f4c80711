//! The walls of the host: who may import whom, which crate is known to which room, what stays pure.

use super::source::{Source, closing, identifier, line, production, sources, words};

/// Rooms from the top down; a room may import from the rows below its own.
///
/// `record` is what all above it speak, so it lies below `state` and `config`; `metrics` counts errors by kind.
const FLOORS: [&[&str]; 11] = [
    &["main"],
    &["command"],
    &["app"],
    &["rest"],
    &["worker"],
    &["task"],
    &["kafka", "convert", "transform", "guest", "sink"],
    &["state", "config"],
    &["record"],
    &["metrics", "logging", "failpoint", "watch"],
    &["error", "limits", "clock"],
];

/// Doors between rooms of one floor: the file or folder, and the room it may see.
const DOORS: [(&str, &str); 2] = [("host/src/transform/", "guest"), ("host/src/sink/kafka", "kafka")];

/// Crates that one room alone knows.
const CRATES: [(&str, &str); 9] = [
    ("rdkafka", "kafka"),
    ("rdkafka_sys", "kafka"),
    ("wasmtime", "guest"),
    ("wasmparser", "guest"),
    ("wit_component", "guest"),
    ("notify", "watch"),
    ("tokio_postgres", "sink"),
    ("tokio_postgres_rustls", "sink"),
    ("axum", "rest"),
];

/// What computes and does nothing else: files, or folders with a `/` at the end.
const PURE: [&str; 26] = [
    "host/src/record/",
    "host/src/state/",
    "host/src/config/",
    "host/src/convert/",
    "host/src/error.rs",
    "host/src/limits.rs",
    "host/src/task/backoff.rs",
    "host/src/task/checkpoint.rs",
    "host/src/task/comparison.rs",
    "host/src/task/follower.rs",
    "host/src/task/line.rs",
    "host/src/task/member.rs",
    "host/src/task/machine.rs",
    "host/src/task/ledger.rs",
    "host/src/task/lane.rs",
    "host/src/task/lane/",
    "host/src/task/replay.rs",
    "host/src/task/silence.rs",
    "host/src/task/writer.rs",
    "host/src/transform/advance.rs",
    "host/src/transform/chain.rs",
    "host/src/worker/rulings.rs",
    "host/src/worker/swap.rs",
    "plugins/ohlc/src/",
    "plugins/sdk/src/",
    "plugins/sma/src/",
];

/// What a pure file does not know.
const EFFECTS: [&str; 8] = ["tokio", "async", "await", "Instant", "SystemTime", "thread", "TcpStream", "UdpSocket"];

fn host() -> Vec<Source> {
    let host: Vec<Source> =
        sources().into_iter().filter(|source| source.path.starts_with("host/src/") && !source.is_test).collect();
    assert!(host.len() > 20, "the host's sources are looked for in the wrong place");
    host
}

/// The room of a file of the host.
fn room(path: &str) -> &str {
    identifier(path.strip_prefix("host/src/").unwrap_or(path))
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Names that a file takes from the root of the crate, with their places: `crate::a`, `crate::{a, b}`, and
/// `super::a` where that climbs to the root; in `main.rs`, which is a crate of its own, `weir::a`.
fn imports(path: &str, code: &str) -> Vec<(usize, String)> {
    let root = if path == "host/src/main.rs" { "weir" } else { "crate" };
    let mut found = Vec::new();
    for at in words(code, root) {
        let rest = &code[at + root.len()..];
        if let Some(rest) = rest.strip_prefix("::") {
            found.extend(heads(rest).into_iter().map(|name| (at, name)));
        }
    }
    let depth =
        path.trim_start_matches("host/src/").trim_end_matches(".rs").trim_end_matches("/mod").matches('/').count() + 1;
    let climb = "super::".repeat(depth);
    for (at, _) in code.match_indices(&climb) {
        let begins = !code[..at].ends_with("::");
        let rest = &code[at + climb.len()..];
        if begins && !rest.starts_with("super::") {
            found.extend(heads(rest).into_iter().map(|name| (at, name)));
        }
    }
    found
}

/// The first names of a path or of a group of paths.
fn heads(code: &str) -> Vec<String> {
    if !code.starts_with('{') {
        return vec![identifier(code).to_owned()];
    }
    let group = &code[1..closing(code, 0) - 1];
    let mut depth = 0;
    let parts = group.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    parts.map(|part| identifier(part.trim_start()).to_owned()).filter(|name| !name.is_empty()).collect()
}

#[test]
fn imports_go_down_only() {
    let mut wrong = Vec::new();
    for source in host() {
        let here = room(&source.path);
        if here == "lib" {
            continue;
        }
        let Some(own) = floor(here) else {
            wrong.push(format!("{}: room {here} is on no floor", source.path));
            continue;
        };
        let code = production(&source);
        for (at, there) in imports(&source.path, &code) {
            let door = DOORS.iter().any(|(from, to)| source.path.starts_with(from) && there == *to);
            let down = floor(&there).is_some_and(|other| other > own);
            if there != here && !down && !door {
                wrong.push(format!("{}:{}: {here} must not see {there}", source.path, line(&code, at)));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the walls:\n{}", wrong.join("\n"));
}

#[test]
fn each_outside_crate_is_known_to_one_room() {
    let mut wrong = Vec::new();
    for source in host() {
        let code = production(&source);
        for (name, owner) in CRATES {
            if room(&source.path) != owner {
                wrong.extend(
                    words(&code, name)
                        .map(|at| format!("{}:{}: {name} belongs to {owner}", source.path, line(&code, at))),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "crates outside their rooms:\n{}", wrong.join("\n"));
}

#[test]
fn pure_files_have_no_effects() {
    let sources = sources();
    let mut wrong = Vec::new();
    for pure in PURE {
        let mut files = sources.iter().filter(|source| source.path.starts_with(pure) && !source.is_test).peekable();
        assert!(files.peek().is_some(), "{pure} is listed as pure and does not exist");
        for source in files {
            let code = production(source);
            let effects = EFFECTS.iter().flat_map(|effect| words(&code, effect).map(move |at| (at, effect)));
            wrong.extend(effects.map(|(at, effect)| format!("{}:{}: {effect}", source.path, line(&code, at))));
        }
    }
    assert!(wrong.is_empty(), "effects in pure files:\n{}", wrong.join("\n"));
}

#[test]
fn the_time_is_read_in_one_place() {
    let mut wrong = Vec::new();
    for source in host().into_iter().filter(|source| source.path != "host/src/clock.rs") {
        let code = production(&source);
        for way in ["Instant::now", "SystemTime::now"] {
            wrong.extend(words(&code, way).map(|at| format!("{}:{}: {way}", source.path, line(&code, at))));
        }
    }
    assert!(wrong.is_empty(), "clocks beside clock.rs:\n{}", wrong.join("\n"));
}

#[test]
fn imports_are_found_in_every_form() {
    let code = "use crate::task::Task; use crate::{error::{A, B}, limits}; fn f() { crate::sink::write() }";
    let names = |path, code| imports(path, code).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(names("host/src/kafka/mod.rs", code), ["task", "error", "limits", "sink"]);
    assert_eq!(names("host/src/kafka/bulk.rs", "use super::super::sink; use super::consumer;"), ["sink"]);
    assert_eq!(names("host/src/kafka/mod.rs", "use super::sink; mod x;"), ["sink"]);
    assert_eq!(names("host/src/main.rs", "fn main() { weir::command::run() }"), ["command"]);
}
