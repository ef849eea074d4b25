//! Records that were cut off, filled with nonsense, forged, or written by a version to come: they are told apart, kept,
//! made good from what else there is, and never acted upon or taken for "there is nothing".

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ralph::session::manifest;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::helpers::agents::COMMITS;
use crate::helpers::process::Process;
use crate::helpers::session::names_in;
use crate::helpers::{Finished, Repo, Sandbox, ScriptedPi, Session, wait};

/// A session that has ended well.
fn ended<'s>(sandbox: &'s Sandbox) -> (Repo<'s>, Session) {
    let (repo, pi) = (Repo::new(sandbox), ScriptedPi::new(sandbox));
    pi.plays(COMMITS);
    repo.finish("T-1", &[]);
    let session = Session::only(&repo);
    (repo, session)
}

/// A session whose supervisor was killed, with its agent, which lives.
fn abandoned<'s>(sandbox: &'s Sandbox) -> (Repo<'s>, Session, Process) {
    let (repo, pi) = (Repo::new(sandbox), ScriptedPi::new(sandbox));
    pi.plays("commit; here; forever");
    let session = Session::dispatch(&repo, "T-1", &[]);
    let agent = pi.wait_here("T-1");
    session.supervisor().signal(Signal::KILL);
    wait::until("the lock to be free", || (!session.is_held()).then_some(()));
    (repo, session, agent)
}

impl Session {
    /// The damaged manifests that were put aside.
    fn quarantined(&self) -> Vec<PathBuf> {
        let names = names_in(&self.dir).into_iter().filter(|name| name.starts_with("manifest.json.corrupt-"));
        names.map(|name| self.dir.join(name)).collect()
    }
}

mod cut_off {
    use super::*;

    #[test]
    fn row_12_no_beginning_of_a_manifest_is_taken_for_one() {
        let sandbox = Sandbox::new();
        let (_, session) = ended(&sandbox);
        let whole = fs::read(session.manifest_file()).unwrap();
        assert!(manifest::parse(&whole).is_ok());
        let content = whole.trim_ascii_end().len();
        for length in 0..content {
            assert!(manifest::parse(&whole[..length]).is_err(), "the first {length} bytes");
        }
    }

    #[test]
    fn row_12_a_manifest_that_was_cut_off_is_kept_aside_and_made_good_from_its_copy() {
        let sandbox = Sandbox::new();
        let (repo, session) = ended(&sandbox);
        let whole = fs::read(session.manifest_file()).unwrap();
        let last = whole.trim_ascii_end().len() - 1;
        let lengths = (0..last).step_by(last / 12).chain([last]);
        for (round, length) in lengths.enumerate() {
            fs::write(session.manifest_file(), &whole[..length]).unwrap();
            // Looking shows the copy, says so, and changes nothing.
            let inspected = repo.ralph(&["worktree", "inspect", "T-1"]).run().ok();
            assert!(inspected.stdout.contains("succeeded"), "{inspected}");
            assert!(inspected.stderr.contains("this is the copy in the worktree"), "{inspected}");
            assert_eq!(fs::read(session.manifest_file()).unwrap(), &whole[..length]);
            let recovered = repo.recover();
            assert!(
                recovered[0]["reason"].as_str().unwrap().contains("the copy in its worktree"),
                "{recovered:?}"
            );
            assert_eq!(fs::read(session.manifest_file()).unwrap(), whole, "cut off after {length} bytes");
            let aside = session.quarantined();
            assert_eq!(aside.len(), round + 1);
            assert!(aside.iter().any(|file| fs::read(file).unwrap() == whole[..length]));
            assert_eq!(repo.recover(), Vec::<Value>::new());
        }
        assert_eq!(repo.finish("T-1", &[])["attempt"], 2);
    }

