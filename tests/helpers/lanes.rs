//! Short ways to say what most tests say: create this lane, dispatch that one, this is refused.

use std::fs;

use serde_json::Value;

use super::command::Invocation;
use super::repo::Repo;
use super::sandbox::Sandbox;
use super::schema::assert_manifest;
use super::session::{names_in, wait_until_left};
use super::tree::Tree;

/// The keys of the dispatch result, in their order.
pub const RESULT: [&str; 12] = [
    "schema_version",
    "status",
    "ticket_id",
    "lane",
    "session_id",
    "pid",
    "worktree",
    "branch",
    "base_commit",
    "manifest",
    "output",
    "error",
];

/// The keys of a JSON object, in their order.
pub fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

impl<'s> Repo<'s> {
    /// `ralph worktree <args>`, run in this folder.
    pub fn worktree(&self, args: &[&str]) -> Invocation<'s> {
        let call = self.ralph(&["worktree"]);
        args.iter().fold(call, |call, arg| call.arg(arg))
    }

    /// The result of `create --json`, which must succeed.
    #[track_caller]
    pub fn create(&self, args: &[&str]) -> Value {
        self.worktree(&[&["create", "--json"], args].concat()).run().ok().json()
    }

    /// The result of `dispatch --json`, which must succeed.
    #[track_caller]
    pub fn dispatch(&self, args: &[&str]) -> Value {
        self.worktree(&[&["dispatch", "--json"], args].concat()).run().ok().json()
    }

    /// The final manifest of a session that is dispatched and waited for, whatever its outcome.
    #[track_caller]
    pub fn finished(&self, args: &[&str]) -> Value {
        let manifest = self.worktree(&[&["dispatch", "--wait", "--json"], args].concat()).run().json();
        assert_manifest(&manifest);
        assert_eq!(manifest["state"], "ended", "{manifest:#}");
        wait_until_left(&manifest);
        manifest
    }

    /// What `inspect --json` says, which must succeed.
    #[track_caller]
    pub fn inspect(&self, what: &[&str]) -> Value {
        let manifest = self.worktree(&[&["inspect", "--json"], what].concat()).run().ok().json();
        manifest.as_array().unwrap_or(&vec![manifest.clone()]).iter().for_each(assert_manifest);
        manifest
    }

    /// What `list --json` says.
    #[track_caller]
    pub fn lanes(&self) -> Vec<Value> {
        let lanes = self.worktree(&["list", "--json"]).run().ok().json();
        lanes.as_array().expect("an array of lanes").clone()
    }

    /// Dates what is on record of merges as if the clock had been set back since.
    pub fn set_the_clock_back(&self) {
        for lane in names_in(&self.store().join("lanes")) {
            let file = self.store().join("lanes").join(lane).join("lane.json");
            let mut record: Value =
                serde_json::from_slice(&fs::read(&file).expect("a record")).expect("JSON");
            assert!(record["merged"]["at"].is_string(), "{record:#}");
            record["merged"]["at"] = "2100-01-01T00:00:00Z".into();
            fs::write(&file, record.to_string()).expect("the record");
        }
    }

    /// The worktree that `ralph worktree path` names.
    #[track_caller]
    pub fn tree_of(&self, sandbox: &'s Sandbox, lane: &str) -> Self {
        let path = self.worktree(&["path", lane]).run().ok().stdout;
        Self::at(sandbox, path.strip_suffix('\n').expect("a line"))
    }
}

/// Runs `call`, which must be refused with exit status `code` and must have changed nothing in the whole sandbox;
/// returns its error: `{"kind", "message", "hint"}`. Nothing that a terminal would act on is in it.
#[track_caller]
pub fn refused(sandbox: &Sandbox, call: Invocation<'_>, code: i32) -> Value {
    // What an agent that runs meanwhile does on its stage is its own affair.
    let look = || Tree::of(sandbox.path(".")).without(&["stages"]);
    let before = look();
    let ended = call.json().run().expect_code(code);
    assert_eq!(ended.stdout, "", "{ended}");
    let changes = before.changes_to(&look());
    assert!(changes.is_empty(), "it was refused, but changed:\n{}", changes.join("\n"));
    let error = ended.error();
    let message = error["message"].as_str().expect("a message");
    assert!(!message.chars().any(char::is_control), "{message:?}");
    error
}

/// The text of a JSON string.
#[track_caller]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

/// The last of the items, and how many there are: for what must be exactly one.
#[track_caller]
pub fn only<T>(mut items: Vec<T>) -> T {
    assert_eq!(items.len(), 1, "not exactly one");
    items.remove(0)
}

/// Fails unless `value` is the number `expected`, but for what adding up fractions leaves.
#[track_caller]
pub fn assert_close(value: &Value, expected: f64) {
    let found = value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"));
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}
