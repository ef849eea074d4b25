//! Keeping git's garbage collector off while something is made that no reference leads to yet.
//!
//! `git gc --prune=now` deletes whatever nothing leads to at that moment, the tree and the commit of a merge that is
//! just being made included; the branch could then be moved to a commit whose files are gone. git's own lock for it is
//! `gc.pid`, which holds a pid and a host: where that process lives, a collector does not begin.
//!
//! Limits: `git gc --force`, `git prune` and `git repack` do not ask, and a collector in another pid namespace takes a
//! living process for gone. One that has begun is waited for, but not without end: with git's usual settings it spares
//! what is younger than two weeks, so that making something beside it is as safe as any commit is.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::{GitError, Repo};
use crate::durable::{self, Made};
use crate::process::identity::{self, Machine};

/// How long a collector that has begun is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether it has ended.
const PAUSE: Duration = Duration::from_millis(5);
/// What is older was left by one that was killed: git's own measure.
const STALE: Duration = Duration::from_secs(12 * 60 * 60);
/// git's lock on the place.
const LOCK: &str = "gc.pid.lock";
/// A pid and a name of a host.
const LIMIT: u64 = 1 << 10;

/// No collector begins until this is dropped; unless one was at work for too long to be waited for.
#[derive(Debug)]
#[must_use = "the collector may begin when this is dropped"]
pub struct CollectorOff {
    _held: Option<Arc<Held>>,
}

/// The collector's place, taken by this process: once for all of its threads.
#[derive(Debug)]
struct Held {
    path: PathBuf,
    content: Vec<u8>,
}

/// What this process holds, by common dir.
static HELD: Mutex<BTreeMap<PathBuf, Weak<Held>>> = Mutex::new(BTreeMap::new());

impl Drop for Held {
    fn drop(&mut self) {
        if matches!(durable::read(&self.path, LIMIT), Ok(Some(now)) if now == self.content) {
            // One that stays behind is stale as soon as this process has ended.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Keeps the collector of this repository off, once one that is at work has ended.
pub fn keep_collector_off(repo: &Repo) -> Result<CollectorOff, GitError> {
    let common = repo.common_dir();
    let machine = Machine::this().map_err(|e| GitError::io("look at", Path::new("/proc"), e))?;
    let until = Instant::now() + PATIENCE;
    loop {
        {
            let mut ours = HELD.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(held) = ours.get(common).and_then(Weak::upgrade) {
                return Ok(CollectorOff { _held: Some(held) });
            }
            if let Some(held) = try_take(common, &machine)? {
                let held = Arc::new(held);
                ours.insert(common.to_owned(), Arc::downgrade(&held));
                return Ok(CollectorOff { _held: Some(held) });
            }
        }
        if Instant::now() >= until {
            return Ok(CollectorOff { _held: None });
        }
        thread::sleep(PAUSE);
    }
}

/// Puts this process in the place of the collector; `None` where another one is there, or about to be.
fn try_take(common: &Path, machine: &Machine) -> Result<Option<Held>, GitError> {
    let path = common.join("gc.pid");
    let held = Held { path, content: format!("{} {}", std::process::id(), machine.host).into_bytes() };
    // Dropped, it goes only if it is this process's.
    let taken = match durable::write_new(&held.path, &held.content)? {
        Made::New => !is_beginning(common)?,
        Made::Taken if is_at_work(&held.path, machine)? => return Ok(None),
        Made::Taken => replace(common, &held, machine)?,
    };
    Ok(taken.then_some(held))
}

/// Whether a git that began before may not have seen that its place is taken: it has the lock on it from its look at
/// the place to its taking it.
fn is_beginning(common: &Path) -> Result<bool, GitError> {
    let lock = common.join(LOCK);
    lock.try_exists().map_err(|e| GitError::io("look at", &lock, e))
}

/// Takes the place over from one that has gone, as git itself does.
fn replace(common: &Path, held: &Held, machine: &Machine) -> Result<bool, GitError> {
    let lock = common.join(LOCK);
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&lock) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(e) => return Err(GitError::io("create", &lock, e)),
    };
    let taken = match is_at_work(&held.path, machine) {
        Ok(true) => Ok(false),
        Ok(false) => file
            .write_all(&held.content)
            .and_then(|()| fs::rename(&lock, &held.path))
            .map(|()| true)
            .map_err(|e| GitError::io("write", &held.path, e)),
        Err(error) => Err(error),
    };
    if !matches!(taken, Ok(true)) {
        fs::remove_file(&lock).map_err(|e| GitError::io("remove", &lock, e))?;
    }
    taken
}

/// Whether whoever wrote the file may still be at work.
fn is_at_work(path: &Path, machine: &Machine) -> Result<bool, GitError> {
    let Some(content) = durable::read(path, LIMIT)? else { return Ok(false) };
    let written = match fs::metadata(path) {
        Ok(metadata) => metadata.modified().map_err(|e| GitError::io("look at", path, e))?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(GitError::io("look at", path, e)),
    };
    // A time that is still to come is not stale.
    let is_stale = written.elapsed().is_ok_and(|age| age > STALE);
    Ok(!is_stale && names_the_living(&String::from_utf8_lossy(&content), &machine.host))
}

/// Whether `<pid> <host>` may be a process that lives: of another host that cannot be told, nor where it cannot be looked at.
fn names_the_living(content: &str, here: &str) -> bool {
    let Some((pid, host)) = content.trim().split_once(' ') else { return false };
    let Ok(pid) = pid.parse() else { return false };
    host != here || identity::look(pid).map_or(true, |found| found.is_some())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;
    use crate::git::tests::fixture::Fixture;

    #[test]
    fn only_a_process_that_may_live_is_waited_for() {
        let own = std::process::id();
        for (content, lives) in [
            (format!("{own} here"), true),
            (format!("{own} elsewhere"), true),
            ("4194305 here".to_owned(), false),
            ("4194305 elsewhere".to_owned(), true),
            ("-1 here".to_owned(), false),
            ("x here".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(names_the_living(&content, "here"), lives, "{content:?}");
        }
    }

    const ALONE: &str = "RALPH_TEST_WITHOUT_DESCRIPTORS";

    #[test]
    fn a_process_that_cannot_be_looked_at_may_live() {
        // In a process of its own: other tests need descriptors.
        if std::env::var_os(ALONE).is_some() {
            let limit = Rlimit { current: Some(0), maximum: getrlimit(Resource::Nofile).maximum };
            setrlimit(Resource::Nofile, limit).unwrap();
            assert!(names_the_living(&format!("{} here", std::process::id()), "here"));
            return;
        }
        let name = "git::collector::tests::a_process_that_cannot_be_looked_at_may_live";
        let this = std::env::current_exe().unwrap();
        let child = Command::new(this).args(["--exact", name]).env(ALONE, "1").output().unwrap();
        let told = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && told.contains("1 passed"), "{child:?}");
    }

    #[test]
    fn git_itself_heeds_it_and_what_a_killed_collector_left_is_in_no_ones_way() {
        let fixture = Fixture::new();
        let host = Machine::this().unwrap().host;
        fixture.write("repo/.git/gc.pid", format!("4194305 {host}"));
        let held = keep_collector_off(&fixture.repo()).unwrap();
        let refused = fixture.command("repo", &["gc", "--quiet", "--prune=now"]).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("gc is already running"), "{said}");
        drop(held);
        assert!(!fixture.path("repo/.git/gc.pid").exists());
        assert!(!fixture.path("repo/.git/gc.pid.lock").exists());
        fixture.git("repo", &["gc", "--quiet", "--prune=now"]);
    }
}
