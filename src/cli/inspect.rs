//! `ralph worktree inspect`: the manifest of one session, of all of them, or of every worktree below a folder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use walkdir::WalkDir;

use super::args::{Global, InspectArgs};
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::naming::current_session;
use super::render::{Cell, Form, Out, Tone, one_line, quoted, table};
use super::surroundings::{Surroundings, directory, open};
use crate::git::{Repo, TRASH_FOLDER, tree_now};
use crate::id::{Lane, SessionId};
use crate::report::{sessions, sessions_text};
use crate::session::lane::LaneRecord;
use crate::session::leak::Leak;
use crate::session::manifest::{ExitRecord, Limits, Seconds, Usage, Work};
use crate::session::store::{Loaded, Store, load_manifest};
use crate::session::view;
use crate::words::count;

/// Runs the command.
pub fn run(global: &Global, args: &InspectArgs, out: &Out) -> CliResult {
    if let Some(dir) = &args.under {
        return under(dir, out);
    }
    if let Some(text) = args.what.as_deref().filter(|text| is_path(text)) {
        // A path says itself which repository is meant.
        let path = directory(global)?.join(text);
        if path.symlink_metadata().is_err() {
            return Err(CliError::new(Exit::NotFound, format!("there is nothing at {}", path.display())));
        }
        return show_one(&of_worktree(&open(&path)?, out)?, out);
    }
    let here = Surroundings::read(global)?;
    if args.all && out.form() == Form::Json {
        let (text, problems) = sessions_text(here.store())?;
        problems.iter().for_each(|problem| out.note(problem));
        return out.raw(text.as_bytes());
    }
    if args.all {
        let (documents, problems) = sessions(here.store())?;
        problems.iter().for_each(|problem| out.note(problem));
        return show_many(&documents, out);
    }
    let what = args.what.as_deref();
    let document = match what.map(|text| (text, text.parse::<SessionId>())) {
        Some((_, Ok(session))) => document(here.store(), session, None, out)?,
        Some((text, Err(_))) => {
            let lane: Lane = text.parse().map_err(|e| CliError::new(Exit::Usage, format!("{e}")))?;
            let record = here.lane(&lane)?;
            document(here.store(), current_session(&record)?, Some(&record), out)?
        }
        None => of_worktree(&here.context.repo, out)?,
    };
    show_one(&document, out)
}

fn is_path(text: &str) -> bool {
    text.contains('/') || matches!(text, "." | "..")
}

/// The manifest of the worktree one stands in.
fn of_worktree(repo: &Repo, out: &Out) -> CliResult<Value> {
    let not_ours = || {
        CliError::new(Exit::NotFound, "this is not a worktree of ralph's")
            .hint("name a ticket, or see them all: ralph worktree list")
    };
    let id = repo.current_id().ok_or_else(not_ours)?;
    let store = Store::at(repo.common_dir());
    let record = store.lane_of_worktree(id)?.ok_or_else(not_ours)?;
    document(&store, current_session(&record)?, Some(&record), out)
}

/// A session's manifest: the store's; where that is damaged, the worktree's copy, and that is said. A copy that
/// differs from the store's is said too.
fn document(store: &Store, session: SessionId, record: Option<&LaneRecord>, out: &Out) -> CliResult<Value> {
    let tree = record.and_then(|record| tree_now(store.common_dir(), &record.worktree_id));
    let copy = tree.map(|tree| view::path_in(&tree));
    let to_value = |manifest| {
        serde_json::to_value(manifest).map_err(|e| CliError::new(Exit::Bug, format!("could not encode: {e}")))
    };
    match store.load(session)? {
        Loaded::Manifest(manifest) => {
            if let Some(path) = &copy
                && let Ok(Loaded::Manifest(shown)) = load_manifest(path)
                && shown.session_id == session
                && shown != manifest
                && manifest.is_ended()
            {
                out.note(&format!("the copy in {} differs from the original, which counts", path.display()));
            }
            to_value(&manifest)
        }
        Loaded::Newer { document, schema_version } => {
            out.note(&format!("this manifest is of version {schema_version}: shown as it is"));
            Ok(document)
        }
        Loaded::Missing if record.is_none() => {
            Err(CliError::new(Exit::NotFound, format!("there is no session {session}")))
        }
        damaged @ (Loaded::Damaged { .. } | Loaded::Missing) => {
            let what = match damaged {
                Loaded::Damaged { path, why } => format!("{} is damaged: {why}", path.display()),
                _ => format!("{} is missing", store.session_dir(session).manifest().display()),
            };
            let found = copy.as_ref().map(|path| load_manifest(path)).transpose()?;
            match found {
                Some(Loaded::Manifest(manifest)) if manifest.session_id == session => {
                    out.note(&format!(
                        "{what}; this is the copy in the worktree. `ralph worktree recover` mends it"
                    ));
                    to_value(&manifest)
                }
                _ => Err(CliError::new(Exit::CannotDo, format!("{what}; and there is no copy of it")).hint(
                    "`ralph worktree recover` rebuilds a lane's last one from git and its launch record",
                )),
            }
        }
    }
}

