//! What expires, what does not, and that nothing is deleted unasked.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use super::world::{TREE, World, at, lane};
use crate::removal::{
    IfUnsaved, Place, RemovalError, Settled, Stage, expire, gc, remove, restore, settle, trash,
};
use crate::session::lane::LaneRecord;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Long after everything that a world does.
fn later(world: &World) -> Place<'_> {
    Place { now: jiff::Timestamp::now() + 40 * DAY, ..world.place() }
}

#[test]
fn looking_deletes_nothing_and_young_things_do_not_expire() {
    let world = World::new();
    world.write("new", "x");
    let session = world.ended_session("t-1", at(1));
    world.ended_session("t-1", at(2));
    world.throw_away();
    assert_eq!(gc(&world.place(), DAY).unwrap(), crate::removal::ExpiryPlan::default());
    let plan = gc(&later(&world), DAY).unwrap();
    assert_eq!(plan.trash.len(), 1);
    assert_eq!(plan.trash[0].unsaved, ["1 new file: new"]);
    assert!(plan.trash[0].size.files > 3 && plan.trash[0].size.bytes > 0, "{:?}", plan.trash[0].size);
    // With the lane, both of its sessions could no longer be of use.
    assert_eq!(plan.sessions.len(), 2);
    assert!(plan.size.bytes >= plan.trash[0].size.bytes);
    assert!(world.store.session_dir(session).path().exists());
    world.restore().unwrap();
}

#[test]
fn a_session_that_the_lanes_work_is_guarded_by_stays_as_long_as_the_lane() {
    let world = World::new();
    let first = world.ended_session("t-1", at(1));
    let record = world.store.lane(&lane("t-1")).unwrap().unwrap();
    let record = LaneRecord { guarded_by: Some(first), ..record };
    world.store.write_lane(&world.claim("t-1"), &record).unwrap();
    world.ended_session("t-1", at(2));
    assert!(gc(&later(&world), DAY).unwrap().sessions.is_empty());
    world.throw_away();
    assert_eq!(gc(&later(&world), DAY).unwrap().sessions.len(), 2);
}

#[test]
fn what_has_expired_goes_with_its_pins_and_all_else_stays() {
    let world = World::new();
    let first = world.ended_session("t-1", at(1));
    let current = world.ended_session("t-1", at(2));
    world.make_lane("t-2");
    remove(&world.place(), &lane("t-2"), IfUnsaved::Refuse).unwrap();
    let place = later(&world);
    let plan = gc(&place, DAY).unwrap();
    let expired = expire(&place, &plan).unwrap();
    assert!(expired.spared.is_empty(), "{:?}", expired.spared);
    assert_eq!(expired.sessions, [first]);
    assert_eq!(expired.trash.len(), 1);
    assert!(!world.store.session_dir(first).path().exists());
    assert!(world.store.session_dir(current).manifest().exists());
    assert_eq!(world.git("repo", &["for-each-ref", "refs/ralph"]), "");
    assert!(trash(&world.store).unwrap().0.is_empty());
    assert_eq!(world.git(TREE, &["status", "--porcelain"]), "");
    let nothing = gc(&place, DAY).unwrap();
    assert!(nothing.sessions.is_empty() && nothing.trash.is_empty() && nothing.leftovers.is_empty());
    assert_eq!(fs::read_dir(world.fixture.path("repo.ralph/.trash")).unwrap().count(), 1, "only .gitignore");
}

#[test]
fn a_session_stays_while_it_lives_or_a_lane_in_the_trash_would_need_it() {
    let world = World::new();
    let session = world.ended_session("t-1", at(1));
    let place = Place { now: at(10 * 24 * 3600), ..world.place() };
    remove(&place, &lane("t-1"), IfUnsaved::Refuse).unwrap();
    let plan = gc(&Place { now: at(10 * 24 * 3600 + 60), ..place }, DAY).unwrap();
    assert!(plan.trash.is_empty() && plan.sessions.is_empty(), "{plan:?}");
    world.restore().unwrap();
    let writer = world.begun_session("t-1");
    let plan = gc(&later(&world), DAY).unwrap();
    assert_eq!(plan.sessions.iter().map(|s| s.id).collect::<Vec<_>>(), [session]);
    drop(writer);
    // Its end is not on record: it is for `recover` first.
    assert_eq!(gc(&later(&world), DAY).unwrap().sessions.len(), 1);
}

#[test]
fn a_session_of_a_lane_whose_record_is_damaged_stays_and_that_is_said() {
    let world = World::new();
    world.ended_session("t-1", at(1));
    world.ended_session("t-1", at(2));
    fs::write(world.store.root().join("lanes/t-1/lane.json"), "{").unwrap();
    let plan = gc(&later(&world), DAY).unwrap();
    assert!(plan.sessions.is_empty());
    assert!(plan.problems.iter().any(|problem| problem.contains("lane.json")), "{:?}", plan.problems);
}

