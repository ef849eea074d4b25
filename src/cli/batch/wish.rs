//! What a batch is to do, whichever command asked for it, and what makes two commands the same one.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::batch::land::Closing;
use crate::batch::source::{Intake, Lookup, Stacking};
use crate::cli::args::RunArgs;
use crate::cli::args::batch::{BatchArgs, LandingArgs, LoopArgs, PoolArgs};
use crate::cli::error::{CliError, CliResult};
use crate::cli::exit::Exit;
use crate::config::Layer;
use crate::id::{Lane, RefName};

/// A list of tickets is not longer than this, in bytes.
const LONGEST: u64 = 4 << 20;

/// What a batch is to do.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Which tickets.
    pub tickets: Tickets,
    /// On which bases; none: on the one that plain lanes have.
    pub bases: Vec<RefName>,
    /// Whether tickets start from the work of those that they need.
    pub stacking: Stacking,
    /// Whether tickets are looked up.
    pub lookup: Lookup,
    /// Whether tickets that appear later are worked on too.
    pub intake: Intake,
    /// What becomes of work that succeeded.
    pub landing: Option<Merging>,
    /// How many tickets are worked on at most.
    pub most_tickets: Option<usize>,
    /// How sessions are started, tried again and bounded.
    pub pool: PoolArgs,
    /// Where a page on it is written.
    pub report: Option<PathBuf>,
    /// What a pi-ticketflow project says about what is run, where nothing else was said.
    pub ticketflow: Layer,
    /// What was typed about it.
    pub run: RunArgs,
    /// Further arguments for the agent.
    pub agent_args: Vec<String>,
    /// Whether it is only told.
    pub act: Act,
}

/// Which tickets.
#[derive(Debug, Clone, PartialEq)]
pub enum Tickets {
    /// Those that are ready.
    Ready,
    /// All that are open.
    Open,
    /// These.
    Named(Vec<Lane>),
}

/// How work is merged.
#[derive(Debug, Clone)]
pub struct Merging {
    /// What was typed about it.
    pub how: LandingArgs,
    /// Whether the ticket is closed too.
    pub closing: Closing,
}

/// Whether something is done, or only told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It is done.
    Do,
    /// It is told.
    Tell,
}

impl Wish {
    /// What `batch` asks for.
    pub fn of_batch(args: &BatchArgs) -> CliResult<Self> {
        let tickets = match &args.from {
            Some(path) => Tickets::Named(from_file(path)?),
            None if args.ready => Tickets::Ready,
            None => Tickets::Named(args.tickets.clone()),
        };
        let merging = || Merging { how: args.landing.clone(), closing: Closing::Never };
        Ok(Self {
            tickets,
            bases: args.bases.clone(),
            stacking: if args.stack { Stacking::FromDeps } else { Stacking::FromBase },
            lookup: if args.no_ticket { Lookup::Skip } else { Lookup::InFolder },
            intake: Intake::Fixed,
            landing: args.merge.then(merging),
            most_tickets: None,
            pool: args.pool.clone(),
            report: args.report.clone(),
            ticketflow: Layer::default(),
            run: args.run.clone(),
            agent_args: args.agent_args.clone(),
            act: if args.dry_run { Act::Tell } else { Act::Do },
        })
    }

    /// What `run` asks for.
    pub fn of_run(args: &LoopArgs) -> Self {
        let (tickets, intake) = match args.tickets.as_slice() {
            [] => (Tickets::Open, Intake::Everything),
            named => (Tickets::Named(named.to_vec()), Intake::Fixed),
        };
        Self {
            tickets,
            bases: Vec::new(),
            stacking: Stacking::FromBase,
            lookup: Lookup::InFolder,
            intake,
            landing: Some(Merging { how: args.landing.clone(), closing: Closing::IfOpen }),
            most_tickets: args.max_tickets,
            pool: args.pool.clone(),
            report: args.report.clone(),
            ticketflow: Layer::default(),
            run: args.run.clone(),
            agent_args: args.agent_args.clone(),
            act: if args.dry_run { Act::Tell } else { Act::Do },
        }
    }

    /// What a command with the same tickets, bases and rules comes to: it takes up what was left of this one. How many
    /// run at a time, and how that is shown, may differ.
    pub fn key(&self) -> String {
        let tickets: Option<Vec<String>> = match &self.tickets {
            Tickets::Ready | Tickets::Open => None,
            Tickets::Named(lanes) => Some(lanes.iter().map(ToString::to_string).collect()),
        };
        let bases: Vec<&str> = self.bases.iter().map(RefName::as_str).collect();
        let what = json!({
            "tickets": tickets, "open": self.tickets == Tickets::Open, "bases": bases,
            "stacked": self.stacking == Stacking::FromDeps, "lookup": self.lookup == Lookup::InFolder,
            "merged": self.landing.is_some(), "arguments": self.agent_args,
        });
        let digest = Sha256::digest(what.to_string().as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A ticket a line; empty lines and those that begin with `#` do not count.
fn from_file(path: &Path) -> CliResult<Vec<Lane>> {
    let is_input = path == Path::new("-");
    let shown = if is_input { "standard input".to_owned() } else { path.display().to_string() };
    let mut text = String::new();
    let read = if is_input {
        io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
    };
    let failed = |why: String| {
        CliError::new(Exit::Usage, format!("could not read tickets from {shown}: {why}"))
            .hint("it is to name one ticket a line; a line that begins with # does not count")
    };
    read.map_err(|e| failed(e.to_string()))?;
    if text.len() as u64 > LONGEST {
        return Err(failed("it is too long to be a list of tickets".to_owned()));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let tickets = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let lanes: Vec<Lane> = tickets
        .map(|(number, line)| line.parse().map_err(|error| failed(format!("line {number}: {error}"))))
        .collect::<CliResult<_>>()?;
    if lanes.is_empty() {
        return Err(failed("no ticket is named there".to_owned()));
    }
    Ok(lanes)
}