    #[test]
    fn row_12_without_a_copy_it_is_made_good_from_the_launch_record_and_git() {
        let sandbox = Sandbox::new();
        let (repo, session, agent) = abandoned(&sandbox);
        let before = session.manifest();
        fs::remove_file(session.view()).unwrap();
        fs::write(session.manifest_file(), "").unwrap();
        let inspected = repo.ralph(&["worktree", "inspect", "T-1", "--json"]).run();
        inspected.refused(6, &["manifest.json is damaged: ", "there is no copy of it"]);
        fs::remove_file(session.manifest_file()).unwrap();
        let inspected = repo.ralph(&["worktree", "inspect", "T-1", "--json"]).run();
        inspected.refused(6, &["manifest.json is missing", "there is no copy of it"]);
        fs::write(session.manifest_file(), "").unwrap();
        repo.recover();
        assert!(!agent.is_alive());
        let manifest = session.manifest();
        assert_eq!((&manifest["state"], &manifest["outcome"]), (&"ended".into(), &"lost".into()));
        assert_eq!(manifest["work"]["commits"], 1, "{manifest:#}");
        assert!(manifest["reason"].as_str().unwrap().contains("damaged"), "{manifest:#}");
        for field in ["session_id", "ticket_id", "lane", "attempt", "output", "limits"] {
            assert_eq!(manifest[field], before[field], "{field}");
        }
        for field in ["path", "branch", "base_ref", "base_commit", "start_commit"] {
            assert_eq!(manifest["worktree"][field], before["worktree"][field], "{field}");
        }
        ScriptedPi::new(&sandbox).plays(COMMITS);
        assert_eq!(repo.finish("T-1", &[])["attempt"], 2);
    }

    #[test]
    fn row_12_a_manifest_that_is_damaged_while_its_session_runs_is_written_anew() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("commit; here; wait_for_go; answer");
        let session = Session::dispatch(&repo, "T-1", &[]);
        pi.wait_here("T-1");
        fs::write(session.manifest_file(), "{\"schema_version\": 1, ").unwrap();
        // A session that lives is left alone.
        assert_eq!(repo.recover()[0]["action"], "alive");
        assert!(session.agent_is_left_alone());
        pi.go("T-1");
        assert_eq!(session.ended()["outcome"], "succeeded");
    }

    impl Session {
        fn agent_is_left_alone(&self) -> bool {
            self.is_held() && self.quarantined().is_empty()
        }
    }

    #[test]
    fn row_12_a_session_whose_manifest_is_damaged_can_be_stopped() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("here; forever");
        let session = Session::dispatch(&repo, "T-1", &[]);
        pi.wait_here("T-1");
        fs::write(session.manifest_file(), "").unwrap();
        drop(repo.ralph(&["worktree", "stop", "T-1"]).run().ok());
        sandbox.assert_nothing_runs();
        assert_eq!(session.ended()["outcome"], "stopped");
    }
}

mod of_a_version_to_come {
    use super::*;

    fn version_999(manifest: &mut Value) {
        manifest["schema_version"] = json!(999);
        manifest["state"] = json!("meditating");
        manifest["mood"] = json!({"calm": true});
    }

    #[test]
    fn row_13_it_is_shown_as_it_is_and_never_rewritten_or_acted_upon() {
        let sandbox = Sandbox::new();
        let (repo, session, agent) = abandoned(&sandbox);
        session.forge(version_999);
        let before = fs::read(session.manifest_file()).unwrap();
        let shown = repo.ralph(&["worktree", "inspect", "T-1", "--json"]).run().ok().json();
        assert_eq!((&shown["schema_version"], &shown["mood"]["calm"]), (&999.into(), &true.into()));
        let all = repo.ralph(&["worktree", "inspect", "--all", "--json"]).run().ok().json();
        assert_eq!(all, json!([shown]));
        drop(repo.ralph(&["worktree", "list"]).run().ok());
        assert_eq!(repo.recover()[0]["action"], "left");
        let refused = repo.ralph(&["worktree", "dispatch", "T-1", "--json"]).run();
        refused.refused(4, &["T-1", &session.id]);
        drop(repo.ralph(&["worktree", "stop", "T-1", "--json"]).run());
        assert_eq!(fs::read(session.manifest_file()).unwrap(), before);
        assert_eq!(session.quarantined(), Vec::<PathBuf>::new());
        assert!(agent.is_alive());
        agent.signal(Signal::KILL);
    }

