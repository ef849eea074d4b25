//! What a worktree costs: against `git worktree add`, libgit2's own checkout and `cp -a`, for small and large
//! repositories; and what it costs to look at many sessions. `cargo bench --bench worktree`
//!
//! Everything is measured in this one run, in memory where `/dev/shm` is there (`RALPH_BENCH_DIR` elsewhere), in turn
//! with what it is compared to; medians with the range in brackets. A ratio is of one round, and then the median.
//! `RALPH_BENCH_FILES` names other sizes, for instance `1000,10000`, or none.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

mod place;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use place::{Place, RALPH, cpu, millis, spread};

/// Asks this program to run another and say the memory that it had at most, in kB: what
/// is said of children is the most of any, and here there is one.
const MOST_MEMORY: &str = "--most-memory";

/// What one making of a worktree took.
#[derive(Clone, Copy)]
struct Took {
    wall: f64,
    cpu: f64,
}

impl Took {
    fn of((_, cpu, wall): (Vec<u8>, Duration, Duration)) -> Self {
        Self { wall: millis(wall), cpu: millis(cpu) }
    }
}

fn main() {
    // `cargo test --benches` passes this: then there is nothing to measure.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    if let [_, flag, program, words @ ..] = std::env::args().collect::<Vec<_>>().as_slice()
        && flag == MOST_MEMORY
    {
        Command::new(program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss());
        return;
    }
    let place = Place::new();
    println!("in {}\n", place.dir.display());
    let sizes = std::env::var("RALPH_BENCH_FILES").unwrap_or_else(|_| "1000,10000,80000".to_owned());
    for files in sizes.split(',').filter(|size| !size.is_empty()).map(|size| size.parse().unwrap()) {
        let repo = realistic(&place, &format!("files-{files}"), files);
        one(&place, &repo, files);
        if files >= 80_000 {
            eight(&place, &repo, files);
        }
        if files == 1_000 {
            dispatch(&place, &repo, files);
        }
        if files == 10_000 {
            bare(&place, &repo, files);
        }
        fs::remove_dir_all(repo.parent().unwrap()).unwrap();
    }
    list(&place);
    place.write("worktree");
}

/// A repository of so many files as large, as deep and as varied as those of a program's source, in one pack.
fn realistic(place: &Place, name: &str, files: usize) -> PathBuf {
    const WORDS: [&str; 16] = [
        "static",
        "int",
        "return",
        "if",
        "struct",
        "value",
        "unsigned",
        "->next",
        "= NULL;",
        "(void)",
        "{",
        "}",
        "for (i = 0;",
        "err",
        "dev_info(",
        "/* see below */",
    ];
    let repo = place.dir.join(name).join("app");
    // A source's sizes: most files are small, and a few make up most of it.
    let sizes = [300, 700, 1_200, 2_000, 2_500, 4_000, 5_000, 7_000, 9_000, 12_000, 20_000, 40_000];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).unwrap()
    };
    for number in 0..files {
        let folder = repo.join(format!("area{}/part{}/piece{}", number / 2_000, number / 170, number / 17));
        fs::create_dir_all(&folder).unwrap();
        let size = sizes[draw() % sizes.len()];
        let mut text = String::with_capacity(size + 40);
        while text.len() < size {
            let word = draw();
            text.push_str(WORDS[word % WORDS.len()]);
            text.push_str(&format!("{}{}", word / 97 % 5_000, if word % 7 == 0 { "\n" } else { " " }));
        }
        fs::write(folder.join(format!("file{number}.c")), text).unwrap();
    }
    for words in [
        &["init", "-q", "-b", "main"][..],
        &["add", "-A"],
        &["commit", "-q", "-m", "Begin"],
        &["repack", "-a", "-d", "-q"],
        &["update-index", "-q", "--refresh"],
    ] {
        place.run(&repo, "git", words);
    }
    repo
}