/// The manifests of every worktree of every repository below a folder. The store of its repository is asked first;
/// where there is none, the copy in the worktree is shown.
fn under(dir: &Path, out: &Out) -> CliResult {
    if !dir.is_dir() {
        return Err(CliError::new(Exit::NotFound, format!("{} is not a folder", dir.display())));
    }
    let mut documents = Vec::new();
    let mut lanes: HashMap<PathBuf, Vec<LaneRecord>> = HashMap::new();
    let walk = WalkDir::new(dir).follow_links(false).sort_by_file_name();
    let mut walk = walk.into_iter().filter_entry(|entry| {
        entry.file_type().is_dir()
            && !matches!(entry.file_name().to_str(), Some(".git" | TRASH_FOLDER | "node_modules"))
    });
    while let Some(entry) = walk.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                out.note(&format!("passed over: {error}"));
                continue;
            }
        };
        let tree = entry.path();
        let link = tree.join(".git");
        if !link.is_file() {
            continue;
        }
        if let Some(document) = below(tree, &mut lanes, out)? {
            documents.push(document);
            walk.skip_current_dir();
        }
    }
    show_many(&documents, out)
}

fn below(tree: &Path, lanes: &mut HashMap<PathBuf, Vec<LaneRecord>>, out: &Out) -> CliResult<Option<Value>> {
    let copy = || -> CliResult<Option<Value>> {
        Ok(match load_manifest(&view::path_in(tree)) {
            Ok(Loaded::Manifest(manifest)) => serde_json::to_value(&manifest).ok(),
            Ok(Loaded::Newer { document, .. }) => Some(document),
            Ok(Loaded::Damaged { path, why }) => {
                out.note(&format!("{} is damaged: {why}", path.display()));
                None
            }
            Ok(Loaded::Missing) | Err(_) => None,
        })
    };
    let repo = match open(tree) {
        Ok(repo) => repo,
        Err(error) => {
            out.note(&format!("{}: {error}", tree.display()));
            return copy();
        }
    };
    let store = Store::at(repo.common_dir());
    let known = match lanes.entry(repo.common_dir().to_owned()) {
        std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
        std::collections::hash_map::Entry::Vacant(new) => {
            let (records, damaged) = store.lanes()?;
            damaged.iter().for_each(|problem| out.note(&problem.with_hint()));
            new.insert(records)
        }
    };
    let record = repo.current_id().and_then(|id| known.iter().find(|record| record.worktree_id == id));
    match record.and_then(|record| record.current_session.map(|session| (record, session))) {
        Some((record, session)) => match document(&store, session, Some(record), out) {
            Ok(document) => Ok(Some(document)),
            Err(error) => {
                out.note(&format!("{}: {error}", tree.display()));
                Ok(None)
            }
        },
        None => copy(),
    }
}

fn show_many(documents: &[Value], out: &Out) -> CliResult {
    if out.form() == Form::Json {
        return out.json(&documents);
    }
    let rows: Vec<Vec<Cell>> = documents
        .iter()
        .map(|document| {
            let text = |pointer: &str| at(document, pointer);
            let outcome = text("/outcome");
            let state = if outcome.is_empty() { text("/state") } else { outcome };
            vec![
                Cell::toned(text("/lane"), Tone::Strong),
                Cell::plain(text("/attempt")),
                Cell::plain(state),
                Cell::plain(text("/created_at")),
                Cell::plain(text("/session_id")),
                Cell::plain(text("/worktree/path")),
            ]
        })
        .collect();
    if rows.is_empty() {
        out.note("no sessions");
        return Ok(Exit::Done);
    }
    for line in table(&["LANE", "ATTEMPT", "STATE", "CREATED", "SESSION", "WORKTREE"], &rows) {
        out.line(&line)?;
    }
    Ok(Exit::Done)
}