#[test]
fn what_came_back_between_looking_and_deleting_stays() {
    let world = World::new();
    world.throw_away();
    let place = later(&world);
    let plan = gc(&place, DAY).unwrap();
    world.restore().unwrap();
    let session = world.ended_session("t-1", at(1));
    let expired = expire(&place, &plan).unwrap();
    assert!(world.tree().join("README.md").exists());
    assert!(world.store.session_dir(session).path().exists());
    assert!(expired.sessions.is_empty());
}

#[test]
fn a_session_that_a_removal_needs_which_could_not_be_deleted_stays() {
    let world = World::new();
    let session = world.ended_session("t-1", at(1));
    world.throw_away();
    let place = later(&world);
    let plan = gc(&place, DAY).unwrap();
    assert_eq!((plan.trash.len(), plan.sessions.len()), (1, 1));
    let claim = world.claim("t-1");
    let expired = expire(&place, &plan).unwrap();
    drop(claim);
    assert_eq!(expired.spared.len(), 2, "{expired:?}");
    assert!(world.store.session_dir(session).path().exists());
    world.restore().unwrap();
}

#[test]
fn a_commit_that_only_a_session_s_pin_leads_to_keeps_it() {
    let world = World::new();
    let session = world.ended_session("t-1", at(1));
    world.ended_session("t-1", at(2));
    let alone = world.git(TREE, &["commit-tree", "-m", "alone", "HEAD^{tree}"]);
    for (name, commit) in [("head", alone.as_str()), ("start", "main")] {
        world.git("repo", &["update-ref", &format!("refs/ralph/sessions/{session}/{name}"), commit]);
    }
    let place = later(&world);
    let expired = expire(&place, &gc(&place, DAY).unwrap()).unwrap();
    assert_eq!(expired.sessions, [session]);
    assert_eq!(expired.kept_pins, [format!("refs/ralph/sessions/{session}/head")]);
    let refs = world.git("repo", &["for-each-ref", "--format=%(refname)", "refs/ralph"]);
    assert_eq!(refs, format!("refs/ralph/sessions/{session}/head"));
}

#[test]
fn registrations_that_a_dispatch_put_aside_expire_and_strangers_do_not() {
    let world = World::new();
    let bin = world.fixture.path("repo.ralph/.trash");
    let old = uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_700_000_000, 0));
    let aside = bin.join(format!("registration-{}", old.simple()));
    fs::create_dir_all(aside.join("t-9")).unwrap();
    // Of another repository that shares the folder, or of nobody.
    let strangers = [bin.join(old.to_string()), bin.join("precious"), bin.join("registration-precious")];
    strangers.iter().for_each(|stranger| fs::create_dir_all(stranger).unwrap());
    let place = later(&world);
    let plan = gc(&place, DAY).unwrap();
    assert_eq!(plan.leftovers.iter().map(|l| &l.path).collect::<Vec<_>>(), [&aside]);
    expire(&place, &plan).unwrap();
    assert!(!aside.exists());
    assert!(strangers.iter().all(|stranger| stranger.exists()));
}

#[test]
fn a_record_that_was_made_to_name_another_folder_deletes_nothing() {
    let world = World::new();
    let removed = world.throw_away();
    fs::create_dir_all(world.fixture.path("victim/.trash")).unwrap();
    let path = world.store.root().join("trash").join(removed.id.to_string()).join("trash.json");
    let text = fs::read_to_string(&path).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let place = later(&world);
    let victim = world.fixture.path("victim");
    let trash_link = world.fixture.path("linked/.trash");
    fs::create_dir_all(trash_link.parent().unwrap()).unwrap();
    fs::create_dir_all(victim.join(removed.id.to_string())).unwrap();
    symlink(&victim, &trash_link).unwrap();
    let id = removed.id.to_string();
    let dotted = world.fixture.path("repo.ralph/.trash/..").join("../victim/.trash/..").join(&id);
    for held in [victim.clone(), victim.join(".trash"), victim.join(&id), dotted, trash_link.join(&id)] {
        record["parcel"]["held"] = serde_json::json!(held);
        fs::write(&path, record.to_string()).unwrap();
        let expired = expire(&place, &gc(&place, DAY).unwrap()).unwrap();
        assert_eq!(expired.spared.len(), 1, "{held:?}: {expired:?}");
        assert!(victim.join(".trash").exists() && victim.join(removed.id.to_string()).exists());
    }
    record["parcel"]["id"] = serde_json::json!(uuid::Uuid::now_v7().to_string());
    fs::write(&path, record.to_string()).unwrap();
    let plan = gc(&place, DAY).unwrap();
    assert!(plan.trash.is_empty() && plan.problems.len() == 1, "{plan:?}");
    // Of a newer version: passed by, and said.
    record["schema_version"] = serde_json::json!(2);
    fs::write(&path, record.to_string()).unwrap();
    assert_eq!(gc(&place, DAY).unwrap().problems.len(), 1);
}

