//! What happens beside the loop: sessions are begun by a few threads, and awaited by one thread each, which sleeps until
//! the session's lock is free, and settles it if need be. All of it comes back as a [`Message`].

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::endings::Endings;
use crate::dispatch::error::DispatchError;
use crate::dispatch::run::{Dispatched, dispatch};
use crate::dispatch::{Context, Environment, Request};
use crate::git::{CheckoutProgress, CommitId, Joined, join, keep_collector_off};
use crate::id::{Lane, SessionId};
use crate::launch::LaunchError;
use crate::launch::local::Supervisor;
use crate::process::identity::Machine;
use crate::recover::EndedError;
use crate::session::manifest::{Manifest, Outcome};
use crate::session::store::Store;

/// The last word on a session.
pub type How = Result<Box<Manifest>, EndedError>;

/// Something that the loop is told.
#[derive(Debug)]
pub enum Message {
    /// A session was begun, or could not be.
    Begun {
        /// The item.
        item: usize,
        /// The session.
        session: SessionId,
        /// What came of it.
        came_to: CameTo,
    },
    /// A session has ended.
    Ended {
        /// The item.
        item: usize,
        /// The session.
        session: SessionId,
        /// How, as far as that can be known.
        how: How,
    },
    /// An item's work is being merged.
    Landing {
        /// The item.
        item: usize,
    },
    /// An item's work was merged, or could not be.
    Landed {
        /// The item.
        item: usize,
        /// What came of it.
        landed: Landed,
    },
    /// A person's wish.
    Order(Order),
}

/// What beginning a session came to.
#[derive(Debug)]
pub enum CameTo {
    /// Its agent runs.
    Running(Box<Dispatched>),
    /// It does not.
    Failed(DispatchError),
    /// It was not begun: the works that it would start from do not go together.
    Conflict {
        /// The files.
        files: Vec<String>,
    },
    /// Its supervisor was ended before its agent ran.
    Vanished(How),
    /// It was not begun, because the batch was halted first.
    Withdrawn,
}

/// What merging an item's work came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landed {
    /// It is in this branch, which is at this commit now.
    Merged {
        /// The branch.
        into: String,
        /// The commit.
        commit: String,
        /// Whether its ticket was closed there.
        closed: Closed,
        /// What there is to say.
        notes: Vec<String>,
    },
    /// The batch was halted before anything had moved: it is merged when the batch is taken up again.
    CalledOff,
    /// It is where it was.
    Not {
        /// Why.
        reason: String,
        /// The files in conflict or in the way.
        files: Vec<String>,
        /// What to do next, where that is known.
        hint: Option<String>,
    },
}

/// Whether ralph closed an item's ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It did.
    Yes,
    /// It was closed already, or is none of ralph's business.
    No,
}

/// A person's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Ctrl-C, or a request to end.
    Interrupt,
    /// The terminal has gone.
    Hangup,
}

/// Something that merges the work of lanes, one after the other.
pub trait Lander: Send {
    /// Merges the lane's work, unless that is called off before anything has moved.
    fn land(&mut self, lane: &Lane, title: Option<&str>, called_off: &AtomicBool) -> Landed;
}

/// A session to begin.
#[derive(Debug)]
pub struct Job {
    /// The item.
    pub item: usize,
    /// What to dispatch.
    pub request: Request,
    /// The commits whose work its branch starts from, if it is new.
    pub stacked_on: Vec<CommitId>,
    /// Where the writing of its worktree's files is reported.
    pub progress: CheckoutProgress,
}

/// The threads.
#[derive(Debug)]
pub struct Workers {
    jobs: Sender<Job>,
    landings: Option<Sender<(usize, Lane, Option<String>)>>,
    messages: Sender<Message>,
    starts_halted: Arc<AtomicBool>,
    landings_halted: Arc<AtomicBool>,
    endings: Endings,
}

