//! How much of the processors this process claims.

use std::fs;

use rustix::process::nice;

/// A tenth of what others claim: one that is given next to nothing holds up whoever waits for what it holds.
const LESS: i32 = 10;

/// Lets others go first from now on: for what no one waits for. Best effort, and there is no way back.
pub fn give_way() {
    // Where it is refused, the work is done all the same.
    let _ = nice(LESS);
    // A process of a session of its own is weighed as its session is, where the kernel groups by sessions.
    drop(fs::write("/proc/self/autogroup", LESS.to_string()));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const ALONE: &str = "RALPH_TEST_GIVES_WAY";

    #[test]
    fn who_gives_way_claims_less() {
        // In a process of its own: there is no way back.
        if std::env::var_os(ALONE).is_some() {
            give_way();
            let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
            let after_name = stat.rsplit(") ").next().unwrap();
            assert_eq!(after_name.split(' ').nth(16), Some("10"), "{stat}");
            return;
        }
        let name = "process::priority::tests::who_gives_way_claims_less";
        let this = std::env::current_exe().unwrap();
        let child =
            Command::new("setsid").arg("-w").arg(this).args(["--exact", name]).env(ALONE, "1").output();
        let child = child.unwrap();
        let told = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && told.contains("1 passed"), "{child:?}");
    }
}
