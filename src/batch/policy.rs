//! What is started and what is given up, from where every item stands. Pure.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Instant;

use super::board::{Board, Handover, Item, Phase, Ready};
use super::event::Skip;

/// The rules that decide which items may run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How many sessions at most.
    pub jobs: usize,
    /// What counts as done for those who wait.
    pub handover: Handover,
    /// Whether an item without a component runs beside others.
    pub untagged: Untagged,
}

/// Whether an item without a component runs beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untagged {
    /// It does.
    Together,
    /// It may touch anything, and runs alone.
    Alone,
}

/// How things are at this moment.
#[derive(Debug)]
pub struct Conditions<'a> {
    /// Now.
    pub now: Instant,
    /// Items that are not tried again before this moment.
    pub held_until: &'a HashMap<usize, Instant>,
    /// How many of those that were never worked on may be.
    pub fresh: usize,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Start a session of the item.
    Start(usize),
    /// Give the item up.
    Skip(usize, Skip),
}

/// The items that could be started now if only the pace allowed it, the most urgent first, and those that never can be.
pub fn decide(board: &Board, rules: Rules, conditions: &Conditions<'_>) -> Vec<Decision> {
    let mut decisions = Vec::new();
    let mut candidates = Vec::new();
    let mut given_up: HashSet<usize> = HashSet::new();
    for (at, item) in board.items().iter().enumerate() {
        if item.phase != Phase::Waiting {
            continue;
        }
        match board.readiness(at, rules.handover) {
            // One that was begun has been ready before.
            _ if board.halt().is_some() => {}
            Ready::Never(why) if item.sessions.is_empty() => {
                given_up.insert(at);
                decisions.push(Decision::Skip(at, why));
            }
            Ready::NotYet => {}
            Ready::Now | Ready::Never(_) => {
                if conditions.held_until.get(&at).is_none_or(|until| *until <= conditions.now) {
                    candidates.push(at);
                }
            }
        }
    }
    candidates.sort_by_key(|at| {
        let item = board.items().get(*at);
        let priority = item.map_or(u8::MAX, |item| item.record.priority);
        // What many others wait for goes first among equals; then the order that was given.
        (priority, std::cmp::Reverse(board.chain(*at)), *at)
    });
    let mut active: Vec<&Item> = board.items().iter().filter(|item| item.is_active()).collect();
    let mut taken: BTreeSet<&str> = board
        .items()
        .iter()
        .filter(|item| item.holds_components())
        .flat_map(|item| item.components().iter().map(String::as_str))
        .collect();
    let mut fresh = conditions.fresh;
    for at in candidates {
        if active.len() >= rules.jobs {
            break;
        }
        let Some(item) = board.items().get(at) else { continue };
        let is_fresh = item.sessions.is_empty();
        if is_fresh && fresh == 0 {
            continue;
        }
        if may_run_beside(item, &active, &taken, rules.untagged) {
            taken.extend(item.components().iter().map(String::as_str));
            active.push(item);
            fresh -= usize::from(is_fresh);
            decisions.push(Decision::Start(at));
        }
    }
    decisions
}

/// How many starts `free` memory has room for, at `need` each. Where nothing runs that would give some back, one start
/// is not held up.
pub fn room(free: u64, need: u64, active: usize) -> usize {
    let fit = free.checked_div(need).map_or(usize::MAX, |fit| usize::try_from(fit).unwrap_or(usize::MAX));
    if active == 0 { fit.max(1) } else { fit }
}

fn may_run_beside(item: &Item, active: &[&Item], taken: &BTreeSet<&str>, untagged: Untagged) -> bool {
    if untagged == Untagged::Alone {
        let alone = |item: &Item| item.components().is_empty();
        if (alone(item) && !active.is_empty()) || active.iter().any(|other| alone(other)) {
            return false;
        }
    }
    !item.components().iter().any(|component| taken.contains(component.as_str()))
}

/// The items that could never be worked on, however things go: to be said before anything starts.
pub fn hopeless(board: &Board, handover: Handover) -> Vec<(usize, Skip)> {
    let mut hopeless: HashMap<usize, Skip> = HashMap::new();
    // Whoever needs a hopeless one is hopeless too; each round finds at least one more, or is the last.
    loop {
        let before = hopeless.len();
        for (at, item) in board.items().iter().enumerate() {
            if hopeless.contains_key(&at) || item.phase != Phase::Waiting {
                continue;
            }
            let own = match board.readiness(at, handover) {
                Ready::Never(why) => Some(why),
                Ready::Now | Ready::NotYet => None,
            };
            let needed = || {
                let lost = |needed: &&Item| {
                    board.position(&needed.record.lane).is_some_and(|at| hopeless.contains_key(&at))
                };
                let failed = board.needed_items(at).find(lost);
                failed.map(|needed| Skip::DepFailed { ticket_id: needed.record.ticket_id.clone() })
            };
            if let Some(why) = own.or_else(needed) {
                hopeless.insert(at, why);
            }
        }
        if hopeless.len() == before {
            break;
        }
    }
    let mut found: Vec<(usize, Skip)> = hopeless.into_iter().collect();
    found.sort_by_key(|(at, _)| *at);
    found
}

#[cfg(test)]
mod tests {
    use super::super::board::tests::{begun, board, ended, items, starting};
    use super::super::event::{Event, Halt, ItemRecord, Next};
    use super::*;
    use crate::session::manifest::Outcome;

