//! Long and many: one batch of agents that behave in every way, sixteen at a time, whose supervisors and whose batch are
//! killed at random, until its end. Afterwards every session has ended on record, no work is lost, and nothing is left
//! over. `just soak` (2,000 sessions; `RALPH_SOAK_SESSIONS`); the ordinary tests run a short one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::helpers::lanes::text;
use crate::helpers::process::Process;
use crate::helpers::session::{is_locked, names_in};
use crate::helpers::tree::Tree;
use crate::helpers::{Repo, Sandbox, ScriptedPi, Session};

/// How many tickets; every one that fails is tried a second time.
const TICKETS: &str = "RALPH_SOAK_SESSIONS";
/// Repeats what the agents of a run do; when who is killed depends on time.
const SEED: &str = "RALPH_SOAK_SEED";

const JOBS: usize = 16;

/// Says that a commit or a file was made, for it to be looked for afterwards.
const TOLD: &str = "made() { git rev-parse HEAD >>\"$stage/made\"; }
    keeps() { printf 'kept\\n' >\"$1\"; printf '%s\\n' \"$PWD/$1\" >>\"$stage/kept\"; }";

/// What agents do, and how often in a hundred.
const BEHAVIOURS: [(u32, &str); 25] = [
    (30, "commit; made; answer"),
    (6, "commit a.txt; made; commit b.txt; made; answer"),
    (4, "answer"),
    (4, ":"),
    (5, "commit; made; keeps new.txt; answer"),
    (3, "keeps new.txt; printf 'e\\n' >>README.md; git add README.md; answer"),
    (4, "fails"),
    (4, "commit; made; exit 3"),
    (3, "commit; made; leave child; answer"),
    (2, "leave deaf stubborn; commit; made; answer"),
    (3, "commit; made; leave_daemon demon; answer"),
    (2, "commit; made; kill -SEGV $$"),
    (2, "commit; made; kill -KILL $$"),
    (4, "commit; made; forever"),
    (3, "commit; made; ignore_term; forever"),
    (2, "commit; made; stop_itself"),
    (3, "close_output; commit; made; answer"),
    (3, "flood 2000000; commit; made; answer"),
    (2, "flood_binary 500000; commit; made; answer"),
    (2, "commit; made; git clean -qffdx; answer"),
    (1, "commit; made; wipe"),
    (2, "commit; made; git switch -q --detach; commit d.txt; made; answer"),
    (2, "commit; made; git switch -q -c other-$ticket; commit o.txt; made; answer"),
    (2, "leave_merge_open; answer"),
    (2, "commit; made; hold_index_lock; forever"),
];

/// Numbers as good as random, the same for the same seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }

    fn behaviour(&mut self) -> &'static str {
        let all: u32 = BEHAVIOURS.iter().map(|(weight, _)| weight).sum();
        let mut rest = self.below(all.into());
        for (weight, play) in BEHAVIOURS {
            match rest.checked_sub(weight.into()) {
                Some(less) => rest = less,
                None => return play,
            }
        }
        unreachable!("less than the sum of the weights")
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().expect("a number"))
}

/// What a run came to.
#[derive(Debug, Default)]
struct Figures {
    supervisors_killed: usize,
    batches_killed: usize,
    most_files_of_a_batch: usize,
    most_processes: usize,
}

/// Runs the batch to its end, however often it and its supervisors are killed.
fn run_to_the_end(sandbox: &Sandbox, repo: &Repo<'_>, tickets: usize, dice: &mut Dice) -> Figures {
    let list = sandbox.path("list");
    let jobs = JOBS.to_string();
    let mut args =
        vec!["batch", "--stagger", "0s", "--retry-delay", "0s", "-j", &jobs, "--timeout", "3s", "--grace"];
    args.extend(["200ms", "--retries", "1", "--no-ticket", "--json", "--from"]);
    let list = list.display().to_string();
    args.push(&list);
    let mut figures = Figures::default();
    let mut running = repo.worktree(&args).spawn();
    let lives = |from: u64, dice: &mut Dice| Duration::from_millis(from + dice.below(from));
    let mut batch_until = Instant::now() + lives(4_000, dice);
    loop {
        std::thread::sleep(lives(150, dice));
        if running.has_ended() {
            let ended = running.wait();
            if matches!(ended.code, Some(0 | 1)) {
                return figures;
            }
            assert_eq!(ended.signal, Some(9), "{ended}");
            running = repo.worktree(&["batch", "--resume", "--json"]).spawn();
            batch_until = Instant::now() + lives(4_000, dice);
            continue;
        }
        let files = fs::read_dir(format!("/proc/{}/fd", running.pid())).map_or(0, Iterator::count);
        figures.most_files_of_a_batch = figures.most_files_of_a_batch.max(files);
        let alive = sandbox.processes();
        figures.most_processes = figures.most_processes.max(alive.len());
        let supervisors: Vec<&Process> =
            alive.iter().filter(|process| process.command.contains("__supervise")).collect();
        // About one session in twenty.
        if !supervisors.is_empty() && dice.below(3) == 0 {
            let at = dice.below(supervisors.len() as u64);
            supervisors[usize::try_from(at).expect("an index")].signal(Signal::KILL);
            figures.supervisors_killed += 1;
        }
        if Instant::now() >= batch_until && tickets > 20 {
            running.signal(Signal::KILL);
            figures.batches_killed += 1;
        }
    }
}

