//! Plugins built as their authors build them, and the real average behind the real walls: the law of cuts,
//! checkpoint and restore at any row, and what the two verbs tell.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{BinaryArray, Float64Array, StringArray, TimestampMicrosecondArray};
use proptest::prelude::*;

use super::*;
use crate::guest::fixture::{Scratch, Spec, description};
use crate::guest::{Compiler, Engine, Guest, Limits, Plugin, RowOrigin, Setup};
use crate::metrics::Meters;
use crate::record::origin::{OwnedPayloads, OwnedRecord};
use crate::record::{Batch, Column, Decoded, Kind, Lane, Origin, Rows};
use crate::state::{Acceptance, Entries, Extent, Header};
use crate::transform::{Chain, PluginTransform};

/// A plugin of the repository, built once per run of the tests.
struct Built {
    file: PathBuf,
    report: String,
    plugin: Plugin,
}

fn built(cell: &'static OnceLock<Built>, name: &str) -> &'static Built {
    cell.get_or_init(|| {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut report = Vec::new();
        let file = build(&repository.join("plugins").join(name), None, &mut report).expect("the plugin builds");
        let compiler = Compiler::new(Engine::new().expect("the engine starts"), None, None);
        let plugin = Plugin::open(&compiler, &file).expect("the plugin loads");
        Built { file, report: String::from_utf8(report).expect("UTF-8"), plugin }
    })
}

fn sma() -> &'static Built {
    static SMA: OnceLock<Built> = OnceLock::new();
    built(&SMA, "sma")
}

fn identity() -> &'static Built {
    static IDENTITY: OnceLock<Built> = OnceLock::new();
    built(&IDENTITY, "identity")
}

fn setup(settings: &[(&str, &str)]) -> Setup {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Setup { alias: "avg".to_owned(), settings, limits: Limits::default(), meters: Arc::new(Meters::default()) }
}

#[test]
fn build_makes_one_file_named_by_id_and_version() {
    let sma = sma();
    assert!(sma.file.ends_with("plugins/sma-1.0.0.wasm"), "{}", sma.file.display());
    for part in ["plugin     sma 1.0.0\n", "sha256     ", "weir:plugin/output@0.1.0"] {
        assert!(sma.report.contains(part), "{}", sma.report);
    }
    assert!(!sma.report.contains("wasi"), "{}", sma.report);
    assert!(sma.plugin.size() < 512 << 10, "{} bytes", sma.plugin.size());
}

#[test]
fn inspect_shows_who_a_plugin_is_and_what_it_takes() {
    let mut shown = Vec::new();
    inspect::run(&sma().file, &mut shown).unwrap();
    let shown = String::from_utf8(shown).unwrap();
    for line in [
        "interface  weir:plugin 0.1.0",
        "plugin     sma 1.0.0",
        "state      version 1",
        "  window  string, required",
        "      takes a number of rows from 1 to 100000, or a duration such as 250ms, 5s, 5m, 1h or 1d",
        "  output.field  string, default sma",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "no line {line:?} in\n{shown}");
    }
    assert!(shown.contains(&format!("sha256     {}", sma().plugin.digest())));
}

/// A component of this description, put into a directory under this name.
fn placed(directory: &Path, file: &str, description: String, pages: u32) -> PathBuf {
    let path = directory.join(file);
    std::fs::write(&path, Spec { description, pages, ..Spec::default() }.component()).unwrap();
    path
}

/// A compiler without a child: this process is no weir.
fn fixture_compiler() -> Compiler {
    crate::guest::fixture::compiler().clone()
}

