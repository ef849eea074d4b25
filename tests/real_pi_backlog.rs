//! The real pi on a whole backlog: eight tickets go in, finished and merged work comes out, side by side.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::helpers::lanes::{only, text};
use crate::helpers::repo::PROMPT;
use crate::helpers::{ModelServer, RealPi, Repo, Sandbox, Turn};

/// The tickets, what stands in their heads, and whether they can be done: the shop's stock is one component, its page
/// another; T-5 rewrites the line that T-4 rewrites, and the model fails for T-6.
const BACKLOG: [(&str, &str, Fate); 8] = [
    ("T-1", "tags: [component:stock]\n", Fate::Merged),
    ("T-2", "deps: [T-1]\ntags: [component:stock]\n", Fate::Merged),
    ("T-3", "tags: [component:stock]\n", Fate::Merged),
    ("T-4", "tags: [component:page]\n", Fate::Merged),
    ("T-5", "tags: [component:text]\n", Fate::NotMerged),
    ("T-6", "", Fate::Failed),
    ("T-7", "deps: [T-6]\n", Fate::Skipped),
    ("T-8", "deps: [T-1, T-4]\n", Fate::Merged),
];

/// What becomes of a ticket.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Merged,
    NotMerged,
    Failed,
    Skipped,
}

/// The tickets of this fate.
fn all(fate: Fate) -> Vec<&'static str> {
    BACKLOG.iter().filter(|(_, _, of)| *of == fate).map(|(id, ..)| *id).collect()
}

/// Waits in the agent's shell until `command` succeeds; whoever runs the test gives up before this does.
fn until(command: &str) -> String {
    format!("for i in $(seq 600); do {command} && break; sleep 0.1; done")
}

/// The model works on `ticket`: it runs `command`, closes the ticket, commits both and says so.
fn works(ticket: &str, command: &str) -> [Turn; 2] {
    let close = format!("sed -i 's/^status: open/status: closed/' .tickets/{ticket}.md");
    let commit = format!("git add -A && git commit -q -m 'Work on {ticket}'");
    [Turn::bash(&format!("{command}\n{close} && {commit}")).using(1000, 10), Turn::text("Done.")]
}

fn repository<'s>(sandbox: &'s Sandbox) -> Repo<'s> {
    let files = [(".pi/prompts/tf.md", PROMPT), ("greeting.txt", "hi\n"), ("stock.txt", "apples\n")];
    let repo = Repo::with_files(sandbox, "shop", &files);
    for (id, head, _) in BACKLOG {
        repo.ticket_with(id, &format!("About {id}"), head);
    }
    repo.commit_all("Tickets");
    repo
}

/// Every file of the commit, with its content.
fn files_of(repo: &Repo<'_>, commit: &str) -> BTreeMap<String, String> {
    let listed = repo.git(&["ls-tree", "-r", "--name-only", commit]);
    listed.lines().map(|name| (name.to_owned(), repo.git(&["show", &format!("{commit}:{name}")]))).collect()
}

/// What main is to be at the end, from what it was at the beginning.
fn expected(mut files: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for ticket in all(Fate::Merged) {
        let file = files.get_mut(&format!(".tickets/{ticket}.md")).expect("the ticket");
        *file = file.replace("status: open", "status: closed");
    }
    for (name, content) in [
        ("greeting.txt", "good morning"),
        ("stock.txt", "apples\nripe pears\nplums"),
        ("page.txt", "good morning\napples"),
    ] {
        files.insert(name.to_owned(), content.to_owned());
    }
    files
}

/// The entries of the only batch's journal: the lines that `--json` would have printed.
fn journal(repo: &Repo<'_>) -> Vec<Value> {
    let batches = fs::read_dir(repo.common_dir().join("ralph/batches")).unwrap();
    let journals =
        batches.map(|batch| batch.unwrap().path().join("journal.jsonl")).filter(|path| path.exists());
    let lines = fs::read_to_string(only(journals.collect())).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The tickets that events of this kind are about.
fn told<'e>(events: &'e [Value], kind: &str) -> Vec<&'e str> {
    let events = events.iter().filter(|event| event["event"] == kind);
    let mut tickets: Vec<&str> = events.map(|event| text(&event["lane"])).collect();
    tickets.sort_unstable();
    tickets
}

/// Where the event of this kind about this ticket stands.
#[track_caller]
fn position(events: &[Value], kind: &str, ticket: &str) -> usize {
    let found = events.iter().position(|event| event["event"] == kind && event["lane"] == ticket);
    found.unwrap_or_else(|| panic!("{ticket} was never {kind}: {events:#?}"))
}

