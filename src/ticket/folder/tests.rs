use super::*;
use crate::config::wording;
use crate::ticket::Status;
use proptest::prelude::*;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

/// A main checkout with tickets.
struct Checkout(tempfile::TempDir);

impl Checkout {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".tickets")).unwrap();
        Self(dir)
    }

    fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.0.path().join(".tickets").join(name.as_ref())
    }

    fn file(self, name: impl AsRef<OsStr>, content: &str) -> Self {
        fs::write(self.path(name), content).unwrap();
        self
    }

    fn ticket(self, id: &str) -> Self {
        self.file(format!("{id}.md"), &text(id))
    }

    fn open(&self) -> TicketFolder {
        TicketFolder::open(self.0.path()).unwrap().unwrap()
    }

    fn problems(&self) -> Vec<String> {
        let place = format!("{}/", self.path("").display()).replace("//", "/");
        let folder = self.open();
        let (backlog, mut problems) = folder.backlog();
        problems.extend(backlog.problems());
        problems.iter().map(|problem| problem.to_string().replace(&place, "")).collect()
    }
}

fn text(id: &str) -> String {
    format!("---\nid: {id}\nstatus: open\n---\n# Title of {id}\n")
}

fn id(text: &str) -> TicketId {
    text.parse().unwrap()
}

#[test]
fn a_realistic_folder_is_read() {
    let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tickets/shop");
    let folder = TicketFolder::open(&shop).unwrap().unwrap();
    let listing = folder.list();
    // `tk` writes an assignee as it is given.
    assert!(matches!(
        &listing.problems[..],
        [Problem { line: Some(9), why: Why::NotYaml { key: "assignee", .. }, .. }]
    ));
    let rows: Vec<_> =
        listing.tickets.iter().map(|t| (t.id().as_str(), t.status().unwrap(), t.title().unwrap())).collect();
    assert_eq!(
        rows,
        [
            ("sh-2kd8", Status::Closed, "Move prices out of the templates"),
            ("sh-4t1m", Status::InProgress, "Cart: keep items of a visitor who logs in"),
            ("sh-71qv", Status::Open, "Checkout in one page"),
            ("sh-9yjn", Status::Open, "Send the receipt only once"),
            ("sh-c0de", Status::Open, "`make test` needs 40 s: find out why"),
            ("sh-ü5er", Status::Open, "Preise in der Schweiz auf 5 Rappen runden"),
        ]
    );
    assert_eq!(listing.tickets[1].assignee(), Some("@mara"));
    assert_eq!(folder.resolve("9yj"), Resolution::Partial(id("sh-9yjn")));
    assert_eq!(folder.nearest("sh-9ynj"), [id("sh-9yjn")]);
}

#[test]
fn a_backlog_holds_what_can_be_read_and_says_what_cannot() {
    let checkout = Checkout::new()
        .ticket("T-1")
        .file("T-2.md", "---\nid: T-2\nstatus: open\ndeps: [T-1, T-3]\n---\n")
        .file("T-4.md", "---\nid: T-4\nstatus: open\npriority: 0\ndeps: [T-1\n---\n");
    symlink("T-1.md", checkout.path("T-3.md")).unwrap();
    let (backlog, problems) = checkout.open().backlog();
    let ready: Vec<&str> = backlog.ready().iter().map(|ticket| ticket.id().as_str()).collect();
    assert_eq!((ready, backlog.blocked().len()), (vec!["T-1"], 2));
    let files: Vec<_> = problems.iter().map(|problem| problem.path.file_name().unwrap()).collect();
    assert_eq!(files, ["T-3.md", "T-4.md"]);
    assert_eq!(
        backlog.problems().iter().map(|problem| &problem.why).collect::<Vec<_>>(),
        [&Why::MissingDep(id("T-3"))]
    );
}

