use super::*;
use crate::ticket::read::read;
use proptest::prelude::*;

fn id(text: &str) -> TicketId {
    text.parse().unwrap()
}

/// A ticket in the file that is named after it.
fn ticket(name: &str, front: &str) -> Ticket {
    let content = format!("---\nid: {name}\n{front}\n---\n# {name}\n");
    read(&id(name), Path::new(&format!("{name}.md")), content.as_bytes()).0
}

fn backlog(tickets: &[(&str, &str)]) -> Backlog {
    Backlog::new(tickets.iter().map(|(name, front)| ticket(name, front)))
}

fn names<'a>(tickets: impl IntoIterator<Item = &'a Ticket>) -> String {
    tickets.into_iter().map(|ticket| ticket.id().as_str()).collect::<Vec<_>>().join(" ")
}

fn problems(backlog: &Backlog) -> Vec<String> {
    backlog.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn a_status_that_is_known_from_elsewhere_counts() {
    let backlog = backlog(&[
        ("a", "status: open"),
        ("b", "status: open\ndeps: [a]"),
        ("c", "status: open\ndeps: [b, x]"),
        ("d", "deps: []"),
    ]);
    assert_eq!(names(backlog.ready()), "a");
    let backlog = backlog.with_status(&id("a"), Status::Closed).with_status(&id("nobody"), Status::Open);
    assert_eq!((names(backlog.ready()), backlog.status(&id("a"))), ("b".to_owned(), Some(Status::Closed)));
    let by = backlog.waits_for(&id("c"));
    assert_eq!(by, [Blocker::Unclosed(backlog.get(&id("b")).unwrap()), Blocker::Missing(&id("x"))]);
    assert_eq!(backlog.blocked(), [Blocked { ticket: backlog.get(&id("c")).unwrap(), by }]);
    assert_eq!(names(backlog.with_status(&id("d"), Status::Open).ready()), "b d");
}

#[test]
fn what_is_wrong_between_tickets_is_said_with_file_and_line() {
    let backlog = backlog(&[
        ("a", "status: open\ndeps: [b]"),
        ("b", "status: open\ndeps: [gone, c]"),
        ("c", "status: in_progress\ntype: bug\ndeps: [a]"),
        ("self", "status: open\ndeps: [self]"),
        ("done", "status: closed\ndeps: [gone]"),
    ]);
    let expected = [
        "a.md, line 4: these wait for each other: a → b → c → a",
        "b.md, line 4: it depends on gone, which no ticket here is",
        "self.md, line 4: these wait for each other: self → self",
    ];
    assert_eq!(problems(&backlog), expected);
    let backlog = backlog.with_status(&id("c"), Status::Closed);
    assert_eq!(problems(&backlog), expected[1..]);
}

#[test]
fn a_long_cycle_is_shown_in_part() {
    let names: Vec<String> = (100..150).map(|n| format!("t{n}")).collect();
    let tickets =
        (0..50).map(|n| ticket(&names[n], &format!("status: open\ndeps: [{}]", names[(n + 1) % 50])));
    let cycles = Backlog::new(tickets).cycles();
    assert_eq!((cycles.len(), cycles[0].tickets().len()), (1, 50));
    let shown = cycles[0].to_string();
    assert!(shown.starts_with("t100 → t101 → ") && shown.ends_with("t119 → (30 more) → t100"), "{shown}");
}

#[test]
fn an_id_that_two_files_claim_is_one_ticket_whatever_the_order() {
    let named = |name: &str, path: &str, front: &str| {
        let content = format!("---\n{front}\n---\n");
        read(&id(name), Path::new(path), content.as_bytes()).0
    };
    let mut tickets = vec![
        named("a", "a.md", "id: a\nstatus: open"),
        named("a-copy", "a-copy.md", "id: a\nstatus: open"),
        named("b", "1/b.md", "id: b\nstatus: closed"),
        named("b", "2/b.md", "id: b\nstatus: open"),
        named("x", "x.md", "id: lost\nstatus: open"),
        named("y", "y.md", "id: lost\nstatus: open"),
        named("bad", "bad.md", "id: ../bad\nstatus: open"),
        named("none", "none.md", "status: open"),
        named("z", "z.md", "id: z\nstatus: open\ndeps: [b, none]"),
    ];
    for _ in 0..2 {
        let backlog = Backlog::new(tickets.clone());
        assert_eq!(names(backlog.ready()), "a bad x");
        assert_eq!(names(backlog.blocked().iter().map(|blocked| blocked.ticket)), "z");
        assert_eq!(
            problems(&backlog),
            [
                "2/b.md: ticket b is also in 1/b.md",
                "a-copy.md, line 2: ticket a is also in a.md",
                "x.md, line 2: the id here is lost, but the file's name says x, which counts",
                "y.md, line 2: ticket lost is also in x.md",
            ]
        );
        tickets.reverse();
    }
}

#[test]
fn order_is_that_of_ready_as_far_as_deps_allow() {
    let backlog = backlog(&[
        ("a", "status: open\ndeps: [c, done]"),
        ("b", "status: open\npriority: 4"),
        ("c", "status: in_progress\npriority: 3\ndeps: [gone]"),
        ("d", "status: open\npriority: 0\ndeps: [a]"),
        ("done", "status: closed"),
        ("e", "status: open\ndeps: [f]"),
        ("f", "status: open\ndeps: [e]"),
        ("g", "status: open\ndeps: [f]"),
    ]);
    assert_eq!(names(backlog.order()), "c a d b");
    assert_eq!(names(backlog.ready()), "b");
}

#[test]
fn an_empty_backlog_has_nothing_to_do() {
    let backlog = Backlog::new([]);
    assert_eq!((backlog.ready().len(), backlog.blocked().len(), backlog.order().len()), (0, 0, 0));
    assert_eq!((backlog.cycles(), backlog.problems()), (vec![], vec![]));
    assert!(backlog.waits_for(&id("a")).is_empty());
}

/// Tickets `t0` to `t9` in any state, waiting for each other and for some that are not there.
fn tickets() -> impl Strategy<Value = Vec<Ticket>> {
    let status =
        proptest::sample::select(vec!["status: open", "status: in_progress", "status: closed", "x: y"]);
    let one = (status, 0..6u8, proptest::collection::vec(0..12u8, 0..4));
    proptest::collection::vec(one, 10).prop_map(|all| {
        let front = |(status, priority, deps): (&str, u8, Vec<u8>)| {
            let deps: Vec<String> = deps.iter().map(|dep| format!("t{dep}")).collect();
            format!("{status}\npriority: {priority}\ndeps: [{}]", deps.join(", "))
        };
        all.into_iter().enumerate().map(|(n, one)| ticket(&format!("t{n}"), &front(one))).collect()
    })
}

proptest! {
    #[test]
    fn every_active_ticket_is_ready_or_blocked_and_no_other(tickets in tickets()) {
        let backlog = Backlog::new(tickets);
        let ready = backlog.ready();
        let blocked = backlog.blocked();
        let mut both: Vec<&Ticket> = ready.iter().copied().chain(blocked.iter().map(|b| b.ticket)).collect();
        both.sort_by_key(|ticket| ticket.id());
        let active: Vec<&Ticket> =
            backlog.tickets().filter(|ticket| ticket.status().is_some_and(Status::is_active)).collect();
        prop_assert_eq!(both, active);
        for ticket in &ready {
            for dep in ticket.deps() {
                let Dep::Ticket(dep) = dep else { panic!() };
                prop_assert_eq!(backlog.status(dep), Some(Status::Closed));
            }
        }
        for blocked in &blocked {
            prop_assert!(!blocked.by.is_empty());
        }
        let keys: Vec<_> = ready.iter().map(|ticket| (ticket.priority(), ticket.id())).collect();
        prop_assert!(keys.is_sorted());
        // Whoever does what is ready, and then what that makes ready, does all that `order` holds and more may wait.
        for (at, ticket) in backlog.order().iter().enumerate() {
            let before = &backlog.order()[..at];
            for dep in ticket.deps() {
                let Dep::Ticket(dep) = dep else { panic!() };
                let is_active = backlog.status(dep).is_some_and(Status::is_active);
                prop_assert!(!is_active || before.iter().any(|ticket| ticket.id() == dep));
            }
        }
    }

    #[test]
    fn the_order_in_which_files_are_found_does_not_matter(tickets in tickets()) {
        let mut reversed = tickets.clone();
        reversed.reverse();
        let (one, other) = (Backlog::new(tickets), Backlog::new(reversed));
        prop_assert_eq!(one.ready(), other.ready());
        prop_assert_eq!(one.blocked(), other.blocked());
        prop_assert_eq!(one.problems(), other.problems());
        prop_assert_eq!(one.order(), other.order());
    }

    #[test]
    fn closing_what_is_ready_until_nothing_is_leaves_only_what_waits_for_cycles_and_strangers(tickets in tickets()) {
        let mut backlog = Backlog::new(tickets);
        while let Some(first) = backlog.ready().first().map(|ticket| ticket.id().clone()) {
            backlog = backlog.with_status(&first, Status::Closed);
        }
        for blocked in backlog.blocked() {
            prop_assert!(!blocked.by.is_empty());
        }
        let is_stuck = !backlog.blocked().is_empty();
        let is_explained = !backlog.problems().is_empty()
            || backlog.tickets().any(|ticket| ticket.status().is_none());
        prop_assert!(!is_stuck || is_explained);
    }
}
