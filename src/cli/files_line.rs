//! One line that says how far the files of a worktree are written, where that takes longer than one waits gladly.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::render::{Form, Out};
use crate::git::{CheckoutProgress, CheckoutStage};

/// Nothing is shown of what is over sooner.
const PATIENCE: Duration = Duration::from_millis(500);
const RHYTHM: Duration = Duration::from_millis(100);

/// Does the work; what it says of its files meanwhile is shown on standard error: on a terminal in place, else once.
pub fn shown<T>(progress: &CheckoutProgress, out: &Out, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let (done, until) = channel::<()>();
        scope.spawn(move || watch(progress, out, &until));
        let result = work();
        drop(done);
        result
    })
}

fn watch(progress: &CheckoutProgress, out: &Out, until: &Receiver<()>) {
    let over = |patience| !matches!(until.recv_timeout(patience), Err(RecvTimeoutError::Timeout));
    if over(PATIENCE) {
        return;
    }
    let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(one_message());
    // Where that is no terminal, or one that cannot go back.
    if !line.is_hidden() {
        loop {
            if let Some(text) = words(progress.stage()) {
                line.set_message(text);
                line.tick();
            }
            if over(RHYTHM) {
                return line.finish_and_clear();
            }
        }
    }
    loop {
        if let Some(text) = words(progress.stage()) {
            if out.form() == Form::Text {
                out.note(&text);
            }
            return;
        }
        if over(RHYTHM) {
            return;
        }
    }
}

/// A line that is a message and nothing else.
pub fn one_message() -> ProgressStyle {
    // `wide_msg` cuts the text at the terminal's width.
    ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// What is said of it; nothing where no files are being written.
pub fn words(stage: CheckoutStage) -> Option<String> {
    match stage {
        CheckoutStage::Idle => None,
        CheckoutStage::Written { files, of } => {
            Some(format!("writing the worktree's files: {files} of {of}"))
        }
        CheckoutStage::ByGit => Some("git writes the worktree's files".to_owned()),
    }
}