/// One worktree, and the first `git status` in it.
fn one(place: &Place, repo: &Path, files: usize) {
    let rounds = if files > 20_000 { 3 } else { 9 };
    let other = repo.with_file_name("other");
    let mut taken: [Vec<Took>; 5] = Default::default();
    let (mut first, mut firsts) = (vec![], vec![]);
    for round in 0..rounds {
        for (at, workers) in [(0, "checkout.workers=1"), (1, "checkout.workers=0")] {
            let add = ["-c", workers, "worktree", "add", "-q", "--detach", "../other"];
            taken[at].push(Took::of(place.run(repo, "git", &add)));
            if at == 0 {
                firsts.push(Took::of(place.run(&other, "git", &["status", "--porcelain"])).wall);
                taken[3].push(Took::of(place.run(repo, "cp", &["-a", "../other", "../copy"])));
                fs::remove_dir_all(repo.with_file_name("copy")).unwrap();
            }
            place.run(repo, "git", &["worktree", "remove", "--force", "../other"]);
        }
        taken[2].push(by_libgit2(repo, &other));
        fs::remove_dir_all(&other).unwrap();
        place.run(repo, "git", &["worktree", "prune"]);
        let lane = format!("one-{round}");
        taken[4].push(Took::of(place.run(repo, RALPH, &["worktree", "create", &lane])));
        let tree = tree_of(place, repo, &lane);
        first.push(Took::of(place.run(&tree, "git", &["status", "--porcelain"])).wall);
        forget(place, repo, &lane);
    }
    let [one_worker, workers, libgit2, copy, ralph] = &taken;
    let best: Vec<Took> =
        one_worker.iter().zip(workers).map(|(a, b)| if a.wall < b.wall { *a } else { *b }).collect();
    let bound = |small: &'static str, large: &'static str| match files {
        0..=1_000 => small,
        1_001..80_000 => "",
        _ => large,
    };
    let told = |name: &str, took: &[Took]| {
        let (wall, cpu): (Vec<f64>, Vec<f64>) = took.iter().map(|took| (took.wall, took.cpu)).unzip();
        format!("{name}: {}, CPU {}", spread(&wall, "ms"), spread(&cpu, "ms"))
    };
    let walls: Vec<f64> = ralph.iter().map(|took| took.wall).collect();
    let cpus: Vec<f64> = ralph.iter().map(|took| took.cpu).collect();
    let beside = format!("CPU {}", spread(&cpus, "ms"));
    place.row(&format!("{files} files, one worktree"), &walls, "ms", &beside, "");
    for (name, against, bound) in [
        ("`git worktree add`, its better setting", &best, bound("0.60x", "0.50x")),
        ("`git worktree add`, one worker", one_worker, ""),
        ("libgit2's checkout", libgit2, bound("", "0.20x")),
        ("`cp -a`", copy, bound("", "1.0x")),
    ] {
        place.row(
            &format!("{files} files, one worktree"),
            &ratios(ralph, against),
            "x",
            &told(name, against),
            bound,
        );
    }
    let ratio: Vec<f64> = first.iter().zip(&firsts).map(|(ours, gits)| ours / gits).collect();
    let against = format!("after `git worktree add`: {}", spread(&firsts, "ms"));
    place.row(&format!("{files} files, the first `git status`"), &ratio, "x", &against, "1.0x");
    let per_file: Vec<f64> = ralph.iter().map(|took| took.wall * 1e3 / files as f64).collect();
    place.row(&format!("{files} files, one worktree: a file"), &per_file, "µs", "", "");
    let itself = std::env::current_exe().unwrap();
    let most: Vec<f64> = (0..3)
        .map(|round| {
            let lane = format!("memory-{round}");
            let words = [MOST_MEMORY, RALPH, "worktree", "create", &lane];
            let (said, _, _) = place.run(repo, itself.to_str().unwrap(), &words);
            forget(place, repo, &lane);
            String::from_utf8(said).unwrap().trim().parse::<f64>().unwrap() / 1e3
        })
        .collect();
    place.row(&format!("{files} files, one worktree: memory at most"), &most, "MB", "", "");
}

