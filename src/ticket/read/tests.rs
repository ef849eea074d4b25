use super::*;
use proptest::prelude::*;

fn ticket(content: &str) -> (Ticket, Vec<String>) {
    let (ticket, problems) = read(&"T-1".parse().unwrap(), Path::new("T-1.md"), content.as_bytes());
    (ticket, problems.iter().map(Problem::to_string).collect())
}

/// A ticket with more fields.
fn with(fields: &str) -> (Ticket, Vec<String>) {
    ticket(&format!("---\nid: T-1\nstatus: open\n{fields}\n---\n# Title\n"))
}

/// The ids of the deps, `!` for one that is none.
fn deps(ticket: &Ticket) -> Vec<String> {
    let shown = |dep: &'_ Dep| match dep {
        Dep::Ticket(id) => id.to_string(),
        Dep::Unusable(_) => "!".to_owned(),
    };
    ticket.deps().iter().map(shown).collect()
}

#[test]
fn a_ticket_as_tk_writes_it_is_read_whole() {
    let (ticket, problems) = ticket(
        "---\nid: T-1\nstatus: in_progress\ndeps: [a, b-2]\nlinks: [c]\ncreated: 2026-03-02T09:20:41Z\ntype: bug\n\
         priority: 0\nassignee: Jo Park\nexternal-ref: gh-212\nparent: d\ntags: [component:cart, ui]\n---\n\
         # Fix: the `door`\n\n# No\n",
    );
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(ticket.title(), Some("Fix: the `door`"));
    assert_eq!(ticket.status(), Some(Status::InProgress));
    assert_eq!(deps(&ticket), ["a", "b-2"]);
    assert_eq!(ticket.links(), ["c".parse().unwrap()]);
    assert_eq!(ticket.created(), Some("2026-03-02T09:20:41Z".parse().unwrap()));
    assert_eq!((ticket.kind(), ticket.priority().number()), (Some("bug"), 0));
    assert_eq!((ticket.assignee(), ticket.parent().unwrap().as_str()), (Some("Jo Park"), "d"));
    assert_eq!(ticket.tags(), ["component:cart", "ui"]);
}

#[test]
fn what_a_ticket_does_not_say_is_as_in_tk() {
    let (ticket, problems) = with("");
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!((ticket.priority().number(), ticket.priority()), (2, Priority::default()));
    assert_eq!(
        (ticket.kind(), ticket.assignee(), ticket.parent(), ticket.created()),
        (None, None, None, None)
    );
    assert_eq!((ticket.deps().len(), ticket.links().len(), ticket.tags().len()), (0, 0, 0));
}

#[test]
fn what_real_files_contain_is_taken() {
    for content in [
        "\u{feff}---\r\nid: T-1\r\nstatus: open\r\ndeps:\r\n  - a\r\n  - b\r\n---\r\n# Title\r\n",
        "\n\n---  \nid: \"T-1\"\nstatus: 'open' # soon\ndeps: [a,b]\n---\t\n\n\nText.\n\n# Title",
        "---\nid: T-1\nstatus:   open   # soon\ntitle: Other\nnotes: |\n  id: no\n  status: no\ndeps: a, b\n---\n# \n# Title\n",
        "---\nid: T-1\nstatus: open\ndeps:\n- a\n\n# then\n- b\ntitle: \"Title\"\n---\nText without a heading.\n",
        "---\nid:\tT-1\nstatus: open\ndeps:\n\t- a\n\t- b\n---\n# Title\n",
        "---\nid: &id T-1\nstatus: !!str open\ndeps: [[a], [b], a]\nanything: [goes, {here: [\n---\n# Title",
        "---\n# a comment\n'id': T-1\n\"status\": open\ndeps: [\n  a, # one\n  b\n]\n---\n\t# No\n# Title",
    ] {
        let (ticket, problems) = ticket(content);
        assert_eq!(problems, Vec::<String>::new(), "{content:?}");
        assert_eq!((ticket.title(), ticket.status()), (Some("Title"), Some(Status::Open)), "{content:?}");
        assert_eq!(ticket.declared, Declared::Id(id_line(content), "T-1".parse().unwrap()), "{content:?}");
        assert_eq!(deps(&ticket), ["a", "b"], "{content:?}");
    }
}

