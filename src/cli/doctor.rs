//! `ralph doctor`: what ralph needs, on this machine and in this repository.
//!
//! `look` finds out, and changes nothing; `judge` says what that means. The value of no variable and of no key is
//! ever printed: names only.

mod facts;
mod judge;
mod look;

use serde::Serialize;

use super::args::Global;
use super::error::CliResult;
use super::exit::Exit;
use super::render::{Cell, Form, Out, Tone, clean, one_line, table};

/// One thing that was checked, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    status: Status,
    detail: String,
    advice: Option<String>,
}

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// It is as it should be.
    Ok,
    /// It works, or may work, with less than was hoped.
    Warning,
    /// It is needed, and is not there or cannot be used.
    Missing,
    /// It could not be checked here, and no one needs it here.
    Skipped,
}

impl Finding {
    fn new(check: &'static str, status: Status, detail: impl Into<String>) -> Self {
        Self { check, status, detail: detail.into(), advice: None }
    }

    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, detail)
    }

    fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Missing => "missing",
            Self::Skipped => "skipped",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Warning => Tone::Doubtful,
            Self::Missing => Tone::Bad,
            Self::Skipped => Tone::Faint,
        }
    }
}

/// Runs the command.
pub fn run(global: &Global, out: &Out) -> CliResult {
    let findings = judge::judge(&look::look(global)?);
    let missing = findings.iter().filter(|finding| finding.status == Status::Missing).count();
    match out.form() {
        Form::Json => out.json(&findings)?,
        Form::Text => show(&findings, out)?,
    };
    match missing {
        0 => out.note("everything that ralph needs is there"),
        1 => out.note("one thing that ralph needs is missing"),
        several => out.note(&format!("{several} things that ralph needs are missing")),
    }
    Ok(if missing == 0 { Exit::Done } else { Exit::CannotDo })
}

fn show(findings: &[Finding], out: &Out) -> CliResult {
    let rows: Vec<Vec<Cell>> = findings
        .iter()
        .map(|finding| {
            vec![
                Cell::toned(finding.check, Tone::Strong),
                Cell::toned(finding.status.word(), finding.status.tone()),
                Cell::plain(one_line(&finding.detail)),
            ]
        })
        .collect();
    let indent = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0) + 2;
    let lines = table(&["CHECK", "STATUS", "DETAIL"], &rows);
    let advice = std::iter::once(None).chain(findings.iter().map(|finding| finding.advice.as_deref()));
    for (line, advice) in lines.iter().zip(advice) {
        out.line(line)?;
        if let Some(advice) = advice {
            out.line(&format!("{:indent$}→ {}", "", clean(advice)))?;
        }
    }
    Ok(Exit::Done)
}
