//! What one session costs: from the command to the agent, from the agent's end to the record of it, while it waits,
//! and when a thousand of them are settled and looked at. `cargo bench --bench session`
//!
//! Everything is measured in this one run, in memory where `/dev/shm` is there (`RALPH_BENCH_DIR` elsewhere), in turn
//! with what it is compared to; medians with the range in brackets. CPU seconds are what counts on a busy machine.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

mod place;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::resource::UsageWho;
use ralph::durable::HeldLock;
use ralph::git::{Located, Repo, Site, create, write_files};
use ralph::id::Lane;
use serde_json::Value;

use place::{Place, RALPH, cpu, millis, spread};

const FILES: usize = 5_000;
const ROUNDS: usize = 15;
const SESSIONS: usize = 1_000;
const STILL: Duration = Duration::from_secs(10);

fn main() {
    // `cargo test --benches` passes this: then there is nothing to measure.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let place = Place::new();
    println!("in {}, {} rounds, {} files\n", place.dir.display(), ROUNDS, FILES);
    let repo = place.repository("large", FILES);
    launch(&place, &repo);
    ending(&place, &repo);
    waiting(&place, &repo);
    recovering(&place, &place.repository("dead", 5));
    looking(&place, &place.repository("small", 5));
    place.write("session");
}

/// From exec of the dispatcher to exec of the agent, without the checkout.
fn launch(place: &Place, repo: &Path) {
    let (mut over, mut wall, mut checkouts, mut gits) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let checkout = checkout_alone(repo, &format!("c-{round}"));
        let (result, cpu, _) = place
            .ralph(repo, &["worktree", "dispatch", &format!("l-{round}"), "--json", "--agent", "sleep 600"]);
        let manifest = manifest_of(&result);
        let launched = stamp(&manifest, "started_at") - place.begun.get();
        let supervisor = manifest.pointer("/process/supervisor/pid").and_then(Value::as_i64).unwrap();
        let all = cpu + on_cpu(supervisor);
        over.push(millis(all.saturating_sub(checkout)));
        wall.push(launched * 1e3);
        checkouts.push(millis(checkout));
        let (_, git, _) = place.run(
            repo,
            "git",
            &["worktree", "add", "-q", "-b", &format!("g-{round}"), &format!("../g-{round}")],
        );
        gits.push(millis(git));
        place.ralph(repo, &["worktree", "stop", &format!("l-{round}"), "--now"]);
    }
    place.row(
        "dispatch to agent's exec: CPU over the checkout",
        &over,
        "ms",
        &format!("the checkout alone: {}", spread(&checkouts, "ms")),
        "25 ms",
    );
    place.row(
        "dispatch to agent's exec: wall, checkout included",
        &wall,
        "ms",
        &format!("`git worktree add`: {} of CPU", spread(&gits, "ms")),
        "",
    );
}

/// From the agent's exit to the manifest that says so.
fn ending(place: &Place, repo: &Path) {
    let (mut over, mut whole, mut statuses) = (vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let fifo = place.dir.join(format!("fifo-{round}"));
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let agent = format!("sh -c 'read _ < {}; exec date +%s.%N'", fifo.display());
        let (result, _, _) =
            place.ralph(repo, &["worktree", "dispatch", &format!("e-{round}"), "--json", "--agent", &agent]);
        let tree = result.pointer("/worktree").and_then(Value::as_str).unwrap().to_owned();
        let (_, _, status) = place.run(Path::new(&tree), "git", &["status", "--porcelain"]);
        fs::write(&fifo, "go\n").unwrap();
        place.run(repo, RALPH, &["worktree", "wait", &format!("e-{round}")]);
        let manifest = manifest_of(&result);
        let stdout = manifest.pointer("/output/stdout").and_then(Value::as_str).unwrap();
        let exited: f64 = fs::read_to_string(stdout).unwrap().trim().parse().unwrap();
        let took = (stamp(&manifest, "ended_at") - exited) * 1e3;
        whole.push(took);
        statuses.push(millis(status));
        over.push(took - millis(status));
    }
    place.row(
        "agent's exit to `ended`, over `git status`",
        &over,
        "ms",
        &format!("`git status`: {}; whole: {}", spread(&statuses, "ms"), spread(&whole, "ms")),
        "10 ms",
    );
}

/// A supervisor that has nothing to do.
fn waiting(place: &Place, repo: &Path) {
    let (result, _, _) = place
        .ralph(repo, &["worktree", "dispatch", "w-1", "--json", "--timeout", "none", "--agent", "sleep 600"]);
    let supervisor = manifest_of(&result).pointer("/process/supervisor/pid").and_then(Value::as_i64).unwrap();
    // Its last act before waiting is to close the pipe that let the dispatcher go; give it the moment to get there.
    std::thread::sleep(Duration::from_millis(200));
    let before = switches(supervisor);
    std::thread::sleep(STILL);
    let wakes = switches(supervisor) - before;
    let rollup = fs::read_to_string(format!("/proc/{supervisor}/smaps_rollup")).unwrap();
    let private: u64 = rollup
        .lines()
        .filter(|line| line.starts_with("Private_Clean") || line.starts_with("Private_Dirty"))
        .filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok())
        .sum();
    place.row(
        "a supervisor waiting: private memory",
        &[private as f64 / 1024.0],
        "MB",
        "the only one running: its code counts as its own",
        "3 MB",
    );
    place.row(
        &format!("a supervisor waiting: wake-ups in {} s", STILL.as_secs()),
        &[wakes as f64],
        "",
        "",
        "0",
    );
    place.ralph(repo, &["worktree", "stop", "w-1", "--now"]);
}

