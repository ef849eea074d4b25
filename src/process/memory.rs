//! How much memory new processes may take.

use std::fs;
use std::path::Path;

/// Bytes that can be had without swapping: the kernel's estimate, or what is left of the control group's bound where
/// that is less. `None` where the kernel does not say.
pub fn available() -> Option<u64> {
    let machine = parse_meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(left_in_group(Path::new("/sys/fs/cgroup")).map_or(machine, |group| group.min(machine)))
}

fn parse_meminfo(text: &str) -> Option<u64> {
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
    fn a_groups_bound_counts_where_it_has_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("memory.current"), "300\n").unwrap();
        fs::write(folder.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(left_in_group(folder.path()), None);
        fs::write(folder.path().join("memory.max"), "1000\n").unwrap();
        assert_eq!(left_in_group(folder.path()), Some(700));
    }
}
