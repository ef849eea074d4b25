//! Who works in a folder: the processes whose working directory is in it.

use std::fs;
use std::io;
use std::path::Path;

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
        for child in &mut children {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
        assert_eq!(occupants(&folder).unwrap(), []);
    }
}