#[test]
fn a_checkout_without_a_ticket_folder_has_no_tickets() {
    let dir = tempfile::tempdir().unwrap();
    assert!(TicketFolder::open(dir.path()).unwrap().is_none());
    fs::write(dir.path().join(".tickets"), "a file").unwrap();
    assert!(TicketFolder::open(dir.path()).unwrap().is_none());
}

#[test]
fn a_folder_that_is_shared_through_a_link_is_read() {
    let shared = Checkout::new().ticket("T-1");
    let dir = tempfile::tempdir().unwrap();
    symlink(shared.path(""), dir.path().join(".tickets")).unwrap();
    assert_eq!(TicketFolder::open(dir.path()).unwrap().unwrap().list().tickets.len(), 1);
}

#[test]
fn one_ticket_is_found_without_reading_the_others() {
    let checkout = Checkout::new().ticket("T-1").ticket("T-2");
    let folder = checkout.open();
    // Whatever stands in the other's place now, it is not looked at.
    fs::remove_file(checkout.path("T-2.md")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, checkout.path("T-2.md"), 0o600.into()).unwrap();
    let found = folder.find(&id("T-1")).unwrap().unwrap();
    assert_eq!((found.ticket.title(), found.problems.len()), (Some("Title of T-1"), 0));
    assert_eq!(found.ticket.path(), checkout.path("T-1.md"));
    assert_eq!(folder.find(&id("T-3")), Ok(None));
    fs::remove_file(checkout.path("T-1.md")).unwrap();
    assert_eq!(folder.find(&id("T-1")), Ok(None), "a ticket that went away meanwhile");
}

#[test]
fn what_stands_in_a_tickets_place_without_being_one_is_a_problem_and_no_wait() {
    let checkout = Checkout::new().ticket("T-1").file("target", "# A secret\n");
    symlink(checkout.path("target"), checkout.path("inside.md")).unwrap();
    symlink("/etc/passwd", checkout.path("outside.md")).unwrap();
    symlink("nowhere", checkout.path("dangling.md")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, checkout.path("pipe.md"), 0o600.into()).unwrap();
    fs::create_dir(checkout.path("folder.md")).unwrap();
    fs::File::create(checkout.path("huge.md")).unwrap().set_len(1 << 30).unwrap();
    assert_eq!(
        checkout.problems(),
        [
            "dangling.md: this is a symbolic link; links are not followed in a ticket folder",
            "folder.md: this is a folder, not a ticket",
            "huge.md: the file is larger than 1048576 bytes, which no ticket is",
            "inside.md: this is a symbolic link; links are not followed in a ticket folder",
            "outside.md: this is a symbolic link; links are not followed in a ticket folder",
            "pipe.md: it could not be read: not a regular file",
        ]
    );
    let folder = checkout.open();
    assert_eq!(folder.list().tickets.len(), 1);
    assert_eq!(folder.resolve("outside"), Resolution::Exact(id("outside")));
    assert_eq!(folder.find(&id("outside")).unwrap_err().why, Why::SymbolicLink);
    assert!(folder.find(&id("pipe")).is_err());
}

#[test]
fn names_that_are_no_ids_are_problems_and_never_tickets() {
    let checkout = Checkout::new()
        .ticket("T-1")
        .file("my ticket.md", "")
        .file("-rf.md", "")
        .file("a\u{1b}[31m.md", "")
        .file(OsStr::from_bytes(b"\xff.md"), "")
        .file("x.lock.md", "")
        .file(".#T-1.md", "an editor's lock")
        .file(".md", "")
        .file("T-1.md~", "")
        .file("notes.txt", "");
    assert_eq!(
        checkout.problems(),
        [
            "-rf.md: the file's name is not the id of a ticket: \"-rf\" is not a ticket id: it starts with `-` or `.`",
            "a\\u{1b}[31m.md: the file's name is not the id of a ticket: \"a\\u{1b}[31m\" is not a ticket id: only \
             letters, digits, `.`, `_` and `-` are allowed",
            "my ticket.md: the file's name is not the id of a ticket: \"my ticket\" is not a ticket id: only letters, \
             digits, `.`, `_` and `-` are allowed",
            "x.lock.md: the file's name is not the id of a ticket: \"x.lock\" is not a ticket id: `..`, a final `.` \
             and a final `.lock` cannot be part of a branch name",
            "\u{fffd}.md: the file's name is not UTF-8, so it is not the id of a ticket",
        ]
    );
    assert_eq!(checkout.open().ids().collect::<Vec<_>>(), [&id("T-1")]);
}

