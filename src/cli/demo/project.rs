//! The small project of the demo, its four tickets, and what the stand-in agent does for each.
//!
//! All of it is prepared: the stand-in thinks nothing up. The four change different places, so that their branches
//! can be merged in any order.

use std::time::Duration;

use crate::session::manifest::Outcome;

/// The folder of the repository, in the demo's folder.
pub const NAME: &str = "todo";

/// The files of its first commit, without the tickets.
pub const FILES: [(&str, &str); 5] = [
    ("README.md", include_str!("../../../fixtures/demo/README.md")),
    ("todo.py", include_str!("../../../fixtures/demo/todo.py")),
    ("store.py", include_str!("../../../fixtures/demo/store.py")),
    ("test_store.py", include_str!("../../../fixtures/demo/test_store.py")),
    (".pi/prompts/tf.md", include_str!("../../../fixtures/demo/tf.md")),
];

/// A ticket of the demo.
#[derive(Debug)]
pub struct DemoTicket {
    /// Its id.
    pub id: &'static str,
    /// Its file.
    pub content: &'static str,
    /// What the stand-in does for it, in order.
    pub play: &'static [Beat],
    /// How its session ends with the stand-in.
    pub planned: Outcome,
}

/// A step of the stand-in.
#[derive(Debug)]
pub struct Beat {
    /// When, after its start.
    pub at: Duration,
    /// What.
    pub act: Act,
}

/// What the stand-in can do.
#[derive(Debug)]
pub enum Act {
    /// Say something.
    Say(&'static str),
    /// Write a file.
    Write {
        /// Its path.
        file: &'static str,
        /// All that it then holds.
        content: &'static str,
    },
    /// Put a text in the place of another, which stands in the file once.
    Edit {
        /// The file's path.
        file: &'static str,
        /// The text that is there.
        old: &'static str,
        /// What comes in its place.
        new: &'static str,
    },
    /// Set the ticket's status to closed.
    Close,
    /// Commit everything, with this message.
    Commit(&'static str),
}

const fn at(milliseconds: u64, act: Act) -> Beat {
    Beat { at: Duration::from_millis(milliseconds), act }
}

/// The four tickets, in the order in which they are shown. The last commits of two are more than a second apart, so
/// that git draws their branches in the same order each time.
pub static TICKETS: [DemoTicket; 4] = [
    DemoTicket {
        id: "td-4mfq",
        content: include_str!("../../../fixtures/demo/tickets/td-4mfq.md"),
        play: &[
            at(400, Act::Edit { file: "store.py", old: LOAD, new: LOAD_OR_EMPTY }),
            at(900, Act::Commit("Begin with an empty list when there is no file")),
            at(1400, Act::Edit { file: "test_store.py", old: LAST_OF_TESTS, new: TEST_OF_NO_FILE }),
            at(1900, Act::Close),
            at(2300, Act::Commit("Test a list without a file")),
        ],
        planned: Outcome::Succeeded,
    },
    DemoTicket {
        id: "td-8c2e",
        content: include_str!("../../../fixtures/demo/tickets/td-8c2e.md"),
        play: &[
            at(600, Act::Say("looks for where the items are shown: todo.py, show()")),
            at(1500, Act::Edit { file: "todo.py", old: SHOW, new: SHOW_SORTED }),
            at(2800, Act::Close),
            at(3350, Act::Commit("Show open items first, by date")),
        ],
        planned: Outcome::Succeeded,
    },
    DemoTicket {
        id: "td-b7xn",
        content: include_str!("../../../fixtures/demo/tickets/td-b7xn.md"),
        play: &[
            at(500, Act::Edit { file: "todo.py", old: TICK, new: TICK_CHECKED }),
            at(1700, Act::Edit { file: "todo.py", old: MAIN, new: MAIN_CHECKED }),
            at(3500, Act::Close),
            at(4400, Act::Commit("Say which number is not on the list")),
            at(4500, Act::Write { file: "test_todo.py", content: TESTS_OF_NUMBERS }),
            at(4550, Act::Say("is done")),
        ],
        planned: Outcome::Uncommitted,
    },
    DemoTicket {
        id: "td-k9wd",
        content: include_str!("../../../fixtures/demo/tickets/td-k9wd.md"),
        play: &[
            at(500, Act::Edit { file: "README.md", old: TESTS_HEADING, new: FORMAT_SECTION }),
            at(900, Act::Close),
            at(1250, Act::Commit("Describe the file format")),
        ],
        planned: Outcome::Succeeded,
    },
];

/// The ticket of this id.
pub fn ticket(id: &str) -> Option<&'static DemoTicket> {
    TICKETS.iter().find(|ticket| ticket.id == id)
}

/// Where a ticket's file is.
pub fn ticket_file(id: &str) -> String {
    format!(".tickets/{id}.md")
}

impl DemoTicket {
    /// Its title: the first heading of its file.
    pub fn title(&self) -> &'static str {
        self.content.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or(self.id)
    }
}

