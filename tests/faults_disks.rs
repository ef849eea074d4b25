//! Disks that are full, fill up or take nothing at all (rows 9 to 11 of the catalogue of faults): what cannot be begun is
//! refused whole, with the path and the cause, and what runs still ends on record.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::helpers::agents::COMMITS;
use crate::helpers::lanes::text;
use crate::helpers::tree::Tree;
use crate::helpers::{Finished, Repo, Sandbox, ScriptedPi, Session, rows, wait};

const RALPH: &str = env!("CARGO_BIN_EXE_ralph");

/// Runs the script in a mount namespace of its own, with `$1`; skips the row where this machine does not let a test do
/// what `probe` does there.
fn in_a_mount_namespace(
    sandbox: &Sandbox,
    row: u32,
    probe: &str,
    script: &str,
    path: &std::path::Path,
) -> Option<Finished> {
    for tool in ["unshare", "mount", "df", "truncate"] {
        sandbox.link_tool(tool);
    }
    let run = |script: &str| sandbox.run("unshare", &["-Urm", "sh", "-c", script, "sh"]).arg(path).run();
    let probed = run(probe);
    if probed.code == Some(0) {
        return Some(run(script));
    }
    rows::skip(row, &format!("this machine does not let a test mount anything: {}", probed.stderr));
    None
}

/// Runs the script in the repository `$1/app`, which stands on a disk of its own, of this size.
fn on_a_small_disk(sandbox: &Sandbox, row: u32, size: &str, script: &str) -> Option<Finished> {
    let small = sandbox.path("small");
    fs::create_dir(&small).unwrap();
    let mount = format!("mount -t tmpfs -o size={size},mode=700 tmpfs \"$1\"");
    let prepare = "cd \"$1\"; git init -q -b main app; cd app; echo a >a; git add a; git commit -q -m Start";
    let all = format!("set -eu; {mount}; {prepare}; {script}");
    in_a_mount_namespace(sandbox, row, &mount, &all, &small)
}

mod full_beforehand {
    use super::*;