/// A thousand sessions of which nothing is left, as after a power cut.
fn recovering(place: &Place, repo: &Path) {
    for number in 0..SESSIONS {
        let lane = format!("s-{number}");
        place.ralph(repo, &["worktree", "dispatch", &lane, "--json", "--agent", "sleep 3000"]);
    }
    let (all, _, _) = place.ralph(repo, &["worktree", "inspect", "--all", "--json"]);
    let pid = |manifest: &Value, whose: &str| manifest.pointer(whose).and_then(Value::as_i64).unwrap();
    let pids: Vec<i32> = all
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|m| [pid(m, "/process/supervisor/pid"), pid(m, "/process/agent/pid")])
        .map(|pid| i32::try_from(pid).unwrap())
        .collect();
    for pid in &pids {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    while pids.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (settled, cpu, wall) = place.ralph(repo, &["worktree", "recover", "--json"]);
    let lost = settled.as_array().unwrap().iter().filter(|one| one["outcome"] == "lost").count();
    assert_eq!(lost, SESSIONS, "{settled:#}");
    let beside = format!("CPU: {:.0} ms", millis(cpu));
    place.row(&format!("`recover` of {SESSIONS} dead sessions"), &[millis(wall)], "ms", &beside, "1000 ms");
}

/// A thousand sessions, looked at.
fn looking(place: &Place, repo: &Path) {
    let begun = Instant::now();
    let mut cpu = Duration::ZERO;
    for number in 0..SESSIONS {
        cpu += place
            .ralph(repo, &["worktree", "dispatch", &format!("s-{number}"), "--json", "--agent", "true"])
            .1;
    }
    let per_session = millis(cpu) / SESSIONS as f64;
    let wall = millis(begun.elapsed()) / SESSIONS as f64;
    let names: Vec<String> = (0..SESSIONS).map(|number| format!("s-{number}")).collect();
    for chunk in names.chunks(100) {
        let mut words = vec!["worktree", "wait"];
        words.extend(chunk.iter().map(String::as_str));
        place.run(repo, RALPH, &words);
    }
    let (mut list, mut all) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        list.push(millis(place.ralph(repo, &["worktree", "list", "--json"]).1));
        all.push(millis(place.ralph(repo, &["worktree", "inspect", "--all", "--json"]).1));
    }
    place.row(
        "one dispatch of five files: the dispatcher's CPU",
        &[per_session],
        "ms",
        &format!("wall {wall:.1} ms"),
        "",
    );
    place.row(&format!("`list --json`, {SESSIONS} sessions: CPU"), &list, "ms", "", "50 ms");
    place.row(&format!("`inspect --all --json`, {SESSIONS} sessions: CPU"), &all, "ms", "", "50 ms");
}

/// The CPU that only writing the files takes, by the same code.
fn checkout_alone(repo: &Path, lane: &str) -> Duration {
    let repo = Repo::open(repo).unwrap();
    let lane: Lane = lane.parse().unwrap();
    let path = repo.main_checkout().unwrap().with_file_name("alone").join(lane.slug().as_str());
    let site = Site { slug: lane.slug(), branch: lane.default_branch(), path, recorded_id: None };
    let base = repo.head_base().unwrap();
    assert!(matches!(ralph::git::locate(&repo, &site).unwrap(), Located::New));
    let lock = repo.lock(Duration::from_secs(10)).unwrap();
    let created = create(&repo, &lock, &site, &base, "bench").unwrap();
    drop(lock);
    let held = HeldLock::try_take(&repo.store_dir().join("alone.lock")).unwrap().unwrap();
    let before = cpu(UsageWho::RUSAGE_SELF);
    write_files(&repo, &created, &held).unwrap();
    cpu(UsageWho::RUSAGE_SELF) - before
}

fn manifest_of(result: &Value) -> Value {
    let path = result.pointer("/manifest").and_then(Value::as_str).expect("a dispatch result");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The time a process has spent on a processor.
fn on_cpu(pid: i64) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    Duration::from_nanos(text.split_ascii_whitespace().next().unwrap().parse().unwrap())
}

fn switches(pid: i64) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
    counts.filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

fn stamp(manifest: &Value, key: &str) -> f64 {
    let text = manifest.get(key).and_then(Value::as_str).unwrap();
    let stamp: jiff::Timestamp = text.parse().unwrap();
    stamp.as_nanosecond() as f64 / 1e9
}