/// Eight worktrees of one base: one after the other, and by a batch that begins them all.
fn eight(place: &Place, repo: &Path, files: usize) {
    let (mut in_turn, mut at_once, mut walls) = (vec![], vec![], vec![]);
    let numbers = 0..8;
    for round in 0..3 {
        let lanes = |kind: &str| numbers.clone().map(|n| format!("{kind}-{round}-{n}")).collect::<Vec<_>>();
        let git = |words: &[&str]| Took::of(place.run(repo, "git", words)).wall;
        let gits: f64 = lanes("git")
            .iter()
            .map(|lane| {
                let path = format!("../{lane}");
                git(&["-c", "checkout.workers=0", "worktree", "add", "-q", "--detach", &path])
            })
            .sum();
        for lane in lanes("git") {
            git(&["worktree", "remove", "--force", &format!("../{lane}")]);
        }
        let create = |lane: &String| Took::of(place.run(repo, RALPH, &["worktree", "create", lane])).wall;
        in_turn.push(lanes("turn").iter().map(create).sum::<f64>() / gits);
        lanes("turn").iter().for_each(|lane| forget(place, repo, lane));
        let all = lanes("once");
        let mut words = vec!["worktree", "batch", "-j", "8", "--no-ticket", "--agent", "true"];
        words.extend(all.iter().map(String::as_str));
        place.run(repo, RALPH, &words);
        let begun = place.begun.get();
        let last = all.iter().map(|lane| {
            let (manifest, _, _) = place.ralph(repo, &["worktree", "inspect", lane, "--json"]);
            let started: jiff::Timestamp = manifest["started_at"].as_str().unwrap().parse().unwrap();
            started.as_nanosecond() as f64 / 1e9 - begun
        });
        at_once.push(last.fold(0.0, f64::max) * 1e3 / gits);
        all.iter().for_each(|lane| forget(place, repo, lane));
        walls.push(gits);
    }
    let against = format!("eight times `git worktree add`, all workers: {}", spread(&walls, "ms"));
    let what = format!("{files} files, eight worktrees");
    place.row(&format!("{what} in one batch, to the last agent's exec"), &at_once, "x", &against, "0.35x");
    place.row(&format!("{what} one after the other"), &in_turn, "x", &against, "0.35x");
}

/// The first worktree of a bare repository: there is no checkout to copy from.
fn bare(place: &Place, repo: &Path, files: usize) {
    let bare = repo.with_file_name("bare.git");
    place.run(repo, "git", &["clone", "-q", "--bare", ".", "../bare.git"]);
    let (mut ours, mut gits) = (vec![], vec![]);
    for round in 0..5 {
        let add = ["-c", "checkout.workers=0", "worktree", "add", "-q", "--detach", "../first"];
        gits.push(Took::of(place.run(&bare, "git", &add)));
        place.run(&bare, "git", &["worktree", "remove", "--force", "../first"]);
        let lane = format!("first-{round}");
        ours.push(Took::of(place.run(&bare, RALPH, &["worktree", "create", &lane])));
        forget(place, &bare, &lane);
    }
    let walls: Vec<f64> = gits.iter().map(|took| took.wall).collect();
    let against = format!("`git worktree add`, all workers: {}", spread(&walls, "ms"));
    let what = format!("{files} files, the first worktree of a bare repository");
    place.row(&what, &ratios(&ours, &gits), "x", &against, "");
}

/// From the command to the agent's start.
fn dispatch(place: &Place, repo: &Path, files: usize) {
    let mut ratio = vec![];
    let mut walls = vec![];
    for round in 0..9 {
        let script =
            format!("git worktree add -q -b g-{round} ../g-{round} && cd ../g-{round} && exec setsid true");
        let wall = Took::of(place.run(repo, "sh", &["-c", &script])).wall;
        let lane = format!("d-{round}");
        let words = ["worktree", "dispatch", &lane, "--json", "--agent", "true"];
        let (result, _, _) = place.ralph(repo, &words);
        let begun = place.begun.get();
        let manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(result["manifest"].as_str().unwrap()).unwrap()).unwrap();
        let started: jiff::Timestamp = manifest["started_at"].as_str().unwrap().parse().unwrap();
        ratio.push((started.as_nanosecond() as f64 / 1e9 - begun) * 1e3 / wall);
        walls.push(wall);
        place.run(repo, RALPH, &["worktree", "wait", &lane]);
    }
    let against = format!("`git worktree add` + `setsid true`: {}", spread(&walls, "ms"));
    place.row(&format!("{files} files, dispatch to the agent's exec"), &ratio, "x", &against, "0.70x");
}

