//! pi's session file as a reader follows it: who said what, which tools ran, what went wrong.
//!
//! [`Transcript`] takes the file's bytes as it grows and gives out entries. It does no I/O. Every text it gives out is
//! safe for a terminal; what a tool was given is one line, what it answered is its first lines.

use jiff::Timestamp;
use serde_json::Value;

use super::super::printable::printable;
use super::lines::{Line, Lines};

/// How many lines of a tool's answer are shown.
const RESULT_LINES: usize = 8;
/// How long such a line, and a tool call's summary, may be, in characters.
const LINE_CHARS: usize = 200;

/// Something that happened in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, by pi's clock, if it says so.
    pub at: Option<Timestamp>,
    /// What.
    pub kind: EntryKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// The user, or ralph for it, said something.
    UserPrompt(String),
    /// The model thought aloud.
    Thinking(String),
    /// The model said something.
    AssistantText(String),
    /// The model called a tool.
    ToolCall {
        /// The tool.
        name: String,
        /// Its arguments, in one line: the command, the path, or what there is.
        summary: String,
    },
    /// A tool answered.
    ToolResult {
        /// The tool.
        name: String,
        /// Whether it failed.
        is_error: bool,
        /// The first lines of its answer.
        text: String,
        /// How many lines were left out.
        more_lines: usize,
    },
    /// An answer ended otherwise than by a normal stop or a tool call.
    Error {
        /// pi's word for it: `error`, `aborted`, `length`.
        reason: String,
        /// What the provider said.
        message: Option<String>,
    },
    /// Another model is used from here on.
    ModelChange(String),
    /// What had been said was replaced by a summary.
    Compaction,
    /// A line that pi does not write, or one of unreasonable length.
    Unreadable,
}

/// The entries of a session file, read as it grows.
#[derive(Debug, Default)]
pub struct Transcript {
    lines: Lines,
}

impl Transcript {
    /// A transcript at the beginning of its file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the file and gives out the entries that are complete with them.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Entry> {
        let mut entries = Vec::new();
        self.lines.push(bytes, |line| match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => {}
            Line::Whole(line) => match serde_json::from_slice::<Value>(line) {
                Ok(value) => read_entry(&value, &mut entries),
                Err(_) => entries.push(Entry { at: None, kind: EntryKind::Unreadable }),
            },
            Line::TooLong => entries.push(Entry { at: None, kind: EntryKind::Unreadable }),
        });
        entries
    }
}

fn read_entry(entry: &Value, entries: &mut Vec<Entry>) {
    let at = text_of(entry, "timestamp").and_then(|text| text.parse().ok());
    let mut add = |kind| entries.push(Entry { at, kind });
    match text_of(entry, "type") {
        Some("message") => {
            if let Some(message) = entry.get("message") {
                read_message(message, &mut add);
            }
        }
        Some("custom_message") if entry.get("display") == Some(&Value::Bool(true)) => {
            add(EntryKind::UserPrompt(content_text(entry)));
        }
        Some("model_change") => {
            let id = text_of(entry, "modelId").unwrap_or_default();
            let name = text_of(entry, "provider")
                .map_or_else(|| id.to_owned(), |provider| format!("{provider}/{id}"));
            add(EntryKind::ModelChange(one_line(&name)));
        }
        Some("compaction") => add(EntryKind::Compaction),
        _ => {}
    }
}

fn read_message(message: &Value, add: &mut impl FnMut(EntryKind)) {
    match text_of(message, "role") {
        Some("user") => add(EntryKind::UserPrompt(content_text(message))),
        Some("assistant") => read_assistant(message, add),
        Some("toolResult") => {
            let (text, more_lines) = first_lines(&content_text(message));
            add(EntryKind::ToolResult {
                name: one_line(text_of(message, "toolName").unwrap_or_default()),
                is_error: message.get("isError") == Some(&Value::Bool(true)),
                text,
                more_lines,
            });
        }
        // A command that the user ran within pi.
        Some("bashExecution") => {
            let (text, more_lines) = first_lines(&printable(text_of(message, "output").unwrap_or_default()));
            let summary = one_line(text_of(message, "command").unwrap_or_default());
            add(EntryKind::ToolCall { name: "bash".to_owned(), summary });
            let is_error = message.get("exitCode").and_then(Value::as_i64) != Some(0);
            add(EntryKind::ToolResult { name: "bash".to_owned(), is_error, text, more_lines });
        }
        _ => {}
    }
}