    const RULES: Rules = Rules { jobs: 2, handover: Handover::Landed, untagged: Untagged::Together };

    fn decided(board: &Board, rules: Rules) -> Vec<Decision> {
        let conditions = Conditions { now: Instant::now(), held_until: &HashMap::new(), fresh: usize::MAX };
        decide(board, rules, &conditions)
    }

    fn tagged(named: &[(&str, &[&str])]) -> Vec<ItemRecord> {
        let bare: Vec<(&str, &[&str])> = named.iter().map(|(name, _)| (*name, [].as_slice())).collect();
        let mut items = items(&bare);
        for (item, (_, components)) in items.iter_mut().zip(named) {
            item.components = components.iter().map(|component| (*component).to_owned()).collect();
        }
        items
    }

    #[test]
    fn no_more_run_than_may_and_a_free_slot_is_filled_at_once() {
        let all = items(&[("a", &[]), ("b", &[]), ("c", &[])]);
        let at_first = board(vec![begun(all.clone())]);
        assert_eq!(decided(&at_first, RULES), [Decision::Start(0), Decision::Start(1)]);
        let (one, first) = starting("a");
        let (_, second) = starting("b");
        let full = board(vec![begun(all.clone()), first.clone(), second.clone()]);
        assert_eq!(decided(&full, RULES), []);
        let freed = board(vec![begun(all), first, second, ended("a", one, Outcome::Failed, Next::Nothing)]);
        assert_eq!(decided(&freed, RULES), [Decision::Start(2)]);
    }

    #[test]
    fn the_urgent_go_first_then_what_others_wait_for_then_the_order_given() {
        let mut all = items(&[("a", &[]), ("b", &[]), ("c", &["b"]), ("d", &[])]);
        all[3].priority = 0;
        let rules = Rules { jobs: 9, ..RULES };
        let decisions = decided(&board(vec![begun(all)]), rules);
        assert_eq!(decisions, [3, 1, 0].map(Decision::Start));
    }

    #[test]
    fn items_that_share_a_component_never_run_together() {
        let all = tagged(&[("a", &["db"]), ("b", &["db", "ui"]), ("c", &["ui"]), ("d", &[])]);
        let rules = Rules { jobs: 9, ..RULES };
        assert_eq!(decided(&board(vec![begun(all.clone())]), rules), [0, 2, 3].map(Decision::Start));
        let (session, first) = starting("a");
        let merging = board(vec![begun(all), first, ended("a", session, Outcome::Succeeded, Next::Merge)]);
        assert_eq!(
            decided(&merging, rules),
            [2, 3].map(Decision::Start),
            "what is not merged yet would be missing in what starts now"
        );
    }

    #[test]
    fn an_item_without_a_component_can_be_kept_alone() {
        let all = tagged(&[("a", &[]), ("b", &["db"]), ("c", &[])]);
        let rules = Rules { jobs: 9, untagged: Untagged::Alone, ..RULES };
        assert_eq!(decided(&board(vec![begun(all.clone())]), rules), [Decision::Start(0)]);
        let (_, second) = starting("b");
        assert_eq!(decided(&board(vec![begun(all), second]), rules), []);
    }

    #[test]
    fn who_needs_what_failed_is_given_up_and_no_one_else() {
        let (session, first) = starting("a");
        let all = items(&[("a", &[]), ("b", &["a"]), ("c", &[])]);
        let board = board(vec![begun(all), first, ended("a", session, Outcome::Failed, Next::Nothing)]);
        let ticket_id = "a".parse().unwrap();
        assert_eq!(
            decided(&board, RULES),
            [Decision::Skip(1, Skip::DepFailed { ticket_id }), Decision::Start(2)]
        );
    }

    #[test]
    fn nothing_is_started_once_halted_nor_before_its_time() {
        let all = items(&[("a", &[])]);
        let halted = board(vec![begun(all.clone()), Event::Halted { why: Halt::Interrupted }]);
        assert_eq!(decided(&halted, RULES), []);
        let now = Instant::now();
        let held_until = HashMap::from([(0, now + std::time::Duration::from_secs(1))]);
        let conditions = Conditions { now, held_until: &held_until, fresh: 9 };
        assert_eq!(decide(&board(vec![begun(all)]), RULES, &conditions), []);
    }

    #[test]
    fn memory_holds_starts_back_only_while_something_runs_that_will_give_some_back() {
        let cases =
            [(1000, 100, 3, 10), (99, 100, 3, 0), (99, 100, 0, 1), (0, 100, 0, 1), (0, 0, 3, usize::MAX)];
        for (free, need, active, starts) in cases {
            assert_eq!(room(free, need, active), starts, "{free} {need} {active}");
        }
    }

    #[test]
    fn what_can_never_be_done_is_known_before_anything_starts() {
        let all = items(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["x"]), ("e", &["d"])]);
        let board = board(vec![begun(all)]);
        let positions =
            |handover| -> Vec<usize> { hopeless(&board, handover).into_iter().map(|(at, _)| at).collect() };
        assert_eq!(positions(Handover::Landed), [3, 4]);
        assert_eq!(positions(Handover::Stacked), [3, 4]);
        assert_eq!(positions(Handover::Nothing), [1, 2, 3, 4]);
    }
}