const LOAD: &str = "    return [parse(line)";
const LOAD_OR_EMPTY: &str = "    if not path.exists():
        return []
    return [parse(line)";

const LAST_OF_TESTS: &str = "        self.assertEqual(store.parse(store.line(item)), item)\n";
const TEST_OF_NO_FILE: &str = "        self.assertEqual(store.parse(store.line(item)), item)


class Files(unittest.TestCase):
    def test_a_list_without_a_file_is_empty(self):
        self.assertEqual(store.load(store.Path(\"no such file\")), [])
";

const SHOW: &str = "    for number, item in enumerate(items, 1):\n";
const SHOW_SORTED: &str =
    "    in_order = sorted(enumerate(items, 1), key=lambda pair: (pair[1].done, pair[1].due))
    for number, item in in_order:
";

const TICK: &str = "    items[number - 1].done = True\n";
const TICK_CHECKED: &str = "    if not 1 <= number <= len(items):
        raise LookupError(f\"there is no item {number}\")
    items[number - 1].done = True
";

const MAIN: &str = "        tick(items, int(args[1]))\n";
const MAIN_CHECKED: &str = "        try:
            tick(items, int(args[1]))
        except LookupError as error:
            print(error, file=sys.stderr)
            return 2
";

const TESTS_OF_NUMBERS: &str = "import unittest

import store
import todo


class Numbers(unittest.TestCase):
    def test_a_number_that_is_not_on_the_list_is_refused(self):
        for number in [0, 2, 99]:
            with self.assertRaises(LookupError):
                todo.tick([store.Item(\"Buy bread\")], number)


if __name__ == \"__main__\":
    unittest.main()
";

const TESTS_HEADING: &str = "## Tests\n";
const FORMAT_SECTION: &str = "## The file

`todo.txt` holds one item a line: `[ ]` or `[x]`, the date it is due, the text.

    [ ] 2026-05-01 Buy bread

## Tests
";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ticket::TicketFolder;

    #[test]
    fn every_play_can_be_played_and_commits_what_it_changes_but_for_what_is_planned() {
        for ticket in &TICKETS {
            let mut files: BTreeMap<&str, String> =
                FILES.iter().map(|(path, content)| (*path, (*content).to_owned())).collect();
            let mut uncommitted = Vec::new();
            let mut last = Duration::ZERO;
            for Beat { at, act } in ticket.play {
                assert!(*at >= last, "{}: a step goes back in time", ticket.id);
                last = *at;
                match act {
                    Act::Say(_) | Act::Close => {}
                    Act::Write { file, content } => {
                        files.insert(file, (*content).to_owned());
                        uncommitted.push(*file);
                    }
                    Act::Edit { file, old, new } => {
                        let content = files.get_mut(file).expect("the file is there");
                        assert_eq!(content.matches(old).count(), 1, "{}: {old:?} in {file}", ticket.id);
                        *content = content.replacen(old, new, 1);
                        uncommitted.push(*file);
                    }
                    Act::Commit(_) => uncommitted.clear(),
                }
            }
            let planned = if uncommitted.is_empty() { Outcome::Succeeded } else { Outcome::Uncommitted };
            assert_eq!(ticket.planned, planned, "{}", ticket.id);
        }
    }

    #[test]
    fn the_tickets_are_in_the_form_of_tk() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".tickets")).unwrap();
        for ticket in &TICKETS {
            std::fs::write(folder.path().join(ticket_file(ticket.id)), ticket.content).unwrap();
        }
        let listing = TicketFolder::open(folder.path()).unwrap().unwrap().list();
        assert_eq!(listing.problems, []);
        let titles: Vec<_> = listing.tickets.iter().map(|ticket| ticket.title().unwrap()).collect();
        assert_eq!(titles, TICKETS.each_ref().map(DemoTicket::title));
    }

    #[test]
    fn one_of_the_four_does_not_end_well() {
        let ends_well = TICKETS.iter().filter(|ticket| ticket.planned == Outcome::Succeeded).count();
        assert_eq!((ends_well, TICKETS.len()), (3, 4));
    }
}
