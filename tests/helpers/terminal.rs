//! A program on a terminal of its own, which is its controlling terminal: what it writes is read, what a person would
//! type is typed (`\x03` is Ctrl-C), and the terminal can be closed under it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::command::Finished;
use super::wait;

/// A program on a terminal. It is killed when this is dropped unfinished.
pub struct Terminal {
    child: Child,
    ended: Option<ExitStatus>,
    /// Our end of the terminal; none once it was closed.
    ours: Option<File>,
    screen: Arc<Mutex<Vec<u8>>>,
    /// Closing it ends the reader, which holds our end too.
    reading: Option<(UnixStream, JoinHandle<()>)>,
    what: String,
}

impl Terminal {
    pub(super) fn start(command: &Command, what: String) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).expect("a terminal");
        grantpt(&ours).expect("the terminal is ours");
        unlockpt(&ours).expect("the terminal is unlocked");
        let theirs = File::from(ioctl_tiocgptpeer(&ours, flags).expect("the terminal's other end"));
        tcsetwinsize(&theirs, Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 })
            .expect("a size");
        let end = || theirs.try_clone().expect("one more handle");
        // `setsid --ctty` makes the terminal the controlling one and then becomes the program: the pid stays.
        let mut setsid = Command::new("/usr/bin/env");
        setsid.args(["setsid", "--ctty"]).arg(command.get_program()).args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            setsid.env(name, value.unwrap_or_default());
        }
        if let Some(folder) = command.get_current_dir() {
            setsid.current_dir(folder);
        }
        setsid.stdin(end()).stdout(end()).stderr(end());
        let child = setsid.spawn().unwrap_or_else(|error| panic!("could not start {what}: {error}"));
        // Commands keep their streams open for as long as they live.
        drop((setsid, theirs));
        let ours = File::from(ours);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let reading = Self::read(ours.try_clone().expect("one more handle"), Arc::clone(&screen));
        Self { child, ended: None, ours: Some(ours), screen, reading: Some(reading), what }
    }

    fn read(mut terminal: File, screen: Arc<Mutex<Vec<u8>>>) -> (UnixStream, JoinHandle<()>) {
        let (keep, stop) = UnixStream::pair().expect("a pair of sockets");
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            loop {
                let mut events = [PollFd::new(&terminal, PollFlags::IN), PollFd::new(&stop, PollFlags::IN)];
                poll(&mut events, None).expect("two files can be waited for");
                let [said, stopped] = events.map(|event| !event.revents().is_empty());
                if stopped {
                    return;
                }
                // The last program on the terminal has gone: the read fails.
                let Ok(length @ 1..) = (if said { terminal.read(&mut part) } else { continue }) else {
                    return;
                };
                screen.lock().expect("no reader panics").extend_from_slice(&part[..length]);
            }
        });
        (keep, reader)
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().expect("pids are small")
    }

    /// Everything it has written so far, with its control sequences.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().expect("no reader panics")).into_owned()
    }

    /// Waits until `text` stands in what it has written.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let seen = wait::within(wait::DEADLINE, || self.screen().contains(text).then_some(()));
        assert!(seen.is_some(), "{} did not say {text:?}:\n{}", self.what, self.screen());
    }

    /// Types `text`.
    pub fn type_text(&mut self, text: &str) {
        let ours = self.ours.as_mut().expect("the terminal is open");
        ours.write_all(text.as_bytes()).expect("the terminal takes what is typed");
    }

    /// Closes the terminal, as when its window goes: the program gets SIGHUP.
    pub fn hang_up(&mut self) {
        self.stop_reading();
        self.ours = None;
    }

    fn stop_reading(&mut self) {
        if let Some((keep, reader)) = self.reading.take() {
            drop(keep);
            reader.join().expect("no reader panics");
        }
    }

    /// Waits for its end. Its output is all that it wrote, also to its standard error.
    #[track_caller]
    pub fn wait(mut self) -> Finished {
        let status = wait::within(wait::DEADLINE, || self.look());
        let Some(status) = status else {
            panic!("{} did not end within {:?}:\n{}", self.what, wait::DEADLINE, self.screen());
        };
        // What was written last may not have been read yet; a session that lives on must not hold the terminal.
        if let Some((_, reader)) = &self.reading {
            let closed = wait::within(wait::DEADLINE, || reader.is_finished().then_some(()));
            assert!(
                closed.is_some(),
                "{} ended, but its terminal is still held open:\n{}",
                self.what,
                self.screen()
            );
        }
        Finished {
            code: status.code(),
            signal: status.signal(),
            stdout: self.screen(),
            stderr: String::new(),
            stdout_bytes: self.screen.lock().expect("no reader panics").clone(),
            what: self.what.clone(),
        }
    }

    fn look(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("our own child can be waited for");
        }
        self.ended
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.look().is_none() {
            // It may have ended since; either way it is reaped.
            drop(self.child.kill());
            drop(self.child.wait());
        }
        self.stop_reading();
    }
}