/// A daemon without an environment is found by descent, which ends with its supervisor: after `kill -9` of that it
/// escapes, as is said in docs/RELIABILITY.md. Nothing else does. Answers how many there were.
fn end_those_that_may_escape(sandbox: &Sandbox) -> usize {
    let escaped: Vec<Process> =
        sandbox.processes().into_iter().filter(|process| process.command.ends_with(" demon")).collect();
    escaped.iter().for_each(|process| process.signal(Signal::KILL));
    escaped.len()
}

/// The lines of a file that may not be there.
fn lines(sandbox: &Sandbox, name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(sandbox.path(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Every session has ended, on record, once, and every ticket has had one; returns how often with which outcome, and how
/// many lanes there are.
fn outcomes(repo: &Repo<'_>, tickets: usize) -> (BTreeMap<String, usize>, usize) {
    let mut outcomes = BTreeMap::new();
    let mut worked_on: BTreeMap<String, bool> = BTreeMap::new();
    let sessions = Session::all(repo);
    for session in &sessions {
        let manifest = session.manifest();
        assert_eq!(manifest["state"], "ended", "{manifest:#}");
        assert!(!session.is_held(), "{} is held", session.id);
        *outcomes.entry(text(&manifest["outcome"]).to_owned()).or_default() += 1;
        *worked_on.entry(text(&manifest["lane"]).to_owned()).or_default() |=
            manifest["outcome"] != "launch_failed";
    }
    assert_eq!(worked_on.len(), tickets);
    let lanes = repo.lanes();
    let without_lane = worked_on.iter().filter(|(name, _)| lanes.iter().all(|lane| lane["lane"] != **name));
    // The batch was killed each time before the worktree stood.
    without_lane.for_each(|(name, worked_on)| assert!(!worked_on, "{name} has no lane"));
    let attempts: u64 = lanes.iter().map(|lane| lane["attempt"].as_u64().expect("a number")).sum();
    // A lane counts a session once its worktree stands: who was killed before that leaves one that was never launched.
    let unknown = sessions.len() - usize::try_from(attempts).unwrap();
    assert!(
        unknown <= outcomes.get("launch_failed").copied().unwrap_or_default(),
        "{unknown} sessions too many"
    );
    (outcomes, lanes.len())
}

/// Nothing is left over in the store, the registry or the references.
fn assert_nothing_left_over(repo: &Repo<'_>, lanes: usize) {
    let store = repo.store();
    let whole = |folder: &str| {
        let names = names_in(&store.join(folder)).into_iter();
        names.filter(|name| !(name.starts_with('.') && name.ends_with(".tmp"))).collect::<Vec<String>>()
    };
    assert_eq!(whole("running"), Vec::<String>::new());
    assert_eq!(whole("queue"), Vec::<String>::new());
    let batches = whole("batches").into_iter().filter(|name| name != "open").count();
    assert_eq!((batches, whole("batches/open")), (1, Vec::new()));
    assert!(whole("sessions").iter().all(|name| !name.starts_with('.')));
    for lane in names_in(&store.join("lanes")) {
        assert!(!is_locked(&store.join("lanes").join(&lane).join("lock")), "lane {lane} is held");
    }
    for lock in ["repo.lock", "merge.lock"] {
        assert!(!is_locked(&store.join(lock)), "{lock} is held");
    }
    let registered = names_in(&repo.common_dir().join("worktrees"));
    assert_eq!(registered.len(), lanes, "{registered:?}");
    for name in registered {
        let admin = repo.common_dir().join("worktrees").join(name);
        assert!(!admin.join("locked").exists(), "{} is locked", admin.display());
    }
    let made_by_ralph = |branch: &String| branch.starts_with("ralph/");
    assert_eq!(repo.branches().iter().filter(|branch| made_by_ralph(branch)).count(), lanes);
    let made_by_agents = |branch: &String| branch.starts_with("other-") || branch.starts_with("side-of-");
    let others: Vec<String> =
        repo.branches().into_iter().filter(|b| !made_by_ralph(b) && !made_by_agents(b)).collect();
    assert_eq!(others, ["main"]);
    assert!(!repo.common_dir().join("gc.pid").exists());
}

/// Whatever an agent committed is led to, and whatever it left lies where it was.
fn assert_nothing_lost(sandbox: &Sandbox, repo: &Repo<'_>) -> (usize, usize) {
    let reachable: BTreeSet<String> =
        repo.git(&["rev-list", "--all", "HEAD"]).lines().map(str::to_owned).collect();
    let made = lines(sandbox, "stages/pi/made");
    let lost: Vec<&String> = made.difference(&reachable).collect();
    assert!(lost.is_empty(), "commits that nothing leads to: {lost:?}");
    let kept = lines(sandbox, "stages/pi/kept");
    for file in &kept {
        assert_eq!(fs::read_to_string(file).unwrap_or_default(), "kept\n", "{file}");
    }
    // With thousands of worktrees it takes longer than any command of a test may.
    let fsck = sandbox.git(&["fsck", "--strict", "--no-dangling"]).in_dir(repo.path());
    let checked = fsck.command().output().expect("git runs");
    assert!(checked.status.success(), "{checked:?}");
    (made.len(), kept.len())
}

fn soak(tickets: usize) {
    let seed = number(SEED, u64::from(std::process::id()) * 7_919 + 1);
    eprintln!("{SEED}={seed}");
    let mut dice = Dice(seed);
    let sandbox = Sandbox::new();
    let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
    let names: Vec<String> = (1..=tickets).map(|number| format!("S-{number}")).collect();
    for name in &names {
        pi.plays_for(name, &format!("{TOLD}\n{}", dice.behaviour()));
    }
    sandbox.write("list", names.join("\n") + "\n");
    let checkout = Tree::of(&repo).without(&[".git"]);
    let begun = Instant::now();
    let figures = run_to_the_end(&sandbox, &repo, tickets, &mut dice);
    let took = begun.elapsed();
    let escaped = end_those_that_may_escape(&sandbox);
    assert!(escaped <= figures.supervisors_killed, "{escaped} daemons escaped");
    sandbox.wait_until_quiet();
    // One whose supervisor was killed after its end was on record has only its entry left.
    let unsettled: Vec<Value> = repo.recover().into_iter().filter(|one| one["action"] != "retired").collect();
    assert_eq!(unsettled, Vec::<Value>::new(), "the batch left sessions unsettled");
    let (outcomes, lanes) = outcomes(&repo, tickets);
    assert_nothing_left_over(&repo, lanes);
    let (commits, files) = assert_nothing_lost(&sandbox, &repo);
    let changes = checkout.changes_to(&Tree::of(&repo).without(&[".git"]));
    assert!(changes.is_empty(), "the user's checkout was changed: {changes:#?}");
    // Two a session and some of its own; never one more for each that there ever was.
    assert!(figures.most_files_of_a_batch <= 24 + 4 * JOBS, "{figures:?}");
    let sessions: usize = outcomes.values().sum();
    let unfinished = |repo: &Repo<'_>| {
        let files = walkdir::WalkDir::new(repo.store()).into_iter().filter_map(Result::ok);
        files.filter(|entry| entry.file_name().to_string_lossy().ends_with(".tmp")).count()
    };
    eprintln!("{} files that someone was killed over before they were in place", unfinished(&repo));
    drop(repo.worktree(&["gc", "--older-than", "0s", "--yes"]).run().ok());
    assert_eq!(unfinished(&repo), 0, "what someone was killed over stays");
    eprintln!(
        "{sessions} sessions of {tickets} tickets in {:.0} s: {outcomes:?}; {commits} commits and {files} files kept; {escaped} daemons escaped; {figures:?}",
        took.as_secs_f64()
    );
}

#[test]
fn sessions_that_do_anything_leave_nothing_but_their_work() {
    soak(40);
}

/// Takes long: `just soak`.
#[test]
#[ignore = "takes long: just soak"]
fn thousands_of_sessions() {
    soak(usize::try_from(number(TICKETS, 2_000)).expect("so many"));
}