/// A hundred worktrees, each with a hundred sessions behind it: what looking costs, and by how much it grew, in turn with
/// the same of another repository in which each worktree has one.
fn list(place: &Place) {
    let sessions = std::env::var("RALPH_BENCH_SESSIONS").map_or(10_000, |n| n.parse().unwrap());
    let [few, many] = [("few", 100), ("many", sessions)].map(|(name, sessions)| {
        let repo = place.repository(name, 5);
        for session in 0..sessions {
            let lane = format!("s-{}", session % 100);
            place.run(&repo, RALPH, &["worktree", "dispatch", &lane, "--wait", "--agent", "true"]);
        }
        repo
    });
    let looks: [&[&str]; 4] = [
        &["worktree", "list", "--json"],
        &["worktree", "inspect", "--all", "--json"],
        &["worktree", "recover", "--json"],
        &["worktree", "batch", "once", "--no-ticket", "--agent", "true", "--json"],
    ];
    let (mut gits, mut over_git) = (vec![], vec![]);
    let (mut before, mut growth): ([Vec<f64>; 4], [Vec<f64>; 4]) = Default::default();
    for _ in 0..25 {
        let git = Took::of(place.run(&many, "git", &["worktree", "list", "--porcelain"])).wall;
        for (at, words) in looks.iter().enumerate() {
            let [with_few, with_many] =
                [&few, &many].map(|repo| Took::of(place.run(repo, RALPH, words)).wall);
            before[at].push(with_few);
            growth[at].push(with_many / with_few);
            if at == 0 {
                over_git.push(with_many / git);
            }
        }
        [&few, &many].iter().for_each(|repo| forget(place, repo, "once"));
        gits.push(git);
    }
    let what = format!("`list --json`, 100 worktrees, {sessions} ended sessions");
    let against = format!("`git worktree list --porcelain`: {}", spread(&gits, "ms"));
    place.row(&what, &over_git, "x", &against, "1.5x");
    let measured =
        ["`list --json`", "`inspect --all --json`", "`recover`", "`batch` of one ticket, to its end"];
    for (at, what) in measured.iter().enumerate() {
        let what = format!("{what}: with {sessions} ended sessions, over with 100");
        place.row(&what, &growth[at], "x", &format!("with 100: {}", spread(&before[at], "ms")), "1.15x");
    }
}

fn ratios(ours: &[Took], theirs: &[Took]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours.wall / theirs.wall).collect()
}

/// libgit2's own way to add a worktree, in this process.
fn by_libgit2(repo: &Path, path: &Path) -> Took {
    let repo = git2::Repository::open(repo).unwrap();
    let before = cpu(UsageWho::RUSAGE_SELF);
    let begun = Instant::now();
    repo.worktree("other", path, None).unwrap();
    let took = Took { wall: millis(begun.elapsed()), cpu: millis(cpu(UsageWho::RUSAGE_SELF) - before) };
    repo.find_branch("other", git2::BranchType::Local).unwrap().into_reference().delete().unwrap();
    took
}

fn tree_of(place: &Place, repo: &Path, lane: &str) -> PathBuf {
    let (stdout, _, _) = place.run(repo, RALPH, &["worktree", "path", lane]);
    String::from_utf8(stdout).unwrap().trim().into()
}

fn forget(place: &Place, repo: &Path, lane: &str) {
    place.run(repo, RALPH, &["worktree", "remove", lane]);
    place.run(repo, RALPH, &["worktree", "gc", "--older-than", "0s", "--yes"]);
}