    #[test]
    fn row_13_a_lane_of_a_version_to_come_is_not_overwritten() {
        let sandbox = Sandbox::new();
        let (repo, session) = ended(&sandbox);
        let lane = repo.store().join("lanes").join(names_in(&repo.store().join("lanes")).pop().unwrap());
        let file = lane.join("lane.json");
        let mut record: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        record["schema_version"] = json!(999);
        fs::write(&file, record.to_string()).unwrap();
        let refused = repo.ralph(&["worktree", "dispatch", "T-1", "--json"]).run();
        refused.refused(6, &["newer ralph"]);
        drop(repo.ralph(&["worktree", "recover"]).run());
        assert_eq!(fs::read(&file).unwrap(), record.to_string().as_bytes());
        assert_eq!(session.manifest()["outcome"], "succeeded");
    }
}

mod nonsense {
    use super::*;

    /// Manifests that must be refused as a whole, made from a good one.
    fn nonsense(good: &Value) -> Vec<(&'static str, Vec<u8>)> {
        let text = good.to_string();
        let with = |pointer: &str, value: Value| {
            let mut changed = good.clone();
            *changed.pointer_mut(pointer).expect("a field") = value;
            changed.to_string().into_bytes()
        };
        let mut invalid_utf8 = text.clone().into_bytes();
        invalid_utf8.splice(1..1, *b"\"x\":\"\xff\xfe\",");
        let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        let deep_field = format!("{{\"deep\":{},{}", String::from_utf8(deep.clone()).unwrap(), &text[1..]);
        vec![
            ("nothing", Vec::new()),
            ("only NULs", vec![0; 4096]),
            ("invalid UTF-8", invalid_utf8),
            ("a key twice", text.replacen('{', "{\"state\":\"ended\",", 1).into_bytes()),
            ("deeply nested", deep),
            ("deeply nested in a field that is not known", deep_field.into_bytes()),
            ("a pid of -1", with("/process/supervisor/pid", json!(-1))),
            ("a pid of 0", with("/process/agent/pid", json!(0))),
            ("a pid of 1", with("/process/agent/pid", json!(1))),
            ("a process group of 1", with("/process/agent/pgid", json!(1))),
            ("a pid of 2^40", with("/process/supervisor/pid", json!(1_u64 << 40))),
            ("another session's id", with("/session_id", json!("01931f5e-7c11-7abc-8def-0123456789ab"))),
            ("a path for an id", with("/session_id", json!("../../../../etc/passwd"))),
            ("a path for a lane", with("/lane", json!("../../x"))),
            ("version 0", with("/schema_version", json!(0))),
            ("a negative version", with("/schema_version", json!(-1))),
            ("a limit that is no number", with("/limits/grace_s", json!("1e999"))),
            ("a list", b"[]".to_vec()),
            ("a number", b"7".to_vec()),
        ]
    }

    #[test]
    fn rows_14_and_15_nonsense_is_refused_nothing_is_signalled_and_the_record_is_made_good() {
        let sandbox = Sandbox::new();
        let (repo, session, agent) = abandoned(&sandbox);
        // As if the copy had never been there: nothing but the store's own records is left.
        fs::remove_file(session.view()).unwrap();
        let good = session.manifest();
        for (what, bytes) in nonsense(&good) {
            fs::write(session.manifest_file(), &bytes).unwrap();
            let listed = repo.ralph(&["worktree", "list", "--json"]).run().ok().json();
            assert_eq!(listed[0]["activity"], "unreadable", "{what}");
            let one = repo.ralph(&["worktree", "inspect", "T-1", "--json"]).run();
            assert_eq!(one.code, Some(6), "{what}: {one}");
            assert_eq!(fs::read(session.manifest_file()).unwrap(), bytes, "{what}");
            assert!(agent.is_alive(), "{what}");
        }
        repo.recover();
        assert_eq!(session.manifest()["outcome"], "lost");
        assert!(!agent.is_alive());
    }

