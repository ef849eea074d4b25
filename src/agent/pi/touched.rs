//! The files that pi's tools were told to change, out of what an assistant message holds.
//!
//! The rest of it is passed over without being built: of each call of `edit` and `write` only the path is kept. What has
//! another shape than pi writes names no file.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The tools that change a file.
const TOOLS: [&str; 2] = ["edit", "write"];
/// A longer path is none.
const LONGEST_PATH: usize = 4096;

/// The paths, as they were said.
#[derive(Debug, Default)]
pub(super) struct Touched(pub(super) Vec<String>);

/// One part of a message: the path, where it is a call of such a tool.
#[derive(Default)]
struct Part(Option<String>);

/// The arguments of a call: the path among them.
#[derive(Default)]
struct Arguments(Option<String>);

/// What is neither a list nor a map holds nothing.
macro_rules! nothing_in_single_values {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("anything")
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
}

fn pass_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

impl<'de> Deserialize<'de> for Touched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;

        impl<'de> Visitor<'de> for Parts {
            type Value = Touched;

            nothing_in_single_values!();

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Touched, A::Error> {
                let mut touched = Touched::default();
                while let Some(Part(path)) = parts.next_element()? {
                    touched.0.extend(path);
                }
                Ok(touched)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Touched, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Touched::default())
            }
        }

        deserializer.deserialize_any(Parts)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Part;

            nothing_in_single_values!();

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Part, A::Error> {
                pass_list(list).map(|()| Part::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Part, A::Error> {
                let (mut kind, mut name, mut arguments) = (Value::Null, Value::Null, Arguments::default());
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "type" => kind = map.next_value()?,
                        "name" => name = map.next_value()?,
                        "arguments" => arguments = map.next_value()?,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                let changes = kind == "toolCall" && TOOLS.iter().any(|tool| name == *tool);
                Ok(Part(arguments.0.filter(|_| changes)))
            }
        }

        deserializer.deserialize_any(Fields)
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Named;

        impl<'de> Visitor<'de> for Named {
            type Value = Arguments;

            nothing_in_single_values!();

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Arguments, A::Error> {
                pass_list(list).map(|()| Arguments::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Arguments, A::Error> {
                let mut path = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "path" {
                        let said: Value = map.next_value()?;
                        path = said.as_str().filter(|said| said.len() <= LONGEST_PATH).map(str::to_owned);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Arguments(path))
            }
        }

        deserializer.deserialize_any(Named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched(content: &str) -> Vec<String> {
        serde_json::from_str::<Touched>(content).unwrap().0
    }

    #[test]
    fn calls_of_the_tools_that_change_files_name_them() {
        let content = r#"[
            {"type":"text","text":"I edit"},
            {"type":"toolCall","id":"1","name":"edit","arguments":{"edits":[{"oldText":"a"}],"path":"src/a.rs"}},
            {"type":"toolCall","id":"2","name":"write","arguments":{"path":"/w/b.rs","content":"x"}},
            {"type":"toolCall","id":"3","name":"read","arguments":{"path":"c.rs"}},
            {"type":"toolCall","id":"4","name":"bash","arguments":{"command":"rm d.rs"}}
        ]"#;
        assert_eq!(touched(content), ["src/a.rs", "/w/b.rs"]);
    }

    #[test]
    fn whatever_else_stands_there_names_none() {
        for content in [
            "null",
            "1",
            "-1",
            "1.5",
            "true",
            "\"a\"",
            "[]",
            "{}",
            "[1, \"a\", null, [1], {}]",
            r#"[{"type":"toolCall","name":"edit"}]"#,
            r#"[{"type":"toolCall","name":"edit","arguments":3}]"#,
            r#"[{"type":"toolCall","name":"edit","arguments":{"path":["a"]}}]"#,
            r#"[{"type":["toolCall"],"name":{},"arguments":{"path":"a"}}]"#,
        ] {
            assert_eq!(touched(content), Vec::<String>::new(), "{content}");
        }
    }
}
