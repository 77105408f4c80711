//! Settings and their sentences, plans, limits, and which state goes on.

use crate::named::{fired, kit, tick};
use ohlc::{CODE_TIME, CODE_WINDOWS, Ohlc};
use weir_plugin_sdk::state::{Acceptance, Extent, Header};
use weir_plugin_sdk::testkit::{Datum, Kit, Record};
use weir_plugin_sdk::{Carry, Kind, record};

/// What an operator writes.
type Given<'a> = &'a [(&'a str, &'a str)];

#[test]
fn settings_that_cannot_be_are_refused_in_a_sentence() {
    let interval = "Setting `interval` takes a duration above 0 such as 250ms, 1s, 5m, 1h or 1d, not";
    let lateness = "Setting `lateness` takes 0, or a duration such as 250ms, 5s, 5m, 1h or 1d, not";
    let twice = |one: &str, other: &str, field: &str| {
        format!("Outputs `{one}` and `{other}` need different fields, not `{field}` twice.")
    };
    let cases: &[(Given, String)] = &[
        (&[("interval", "0s")], format!("{interval} `0s`.")),
        (&[("interval", "50")], format!("{interval} `50`.")),
        (&[("lateness", "1")], format!("{lateness} `1`.")),
        (
            &[("future.max", "0")],
            "Setting `future.max` takes none, or a duration such as 5m, 1h or 1d, not `0`.".to_owned(),
        ),
        (
            &[("windows.max", "1000001")],
            "Setting `windows.max` takes a whole number from 1 to 1000000, not `1000001`.".to_owned(),
        ),
        (
            &[("volume.field", "v"), ("volume.type", "int")],
            "Setting `volume.type` takes one of float64, int64, not `int`.".to_owned(),
        ),
        (&[("high.field", "close")], twice("high.field", "close.field", "close")),
        (&[("key.field", "open")], twice("key.output.field", "open.field", "open")),
        (&[("key.output.field", "$key")], twice("$key", "key.output.field", "$key")),
        (&[("volume.field", "v"), ("count.field", "volume")], twice("count.field", "volume.output.field", "volume")),
        (&[("interwal", "1s")], "Setting `interwal` is unknown; the nearest one is `interval`.".to_owned()),
    ];
    for (given, sentence) in cases {
        let mut settings = vec![("price.field", "p")];
        if !given.iter().any(|(key, _)| *key == "interval") {
            settings.push(("interval", "10s"));
        }
        settings.extend(*given);
        assert_eq!(&Kit::<Ohlc>::new(&settings).unwrap_err().message, sentence);
    }
    let failure = Kit::<Ohlc>::new(&[]).unwrap_err();
    assert_eq!(
        failure.message,
        "Setting `price.field` is required and takes a text that is not empty. \
         Setting `interval` is required and takes a duration above 0 such as 250ms, 1s, 5m, 1h or 1d."
    );
    assert!(
        Kit::<Ohlc>::new(&[("price.field", "p"), ("interval", "1s"), ("count.field", "volume")]).is_ok(),
        "no volume is written"
    );
}

#[test]
fn a_plan_asks_for_no_more_than_it_needs() {
    let plan = |settings: Given| Kit::<Ohlc>::new(settings).unwrap().guest().plan().unwrap().clone();
    let paths = |fields: &[weir_plugin_sdk::Field]| {
        fields.iter().map(|field| (field.path.clone(), field.kind)).collect::<Vec<_>>()
    };
    let named =
        |fields: &[(&str, Kind)]| fields.iter().map(|(path, kind)| ((*path).to_owned(), *kind)).collect::<Vec<_>>();
    let (number, text) = (Kind::Float64, Kind::Text);
    let least = plan(&[("price.field", "p"), ("interval", "1m")]);
    let inputs = [("p", number), ("$key", text), ("$timestamp", Kind::Timestamp), ("$watermark", Kind::Int64)];
    assert_eq!(paths(least.inputs()), named(&inputs));
    assert_eq!((0..4).map(|input| least.is_required(input)).collect::<Vec<_>>(), [false, false, true, false]);
    let outputs = [
        ("window_start", Kind::Timestamp),
        ("open", number),
        ("high", number),
        ("low", number),
        ("close", number),
        ("count", Kind::Int64),
        ("$key", text),
        ("key", text),
    ];
    assert_eq!(paths(least.outputs()), named(&outputs));
    assert_eq!((least.carried(), least.takes_tombstones()), (&Carry::None, false));
    let source = least.event_time_source().unwrap();
    assert_eq!((source.lateness_us, source.future_max_us), (0, Some(30 * 86_400_000_000)));
    let most = plan(&[
        ("price.field", "p"),
        ("interval", "1m"),
        ("lateness", "2s"),
        ("future.max", "none"),
        ("key.field", "id"),
        ("time.field", "at"),
        ("volume.field", "v"),
        ("volume.type", "int64"),
        ("volume.output.field", "vol"),
        ("start.field", "t"),
        ("open.field", "o"),
    ]);
    assert_eq!(paths(most.inputs())[4], ("v".to_owned(), Kind::Int64));
    let written = paths(most.outputs());
    assert_eq!((written[0].0.as_str(), written[1].0.as_str()), ("t", "o"));
    assert_eq!(written[6..], named(&[("$key", text), ("id", text), ("vol", Kind::Int64)]));
    let source = most.event_time_source().unwrap();
    assert_eq!((source.path.as_str(), source.lateness_us, source.future_max_us), ("at", 2_000_000, None));
}