    #[test]
    fn row_14_a_manifest_of_a_gigabyte_is_not_read() {
        let sandbox = Sandbox::new();
        let (repo, session) = ended(&sandbox);
        let whole = fs::read(session.manifest_file()).unwrap();
        File::options().write(true).open(session.manifest_file()).unwrap().set_len(1 << 30).unwrap();
        // With less memory than the file would take.
        let within = |words: &[&str]| {
            let script = "ulimit -v 600000; exec \"$@\"";
            let all = [&["-c", script, "sh", env!("CARGO_BIN_EXE_ralph"), "worktree"], words].concat();
            sandbox.run("sh", &all).in_dir(&repo).run()
        };
        assert_eq!(within(&["list", "--json"]).ok().json()[0]["activity"], "unreadable");
        let inspected = within(&["inspect", "T-1"]).ok();
        assert!(inspected.stderr.contains("this is the copy"), "{inspected}");
        let all = within(&["inspect", "--all"]).ok();
        assert!(all.stderr.contains("is larger than"), "{all}");
        drop(within(&["recover"]).ok());
        assert_eq!(fs::read(session.manifest_file()).unwrap(), whole);
    }

    /// Puts `what` in the place of a record.
    fn put(what: &str, file: &Path, good: &[u8], victim: &Path) {
        fs::remove_file(file).expect("the record was there");
        match what {
            "nothing at all" => {}
            "an empty file" => fs::write(file, "").unwrap(),
            "half of it" => fs::write(file, &good[..good.len() / 2]).unwrap(),
            "noise" => fs::write(file, [0xff, 0, 0x1b, b'[', b'2', b'J'].repeat(50)).unwrap(),
            "a gigabyte" => File::create(file).unwrap().set_len(1 << 30).unwrap(),
            "a FIFO" => {
                let mode = rustix::fs::Mode::from_raw_mode(0o600);
                rustix::fs::mkfifoat(rustix::fs::CWD, file, mode).unwrap();
            }
            "a folder" => fs::create_dir(file).unwrap(),
            "a link" => symlink(victim, file).unwrap(),
            "a link to itself" => symlink(file, file).unwrap(),
            other => unreachable!("{other}"),
        }
    }

    const KINDS: &[&str] = &[
        "nothing at all",
        "an empty file",
        "half of it",
        "noise",
        "a gigabyte",
        "a FIFO",
        "a folder",
        "a link",
        "a link to itself",
    ];

