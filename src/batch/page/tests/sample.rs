//! Made journals, as batches of a few and of many tickets write them.

use jiff::{SignedDuration, Timestamp};

use super::super::super::board::tests::{begun, items};
use super::super::super::event::{Entry, Event, Halt, ItemRecord, Next, Skip, Slow};
use crate::id::SessionId;
use crate::session::manifest::{Outcome, Usage, Work};

/// When made batches begin.
pub(super) const BEGIN: i64 = 1_772_000_000;
/// How long no one ran the batch after it was interrupted, in seconds.
pub(super) const NIGHT: i64 = 50_000;

/// So many seconds after the beginning.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGIN).unwrap() + SignedDuration::from_secs(second)
}

/// An entry so many seconds after the beginning.
pub(super) fn entry(second: i64, event: Event) -> Entry {
    Entry { at: at(second), event }
}

/// Titles that would be markup, act on a terminal, turn text around, or never end.
pub(super) const HOSTILE: [&str; 5] = [
    "</script><img src=x onerror=alert(1)><style>@import url(//evil.example)</style>",
    "\u{1b}[31mred\u{1b}]8;;file:///etc\u{7} \u{202e}desrever\u{202c} \" onmouseover=\"alert(1)",
    "عنوان التذكرة 'كسر' &lt;b&gt; & <b>",
    "--><!-- ]]> <!DOCTYPE html> </title></textarea></svg>",
    "\u{200f}\u{61c}\u{0}\u{ffff}x\r\n\u{2028}y",
];

/// What a made batch is like.
pub(super) struct Sample {
    pub(super) tickets: usize,
    pub(super) jobs: usize,
    pub(super) bases: &'static [&'static str],
    /// After how many seconds it is interrupted; the night follows.
    pub(super) interrupted: Option<i64>,
}

