//! Output without what differs from run to run, for snapshots: the sandbox's path, ids, commits, times, pids.

use std::path::Path;

use serde_json::Value;

/// JSON keys whose numbers differ from run to run.
const NUMBERS: &[&str] = &["pid", "pgid", "start_ticks", "pid_ns"];
/// JSON keys whose strings differ from run to run, or from machine to machine.
const STRINGS: &[&str] = &["host", "boot_id"];

/// `text` with `[SANDBOX]`, `[UUID]`, `[COMMIT]` and `[TIME]` in place of such values.
pub fn text(text: &str, sandbox: &Path) -> String {
    let text = text.replace(&sandbox.display().to_string(), "[SANDBOX]");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find(in_word) {
        let (between, word_on) = rest.split_at(start);
        let end = word_on.find(|c| !in_word(c)).unwrap_or(word_on.len());
        // A full stop ends the sentence, not the word.
        let word = word_on[..end].trim_end_matches(['.', ':', '-']);
        let word = if word.is_empty() { &word_on[..end] } else { word };
        let after = &word_on[word.len()..];
        out.push_str(between);
        out.push_str(replacement(word).unwrap_or(word));
        rest = after;
    }
    out.push_str(rest);
    out
}

fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '_')
}

fn replacement(word: &str) -> Option<&'static str> {
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if word.len() == 40 && hex(word) {
        return Some("[COMMIT]");
    }
    let groups: Vec<&str> = word.split('-').collect();
    if groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(|g| hex(g)) {
        return Some("[UUID]");
    }
    let shape: String = word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let is_time = shape.starts_with("0000-00-00T00:00:00") && word.ends_with('Z');
    is_time.then_some("[TIME]")
}

/// `document`, indented, with `[NUMBER]` and `[STRING]` in place of values that differ.
pub fn json(document: &Value) -> String {
    let mut document = document.clone();
    redact_values(&mut document);
    serde_json::to_string_pretty(&document).expect("a JSON value can be written")
}

fn redact_values(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if value.is_number() && NUMBERS.contains(&key.as_str()) {
                    *value = Value::from("[NUMBER]");
                } else if value.is_string() && STRINGS.contains(&key.as_str()) {
                    *value = Value::from("[STRING]");
                } else {
                    redact_values(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redact_values),
        _ => {}
    }
}