    /// Whatever becomes of one record of a session, every command comes back, says what is wrong in words, and changes
    /// neither the work nor anything outside.
    fn assert_every_command_copes(record: impl Fn(&Repo<'_>, &Session) -> PathBuf) {
        for kind in KINDS {
            let sandbox = Sandbox::new();
            let (repo, session) = ended(&sandbox);
            let victim = sandbox.write("victim", "{}");
            let file = record(&repo, &session);
            let good = fs::read(&file).unwrap();
            put(kind, &file, &good, &victim);
            let refs = repo.refs();
            for words in [
                &["list"][..],
                &["inspect", "T-1"],
                &["inspect", "--all"],
                &["logs", "T-1"],
                &["wait", "T-1"],
                &["stop", "T-1"],
                &["recover"],
                &["dispatch", "T-1", "--wait"],
                &["recover"],
            ] {
                let finished = repo.ralph(&[&["worktree"], words].concat()).run();
                assert_copes(kind, &file, &finished);
            }
            assert_eq!(fs::read_to_string(&victim).unwrap(), "{}", "{kind}");
            let after = repo.refs();
            assert!(
                refs.iter().all(|r| after.contains(r) || r.contains("refs/heads/ralph/T-1")),
                "{kind}: {after:?}"
            );
            assert!(repo.log("main..ralph/T-1").contains(&"T-1: attempt 1".to_owned()), "{kind}");
        }
    }

    #[track_caller]
    fn assert_copes(kind: &str, file: &Path, finished: &Finished) {
        let what = format!("{kind} in the place of {}: {finished}", file.display());
        assert!(matches!(finished.code, Some(0 | 1 | 3 | 4 | 5 | 6)), "{what}");
        assert!(!finished.stderr.contains("panicked"), "{what}");
        assert!(!finished.stderr.contains('\u{1b}') && !finished.stdout.contains('\u{1b}'), "{what}");
        // What is not there at all is no one's but where something leads to it.
        if finished.code != Some(0) && kind != "nothing at all" {
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(finished.stderr.contains(name), "{what}");
        }
    }

    #[test]
    fn every_command_copes_with_whatever_became_of_a_manifest() {
        assert_every_command_copes(|_, session| session.manifest_file());
    }

    #[test]
    fn every_command_copes_with_whatever_became_of_a_launch_record() {
        assert_every_command_copes(|_, session| session.dir.join("launch.json"));
    }

    #[test]
    fn every_command_copes_with_whatever_became_of_a_sessions_lock() {
        assert_every_command_copes(|_, session| session.dir.join("lock"));
    }

    #[test]
    fn a_session_that_lives_and_whose_lock_became_something_else_is_in_no_ones_way_and_can_be_stopped() {
        for kind in ["a FIFO", "a folder", "a link to itself"] {
            let sandbox = Sandbox::new();
            let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
            pi.plays_for("T-1", "commit; here; forever");
            pi.plays_for("T-2", COMMITS);
            let session = Session::dispatch(&repo, "T-1", &[]);
            let agent = pi.wait_here("T-1");
            put(kind, &session.dir.join("lock"), b"", &sandbox.write("victim", "{}"));
            let listed = repo.ralph(&["worktree", "list", "--json"]).run().ok().json();
            assert_eq!(listed[0]["state"], "running", "{kind}: {listed:#}");
            let recovered = repo.recover();
            assert_eq!(recovered[0]["action"], "left", "{kind}: {recovered:#?}");
            let why = recovered[0]["reason"].as_str().unwrap();
            assert!(why.contains("whether it still runs cannot be told"), "{kind}: {why}");
            assert_eq!(repo.finish("T-2", &[])["outcome"], "succeeded", "{kind}");
            assert!(agent.is_alive(), "{kind}");
            repo.ralph(&["worktree", "dispatch", "T-1", "--json"]).run().refused(4, &[&session.id]);
            let stopped = repo.ralph(&["worktree", "stop", "T-1", "--json"]).run().ok().json();
            assert_eq!(stopped["outcome"], "stopped", "{kind}: {stopped:#}");
            assert!(!agent.is_alive(), "{kind}");
        }
    }

    #[test]
    fn a_session_whose_lock_became_something_else_is_settled_once_its_supervisor_is_dead() {
        for kind in ["a FIFO", "a folder", "a link to itself"] {
            let sandbox = Sandbox::new();
            let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
            pi.plays_on("T-1", 1, "commit; here; forever");
            pi.plays_on("T-1", 2, COMMITS);
            let session = Session::dispatch(&repo, "T-1", &[]);
            let agent = pi.wait_here("T-1");
            put(kind, &session.dir.join("lock"), b"", &sandbox.write("victim", "{}"));
            let supervisor = session.supervisor();
            supervisor.signal(Signal::KILL);
            wait::until("the supervisor to be gone", || (!supervisor.is_alive()).then_some(()));
            let recovered = repo.recover();
            assert_eq!(recovered[0]["action"], "settled", "{kind}: {recovered:#?}");
            assert_eq!(session.manifest()["outcome"], "lost", "{kind}");
            assert!(!agent.is_alive(), "{kind}");
            assert_eq!(repo.finish("T-1", &[])["outcome"], "succeeded", "{kind}");
        }
    }

    #[test]
    fn row_12_the_end_of_an_agent_that_put_a_folder_in_the_place_of_its_manifest_is_recorded() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(
            "manifest=$(git rev-parse --git-common-dir)/ralph/sessions/$RALPH_SESSION_ID/manifest.json
            rm \"$manifest\"; mkdir -p \"$manifest/inner\"; exit 3",
        );
        let manifest = repo.finish("T-1", &[]);
        assert_eq!((&manifest["outcome"], &manifest["exit"]["code"]), (&json!("failed"), &json!(3)));
        let aside = Session::only(&repo).quarantined();
        assert!(matches!(&aside[..], [folder] if folder.join("inner").is_dir()), "{aside:?}");
    }

