//! Which signals are blocked or ignored: a program inherits that from whoever started it, and hands it on.

use std::mem::MaybeUninit;
use std::ptr;

use libc::c_int;

/// Makes heard what this program waits for, whatever it was started with. Where SIGCHLD is blocked, no child's end is
/// heard of; where it is ignored, no child can be waited for; a blocked SIGTERM never arrives. Called before anything that
/// could be waited for is started, while there is one thread.
#[expect(unsafe_code, reason = "signal masks and dispositions have no safe form")]
pub fn hear_everything() {
    let mut none = MaybeUninit::uninit();
    // SAFETY: the set is made by sigemptyset before it is read, and no handler is installed. What they were is not
    // asked for, and arguments such as these are never refused.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
}

/// Forgets those of the blocked signals that have come and were not heard yet: who ignores a signal has no use for it. One
/// that was ignored from the beginning is kept too while it is blocked, and stays ignored.
#[expect(unsafe_code, reason = "signal dispositions have no safe form")]
pub fn forget(signals: &[c_int]) {
    for &signal in signals {
        let was_ignored = is_ignored(signal);
        // SAFETY: no handler is installed, and none is lost: this is called before there is one.
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
            if !was_ignored {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}

/// Ignores none of the signals any more that this process was told to ignore, since what it starts would ignore them too.
/// Two are left: SIGPIPE, which is put right with each start of a program, and SIGHUP, which says whether to outlive a
/// terminal. It is caught by who starts an agent, and what is caught is not inherited.
#[expect(unsafe_code, reason = "signal dispositions have no safe form")]
pub fn ignore_nothing() {
    let last = libc::SIGRTMAX();
    for signal in
        (1..=last).filter(|signal| ![libc::SIGPIPE, libc::SIGHUP].contains(signal) && is_ignored(*signal))
    {
        // SAFETY: no handler is installed.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Whether this process ignores the signal: `nohup` has SIGHUP ignored, and that is to stay so.
#[expect(unsafe_code, reason = "signal dispositions have no safe form")]
pub fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed without a new action; the old one is read only if it was written.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