/// What a verb wrote, as lines.
fn lines(written: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Vec<String> {
    let mut shown = Vec::new();
    written(&mut shown).unwrap();
    String::from_utf8(shown).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn ls_shows_what_the_directories_hold_and_what_is_refused() {
    let scratch = Scratch::new("ls");
    let at = scratch.path();
    std::fs::copy(&sma().file, at.join("z.wasm")).unwrap();
    let old = placed(at, "old.wasm", description("avg", "1.10.0"), 4);
    let new = placed(at, "new.wasm", description("avg", "1.10.0"), 9);
    placed(at, "older.wasm", description("avg", "1.9.0"), 4);
    for (file, seconds) in [(&old, 1), (&new, 2)] {
        let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        std::fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
    }
    std::fs::write(at.join("bad.wasm"), b"not wasm").unwrap();
    let shown = lines(|out| ls::run(&[at.to_owned()], fixture_compiler(), out));
    let words = |line: &String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&shown[0]), ["ID", "VERSION", "DIGEST", "STATE", "INTERFACE", "SIZE", "FILE"]);
    let ids: Vec<String> = shown[1..5].iter().map(|line| words(line)[..2].join(" ")).collect();
    assert_eq!(ids, ["avg 1.9.0", "avg 1.10.0", "avg 1.10.0", "sma 1.0.0"]);
    assert!(shown[2].ends_with(&format!("{} (replaced by the next)", old.display())), "{}", shown[2]);
    assert!(shown[3].ends_with(&new.display().to_string()), "{}", shown[3]);
    let sma = [sma().plugin.digest().short(), "version 1  0.1.0".to_owned(), "KiB".to_owned()];
    assert!(sma.iter().all(|part| shown[4].contains(part)), "{}", shown[4]);
    assert!(shown[5].starts_with("refused: ") && shown[5].contains("bad.wasm is not WebAssembly"), "{}", shown[5]);
    assert_eq!(shown.len(), 6);
    let empty = Scratch::new("ls");
    let shown = lines(|out| ls::run(&[empty.path().to_owned()], fixture_compiler(), out));
    assert_eq!(shown, [format!("no plugin in {}", empty.path().display())]);
}

/// A description with these settings and this state, as JSON.
fn described(version: &str, settings: &str, memory: &str) -> String {
    format!(
        r#"{{"id":"avg","version":"{version}","doc":"d","settings":[{settings}],"state":null,
        "limits":{{"memory_bytes":{memory},"call_ms":null}}}}"#
    )
}

fn setting(name: &str, default: &str, takes: &str) -> String {
    format!(
        r#"{{"name":"{name}","type":"INT","required":false,"default_value":{default},"importance":"HIGH",
        "documentation":"What it does.","group":null,"width":"SHORT","display_name":"{name}","dependents":[],"order":1,
        "validator":{takes}}}"#
    )
}

#[test]
fn diff_shows_identity_limits_and_settings() {
    let scratch = Scratch::new("diff");
    let before = [setting("window", "\"5\"", "null"), setting("gone", "null", "null"), setting("same", "null", "null")];
    let after =
        [setting("window", "\"7\"", "\"1 to 9\""), setting("same", "null", "null"), setting("more", "\"1\"", "null")];
    let old = placed(scratch.path(), "old.wasm", described("1.0.0", &before.join(","), "null"), 4);
    let new = placed(scratch.path(), "new.wasm", described("1.1.0", &after.join(","), "2097152"), 4);
    let shown = lines(|out| diff::run(&old, &new, &fixture_compiler(), out));
    let digests = [&old, &new].map(|file| crate::guest::Digest::of(&std::fs::read(file).unwrap()).to_string());
    let sizes = [&old, &new].map(|file| crate::command::display::size(std::fs::read(file).unwrap().len()));
    let size = if sizes[0] == sizes[1] { format!("{} (the same)", sizes[0]) } else { sizes.join(" -> ") };
    let expected = [
        "plugin     avg 1.0.0 -> avg 1.1.0".to_owned(),
        format!("sha256     {}", digests.join(" -> ")),
        format!("size       {size}"),
        "interface  0.1.0 (the same)".to_owned(),
        "state      none (the same)".to_owned(),
        "limits     none -> memory 2.0 MiB".to_owned(),
        "imports    the same".to_owned(),
        "settings".to_owned(),
        "  ~ window  int, default 5 -> int, default 7; takes any value -> 1 to 9".to_owned(),
        "  + more  int, default 1".to_owned(),
        "  - gone  int, optional".to_owned(),
        "takeover   neither keeps state".to_owned(),
    ];
    assert_eq!(shown, expected);
    let same = lines(|out| diff::run(&old, &old, &fixture_compiler(), out));
    assert_eq!(same, [format!("the same plugin: avg 1.0.0, sha256 {}", digests[0])]);
}

