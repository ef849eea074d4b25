//! What many tickets cost: thirty-two at once against a shell loop, five hundred in a graph against its ideal schedule,
//! and a batch that only waits. `cargo bench --bench batch`
//!
//! Everything is measured in this one run, in memory where `/dev/shm` is there (`RALPH_BENCH_DIR` elsewhere), in turn
//! with what it is compared to; medians with the range in brackets.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

mod place;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use place::{Place, RALPH, millis, spread};

const ROUNDS: usize = 5;
const AT_ONCE: usize = 32;
const FILES: usize = 5_000;
const TICKETS: usize = 500;
const WIDE: usize = 50;
const STILL: Duration = Duration::from_secs(60);

fn main() {
    // `cargo test --benches` passes this: then there is nothing to measure.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let place = Place::new();
    println!("in {}, {ROUNDS} rounds\n", place.dir.display());
    at_once(&place);
    graph(&place);
    waiting(&place);
    place.write("batch");
}

/// From the command to the last agent's start, and to the last outcome on record.
fn at_once(place: &Place) {
    let repo = place.repository("at-once", FILES);
    let (mut starts, mut outcomes, mut loops, mut ours, mut theirs) =
        (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let script = format!(
            "for n in $(seq {AT_ONCE}); do git worktree add -q -b g-{round}-$n ../g-{round}-$n && \
             (cd ../g-{round}-$n && exec setsid -f true); done"
        );
        let (_, loop_cpu, loop_wall) = place.run(&repo, "sh", &["-c", &script]);
        let names: Vec<String> = (0..AT_ONCE).map(|number| format!("b-{round}-{number}")).collect();
        let jobs = AT_ONCE.to_string();
        let mut words = vec!["worktree", "batch", "--json", "--agent", "true", "-j", &jobs];
        words.extend(names.iter().map(String::as_str));
        let (told, cpu, _) = place.run(&repo, RALPH, &words);
        let events = events(&told);
        let last = |kind: &str| {
            let of_kind: Vec<f64> = events.iter().filter(|e| e["event"] == kind).map(at).collect();
            assert_eq!(of_kind.len(), AT_ONCE, "{kind}");
            of_kind.into_iter().fold(0.0, f64::max) - place.begun.get()
        };
        starts.push(last("launched") / loop_wall.as_secs_f64());
        outcomes.push(last("ended") / loop_wall.as_secs_f64());
        loops.push(millis(loop_wall));
        ours.push(millis(cpu));
        theirs.push(millis(loop_cpu));
        for number in 1..=AT_ONCE {
            place.run(&repo, "git", &["worktree", "remove", "--force", &format!("../g-{round}-{number}")]);
        }
        for name in &names {
            place.ralph(&repo, &["worktree", "remove", name]);
        }
        place.ralph(&repo, &["worktree", "gc", "--older-than", "0s", "--yes"]);
    }
    let against = format!(
        "`git worktree add` + `setsid` in a loop: {}; CPU {} against {}, supervisors and agents included",
        spread(&loops, "ms"),
        spread(&theirs, "ms"),
        spread(&ours, "ms")
    );
    place.row(
        &format!("{AT_ONCE} tickets, {FILES} files: to the last agent's start"),
        &starts,
        "x",
        &against,
        "0.8x",
    );
    place.row(
        &format!("{AT_ONCE} tickets, {FILES} files: to the last outcome"),
        &outcomes,
        "x",
        "the same",
        "0.8x",
    );
}

