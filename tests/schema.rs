//! The published format of manifests: its schema, its fields, and that every version's manifests can be read for ever.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::helpers::agents::NEVER_ENDS;
use crate::helpers::lanes::{keys, text};
use crate::helpers::process::Process;
use crate::helpers::schema::{assert_manifest, problems, published};
use crate::helpers::{Repo, Sandbox, ScriptedPi, wait};

/// A manifest of version 1, with fields that no version has.
const V1: &str = include_str!("../fixtures/manifests/v1.json");

/// The fields of a manifest of version 1, in their order, as the plan of the house lists them.
const FIELDS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "schema_version",
            "session_id",
            "ticket_id",
            "lane",
            "attempt",
            "state",
            "outcome",
            "reason",
            "worktree",
            "agent",
            "launcher",
            "process",
            "output",
            "limits",
            "exit",
            "work",
            "usage",
            "created_at",
            "launched_at",
            "started_at",
            "ended_at",
        ],
    ),
    ("/worktree", &["path", "branch", "base_ref", "base_commit", "start_commit", "head_commit"]),
    ("/agent", &["program", "argv", "version", "session_file"]),
    ("/launcher", &["kind", "job"]),
    ("/process", &["host", "boot_id", "pid_ns", "supervisor", "agent"]),
    ("/process/supervisor", &["pid", "start_ticks"]),
    ("/process/agent", &["pid", "pgid", "start_ticks"]),
    ("/output", &["stdout", "stderr", "truncated_bytes"]),
    ("/limits", &["timeout_s", "idle_timeout_s", "grace_s"]),
    ("/exit", &["code", "signal", "stop_reason", "ended_by", "forced"]),
    (
        "/work",
        &["commits", "files_changed", "insertions", "deletions", "uncommitted", "untracked", "operation"],
    ),
    ("/usage", &["input_tokens", "output_tokens", "cost_usd", "model"]),
];

fn v1() -> Value {
    serde_json::from_str(V1).unwrap()
}

/// The places of the objects in a document.
fn objects(document: &Value, place: &str, found: &mut Vec<String>) {
    let Some(fields) = document.as_object() else { return };
    found.push(place.to_owned());
    for (name, value) in fields {
        objects(value, &format!("{place}/{name}"), found);
    }
}

/// Writes the schemas down instead of comparing them: `just schema`.
const WRITE: &str = "RALPH_TEST_WRITE_SCHEMAS";

/// The types write what is published in docs/, and that is what ralph prints.
fn assert_published(file: &str, made: &Value, words: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    let made = serde_json::to_string_pretty(made).unwrap() + "\n";
    if std::env::var_os(WRITE).is_some() {
        fs::write(path, made).unwrap();
        return;
    }
    let published = fs::read_to_string(path).unwrap();
    assert!(made == published, "the types and docs/{file} differ; if that is meant: just schema");
    assert_eq!(Sandbox::new().ralph(words).run().ok().stdout, published);
}

#[test]
fn the_schema_of_a_manifest_is_the_one_that_is_published_and_printed() {
    let made = ralph::session::manifest::schema();
    assert_eq!(made["title"], "ralph session manifest, version 1");
    assert_published("manifest.schema.json", &made, &["schema"]);
}

#[test]
fn the_schema_of_a_batchs_events_is_the_one_that_is_published_and_printed() {
    assert_published("batch-events.schema.json", &ralph::batch::event::schema(), &["schema", "events"]);
}

#[test]
fn a_manifest_has_exactly_the_fields_of_the_plan_and_so_has_the_schema() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("commit; answer stop");
    let manifest = repo.finished(&["T-1"]);
    let mut found = Vec::new();
    objects(&manifest, "", &mut found);
    let mut expected: Vec<&str> = FIELDS.iter().map(|(place, _)| *place).collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    for (place, fields) in FIELDS {
        assert_eq!(keys(manifest.pointer(place).unwrap()), *fields, "{place}");
    }
    let schema = published();
    let mut described: Vec<String> = Vec::new();
    let properties =
        |schema: &Value| schema["properties"].as_object().map(|p| p.keys().cloned().collect::<Vec<_>>());
    described.extend(properties(&schema).unwrap());
    described.extend(schema["$defs"].as_object().unwrap().values().filter_map(properties).flatten());
    let mut fields: Vec<&str> = FIELDS.iter().flat_map(|(_, fields)| *fields).copied().collect();
    // Only there where something was noticed.
    fields.extend(["leaks", "kind", "what"]);
    described.sort_unstable();
    fields.sort_unstable();
    assert_eq!(described, fields);
}

#[test]
fn sessions_that_end_in_every_way_leave_valid_manifests() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    for (play, flags, outcome) in [
        ("commit; answer stop", &[][..], "succeeded"),
        ("answer stop", &[], "no_changes"),
        ("leave_merge_open; answer stop", &[], "uncommitted"),
        ("kill -SEGV $$", &[], "failed"),
        ("forever", &["--timeout", "20ms", "--idle-timeout", "1h"], "timed_out"),
        ("commit; answer stop", &["--output", "discard"], "succeeded"),
        ("", &["--agent", "nowhere"], "launch_failed"),
        ("", &["--agent", "true"], "no_changes"),
    ] {
        pi.plays(play);
        // A lane of its own for each.
        let ticket = format!("T-{}", repo.lanes().len() + 10);
        let manifest = repo.finished(&[&[&*ticket, "--no-ticket"], flags].concat());
        assert_eq!(manifest["outcome"], outcome, "{play}: {manifest:#}");
        let shown = repo.tree_of(&sandbox, &ticket).read(".ralph/manifest.json");
        assert_manifest(&serde_json::from_str(&shown).unwrap());
    }
    pi.plays(NEVER_ENDS);
    repo.dispatch(&["T-1"]);
    pi.wait_here("T-1");
    assert_manifest(&repo.inspect(&["T-1"]));
    drop(repo.worktree(&["stop", "T-1"]).run().ok());
    assert_eq!(repo.inspect(&["--all"]).as_array().unwrap().len(), 9);
}