#[test]
fn diff_tells_whether_state_is_taken_over() {
    let manifest = |id: &str, state: &str| {
        let text = format!(
            r#"{{"id":"{id}","version":"1.0.0","doc":"","settings":[],"state":{state},"limits":{{"memory_bytes":null,"call_ms":null}}}}"#
        );
        crate::guest::Manifest::parse(&text).unwrap()
    };
    let state = |version: u32, converts: &[u32]| format!(r#"{{"version":{version},"converts":{converts:?}}}"#);
    let cases = [
        ("b", "null".to_owned(), "b is another plugin: it takes no state of a"),
        ("a", "null".to_owned(), "the new one keeps no state: the old one's is dropped"),
        ("a", state(2, &[]), "state of version 2 is taken as it is"),
        ("a", state(3, &[1, 2]), "state of version 2 is converted to 3"),
        ("a", state(3, &[1]), "state of version 2 is refused: the new one reads 3 and is rebuilt from the log"),
    ];
    for (id, new, expected) in cases {
        assert_eq!(diff::takeover(&manifest("a", &state(2, &[])), &manifest(id, &new)), expected);
    }
    let from_none = diff::takeover(&manifest("a", "null"), &manifest("a", &state(1, &[])));
    assert_eq!(from_none, "the old one kept no state: the new one's begins empty and is rebuilt from the log");
}

#[test]
fn what_cannot_be_built_or_inspected_is_told_in_one_sentence() {
    let nowhere = Path::new("/nonexistent/plugin");
    let error = build(nowhere, None, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "/nonexistent/plugin holds no Cargo.toml: give the directory of a plugin's crate");
    // The SDK is a library, but no cdylib.
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/sdk");
    let error = build(&sdk, None, &mut Vec::new()).unwrap_err();
    assert!(
        error.to_string().ends_with("gives no WebAssembly: its Cargo.toml needs `[lib] crate-type = [\"cdylib\"]`"),
        "{error}"
    );
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let error = inspect::run(&text, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("is not WebAssembly: it begins with \"[package]"), "{error}");
}

#[test]
fn settings_that_a_plugin_refuses_name_the_key_and_what_it_takes() {
    let refused = Guest::new(&sma().plugin, &setup(&[("value.field", "price"), ("window", "0")])).unwrap_err();
    assert_eq!(refused.kind(), crate::error::Kind::PluginFailure);
    let text = refused.to_string();
    assert!(text.starts_with("transforms.avg: plugin sma 1.0.0 refuses its settings (code "), "{text}");
    assert!(text.contains("window") && text.contains("a number of rows from 1 to 100000"), "{text}");
    assert!(!text.ends_with('.'), "{text}");
}

#[test]
fn a_plugin_without_inputs_passes_rows_on() {
    let mut guest = Guest::new(&identity().plugin, &setup(&[])).unwrap();
    let processed = guest.process(5, &[]).unwrap();
    assert_eq!((processed.origin, processed.columns.len()), (RowOrigin::Identity, 0));
    let setup = setup(&[("from", "a"), ("to", "b")]);
    let mut renaming = Chain::new(vec![Box::new(PluginTransform::new(&identity().plugin, &setup).unwrap())]);
    let texts = Column::of(Kind::Text, Arc::new(StringArray::from(vec![Some("x"), None])));
    let decoded = Decoded { columns: vec![("a".into(), texts)], ..Decoded::default() };
    let outcome = renaming.run(Batch::new(records(2, 0), decoded, Rows::All(2)), &[]).unwrap();
    let field = |path: &str| outcome.batch.pull(&path.into(), Kind::Text).unwrap().into_owned();
    assert_eq!(field("b").array.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("x"), None]);
    assert!(field("a").is_absent(0) && field("a").is_absent(1), "the old name is gone");
}

