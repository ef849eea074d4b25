//! Crash points for the tests. Without the `failpoints` feature, `hit` is nothing at all.
//!
//! `RALPH_FAILPOINT=<point>:kill` ends this process with SIGKILL when it passes the point, and `<point>:kill=<path>` makes
//! a file of that name before, for whoever cannot see it die; `<point>:wait=<path>` makes it wait there until a file of that name exists, and say so by making `<path>.waiting`. A point is `<name>`; `<name>#<n>` for its n-th passing only; and
//! `<earlier>><point>` counts only what comes after the first passing of `<earlier>`; `*` is any point. Several are
//! separated by commas.

/// Passes the crash point `name`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_name: &str) {}

/// Passes the crash point `name`.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) {
    use std::sync::{Mutex, PoisonError};
    static PASSED: Mutex<Vec<String>> = Mutex::new(Vec::new());

    let Ok(points) = std::env::var("RALPH_FAILPOINT") else { return };
    let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
    passed.push(name.to_owned());
    let reached: Vec<&str> = points
        .split(',')
        .filter_map(|point| point.split_once(':'))
        .filter(|(point, _)| is_reached(point, &passed))
        .map(|(_, action)| action)
        .collect();
    drop(passed);
    for action in reached {
        act(action);
    }
}

/// Whether the last of `passed` is `point`.
#[cfg(feature = "failpoints")]
fn is_reached(point: &str, passed: &[String]) -> bool {
    let (earlier, point) = point.rsplit_once('>').map_or((None, point), |(earlier, at)| (Some(earlier), at));
    let (name, wanted) = point.split_once('#').map_or((point, None), |(name, n)| (name, n.parse().ok()));
    let from = earlier.map_or(Some(0), |earlier| passed.iter().position(|name| name == earlier));
    let counted = from.and_then(|from| passed.get(from..)).unwrap_or_default();
    let is_meant = |at: &&String| name == "*" || *at == name;
    let times = counted.iter().filter(is_meant).count();
    times > 0
        && passed.last().as_ref().is_some_and(is_meant)
        && wanted.is_none_or(|wanted: usize| wanted == times)
}

#[cfg(feature = "failpoints")]
fn act(action: &str) {
    if let Some(path) = action.strip_prefix("kill=") {
        drop(std::fs::write(path, ""));
    }
    if action.starts_with("kill") {
        let result = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        unreachable!("SIGKILL to ourselves returned: {result:?}");
    }
    if let Some(path) = action.strip_prefix("wait=") {
        // A test that waits for it fails if it cannot be made.
        drop(std::fs::write(format!("{path}.waiting"), ""));
        while !std::path::Path::new(path).exists() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

#[cfg(all(test, feature = "failpoints"))]
mod tests {
    use super::is_reached;

    #[test]
    fn a_point_is_reached_by_name_by_number_and_after_another() {
        let passed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let cases = [
            ("a", &["a"][..], true),
            ("a", &["b"], false),
            ("a", &["a", "b"], false),
            ("a", &["a", "a"], true),
            ("a#1", &["a"], true),
            ("a#2", &["a"], false),
            ("a#2", &["a", "b", "a"], true),
            ("a#1", &["a", "a"], false),
            ("b>a", &["a"], false),
            ("b>a", &["b", "a"], true),
            ("b>a#1", &["a", "b", "a"], true),
            ("b>a#2", &["a", "b", "a"], false),
            ("b>b", &["b"], true),
            ("*#1", &["a"], true),
            ("*#2", &["a"], false),
            ("*#2", &["a", "b"], true),
            ("b>*#2", &["a", "b", "a"], true),
            ("b>*#2", &["a", "b"], false),
        ];
        for (point, names, expected) in cases {
            assert_eq!(is_reached(point, &passed(names)), expected, "{point} {names:?}");
        }
    }
}