fn id_line(content: &str) -> usize {
    1 + content.lines().position(|line| line.trim_matches('\'').starts_with("id")).unwrap()
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (content, expected) in [
        (
            "# Title\n",
            &[
                "T-1.md, line 1: there is no front matter: `---`, then lines such as `status: open`, then `---`",
            ][..],
        ),
        (
            "",
            &[
                "T-1.md, line 1: there is no front matter: `---`, then lines such as `status: open`, then `---`",
            ],
        ),
        (
            "---\nid: T-1\nstatus: open\n# Title\n",
            &["T-1.md, line 1: the front matter that starts here is never closed with `---`"],
        ),
        (
            "---\nid: T-1\nstatus: done\u{1b}[0m\n---\n# Title",
            &[
                r#"T-1.md, line 3: the status is "done\u{1b}[0m", which is none of open, in_progress and closed"#,
            ],
        ),
        (
            "---\nid: T-1\nstatus: done\n---\n# Title",
            &["T-1.md, line 3: the status is \"done\", which is none of open, in_progress and closed"],
        ),
        ("\n---\nid: ../x\nstatus: open\n---\n", &["T-1.md, line 3: \"../x\" is not a ticket id"]),
        (
            "---\nstatus: \n---\n",
            &[
                "T-1.md, line 1: the front matter has no `id`",
                "T-1.md, line 1: the front matter has no `status`",
            ],
        ),
        ("---\nid:T-1\nstatus: open\n---\n", &["T-1.md, line 2: `id` is not YAML (it is not `key: value`)"]),
        (
            "---\nid: T-1\nid: T-1\nstatus: open\n---\n",
            &["T-1.md, line 3: the front matter has `id` a second time; the last one counts"],
        ),
    ] {
        let (_, problems) = ticket(content);
        assert_eq!(problems.len(), expected.len(), "{content:?}: {problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem}");
            assert!(!problem.chars().any(char::is_control), "{problem:?}");
        }
    }
    let (broken, problems) =
        read(&"T-1".parse().unwrap(), Path::new("x"), b"---\nid: T-1\nstatus: open\n---\n# A\xff\n");
    assert_eq!(problems, [Problem::at(Path::new("x"), 5, Why::NotText)]);
    assert_eq!(broken.title(), Some("A\u{fffd}"));
}

#[test]
fn a_field_that_cannot_be_used_is_said_and_hides_no_other() {
    for (field, expected) in [
        ("priority: high", "the priority is \"high\", which is none of 0 to 4; it counts as 4"),
        ("priority: 7", "the priority is \"7\", which is none of 0 to 4; it counts as 4"),
        ("priority: -1", "the priority is \"-1\", which is none of 0 to 4; it counts as 0"),
        ("priority: [1]", "`priority` is not one text, so it does not count"),
        ("created: yesterday", "`created` is \"yesterday\", which is no time such as 2026-03-02T09:14:07Z"),
        (
            "parent: a b",
            "in `parent`: \"a b\" is not a ticket id: only letters, digits, `.`, `_` and `-` are allowed",
        ),
        ("links: [{a: b}]", "`links` holds something that is not a text, or cannot be read to its end"),
        ("tags: {a: b}", "`tags` holds something that is not a text, or cannot be read to its end"),
        ("type: {a: b}", "`type` is not one text, so it does not count"),
        ("assignee: *jo", "`assignee` is not YAML ("),
        ("assignee: @jo", "`assignee` is not YAML ("),
    ] {
        let (ticket, problems) = with(&format!("{field}\ndeps: [a]"));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(&format!("T-1.md, line 4: {expected}")), "{problems:?}");
        assert_eq!((ticket.status(), deps(&ticket)), (Some(Status::Open), vec!["a".to_owned()]), "{field:?}");
    }
    assert_eq!(with("assignee: @jo").0.assignee(), Some("@jo"));
}

