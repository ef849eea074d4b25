//! Crash points for the tests. Without the `failpoints` feature, `hit` is nothing at all.
//!
//! `RALPH_FAILPOINT=<name>:kill` ends this process with SIGKILL when it passes the point; `<name>:wait=<path>` makes
//! it wait there until a file of that name exists. Several are separated by commas.

/// Passes the crash point `name`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_name: &str) {}

/// Passes the crash point `name`.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) {
    let Ok(points) = std::env::var("RALPH_FAILPOINT") else { return };
    for point in points.split(',') {
        let Some((at, action)) = point.split_once(':') else { continue };
        if at != name {
            continue;
        }
        if action == "kill" {
            let result =
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            unreachable!("SIGKILL to ourselves returned: {result:?}");
        }
        if let Some(path) = action.strip_prefix("wait=") {
            while !std::path::Path::new(path).exists() {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
    }
}
