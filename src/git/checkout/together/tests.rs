//! What several targets get of one round.

use std::fs;
use std::mem::MaybeUninit;

use rustix::fs::Timespec;
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};

use super::*;
use crate::git::attributes::Asked;
use crate::git::checkout::descent::top;
use crate::git::listing::list;
use crate::git::tests::fixture::{Fixture, listing as tree_at};

/// More files than two shares have.
const FILES: usize = 2 * SHARE + 10;

/// A repository with files in several folders, and its round, in which nothing is written yet.
fn scene() -> (Fixture, Arc<Round>) {
    let fixture = Fixture::new();
    for file in 0..FILES {
        fixture.write(&format!("repo/f{}/{file}", file / 10), format!("content {file}\n"));
    }
    fixture.commit_all("repo", "many");
    let source =
        Source { git_dir: fixture.path("repo/.git"), near: Some(top(&fixture.path("repo")).unwrap()) };
    let round = round(&fixture, source);
    (fixture, round)
}

fn round(fixture: &Fixture, source: Source) -> Arc<Round> {
    let commit = fixture.repo().head_base().unwrap().commit;
    let repo = git2::Repository::open(fixture.path("repo")).unwrap();
    let listing = Arc::new(list(&repo, &commit, &mut Asked::default()).unwrap().unwrap());
    Arc::new(Round { listing, source, state: Mutex::default() })
}

/// A target in the round, without a thread of its own.
fn target(fixture: &Fixture, round: &Round, name: &str) -> Arc<Target> {
    let path = fixture.path(name);
    fs::create_dir_all(&path).unwrap();
    let time = Timespec { tv_sec: 1_000_000, tv_nsec: 0 };
    let dates = Timestamps { last_access: time, last_modification: time };
    let target = Target::new(&path, top(&path).unwrap(), dates, &CheckoutProgress::default());
    let files = round.listing.items.len();
    *target.stand() = Stand { facts: vec![Facts::default(); files], left: files, ..Stand::default() };
    let target = Arc::new(target);
    let mut state = round.state();
    let until = state.next + round.shares();
    state.targets.push((Arc::clone(&target), until));
    drop(state);
    target
}

fn work(round: &Arc<Round>, until: Option<&Target>) {
    round.state().workers += 1;
    Worker(Arc::clone(round)).work(until);
}

fn assert_whole(fixture: &Fixture, target: &Target) {
    let stand = target.stand();
    assert!(!stand.has_failed && stand.left == 0 && stand.busy == 0, "{stand:?}");
    fixture.git("repo", &["worktree", "add", "-q", "--detach", "--force", "../theirs"]);
    fs::remove_file(fixture.path("theirs/.git")).unwrap();
    assert_eq!(tree_at(&target.path), tree_at(&fixture.path("theirs")));
    fixture.git("repo", &["worktree", "prune"]);
    fs::remove_dir_all(fixture.path("theirs")).unwrap();
}

/// The names of the files of this folder that were opened while the work was done.
fn opened_in(folder: &Path, work: impl FnOnce()) -> Vec<String> {
    let events = inotify::init(CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&events, folder, WatchFlags::OPEN).unwrap();
    work();
    let mut room = [MaybeUninit::uninit(); 64 << 10];
    let mut reader = Reader::new(&events, &mut room);
    let mut names = Vec::new();
    while let Ok(event) = reader.next() {
        names.extend(event.file_name().map(|name| name.to_str().unwrap().to_owned()));
    }
    names.sort();
    names
}

#[test]
fn what_three_lack_is_read_once() {
    let (fixture, round) = scene();
    let targets = ["a", "b", "c"].map(|name| target(&fixture, &round, name));
    let mut files: Vec<String> = (10..20).map(|file| file.to_string()).collect();
    files.sort();
    assert_eq!(opened_in(&fixture.path("repo/f1"), || work(&round, None)), files);
    targets.iter().for_each(|target| assert_whole(&fixture, target));
}

#[test]
fn who_joins_later_gets_the_rest_and_then_what_it_missed() {
    let (fixture, round) = scene();
    let first = target(&fixture, &round, "a");
    // One thread has the first share, and is slow.
    let slow = round.take().unwrap();
    let second = target(&fixture, &round, "b");
    assert_eq!(opened_in(&fixture.path("repo/f12"), || work(&round, Some(&second))).len(), 10);
    assert_whole(&fixture, &second);
    let (left, busy) = {
        let stand = first.stand();
        (stand.left, stand.busy)
    };
    assert_eq!((left, busy), (SHARE, 1));
    // What is being written is waited for, also where there is nothing more to write.
    first.fail(GitError::io("write", &first.path, io::Error::other("on purpose")));
    assert!(first.is_over() && !first.stand().is_quiet());
    drop(slow);
    assert!(first.stand().is_quiet());
}