/// Records from this offset on, each with an empty object as its value.
fn records(rows: usize, first: usize) -> Arc<Origin> {
    let record = OwnedRecord { value: Some(b"{}".to_vec()), ..OwnedRecord::default() };
    let offsets: Vec<i64> = (0..rows as i64).map(|row| first as i64 + row).collect();
    let next = (first + rows) as i64;
    let payloads = Arc::new(OwnedPayloads { records: vec![record; rows] });
    Arc::new(Origin::new(Lane::new("ticks", 0), offsets, vec![0; rows], next, 0, payloads))
}

/// One tick: key, event time in ms, price.
type Tick = (Option<u8>, i64, Option<f64>);

fn any_ticks() -> impl Strategy<Value = Vec<Tick>> {
    let price = prop_oneof![
        6 => (-1000i32..1000).prop_map(|n| Some(f64::from(n) / 64.0)),
        1 => any::<f64>().prop_map(Some),
        1 => Just(Some(f64::NAN)),
        1 => Just(None),
    ];
    prop::collection::vec((prop::option::weighted(0.9, 0u8..4), 0i64..400, price), 1..160)
}

/// The settings of one of several averages.
fn averages(which: usize) -> Setup {
    let common = [("value.field", "price"), ("count.field", "n"), ("sum.field", "sum")];
    let own: &[(&str, &str)] = [
        [("window", "5"), ("emit", "every")].as_slice(),
        [("window", "3"), ("emit", "ready"), ("min.periods", "2")].as_slice(),
        [("window", "100ms"), ("lateness", "50ms")].as_slice(),
        [("window", "50ms"), ("key.ttl", "120ms"), ("emit", "ready")].as_slice(),
    ][which];
    setup(&[common.as_slice(), own].concat())
}

fn batch(ticks: &[Tick], first: usize) -> Batch {
    let prices: Float64Array = ticks.iter().map(|(_, _, price)| *price).collect();
    let keys: StringArray = ticks.iter().map(|(key, _, _)| key.map(|key| format!("S{key}"))).collect();
    let times: TimestampMicrosecondArray = ticks.iter().map(|(_, time, _)| Some(time * 1000)).collect();
    let columns = vec![
        ("price".into(), Column::of(Kind::Float64, Arc::new(prices))),
        ("$key".into(), Column::of(Kind::Text, Arc::new(keys))),
        ("$timestamp".into(), Column::of(Kind::Timestamp, Arc::new(times.with_timezone("UTC")))),
    ];
    Batch::new(records(ticks.len(), first), Decoded { columns, ..Decoded::default() }, Rows::All(ticks.len()))
}

fn chain(setup: &Setup) -> Chain {
    Chain::new(vec![Box::new(PluginTransform::new(&sma().plugin, setup).unwrap())])
}

/// A row as bits: offset, mean, count, sum.
type RowBits = (i64, Option<u64>, Option<i64>, Option<u64>);

fn rows(batch: &Batch) -> Vec<RowBits> {
    let float = |path: &str| {
        let column = batch.pull(&path.into(), Kind::Float64).unwrap();
        column.array.as_primitive::<Float64Type>().iter().map(|v| v.map(f64::to_bits)).collect::<Vec<_>>()
    };
    let counts = batch.pull(&"n".into(), Kind::Int64).unwrap();
    let counts = counts.array.as_primitive::<Int64Type>();
    let (means, sums) = (float("sma"), float("sum"));
    let offset = |row: usize| batch.origin.offsets[batch.rows.origin(row)];
    (0..batch.len()).map(|row| (offset(row), means[row], Some(counts.value(row)), sums[row])).collect()
}

