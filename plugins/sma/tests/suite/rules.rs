//! Settings and their sentences, plans, limits, late rows, forgetting, and which state goes on.

use sma::{CODE_KEYS, Sma};
use weir_plugin_sdk::guest::Guest;
use weir_plugin_sdk::state::{Acceptance, Extent, Header};
use weir_plugin_sdk::testkit::{Datum, Kit, Record};
use weir_plugin_sdk::{Carry, Kind, metric, record};

/// What an operator writes.
type Given<'a> = &'a [(&'a str, &'a str)];

fn kit(settings: &[(&str, &str)]) -> Kit<Sma> {
    let settings: Vec<_> = [("value.field", "x")].into_iter().chain(settings.iter().copied()).collect();
    Kit::new(&settings).unwrap()
}

fn x(key: &str, time_us: i64, value: f64) -> Record {
    record! { "$key": key, "$timestamp": time_us, "x": value }
}

#[test]
fn settings_that_cannot_be_are_refused_in_a_sentence() {
    let window =
        "Setting `window` takes a number of rows from 1 to 100000, or a duration such as 250ms, 5s, 5m, 1h or 1d, not";
    let cases: &[(&[(&str, &str)], String)] = &[
        (&[], "Setting `window` is required and takes a number of rows from 1 to 100000, or a duration such as 250ms, 5s, 5m, 1h or 1d.".to_owned()),
        (&[("window", "0")], format!("{window} `0`.")),
        (&[("window", "100001")], format!("{window} `100001`.")),
        (&[("window", "-5")], format!("{window} `-5`.")),
        (&[("window", "0s")], format!("{window} `0s`.")),
        (&[("window", "5 m")], format!("{window} `5 m`.")),
        (&[("window", "5"), ("min.periods", "0")], "Setting `min.periods` takes a whole number of at least 1, not `0`.".to_owned()),
        (&[("window", "5"), ("min.periods", "6")], "Setting `min.periods` takes a whole number from 1 to 5, the rows of the window, not `6`.".to_owned()),
        (&[("window", "5"), ("lateness", "1s")], "Setting `lateness` takes 0 beside a window of rows, which follows the order of arrival, not `1s`.".to_owned()),
        (&[("window", "5s"), ("lateness", "1")], "Setting `lateness` takes 0, or a duration such as 250ms, 5s, 5m, 1h or 1d, not `1`.".to_owned()),
        (&[("window", "5"), ("keys.max", "0")], "Setting `keys.max` takes a whole number from 1 to 16777215, not `0`.".to_owned()),
        (&[("window", "5"), ("key.ttl", "1")], "Setting `key.ttl` takes a duration such as 250ms, 5s, 5m, 1h or 1d, not `1`.".to_owned()),
        (&[("window", "5"), ("emit", "all")], "Setting `emit` takes one of every, ready, not `all`.".to_owned()),
        (&[("window", "5"), ("count.field", "sma")], "Settings `output.field`, `count.field` and `sum.field` need different fields, not `sma` twice.".to_owned()),
        (&[("window", "5"), ("windows", "5")], "Setting `windows` is unknown; the nearest one is `window`.".to_owned()),
    ];
    for (settings, sentence) in cases {
        let settings: Vec<_> = [("value.field", "x")].into_iter().chain(settings.iter().copied()).collect();
        assert_eq!(&Kit::<Sma>::new(&settings).unwrap_err().message, sentence);
    }
    let failure = Kit::<Sma>::new(&[("window", "5")]).unwrap_err();
    assert!(failure.message.starts_with("Setting `value.field` is required"), "{failure}");
}

#[test]
fn a_plan_asks_for_no_more_than_it_needs() {
    let paths = |settings: &[(&str, &str)]| {
        let mut kit = kit(settings);
        let plan = kit.guest().plan().unwrap().clone();
        assert_eq!(plan.carried(), &Carry::All);
        let inputs: Vec<_> = (0..)
            .zip(plan.inputs())
            .map(|(position, field)| (field.path.clone(), field.kind, plan.is_required(position)))
            .collect();
        let outputs: Vec<_> = plan.outputs().iter().map(|field| (field.path.clone(), field.kind)).collect();
        (inputs, outputs, plan.event_time_source().map(|source| (source.path.clone(), source.lateness_us)))
    };
    let input = |path: &str, kind, required| (path.to_owned(), kind, required);
    let output = |path: &str, kind| (path.to_owned(), kind);
    let value_and_key = vec![input("x", Kind::Float64, false), input("$key", Kind::Text, false)];
    assert_eq!(paths(&[("window", "50")]), (value_and_key.clone(), vec![output("sma", Kind::Float64)], None));
    let (inputs, _, source) = paths(&[("window", "50"), ("key.ttl", "1d")]);
    assert_eq!(
        (inputs[2].clone(), source),
        (input("$timestamp", Kind::Timestamp, false), Some(("$timestamp".to_owned(), 0)))
    );
    let settings = [
        ("window", "5m"),
        ("time.field", "at"),
        ("lateness", "2s"),
        ("key.field", "id"),
        ("output.field", "mean"),
        ("sum.field", "sum"),
        ("count.field", "n"),
    ];
    let (inputs, outputs, source) = paths(&settings);
    assert_eq!(
        inputs,
        [input("x", Kind::Float64, false), input("id", Kind::Text, false), input("at", Kind::Timestamp, true)]
    );
    assert_eq!(outputs, [output("mean", Kind::Float64), output("n", Kind::Int64), output("sum", Kind::Float64)]);
    assert_eq!(source, Some(("at".to_owned(), 2_000_000)));
}

