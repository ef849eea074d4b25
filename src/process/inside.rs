//! Who works in a folder: the processes whose working directory is in it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A process that works in a folder.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Occupant {
    /// Its process id.
    pub pid: i32,
    /// Its name, without control characters.
    pub name: String,
}

/// The processes whose working directory is `folder`, or below it; this one does not count. `folder` must be free of
/// symbolic links. A process that may not be looked at, such as another user's, is not seen.
pub fn occupants(folder: &Path) -> io::Result<Vec<Occupant>> {
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(pid) = pid.filter(|pid| *pid != me) else { continue };
        // It may end while we look, and is then not there.
        let inside = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        if inside {
            found.push(Occupant { pid, name: name_of(&entry.path()) });
        }
    }
    found.sort_by_key(|occupant| occupant.pid);
    Ok(found)
}

/// Waits until these processes have ended, at most for `patience`.
pub fn wait_for_end(occupants: &[Occupant], patience: Duration) -> io::Result<()> {
    let until = Instant::now() + patience;
    for pid in occupants.iter().filter_map(|occupant| Pid::from_raw(occupant.pid)) {
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => continue,
            other => other?,
        };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)) {
                Err(Errno::INTR) => {}
                other => {
                    other?;
                    break;
                }
            }
        }
    }
    Ok(())
}

fn name_of(process: &Path) -> String {
    let name = fs::read(process.join("comm")).unwrap_or_default();
    let name = String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(&name)).into_owned();
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() { "?".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_is_found_by_its_working_directory_in_the_folder_or_below_it() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let (folder, beside) = (top.join("t-1"), top.join("t-10"));
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::create_dir_all(&beside).unwrap();
        assert_eq!(occupants(&folder).unwrap(), []);
        let start = |at: &Path| {
            // `cat` waits for us to close its input.
            Command::new("cat").current_dir(at).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
        };
        let mut children = [start(&folder), start(&folder.join("src")), start(&beside)];
        let pids: Vec<u32> = occupants(&folder).unwrap().iter().map(|o| o.pid.cast_unsigned()).collect();
        let mut expected = vec![children[0].id(), children[1].id()];
        expected.sort_unstable();
        assert_eq!(pids, expected);
        let begun = Instant::now();
        wait_for_end(&occupants(&beside).unwrap(), Duration::ZERO).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(60), "it waited for one that does not end");
        for child in &mut children {
            drop(child.stdin.take());
        }
        // Ended, they are there until their parent has noticed; in a folder they no longer are.
        let gone = |pid: u32| Occupant { pid: pid.cast_signed(), name: "cat".into() };
        let ended: Vec<Occupant> = children.iter().map(|child| gone(child.id())).collect();
        wait_for_end(&ended, Duration::from_secs(60)).unwrap();
        assert_eq!(occupants(&folder).unwrap(), []);
        for child in &mut children {
            child.wait().unwrap();
        }
        wait_for_end(&ended, Duration::from_secs(60)).unwrap();
        assert_eq!(occupants(&folder).unwrap(), []);
    }
}