    /// What came of a dispatch with that much room, and of everything after it.
    struct Tried<'t> {
        code: i32,
        said: &'t str,
        left: &'t str,
        recovered: &'t str,
        with_room: &'t str,
    }

    impl<'t> Tried<'t> {
        fn of(line: &'t str) -> Self {
            let mut fields = line.split('\t').skip(1);
            let mut next = || fields.next().expect("a field");
            Self {
                code: next().parse().expect("an exit status"),
                said: next(),
                left: next(),
                recovered: next(),
                with_room: next(),
            }
        }
    }

    #[test]
    fn row_9_a_full_disk_is_named_no_half_session_is_left_and_with_room_it_works() {
        let sandbox = Sandbox::new();
        let agent = ScriptedPi::other(&sandbox, "helper");
        agent.plays(COMMITS);
        // From no room at all to room enough, in steps, so that every part of a dispatch is the one that finds none.
        let step = rows::amount(8, 4);
        let script = format!(
            r#"sessions=.git/ralph/sessions
            for room in $(seq 0 {step} 160); do
                cat /dev/zero >../fill 2>&- || :
                truncate -s "-$((room * 1024))" ../fill
                code=0
                said=$({RALPH} worktree dispatch "N-$room" --agent=true --json 2>&1 >/dev/null) || code=$?
                if [ $code -eq 0 ]; then
                    {RALPH} worktree wait "N-$room" >&2 || [ $? -eq 1 ]
                    left=
                else
                    left=$(ls -A .git/ralph/running; ls -A "$sessions" | grep '^[.]' || :
                        grep -L '"state": *"ended"' "$sessions"/*/manifest.json 2>&- || :)
                fi
                recovered=$({RALPH} worktree recover --json)
                rm ../fill
                code_with_room=0
                {RALPH} worktree dispatch "N-$room" --agent=helper --wait >&2 || code_with_room=$?
                printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$room" "$code" "$said" "$(echo $left)" "$(echo $recovered)" \
                    "$code_with_room"
            done
            git fsck --strict --no-dangling >&2"#
        );
        let Some(finished) = on_a_small_disk(&sandbox, 9, "8m", &script) else { return };
        let finished = finished.ok();
        let tried: Vec<Tried<'_>> = finished.stdout.lines().map(Tried::of).collect();
        let (refused, done): (Vec<_>, Vec<_>) = tried.iter().partition(|one| one.code != 0);
        assert!(refused.len() >= 10 && !done.is_empty(), "{finished}");
        for one in &refused {
            assert!(matches!(one.code, 5 | 6), "{finished}");
            let error = serde_json::from_str::<Value>(one.said).expect("one JSON error")["error"].take();
            let message = text(&error["message"]);
            assert!(message.contains("No space left on device"), "{message}");
            // What could not be written: a file, or the lane's branch, of whose file libgit2 does not always speak.
            let file = sandbox.path("small").display().to_string();
            assert!(message.contains(&file) || message.contains("\"refs/heads/ralph/N-"), "{message}");
            assert!(text(&error["hint"]).contains("make room on that disk"), "{error}");
            assert_eq!((one.left, one.recovered), ("", "[]"), "{}", one.said);
        }
        assert!(tried.iter().all(|one| one.with_room == "0"), "{finished}");
    }
}

mod filling_up {
    use super::*;

    #[test]
    fn row_10_a_disk_that_fills_up_while_the_agent_runs_does_not_hide_how_it_ended() {
        let cases = [
            ("commit; cat /dev/zero >fill 2>&- || :; exit 7", "", json!(["failed", 7, "agent"])),
            ("commit; cat /dev/zero >fill 2>&- || :; exit 0", "", json!(["uncommitted", 0, "agent"])),
            (
                "commit; cat /dev/zero >fill 2>&- || :; forever",
                "--timeout=1s",
                json!(["timed_out", 143, "timeout"]),
            ),
        ];
        for (play, limits, expected) in cases {
            let sandbox = Sandbox::new();
            let agent = ScriptedPi::other(&sandbox, "helper");
            agent.plays(play);
            let script = format!(
                "{RALPH} worktree dispatch T-1 --agent=helper --json {limits} >/dev/null; {RALPH} worktree wait T-1 >&2 || :
                 cat .git/ralph/sessions/*/manifest.json; df -k . >&2
                 rm ../app.ralph/*/fill; [ ! -e .git/ralph/running/* ]
                 {RALPH} worktree dispatch T-1 --agent=true --wait >&2 || [ $? -eq 1 ]"
            );
            let Some(finished) = on_a_small_disk(&sandbox, 10, "3m", &script) else { return };
            let manifest = finished.ok().json();
            let seen = json!([manifest["outcome"], manifest["exit"]["code"], manifest["exit"]["ended_by"]]);
            assert_eq!((&manifest["state"], seen), (&"ended".into(), expected), "{manifest:#}");
            assert_eq!(manifest["work"]["commits"], 1, "{manifest:#}");
        }
    }

    #[test]
    fn row_10_what_filled_the_disk_can_be_stopped() {
        for (how, said) in [("", "stopped"), ("--now", "stopped")] {
            let sandbox = Sandbox::new();
            let agent = ScriptedPi::other(&sandbox, "helper");
            agent.plays("cat /dev/zero >fill 2>&- || :; here; forever");
            let here = sandbox.path("stages/helper/here/T-1");
            let script = format!(
                "{RALPH} worktree dispatch T-1 --agent=helper --json --grace=1s >/dev/null
                 until [ -e '{}' ]; do sleep 0.01; done
                 {RALPH} worktree stop T-1 {how} --json",
                here.display()
            );
            let Some(finished) = on_a_small_disk(&sandbox, 10, "3m", &script) else { return };
            let manifest = finished.ok().json();
            assert_eq!((&manifest["outcome"], &manifest["exit"]["ended_by"]), (&said.into(), &"stop".into()));
        }
    }
}

mod read_only {
    use super::*;

    /// What each of the commands says, one after the other, in the repository `$1` whose git directory is read-only.
    fn said_by(sandbox: &Sandbox, repo: &Repo<'_>, commands: &[&str]) -> Option<Vec<(i32, String)>> {
        let mount =
            "cd \"$1\" && mount --bind .git .git && mount -o remount,bind,ro .git && ! touch .git/x 2>&-";
        let each = |command: &&str| {
            format!(
                "code=0; said=$({RALPH} worktree {command} --json 2>&1 >/dev/null) || code=$?
                 printf '%s\\t%s\\n' $code \"$(echo \"$said\" | tr '\\n' ' ')\"\n"
            )
        };
        let script = format!("{mount} || exit 9\n{}", commands.iter().map(each).collect::<String>());
        let finished = in_a_mount_namespace(sandbox, 11, mount, &script, repo.path())?.ok();
        let said = finished.stdout.lines().map(|line| line.split_once('\t').expect("two fields"));
        Some(said.map(|(code, said)| (code.parse().expect("an exit status"), said.to_owned())).collect())
    }

    #[test]
    fn row_11_where_the_git_directory_is_read_only_what_changes_something_is_refused_and_what_looks_works() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays_for("T-1", COMMITS);
        assert_eq!(repo.finish("T-1", &[])["outcome"], "succeeded");
        pi.plays_for("T-2", "commit; here; forever");
        let lost = Session::dispatch(&repo, "T-2", &[]);
        let agent = pi.wait_here("T-2");
        lost.supervisor().signal(Signal::KILL);
        wait::until("the lock to be free", || (!lost.is_held()).then_some(()));

        let before = Tree::of(sandbox.work());
        let changing = [
            "create T-3",
            "dispatch T-3",
            "dispatch T-1",
            "batch T-3",
            "merge T-1",
            "remove T-1",
            "remove T-1 --with-unsaved",
        ];
        let looking = ["list", "list --dirty", "inspect T-1", "logs T-1", "path T-1", "wait T-1"];
        let Some(said) = said_by(&sandbox, &repo, &[&changing[..], &looking[..], &["recover"]].concat())
        else {
            agent.signal(Signal::KILL);
            return;
        };
        let (refused, rest) = said.split_at(changing.len());
        for ((code, said), command) in refused.iter().zip(changing) {
            assert_eq!(*code, 6, "{command}: {said}");
            let error = serde_json::from_str::<Value>(said).expect("one JSON error")["error"].take();
            let message = text(&error["message"]);
            assert!(message.contains("Read-only file system"), "{command}: {message}");
            assert!(message.contains(repo.path().join(".git").to_str().unwrap()), "{command}: {message}");
            assert!(text(&error["hint"]).contains("must be able to write there"), "{command}: {error}");
        }
        for ((code, said), command) in rest.iter().zip(looking) {
            assert_eq!(*code, 0, "{command}: {said}");
        }
        before.assert_unchanged(sandbox.work());
        // What could not be settled was left alone, and is settled once that is possible.
        assert!(agent.is_alive());
        assert_eq!(repo.recover()[0]["outcome"], "lost");
        assert!(!agent.is_alive());
    }
}