#[test]
fn nulls_hold_a_slot_and_are_no_observation() {
    let mut kit = kit(&[("window", "3"), ("min.periods", "1"), ("count.field", "n"), ("sum.field", "sum")]);
    let rows = [record! { "x": 1.0 }, record! { "x": Datum::Null }, record! {}, record! {}, record! { "x": 7 }];
    let expected = [
        record! { "sma": 1.0, "n": 1, "sum": 1.0 },
        record! { "sma": 1.0, "n": 1, "sum": 1.0 },
        record! { "sma": 1.0, "n": 1, "sum": 1.0 },
        record! { "sma": Datum::Null, "n": 0, "sum": Datum::Null },
        record! { "sma": 7.0, "n": 1, "sum": 7.0 },
    ];
    assert_eq!(kit.process(&rows).unwrap().rows, expected);
}

#[test]
fn rows_without_a_key_share_one_window_and_an_empty_key_is_a_key() {
    let mut kit = kit(&[("window", "2"), ("min.periods", "1"), ("key.field", "id")]);
    let rows = [
        record! { "x": 1.0 },
        record! { "x": 5.0, "id": "" },
        record! { "x": 2.0, "id": Datum::Null },
        record! { "x": 6.0, "id": "" },
    ];
    let means: Vec<Datum> = kit.process(&rows).unwrap().rows.iter().map(|row| row.get("sma").clone()).collect();
    assert_eq!(means, [1.0, 5.0, 1.5, 5.5].map(Datum::from));
}

#[test]
fn emit_ready_drops_rows_without_a_mean() {
    let mut kit = kit(&[("window", "2"), ("emit", "ready")]);
    let rows: Vec<Record> = [("a", 1.0), ("b", 2.0), ("a", 3.0), ("b", f64::NAN)]
        .into_iter()
        .map(|(key, value)| x(key, 0, value))
        .collect();
    let outcome = kit.process(&rows).unwrap();
    assert_eq!(outcome.origins, [2, 3]);
    assert_eq!(outcome.rows, [record! { "sma": 2.0 }, record! { "sma": f64::NAN }]);
}

/// Window 10 s, lateness 20 s: late rows see their own interval, and later rows see them.
#[test]
fn late_rows_take_their_place_in_time() {
    let mut kit = kit(&[("window", "10s"), ("lateness", "20s"), ("count.field", "n")]);
    let second = 1_000_000;
    let rows = [
        (100, 1.0),
        (105, 2.0),
        (112, 4.0),
        (103, 8.0),
        (130, 16.0),
        (111, 32.0),
        (110, 64.0),
        (109, 128.0),
        (131, 256.0),
    ];
    let records: Vec<Record> = rows.iter().map(|(time, value)| x("a", time * second, *value)).collect();
    let found: Vec<(Datum, Datum)> =
        kit.process(&records).unwrap().rows.iter().map(|row| (row.get("sma").clone(), row.get("n").clone())).collect();
    let mean = |sum: f64, count: i64| (Datum::from(sum / count as f64), Datum::from(count));
    let too_late = (Datum::Null, Datum::Null);
    let expected = [
        mean(1.0, 1),
        mean(3.0, 2),
        mean(6.0, 2),  // (102, 112]: 105 and 112
        mean(9.0, 2),  // (93, 103]: 100 and itself
        mean(16.0, 1), // (120, 130]
        mean(42.0, 3), // (101, 111]: 103, 105, itself
        mean(74.0, 3), // (100, 110]: 103, 105, itself; 111 is later
        too_late,      // 21 s older than 130
        mean(272.0, 2),
    ];
    assert_eq!(found, expected);
    assert_eq!(metric::value("late_rows_total"), Some(1.0));
}

#[test]
fn a_row_without_time_has_no_place_in_a_window_of_time() {
    let mut kit = kit(&[("window", "10s"), ("time.field", "at")]);
    let outcome = kit.process(&[record! { "x": 1.0 }, record! { "x": 2.0, "at": 5 }]).unwrap();
    assert_eq!((outcome.origins, outcome.rejected.len()), (vec![1], 1));
}

