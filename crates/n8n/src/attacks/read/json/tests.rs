use std::str::FromStr;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::attacks::{BodyTest, FieldPath, Kinds, Text, read::Look};

/// Whether something is at `path`, with `text` if one is given.
fn has(json: &str, path: &str, text: Option<&'static str>) -> Result<bool, Unreadable> {
    let wanted = text.map(|it| Text::OneOf(vec![Cow::Borrowed(it)]));
    let path = FieldPath::from_str(path).map_err(|_| Unreadable::Parts)?;
    let test = BodyTest::Field(Kinds::All, path, wanted);
    let mut look = Look { tests: vec![(0, test)], found: Vec::new() };
    read(json, &mut Trail::default(), &mut look)?;
    Ok(!look.found.is_empty())
}

#[test]
fn fields_are_found_as_json_parse_names_them() {
    for (json, path, text, found) in [
        (r#"{"a":1}"#, "a", None, true),
        (r#"{"a":"x"}"#, "a", Some("x"), true),
        (r#"{"a":{"b":["x","y"]}}"#, "a.b.*", Some("y"), true),
        (r#"{"a":{"b":[["x"],"y"]}}"#, "a.b.*", Some("x"), false),
        (r#"{"\u005f_proto\u005F_":{}}"#, "**.__proto__", None, true),
        (r#"{"a":"__proto__"}"#, "**.__proto__", None, false),
        (r#"["__proto__"]"#, "**.__proto__", None, false),
        (r#"{"a":"\"__proto__\":1"}"#, "**.__proto__", None, false),
        (r#"{"a\\":{"__proto__":1}}"#, "**.__proto__", None, true),
        (r#"{"a":[],"b":{"c":1},"d":2}"#, "d", Some("2"), true),
        (r#"{"a":"\ud83d\ude00"}"#, "a", Some("\u{1f600}"), true),
        (r#"{"a":"\ud83d","b":1}"#, "b", Some("1"), true),
        (r#"{"a":1e999,"b":true}"#, "b", Some("true"), true),
        (r#"{"a":1,"a":2}"#, "a", Some("1"), true),
        (
            r#"{"workflowJson":"{\"nodes\":[{\"type\":\"x\"}]}"}"#,
            "**.nodes.*.type",
            Some("x"),
            true,
        ),
        (r#"{"other":"{\"nodes\":[{\"type\":\"x\"}]}"}"#, "**.nodes.*.type", Some("x"), false),
    ] {
        assert_eq!(has(json, path, text), Ok(found), "{json} {path}");
    }
}

#[test]
fn what_is_no_json_is_read_to_its_end() {
    for json in [
        "",
        "}",
        "]]",
        "{",
        "{\"",
        "\"\\",
        "{\"a",
        "\\u",
        "{\"a\":\"\\u12",
        ",,:",
        "\u{e4}",
        "\"\\\u{e4}\"",
    ] {
        assert_eq!(has(json, "a", Some("b")), Ok(false), "{json}");
    }
}

#[test]
fn depth_is_bounded() {
    assert_eq!(has(&"[".repeat(DEPTH), "a", None), Ok(false));
    assert_eq!(has(&"[".repeat(DEPTH + 1), "a", None), Err(Unreadable::Depth));
    let mut nested = "1".to_owned();
    for _ in 0..8 {
        nested = format!("{{\"workflowJson\":{}}}", Value::String(nested));
    }
    assert_eq!(has(&nested, "**.nodes", None), Ok(false));
}

/// Every value of a tree with the way to it.
fn leaves(value: &Value, way: &str, all: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| leaves(value, &format!("{way}.{name}"), all));
        }
        Value::Array(list) => list.iter().for_each(|value| leaves(value, &format!("{way}.*"), all)),
        Value::String(text) => all.push((way.to_owned(), text.clone())),
        other => all.push((way.to_owned(), other.to_string())),
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z_]{1,3}", inner), 0..4)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn every_value_is_where_a_library_finds_it(value in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let mut all = Vec::new();
        leaves(&value, "", &mut all);
        for (way, leaf) in all.iter().filter(|(way, _)| !way.is_empty()) {
            let leaf: &'static str = Box::leak(leaf.clone().into_boxed_str());
            prop_assert_eq!(has(text.as_ref().unwrap(), way.trim_start_matches('.'), Some(leaf)), Ok(true), "{}", way);
        }
    }

    #[test]
    fn nothing_makes_it_panic(text in ".{0,64}", marks in r#"[\[\]{}",:\\u0-9a\u{e4}]{0,64}"#) {
        prop_assert!(has(&text, "a", None).is_ok() && has(&marks, "a", None).is_ok());
    }
}