#[test]
fn so_many_are_written_together_and_no_more() {
    let (fixture, round) = scene();
    ROUNDS.lock().unwrap().push(Arc::downgrade(&round));
    for n in 0..MOST_TARGETS {
        target(&fixture, &round, &format!("t{n}"));
    }
    // It finds no room, and is written all the same, by a round of its own.
    let path = fixture.path("late");
    fs::create_dir(&path).unwrap();
    let time = Timespec { tv_sec: 1_000_000, tv_nsec: 0 };
    let dates = Timestamps { last_access: time, last_modification: time };
    let late = Target::new(&path, top(&path).unwrap(), dates, &CheckoutProgress::default());
    let source =
        Source { git_dir: fixture.path("repo/.git"), near: Some(top(&fixture.path("repo")).unwrap()) };
    write(&round.listing, source, late).unwrap();
    let state = round.state();
    assert_eq!((state.targets.len(), state.next), (MOST_TARGETS, 0));
}

#[test]
fn few_folders_stay_open_however_deep_they_are() {
    let fixture = Fixture::new();
    fixture.write("repo/a/b/c/d/e/deep", "");
    fixture.write("repo/a/b/other", "");
    fixture.commit_all("repo", "deep");
    let round = round(&fixture, Source { git_dir: fixture.path("repo/.git"), near: None });
    let top = top(&fixture.path("repo")).unwrap();
    let mut way = Descent::new(&round.listing, Folders::AsTheyAre);
    let file =
        |path: &[u8]| round.listing.items.iter().find(|item| round.listing.path(item) == path).unwrap();
    for path in ["a/b/c/d/e/deep", "a/b/other", "a/b/c/d/e/deep"] {
        let folder = way.enter(top.as_fd(), file(path.as_bytes()).folder).unwrap();
        let name = Path::new(path).file_name().unwrap();
        rustix::fs::statat(folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
        assert!(way.count() <= 2, "{path}");
    }
}

#[test]
fn who_works_for_one_target_stops_when_that_one_is_over() {
    let (fixture, round) = scene();
    let first = target(&fixture, &round, "a");
    drop(round.take().unwrap());
    first.stand().left -= SHARE;
    let second = target(&fixture, &round, "b");
    work(&round, Some(&first));
    assert!(first.is_over() && !second.is_over());
    assert_eq!(second.stand().left, SHARE);
    work(&round, None);
    assert_whole(&fixture, &second);
}

#[test]
fn one_that_cannot_be_written_fails_alone() {
    let (fixture, round) = scene();
    let [good, bad, linked] = ["a", "b", "c"].map(|name| target(&fixture, &round, name));
    fixture.write("b/f3/31/mine", "mine");
    fs::create_dir(fixture.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink("../elsewhere", fixture.path("c/f4")).unwrap();
    work(&round, None);
    assert_whole(&fixture, &good);
    for (target, file) in [(bad, "b/f3/31"), (linked, "c/f4/4")] {
        let error = target.stand().error.take().unwrap().to_string();
        assert!(error.contains(file), "{error}");
        assert_eq!(target.stand().busy, 0);
    }
    assert_eq!(fs::read_dir(fixture.path("elsewhere")).unwrap().count(), 0);
}

#[test]
fn nothing_is_written_to_one_that_has_failed_once_that_is_said() {
    let (fixture, round) = scene();
    let first = target(&fixture, &round, "a");
    // Another thread has the first share still, and no one else is at work.
    let slow = round.take().unwrap();
    round.state().workers = 100;
    ROUNDS.lock().unwrap().push(Arc::downgrade(&round));
    let listing = Arc::clone(&round.listing);
    let in_the_way = OsStr::from_bytes(listing.path(&listing.items[SHARE])).to_owned();
    fs::create_dir_all(fixture.path("b").join(in_the_way)).unwrap();
    let path = fixture.path("b");
    let (tree, progress) = (top(&path).unwrap(), CheckoutProgress::default());
    let bad = Target::new(&path, tree, first.dates.clone(), &progress);
    let source = Source { git_dir: fixture.path("repo/.git"), near: None };
    assert!(write(&listing, source, bad).is_err());
    let next = round.take().unwrap();
    assert_eq!((next.start, next.targets.len()), (2 * SHARE, 1));
    drop((slow, next));
}

#[test]
fn a_content_that_cannot_be_read_is_said_to_everyone() {
    let (fixture, _) = scene();
    let gone = fixture.git("repo", &["rev-parse", "HEAD:f3/31"]);
    fs::remove_file(fixture.path("repo/.git/objects").join(&gone[..2]).join(&gone[2..])).unwrap();
    let round = round(&fixture, Source { git_dir: fixture.path("repo/.git"), near: None });
    let targets = ["a", "b"].map(|name| target(&fixture, &round, name));
    work(&round, None);
    for target in targets {
        let error = target.stand().error.take().unwrap().to_string();
        assert!(error.contains(&gone), "{error}");
    }
}

#[test]
fn those_who_wait_for_a_thread_that_panics_are_told() {
    let (fixture, round) = scene();
    let target = target(&fixture, &round, "a");
    let taken = round.take().unwrap();
    let thread = std::thread::spawn(move || {
        let _taken = taken;
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(thread.join().is_err());
    assert!(target.is_over() && target.stand().busy == 0);
}