/// The edges of pieces: 0, the cuts below `rows` in order, `rows`.
fn edges(cuts: &[usize], rows: usize) -> Vec<usize> {
    let mut edges: Vec<usize> = cuts.iter().map(|cut| cut % rows).chain([0, rows]).collect();
    edges.sort_unstable();
    edges
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    /// The law of cuts for the real component through the whole stage.
    #[test]
    fn the_average_does_not_depend_on_cuts(which in 0usize..4, ticks in any_ticks(), cuts in prop::collection::vec(0usize..160, 0..6)) {
        let setup = averages(which);
        let whole = rows(&chain(&setup).run(batch(&ticks, 0), &[]).unwrap().batch);
        let (mut cut_chain, mut cut) = (chain(&setup), Vec::new());
        for edge in edges(&cuts, ticks.len()).windows(2) {
            let outcome = cut_chain.run(batch(&ticks[edge[0]..edge[1]], edge[0]), &[]).unwrap();
            cut.extend(rows(&outcome.batch));
        }
        prop_assert_eq!(cut, whole);
    }

    /// A guest that is rebuilt from checkpoints at random rows goes on bit for bit, and its own full
    /// checkpoint at the end is that of a guest that was never rebuilt.
    #[test]
    fn checkpoints_carry_the_whole_state(
        which in 0usize..4,
        ticks in any_ticks(),
        cuts in prop::collection::vec(0usize..160, 1..5),
        bytes_max in 1u32..4000,
    ) {
        let setup = averages(which);
        let mut untouched = Guest::new(&sma().plugin, &setup).unwrap();
        let mut rebuilt = Guest::new(&sma().plugin, &setup).unwrap();
        let mut stored = Stored::default();
        for edge in edges(&cuts, ticks.len()).windows(2).filter(|edge| edge[0] < edge[1]) {
            let columns = inputs(&untouched, &ticks[edge[0]..edge[1]]);
            let expected = untouched.process(edge[1] - edge[0], &columns).unwrap();
            let found = rebuilt.process(edge[1] - edge[0], &columns).unwrap();
            prop_assert_eq!(&found.origin, &expected.origin);
            prop_assert_eq!(bits(&found.columns), bits(&expected.columns));
            let header = stored.checkpoint(&mut rebuilt, bytes_max);
            rebuilt = stored.restore(&header, &setup);
        }
        let (mut all, mut all_rebuilt) = (Stored::default(), Stored::default());
        let headers = (all.checkpoint(&mut untouched, bytes_max), all_rebuilt.checkpoint(&mut rebuilt, bytes_max));
        prop_assert_eq!(headers.0, headers.1);
        prop_assert_eq!(all.entries, all_rebuilt.entries);
    }
}

/// The columns that a guest wants of these ticks.
fn inputs(guest: &Guest, ticks: &[Tick]) -> Vec<Column> {
    let batch = batch(ticks, 0);
    let pull = |want: &crate::record::Want| batch.pull(&want.path, want.kind).unwrap().into_owned();
    guest.plan().inputs.iter().map(pull).collect()
}

fn bits(columns: &[Column]) -> Vec<Vec<Option<u64>>> {
    let cells = |column: &Column| match column.kind {
        Kind::Float64 => column.array.as_primitive::<Float64Type>().iter().map(|v| v.map(f64::to_bits)).collect(),
        _ => column.array.as_primitive::<Int64Type>().iter().map(|v| v.map(i64::cast_unsigned)).collect(),
    };
    columns.iter().map(cells).collect()
}

/// What a store of checkpoints keeps: the entries by table and key, one checkpoint laid over the others.
#[derive(Default)]
struct Stored {
    entries: BTreeMap<(u16, Vec<u8>), Vec<u8>>,
    taken: usize,
}

impl Stored {
    /// Takes the next checkpoint: the first one and every third full, the others incremental.
    fn checkpoint(&mut self, guest: &mut Guest, bytes_max: u32) -> Header {
        let extent = if self.taken.is_multiple_of(3) { Extent::Full } else { Extent::Incremental };
        self.taken += 1;
        if extent == Extent::Full {
            self.entries.clear();
        }
        let header = guest.begin_checkpoint(extent).unwrap();
        loop {
            let (pieces, more) = guest.next_entries(bytes_max).unwrap();
            for piece in pieces {
                self.lay_over(&piece);
            }
            if !more {
                break;
            }
        }
        guest.end_checkpoint(true).unwrap();
        header
    }