/// Numbers that look random and are always the same.
fn noise(a: usize, b: usize) -> i64 {
    let mixed = (a as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (b as u64 + 7).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    i64::try_from((mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 40).unwrap()
}

/// How the sessions of an item end.
fn plan(at: usize) -> Vec<Outcome> {
    use Outcome::*;
    match at % 15 {
        3 => vec![Failed, Succeeded],
        5 => vec![TimedOut, NoChanges, Succeeded],
        8 => vec![Failed, Failed, Failed],
        10 => vec![TimedOut, Uncommitted],
        11 => vec![NoChanges],
        13 => vec![Lost, Succeeded],
        _ => vec![Succeeded],
    }
}

struct Simulation {
    events: Vec<(i64, Event)>,
    slots: Vec<i64>,
    lander: i64,
    interrupted: Option<i64>,
}

impl Sample {
    fn items(&self) -> Vec<ItemRecord> {
        let words = ["Parse", "Cache", "Retry", "Document", "Speed up", "Untangle", "Test", "Guard"];
        let things =
            ["front matter", "the session store", "merge queue", "reports in the browser", "idle timeouts"];
        let mut all = Vec::new();
        for number in 0..self.tickets {
            let name =
                format!("pt-{:04x}", noise(number, 99) % 65_536).replace("pt-", &format!("pt{number}-"));
            let title = match HOSTILE.get(number.wrapping_sub(1)) {
                Some(hostile) => (*hostile).to_owned(),
                None if number == 6 => "A title without end ".repeat(5000),
                None => format!("{} {}", words[number % words.len()], things[number % things.len()]),
            };
            for base in self.bases.iter().map(Some).chain(self.bases.is_empty().then_some(None)) {
                let lane = base.map_or(name.clone(), |base| format!("{name}@{base}"));
                let mut item = items(&[(&name, &[])]).remove(0);
                item.base = base.map(|base| base.parse().unwrap());
                item.lane = lane.parse().unwrap();
                item.title = Some(title.clone());
                all.push(item);
            }
        }
        all
    }

    /// Its journal.
    pub(super) fn journal(&self) -> Vec<Entry> {
        let items = self.items();
        let mut simulation = Simulation {
            events: Vec::new(),
            slots: (0..self.jobs as i64).map(|slot| slot * 2).collect(),
            lander: 0,
            interrupted: self.interrupted,
        };
        let mut first = begun(items.clone());
        if let Event::Begun { command, jobs, .. } = &mut first {
            *jobs = self.jobs;
            let typed = "worktree batch --ready --merge --retries 2 --escalate opus --report";
            *command =
                typed.split(' ').map(str::to_owned).chain(["the report's <name>.html".to_owned()]).collect();
        }
        for (at, item) in items.iter().enumerate() {
            simulation.item(at, item);
        }
        simulation.whole_batch(&items);
        simulation.events.sort_by_key(|(second, _)| *second);
        let night = |second: i64| match self.interrupted {
            Some(moment) if second >= moment + 5 => second + NIGHT,
            _ => second,
        };
        let mut entries = vec![entry(0, first)];
        entries.extend(simulation.events.into_iter().map(|(second, event)| entry(night(second), event)));
        let end = entries.last().unwrap().at;
        entries.push(Entry { at: end, event: Event::Finished });
        entries
    }
}

impl Simulation {
    fn tell(&mut self, second: i64, event: Event) {
        self.events.push((second, event));
    }

    fn item(&mut self, at: usize, item: &ItemRecord) {
        let lane = item.lane.clone();
        let skip = match at % 29 {
            9 => Some(Skip::DepFailed { ticket_id: "pt8-0000".parse().unwrap() }),
            20 => Some(Skip::Closed),
            27 => Some(Skip::Unreadable { reason: "line 3: <b>no</b> colon".into() }),
            _ => None,
        };
        if let Some(why) = skip {
            return self.tell(noise(at, 5) % 60, Event::Skipped { lane, why });
        }
        let mut ready = 0;
        let outcomes = plan(at);
        let (mut session, mut attempt) = (0, 0);
        while session < outcomes.len() {
            let slot = (0..self.slots.len()).min_by_key(|slot| self.slots[*slot]).unwrap();
            let start = self.outside_of_night(self.slots[slot].max(ready));
            let end = start + 40 + noise(at, session) % 400;
            attempt += 1;
            let stopped = self.interrupted.filter(|moment| (start..end).contains(moment));
            let end = stopped.map_or(end, |moment| moment + 3);
            let session_id = SessionId::generate();
            let model = Some(if attempt > 1 { "opus-4-<i>large</i>" } else { "sonnet" }.to_owned());
            self.tell(start, Event::Starting { lane: lane.clone(), session_id, attempt, model });
            self.slots[slot] = end + 1;
            if at % 29 == 17 {
                let reason = "the prompt file <tf.md> is not there".to_owned();
                let hint = Some("write it to <tf.md>".to_owned());
                return self.tell(start + 1, Event::NotLaunched { lane, session_id, reason, hint });
            }
            let branch = lane.default_branch();
            let worktree = "/x".to_owned();
            self.tell(
                start + 2,
                Event::Launched {
                    lane: lane.clone(),
                    session_id,
                    branch,
                    worktree,
                    base_commit: "c".into(),
                    pid: Some(7),
                },
            );
            let outcome = if stopped.is_some() { Outcome::Stopped } else { outcomes[session].clone() };
            let last = session + 1 == outcomes.len();
            let next = match &outcome {
                Outcome::Stopped => Next::Resume,
                Outcome::Succeeded => Next::Merge,
                _ if last => Next::Nothing,
                _ => Next::Retry { after_s: 20.0 },
            };
            ready = if next == Next::Resume { end } else { end + 20 };
            let merge = next == Next::Merge;
            self.tell(end, ended(&lane, session_id, outcome, next, noise(at, session)));
            if merge {
                self.merge(at, &lane, end);
            }
            session += usize::from(stopped.is_none());
        }
    }

    fn outside_of_night(&self, second: i64) -> i64 {
        match self.interrupted {
            Some(moment) if (moment..moment + 7).contains(&second) => moment + 7,
            _ => second,
        }
    }

    fn merge(&mut self, at: usize, lane: &crate::id::Lane, end: i64) {
        let start = self.outside_of_night(self.lander.max(end + 1));
        self.lander = start + 2 + noise(at, 50) % 12;
        self.tell(start, Event::Merging { lane: lane.clone() });
        let landed = match at % 15 {
            7 => Event::NotMerged {
                lane: lane.clone(),
                reason: "conflict with pt2-beef in 2 files <here>".into(),
                files: vec!["src/<b>main</b>.rs".into(), "Cargo.lock".into()],
                hint: Some("merge main into it & again".into()),
            },
            _ => Event::Merged {
                lane: lane.clone(),
                into: "main".into(),
                commit: format!("{:05x}", noise(at, 3)).repeat(8),
            },
        };
        let is_merged = matches!(landed, Event::Merged { .. });
        self.tell(self.lander, landed);
        if is_merged && at.is_multiple_of(2) {
            self.tell(self.lander, Event::Closed { lane: lane.clone() });
        }
    }

    fn whole_batch(&mut self, items: &[ItemRecord]) {
        for second in [60, 95, 140] {
            self.tell(second, Event::Slowed { why: Slow::RateLimits, seconds: 30.0 });
        }
        let lanes = items.iter().take(2).map(|item| item.lane.clone()).collect();
        self.tell(70, Event::Warning { lanes, text: "both touch <src/lib.rs>".into() });
        if let Some(moment) = self.interrupted {
            self.tell(moment, Event::Halted { why: Halt::Interrupted });
            self.tell(moment + 5, Event::Resumed);
        }
    }
}

fn ended(lane: &crate::id::Lane, session_id: SessionId, outcome: Outcome, next: Next, noise: i64) -> Event {
    let noise = noise.unsigned_abs();
    let commits = if outcome == Outcome::Succeeded { 1 + noise % 4 } else { 0 };
    let reason = match &outcome {
        Outcome::Succeeded => None,
        Outcome::TimedOut => Some("ended at its timeout of 30 minutes".to_owned()),
        Outcome::Failed => Some("exit status 1: <error> & \"more\"".to_owned()),
        other => Some(format!("it came to {other:?}")),
    };
    let work = Work {
        commits,
        files_changed: commits * 3,
        insertions: commits * 41,
        deletions: commits * 7,
        uncommitted: 0,
        untracked: 0,
        operation: None,
        extra: serde_json::Map::new(),
    };
    let usage = Usage {
        input_tokens: 20_000 + noise % 300_000,
        output_tokens: 900 + noise % 9000,
        cost_usd: 0.05 + (noise % 100) as f64 / 70.0,
        model: Some("sonnet".into()),
        extra: serde_json::Map::new(),
    };
    let (work, usage) = (Some(Box::new(work)), Some(Box::new(usage)));
    Event::Ended { lane: lane.clone(), session_id, ended_at: None, outcome, reason, work, usage, next }
}