#[test]
fn a_file_name_that_writes_its_accent_in_two_characters_is_found_by_either() {
    let checkout = Checkout::new().ticket("cafe\u{301}-1");
    let folder = checkout.open();
    for typed in ["caf\u{e9}-1", "cafe\u{301}-1"] {
        let Resolution::Exact(found) = folder.resolve(typed) else { panic!("{typed:?} is unknown") };
        assert_eq!(folder.find(&found).unwrap().unwrap().problems, []);
    }
}

#[test]
fn one_id_in_two_files_is_refused_and_both_are_named() {
    let checkout = Checkout::new().ticket("T-1").ticket("caf\u{e9}").ticket("cafe\u{301}");
    assert_eq!(checkout.open().list().tickets.len(), 1);
    let problem = checkout.open().find(&id("caf\u{e9}")).unwrap_err();
    assert_eq!(problem.path, checkout.path("caf\u{e9}.md"));
    let other = checkout.path("cafe\u{301}.md");
    assert_eq!(problem.why, Why::Duplicate { id: id("caf\u{e9}"), other });
}

#[test]
fn front_matter_with_the_id_of_another_ticket_is_said() {
    let checkout = Checkout::new()
        .ticket("T-1")
        .file("T-1-copy.md", &text("T-1"))
        .file("a.md", &text("lost"))
        .file("b.md", &text("lost"));
    assert_eq!(
        checkout
            .problems()
            .iter()
            .map(|p| p.replace(checkout.path("").to_str().unwrap(), ""))
            .collect::<Vec<_>>(),
        [
            "T-1-copy.md, line 2: ticket T-1 is also in T-1.md",
            "a.md, line 2: the id here is lost, but the file's name says a, which counts",
            "b.md, line 2: ticket lost is also in a.md",
        ]
    );
    let found = checkout.open().find(&id("a")).unwrap().unwrap();
    assert_eq!(found.problems[0].why, Why::OtherId { declared: id("lost"), named: id("a") });
    assert_eq!(checkout.open().resolve("lost"), Resolution::Unknown { nearest: vec![] });
}

#[test]
fn a_listing_is_a_snapshot_of_the_names_and_survives_what_goes_away() {
    let checkout = Checkout::new().ticket("T-1").ticket("T-2");
    let folder = checkout.open();
    fs::remove_file(checkout.path("T-1.md")).unwrap();
    let checkout = checkout.ticket("T-3");
    assert_eq!(folder.list().tickets.iter().map(Ticket::id).collect::<Vec<_>>(), [&id("T-2")]);
    assert_eq!(folder.list().problems, []);
    assert_eq!(checkout.open().list().tickets.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_name_and_no_content_makes_a_folder_panic_or_a_message_act_on_a_terminal(
        files in proptest::collection::vec(
            (proptest::collection::vec(1u8.., 1..12), proptest::collection::vec(any::<u8>(), 0..60)), 0..6),
    ) {
        let checkout = Checkout::new();
        for (stem, content) in files {
            let name = [stem.as_slice(), b".md"].concat();
            if !name.contains(&b'/') {
                fs::write(checkout.path(OsStr::from_bytes(&name)), content).unwrap();
            }
        }
        let listing = checkout.open().list();
        let titles = listing.tickets.iter().filter_map(Ticket::title).map(str::to_owned);
        for text in listing.problems.iter().map(Problem::to_string).chain(titles) {
            prop_assert!(!text.chars().any(wording::is_unprintable), "{text:?}");
        }
    }
}
