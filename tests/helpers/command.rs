//! Starting a program in a sandbox and seeing how it ended. Nothing here waits without end: a program that does not
//! come back is killed, and the test fails with what it had said so far.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;

use rustix::process::Signal;

use super::process::Process;
use super::sandbox::Sandbox;
use super::terminal::Terminal;
use super::wait;

/// Held by whoever starts a program, and alone by whoever writes one: a child that was forked in between would hold
/// the new program open for writing until its own exec, and to run it then fails with "text file busy".
pub(super) static NO_PROGRAM_IS_WRITTEN: RwLock<()> = RwLock::new(());

/// A program that is about to be started.
#[must_use = "nothing runs before `run` or `spawn`"]
pub struct Invocation<'s> {
    sandbox: &'s Sandbox,
    program: PathBuf,
    args: Vec<OsString>,
    folder: PathBuf,
    env: Vec<(OsString, Option<OsString>)>,
    input: Option<Vec<u8>>,
}

impl<'s> Invocation<'s> {
    pub(super) fn new(sandbox: &'s Sandbox, program: PathBuf, args: &[&str]) -> Self {
        let args = args.iter().map(OsString::from).collect();
        Self { sandbox, program, args, folder: sandbox.work(), env: Vec::new(), input: None }
    }

    /// Adds an argument, which need not be UTF-8.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Asks for JSON: before whatever else there is, since what follows `--` is not ralph's.
    pub fn json(mut self) -> Self {
        self.args.insert(0, "--json".into());
        self
    }

    /// Runs in `folder`.
    pub fn in_dir(mut self, folder: impl AsRef<Path>) -> Self {
        folder.as_ref().clone_into(&mut self.folder);
        self
    }

    /// Sets a variable for this program only.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Takes a variable away from this program only.
    pub fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), None));
        self
    }

    /// Gives it `input` to read instead of nothing.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// The command, for a test that needs its own streams.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&self.folder).env_clear().envs(self.sandbox.env());
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Starts it.
    pub fn spawn(self) -> Running {
        let mut command = self.command();
        command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        let what = self.what();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let starting = NO_PROGRAM_IS_WRITTEN.read().expect("no test panics while it writes a program");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("could not start {what}: {error}"));
        drop(starting);
        let stdout = Stream::read(child.stdout.take().expect("a pipe"));
        let stderr = Stream::read(child.stderr.take().expect("a pipe"));
        if let Some(input) = self.input {
            let mut pipe = child.stdin.take().expect("a pipe");
            // A program may end without reading all of it.
            std::thread::spawn(move || drop(pipe.write_all(&input)));
        }
        Running { child, stdout, stderr, what, ended: None }
    }

    /// Starts it on a terminal of its own.
    pub fn on_terminal(self) -> Terminal {
        let (command, what) = (self.command(), self.what());
        let _starting = NO_PROGRAM_IS_WRITTEN.read().expect("no test panics while it writes a program");
        Terminal::start(&command, what)
    }

    fn what(&self) -> String {
        format!("{} (in {})", Shown(&self.command()), self.folder.display())
    }

    /// Runs it to its end.
    pub fn run(self) -> Finished {
        self.spawn().wait()
    }
}

/// A command as a person would type it.
struct Shown<'c>(&'c Command);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Path::new(self.0.get_program()).file_name().unwrap_or_default().display())?;
        self.0.get_args().try_for_each(|arg| write!(f, " {}", arg.display()))
    }
}