/// A graph of diamonds: each layer of four needs two of the layer before.
fn graph(place: &Place) {
    let repo = place.repository("graph", 100);
    fs::create_dir(repo.join(".tickets")).unwrap();
    let mut depth = vec![0_usize; TICKETS];
    let names: Vec<String> = (0..TICKETS).map(|number| format!("t-{number}")).collect();
    for number in 0..TICKETS {
        // Ten layers of fifty: the ideal schedule is as long as there are layers.
        let layer = number / WIDE;
        let deps: Vec<usize> = match layer {
            0 => Vec::new(),
            _ => {
                let before = (layer - 1) * WIDE;
                vec![before + number % WIDE, before + (number + 1) % WIDE]
            }
        };
        depth[number] = deps.iter().map(|dep| depth[*dep] + 1).max().unwrap_or(0);
        let deps: Vec<&str> = deps.iter().map(|dep| names[*dep].as_str()).collect();
        let text = format!(
            "---\nid: {}\nstatus: open\ndeps: [{}]\npriority: 2\n---\n# Ticket {number}\n",
            names[number],
            deps.join(", ")
        );
        fs::write(repo.join(format!(".tickets/{}.md", names[number])), text).unwrap();
    }
    // A hundred files a worktree, as the figure says: the tickets are none of them.
    fs::write(repo.join(".git/info/exclude"), ".tickets\n").unwrap();
    let longest = depth.iter().max().unwrap() + 1;
    let ideal = TICKETS.div_ceil(WIDE).max(longest) as f64;
    let agent = "sh -c 'echo work >\"$0\" && git add \"$0\" && git commit -q -m \"$0\" && sleep 1' {ticket}";
    let jobs = WIDE.to_string();
    let mut words = vec!["worktree", "batch", "--json", "--stack", "--agent", agent, "-j", &jobs];
    words.extend(names.iter().map(String::as_str));
    let (told, cpu, _) = place.run(&repo, RALPH, &words);
    let events = events(&told);
    let ended: Vec<&Value> = events.iter().filter(|event| event["event"] == "ended").collect();
    let good = ended.iter().filter(|event| event["outcome"] == "succeeded").count();
    assert_eq!(good, TICKETS, "{:?}", events.iter().find(|event| event["event"] == "skipped"));
    let length = ended.iter().map(|event| at(event)).fold(0.0, f64::max) - place.begun.get();
    let what =
        format!("{TICKETS} tickets in {longest} layers, -j {WIDE}, agents of 1 s: to the last outcome");
    let against = format!(
        "the ideal schedule: {ideal:.0} s; CPU {:.1} ms a ticket, supervisors and agents included",
        millis(cpu) / TICKETS as f64
    );
    place.row(&what, &[length / ideal], "x", &against, "1.3x");
}

/// A batch whose agents all sleep.
fn waiting(place: &Place) {
    let repo = place.repository("waiting", 5);
    let names: Vec<String> = (0..AT_ONCE).map(|number| format!("w-{number}")).collect();
    let jobs = AT_ONCE.to_string();
    let mut words = vec!["worktree", "batch", "--json", "--agent", "sleep 600", "-j", &jobs];
    words.extend(names.iter().map(String::as_str));
    let mut batch = Command::new(RALPH)
        .args(&words)
        .current_dir(&repo)
        .env("HOME", place.dir.join("home"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = || fs::read_dir(repo.join(".git/ralph/running")).map_or(0, Iterator::count);
    let begun = Instant::now();
    while running() < AT_ONCE && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(1));
    let before = ticks(batch.id());
    std::thread::sleep(STILL);
    let used = ticks(batch.id()) - before;
    let status = fs::read_to_string(format!("/proc/{}/status", batch.id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let resident: f64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    place.row(
        &format!("a batch of {AT_ONCE} that waits: CPU in {} s", STILL.as_secs()),
        &[used],
        "ms",
        "",
        "50 ms",
    );
    place.row("the same: memory at most", &[resident / 1024.0], "MB", "its code included", "20 MB");
    // Ctrl-C: the sessions are ended too.
    let pid = rustix::process::Pid::from_raw(i32::try_from(batch.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    batch.wait().unwrap();
}

/// The CPU time of a process, in milliseconds.
fn ticks(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |task: std::io::Result<fs::DirEntry>| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<f64>().ok()
    };
    threads.filter_map(of).sum::<f64>() / 1e6
}

fn events(told: &[u8]) -> Vec<Value> {
    told.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// When an event was, in seconds since the epoch.
fn at(event: &Value) -> f64 {
    let stamp: jiff::Timestamp = event["at"].as_str().unwrap().parse().unwrap();
    stamp.as_nanosecond() as f64 / 1e9
}
