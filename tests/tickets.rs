//! Tickets as `tk` keeps them: found by a part of their id, suggested where there is none, copied where they are not
//! tracked; and no tickets at all.

use std::fs;

use serde_json::json;

use crate::helpers::agents::COMMITS;
use crate::helpers::lanes::{only, refused, text};
use crate::helpers::{Repo, Sandbox, ScriptedPi};

/// A repository with tickets as `tk` names them.
fn with_tickets<'s>(sandbox: &'s Sandbox, ids: &[&str]) -> Repo<'s> {
    let repo = Repo::new(sandbox);
    fs::remove_dir_all(repo.path().join(".tickets")).unwrap();
    for id in ids {
        repo.ticket(id, &format!("About {id}"));
    }
    repo.commit_all("Tickets");
    repo
}

#[test]
fn a_part_of_an_id_that_no_other_has_will_do_for_every_command() {
    let sandbox = Sandbox::new();
    let repo = with_tickets(&sandbox, &["ap-9yjn", "ap-4t1m", "ap-4t"]);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    assert_eq!(repo.create(&["9y", "--dry-run"])["ticket_id"], "ap-9yjn");
    let manifest = repo.finished(&["yjn"]);
    assert_eq!((&manifest["ticket_id"], &manifest["lane"]), (&json!("ap-9yjn"), &json!("ap-9yjn")));
    assert_eq!(pi.call("ap-9yjn", 1).prompt(), Some("/tf ap-9yjn --auto"));
    assert_eq!(repo.finished(&["9yjn@main"])["lane"], "ap-9yjn");
    for command in ["path", "inspect", "logs", "wait", "stop"] {
        drop(repo.worktree(&[command, "9y"]).run().ok());
    }
    // An id that is there is meant, whatever else it is a part of.
    assert_eq!(repo.create(&["ap-4t"])["ticket_id"], "ap-4t");
    let error = refused(&sandbox, repo.worktree(&["create", "ap"]), 2);
    assert_eq!(error["message"], "\"ap\" is a part of several tickets' ids: ap-4t, ap-4t1m, ap-9yjn");
    repo.create(&["4t1"]);
    let error = refused(&sandbox, repo.worktree(&["path", "p-"]), 2);
    assert_eq!(error["message"], "\"p-\" is a part of several tickets' ids: ap-4t, ap-4t1m, ap-9yjn");
}

#[test]
fn an_id_without_a_lane_never_means_another_tickets_lane() {
    let sandbox = Sandbox::new();
    let repo = with_tickets(&sandbox, &["T-1", "T-10", "ap-9yjn", "ap-4t1m"]);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    repo.finished(&["T-10"]);
    let commands =
        ["path", "inspect", "logs", "wait", "stop", "attach", "merge", "remove"].map(|name| vec![name]);
    let more = [vec!["remove", "--dry-run"], vec!["merge", "--dry-run"]];
    for command in commands.iter().chain(&more) {
        let told = |typed: &str, code| {
            let error = refused(&sandbox, repo.worktree(&[&command[..], &[typed]].concat()), code);
            text(&error["message"]).to_owned()
        };
        // It is a ticket, and so itself alone.
        let none = "T-1 has no worktree of ralph's in this repository; near: T-10";
        assert_eq!(told("T-1", 3), none, "{command:?}");
        // Neither a ticket nor a part of one's id.
        let none = "T-1x has no worktree of ralph's in this repository";
        assert_eq!(told("T-1x", 3), none, "{command:?}");
        // A part of another ticket's id, of one that has no lane, whatever lanes there are.
        let none = "ap-9yjn has no worktree of ralph's in this repository";
        assert_eq!(told("9y", 3), none, "{command:?}");
        let several = "\"T-\" is a part of several tickets' ids: T-1, T-10";
        assert_eq!(told("T-", 2), several, "{command:?}");
    }
    assert_eq!(repo.inspect(&["10"])["lane"], "T-10");
    drop(repo.worktree(&["remove", "10"]).run().ok());
    assert_eq!(repo.lanes(), [] as [serde_json::Value; 0]);
}

#[test]
fn without_a_folder_of_tickets_a_part_of_a_lanes_id_means_nothing() {
    let sandbox = Sandbox::new();
    let repo = Repo::with_files(&sandbox, "plain", &[("README.md", "x\n")]);
    for id in ["task-10", "task-11", "task-12", "task-13", "other"] {
        repo.create(&[id]);
    }
    for command in ["path", "remove"] {
        let error = refused(&sandbox, repo.worktree(&[command, "task-1"]), 3);
        let none = "task-1 has no worktree of ralph's in this repository; near: task-10, task-11, task-12";
        assert_eq!(error["message"], none, "{command}");
    }
    drop(repo.worktree(&["remove", "task-10"]).run().ok());
    assert_eq!(repo.lanes().len(), 4);
}