#[test]
fn a_window_carries_its_own_key_and_not_that_of_the_row_that_fires_it() {
    let mut kit = kit(&[("key.field", "id")]);
    let row = |id: &str, second: i64| tick("other", second, 1.0).with("id", id);
    let outcome = kit.process(&[row("x", 0), row("y", 10)]).unwrap();
    assert_eq!((outcome.rows[0].get("$key"), outcome.rows[0].get("id")), (&Datum::from("x"), &Datum::from("x")));
}

#[test]
fn a_row_without_time_or_before_all_windows_is_rejected() {
    let rows = [record! { "p": 1.0 }, record! { "p": 1.0, "$timestamp": i64::MIN }, tick("a", 0, 1.0)];
    let outcome = kit(&[("future.max", "none")]).process(&rows).unwrap();
    assert_eq!(outcome.rejected.iter().map(|error| error.row).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(
        (outcome.rejected[1].code, outcome.rejected[1].message.as_str()),
        (CODE_TIME, "Field `$timestamp` is -9223372036854775808 µs, which is before the first whole interval.")
    );
}

#[test]
fn the_last_window_of_all_never_ends_but_by_the_end_of_time() {
    let last = Record::new().with("p", 1.0).with("$timestamp", i64::MAX);
    let mut kit = kit(&[]);
    assert!(kit.process(&[last.clone(), last]).unwrap().rows.is_empty());
    assert!(kit.advance(i64::MAX).unwrap().rows.is_empty(), "its end lies beyond");
}

#[test]
fn one_window_too_many_is_a_failure_that_names_the_limit() {
    let mut kit = kit(&[("windows.max", "2")]);
    // Those that the third row fires make room for its own.
    let outcome = kit.process(&[tick("a", 0, 1.0), tick("b", 1, 1.0), tick("c", 10, 1.0), tick("d", 10, 1.0)]).unwrap();
    assert_eq!(fired(&outcome).len(), 2);
    let failure = kit.process(&[tick("e", 11, 1.0)]).unwrap_err();
    assert_eq!((failure.code, failure.retryable), (CODE_WINDOWS, false));
    assert_eq!(
        failure.message,
        "A new window of a key in `$key` is one more than the 2 open ones that `windows.max` allows: raise it, or lower `lateness` so that windows fire earlier."
    );
}

#[test]
fn stats_tell_the_open_windows() {
    let mut kit = kit(&[]);
    kit.process(&[tick("a", 0, 1.0), tick("b", 1, 1.0), tick("c", 10, 1.0)]).unwrap();
    assert!(kit.guest().stats().contains(&("open_windows".to_owned(), 1)));
}

/// What the oracle calls bit-equal holds for memory, too: nothing is left of windows that have fired.
#[test]
fn a_stream_of_many_windows_holds_only_the_open_ones() {
    let mut kit = kit(&[]);
    let held = |kit: &mut Kit<Ohlc>| kit.guest().stats().into_iter().find(|(name, _)| name == "bytes").unwrap().1;
    let rows = |from: i64| {
        (from..from + 5_000).map(|second| tick(&format!("a key of its own {second}"), second, 1.0)).collect::<Vec<_>>()
    };
    kit.process(&rows(0)).unwrap();
    let before = held(&mut kit);
    for round in 1..5 {
        kit.process(&rows(round * 5_000)).unwrap();
    }
    assert!(held(&mut kit) <= before + 4_096, "{} bytes, {before} before", held(&mut kit));
}

/// The settings with those that are required.
fn all(given: Given<'_>) -> Vec<(&str, &str)> {
    let base = [("price.field", "p"), ("interval", "60s")];
    let kept = base.into_iter().filter(|(key, _)| !given.iter().any(|(name, _)| name == key));
    kept.chain(given.iter().copied()).collect()
}

/// The header that a guest writes under these settings.
fn header(settings: Given) -> Header {
    Kit::<Ohlc>::new(settings).unwrap().guest().begin_checkpoint(Extent::Full).unwrap()
}

#[test]
fn state_goes_on_where_its_windows_stay_the_same() {
    let accept = |written: Given, now: Given| {
        let (written, now) = (all(written), all(now));
        Kit::<Ohlc>::new(&now).unwrap().guest().begin_restore(&header(&written)).unwrap()
    };
    let accepted: [(Given, Given); 4] = [
        (&[("interval", "60s")], &[("interval", "1m")]),
        (&[("lateness", "2s")], &[("lateness", "1s"), ("future.max", "none"), ("windows.max", "5")]),
        (&[("open.field", "o")], &[("key.field", "$key"), ("close.field", "c")]),
        (&[("volume.field", "v")], &[("volume.field", "v"), ("volume.type", "float64")]),
    ];
    for (written, now) in accepted {
        assert_eq!(accept(written, now), Acceptance::Accept, "{written:?} to {now:?}");
    }
    let rejected: [(Given, Given, &str); 7] = [
        (&[("interval", "10s")], &[], "`interval` 10s"),
        (&[("price.field", "q")], &[], "`price.field` q"),
        (&[("key.field", "id")], &[], "`key.field` id"),
        (&[("time.field", "at")], &[], "`time.field` at"),
        (&[], &[("volume.field", "v")], "`volume.field` not set"),
        (&[("volume.field", "v"), ("volume.type", "int64")], &[("volume.field", "v")], "`volume.type` int64"),
        (&[], &[("lateness", "2s")], "`lateness` 0"),
    ];
    for (written, now, named) in rejected {
        let reason = format!("The windows were kept with {named}; set it back to that, or start empty to change it.");
        assert_eq!(accept(written, now), Acceptance::Reject(reason));
    }
    let newer = Header { state_version: 2, ..header(&[("price.field", "p"), ("interval", "1m")]) };
    assert!(matches!(kit(&[]).guest().begin_restore(&newer), Ok(Acceptance::Reject(_))));
}