    #[test]
    fn a_session_with_a_folder_in_the_place_of_its_stop_request_is_stopped() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("here; forever");
        let session = Session::dispatch(&repo, "T-1", &[]);
        pi.wait_here("T-1");
        fs::create_dir_all(session.dir.join("stop.json/inner")).unwrap();
        let stopped = repo.ralph(&["worktree", "stop", "T-1", "--json"]).run().ok().json();
        assert_eq!((&stopped["outcome"], &stopped["exit"]["ended_by"]), (&json!("stopped"), &json!("stop")));
        // It was no first request, so this is no second.
        assert_eq!(stopped["exit"]["forced"], false);
    }

    #[test]
    fn a_session_whose_stop_request_cannot_be_written_is_told_all_the_same() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("here; forever");
        let session = Session::dispatch(&repo, "T-1", &[]);
        pi.wait_here("T-1");
        let without_files = "trap '' XFSZ; ulimit -f 0; exec \"$0\" worktree stop T-1 --json";
        let words = ["-c", without_files, env!("CARGO_BIN_EXE_ralph")];
        let told = sandbox.run("sh", &words).in_dir(repo.path()).run();
        let error = told.expect_code(6).error();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("was told to end, but the request could not be put on record"), "{message}");
        let stopped = session.ended();
        assert_eq!(
            (&stopped["outcome"], &stopped["exit"]["ended_by"]),
            (&json!("stopped"), &json!("shutdown"))
        );
    }

    #[test]
    fn every_command_copes_with_whatever_became_of_a_lanes_record() {
        assert_every_command_copes(|repo, _| {
            let lanes = repo.store().join("lanes");
            lanes.join(names_in(&lanes).pop().unwrap()).join("lane.json")
        });
    }

    #[test]
    fn a_lane_whose_record_is_damaged_is_named_and_found_again_by_its_name() {
        let sandbox = Sandbox::new();
        let (repo, session) = ended(&sandbox);
        let lanes = repo.store().join("lanes");
        let record = lanes.join(names_in(&lanes).pop().unwrap()).join("lane.json");
        fs::write(&record, "{").unwrap();
        let inside = sandbox.ralph(&["worktree", "inspect", "--json"]).in_dir(&session.worktree).run();
        for refused in [
            inside,
            repo.ralph(&["worktree", "logs", "T-1", "--json"]).run(),
            repo.ralph(&["worktree", "remove", "T-1", "--json"]).run(),
            repo.ralph(&["worktree", "dispatch", "T-1", "--dry-run", "--json"]).run(),
        ] {
            refused.refused(6, &["lane.json is damaged"]);
            assert!(refused.error()["hint"].as_str().unwrap().starts_with("move it away"), "{refused}");
        }
        // What no lane of T-1's can be is not in its way.
        repo.ralph(&["worktree", "logs", "T-12", "--json"]).run().refused(3, &["no worktree"]);
        fs::rename(&record, sandbox.path("aside.json")).unwrap();
        ScriptedPi::new(&sandbox).plays(COMMITS);
        assert_eq!(repo.finish("T-1", &[])["worktree"]["path"], *session.worktree.to_str().unwrap());
        assert_eq!(repo.log("main..ralph/T-1").len(), 2);
    }

    #[test]
    fn every_command_copes_with_whatever_became_of_the_agents_own_record() {
        assert_every_command_copes(|_, session| session.dir.join("pi-session.jsonl"));
    }

    #[test]
    fn a_session_is_settled_whatever_became_of_its_entry_among_the_living() {
        for kind in KINDS.iter().filter(|kind| **kind != "nothing at all") {
            let sandbox = Sandbox::new();
            let (repo, session, agent) = abandoned(&sandbox);
            let entry = repo.store().join("running").join(&session.id);
            let good = fs::read(&entry).unwrap();
            put(kind, &entry, &good, &sandbox.write("victim", "{}"));
            let recovered = repo.ralph(&["worktree", "recover"]).run();
            assert_copes(kind, &entry, &recovered);
            assert_eq!(session.manifest()["outcome"], "lost", "{kind}");
            assert!(!agent.is_alive(), "{kind}");
        }
    }
}

