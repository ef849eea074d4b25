//! What the page of a made batch says, and what it can never do.

mod sample;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use roxmltree::{Document, Node, ParsingOptions};

use self::sample::{HOSTILE, NIGHT, Sample, at, entry};
use super::super::board::tests::{begun, ended, items, starting};
use super::super::event::{Entry, Event, Halt, Next, Skip, Slow};
use super::page;
use super::scale::Stretch;
use super::story::{Mark, MarkKind, Measured, Pause, PauseKind, State};
use super::telling::tell;
use crate::session::manifest::Outcome;

const THIRTY: Sample = Sample { tickets: 30, jobs: 6, bases: &[], interrupted: Some(900) };
const ON_BASES: Sample = Sample { tickets: 8, jobs: 6, bases: &["main", "release/1.x"], interrupted: None };

/// Reads the page as strictly as XML is read: what is open is closed, what is quoted stays quoted.
#[track_caller]
fn parsed(text: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).unwrap_or_else(|error| panic!("{error}"))
}

fn page_of(entries: &[Entry]) -> String {
    page(entries, entries.last().map_or(at(0), |last| last.at))
}

fn text(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect()
}

fn with_id<'a>(document: &'a Document<'_>, id: &str) -> Node<'a, 'a> {
    document.descendants().find(|node| node.attribute("id") == Some(id)).unwrap()
}

#[test]
fn it_is_well_formed_however_far_the_batch_is() {
    let entries = THIRTY.journal();
    parsed(&page(&[], at(0)));
    for end in (1..=entries.len()).step_by(9).chain([entries.len()]) {
        parsed(&page_of(&entries[..end]));
        // A journal of which the beginning is missing is none; it is no reason to fall either.
        parsed(&page_of(&entries[end - 1..]));
    }
}

#[test]
fn nothing_in_it_runs_or_comes_from_elsewhere() {
    let may_stand: BTreeSet<&str> = "a b bdi body code dd details div dl dt fieldset h1 h2 head header html i input \
        label legend li main meta ol p path section small span style summary svg table tbody td tfoot th thead time \
        title tr ul"
        .split_whitespace()
        .collect();
    let may_be_said: BTreeSet<&str> = "aria-hidden aria-label aria-labelledby charset checked class colspan content d \
        data-k href http-equiv id lang name open preserveAspectRatio role scope style tabindex title type viewBox"
        .split_whitespace()
        .collect();
    for entries in [THIRTY.journal(), ON_BASES.journal()] {
        let page = page_of(&entries);
        let document = parsed(&page);
        for node in document.descendants().filter(Node::is_element) {
            let tag = node.tag_name().name();
            assert!(may_stand.contains(tag), "<{tag}>");
            for attribute in node.attributes() {
                let (name, value) = (attribute.name(), attribute.value());
                assert!(may_be_said.contains(name), "{name} of <{tag}>");
                assert!(name != "href" || value.starts_with('#'), "{value}");
                assert!(
                    name != "style" || value.chars().all(|c| c.is_ascii_alphanumeric() || ":;.%".contains(c))
                );
            }
            let style = if tag == "style" { text(node) } else { String::new() };
            for loaded in ["@import", "url(", "//", "\\"] {
                assert!(!style.contains(loaded), "{loaded}");
            }
        }
        for address in ["http:", "https:", " src=\"", "<img", "<script"] {
            assert!(!page.contains(address), "{address}");
        }
        let policy = document.descendants().find(|node| node.has_attribute("http-equiv")).unwrap();
        assert_eq!(policy.attribute("http-equiv"), Some("Content-Security-Policy"));
        assert!(
            policy.attribute("content").unwrap().starts_with("default-src 'none'; style-src 'unsafe-inline'")
        );
    }
}