#[test]
fn the_check_of_manifests_finds_what_is_wrong() {
    let schema = published();
    assert_eq!(problems(&schema, &v1()), Vec::<String>::new());
    for (place, value) in [
        ("/schema_version", json!("1")),
        ("/attempt", json!(-1)),
        ("/session_id", json!("")),
        ("/outcome", json!(7)),
        ("/worktree", json!(null)),
        ("/agent/argv", json!([1])),
        ("/process/agent/pid", json!(1)),
        ("/limits/grace_s", json!(-0.5)),
        ("/exit/forced", json!(null)),
        ("/created_at", json!("yesterday")),
        ("/ended_at", json!(5)),
    ] {
        let mut wrong = v1();
        *wrong.pointer_mut(place).unwrap() = value;
        let found = problems(&schema, &wrong);
        assert_eq!(found.len(), 1, "{place}: {found:?}");
        let at = found[0].split(':').next().unwrap();
        assert!(at.starts_with(place) || place.starts_with(at), "{place}: {found:?}");
    }
    let mut lacking = v1();
    lacking["worktree"].as_object_mut().unwrap().remove("branch");
    assert_eq!(problems(&schema, &lacking), ["/worktree: has no branch"]);
}

/// Puts a manifest into a repository's store, as if the session had been run there.
fn put(repo: &Repo<'_>, manifest: &Value) {
    let id = text(&manifest["session_id"]);
    let path = repo.common_dir().join(format!("ralph/sessions/{id}/manifest.json"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, manifest.to_string()).unwrap();
}

#[test]
fn a_manifest_of_version_1_is_shown_with_all_that_it_says() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let mut manifest = v1();
    let id = text(&manifest["session_id"]).to_owned();
    put(&repo, &manifest);
    assert_eq!(repo.inspect(&[&id]), manifest);
    assert_eq!(repo.inspect(&["--all"]), json!([manifest]));
    let words = repo.worktree(&["inspect", &id]).run().ok().stdout;
    assert!(words.contains("1 commit, 1 file, +1 -0") && words.contains("status 0"), "{words}");
    // Words that only a newer version knows are read as unknown and kept.
    for (place, word) in [
        ("/state", "dreaming"),
        ("/outcome", "blessed"),
        ("/exit/ended_by", "magic"),
        ("/launcher/kind", "slurm"),
    ] {
        *manifest.pointer_mut(place).unwrap() = json!(word);
    }
    put(&repo, &manifest);
    assert_eq!(repo.inspect(&[&id]), manifest);
    let words = repo.worktree(&["inspect", &id]).run().ok().stdout;
    assert!(
        words.contains("dreaming") && words.contains("blessed") && words.contains("ended by magic"),
        "{words}"
    );
}

#[test]
fn what_a_newer_version_added_is_kept_when_a_manifest_is_rewritten() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(NEVER_ENDS);
    repo.dispatch(&["T-1"]);
    let supervisor = Process::find(pi.wait_here("T-1").ppid).unwrap();
    supervisor.signal(Signal::KILL);
    wait::until("the supervisor's end", || (!supervisor.is_alive()).then_some(()));
    let mut manifest = repo.inspect(&["T-1"]);
    let mut places = Vec::new();
    objects(&manifest, "", &mut places);
    for place in &places {
        let fields = manifest.pointer_mut(place).unwrap().as_object_mut().unwrap();
        fields.insert("added_later".to_owned(), json!({ "at": place }));
    }
    put(&repo, &manifest);
    drop(repo.worktree(&["recover"]).run().ok());
    let settled = repo.inspect(&["T-1"]);
    assert_eq!((&settled["state"], &settled["outcome"]), (&json!("ended"), &json!("lost")));
    assert_eq!(places.len(), 9, "{places:?}");
    for place in places {
        assert_eq!(settled.pointer(&format!("{place}/added_later/at")), Some(&json!(place)));
    }
}

#[test]
fn a_manifest_of_a_newer_format_is_shown_as_it_is_and_never_rewritten() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let newer = json!({ "schema_version": 2, "session_id": "01a204c1-253b-746a-b8ba-84d118239191", "new": [1, { "x": null }] });
    put(&repo, &newer);
    let said = repo.worktree(&["inspect", text(&newer["session_id"])]).run().ok();
    assert!(said.stderr.contains("this manifest is of version 2: shown as it is"), "{said}");
    assert_eq!(repo.worktree(&["inspect", "--all", "--json"]).run().ok().json(), json!([newer]));
    drop(repo.worktree(&["recover"]).run().ok());
    assert_eq!(repo.worktree(&["inspect", "--all", "--json"]).run().ok().json(), json!([newer]));
}