#[test]
fn an_id_that_is_not_there_is_refused_with_the_nearest_unless_no_ticket_is_wanted() {
    let sandbox = Sandbox::new();
    let repo = with_tickets(&sandbox, &["ap-9yjn", "ap-4t1m"]);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    for command in
        [&["create", "ap-9ynj"][..], &["dispatch", "ap-9ynj"], &["dispatch", "ap-9ynj", "--dry-run"]]
    {
        let error = refused(&sandbox, repo.worktree(command), 3);
        let message = text(&error["message"]);
        assert!(
            message.starts_with("there is no ticket ap-9ynj in ") && message.contains("; near: ap-9yjn"),
            "{error}"
        );
        assert!(text(&error["hint"]).contains("--no-ticket"), "{error}");
    }
    // Case counts, as in tk.
    refused(&sandbox, repo.worktree(&["create", "AP-9YJN"]), 3);
    let manifest = repo.finished(&["ap-9ynj", "--no-ticket"]);
    assert_eq!((&manifest["outcome"], &manifest["ticket_id"]), (&json!("succeeded"), &json!("ap-9ynj")));
    // A lane outlives its ticket: no flag is needed any more.
    assert_eq!(repo.finished(&["ap-9ynj"])["attempt"], 2);
    // With the flag, a part of an id is no part.
    assert_eq!(repo.create(&["9yjn", "--no-ticket"])["ticket_id"], "9yjn");
}

#[test]
fn without_a_folder_of_tickets_any_id_will_do() {
    let sandbox = Sandbox::new();
    let repo = Repo::with_files(&sandbox, "plain", &[("README.md", "x\n")]);
    assert_eq!(repo.create(&["anything-1"])["branch"], "ralph/anything-1");
    assert_eq!(only(repo.lanes())["title"], json!(null));
}

#[test]
fn a_ticket_that_is_not_tracked_is_copied_in_and_is_no_work_of_the_agents() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let file = repo.ticket("T-9", "Not tracked");
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("grep -q '# Not tracked' .tickets/T-9.md; commit; answer stop");
    let manifest = repo.finished(&["T-9"]);
    assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
    let counted = ["commits", "files_changed", "uncommitted", "untracked"]
        .map(|what| manifest["work"][what].as_u64().unwrap());
    assert_eq!(counted, [1, 1, 0, 0]);
    let tree = repo.tree_of(&sandbox, "T-9");
    assert_eq!(tree.read(".tickets/T-9.md"), fs::read_to_string(&file).unwrap());
    // Whatever the agent does to its copy is nothing to show; the user's file is never touched.
    pi.plays("echo changed >>.tickets/T-9.md; answer stop");
    assert_eq!(repo.finished(&["T-9"])["outcome"], "no_changes");
    pi.plays("rm .tickets/T-9.md; answer stop");
    assert_eq!(repo.finished(&["T-9"])["outcome"], "no_changes");
    pi.plays("git add .tickets; git commit -q -m 'Closed'; answer stop");
    fs::write(&file, "changed by the user meanwhile").unwrap();
    let manifest = repo.finished(&["T-9"]);
    assert_eq!((&manifest["work"]["commits"], &manifest["work"]["files_changed"]), (&json!(1), &json!(0)));
    assert_eq!(fs::read_to_string(&file).unwrap(), "changed by the user meanwhile");
    // One that is tracked is the branch's own.
    pi.plays("echo note >>.tickets/T-1.md; answer stop");
    let manifest = repo.finished(&["T-1"]);
    assert_eq!((&manifest["outcome"], &manifest["work"]["uncommitted"]), (&json!("uncommitted"), &json!(1)));
}

#[test]
fn in_a_linked_worktree_and_in_a_lanes_the_main_checkouts_tickets_count() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.ticket("T-9", "Only in the main checkout");
    let linked = repo.linked_worktree("linked", "topic");
    linked.ticket("T-8", "Only in a linked worktree");
    assert_eq!(linked.create(&["T-9"])["ticket_id"], "T-9");
    let lane = repo.tree_of(&sandbox, "T-9");
    refused(&sandbox, lane.worktree(&["create", "T-8"]), 3);
    refused(&sandbox, linked.worktree(&["create", "T-8"]), 3);
    repo.commit_all("Track it");
    assert_eq!(only(repo.lanes())["title"], "Only in the main checkout");
}

#[test]
fn tickets_that_are_not_whole_are_in_no_ones_way() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    repo.write(".tickets/T-5.md", "no front matter at all");
    repo.write(".tickets/T-6.md", b"\xff\xfe not text");
    repo.write(".tickets/not an id.md", "x");
    fs::create_dir(repo.path().join(".tickets/T-7.md")).unwrap();
    std::os::unix::fs::symlink("T-1.md", repo.path().join(".tickets/T-8.md")).unwrap();
    for ticket in ["T-5", "T-6", "T-1"] {
        assert_eq!(repo.finished(&[ticket])["outcome"], "succeeded", "{ticket}");
    }
    assert_eq!(repo.lanes().len(), 3);
}
