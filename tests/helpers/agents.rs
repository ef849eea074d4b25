//! Scripted agents: programs that answer like pi and do what the test wrote down.
//!
//! A play is POSIX shell text made of the words of `fixtures/agents/words.sh` (`commit`, `answer stop`, `here`,
//! `wait_for_go`, `forever`, `tool '…'` …) and of plain commands. A ticket's play is chosen by the prompt, and may
//! differ from attempt to attempt. Every call is recorded: arguments, environment, folder, open files, identity.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::process::Process;
use super::sandbox::{Sandbox, write_program};
use super::wait;

/// The words that a play is made of.
const WORDS: &str = include_str!("../../fixtures/agents/words.sh");
/// The program that plays leave behind.
const SURVIVOR: &str = include_str!("../../fixtures/agents/survivor.sh");

/// A play that commits one file and stops normally.
pub const COMMITS: &str = "commit; answer stop";
/// A play that stops normally with nothing to show.
pub const DOES_NOTHING: &str = "answer stop";
/// A play that says it is there and then never ends by itself, although it ends when it is told to, like pi.
pub const NEVER_ENDS: &str = "here; forever";

/// A scripted agent, installed in a sandbox.
pub struct ScriptedPi {
    stage: PathBuf,
    /// FIFOs that hold the go for whoever reads them; it is lost when they are closed.
    gates: Mutex<BTreeMap<String, File>>,
}

impl ScriptedPi {
    /// Installs `pi`, version 0.74.2, in place of any other. Until told otherwise it does nothing and says so.
    pub fn new(sandbox: &Sandbox) -> Self {
        Self::of_version(sandbox, "0.74.2")
    }

    /// Installs `pi` of another version.
    pub fn of_version(sandbox: &Sandbox, version: &str) -> Self {
        let package =
            format!("{{\"name\": \"@earendil-works/pi-coding-agent\", \"version\": \"{version}\"}}\n");
        sandbox.write("agents/pi/package.json", package);
        Self::install(sandbox, "pi", version)
    }

    /// Installs an agent that is no pi: it takes any arguments and keeps no session file.
    pub fn other(sandbox: &Sandbox, name: &str) -> Self {
        Self::install(sandbox, name, "none")
    }

    fn install(sandbox: &Sandbox, name: &str, version: &str) -> Self {
        let stage = sandbox.path(format!("stages/{name}"));
        for folder in ["plays", "calls", "here", "gates"] {
            fs::create_dir_all(stage.join(folder)).expect("a folder of the stage");
        }
        write_program(&stage.join("survivor.sh"), SURVIVOR);
        make_fifo(&stage.join("never"));
        let quoted = |path: &Path| format!("'{}'", path.display());
        let program = format!("#!/bin/sh\nstage={}\nversion={version}\n{WORDS}", quoted(&stage));
        // Where npm would put it: the package's description is found above the program's real path.
        let file = sandbox.path(format!("agents/{name}/dist/cli.sh"));
        write_program(&file, program);
        let link = sandbox.bin().join(name);
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link).expect("the earlier agent goes");
        }
        symlink(file, link).expect("a link in the sandbox's bin");
        let agent = Self { stage, gates: Mutex::new(BTreeMap::new()) };
        agent.plays(DOES_NOTHING);
        agent
    }

    /// What it does unless told otherwise.
    pub fn plays(&self, play: &str) {
        self.put("plays/default", play);
    }

    /// What it does for one ticket.
    pub fn plays_for(&self, ticket: &str, play: &str) {
        self.put(&format!("plays/{ticket}/every"), play);
    }

    /// What it does for one ticket, called for the `attempt`th time (from 1).
    pub fn plays_on(&self, ticket: &str, attempt: u32, play: &str) {
        self.put(&format!("plays/{ticket}/{attempt}"), play);
    }

    fn put(&self, relative: &str, play: &str) {
        let path = self.stage.join(relative);
        write_program(&path, format!("{play}\n"));
    }

    /// Waits until something said `here NAME` (for a plain `here`, the ticket's id), and returns its process.
    #[track_caller]
    pub fn wait_here(&self, name: &str) -> Process {
        let file = self.stage.join("here").join(name);
        let pid = wait::until(&format!("an agent to say `here {name}`"), || {
            fs::read_to_string(&file).ok()?.trim().parse().ok()
        });
        wait::until(&format!("the process that said `here {name}`"), || Process::find(pid))
    }

    /// Whether something has said `here NAME`.
    pub fn is_here(&self, name: &str) -> bool {
        self.stage.join("here").join(name).exists()
    }

    /// Lets everyone go on who waits, or will wait, with `wait_for_go NAME` (plain: the ticket's id).
    pub fn go(&self, name: &str) {
        let path = self.stage.join("gates").join(name);
        make_fifo(&path);
        let mut gate = OpenOptions::new().read(true).write(true).open(&path).expect("the gate opens");
        // Each reader takes one line.
        gate.write_all(&[b'\n'; 4096]).expect("the gate takes the go");
        self.gates.lock().expect("no test panics while it opens a gate").insert(name.to_owned(), gate);
    }

    /// The `attempt`th call for `ticket` (from 1); waits until it has begun.
    #[track_caller]
    pub fn call(&self, ticket: &str, attempt: u32) -> Call {
        let folder = self.stage.join("calls").join(ticket).join(attempt.to_string());
        wait::until(&format!("call {attempt} of the agent for {ticket}"), || {
            folder.join("complete").exists().then(|| Call::read(&folder))
        })
    }

    /// How often it has been called for `ticket`.
    pub fn calls(&self, ticket: &str) -> usize {
        let Ok(entries) = fs::read_dir(self.stage.join("calls").join(ticket)) else { return 0 };
        entries.count()
    }

    /// Every ticket that it has been called for.
    pub fn tickets_called(&self) -> Vec<String> {
        let entries = fs::read_dir(self.stage.join("calls")).expect("the stage");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// Makes a FIFO unless it is there: the agent makes its gates too, whoever comes first.
fn make_fifo(path: &Path) {
    let made = rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::from_raw_mode(0o600));
    assert!(matches!(made, Ok(()) | Err(rustix::io::Errno::EXIST)), "could not make {path:?}: {made:?}");
}

