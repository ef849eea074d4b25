//! Starting a program that Ctrl-C at the terminal, and the terminal's end, do not reach: it comes to its own end.
//!
//! A signal that is blocked stays so in whatever is started, which is stronger than one that is ignored: a program may
//! set up a handler of its own for that.

use std::mem::MaybeUninit;
use std::ptr;

/// What a terminal sends.
pub(super) const FROM_TERMINAL: [libc::c_int; 3] = [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP];

/// Does `start` in this thread, and whatever it starts has these signals blocked. One that comes meanwhile is not lost.
#[expect(unsafe_code, reason = "a thread's signal mask has no safe form")]
pub fn uninterrupted<T>(start: impl FnOnce() -> T) -> T {
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    let mut blocked = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are ours and live throughout; `sigemptyset` initialises `blocked` before it is added to and
    // read. With valid arguments none of these calls fails, and only this thread's mask changes.
    unsafe {
        libc::sigemptyset(blocked.as_mut_ptr());
        for signal in FROM_TERMINAL {
            libc::sigaddset(blocked.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, blocked.as_ptr(), before.as_mut_ptr());
    }
    let started = start();
    // SAFETY: `before` was filled in above with this thread's mask.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
    }
    started
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn blocked_in(status: &str) -> u64 {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap()
    }

    #[test]
    fn a_program_keeps_them_blocked_and_this_thread_does_not() {
        let mask = FROM_TERMINAL.iter().fold(0, |mask, signal| mask | 1 << (signal - 1));
        let before = blocked_in(&std::fs::read_to_string("/proc/thread-self/status").unwrap());
        let status = uninterrupted(|| Command::new("cat").arg("/proc/self/status").output()).unwrap();
        assert_eq!(blocked_in(&String::from_utf8(status.stdout).unwrap()) & mask, mask);
        assert_eq!(blocked_in(&std::fs::read_to_string("/proc/thread-self/status").unwrap()), before);
        let status = Command::new("cat").arg("/proc/self/status").output().unwrap();
        assert_eq!(blocked_in(&String::from_utf8(status.stdout).unwrap()), before);
    }
}