#[test]
fn one_key_too_many_is_a_failure_that_names_the_limit() {
    let attempt = |settings: &[(&str, &str)]| {
        let mut kit = kit(&[&[("window", "2"), ("keys.max", "2")], settings].concat());
        kit.process(&[x("a", 0, 1.0), x("b", 5_000_000, 1.0)]).unwrap();
        kit.process(&[x("c", 5_000_001, 1.0)])
    };
    let failure = attempt(&[]).unwrap_err();
    assert_eq!((failure.code, failure.retryable), (CODE_KEYS, false));
    assert_eq!(
        failure.message,
        "A new key in `$key` is one more than the 2 that `keys.max` allows: raise it, or set `key.ttl` so that keys out of use are forgotten."
    );
    assert!(attempt(&[("key.ttl", "10s")]).unwrap_err().message.ends_with("raise it or lower `key.ttl`."));
    assert!(attempt(&[("key.ttl", "5s")]).is_ok(), "a was not seen for longer than 5 s");
}

#[test]
fn a_key_is_forgotten_by_event_time_and_idle_advance() {
    for window in ["3", "1h"] {
        let mut kit = kit(&[("window", window), ("min.periods", "1"), ("key.ttl", "1s")]);
        let means = |kit: &mut Kit<Sma>, rows: &[Record]| -> Vec<Datum> {
            kit.process(rows).unwrap().rows.iter().map(|row| row.get("sma").clone()).collect()
        };
        let second = 1_000_000;
        let rows = [x("a", 0, 1.0), x("b", second, 4.0), x("a", second, 3.0), x("b", 2 * second + 1, 8.0)];
        assert_eq!(means(&mut kit, &rows), [1.0, 4.0, 2.0, 8.0].map(Datum::from), "b was forgotten, a was not");
        let keys = |kit: &mut Kit<Sma>| kit.guest().stats().into_iter().find(|(name, _)| name == "keys").unwrap().1;
        assert_eq!(keys(&mut kit), 2);
        assert!(kit.advance(10 * second).unwrap().rows.is_empty());
        assert_eq!(keys(&mut kit), 0);
    }
}

/// The header that a guest writes under these settings.
fn header(settings: &[(&str, &str)]) -> Header {
    kit(settings).guest().begin_checkpoint(Extent::Full).unwrap()
}

#[test]
fn state_goes_on_where_its_windows_stay_the_same() {
    let accept =
        |written: &[(&str, &str)], now: &[(&str, &str)]| kit(now).guest().begin_restore(&header(written)).unwrap();
    let accepted: [(Given, Given); 5] = [
        (&[("window", "300s")], &[("window", "5m")]),
        (&[("window", "50"), ("key.field", "$key")], &[("window", "50"), ("time.field", "at")]),
        (
            &[("window", "50"), ("keys.max", "10")],
            &[("window", "50"), ("keys.max", "20"), ("min.periods", "3"), ("key.ttl", "1d")],
        ),
        (&[("window", "5m"), ("lateness", "2s")], &[("window", "5m"), ("lateness", "1s")]),
        (&[("window", "5m"), ("output.field", "a")], &[("window", "5m"), ("output.field", "b"), ("emit", "ready")]),
    ];
    for (written, now) in accepted {
        assert_eq!(accept(written, now), Acceptance::Accept, "{written:?} to {now:?}");
    }
    let rejected: [(Given, Given, &str); 4] = [
        (&[("window", "50")], &[("window", "51")], "`window` 50"),
        (&[("window", "50"), ("key.field", "id")], &[("window", "50")], "`key.field` id"),
        (&[("window", "5m")], &[("window", "5m"), ("time.field", "at")], "`time.field` $timestamp"),
        (&[("window", "5m"), ("lateness", "1s")], &[("window", "5m"), ("lateness", "2s")], "`lateness` 1s"),
    ];
    for (written, now, named) in rejected {
        let reason = format!("The windows were kept with {named}; set it back to that, or start empty to change it.");
        assert_eq!(accept(written, now), Acceptance::Reject(reason));
    }
    let newer = Header { state_version: 2, ..header(&[("window", "5")]) };
    assert!(matches!(kit(&[("window", "5")]).guest().begin_restore(&newer), Ok(Acceptance::Reject(_))));
}

/// A guest whose memory is measured: the bound that the plugin promises, natively and by its own account.
#[test]
fn a_key_takes_at_most_its_slots_and_a_hundred_bytes() {
    let mut guest = Guest::<Sma>::new();
    let settings = [("value.field", "x"), ("window", "50")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    guest.configure(settings).unwrap();
    let keys = 200_000_u64;
    let (mut bytes, mut offsets) = (Vec::new(), vec![0]);
    for key in 0..keys {
        bytes.extend_from_slice(&key.to_be_bytes());
        offsets.push(bytes.len() as u32);
    }
    let values = vec![101.37; keys as usize];
    let columns = [
        weir_plugin_sdk::Column::of(weir_plugin_sdk::Values::Float64s(&values)),
        weir_plugin_sdk::Column::of(weir_plugin_sdk::Values::Texts(weir_plugin_sdk::Slices {
            bytes: &bytes,
            offsets: &offsets,
        })),
    ];
    guest.process(keys as usize, &columns).unwrap();
    let held = guest.stats().into_iter().find(|(name, _)| name == "bytes").unwrap().1;
    // Natively a pointer takes 8 bytes instead of 4.
    assert!(held / keys <= 50 * 8 + 100, "{} bytes per key", held / keys);
    println!("{} bytes per key with a window of 50", held / keys);
}
