//! Whether a document is what a published schema says: the part of JSON Schema that it uses, and a
//! loud failure for any other keyword, so that the check cannot quietly grow weaker than the schema.

use serde_json::Value;

/// The schema as it is checked in.
const PUBLISHED: &str = include_str!("../../docs/manifest.schema.json");

/// The schema as it is checked in.
pub fn published() -> Value {
    serde_json::from_str(PUBLISHED).expect("the published schema is JSON")
}

/// Fails unless `manifest` is valid under the published schema.
#[track_caller]
pub fn assert_manifest(manifest: &Value) {
    let problems = problems(&published(), manifest);
    assert!(problems.is_empty(), "not a manifest: {problems:#?}\n{manifest:#}");
}

/// What in `document` is not as `schema` says, each with its place.
pub fn problems(schema: &Value, document: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    Check { root: schema, problems: &mut problems }.node(schema, document, "");
    problems
}

struct Check<'a> {
    root: &'a Value,
    problems: &'a mut Vec<String>,
}

impl Check<'_> {
    fn node(&mut self, schema: &Value, document: &Value, place: &str) {
        let keywords = schema.as_object().expect("a schema is an object");
        for (keyword, value) in keywords {
            match keyword.as_str() {
                "title" | "description" | "default" | "$schema" | "$defs" => {}
                "$ref" => {
                    let pointer =
                        value.as_str().and_then(|text| text.strip_prefix('#')).expect("a local reference");
                    let target = self.root.pointer(pointer).expect("a definition that is there").clone();
                    self.node(&target, document, place);
                }
                "type" => self.has_type(value, document, place),
                "const" => self.holds(document == value, place, || format!("is not {value}")),
                "properties" => {
                    for (name, schema) in value.as_object().expect("properties") {
                        if let Some(inner) = document.get(name) {
                            self.node(schema, inner, &format!("{place}/{name}"));
                        }
                    }
                }
                "required" => {
                    for name in value.as_array().expect("names").iter().filter_map(Value::as_str) {
                        let there = !document.is_object() || document.get(name).is_some();
                        self.holds(there, place, || format!("has no {name}"));
                    }
                }
                "items" => {
                    for (at, inner) in document.as_array().into_iter().flatten().enumerate() {
                        self.node(value, inner, &format!("{place}/{at}"));
                    }
                }
                "anyOf" => {
                    let any = value.as_array().expect("schemas").iter().any(|schema| {
                        let mut problems = Vec::new();
                        Check { root: self.root, problems: &mut problems }.node(schema, document, place);
                        problems.is_empty()
                    });
                    self.holds(any, place, || format!("is none of what it can be: {document}"));
                }
                "oneOf" => {
                    let fitting = value.as_array().expect("schemas").iter().filter(|schema| {
                        let mut problems = Vec::new();
                        Check { root: self.root, problems: &mut problems }.node(schema, document, place);
                        problems.is_empty()
                    });
                    let count = fitting.count();
                    self.holds(count == 1, place, || format!("is {count} of what it can be: {document}"));
                }
                "uniqueItems" => {
                    let items = document.as_array().map_or(&[][..], Vec::as_slice);
                    let unique = items.iter().enumerate().all(|(at, item)| !items[..at].contains(item));
                    self.holds(unique, place, || "holds something twice".to_owned());
                }
                "minimum" | "maximum" => {
                    let limit = value.as_f64().expect("a number");
                    let within = |n: f64| if keyword == "minimum" { n >= limit } else { n <= limit };
                    self.holds(document.as_f64().is_none_or(within), place, || format!("{keyword} {value}"));
                }
                "minLength" => {
                    let least = value.as_u64().expect("a length") as usize;
                    let long = document.as_str().is_none_or(|text| text.chars().count() >= least);
                    self.holds(long, place, || format!("is shorter than {least}"));
                }
                "format" => self.has_format(value.as_str().expect("a name"), document, place),
                other => panic!("the check of manifests does not know the keyword {other:?}"),
            }
        }
    }

    fn has_type(&mut self, wanted: &Value, document: &Value, place: &str) {
        let is = |name: &str| match name {
            "object" => document.is_object(),
            "array" => document.is_array(),
            "string" => document.is_string(),
            "boolean" => document.is_boolean(),
            "null" => document.is_null(),
            "number" => document.is_number(),
            "integer" => document.is_i64() || document.is_u64(),
            other => panic!("the check of manifests does not know the type {other:?}"),
        };
        let fits = match wanted {
            Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
            name => is(name.as_str().expect("a type")),
        };
        self.holds(fits, place, || format!("is no {wanted}: {document}"));
    }

    fn has_format(&mut self, format: &str, document: &Value, place: &str) {
        let fits = match (format, document.as_str()) {
            ("date-time", Some(text)) => text.parse::<jiff::Timestamp>().is_ok() && text.ends_with('Z'),
            ("date-time", None) => true,
            ("uint32", _) => document.as_u64().is_none_or(|n| u32::try_from(n).is_ok()),
            ("int32", _) => document.as_i64().is_none_or(|n| i32::try_from(n).is_ok()),
            ("uint8", _) => document.as_u64().is_none_or(|n| u8::try_from(n).is_ok()),
            ("uint64" | "uint" | "double", _) => true,
            (other, _) => panic!("the check of manifests does not know the format {other:?}"),
        };
        self.holds(fits, place, || format!("is no {format}: {document}"));
    }

    fn holds(&mut self, it_does: bool, place: &str, why: impl FnOnce() -> String) {
        if !it_does {
            self.problems.push(format!("{}: {}", if place.is_empty() { "/" } else { place }, why()));
        }
    }
}
