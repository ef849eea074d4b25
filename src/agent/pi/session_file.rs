//! What pi's session file proves about how a session went.
//!
//! pi appends one JSON object a line; the last assistant message's stop reason says how the run ended, in every
//! version. The file is read as a stream and never trusted: what is not understood is skipped and counted, a line
//! that has not ended is not there yet. A file that does not exist is a session in which nothing was said: old pi
//! writes it with the first answer.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::super::printable::printable;
use super::lines::{Line, Lines};
use super::touched::Touched;
use crate::durable::{self, FileError};

/// As many bytes are read of one session's part at most. A session of hours has some tens of megabytes, and every image that
/// its tools returned adds its own; an agent can make a file of petabytes by one call. To read so many takes some eight seconds.
pub const LONGEST: u64 = 1 << 30;

/// The longest error message or model name that is kept, in characters.
const LONGEST_TEXT: usize = 2000;
/// No more files are kept.
const MOST_TOUCHED: usize = 1000;

/// What a session file shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SessionEvidence {
    /// Why the last assistant message ended; `None` where there is none.
    pub last_stop_reason: Option<StopReason>,
    /// The error of the last assistant message, if it ended with one; without control characters.
    pub last_error: Option<String>,
    /// What was used, summed over everything that reports it, failed attempts and compactions included.
    pub usage: Usage,
    /// The model of the last assistant message, as `provider/model`.
    pub model: Option<String>,
    /// How many assistant messages there are, failed attempts included.
    pub assistant_messages: u64,
    /// How many of them failed because of a rate limit.
    pub rate_limited: u64,
    /// How many of them failed for another reason.
    pub provider_errors: u64,
    /// Lines that are not what pi writes: no JSON, or too long.
    pub skipped_lines: u64,
    /// Bytes read, from where the reading began.
    pub bytes: u64,
    /// The files that its tools were told to write or edit, as they were named: absolute, or from the worktree.
    pub touched: BTreeSet<String>,
}

/// Tokens and money, as pi counted them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// Tokens sent, those read from and written to a cache included.
    pub input: u64,
    /// Tokens received.
    pub output: u64,
    /// What it cost, in US dollars.
    pub cost: f64,
}

/// Why an assistant message ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The model had finished.
    Stop,
    /// It had reached its output limit.
    Length,
    /// It called a tool: there should have been more.
    ToolUse,
    /// The provider failed.
    Error,
    /// It was aborted.
    Aborted,
    /// A reason that is not known here.
    Other(String),
}

impl StopReason {
    fn parse(text: &str) -> Self {
        match text {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "toolUse" => Self::ToolUse,
            "error" => Self::Error,
            "aborted" => Self::Aborted,
            other => Self::Other(bounded(other)),
        }
    }

    /// The word that pi writes.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolUse => "toolUse",
            Self::Error => "error",
            Self::Aborted => "aborted",
            Self::Other(other) => other,
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads the session file from the byte `from` (0, or where an earlier session's part ends) to its end.
pub fn read(path: &Path, from: u64) -> Result<SessionEvidence, FileError> {
    let file = match durable::open_no_follow(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(SessionEvidence::default()),
        Err(e) => return Err(FileError::io("open the session file", path, e)),
    };
    read_from(file, from).map_err(|e| FileError::io("read the session file", path, e))
}

fn read_from(mut file: File, from: u64) -> io::Result<SessionEvidence> {
    refuse_endless(&file, from)?;
    file.seek(SeekFrom::Start(from))?;
    let mut evidence = SessionEvidence::default();
    take_rest(&mut file, &mut Lines::default(), &mut evidence)?;
    Ok(evidence)
}

/// Refuses a file with too much in it, before any of it is read.
fn refuse_endless(file: &File, from: u64) -> io::Result<()> {
    if file.metadata()?.len().saturating_sub(from) > LONGEST { Err(endless()) } else { Ok(()) }
}

fn endless() -> io::Error {
    let why = format!("it has more than {LONGEST} bytes, and no session's record is so long");
    io::Error::new(io::ErrorKind::FileTooLarge, why)
}

pub(super) fn take_rest(
    file: &mut impl Read,
    lines: &mut Lines,
    evidence: &mut SessionEvidence,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        evidence.bytes += read as u64;
        if evidence.bytes > LONGEST {
            return Err(endless());
        }
        lines.push(buffer.get(..read).unwrap_or_default(), |line| evidence.take(&line));
    }
}

/// What a follower reads.
#[derive(Debug)]
enum Source {
    /// Nothing yet.
    Unopened,
    Open(File),
    /// Nothing any more: it cannot be what pi wrote.
    Endless,
}

/// A session file that is read as it grows.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    from: u64,
    source: Source,
    lines: Lines,
    evidence: SessionEvidence,
}

