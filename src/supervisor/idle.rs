//! When an agent that shows no sign of life has been idle too long. Pure.
//!
//! Signs of life are modification times of files, which follow the wall clock; the deadline follows the monotonic one.
//! A clock that is set cannot end a session: any time that is another than at the last look is a sign of life, whichever
//! way it went, and one that cannot be true since that look counts as now.

use std::time::{Duration, Instant, SystemTime};

/// The modification times of the files that are watched; `None` for one that is not there.
pub type Signs = Vec<Option<SystemTime>>;

/// Watches for signs of life.
#[derive(Debug, Clone)]
pub struct IdleWatch {
    limit: Duration,
    last_signs: Signs,
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
    pub fn start(limit: Duration, last_signs: Signs, now: Instant) -> Self {
        Self { limit, last_signs, last_active: now, last_look: now }
    }

    /// When to look first.
    pub fn first_look(&self) -> Instant {
        self.last_active + self.limit
    }

    /// Looks: `signs` are the modification times now, `wall` and `now` are this moment on both clocks.
    pub fn look(&mut self, signs: Signs, wall: SystemTime, now: Instant) -> Verdict {
        let changed = signs.iter().zip(&self.last_signs).filter(|(sign, last)| sign != last);
        let active = changed.map(|(sign, _)| self.moment_of(*sign, wall, now)).max();
        self.last_active = active.unwrap_or(self.last_active);
        self.last_signs = signs;
        self.last_look = now;
        let deadline = self.last_active + self.limit;
        if now >= deadline { Verdict::Expired } else { Verdict::LookAgain(deadline) }
    }

    /// When a file that changed since the last look was changed.
    fn moment_of(&self, sign: Option<SystemTime>, wall: SystemTime, now: Instant) -> Instant {
        let age = sign.and_then(|sign| wall.duration_since(sign).ok());
        age.and_then(|age| now.checked_sub(age)).filter(|moment| *moment >= self.last_look).unwrap_or(now)
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
        let mut watch = IdleWatch::start(LIMIT, vec![Some(wall)], now);
        assert_eq!(watch.look(vec![Some(wall)], wall + LIMIT, now + LIMIT), Verdict::Expired);
    }

    #[test]
    fn a_sign_of_life_moves_the_deadline_to_a_limit_after_it() {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let mut watch = IdleWatch::start(LIMIT, vec![Some(wall)], now);
        let sign = wall + 40 * SECOND;
        let verdict = watch.look(vec![Some(sign)], wall + LIMIT, now + LIMIT);
        assert_eq!(verdict, Verdict::LookAgain(now + 40 * SECOND + LIMIT));
        assert_eq!(watch.look(vec![Some(sign)], wall + 100 * SECOND, now + 100 * SECOND), Verdict::Expired);
    }

    #[test]
    fn a_clock_that_jumps_neither_expires_an_active_session_nor_keeps_an_idle_one() {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let day = 86_400 * SECOND;
        for jumped in [wall + day, wall - day] {
            let mut watch = IdleWatch::start(LIMIT, vec![Some(wall)], now);
            // Active just now, and the clock was set in the meantime.
            let verdict = watch.look(vec![Some(jumped)], jumped + SECOND, now + LIMIT / 2);
            assert!(matches!(verdict, Verdict::LookAgain(_)), "{verdict:?}");
            // Nothing since: it expires one limit later, whatever the wall clock says.
            assert_eq!(watch.look(vec![Some(jumped)], wall, now + LIMIT / 2 + LIMIT), Verdict::Expired);
        }
    }

    #[test]
    fn a_file_that_is_written_after_the_clock_was_set_back_is_a_sign_whatever_the_others_say() {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let earlier = wall - 86_400 * SECOND;
        let mut watch = IdleWatch::start(LIMIT, vec![Some(wall), Some(wall), None], now);
        let written = earlier + 50 * SECOND;
        let verdict = watch.look(vec![Some(written), Some(wall), None], earlier + LIMIT, now + LIMIT);
        assert_eq!(verdict, Verdict::LookAgain(now + 50 * SECOND + LIMIT));
    }

    #[test]
    fn a_file_that_comes_or_goes_is_a_sign() {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let mut watch = IdleWatch::start(LIMIT, vec![None], now);
        let came = watch.look(vec![Some(wall)], wall, now + LIMIT);
        assert_eq!(came, Verdict::LookAgain(now + LIMIT + LIMIT));
        let gone = watch.look(vec![None], wall, now + LIMIT + LIMIT);
        assert_eq!(gone, Verdict::LookAgain(now + LIMIT + LIMIT + LIMIT));
    }
}