/// What a program says, read while it runs.
struct Stream {
    said: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Stream {
    fn read(mut pipe: impl Read + Send + 'static) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&said);
        let reader = std::thread::spawn(move || {
            let mut part = [0; 16 * 1024];
            while let Ok(length @ 1..) = pipe.read(&mut part) {
                shared.lock().expect("no reader panics").extend_from_slice(&part[..length]);
            }
        });
        Self { said, reader }
    }

    fn bytes(&self) -> Vec<u8> {
        self.said.lock().expect("no reader panics").clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn is_at_its_end(&self) -> bool {
        self.reader.is_finished()
    }
}

/// A program that was started. It is killed when this is dropped unfinished.
pub struct Running {
    child: Child,
    stdout: Stream,
    stderr: Stream,
    what: String,
    ended: Option<ExitStatus>,
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().expect("pids are small")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let process = Process::find(self.pid());
        process.unwrap_or_else(|| panic!("{} has ended: no {signal:?} for it", self.what)).signal(signal);
    }

    /// What it has written to its standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to its standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until `text` stands in what it has written to either stream.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let seen = wait::within(wait::DEADLINE, || {
            (self.stdout().contains(text) || self.stderr().contains(text)).then_some(())
        });
        assert!(seen.is_some(), "{} did not say {text:?}:\n{}", self.what, self.said());
    }

    /// Waits until it listens for Ctrl-C, for its terminal's end and for a request to end: before, a signal would only
    /// end it.
    #[track_caller]
    pub fn wait_until_it_listens(&self) {
        wait::until("the program to listen for signals", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim();
            let all = [Signal::HUP, Signal::INT, Signal::TERM].map(|signal| 1 << (signal.as_raw() - 1));
            let all: u64 = all.iter().sum();
            (u64::from_str_radix(caught, 16).ok()? & all == all).then_some(())
        });
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("our own child can be waited for");
        }
        self.ended.is_some()
    }

    /// Waits for its end, and for the end of what it says: a process that it left behind and that still holds its
    /// output would keep `$(ralph …)` waiting, so it fails the test.
    #[track_caller]
    pub fn wait(mut self) -> Finished {
        let ended = wait::within(wait::DEADLINE, || self.has_ended().then_some(()));
        let Some(status) = self.ended.filter(|_| ended.is_some()) else {
            panic!("{} did not end within {:?}:\n{}", self.what, wait::DEADLINE, self.said());
        };
        let closed = wait::within(wait::DEADLINE, || {
            (self.stdout.is_at_its_end() && self.stderr.is_at_its_end()).then_some(())
        });
        assert!(closed.is_some(), "{} ended, but its output is still held open:\n{}", self.what, self.said());
        Finished {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            stdout_bytes: self.stdout.bytes(),
            what: self.what.clone(),
        }
    }

    fn said(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.stdout(), self.stderr())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() {
            // It may have ended since; either way it is reaped.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// How a program ended, and what it said.
#[derive(Debug)]
#[must_use = "a program that ran ended in some way"]
pub struct Finished {
    /// Its exit status, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its standard output, with U+FFFD for what is not UTF-8.
    pub stdout: String,
    /// Its standard error, likewise.
    pub stderr: String,
    /// Its standard output as it was.
    pub stdout_bytes: Vec<u8>,
    pub(super) what: String,
}

impl Finished {
    /// Fails unless it exited with `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "the exit status of {self}");
        self
    }

    /// Fails unless it exited with 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.expect_code(0)
    }

    /// Its standard output, which is one JSON document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("no JSON document ({e}): {self}"))
    }

    /// Its standard output, which is one JSON document a line.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("no JSON ({e}): {line}\nin {self}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The error that it reported as JSON on its standard error: `{"kind", "message", "hint"}`.
    #[track_caller]
    pub fn error(&self) -> serde_json::Value {
        let document: Option<serde_json::Value> =
            self.stderr.lines().find_map(|l| serde_json::from_str(l).ok());
        let document = document.or_else(|| serde_json::from_str(&self.stderr).ok());
        let error = document.and_then(|mut document| Some(document.get_mut("error")?.take()));
        error.unwrap_or_else(|| panic!("no JSON error: {self}"))
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, signal, stdout, stderr, what, .. } = self;
        write!(f, "{what}\ncode {code:?}, signal {signal:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}
