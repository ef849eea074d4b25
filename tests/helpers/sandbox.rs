//! A closed world for one test: its own HOME, settings, temp directory and PATH, in a folder that goes with it.
//!
//! Every process started in it carries a mark. When the sandbox goes, so do they; a test that passes while one is
//! still alive fails, unless it said so beforehand, so that a leak is never silent.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use ralph::process::disposition::is_ignored;
use signal_hook::consts::SIGHUP;

use super::command::Invocation;
use super::process::{self, Mark, Process};
use super::wait;

/// The variable that marks the processes of a sandbox.
pub const MARK: &str = "RALPH_TEST_SANDBOX";

/// How long processes that are on their way out may take after the test's last line.
const WAY_OUT: Duration = Duration::from_secs(10);

/// What a scripted agent or git itself may call; each is linked into the sandbox's PATH where this machine has it.
const TOOLS: &[&str] = &[
    "sh", "git", "cat", "chmod", "cp", "date", "dd", "env", "false", "find", "grep", "head", "kill", "ln",
    "ls", "mkdir", "mkfifo", "mv", "nohup", "readlink", "rm", "rmdir", "sed", "seq", "setsid", "sleep",
    "sort", "stat", "tail", "tee", "timeout", "touch", "tr", "true", "uname", "wc", "yes",
];

/// A closed world for one test.
pub struct Sandbox {
    /// Removes the folder, last of all.
    folder: Option<tempfile::TempDir>,
    root: PathBuf,
    mark: Mark,
    env: Mutex<BTreeMap<OsString, OsString>>,
    leftovers: Mutex<Leftovers>,
}

/// What the test said about processes that outlive it.
struct Leftovers {
    declared: bool,
    way_out: Duration,
}

impl Sandbox {
    /// A new, empty world.
    pub fn new() -> Self {
        HANGUPS.call_once(hear_of_hangups);
        let folder = tempfile::Builder::new().prefix("ralph-test-").tempdir().expect("a temp directory");
        let root = folder.path().canonicalize().expect("the temp directory's real path");
        let value = uuid::Uuid::now_v7().to_string();
        let mark = Mark { name: MARK, value, folder: root.clone() };
        let sandbox = Self {
            folder: Some(folder),
            root,
            mark,
            env: Mutex::new(BTreeMap::new()),
            leftovers: Mutex::new(Leftovers { declared: false, way_out: WAY_OUT }),
        };
        for name in ["home", "config", "data", "state", "cache", "run", "tmp", "bin", "work"] {
            let path = sandbox.path(name);
            fs::create_dir(&path).expect("a folder of the sandbox");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("its mode");
        }
        for tool in TOOLS {
            sandbox.link_tool(tool);
        }
        sandbox.set_first_env();
        sandbox
    }

    fn set_first_env(&self) {
        let folders = [
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_RUNTIME_DIR", "run"),
            ("TMPDIR", "tmp"),
            ("PATH", "bin"),
        ];
        for (name, folder) in folders {
            self.set_env(name, self.path(folder));
        }
        let values = [
            ("TZ", "UTC"),
            ("LC_ALL", "C.UTF-8"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_AUTHOR_NAME", "Ada Author"),
            ("GIT_AUTHOR_EMAIL", "ada@example.invalid"),
            ("GIT_COMMITTER_NAME", "Cole Committer"),
            ("GIT_COMMITTER_EMAIL", "cole@example.invalid"),
        ];
        for (name, value) in values {
            self.set_env(name, value);
        }
        self.set_env(MARK, &self.mark.value);
    }

    /// The sandbox's folder, or a path in it.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// The folder that repositories stand in, and that commands run in unless told otherwise.
    pub fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// The only folder on PATH.
    pub fn bin(&self) -> PathBuf {
        self.path("bin")
    }

    /// What marks this sandbox's processes.
    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Sets a variable for everything that is started from now on.
    pub fn set_env(&self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        let mut env = self.env.lock().expect("no test panics while it sets a variable");
        env.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
    }

    /// Takes a variable away from everything that is started from now on.
    pub fn unset_env(&self, name: impl AsRef<OsStr>) {
        self.env.lock().expect("no test panics while it sets a variable").remove(name.as_ref());
    }

    /// The environment that commands are started with.
    pub fn env(&self) -> BTreeMap<OsString, OsString> {
        self.env.lock().expect("no test panics while it sets a variable").clone()
    }

    /// Links a program of this machine into the sandbox's PATH; says whether the machine has it.
    pub fn link_tool(&self, name: &str) -> bool {
        let Some(program) = process::program_of_this_machine(name) else { return false };
        let link = self.bin().join(name);
        if !link.exists() {
            symlink(program, link).expect("a link in the sandbox's bin");
        }
        true
    }

    /// Takes a program off the sandbox's PATH.
    pub fn remove_tool(&self, name: &str) {
        fs::remove_file(self.bin().join(name)).expect("the tool was on the sandbox's PATH");
    }

    /// Writes an executable file into the sandbox's PATH: `#!/bin/sh` and the like belong to `content`.
    pub fn add_program(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.bin().join(name);
        write_program(&path, content);
        path
    }

    /// Writes a file, with its parents.
    pub fn write(&self, relative: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a file stands in a folder")).expect("the file's folder");
        fs::write(&path, content).expect("the file's content");
        path
    }

    /// The program under test.
    pub fn ralph(&self, args: &[&str]) -> Invocation<'_> {
        self.run(env!("CARGO_BIN_EXE_ralph"), args)
    }

