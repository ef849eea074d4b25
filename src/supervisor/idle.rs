//! When an agent that shows no sign of life has been idle too long. Pure.
//!
//! Signs of life are modification times of files, which follow the wall clock; the deadline follows the monotonic one.
//! A clock that is set cannot end a session: whatever the files say, activity is placed no earlier than the last look
//! that saw it missing, and no later than now.

use std::time::{Duration, Instant, SystemTime};

/// Watches for signs of life.
#[derive(Debug, Clone)]
pub struct IdleWatch {
    limit: Duration,
    last_sign: Option<SystemTime>,
    last_active: Instant,
    last_look: Instant,
}

/// What a look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Look again then.
    LookAgain(Instant),
    /// Idle for the whole limit.
    Expired,
}

impl IdleWatch {
    /// Begins to watch, at a moment that counts as active.
    pub fn start(limit: Duration, last_sign: Option<SystemTime>, now: Instant) -> Self {
        Self { limit, last_sign, last_active: now, last_look: now }
    }

    /// When to look first.
    pub fn first_look(&self) -> Instant {
        self.last_active + self.limit
    }

    /// Looks: `sign` is the latest modification time seen, `wall` and `now` are this moment on both clocks.
    pub fn look(&mut self, sign: Option<SystemTime>, wall: SystemTime, now: Instant) -> Verdict {
        if sign != self.last_sign {
            let age = sign.and_then(|sign| wall.duration_since(sign).ok()).unwrap_or_default();
            let active = now.checked_sub(age).unwrap_or(self.last_look);
            self.last_active = active.clamp(self.last_look, now);
            self.last_sign = sign;
        }
        self.last_look = now;
        let deadline = self.last_active + self.limit;
        if now >= deadline { Verdict::Expired } else { Verdict::LookAgain(deadline) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn silence_for_the_whole_limit_expires() {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let mut watch = IdleWatch::start(LIMIT, Some(wall), now);
        assert_eq!(watch.look(Some(wall), wall + LIMIT, now + LIMIT), Verdict::Expired);
    }

    #[test]
    fn a_sign_of_life_moves_the_deadline_to_a_limit_after_it() {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let mut watch = IdleWatch::start(LIMIT, Some(wall), now);
        let sign = wall + 40 * SECOND;
        let verdict = watch.look(Some(sign), wall + LIMIT, now + LIMIT);
        assert_eq!(verdict, Verdict::LookAgain(now + 40 * SECOND + LIMIT));
        assert_eq!(watch.look(Some(sign), wall + 100 * SECOND, now + 100 * SECOND), Verdict::Expired);
    }

    #[test]
    fn a_clock_that_jumps_neither_expires_an_active_session_nor_keeps_an_idle_one() {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let day = 86_400 * SECOND;
        for jumped in [wall + day, wall - day] {
            let mut watch = IdleWatch::start(LIMIT, Some(wall), now);
            // Active just now, and the clock was set in the meantime.
            let verdict = watch.look(Some(jumped), jumped + SECOND, now + LIMIT / 2);
            assert!(matches!(verdict, Verdict::LookAgain(_)), "{verdict:?}");
            // Nothing since: it expires one limit later, whatever the wall clock says.
            assert_eq!(watch.look(Some(jumped), wall, now + LIMIT / 2 + LIMIT), Verdict::Expired);
        }
    }
}