#[test]
fn hostile_text_is_shown_and_does_nothing() {
    let page = page_of(&THIRTY.journal());
    let document = parsed(&page);
    let titles: Vec<String> = (1..=HOSTILE.len())
        .map(|at| {
            text(
                with_id(&document, &format!("t{at}"))
                    .descendants()
                    .find(|node| node.has_tag_name("td"))
                    .unwrap(),
            )
        })
        .collect();
    assert_eq!(titles[0], HOSTILE[0]);
    assert_eq!(titles[1], "red desrever \" onmouseover=\"alert(1)");
    assert_eq!(titles[2..4], HOSTILE[2..4]);
    assert_eq!(titles[4], "x y");
    let is_wild = |c: char| {
        c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{200f}' | '\u{61c}')
    };
    assert!(!page.chars().any(is_wild));
    let said =
        document.descendants().filter(|node| node.is_text() && !node.parent().unwrap().has_tag_name("style"));
    let tips = document
        .descendants()
        .flat_map(|node| node.attributes().map(|a| a.value().to_owned()).collect::<Vec<_>>());
    let longest =
        said.map(|node| node.text().unwrap().to_owned()).chain(tips.filter(|tip| !tip.starts_with('M')));
    assert!(longest.map(|text| text.chars().count()).max().unwrap() <= 2000);
}

#[test]
fn every_ticket_and_every_session_is_there() {
    let entries = THIRTY.journal();
    let page = page_of(&entries);
    let document = parsed(&page);
    let Event::Begun { items, .. } = &entries[0].event else { panic!() };
    for (at, item) in items.iter().enumerate() {
        for row in [format!("r{at}"), format!("t{at}")] {
            assert!(text(with_id(&document, &row)).contains(item.lane.ticket().as_str()), "{row}");
        }
    }
    let of_sessions =
        with_id(&document, "h-sessions").ancestors().find(|n| n.has_tag_name("section")).unwrap();
    let in_table = text(of_sessions);
    let bars: Vec<&str> = document
        .descendants()
        .filter(|node| node.attribute("role") == Some("img") && node.has_tag_name("span"))
        .filter_map(|node| node.attribute("title"))
        .collect();
    let mut sessions = 0;
    for entry in &entries {
        if let Event::Starting { lane, session_id, attempt, .. } = &entry.event {
            let first = format!("{lane}, attempt {attempt}: ");
            let bar = bars.iter().find(|bar| bar.contains(&session_id.to_string())).unwrap();
            assert!(bar.starts_with(&first), "{bar}");
            assert!(in_table.contains(&session_id.to_string()));
            sessions += 1;
        }
    }
    assert_eq!(bars.len(), sessions);
}