impl Follower {
    /// Of the session file at `path`, from the byte `from` on.
    pub fn new(path: PathBuf, from: u64) -> Self {
        let (lines, evidence) = (Lines::default(), SessionEvidence::default());
        Self { path, from, source: Source::Unopened, lines, evidence }
    }

    /// What it shows by now. A file that is not there yet, or cannot be read, shows no more than before.
    pub fn look(&mut self) -> &SessionEvidence {
        if matches!(self.source, Source::Unopened)
            && let Ok(file) = self.open()
        {
            self.source = Source::Open(file);
        }
        if let Source::Open(file) = &mut self.source {
            let read = refuse_endless(file, self.from)
                .and_then(|()| take_rest(file, &mut self.lines, &mut self.evidence));
            self.source = match read {
                Ok(()) => return &self.evidence,
                Err(e) if e.kind() == io::ErrorKind::FileTooLarge => Source::Endless,
                Err(_) => Source::Unopened,
            };
        }
        &self.evidence
    }

    /// Opens it behind what was read of it.
    fn open(&self) -> io::Result<File> {
        let mut file = durable::open_no_follow(&self.path)?;
        file.seek(SeekFrom::Start(self.from.saturating_add(self.evidence.bytes)))?;
        Ok(file)
    }
}

/// The parts of an entry that are evidence. Every one of them may hold anything; what is not named here (above all
/// the content) is passed over without being built.
#[derive(Deserialize)]
struct Entry {
    #[serde(default, rename = "type")]
    kind: Value,
    #[serde(default)]
    message: Option<Message>,
    #[serde(default)]
    usage: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    #[serde(default)]
    role: Value,
    #[serde(default)]
    stop_reason: Value,
    #[serde(default)]
    error_message: Value,
    #[serde(default)]
    provider: Value,
    #[serde(default)]
    model: Value,
    #[serde(default)]
    usage: Value,
    #[serde(default)]
    content: Touched,
}

impl SessionEvidence {
    fn take(&mut self, line: &Line<'_>) {
        let entry: Entry = match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => return,
            Line::Whole(line) => match serde_json::from_slice(line) {
                Ok(entry) => entry,
                Err(_) => return self.skipped_lines += 1,
            },
            Line::TooLong => return self.skipped_lines += 1,
        };
        self.usage.add(&entry.usage);
        let Some(message) = entry.message.filter(|_| entry.kind == "message") else { return };
        self.usage.add(&message.usage);
        if message.role == "assistant" {
            self.take_assistant(&message);
            let room = MOST_TOUCHED.saturating_sub(self.touched.len());
            self.touched.extend(message.content.0.into_iter().take(room));
        }
    }

    fn take_assistant(&mut self, message: &Message) {
        let stop_reason = message.stop_reason.as_str().map(StopReason::parse);
        let error = message.error_message.as_str().filter(|text| !text.is_empty()).map(bounded);
        self.assistant_messages += 1;
        if stop_reason == Some(StopReason::Error) {
            match error.as_deref().is_some_and(is_rate_limit) {
                true => self.rate_limited += 1,
                false => self.provider_errors += 1,
            }
        }
        self.last_stop_reason = stop_reason;
        self.last_error = error;
        if let Some(model) = message.model.as_str().filter(|model| !model.is_empty()) {
            let provider = message.provider.as_str().map_or_else(String::new, |name| format!("{name}/"));
            self.model = Some(bounded(&format!("{provider}{model}")));
        }
    }
}

impl Usage {
    fn add(&mut self, usage: &Value) {
        let tokens = |name| usage.get(name).map_or(0, whole);
        for name in ["input", "cacheRead", "cacheWrite"] {
            self.input = self.input.saturating_add(tokens(name));
        }
        self.output = self.output.saturating_add(tokens("output"));
        let cost = usage.pointer("/cost/total").and_then(Value::as_f64).unwrap_or_default();
        // A made-up cost must not turn the sum into something that cannot be written as JSON.
        if cost > 0.0 && (self.cost + cost).is_finite() {
            self.cost += cost;
        }
    }
}

