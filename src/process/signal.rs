//! Signals, sent only to a process whose identity was just checked.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::identity::{self, Identity};

/// A process that can be signalled without any danger of hitting another one: the descriptor stays with it.
#[derive(Debug)]
pub struct Handle {
    identity: Identity,
    pidfd: OwnedFd,
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was delivered.
    Delivered,
    /// The process is gone, or its pid is another's by now.
    Gone,
}

impl Handle {
    /// Opens the process; `None` where it is gone or its pid is another's by now.
    ///
    /// The descriptor is opened first and the identity checked after: from then on the two cannot part.
    pub fn open(identity: Identity) -> Result<Option<Self>, Errno> {
        let Some(pid) = Pid::from_raw(identity.pid).filter(|_| identity.pid > 1) else { return Ok(None) };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let found =
            identity::look(identity.pid).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        let same = found.is_some_and(|stat| stat.identity == identity);
        Ok(same.then_some(Self { identity, pidfd }))
    }

    /// Which process it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The descriptor; it becomes readable when the process ends.
    pub fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    /// Sends a signal.
    pub fn send(&self, signal: Signal) -> Result<Delivery, Errno> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) => Ok(Delivery::Delivered),
            Err(Errno::SRCH) => Ok(Delivery::Gone),
            Err(errno) => Err(errno),
        }
    }

    /// Asks the process to end. A stopped process hears nothing until it is continued, so both are sent.
    pub fn ask_to_end(&self) -> Result<Delivery, Errno> {
        match self.send(Signal::TERM)? {
            Delivery::Gone => Ok(Delivery::Gone),
            Delivery::Delivered => self.send(Signal::CONT),
        }
    }
}