fn read_assistant(message: &Value, add: &mut impl FnMut(EntryKind)) {
    for part in message.get("content").and_then(Value::as_array).into_iter().flatten() {
        let said = |name| text_of(part, name).map(printable).filter(|text| !text.trim().is_empty());
        match text_of(part, "type") {
            Some("text") => said("text").into_iter().for_each(|text| add(EntryKind::AssistantText(text))),
            Some("thinking") => said("thinking").into_iter().for_each(|text| add(EntryKind::Thinking(text))),
            Some("toolCall") => add(EntryKind::ToolCall {
                name: one_line(text_of(part, "name").unwrap_or_default()),
                summary: summary(part.get("arguments").unwrap_or(&Value::Null)),
            }),
            _ => {}
        }
    }
    match text_of(message, "stopReason") {
        None | Some("stop" | "toolUse") => {}
        Some(reason) => add(EntryKind::Error {
            reason: one_line(reason),
            message: text_of(message, "errorMessage").map(|text| first_lines(&printable(text)).0),
        }),
    }
}

fn text_of<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

/// The content of a message: a text, or parts of which the texts count.
fn content_text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => printable(text),
        Some(Value::Array(parts)) => {
            let texts: Vec<String> = parts
                .iter()
                .filter_map(|part| match text_of(part, "type") {
                    Some("image") => Some("[image]".to_owned()),
                    _ => text_of(part, "text").map(printable),
                })
                .collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// What a tool was given, in one line: what matters of the tools that pi brings, else all of it.
fn summary(arguments: &Value) -> String {
    let known =
        ["command", "path", "pattern", "url", "query"].iter().find_map(|name| text_of(arguments, name));
    match (known, arguments) {
        (Some(text), _) => one_line(text),
        (None, Value::Null) => String::new(),
        (None, Value::Object(fields)) if fields.is_empty() => String::new(),
        (None, other) => one_line(&other.to_string()),
    }
}

fn one_line(text: &str) -> String {
    // Cut before it is cleaned: a megabyte of a command is not looked at for two hundred characters.
    let start: String = text.chars().take(LINE_CHARS * 8).collect();
    let words: Vec<String> = printable(&start).split_whitespace().map(str::to_owned).collect();
    let whole = start.len() == text.len();
    shortened(&words.join(" "), if whole { "" } else { "…" })
}

fn shortened(line: &str, ending: &str) -> String {
    match line.char_indices().nth(LINE_CHARS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => format!("{line}{ending}"),
    }
}

fn first_lines(text: &str) -> (String, usize) {
    let text = text.trim_end();
    let shown: Vec<String> = text.lines().take(RESULT_LINES).map(|line| shortened(line, "")).collect();
    (shown.join("\n"), text.lines().count().saturating_sub(RESULT_LINES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/fixtures/pi/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn kinds(bytes: &[u8]) -> Vec<EntryKind> {
        Transcript::new().push(bytes).into_iter().map(|entry| entry.kind).collect()
    }

    fn call(name: &str, summary: &str) -> EntryKind {
        EntryKind::ToolCall { name: name.to_owned(), summary: summary.to_owned() }
    }

    fn result(is_error: bool, text: &str) -> EntryKind {
        EntryKind::ToolResult { name: "bash".to_owned(), is_error, text: text.to_owned(), more_lines: 0 }
    }

    fn failure(reason: &str, message: &str) -> EntryKind {
        EntryKind::Error { reason: reason.to_owned(), message: Some(message.to_owned()) }
    }

    #[test]
    fn a_session_of_old_and_new_pi_reads_the_same() {
        for version in ["0.74.2", "1.5.2"] {
            let found = kinds(&fixture(&format!("{version}/tool.jsonl")));
            assert_eq!(
                found,
                [
                    EntryKind::ModelChange("stub/stub-1".to_owned()),
                    EntryKind::UserPrompt("Look around in this folder".to_owned()),
                    EntryKind::AssistantText("I will look around.".to_owned()),
                    call("bash", "echo hello; echo world"),
                    result(false, "hello\nworld"),
                    EntryKind::AssistantText("You said: Look around in this folder ".to_owned()),
                ],
                "{version}"
            );
        }
    }

    #[test]
    fn what_went_wrong_is_seen() {
        let failed = kinds(&fixture("0.74.2/tool-error.jsonl"));
        assert!(failed.contains(&result(true, "oops\n\n\nCommand exited with code 3")), "{failed:?}");
        let old = kinds(&fixture("0.74.2/error.jsonl"));
        assert_eq!(old.iter().filter(|kind| **kind == failure("error", "500 stub failure")).count(), 4);
        let length = EntryKind::Error { reason: "length".to_owned(), message: None };
        assert_eq!(kinds(&fixture("1.5.2/length.jsonl")).last(), Some(&length));
        let aborted = kinds(&fixture("1.5.2/terminated.jsonl"));
        assert_eq!(aborted.last(), Some(&failure("aborted", "This operation was aborted")));
    }

    #[test]
    fn entries_come_as_the_file_grows_wherever_it_is_cut() {
        let whole = fixture("1.5.2/tool.jsonl");
        let wanted = Transcript::new().push(&whole);
        assert!(wanted.iter().all(|entry| entry.at.is_some()));
        for size in [1, 7, 100, 4096] {
            let mut transcript = Transcript::new();
            let found: Vec<Entry> = whole.chunks(size).flat_map(|piece| transcript.push(piece)).collect();
            assert_eq!(found, wanted, "in pieces of {size}");
        }
        let last = whole.len() - 1;
        assert_eq!(
            Transcript::new().push(&whole[..last]).len(),
            wanted.len() - 1,
            "an unfinished line was read"
        );
    }

    #[test]
    fn long_answers_are_cut_and_control_sequences_taken_out() {
        let long = (0..100).map(|n| format!("\u{1b}[31mline {n}\u{1b}[0m")).collect::<Vec<_>>().join("\n");
        let entry =
            |message: Value| serde_json::json!({"type": "message", "message": message}).to_string() + "\n";
        let found = kinds(
            entry(serde_json::json!({
                "role": "toolResult", "toolName": "x\u{7}", "content": [{"type": "text", "text": long}]
            }))
            .as_bytes(),
        );
        let [EntryKind::ToolResult { name, text, more_lines, is_error: false }] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((name.as_str(), *more_lines), ("x", 92));
        assert!(text.starts_with("line 0\nline 1\n") && text.ends_with("line 7"), "{text}");

        let command = format!("first\nsecond {}", "x".repeat(1_000_000));
        let found = kinds(
            entry(serde_json::json!({"role": "assistant", "content": [
                {"type": "toolCall", "name": "bash", "arguments": {"command": command}},
                {"type": "toolCall", "name": "other", "arguments": {"a": [1, 2]}},
                {"type": "toolCall", "name": "none", "arguments": {}},
                {"type": "thinking", "thinking": "hm"},
                {"type": "text", "text": " "},
            ]}))
            .as_bytes(),
        );
        let EntryKind::ToolCall { summary, .. } = &found[0] else { panic!("{found:?}") };
        assert!(summary.starts_with("first second xxx") && summary.ends_with('…'), "{summary}");
        assert_eq!(summary.chars().count(), LINE_CHARS + 1);
        let rest = [call("other", r#"{"a":[1,2]}"#), call("none", ""), EntryKind::Thinking("hm".to_owned())];
        assert_eq!(found[1..], rest);
    }

    #[test]
    fn what_is_not_understood_is_skipped_and_what_is_broken_is_said() {
        let found = kinds(
            concat!(
                r#"{"type":"from_the_future","message":{"role":"user","content":"x"}}"#,
                "\n\nnot json\n",
                r#"{"type":"message","message":{"role":"user","content":"plain text"}}"#,
                "\n[]\n{}\n",
            )
            .as_bytes(),
        );
        assert_eq!(found, [EntryKind::Unreadable, EntryKind::UserPrompt("plain text".to_owned())]);
    }

    #[test]
    fn what_has_no_text_is_named() {
        let found = kinds(
            concat!(
                r#"{"type":"compaction","summary":"long"}"#,
                "\n",
                r#"{"type":"custom_message","display":true,"content":"shown"}"#,
                "\n",
                r#"{"type":"custom_message","display":false,"content":"hidden"}"#,
                "\n",
                r#"{"type":"message","message":{"role":"user","content":[{"type":"text","text":"see"},"#,
                r#"{"type":"image","data":"AAAA","mimeType":"image/png"}]}}"#,
                "\n",
                r#"{"type":"message","message":{"role":"bashExecution","command":"ls","output":"a\n","exitCode":1}}"#,
                "\n",
            )
            .as_bytes(),
        );
        let wanted = [
            EntryKind::Compaction,
            EntryKind::UserPrompt("shown".to_owned()),
            EntryKind::UserPrompt("see\n[image]".to_owned()),
            call("bash", "ls"),
            result(true, "a"),
        ];
        assert_eq!(found, wanted);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(pieces: Vec<Vec<u8>>) {
            let mut transcript = Transcript::new();
            for piece in pieces {
                transcript.push(&piece);
            }
        }

        #[test]
        fn no_message_makes_it_panic(
            role in "user|assistant|toolResult|bashExecution|x",
            content in "null|1|\"a\"|\\[\\]|\\[1\\]|\\[\\{\"type\":\"text\"\\}\\]|\\[\\{\"type\":\"toolCall\",\"arguments\":3\\}\\]",
        ) {
            let line = format!(r#"{{"type":"message","message":{{"role":"{role}","content":{content}}}}}"#);
            Transcript::new().push(format!("{line}\n").as_bytes());
        }
    }
}