#[test]
fn a_backlog_goes_in_and_what_can_be_done_of_it_is_merged() {
    let Some(pi) = RealPi::find_or_skip() else { return };
    let sandbox = Sandbox::new();
    let repo = repository(&sandbox);
    let before = files_of(&repo, "main");
    let server = ModelServer::start();
    pi.install(&sandbox, &server);
    server.plays("T-1", works("T-1", "echo pears >> stock.txt"));
    server.plays("T-2", works("T-2", "sed -i 's/^pears/ripe pears/' stock.txt"));
    server.plays("T-3", works("T-3", "echo plums >> stock.txt"));
    // Both start from the same line, and T-4 lands first.
    let both = until("git rev-parse -q --verify refs/heads/ralph/T-5");
    server.plays("T-4", works("T-4", &format!("{both} && echo good morning > greeting.txt")));
    let landed = until("git show main:greeting.txt | grep -q morning");
    server.plays("T-5", works("T-5", &format!("{landed} && echo good evening > greeting.txt")));
    server.plays("T-6", [Turn::error(500)]);
    let page = "grep pears stock.txt && (cat greeting.txt && grep apples stock.txt) > page.txt";
    server.plays("T-8", works("T-8", page));

    let running = repo.ralph(&["run", "-j", "3", "--stagger", "0s"]).spawn();
    // Seven times pi takes its while to start: the patience with the whole is that with each of its stages.
    ["T-1 merged", "T-4 merged", "T-8 merged"].iter().for_each(|stage| running.wait_for(stage));
    let ended = running.wait().expect_code(1);

    sandbox.wait_until_quiet();
    assert_eq!(files_of(&repo, "main"), expected(before), "{ended}");
    let merges = repo.git(&["rev-list", "--count", "--first-parent", "--merges", "main"]);
    assert_eq!(merges, all(Fate::Merged).len().to_string());
    assert_eq!(repo.status_porcelain(), Vec::<String>::new(), "the checkout has followed");
    assert_eq!(repo.log("main..ralph/T-5"), ["Work on T-5"]);
    assert_eq!(repo.tree_of(&sandbox, "T-5").read("greeting.txt"), "good evening\n", "it keeps its work");
    repo.fsck();

    let events = journal(&repo);
    assert_eq!(told(&events, "launched"), ["T-1", "T-2", "T-3", "T-4", "T-5", "T-6", "T-8"], "each once");
    assert_eq!(told(&events, "merged"), all(Fate::Merged));
    assert_eq!(told(&events, "not_merged"), all(Fate::NotMerged));
    assert_eq!(told(&events, "skipped"), all(Fate::Skipped));
    assert_eq!(events.last().unwrap()["event"], "finished");
    let event = |kind: &str, ticket: &str| &events[position(&events, kind, ticket)];
    let conflict = event("not_merged", "T-5");
    assert_eq!(conflict["files"], json!(["greeting.txt"]));
    assert!(text(&conflict["reason"]).contains("T-4"), "it names the other side: {conflict}");
    assert_eq!(event("ended", "T-6")["outcome"], "failed");
    let why = &event("skipped", "T-7")["why"];
    assert_eq!(*why, json!({ "kind": "dep_failed", "ticket_id": "T-6" }));
    // Who needs a ticket, or shares a component with it, starts behind its merge.
    for (first, then) in [("T-1", "T-2"), ("T-1", "T-3"), ("T-1", "T-8"), ("T-4", "T-8")] {
        let order = (position(&events, "merged", first), position(&events, "starting", then));
        assert!(order.0 < order.1, "{first}, then {then}: {events:#?}");
    }

    for (ticket, _, fate) in BACKLOG {
        let row = ended.stdout.lines().rfind(|line| line.starts_with(ticket)).unwrap_or_default();
        let (result, note) = match fate {
            Fate::Merged => ("merged", "1130 tokens, $0.01"),
            Fate::NotMerged => ("not merged", "conflicts with main in greeting.txt (changed there by T-4)"),
            Fate::Failed => ("failed", "500 stub failure"),
            Fate::Skipped => ("skipped", "needs T-6"),
        };
        let said = row.strip_prefix(ticket).unwrap_or_default().trim_start();
        assert!(said.starts_with(result) && said.contains(note), "{ticket}: {ended}");
    }
    assert!(ended.stdout.contains("5 of 8 tickets came to a good end"), "{ended}");
}
