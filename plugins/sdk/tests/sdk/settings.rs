//! Settings as operators write them: what is read, and the exact sentence for everything else.

use weir_plugin_sdk::{Check, Description, Setting, SettingType, Settings, duration_us};

fn description() -> Description {
    Description::new("sample", "1.0.0", "A sample.")
        .setting(Setting::string("value.field").check(Check::NonEmpty))
        .setting(Setting::long("keys.max").default_value("1000").check(Check::AtLeast(1)))
        .setting(Setting::int("min.periods").optional().check(Check::Range(1, 100_000)))
        .setting(Setting::double("factor").default_value("1.5"))
        .setting(Setting::boolean("strict").default_value("false"))
        .setting(Setting::duration("lateness").default_value("0s"))
        .setting(Setting::list("fields").default_value(""))
        .setting(Setting::string("emit").default_value("every").check(Check::one_of(["every", "ready"])))
        .setting(Setting::new("secret", SettingType::Password).optional().check(Check::NonEmpty))
        .setting(Setting::string("window").default_value("50").check(Check::Described("rows or a duration".to_owned())))
}

fn settings(given: &[(&str, &str)]) -> Result<Settings, String> {
    let given = given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Settings::new(&description(), given).map_err(|failure| failure.message)
}

#[test]
fn values_and_defaults_are_read_by_type() {
    let read =
        settings(&[("value.field", " price "), ("strict", "TRUE"), ("lateness", "250ms"), ("fields", "a, b,,c ")])
            .unwrap();
    assert_eq!(read.text("value.field").unwrap(), "price");
    assert_eq!(read.int64("keys.max").unwrap(), 1_000);
    assert_eq!(read.get("min.periods").unwrap(), None);
    assert!((read.float64("factor").unwrap() - 1.5).abs() < f64::EPSILON);
    assert!(read.boolean("strict").unwrap());
    assert_eq!(read.duration("lateness").unwrap(), 250_000);
    assert_eq!(read.list("fields").unwrap(), ["a", "b", "c"]);
    assert_eq!(read.text("emit").unwrap(), "every");
}

#[test]
fn every_refusal_is_one_sentence() {
    let cases = [
        ("value.field", "", "Setting `value.field` takes a text that is not empty, not ``."),
        ("keys.max", "0", "Setting `keys.max` takes a whole number of at least 1, not `0`."),
        ("keys.max", "many", "Setting `keys.max` takes a whole number of at least 1, not `many`."),
        ("keys.max", "1.5", "Setting `keys.max` takes a whole number of at least 1, not `1.5`."),
        ("min.periods", "100001", "Setting `min.periods` takes a whole number from 1 to 100000, not `100001`."),
        ("factor", "half", "Setting `factor` takes a number, not `half`."),
        ("strict", "yes", "Setting `strict` takes true or false, not `yes`."),
        ("lateness", "5 m", "Setting `lateness` takes a duration such as 250ms, 5s, 5m, 1h or 1d, not `5 m`."),
        ("emit", "never", "Setting `emit` takes one of every, ready, not `never`."),
        ("secret", " ", "Setting `secret` takes a text that is not empty, not what was given."),
        ("keys.maks", "1", "Setting `keys.maks` is unknown; the nearest one is `keys.max`."),
        ("valu.field", "x", "Setting `valu.field` is unknown; the nearest one is `value.field`."),
    ];
    for (key, value, sentence) in cases {
        let mut given = vec![(key, value)];
        if key != "value.field" {
            given.push(("value.field", "price"));
        }
        assert_eq!(settings(&given).unwrap_err(), sentence);
    }
}

#[test]
fn all_refusals_come_at_once() {
    let sentences = settings(&[("windw", "5"), ("keys.max", "0")]).unwrap_err();
    let expected = "Setting `keys.max` takes a whole number of at least 1, not `0`. \
                    Setting `windw` is unknown; the nearest one is `window`. \
                    Setting `value.field` is required and takes a text that is not empty.";
    assert_eq!(sentences, expected);
}

#[test]
fn a_plugin_without_settings_takes_none() {
    let given = [("window".to_owned(), "5".to_owned())];
    let failure = Settings::new(&Description::new("bare", "1.0.0", ""), given).unwrap_err();
    assert_eq!(failure.message, "Setting `window` is unknown; this plugin takes none.");
}

#[test]
fn what_the_plugin_asks_in_error_is_named() {
    let read = settings(&[("value.field", "price")]).unwrap();
    assert_eq!(
        read.text("price").unwrap_err().message,
        "The plugin reads setting `price`, which it does not describe."
    );
    let sentence = "Setting `min.periods` was not given; read it with `get` where it is optional.";
    assert_eq!(read.int64("min.periods").unwrap_err().message, sentence);
    assert_eq!(read.int64("emit").unwrap_err().message, "Setting `emit` takes one of every, ready, not `every`.");
    let sentence = "Setting `window` takes rows from 1 to 100000, not `50`.";
    assert_eq!(read.invalid("window", "rows from 1 to 100000").message, sentence);
}

#[test]
fn what_is_recorded_is_sorted_and_holds_no_password() {
    let read = settings(&[("value.field", "price"), ("secret", "hunter2"), ("emit", "ready")]).unwrap();
    let recorded = [("emit", "ready"), ("value.field", "price")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(read.recorded(), recorded);
    assert!(!read.invalid("secret", "another text").message.contains("hunter2"));
}

#[test]
fn durations_are_whole_numbers_with_a_unit() {
    let read = ["250ms", "5s", "5m", "1h", "1d", "0s"].map(duration_us);
    assert_eq!(read, [250_000, 5_000_000, 300_000_000, 3_600_000_000, 86_400_000_000, 0].map(Some));
    for text in ["", "5", "m", "-5s", "+5s", "1.5h", "5M", "5 s", " 5s", "5us", "106751992d", "9223372036854775808ms"] {
        assert_eq!(duration_us(text), None, "{text}");
    }
    assert_eq!(duration_us("106751991d"), Some(106_751_991 * 86_400_000_000));
}
