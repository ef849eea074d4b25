//! What holds of what pi writes whatever its bytes are: however a file grows, the same is read of it; what is given out
//! is bounded and safe for a terminal, and counts stay numbers.

use super::lines::Lines;
use super::session_file::{SessionEvidence, take_rest};
use super::transcript::{Entry, EntryKind, Transcript};
use super::version::PiVersion;

/// A session file, as evidence and as a transcript, read at once and in pieces as long as the first byte says.
pub(crate) fn session(data: &[u8]) {
    let Some((size, file)) = data.split_first() else { return };
    let size = usize::from(*size).max(1);
    let whole = evidence(std::iter::once(file));
    assert_eq!(evidence(file.chunks(size)), whole, "in pieces of {size} bytes");
    assert_eq!(whole.bytes, file.len() as u64);
    assert!(whole.usage.cost.is_finite() && whole.usage.cost >= 0.0, "{:?}", whole.usage);
    assert!(whole.rate_limited + whole.provider_errors <= whole.assistant_messages);
    let texts = [whole.last_error.as_deref(), whole.model.as_deref()];
    let stop = whole.last_stop_reason.as_ref().map(|reason| reason.as_str());
    for text in texts.into_iter().chain([stop]).flatten() {
        assert!(text.chars().count() <= 2001, "{} characters", text.chars().count());
        assert!(is_safe(text), "{text:?}");
    }
    let entries = transcript(std::iter::once(file));
    assert_eq!(transcript(file.chunks(size)), entries, "in pieces of {size} bytes");
    assert!(entries.iter().flat_map(texts_of).all(is_safe), "{entries:?}");
}

/// A version, as pi's package file has it.
pub(crate) fn version(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<PiVersion>() {
        Ok(version) => assert_eq!(version.to_string().parse().ok(), Some(version)),
        Err(error) => assert!(error.to_string().len() < 1000),
    }
}

fn evidence<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> SessionEvidence {
    let (mut evidence, mut lines) = (SessionEvidence::default(), Lines::default());
    for mut piece in pieces {
        let read = take_rest(&mut piece, &mut lines, &mut evidence);
        assert!(read.is_ok(), "memory can be read");
    }
    evidence
}

fn transcript<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Entry> {
    let mut transcript = Transcript::new();
    pieces.flat_map(|piece| transcript.push(piece)).collect()
}

fn texts_of(entry: &Entry) -> Vec<&str> {
    match &entry.kind {
        EntryKind::UserPrompt(text)
        | EntryKind::Thinking(text)
        | EntryKind::AssistantText(text)
        | EntryKind::ModelChange(text) => vec![text],
        EntryKind::ToolCall { name, summary } => vec![name, summary],
        EntryKind::ToolResult { name, text, .. } => vec![name, text],
        EntryKind::Error { reason, message } => {
            std::iter::once(reason).chain(message).map(String::as_str).collect()
        }
        EntryKind::Compaction | EntryKind::Unreadable => Vec::new(),
    }
}

fn is_safe(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'))
}