mod copies {
    use super::*;

    #[test]
    fn row_16_where_copy_and_original_differ_the_original_counts_and_that_is_said() {
        let sandbox = Sandbox::new();
        let (repo, session) = ended(&sandbox);
        let original = session.manifest();
        let mut forged = original.clone();
        forged["outcome"] = json!("failed");
        forged["worktree"]["path"] = json!("/");
        fs::write(session.view(), forged.to_string()).unwrap();
        let inspected = repo.ralph(&["worktree", "inspect", "T-1"]).run().ok();
        assert!(
            inspected.stdout.contains("succeeded") && !inspected.stdout.contains("failed"),
            "{inspected}"
        );
        assert!(inspected.stderr.contains("differs from the original, which counts"), "{inspected}");
        let from_inside =
            sandbox.ralph(&["worktree", "inspect", "--json"]).in_dir(&session.worktree).run().ok();
        assert_eq!(from_inside.json(), original);
        let list = repo.ralph(&["worktree", "list", "--json"]).run().ok().json();
        assert_eq!(list[0]["outcome"], "succeeded");
    }

    #[test]
    fn row_16_the_copy_of_another_session_is_not_taken_for_ones_own() {
        let sandbox = Sandbox::new();
        let (repo, session) = ended(&sandbox);
        repo.finish("T-2", &[]);
        let other = Session::all(&repo).pop().unwrap();
        fs::copy(other.view(), session.view()).unwrap();
        fs::write(session.manifest_file(), "{").unwrap();
        let inspected = repo.ralph(&["worktree", "inspect", "T-1", "--json"]).run();
        inspected.refused(6, &["is damaged: ", "no copy"]);
        repo.recover();
        let manifest = session.manifest();
        assert_eq!((&manifest["ticket_id"], &manifest["outcome"]), (&"T-1".into(), &"lost".into()));
        assert_eq!(manifest["work"]["commits"], 1, "{manifest:#}");
    }
}

mod among_others {
    use super::*;

    /// A record that cannot be read at all, whoever asks: its folder is a file.
    fn make_unreadable(folder: &Path) {
        fs::rename(folder, folder.with_extension("aside")).unwrap();
        fs::write(folder, "").unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_told_and_keeps_nothing_else_from_being_settled() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(COMMITS);
        for ticket in ["T-1", "T-2"] {
            repo.finish(ticket, &[]);
        }
        let [unreadable, _] = Session::all(&repo).try_into().unwrap();
        make_unreadable(&unreadable.dir);
        let lanes = repo.store().join("lanes");
        let second = names_in(&lanes).into_iter().find(|name| name.starts_with("t-2")).unwrap();
        fs::write(lanes.join(&second).join("lane.json"), "{").unwrap();
        // Behind them in the order of the lanes: one whose supervisor was killed, and whose entry among the living is
        // gone, so that only its lane leads to it.
        pi.plays("here; forever");
        let lost = Session::dispatch(&repo, "T-3", &[]);
        let agent = pi.wait_here("T-3");
        lost.supervisor().signal(Signal::KILL);
        wait::until("the lock to be free", || (!lost.is_held()).then_some(()));
        fs::remove_file(repo.store().join("running").join(&lost.id)).unwrap();

        let ended = repo.ralph(&["worktree", "recover", "--json"]).run().ok();
        let rows = ended.json();
        assert_eq!(rows[0]["session_id"], unreadable.id, "{rows:#}");
        assert_eq!(rows[0]["action"], "left", "{rows:#}");
        assert!(rows[0]["reason"].as_str().unwrap().contains(&unreadable.id), "{rows:#}");
        let damaged = rows[2]["reason"].as_str().unwrap();
        assert!(damaged.contains(&format!("{second}/lane.json is damaged")), "{rows:#}");
        assert_eq!(rows[1]["session_id"], lost.id, "{rows:#}");
        assert_eq!(rows[1]["outcome"], "lost", "{rows:#}");
        assert!(!agent.is_alive());
    }
}
