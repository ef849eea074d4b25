//! When the next session may be started: starts are staggered, and wait while the provider limits the rate of
//! requests. Pure: `now` is an argument.

use std::time::{Duration, Instant};

/// The first wait after a rate limit; each further one while they go on is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(4);
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// The pace of starts.
#[derive(Debug)]
pub struct Pace {
    stagger: Duration,
    not_before: Option<Instant>,
    slow: Option<Slowness>,
}

#[derive(Debug, Clone, Copy)]
struct Slowness {
    wait: Duration,
    until: Instant,
}

impl Pace {
    /// One start at most in `stagger`.
    pub fn new(stagger: Duration) -> Self {
        Self { stagger, not_before: None, slow: None }
    }

    /// When the next start may be; `None`: at once.
    pub fn next_start(&self, now: Instant) -> Option<Instant> {
        let slow = self.slow.map(|slow| slow.until);
        self.not_before.into_iter().chain(slow).max().filter(|at| *at > now)
    }

    /// How many may be started now, of `wanted`.
    pub fn allowed(&self, wanted: usize, now: Instant) -> usize {
        match self.next_start(now) {
            Some(_) => 0,
            None if self.stagger.is_zero() => wanted,
            None => wanted.min(1),
        }
    }

    /// Something was started.
    pub fn started(&mut self, now: Instant) {
        self.not_before = now.checked_add(self.stagger);
    }

    /// Rate limits were met since the last look. Says for how long nothing is started, if that is new.
    pub fn rate_limited(&mut self, now: Instant) -> Option<Duration> {
        let wait = match self.slow {
            Some(slow) if now < slow.until => return None,
            // They came back soon after the last wait: that was too short.
            Some(slow) if now < slow.until + slow.wait * 2 => (slow.wait * 2).min(LONGEST_WAIT),
            Some(_) | None => FIRST_WAIT,
        };
        self.slow = Some(Slowness { wait, until: now + wait });
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn starts_are_staggered_and_without_a_stagger_are_not() {
        let now = Instant::now();
        let mut pace = Pace::new(SECOND);
        assert_eq!(pace.allowed(5, now), 1);
        pace.started(now);
        assert_eq!(pace.allowed(5, now), 0);
        assert_eq!(pace.next_start(now), Some(now + SECOND));
        assert_eq!(pace.allowed(5, now + SECOND), 1);
        let mut free = Pace::new(Duration::ZERO);
        free.started(now);
        assert_eq!(free.allowed(5, now), 5);
    }

    #[test]
    fn rate_limits_hold_the_starts_back_longer_and_longer_until_they_stop() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::ZERO);
        assert_eq!(pace.rate_limited(start), Some(4 * SECOND));
        assert_eq!(pace.rate_limited(start + SECOND), None, "it is being waited already");
        assert_eq!(pace.next_start(start + SECOND), Some(start + 4 * SECOND));
        assert_eq!(pace.rate_limited(start + 5 * SECOND), Some(8 * SECOND));
        assert_eq!(pace.allowed(3, start + 13 * SECOND), 3);
        assert_eq!(pace.rate_limited(start + 1000 * SECOND), Some(4 * SECOND), "a burst of its own");
        let mut now = start + 1000 * SECOND;
        for _ in 0..20 {
            now += 500 * SECOND;
            let wait = pace.rate_limited(now).unwrap();
            assert!(wait <= LONGEST_WAIT);
            now = now + wait - 500 * SECOND;
        }
    }
}
