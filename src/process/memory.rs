//! How much memory new processes may take, and how little this one has to.

use std::fs;
use std::ops::Range;
use std::path::Path;

use rustix::mm::{Advice, madvise};

/// Bytes that can be had without swapping: the kernel's estimate, or what is left of the control group's bound where
/// that is less. `None` where the kernel does not say.
pub fn available() -> Option<u64> {
    let machine = parse_meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(left_in_group(Path::new("/sys/fs/cgroup")).map_or(machine, |group| group.min(machine)))
}

pub(super) fn parse_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// What is left of the bound of the group that a container sees as its root.
fn left_in_group(root: &Path) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(root.join(name)).ok()?.trim().parse::<u64>().ok();
    let (most, used) = (number("memory.max")?, number("memory.current")?);
    Some(most.saturating_sub(used))
}

/// Gives back the pages of the program's own code and constants; the kernel brings those back that are used again.
/// For a process that is about to wait for long: most of what it ran until then it will not run again. Best effort.
pub fn shed_code() {
    let (Ok(program), Ok(maps)) = (fs::read_link("/proc/self/exe"), fs::read_to_string("/proc/self/smaps"))
    else {
        return;
    };
    for range in unwritten(&maps, &program) {
        shed(range);
    }
}

#[expect(unsafe_code, reason = "giving pages back has no safe form")]
fn shed(range: Range<usize>) {
    let start = std::ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: the mapping is of a file, private and not writable, and the kernel says that no page of it was ever
    // written: the next use of a page reads the same bytes from the file.
    // Where that is refused, the pages stay.
    let _ = unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) };
}

/// The mappings of `program` that cannot be written and of which no page was: what relocation changed is none of them.
pub(super) fn unwritten(smaps: &str, program: &Path) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        if let Some((start, end)) = first.split_once('-') {
            let number = |text| usize::from_str_radix(text, 16).ok();
            let is_fixed = matches!(words.next(), Some("r-xp" | "r--p"));
            // Offset, device and inode stand between.
            let is_programs = words.nth(3).is_some_and(|path| Path::new(path) == program);
            let bounds = number(start).zip(number(end)).filter(|(start, end)| start < end);
            candidate = bounds.filter(|_| is_fixed && is_programs);
        } else if first == "Anonymous:"
            && words.next() == Some("0")
            && let Some((start, end)) = candidate.take()
        {
            found.push(start..end);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_estimate_is_found_among_the_others() {
        let text = "MemTotal:       24689764 kB\nMemFree:        100 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(parse_meminfo(text), Some(2 << 20));
        assert_eq!(parse_meminfo("MemTotal: 1 kB\n"), None);
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn what_was_written_or_can_be_or_is_another_files_is_not_shed() {
        let smaps = "\
1000-2000 r--p 00000000 08:01 11 /bin/ralph
Rss: 4 kB
Anonymous: 0 kB
2000-5000 r-xp 00001000 08:01 11 /bin/ralph
Anonymous: 0 kB
5000-6000 r--p 00004000 08:01 11 /bin/ralph
Anonymous: 4 kB
6000-7000 rw-p 00005000 08:01 11 /bin/ralph
Anonymous: 0 kB
7000-8000 r-xp 00000000 08:01 12 /lib/libc.so.6
Anonymous: 0 kB
8000-9000 r--p 00000000 00:00 0
Anonymous: 0 kB
a000-9000 r--p 00000000 08:01 11 /bin/ralph
Anonymous: 0 kB
";
        assert_eq!(unwritten(smaps, Path::new("/bin/ralph")), [0x1000..0x2000, 0x2000..0x5000]);
    }

    #[test]
    fn a_groups_bound_counts_where_it_has_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("memory.current"), "300\n").unwrap();
        fs::write(folder.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(left_in_group(folder.path()), None);
        fs::write(folder.path().join("memory.max"), "1000\n").unwrap();
        assert_eq!(left_in_group(folder.path()), Some(700));
    }
}