/// One call of an agent, as the agent saw it.
#[derive(Debug)]
pub struct Call {
    /// The program's arguments, without its name.
    pub args: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// The folder it ran in.
    pub folder: PathBuf,
    /// Its open files, by number, without those that every process of this run of the tests has.
    pub files: BTreeMap<u32, PathBuf>,
    /// Its process; none where it has ended.
    pub process: Option<Process>,
    /// Its process id.
    pub pid: i32,
    /// Its process group.
    pub pgid: i32,
    /// Its session in the system's sense.
    pub sid: i32,
}

impl Call {
    fn read(folder: &Path) -> Self {
        let text = |name: &str| {
            let bytes = fs::read(folder.join(name)).expect("a complete record of the call");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let words = |name: &str| {
            let text = text(name);
            text.split_terminator('\0').map(str::to_owned).collect::<Vec<_>>()
        };
        let stat = text("stat");
        let numbers: Vec<i32> = stat[stat.rfind(')').expect("a stat line") + 1..]
            .split_ascii_whitespace()
            .skip(1)
            .take(3)
            .map(|number| number.parse().expect("a number"))
            .collect();
        let pid = text("pid").trim().parse().expect("a pid");
        let env = words("env").iter().filter_map(|entry| entry.split_once('=')).map(owned).collect();
        let files = text("files");
        let files = files.lines().filter_map(|line| line.split_once(' '));
        let files = files.map(|(fd, path)| (fd.parse().expect("a file's number"), PathBuf::from(path)));
        let files = files.filter(|(fd, path)| !is_handed_to_the_tests(*fd, path));
        Self {
            args: words("args"),
            env,
            folder: PathBuf::from(text("folder").trim_end_matches('\n')),
            files: files.collect(),
            process: Process::find(pid),
            pid,
            pgid: numbers[1],
            sid: numbers[2],
        }
    }

    /// The argument after `option`.
    pub fn option(&self, option: &str) -> Option<&str> {
        let at = self.args.iter().position(|arg| arg == option)?;
        self.args.get(at + 1).map(String::as_str)
    }

    /// What pi would take for its prompt.
    pub fn prompt(&self) -> Option<&str> {
        self.option("-p").or_else(|| self.option("--print"))
    }
}

/// Whether an open file was handed down to everything by whatever runs the tests.
fn is_handed_to_the_tests(fd: u32, path: &Path) -> bool {
    fd > 2 && fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|ours| ours == path)
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