#[test]
fn a_dep_that_cannot_be_used_stays_one() {
    for (fields, expected) in [
        ("deps: [a, ../b, c]", &["a", "!", "c"][..]),
        ("deps: ../b", &["!"]),
        ("deps: {a: b}", &["!"]),
        ("deps: [a, {b: c}]", &["a", "!"]),
        // An alias of nothing: YAML refuses the line, and `*b` is no id.
        ("deps: [a, *b]", &["a", "!"]),
        ("deps: [a,\n  @b]", &["a", "!"]),
        ("deps:\n  - @b", &["!"]),
        ("deps: [a, , b]", &["a", "b"]),
        ("deps: [a, b", &["a", "b"]),
        ("deps: [null, '', ~]", &[]),
        ("deps: null", &[]),
    ] {
        let (ticket, problems) = with(fields);
        assert_eq!(deps(&ticket), expected, "{fields:?}");
        assert_eq!(problems.is_empty(), fields.contains("null"), "{fields:?}: {problems:?}");
    }
}

#[test]
fn times_are_read_with_and_without_a_zone() {
    for (text, expected) in [
        ("2026-03-02T09:20:41Z", "2026-03-02T09:20:41Z"),
        ("2026-03-02 11:20:41+02:00", "2026-03-02T09:20:41Z"),
        ("'2026-03-02T09:20:41'", "2026-03-02T09:20:41Z"),
        ("2026-03-02", "2026-03-02T00:00:00Z"),
    ] {
        let (ticket, problems) = with(&format!("created: {text}"));
        assert_eq!(ticket.created(), Some(expected.parse().unwrap()), "{text:?}: {problems:?}");
        assert_eq!(problems, Vec::<String>::new());
    }
}

#[test]
fn a_file_is_not_complained_about_without_end() {
    let (ticket, problems) = with(&format!("deps: [{}]", "-a, ".repeat(10_000)));
    assert_eq!((ticket.deps().len(), problems.len()), (10_000, MOST_PROBLEMS));
}

#[test]
fn an_unclosed_front_matter_does_not_cost_the_title() {
    assert_eq!(ticket("---\nid: T-1\nstatus: open\n# Title\n").0.title(), Some("Title"));
}

#[test]
fn no_text_can_act_on_a_terminal() {
    let (first, _) = ticket("# a\u{1b}]0;x\u{7}\tb\u{202e}c\u{85}\n");
    assert_eq!(first.title(), Some("a]0;x bc"));
    let long = format!("# {}", "x".repeat(10_000));
    assert_eq!(ticket(&long).0.title().unwrap().len(), LONGEST_TEXT);
    assert_eq!(ticket("# \u{1b}\u{7}\n").0.title(), None);
    let (second, _) = with("type: \"a\\e[0m\"\ntags: [\"\\a\", \"b\\nc\"]");
    assert_eq!((second.kind(), second.tags()), (Some("a[0m"), &["b c".to_owned()][..]));
}

/// What costs more than its length would not come to an end here, and what recurses would not survive.
#[test]
fn nothing_that_a_large_field_holds_costs_another() {
    let pieces = [
        "[",
        "- ",
        "a, ",
        "[a], ",
        "&a [*a], ",
        "{",
        "\"\\x",
        "a: ",
        "'",
        "? ",
        ": ",
        "\n- a",
        "\n -",
        "!",
        "|\n ",
    ];
    for piece in pieces {
        let large = piece.repeat((1 << 18) / piece.len());
        assert_eq!(with(&format!("deps: {large}")).0.status(), Some(Status::Open), "{piece:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(content in proptest::collection::vec(any::<u8>(), 0..400)) {
        read(&"T-1".parse().unwrap(), Path::new("x"), &content);
    }

    #[test]
    fn nothing_near_a_ticket_panics_or_acts_on_a_terminal(
        lines in proptest::collection::vec(
            "(---|# ?|id:|status:|title:|deps:|tags:|priority:| *- )?[ '\"#:a-z\u{1b}\r\u{202e}é\\[\\]{},&*!|>%@`\t-]{0,10}",
            0..12),
    ) {
        let (ticket, problems) = ticket(&lines.join("\n"));
        let texts = [ticket.title(), ticket.kind(), ticket.assignee()].into_iter().flatten();
        let unusable = ticket.deps().iter().filter_map(|dep| match dep {
            Dep::Unusable(text) => Some(text.as_str()),
            Dep::Ticket(_) => None,
        });
        let tags = ticket.tags().iter().map(String::as_str);
        for text in problems.iter().map(String::as_str).chain(texts).chain(unusable).chain(tags) {
            prop_assert!(!text.chars().any(wording::is_unprintable), "{text:?}");
        }
    }
}