#[test]
fn it_says_what_came_of_each_ticket_and_why() {
    let page = page_of(&THIRTY.journal());
    let document = parsed(&page);
    let row = |at: usize| text(with_id(&document, &format!("t{at}")));
    for (at, said) in [
        (0, vec!["merged", "in main; ticket closed"]),
        (
            7,
            vec![
                "not merged",
                "conflict with pt2-beef in 2 files <here>",
                "src/<b>main</b>.rs",
                "Cargo.lock",
                "merge main into it & again",
            ],
        ),
        (8, vec!["failed", "exit status 1: <error> & \"more\""]),
        (9, vec!["skipped", "needs pt8-0000, which did not come to a good end"]),
        (10, vec!["uncommitted"]),
        (17, vec!["not launched", "the prompt file <tf.md> is not there; write it to <tf.md>"]),
        (20, vec!["closed already", "its ticket is closed"]),
    ] {
        for said in said {
            assert!(row(at).contains(said), "{said}: {}", row(at));
        }
    }
    for said in [
        "18 merged",
        "2 failed",
        "2 not merged",
        "both touch &lt;src/lib.rs&gt;",
        "taken up again, after 13h53m",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn lanes_of_a_ticket_stand_together_and_make_a_matrix() {
    let mut entries = ON_BASES.journal();
    let Event::Begun { items, .. } = &mut entries[0].event else { panic!() };
    items.sort_by_key(|item| item.base.clone().map(|base| base.as_str().to_owned()));
    let page = page_of(&entries);
    let document = parsed(&page);
    let lanes: Vec<String> = document
        .descendants()
        .filter(|node| node.attribute("id").is_some_and(|id| id.starts_with('t')))
        .map(|row| text(row.first_element_child().unwrap()))
        .collect();
    assert_eq!(lanes.len(), 16);
    for pair in lanes.chunks(2) {
        let ticket = pair[0].strip_suffix("@main").unwrap();
        assert_eq!(pair[1], format!("{ticket}@release/1.x"));
    }
    let matrix = with_id(&document, "h-matrix").ancestors().find(|n| n.has_tag_name("section")).unwrap();
    assert_eq!(matrix.descendants().filter(|node| node.has_tag_name("td")).count(), 16);
    assert!(!page_of(&THIRTY.journal()).contains("h-matrix"), "there is nothing to compare on one base");
}

#[test]
fn every_reference_within_the_page_leads_somewhere() {
    let page = page_of(&ON_BASES.journal());
    let document = parsed(&page);
    let ids: Vec<&str> = document.descendants().filter_map(|node| node.attribute("id")).collect();
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len());
    for node in document.descendants() {
        let led = node.attribute("href").map(|href| href.trim_start_matches('#'));
        for id in led.into_iter().chain(node.attribute("aria-labelledby")) {
            assert!(distinct.contains(id), "{id}");
        }
    }
}

#[test]
fn a_drawing_of_many_sessions_is_drawn_to_its_end() {
    let page = page_of(&Sample { tickets: 300, jobs: 20, bases: &[], interrupted: None }.journal());
    let document = parsed(&page);
    let area = document.descendants().find(|node| node.attribute("class") == Some("area")).unwrap();
    assert!(area.attribute("d").unwrap().ends_with("H1000.0V40.0"));
}

/// A batch of `a` and `b` that begins at second 0.
fn batch(rest: Vec<(i64, Event)>) -> Vec<Entry> {
    let first = (0, begun(items(&[("a", &[]), ("b", &[])])));
    std::iter::once(first).chain(rest).map(|(second, event)| entry(second, event)).collect()
}

fn stretch(from: i64, to: i64) -> Stretch {
    Stretch { from: at(from), to: at(to) }
}

fn seconds(length: SignedDuration) -> i64 {
    length.as_secs()
}

#[test]
fn time_is_told_apart_into_waiting_running_and_merging() {
    let ((one, first), (two, second)) = (starting("a"), starting("a"));
    let lane = || "a".parse().unwrap();
    let entries = batch(vec![
        (10, first),
        (30, ended("a", one, Outcome::Failed, Next::Retry { after_s: 5.0 })),
        (40, second),
        (70, ended("a", two, Outcome::Succeeded, Next::Merge)),
        (75, Event::Merging { lane: lane() }),
        (78, Event::Merged { lane: lane(), into: "main".into(), commit: "c".into() }),
    ]);
    let story = tell(&entries, at(100));
    let row = &story.rows[0];
    let pause = |from, to, kind| Pause { stretch: stretch(from, to), kind };
    assert_eq!(
        row.pauses,
        [
            pause(0, 10, PauseKind::Waits),
            pause(30, 40, PauseKind::WaitsAgain),
            pause(70, 75, PauseKind::WaitsForMerge),
            pause(75, 78, PauseKind::Merges),
        ]
    );
    assert_eq!(
        row.sessions.iter().map(|s| s.stretch).collect::<Vec<_>>(),
        [stretch(10, 30), stretch(40, 70)]
    );
    assert_eq!((seconds(row.waited(&story)), seconds(row.ran().0)), (25, 50));
    assert_eq!(row.landed, Some(at(78)));
    assert_eq!(story.rows[1].pauses, [pause(0, 100, PauseKind::Waits)], "who waits still waits until now");
    let load: Vec<(Timestamp, usize)> =
        [(0, 0), (10, 1), (30, 0), (40, 1), (70, 0)].map(|(s, n)| (at(s), n)).into();
    assert_eq!(story.load(), load);
}

#[test]
fn a_batch_that_is_not_finished_goes_on_until_now_unless_nothing_runs() {
    let halted = |why| Event::Halted { why };
    let cases = [
        (vec![], State::Unfinished, 100),
        (vec![(60, halted(Halt::Interrupted))], State::Interrupted, 60),
        (vec![(60, halted(Halt::Detached))], State::Left, 100),
        (vec![(60, halted(Halt::CostUsedUp))], State::Unfinished, 100),
        (vec![(60, halted(Halt::Interrupted)), (70, Event::Resumed)], State::Unfinished, 100),
        (vec![(60, halted(Halt::CostUsedUp)), (61, Event::Finished)], State::Finished, 61),
    ];
    for (events, state, to) in cases {
        let said = format!("{events:?}");
        let entries = batch(events);
        let story = tell(&entries, at(100));
        assert_eq!((story.state, story.whole), (state, stretch(0, to)), "{said}");
    }
    let (_, starting) = starting("a");
    let entries = batch(vec![(10, starting), (60, halted(Halt::Interrupted))]);
    let story = tell(&entries, at(100));
    assert_eq!(story.state, State::Unfinished, "its session is being ended");
    assert_eq!(story.rows[0].sessions[0].stretch, stretch(10, 100));
}

#[test]
fn the_end_of_a_session_that_no_one_watched_is_known_to_the_batch_at_most() {
    let (one, first) = starting("a");
    let entries = batch(vec![
        (10, first),
        (NIGHT, Event::Resumed),
        (NIGHT + 1, ended("a", one, Outcome::Succeeded, Next::Nothing)),
    ]);
    let story = tell(&entries, at(NIGHT + 1));
    assert_eq!(story.away, [stretch(10, NIGHT)]);
    assert_eq!(story.rows[0].ran().1, Measured::AtMost);
    assert_eq!(seconds(story.watched(story.whole)), 11);
    assert_eq!(seconds(story.rows[1].waited(&story)), 11, "no one waited for a batch that did not run");
    assert!(page_of(&entries).contains("took at most 13h53m"));
}

#[test]
fn a_session_that_was_never_begun_is_none() {
    let (session_id, first) = starting("a");
    let lane = "a".parse().unwrap();
    let entries = batch(vec![(10, first), (20, Event::Withdrawn { lane, session_id })]);
    let story = tell(&entries, at(50));
    assert!(story.rows[0].sessions.is_empty());
    assert_eq!(seconds(story.rows[0].waited(&story)), 50);
}

#[test]
fn what_was_tried_and_then_skipped_says_both() {
    let (one, first) = starting("a");
    let why = Skip::Halted { why: Halt::CostUsedUp };
    let entries = batch(vec![
        (10, first),
        (20, ended("a", one, Outcome::Failed, Next::Retry { after_s: 1.0 })),
        (30, Event::Skipped { lane: "a".parse().unwrap(), why }),
        (30, Event::Finished),
    ]);
    let page = page_of(&entries);
    let document = parsed(&page);
    let row = text(with_id(&document, "t0"));
    assert!(
        row.contains("failed") && row.contains("not tried again: not started: the batch has cost"),
        "{row}"
    );
}

#[test]
fn what_stands_although_the_last_session_did_nothing_says_so() {
    let (one, first) = starting("a");
    let entries = batch(vec![(10, first), (20, ended("a", one, Outcome::NoChanges, Next::Stands))]);
    let page = page_of(&entries);
    let document = parsed(&page);
    let row = text(with_id(&document, "t0"));
    assert!(row.contains("succeeded") && row.contains("had nothing to add"), "{row}");
}

#[test]
fn events_of_lanes_that_are_no_items_change_nothing() {
    let (stranger, first) = starting("stranger");
    let known = batch(vec![(50, Event::Finished)]);
    let with_stranger = batch(vec![
        (10, first),
        (20, ended("stranger", stranger, Outcome::Failed, Next::Nothing)),
        (50, Event::Finished),
    ]);
    let (known, with_stranger) = (tell(&known, at(50)), tell(&with_stranger, at(50)));
    assert_eq!(known.sum(), with_stranger.sum());
    assert_eq!(known.load(), with_stranger.load());
}

#[test]
fn slow_downs_that_follow_each_other_are_one() {
    let slowed = |second, why| (second, Event::Slowed { why, seconds: 10.0 });
    let entries = batch(vec![
        slowed(0, Slow::RateLimits),
        slowed(15, Slow::RateLimits),
        slowed(200, Slow::RateLimits),
        slowed(205, Slow::Memory),
        (300, Event::Slowed { why: Slow::Memory, seconds: f64::NAN }),
    ]);
    let mark = |from, to, why, times| Mark { stretch: stretch(from, to), kind: MarkKind::Slowed(why, times) };
    assert_eq!(
        tell(&entries, at(400)).marks,
        [
            mark(0, 25, Slow::RateLimits, 2),
            mark(200, 210, Slow::RateLimits, 1),
            mark(205, 215, Slow::Memory, 1),
            mark(300, 300, Slow::Memory, 1),
        ]
    );
}
