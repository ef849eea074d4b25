//! A JSON document in few lines: what fits on one line stands on one, short members beside each other.

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

/// The document within `room` columns, but for texts that are longer by themselves.
pub fn filled(value: &Value, room: usize) -> String {
    fill(value, 0, room)
}

fn fill(value: &Value, indent: usize, room: usize) -> String {
    let flat = flat(value);
    let (open, members, close) = match value {
        Value::Object(_) => ('{', members(value), '}'),
        Value::Array(_) => ('[', members(value), ']'),
        _ => return flat,
    };
    if indent + flat.width() <= room || members.is_empty() {
        return flat;
    }
    let inner = indent + 2;
    let mut lines: Vec<String> = Vec::new();
    // Whether the next short member may stand on the last line.
    let mut last_is_open = false;
    let count = members.len();
    for (number, (key, value)) in members.into_iter().enumerate() {
        let comma = if number + 1 < count { "," } else { "" };
        let member = format!("{key}{}{comma}", fill(value, inner, room));
        let is_short = !matches!(value, Value::Object(_) | Value::Array(_));
        match lines.last_mut() {
            Some(last) if last_is_open && is_short && inner + last.width() + 1 + member.width() <= room => {
                last.push(' ');
                last.push_str(&member);
            }
            _ => lines.push(member),
        }
        last_is_open = is_short;
    }
    let lines: Vec<String> = lines.iter().map(|line| format!("{:inner$}{line}", "")).collect();
    format!("{open}\n{}\n{:indent$}{close}", lines.join("\n"), "")
}

/// The members of an object, each with its key as it is written, or of an array.
fn members(value: &Value) -> Vec<(String, &Value)> {
    match value {
        Value::Object(map) => {
            map.iter().map(|(key, v)| (format!("{}: ", Value::from(key.as_str())), v)).collect()
        }
        Value::Array(values) => values.iter().map(|value| (String::new(), value)).collect(),
        _ => Vec::new(),
    }
}

fn flat(value: &Value) -> String {
    let joined = || {
        let parts: Vec<String> =
            members(value).into_iter().map(|(key, v)| format!("{key}{}", flat(v))).collect();
        parts.join(", ")
    };
    match value {
        Value::Object(_) => format!("{{{}}}", joined()),
        Value::Array(_) => format!("[{}]", joined()),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn short_members_share_a_line_and_long_ones_are_broken() {
        let document = json!({
            "schema_version": 1, "lane": "T-1", "state": "ended", "work": {"commits": 1, "untracked": 0},
            "exit": {}, "argv": ["a long first argument", "a long second argument"],
        });
        let expected = r#"{
  "schema_version": 1, "lane": "T-1",
  "state": "ended",
  "work": {"commits": 1, "untracked": 0},
  "exit": {},
  "argv": [
    "a long first argument",
    "a long second argument"
  ]
}"#;
        assert_eq!(filled(&document, 42), expected);
        assert_eq!(filled(&json!([1, 2]), 42), "[1, 2]");
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i64>().prop_map(Value::from), "\\PC{0,20}".prop_map(Value::from)];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let members = prop::collection::vec(("\\PC{0,8}", inner.clone()), 0..6);
            prop_oneof![
                prop::collection::vec(inner, 0..6).prop_map(Value::from),
                members.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_stays_the_same_document(document in documents(), room in 0usize..120) {
            prop_assert_eq!(serde_json::from_str::<Value>(&filled(&document, room)).unwrap(), document);
        }
    }
}