/// A count of tokens; one with a fraction, as some providers estimate, is cut.
fn whole(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_f64().map(|number| number as u64)).unwrap_or_default()
}

fn bounded(text: &str) -> String {
    let mut safe = printable(text);
    if let Some((end, _)) = safe.char_indices().nth(LONGEST_TEXT) {
        safe.truncate(end);
        safe.push('…');
    }
    safe
}

/// Whether a provider's error says that it was asked too much; providers agree on the status and on little else.
fn is_rate_limit(message: &str) -> bool {
    const WORDS: &[&str] = &["rate limit", "rate-limit", "rate_limit", "ratelimit", "too many requests"];
    let lower = message.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
        || lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "429")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::path::PathBuf;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pi").join(name)
    }

    fn evidence(content: impl AsRef<[u8]>) -> SessionEvidence {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.jsonl");
        fs::write(&path, content).unwrap();
        read(&path, 0).unwrap()
    }

    const fn usage(input: u64, output: u64, cost: f64) -> Usage {
        Usage { input, output, cost }
    }

    #[test]
    fn files_of_old_and_new_pi_say_how_the_session_ended() {
        use StopReason::{Aborted, Error, Length, Stop, ToolUse};
        let once = usage(120, 15, 0.000_531_000_000_000_000_1);
        let twice = usage(240, 30, 0.001_062_000_000_000_000_2);
        let nothing = Usage::default();
        // file, stop reason, error, usage, assistant messages, rate limits, other errors
        let cases = [
            ("0.74.2/tool.jsonl", Stop, None, twice, 2, 0, 0),
            ("0.74.2/length.jsonl", Length, None, once, 1, 0, 0),
            ("0.74.2/error.jsonl", Error, Some("500 stub failure"), nothing, 4, 0, 4),
            ("0.74.2/rate-limit.jsonl", Stop, None, once, 2, 1, 0),
            ("0.74.2/terminated.jsonl", ToolUse, None, once, 1, 0, 0),
            ("0.74.2/resumed.jsonl", Stop, None, twice, 2, 0, 0),
            ("1.5.2/tool.jsonl", Stop, None, twice, 2, 0, 0),
            ("1.5.2/length.jsonl", Length, None, once, 1, 0, 0),
            (
                "1.5.2/error.jsonl",
                Error,
                Some(r#"500: {"message":"stub failure","type":"server_error"}"#),
                nothing,
                4,
                0,
                4,
            ),
            ("1.5.2/rate-limit.jsonl", Stop, None, once, 3, 2, 0),
            ("1.5.2/terminated.jsonl", Aborted, Some("This operation was aborted"), once, 2, 0, 0),
        ];
        for (name, stop, error, usage, messages, limited, errors) in cases {
            let path = fixture(name);
            let found = read(&path, 0).unwrap();
            let wanted = SessionEvidence {
                last_stop_reason: Some(stop),
                last_error: error.map(str::to_owned),
                usage,
                model: Some("stub/stub-1".to_owned()),
                assistant_messages: messages,
                rate_limited: limited,
                provider_errors: errors,
                skipped_lines: 0,
                bytes: fs::metadata(&path).unwrap().len(),
                touched: BTreeSet::new(),
            };
            assert_eq!(found, wanted, "{name}");
        }
    }

    #[test]
    fn a_retry_counts_from_the_end_of_the_copy_it_began_with() {
        let before = fs::metadata(fixture("0.74.2/terminated.jsonl")).unwrap().len();
        let found = read(&fixture("0.74.2/resumed.jsonl"), before).unwrap();
        assert_eq!(found.last_stop_reason, Some(StopReason::Stop));
        assert_eq!((found.assistant_messages, found.usage.input), (1, 120));
        assert_eq!(read(&fixture("0.74.2/resumed.jsonl"), 1 << 40).unwrap(), SessionEvidence::default());
    }

    #[test]
    fn a_session_without_a_file_said_nothing() {
        assert_eq!(read(Path::new("/no/such/file"), 0).unwrap(), SessionEvidence::default());
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path(), 0).is_err());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(fixture("0.74.2/tool.jsonl"), &link).unwrap();
        assert!(read(&link, 0).is_err(), "a link was followed");
    }

    #[test]
    fn a_file_that_no_pi_can_have_written_is_refused_and_followed_no_longer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.jsonl");
        fs::copy(fixture("0.74.2/tool.jsonl"), &path).unwrap();
        let mut follower = Follower::new(path.clone(), 0);
        let before = follower.look().clone();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(8 << 40).unwrap();
        assert!(read(&path, 0).unwrap_err().to_string().contains("no session's record is so long"));
        assert_eq!(*follower.look(), before);
        // What it counts from does not count.
        assert_eq!(read(&path, 8 << 40).unwrap(), SessionEvidence::default());
        file.set_len(before.bytes).unwrap();
        assert_eq!((read(&path, 0).unwrap(), follower.look()), (before.clone(), &before));
    }

    #[test]
    fn one_that_grows_without_end_while_it_is_read_is_not_read_on() {
        let mut evidence = SessionEvidence { bytes: LONGEST - 1, ..SessionEvidence::default() };
        let read = take_rest(&mut io::repeat(b'\n'), &mut Lines::default(), &mut evidence);
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn what_is_not_understood_is_skipped_and_counted() {
        let good =
            r#"{"type":"message","message":{"role":"assistant","stopReason":"stop","usage":{"input":1}}}"#;
        let lines: &[&[u8]] = &[
            good.as_bytes(),
            br#"{"type":"from_the_future","message":{"role":"assistant","stopReason":"error"}}"#,
            br#"{"type":"message","message":{"role":"assistant","stopReason":"deferred","usage":"none"}}"#,
            br#"{"type":"usage","usage":{"input":10,"cacheRead":5,"cost":{"total":0.5}}}"#,
            br#"{"type":"message","message":{"role":"toolResult","usage":{"output":3.7}}}"#,
            b"",
            b"not json",
            b"\xff\xfe",
            b"[1,2]",
            br#"{"type":"message","message":{"role":"assistant","stopReason":"st"#,
        ];
        let found = evidence(lines.join(&b'\n'));
        assert_eq!(found.last_stop_reason, Some(StopReason::Other("deferred".to_owned())));
        assert_eq!(found.assistant_messages, 2);
        assert_eq!(found.usage, usage(16, 3, 0.5));
        assert_eq!(found.skipped_lines, 3);
    }

    #[test]
    fn a_line_that_is_too_long_is_not_held_and_not_the_end() {
        let huge = format!(r#"{{"type":"message","x":"{}"}}"#, "x".repeat(17 << 20));
        let after = r#"{"type":"message","message":{"role":"assistant","stopReason":"stop"}}"#;
        let found = evidence(format!("{huge}\n{after}\n"));
        assert_eq!((found.skipped_lines, found.last_stop_reason), (1, Some(StopReason::Stop)));
    }

    #[test]
    fn numbers_and_texts_that_were_made_up_stay_harmless() {
        let found = evidence(concat!(
            r#"{"type":"message","message":{"role":"assistant","stopReason":"error","model":"m\u001b[31m","#,
            r#""errorMessage":"\u001b]0;x\u0007 bad","usage":{"input":1e300,"output":-5,"cost":{"total":1e308}}}}"#,
            "\n",
            r#"{"type":"usage","usage":{"input":9,"cost":{"total":1e308}}}"#,
            "\n"
        ));
        assert_eq!(found.usage, usage(u64::MAX, 0, 1e308));
        assert_eq!(found.last_error.as_deref(), Some(" bad"));
        assert_eq!(found.model.as_deref(), Some("m"));
        let long = format!(
            "{{\"type\":\"message\",\"message\":{{\"role\":\"assistant\",\"errorMessage\":\"{}\"}}}}\n",
            "é".repeat(9000)
        );
        assert_eq!(evidence(long).last_error.unwrap().chars().count(), LONGEST_TEXT + 1);
    }

    #[test]
    fn rate_limits_are_told_from_other_errors() {
        for (message, wanted) in [
            ("429 Rate limit reached for requests", true),
            ("429: {\"message\":\"x\"}", true),
            ("HTTP 429", true),
            ("rate_limit_error: slow down", true),
            ("Too Many Requests", true),
            ("500 stub failure", false),
            ("invalid id 14290", false),
            ("Connection error.", false),
        ] {
            assert_eq!(is_rate_limit(message), wanted, "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let found = evidence(&bytes);
            prop_assert_eq!(found.bytes, bytes.len() as u64);
        }

        #[test]
        fn no_cut_makes_it_panic(at in 0usize..2000) {
            let whole = fs::read(fixture("0.74.2/tool.jsonl")).unwrap();
            let found = evidence(&whole[..at.min(whole.len())]);
            prop_assert_eq!(found.skipped_lines, 0);
        }
    }
}
