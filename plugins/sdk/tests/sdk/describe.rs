//! The JSON of a description: exact text, escapes, and the schema that lies beside the interface.

use serde_json::{Value, json};
use weir_plugin_sdk::{Check, Description, Importance, Setting, SettingType, StateVersions, Width};

const SCHEMA: &str = include_str!("../../../../wit/v0/describe.schema.json");

fn full() -> Description {
    Description::new("sample", "1.2.0-rc.1", "Shows \"all\"\nof it.")
        .memory_bytes(64 << 20)
        .call_ms(100)
        .setting(
            Setting::string("value.field")
                .doc("The field.")
                .importance(Importance::High)
                .group("Fields")
                .width(Width::Medium)
                .display_name("Value field")
                .check(Check::NonEmpty),
        )
        .setting(Setting::long("keys.max").default_value("1000").importance(Importance::Low))
}

#[test]
fn the_json_is_exact() {
    let text = full().to_json(Some(StateVersions { current: 3, converts: &[1, 2] }));
    let expected = concat!(
        r#"{"id":"sample","version":"1.2.0-rc.1","doc":"Shows \"all\"\nof it.","settings":["#,
        r#"{"name":"value.field","type":"STRING","required":true,"default_value":null,"importance":"HIGH","#,
        r#""documentation":"The field.","group":"Fields","width":"MEDIUM","display_name":"Value field","#,
        r#""dependents":[],"order":1,"validator":"a text that is not empty"},"#,
        r#"{"name":"keys.max","type":"LONG","required":false,"default_value":"1000","importance":"LOW","#,
        r#""documentation":"","group":null,"width":"NONE","display_name":"keys.max","#,
        r#""dependents":[],"order":2,"validator":null}],"#,
        r#""state":{"version":3,"converts":[1,2]},"limits":{"memory_bytes":67108864,"call_ms":100}}"#,
    );
    assert_eq!(text, expected);
}

#[test]
fn every_character_survives() {
    let all: String = ('\0'..='\u{2ff}').chain(['\u{2028}', '😀', '\u{10ffff}']).collect();
    let read: Value = serde_json::from_str(&Description::new("x", "1.0.0", all.clone()).to_json(None)).unwrap();
    assert_eq!(read["doc"], all);
}

#[test]
fn descriptions_follow_the_schema() {
    let schema = serde_json::from_str(SCHEMA).unwrap();
    let types = [
        SettingType::Boolean,
        SettingType::String,
        SettingType::Int,
        SettingType::Long,
        SettingType::Double,
        SettingType::List,
        SettingType::Password,
    ];
    let all_types = types.into_iter().fold(Description::new("all-types", "0.1.0", ""), |description, setting_type| {
        description.setting(Setting::new(format!("{setting_type:?}"), setting_type).width(Width::Long))
    });
    let versions = Some(StateVersions { current: 1, converts: &[] });
    for text in [full().to_json(None), full().to_json(versions), all_types.to_json(None)] {
        check(&schema, &schema, &serde_json::from_str(&text).unwrap(), "$").unwrap();
    }
}

#[test]
fn the_schema_refuses_what_is_wrong() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let good: Value = serde_json::from_str(&full().to_json(None)).unwrap();
    let wrong = [
        ("/id", json!("Sample"), "$.id: \"Sample\" does not match ^[a-z][a-z0-9-]*$"),
        (
            "/version",
            json!("1.2"),
            "$.version: \"1.2\" does not match ^[0-9]+\\.[0-9]+\\.[0-9]+([-+][0-9A-Za-z.+-]+)?$",
        ),
        ("/state", json!({"version": 1}), "$.state: lacks converts"),
        ("/limits/call_ms", json!(-1), "$.limits.call_ms: -1 is below 0"),
        ("/settings/0/type", json!("CLASS"), "$.settings[0].type: \"CLASS\" is none of the values"),
        ("/settings/1/order", json!("2"), "$.settings[1].order: \"2\" is no \"integer\""),
    ];
    for (pointer, value, reason) in wrong {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert_eq!(check(&schema, &schema, &bad, "$").unwrap_err(), reason);
    }
}

/// The part of JSON Schema that the schema uses; any other keyword is an error, so that none goes unheard.
fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (keyword, wanted) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$ref" => check(root, root.pointer(&wanted.as_str().unwrap()[1..]).unwrap(), value, at)?,
            "type" => holds(is_of_type(wanted, value), at, || format!("{value} is no {wanted}"))?,
            "enum" => {
                holds(wanted.as_array().unwrap().contains(value), at, || format!("{value} is none of the values"))?;
            }
            "minimum" => holds(!value.is_number() || value.as_i64() >= wanted.as_i64(), at, || {
                format!("{value} is below {wanted}")
            })?,
            "pattern" => {
                let pattern = wanted.as_str().unwrap();
                holds(matches(pattern, value.as_str().unwrap_or_default()), at, || {
                    format!("{value} does not match {pattern}")
                })?;
            }
            "required" if value.is_object() => {
                let missing =
                    wanted.as_array().unwrap().iter().find(|name| value.get(name.as_str().unwrap()).is_none());
                holds(missing.is_none(), at, || format!("lacks {}", missing.and_then(Value::as_str).unwrap()))?;
            }
            "properties" if value.is_object() => {
                for (name, property) in wanted.as_object().unwrap() {
                    value.get(name).map_or(Ok(()), |member| check(root, property, member, &format!("{at}.{name}")))?;
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, wanted, item, &format!("{at}[{index}]"))?;
                }
            }
            // The last two say nothing of what is no object.
            "$schema" | "$defs" | "title" | "description" | "required" | "properties" => {}
            other => panic!("keyword {other} is not known here"),
        }
    }
    Ok(())
}

fn holds(is_so: bool, at: &str, reason: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(format!("{at}: {}", reason())) }
}

fn is_of_type(wanted: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("type {other} is not known here"),
    };
    match wanted {
        Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
        name => is(name.as_str().unwrap()),
    }
}

/// The two patterns of the schema, by hand.
fn matches(pattern: &str, text: &str) -> bool {
    let is_id = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    match pattern {
        "^[a-z][a-z0-9-]*$" => text.starts_with(|letter: char| letter.is_ascii_lowercase()) && text.chars().all(is_id),
        "^[0-9]+\\.[0-9]+\\.[0-9]+([-+][0-9A-Za-z.+-]+)?$" => {
            let numbers = text.split(['-', '+']).next().unwrap_or_default();
            let rest = &text[numbers.len()..];
            numbers.split('.').count() == 3
                && numbers
                    .split('.')
                    .all(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
                && rest.len() != 1
                && rest.chars().all(|letter| letter.is_ascii_alphanumeric() || ".+-".contains(letter))
        }
        other => panic!("pattern {other} is not known here"),
    }
}

#[test]
fn descriptions_that_no_host_takes_are_named() {
    let cases = [
        (
            Description::new("My Plugin", "1.0.0", ""),
            "The plugin's id `My Plugin` has to be a small letter, then small letters, digits and `-`.",
        ),
        (
            Description::new("", "1.0.0", ""),
            "The plugin's id `` has to be a small letter, then small letters, digits and `-`.",
        ),
        (full().setting(Setting::string("keys.max")), "Setting `keys.max` is described twice."),
        (
            full().setting(Setting::int("n").default_value("few")),
            "Setting `n` takes a whole number, not its own default `few`.",
        ),
    ];
    full().check().unwrap();
    for (description, sentence) in cases {
        assert_eq!(description.check().unwrap_err().message, sentence);
    }
}