    fn lay_over(&mut self, piece: &Entries) {
        for row in 0..piece.len() {
            let key = (piece.space, piece.keys.value(row).to_vec());
            if piece.deleted.value(row) {
                self.entries.remove(&key);
            } else {
                self.entries.insert(key, piece.values.value(row).to_vec());
            }
        }
    }

    /// A new guest with this state.
    fn restore(&self, header: &Header, setup: &Setup) -> Guest {
        let mut guest = Guest::new(&sma().plugin, setup).unwrap();
        assert_eq!(guest.begin_restore(header).unwrap(), Acceptance::Accept);
        // Last entry first: any order is legal.
        for ((space, key), value) in self.entries.iter().rev() {
            let one = |bytes: &Vec<u8>| BinaryArray::from_iter_values([bytes]);
            let deleted = [false].into_iter().collect();
            guest.put_entries(&Entries { space: *space, keys: one(key), values: one(value), deleted }).unwrap();
        }
        assert_eq!(guest.end_restore().unwrap(), self.entries.len() as u64);
        guest
    }
}

#[test]
fn a_checkpoint_shows_the_moment_it_began_though_rows_are_processed_meanwhile() {
    let setup = averages(0);
    let mut guest = Guest::new(&sma().plugin, &setup).unwrap();
    let ticks: Vec<Tick> = (0..2000).map(|i| (Some((i % 40) as u8), i, Some(i as f64))).collect();
    let process = |guest: &mut Guest, ticks: &[Tick]| {
        let columns = inputs(guest, ticks);
        guest.process(ticks.len(), &columns).unwrap()
    };
    process(&mut guest, &ticks[..1000]);
    let mut at_once = Stored::default();
    at_once.checkpoint(&mut guest, u32::MAX);
    let mut meanwhile = Stored::default();
    guest.begin_checkpoint(Extent::Full).unwrap();
    for chunk in ticks[1000..].chunks(10) {
        let (pieces, more) = guest.next_entries(64).unwrap();
        for piece in &pieces {
            meanwhile.lay_over(piece);
        }
        process(&mut guest, chunk);
        if !more {
            break;
        }
    }
    guest.end_checkpoint(false).unwrap();
    assert_eq!(meanwhile.entries, at_once.entries);
    assert!(guest.stats().unwrap().contains(&("keys".to_owned(), 40)));
}

#[test]
fn state_of_other_settings_or_layouts_is_rejected_with_the_reason() {
    let header = Header {
        plugin: "sma".to_owned(),
        version: "1.0.0".to_owned(),
        state_version: 1,
        settings: vec![("value.field".to_owned(), "price".to_owned()), ("window".to_owned(), "7".to_owned())],
    };
    let fresh = || Guest::new(&sma().plugin, &averages(0)).unwrap();
    let rejected = |header: &Header| match fresh().begin_restore(header).unwrap() {
        Acceptance::Reject(why) => why,
        other => format!("{other:?}"),
    };
    assert!(rejected(&header).contains("`window` 7"), "{}", rejected(&header));
    let newer = Header { state_version: 9, ..header };
    assert!(rejected(&newer).contains("State version 9"), "{}", rejected(&newer));
}

#[test]
fn too_many_keys_fail_the_guest_with_its_own_sentence() {
    let setup = setup(&[("value.field", "price"), ("window", "2"), ("keys.max", "2")]);
    let ticks: Vec<Tick> = (0..3).map(|i| (Some(i), 0, Some(1.0))).collect();
    let failure = chain(&setup).run(batch(&ticks, 40), &[]).unwrap_err();
    assert_eq!(failure.error.kind(), crate::error::Kind::PluginFailure);
    let text = failure.to_string();
    assert!(
        text.starts_with(
            "transforms.avg of ticks-0, offsets 40 to 42: plugin sma 1.0.0 failed in process (code 1): A new key"
        ),
        "{text}"
    );
}