/// What to show of a manifest, in this order: label and place.
const ROWS: [(&str, &str); 24] = [
    ("lane", "/lane"),
    ("session", "/session_id"),
    ("attempt", "/attempt"),
    ("state", "/state"),
    ("outcome", "/outcome"),
    ("reason", "/reason"),
    ("worktree", "/worktree/path"),
    ("branch", "/worktree/branch"),
    ("base", "/worktree/base_ref"),
    ("base commit", "/worktree/base_commit"),
    ("start commit", "/worktree/start_commit"),
    ("head commit", "/worktree/head_commit"),
    ("program", "/agent/program"),
    ("version", "/agent/version"),
    ("agent pid", "/process/agent/pid"),
    ("supervisor pid", "/process/supervisor/pid"),
    ("stdout", "/output/stdout"),
    ("stderr", "/output/stderr"),
    ("session file", "/agent/session_file"),
    ("cost in USD", "/usage/cost_usd"),
    ("model", "/usage/model"),
    ("created", "/created_at"),
    ("started", "/started_at"),
    ("ended", "/ended_at"),
];

type InWords = fn(&Value) -> Option<String>;

/// What takes more than one value to say: label, place, words.
const WORDED: [(&str, &str, InWords); 6] = [
    ("exit", "/exit", exit_in_words),
    ("work", "/work", work_in_words),
    ("tokens", "/usage", usage_in_words),
    ("limits", "/limits", limits_in_words),
    ("arguments", "/agent/argv", argv_in_words),
    ("elsewhere", "/leaks", leaks_in_words),
];

fn show_one(document: &Value, out: &Out) -> CliResult {
    if out.form() == Form::Json {
        return out.json(document);
    }
    let faint = Tone::Faint.style();
    for (label, pointer) in ROWS {
        let text = at(document, pointer);
        if !text.is_empty() {
            out.line(&format!("{faint}{label:<15}{faint:#} {text}"))?;
        }
    }
    for (label, pointer, in_words) in WORDED {
        if let Some(value) = document.pointer(pointer).filter(|value| !is_nothing(value)) {
            // What a newer version put there is shown as it is.
            let text = in_words(value).unwrap_or_else(|| value.to_string());
            out.line(&format!("{faint}{label:<15}{faint:#} {}", one_line(&text)))?;
        }
    }
    Ok(Exit::Done)
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn exit_in_words(value: &Value) -> Option<String> {
    let exit = ExitRecord::deserialize(value).ok()?;
    let mut words = match (exit.code, exit.signal) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => return None,
    };
    words.extend(exit.stop_reason.map(|reason| format!(", last stop reason {reason:?}")));
    let by = at(value, "/ended_by");
    words.push_str(&format!(", ended by {}{by}", if by == "agent" { "the " } else { "" }));
    words.push_str(if exit.forced { ", by force" } else { "" });
    Some(words)
}

fn work_in_words(value: &Value) -> Option<String> {
    let work = Work::deserialize(value).ok()?;
    let (commits, files) = (count(work.commits, "commit"), count(work.files_changed, "file"));
    let mut words = format!("{commits}, {files}, +{} -{}", work.insertions, work.deletions);
    if work.uncommitted + work.untracked > 0 {
        words.push_str(&format!("; not committed: {} changed, {} new", work.uncommitted, work.untracked));
    }
    words.extend(work.operation.map(|left| format!("; {left}")));
    Some(words)
}

fn usage_in_words(value: &Value) -> Option<String> {
    let usage = Usage::deserialize(value).ok()?;
    Some(format!("{} in, {} out", usage.input_tokens, usage.output_tokens))
}

fn limits_in_words(value: &Value) -> Option<String> {
    let limits = Limits::deserialize(value).ok()?;
    let shown = |limit: Option<Seconds>| {
        limit.map_or_else(|| "none".to_owned(), |limit| format!("{}s", limit.duration().as_secs_f64()))
    };
    let (timeout, idle) = (shown(limits.timeout_s), shown(limits.idle_timeout_s));
    Some(format!("timeout {timeout}, idle timeout {idle}, grace {}", shown(Some(limits.grace_s))))
}

fn argv_in_words(value: &Value) -> Option<String> {
    let argv = Vec::<String>::deserialize(value).ok()?;
    Some(argv.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
}

fn leaks_in_words(value: &Value) -> Option<String> {
    let leaks = Vec::<Leak>::deserialize(value).ok()?;
    Some(leaks.iter().map(Leak::in_words).collect::<Vec<_>>().join("; "))
}

fn at(document: &Value, pointer: &str) -> String {
    match document.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => one_line(text),
        Some(other) => one_line(&other.to_string()),
    }
}