impl Workers {
    /// So many threads that begin sessions, in contexts of their own.
    pub fn start(
        count: usize,
        environment: &Environment,
        machine: &Machine,
        store: &Store,
        messages: Sender<Message>,
    ) -> io::Result<Self> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let halted = Arc::new(AtomicBool::new(false));
        let endings = Endings::new(store, machine, &environment.git);
        for _ in 0..count.max(1) {
            let starter = Starter {
                queue: Arc::clone(&queue),
                messages: messages.clone(),
                halted: Arc::clone(&halted),
                environment: environment.clone(),
                machine: machine.clone(),
                endings: endings.clone(),
            };
            thread::Builder::new().name("starter".into()).spawn(move || starter.run())?;
        }
        let landings_halted = Arc::new(AtomicBool::new(false));
        Ok(Self { jobs, landings: None, messages, starts_halted: halted, landings_halted, endings })
    }

    /// From now on, work is merged by `lander`.
    pub fn merge_with(&mut self, mut lander: Box<dyn Lander>) -> io::Result<()> {
        let (sender, queue) = channel::<(usize, Lane, Option<String>)>();
        let (messages, halted) = (self.messages.clone(), Arc::clone(&self.landings_halted));
        thread::Builder::new().name("lander".into()).spawn(move || {
            for (item, lane, title) in queue {
                let landed = if halted.load(Ordering::SeqCst) {
                    Landed::CalledOff
                } else if messages.send(Message::Landing { item }).is_err() {
                    return;
                } else {
                    lander.land(&lane, title.as_deref(), &halted)
                };
                if messages.send(Message::Landed { item, landed }).is_err() {
                    return;
                }
            }
        })?;
        self.landings = Some(sender);
        Ok(())
    }

    /// Begins a session.
    pub fn begin(&self, job: Job) {
        // The threads live as long as this does.
        drop(self.jobs.send(job));
    }

    /// Merges an item's work, after those that were asked for before.
    pub fn land(&self, item: usize, lane: Lane, title: Option<String>) {
        if let Some(landings) = &self.landings {
            drop(landings.send((item, lane, title)));
        }
    }

    /// Begins none of the sessions that still wait for a thread.
    pub fn halt_starts(&self) {
        self.starts_halted.store(true, Ordering::SeqCst);
    }

    /// Merges nothing that is not being merged already.
    pub fn halt_landings(&self) {
        self.landings_halted.store(true, Ordering::SeqCst);
    }

    /// Waits for the session's end, and then for that of its supervisor, where that is our child.
    pub fn wait_for(
        &self,
        item: usize,
        session: SessionId,
        supervisor: Option<Supervisor>,
    ) -> io::Result<()> {
        let (endings, messages) = (self.endings.clone(), self.messages.clone());
        thread::Builder::new().name("waiter".into()).spawn(move || {
            let how = endings.wait_for(session).map(Box::new);
            // No one may be listening any more.
            drop(messages.send(Message::Ended { item, session, how }));
            // Nothing is done about it but that it is not left for this process's end.
            drop(supervisor.map(Supervisor::wait));
        })?;
        Ok(())
    }
}

/// Whether the batch is being ended. Ctrl-C at a terminal ends a git of its own at the same moment, and that may be noticed
/// first: a short while is waited.
pub(super) fn halts_now_or_soon(halted: &AtomicBool) -> bool {
    let until = Instant::now() + Duration::from_secs(1);
    while !halted.load(Ordering::SeqCst) {
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

struct Starter {
    queue: Arc<Mutex<Receiver<Job>>>,
    messages: Sender<Message>,
    halted: Arc<AtomicBool>,
    environment: Environment,
    machine: Machine,
    endings: Endings,
}

impl Starter {
    fn run(self) {
        let mut context = None;
        loop {
            let job = match self.queue.lock() {
                Ok(queue) => queue.recv(),
                Err(_) => return,
            };
            let Ok(job) = job else { return };
            let (item, session) = (job.item, job.request.session);
            let came_to = match self.begin(&mut context, job) {
                CameTo::Failed(DispatchError::Git(error))
                    if error.was_interrupted() && halts_now_or_soon(&self.halted) =>
                {
                    CameTo::Withdrawn
                }
                CameTo::Failed(DispatchError::Launch(LaunchError::Vanished { .. })) => self.vanished(session),
                came_to => came_to,
            };
            let message = Message::Begun { item, session, came_to };
            if self.messages.send(message).is_err() {
                return;
            }
        }
    }

    /// Whoever ends a batch may have ended a supervisor with it: then no agent has run, and the ticket is not written off.
    fn vanished(&self, session: SessionId) -> CameTo {
        let how = self.endings.wait_for(session).map(Box::new);
        let launch_failed = matches!(&how, Ok(manifest) if manifest.outcome == Some(Outcome::LaunchFailed));
        if launch_failed && halts_now_or_soon(&self.halted) {
            return CameTo::Withdrawn;
        }
        CameTo::Vanished(how)
    }

    fn begin(&self, context: &mut Option<Context>, job: Job) -> CameTo {
        let Job { mut request, stacked_on, progress, .. } = job;
        if self.halted.load(Ordering::SeqCst) {
            return CameTo::Withdrawn;
        }
        let context = match context {
            Some(context) => context,
            None => match Context::open(self.environment.clone(), self.machine.clone()) {
                Ok(opened) => context.insert(opened),
                Err(error) => return CameTo::Failed(error.into()),
            },
        };
        context.repo.report_to(progress);
        let mut collector_off = None;
        if let Some((first, others)) = stacked_on.split_first() {
            if !others.is_empty() {
                // Until the lane's branch leads to what they are joined to.
                match keep_collector_off(&context.repo) {
                    Ok(off) => collector_off = Some(off),
                    Err(error) => return CameTo::Failed(error.into()),
                }
            }
            let message = format!("Join what {} needs", request.place.ticket);
            match join(&context.repo, first, others, &message) {
                Ok(Joined::Commit(commit)) => request.place.start_at = Some(commit),
                Ok(Joined::Conflict { files, .. }) => {
                    let files = files.iter().map(|file| file.display().to_string()).collect();
                    return CameTo::Conflict { files };
                }
                Err(error) => return CameTo::Failed(error.into()),
            }
        }
        let dispatched = dispatch(context, &request);
        drop(collector_off);
        match dispatched {
            Ok(dispatched) => CameTo::Running(Box::new(dispatched)),
            Err(error) => CameTo::Failed(error),
        }
    }
}