    /// The real git.
    pub fn git(&self, args: &[&str]) -> Invocation<'_> {
        self.run("git", args)
    }

    /// Any program: a path, or a name on the sandbox's PATH.
    pub fn run(&self, program: impl AsRef<Path>, args: &[&str]) -> Invocation<'_> {
        let program = program.as_ref();
        let named = program.components().count() == 1;
        let program = if named { self.bin().join(program) } else { program.to_owned() };
        Invocation::new(self, program, args)
    }

    /// The program under test, kept out of what is shut by its permissions, also where root runs the tests; `None` where
    /// root cannot be kept out.
    pub fn ralph_kept_out(&self, args: &[&str]) -> Option<Invocation<'_>> {
        let ralph = env!("CARGO_BIN_EXE_ralph");
        if !rustix::process::geteuid().is_root() {
            return Some(self.run(ralph, args));
        }
        // What lets root look in all the same.
        let without = "-dac_override,-dac_read_search";
        let (bounding, inherited) = (format!("--bounding-set={without}"), format!("--inh-caps={without}"));
        let setpriv = process::program_of_this_machine("setpriv")?;
        Some(self.run(setpriv, &[&[&*bounding, &*inherited, ralph], args].concat()))
    }

    /// The live processes that came out of this sandbox.
    pub fn processes(&self) -> Vec<Process> {
        self.mark.processes()
    }

    /// Waits until no process of this sandbox is alive.
    #[track_caller]
    pub fn wait_until_quiet(&self) {
        process::until_none("every process of the sandbox", || self.processes());
    }

    /// Declares that processes outlive the test; they are ended without a word.
    pub fn leaves_processes(&self) {
        self.leftovers.lock().expect("no test panics while it declares").declared = true;
    }

    /// Counts a process as left behind when it is not gone this long after the test's last line.
    pub fn set_way_out(&self, limit: Duration) {
        self.leftovers.lock().expect("no test panics while it declares").way_out = limit;
    }

    /// What is still alive although the test did not say so, once what is on its way out is gone.
    fn leaked(&self) -> Vec<Process> {
        let Ok(leftovers) = self.leftovers.lock() else { return Vec::new() };
        let mut alive = Vec::new();
        if !leftovers.declared {
            wait::within(leftovers.way_out, || {
                alive = self.processes();
                alive.is_empty().then_some(())
            });
        }
        alive
    }

    /// `text` without what differs from run to run; see [`super::redact`].
    pub fn redact(&self, text: &str) -> String {
        super::redact::text(text, &self.root)
    }

    /// A JSON document without what differs from run to run, indented; see [`super::redact`].
    pub fn redact_json(&self, document: &serde_json::Value) -> String {
        self.redact(&super::redact::json(document))
    }
}

/// Done once for all tests.
static HANGUPS: Once = Once::new();

/// Where the tests were started by `nohup`, a program of theirs must hear of its terminal's end all the same: what is
/// caught here, and no longer ignored, is as usual for it.
fn hear_of_hangups() {
    if is_ignored(SIGHUP) {
        let heard = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGHUP, heard).expect("SIGHUP can be caught");
    }
}

/// Writes an executable file, with its parents, through a rename: whoever runs it meets the old or the new.
pub fn write_program(path: &Path, content: impl AsRef<[u8]>) {
    let folder = path.parent().expect("a program stands in a folder");
    fs::create_dir_all(folder).expect("the program's folder");
    let _alone =
        super::command::NO_PROGRAM_IS_WRITTEN.write().expect("no test panics while it writes a program");
    let draft = tempfile::NamedTempFile::new_in(folder).expect("a temporary file").into_temp_path();
    fs::write(&draft, content).expect("the program's content");
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).expect("its mode");
    draft.persist(path).expect("the program in its place");
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let passed = !std::thread::panicking();
        let leaked = if passed { self.leaked() } else { Vec::new() };
        if passed {
            self.mark.end_all();
        } else {
            for process in self.processes() {
                process.signal(rustix::process::Signal::KILL);
            }
            if std::env::var_os("RALPH_TEST_KEEP").is_some() {
                let kept = self.folder.take().map(tempfile::TempDir::keep);
                eprintln!("the sandbox was kept: {kept:?}");
            }
        }
        drop(self.folder.take());
        assert!(leaked.is_empty(), "the test passed, but left processes behind: {leaked:#?}");
    }
}
