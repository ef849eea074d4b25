//! Where a benchmark takes place, and how its figures are printed and, where `--write` is among the arguments, written
//! into docs/PERFORMANCE.md.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::Value;

/// The program that is measured.
pub const RALPH: &str = env!("CARGO_BIN_EXE_ralph");

/// A folder of its own, in memory where that is there.
pub struct Place {
    pub dir: PathBuf,
    _dir: tempfile::TempDir,
    /// When the last program was started, in seconds since the epoch.
    pub begun: Cell<f64>,
    rows: RefCell<Vec<String>>,
}

impl Place {
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let asked = std::env::var_os("RALPH_BENCH_DIR").map(PathBuf::from);
        let parent =
            asked.unwrap_or_else(|| if memory.is_dir() { memory.into() } else { std::env::temp_dir() });
        let dir = tempfile::Builder::new().prefix("ralph-bench-").tempdir_in(parent).unwrap();
        // As a user's own: what the environment says of settings and names only git itself can follow, which costs.
        fs::create_dir(dir.path().join("home")).unwrap();
        fs::write(
            dir.path().join("home/.gitconfig"),
            "[user]\n\tname = Bench\n\temail = bench@example.com\n",
        )
        .unwrap();
        let place =
            Self { dir: dir.path().to_owned(), _dir: dir, begun: Cell::new(0.0), rows: RefCell::default() };
        place.line("| what | measured | against | bound |".to_owned());
        place.line("|---|---|---|---|".to_owned());
        place
    }

    /// A repository with so many files of a few kilobytes, fifty a folder.
    pub fn repository(&self, name: &str, files: usize) -> PathBuf {
        let repo = self.dir.join(name).join("app");
        fs::create_dir_all(&repo).unwrap();
        for number in 0..files {
            let folder = repo.join(format!("src/area{}/part{}", number / 500, number / 50));
            fs::create_dir_all(&folder).unwrap();
            let lines = 20 + number * 7919 % 200;
            let text: String =
                (0..lines).map(|line| format!("let value_{line} = {};\n", number * line)).collect();
            fs::write(folder.join(format!("file{number}.rs")), text).unwrap();
        }
        for words in [&["init", "-q", "-b", "main"][..], &["add", "-A"], &["commit", "-q", "-m", "Begin"]] {
            self.run(&repo, "git", words);
        }
        repo
    }

    /// Runs a program in `folder`: its output, its CPU time with that of what it waited for, its wall time.
    pub fn run(&self, folder: &Path, program: &str, words: &[&str]) -> (Vec<u8>, Duration, Duration) {
        let before = cpu(UsageWho::RUSAGE_CHILDREN);
        self.begun.set(now());
        let begun = Instant::now();
        let output = Command::new(program)
            .args(words)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.join("home"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .unwrap();
        (output.stdout, cpu(UsageWho::RUSAGE_CHILDREN) - before, begun.elapsed())
    }

    /// One row of the table: what was measured, in the middle and at most and least, against what, and its bound.
    pub fn row(&self, what: &str, figures: &[f64], unit: &str, against: &str, bound: &str) {
        self.line(format!("| {what} | {} | {against} | {bound} |", spread(figures, unit)));
    }

    fn line(&self, line: String) {
        println!("{line}");
        self.rows.borrow_mut().push(line);
    }

    /// Writes the table where `docs/PERFORMANCE.md` has a place for it, if that was asked for.
    pub fn write(&self, benchmark: &str) {
        if !std::env::args().any(|arg| arg == "--write") {
            return;
        }
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/PERFORMANCE.md");
        let text = fs::read_to_string(&file).unwrap();
        let (before, rest) = text.split_once(&format!("<!-- {benchmark} -->\n")).unwrap();
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        let table = self.rows.borrow().join("\n");
        fs::write(&file, format!("{before}<!-- {benchmark} -->\n{table}\n<!-- end -->{after}")).unwrap();
    }

    pub fn ralph(&self, repo: &Path, words: &[&str]) -> (Value, Duration, Duration) {
        let (stdout, cpu, wall) = self.run(repo, RALPH, words);
        (serde_json::from_slice(&stdout).unwrap_or(Value::Null), cpu, wall)
    }
}

pub fn cpu(who: UsageWho) -> Duration {
    let usage = getrusage(who).unwrap();
    let time = |t: nix::sys::time::TimeVal| {
        Duration::from_micros(t.tv_sec() as u64 * 1_000_000 + t.tv_usec() as u64)
    };
    time(usage.user_time()) + time(usage.system_time())
}

pub fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub fn spread(figures: &[f64], unit: &str) -> String {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, median, most) = (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
    let digits = if unit == "x" { 2 } else { 1 };
    if sorted.len() == 1 {
        format!("{median:.digits$} {unit}")
    } else {
        format!("{median:.digits$} {unit} ({least:.digits$} to {most:.digits$})")
    }
}