#[test]
fn a_folder_of_the_trash_without_a_record_expires_only_if_nothing_is_in_it() {
    let world = World::new();
    let made =
        |seconds| uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0)).to_string();
    let shelves = world.store.root().join("trash");
    let (empty, full) = (shelves.join(made(1_700_000_000)), shelves.join(made(1_700_000_001)));
    fs::create_dir_all(&empty).unwrap();
    fs::write(empty.join(".trash.json.tmp"), "half").unwrap();
    fs::create_dir_all(full.join("admin")).unwrap();
    let place = later(&world);
    let plan = gc(&place, DAY).unwrap();
    assert_eq!(plan.leftovers.iter().map(|l| &l.path).collect::<Vec<_>>(), [&empty]);
    expire(&place, &plan).unwrap();
    assert!(!empty.exists() && full.exists());
}

#[test]
fn a_file_that_someone_was_killed_over_expires_and_one_that_someone_is_at_stays() {
    let world = World::new();
    let begun = uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_700_000_000, 0)).simple();
    let in_store = |name: &str| world.store.root().join(format!(".{name}.{begun}.tmp"));
    let (left, held) = (in_store("left.json"), in_store("held.json"));
    fs::write(&left, "half").unwrap();
    fs::write(&held, "half").unwrap();
    let writer = fs::File::open(&held).unwrap();
    writer.lock().unwrap();
    let place = later(&world);
    let plan = gc(&place, DAY).unwrap();
    assert_eq!(
        plan.leftovers.iter().map(|l| &l.path).collect::<BTreeSet<_>>(),
        BTreeSet::from([&held, &left])
    );
    let expired = expire(&place, &plan).unwrap();
    assert_eq!((left.exists(), held.exists()), (false, true));
    assert!(expired.spared[0].why.to_string().contains("someone is writing it"), "{:?}", expired.spared);
}

const FOLDER: &str = "RALPH_TEST_EXPIRE";
const NAME: &str =
    "removal::tests::expiring::an_expiry_that_was_killed_anywhere_is_finished_and_nothing_half_comes_back";

#[test]
fn an_expiry_that_was_killed_anywhere_is_finished_and_nothing_half_comes_back() {
    if let Ok(folder) = std::env::var(FOLDER) {
        let world = World::at(folder.into());
        let place = later(&world);
        drop(expire(&place, &gc(&place, DAY).unwrap()));
        return;
    }
    for point in ["expire.marked", "expire.tree", "expire.pins", "expire.session", "expire.aside"] {
        let world = World::new();
        world.ended_session("t-1", at(1));
        world.throw_away();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME])
            .env(FOLDER, &world.fixture.root)
            .env("RALPH_FAILPOINT", format!("{point}:kill"))
            .output()
            .unwrap()
            .status;
        assert_eq!(status.signal(), Some(9), "{point}");
        let error = world.restore().unwrap_err();
        assert!(matches!(error, RemovalError::NotInTrash { .. }), "{point}: {error}");
        if point == "expire.tree" {
            assert!(matches!(*settle(&world.place()).unwrap(), [Settled::Expired(_)]));
        }
        let place = later(&world);
        let expired = expire(&place, &gc(&place, DAY).unwrap()).unwrap();
        assert!(expired.spared.is_empty(), "{point}: {:?}", expired.spared);
        assert!(trash(&world.store).unwrap().0.is_empty(), "{point}");
        assert_eq!(world.git("repo", &["for-each-ref", "refs/ralph"]), "", "{point}");
        assert_eq!(fs::read_dir(world.store.root().join("sessions")).unwrap().count(), 0, "{point}");
    }
}

#[test]
fn a_tree_that_is_half_deleted_cannot_come_back() {
    let world = World::new();
    let removed = world.throw_away();
    let path = world.store.root().join("trash").join(removed.id.to_string()).join("trash.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"removed\"", "\"expiring\"");
    fs::write(&path, text).unwrap();
    assert_eq!(trash(&world.store).unwrap().0[0].stage, Stage::Expiring);
    let error = restore(&world.place(), &lane("t-1")).unwrap_err();
    assert!(matches!(error, RemovalError::NotInTrash { .. }), "{error}");
}
