use super::*;
use crate::config::settings::Origin;
use crate::config::value::{Limit, Output, ProjectTrust};
use jiff::Timestamp;
use proptest::prelude::*;
use std::fs;
use std::time::Duration;

/// A user with a home, and a repository.
struct Stage {
    dir: tempfile::TempDir,
    places: Places,
    variables: BTreeMap<String, String>,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        fs::create_dir_all(home.join(".config/ralph")).unwrap();
        fs::create_dir_all(dir.path().join("shop/.git")).unwrap();
        let home = [("HOME".to_owned(), home.to_str().unwrap().to_owned())];
        Self { places: Places::from_variables(&home.into()), variables: BTreeMap::new(), dir }
    }

    fn main(&self) -> PathBuf {
        self.dir.path().join("shop")
    }

    fn user_says(self, text: &str) -> Self {
        fs::write(self.places.user_file.as_ref().unwrap(), text).unwrap();
        self
    }

    fn repository_says(self, text: &str) -> Self {
        fs::write(self.main().join("ralph.toml"), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn load(&self) -> Result<Resolution, ConfigError> {
        self.load_with(Layer::default())
    }

    fn load_with(&self, flags: Layer) -> Result<Resolution, ConfigError> {
        let main = self.main();
        let common_dir = main.join(".git");
        let repository = Some(Repository { main: &main, common_dir: &common_dir });
        let ticketflow = Layer::default();
        load(Sources { places: &self.places, repository, variables: &self.variables, ticketflow, flags })
    }

    fn error(&self) -> String {
        self.load().unwrap_err().to_string().replace(self.dir.path().to_str().unwrap(), "")
    }
}

#[test]
fn user_file_repository_environment_and_flags_speak_in_this_order() {
    let stage = Stage::new()
        .user_says("timeout = '1m'\ngrace = '1s'\noutput = 'discard'\ncapture = 'json'\n")
        .repository_says("timeout = '2m'\ngrace = '2s'\noutput = 'file'\n")
        .variable("RALPH_TIMEOUT", "3m")
        .variable("RALPH_GRACE", "3s");
    let flags = Layer { timeout: Some(Limit::Off), ..Layer::default() };
    let settings = stage.load_with(flags).unwrap().settings;
    assert_eq!((settings.timeout, settings.grace), (Limit::Off, Duration::from_secs(3)));
    assert_eq!(settings.output, Output::File);
    assert_eq!(settings.origin(Key::Timeout), Origin::Flag(Key::Timeout));
    assert_eq!(settings.origin(Key::Grace), Origin::Variable("RALPH_GRACE".to_owned()));
    assert_eq!(settings.origin(Key::Output), Origin::RepositoryFile(stage.main().join("ralph.toml")));
    let user_file = stage.places.user_file.as_deref().unwrap();
    assert_eq!(settings.origin(Key::Capture), Origin::UserFile(user_file.to_owned()));
    assert_eq!(settings.origin(Key::Flags), Origin::Default);
}

#[test]
fn values_are_written_as_toml_has_them() {
    let stage = Stage::new().user_says(
        "timeout = 90\noutput-cap = 0x100000\nflags = []\nagent = ['a', 'b c']\nagent-args = \"x 'y z'\"\n\
         approve-project = true\nworktree-root = '~/trees'\nbase = 'release/1.x'",
    );
    let settings = stage.load().unwrap().settings;
    assert_eq!(settings.timeout, Limit::At(Duration::from_secs(90)));
    assert_eq!(settings.output_cap.bound().unwrap().as_bytes(), 1 << 20);
    assert!(settings.flags.as_slice().is_empty());
    assert_eq!((settings.agent.program(), settings.agent.arguments()), ("a", &["b c".to_owned()][..]));
    assert_eq!(settings.agent_args.as_slice(), ["x", "y z"]);
    assert_eq!(settings.approve_project, ProjectTrust::Approve);
    assert_eq!(settings.worktree_root.of(&stage.main()), stage.dir.path().join("home/trees"));
}

#[test]
fn an_unknown_key_is_an_error_with_file_line_and_the_likely_key() {
    let stage = Stage::new().repository_says("# x\n\n  timeot = '1m'\n");
    assert_eq!(
        stage.error(),
        "/shop/ralph.toml, line 3: there is no setting \"timeot\"; did you mean `timeout`?"
    );
    let stage = Stage::new().user_says("grace = 1\n\"co\\u001blour\" = 1\n");
    assert_eq!(
        stage.error(),
        r#"/home/.config/ralph/config.toml, line 2: there is no setting "co\u{1b}lour"; `ralph config` lists them"#
    );
    let stage = Stage::new().repository_says("[agent-args]\nx = 1");
    assert!(
        stage.error().starts_with("/shop/ralph.toml, line 1: `agent-args` cannot be"),
        "{}",
        stage.error()
    );
}

#[test]
fn a_wrong_value_is_an_error_with_place_key_value_and_what_is_allowed() {
    let stage = Stage::new().repository_says("grace = '1s'\noutput = 'fil'\n");
    assert_eq!(
        stage.error(),
        "/shop/ralph.toml, line 2: `output` cannot be 'fil': it must be file, inherit or discard"
    );
    let stage = Stage::new().variable("RALPH_IDLE_TIMEOUT", "soon\u{1b}[31m");
    assert_eq!(
        stage.error(),
        "the variable RALPH_IDLE_TIMEOUT: `idle-timeout` cannot be \"soon\\u{1b}[31m\": it must be a duration such \
         as 30m, 90s, 1h30m or 500ms (a plain number is seconds), or none"
    );
    for text in [
        "timeout = 1.5",
        "timeout = -1",
        "timeout = 2020-01-01",
        "grace = 'none'",
        "base = 'a..b'",
        "flags = ['a', 1]",
        "flags = 'a \"b'",
        "agent = []",
        "workflow = '--x'",
        "output-cap = '1'",
        "approve-project = 1",
        "timeout = 99999999999999999999999",
    ] {
        let stage = Stage::new().repository_says(text);
        assert!(matches!(stage.load(), Err(ConfigError::Value { .. })), "{text}: {:?}", stage.load());
    }
}

#[test]
fn a_file_that_is_no_toml_is_an_error_with_its_line() {
    let stage = Stage::new().repository_says("grace = 1\ngrace = 2\n");
    assert_eq!(stage.error(), "/shop/ralph.toml, line 2: duplicate key");
    let stage = Stage::new().repository_says("grace = 1\n\noutput = \n");
    assert!(stage.error().starts_with("/shop/ralph.toml, line 3: "), "{}", stage.error());
    let stage = Stage::new();
    fs::write(stage.main().join("ralph.toml"), b"grace = 1\n# \xff\n").unwrap();
    assert_eq!(stage.error(), "/shop/ralph.toml, line 2: the file is not UTF-8 here");
}

#[test]
fn hostile_files_are_refused_without_waiting_or_following() {
    let deep = Stage::new().repository_says(&format!("flags = {}", "[".repeat(200_000)));
    assert!(matches!(deep.load(), Err(ConfigError::Syntax { .. })));
    let large = Stage::new();
    fs::File::create(large.main().join("ralph.toml")).unwrap().set_len(1 << 30).unwrap();
    assert!(matches!(large.load(), Err(ConfigError::File(FileError::TooLarge { .. }))));
    let link = Stage::new().user_says("grace = 1");
    std::os::unix::fs::symlink(link.places.user_file.as_ref().unwrap(), link.main().join("ralph.toml"))
        .unwrap();
    assert!(matches!(link.load(), Err(ConfigError::SymbolicLink { .. })));
    let pipe = Stage::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, pipe.main().join("ralph.toml"), 0o600.into()).unwrap();
    assert!(matches!(pipe.load(), Err(ConfigError::File(_))));
}

#[test]
fn the_users_own_file_may_be_a_link() {
    let stage = Stage::new();
    fs::write(stage.dir.path().join("dotfile"), "grace = 7").unwrap();
    std::os::unix::fs::symlink(stage.dir.path().join("dotfile"), stage.places.user_file.as_ref().unwrap())
        .unwrap();
    assert_eq!(stage.load().unwrap().settings.grace, Duration::from_secs(7));
}

#[test]
fn what_a_repository_would_run_does_not_count_until_it_is_approved() {
    let stage = Stage::new()
        .user_says("agent = 'mine'")
        .repository_says("agent = ['theirs', '--x']\nworktree-root = '../.config'\ngrace = 3\n");
    let before = stage.load().unwrap();
    assert_eq!(before.settings.agent.program(), "mine");
    assert_eq!(before.settings.worktree_root.of(&stage.main()), stage.dir.path().join("shop.ralph"));
    assert_eq!(before.settings.grace, Duration::from_secs(3), "what runs nothing counts at once");
    let Approval::Wanted(request) = &before.approval else { panic!("{:?}", before.approval) };
    assert_eq!(
        before.notices[0].to_string().replace(stage.dir.path().to_str().unwrap(), ""),
        r#"/shop/ralph.toml sets agent = ["theirs", "--x"], worktree-root = ../.config, which is not approved and does not count; `ralph config approve` shows and approves it"#
    );

    let approvals = stage.places.approvals.as_ref().unwrap();
    Approvals::approve(approvals, request, Timestamp::UNIX_EPOCH).unwrap();
    let after = stage.load().unwrap();
    assert_eq!(after.settings.agent.program(), "theirs");
    assert_eq!(after.settings.worktree_root.of(&stage.main()), stage.dir.path().join(".config"));
    assert_eq!(after.approval, Approval::Given(request.clone()));
    assert!(after.notices.is_empty());

    let changed = stage.repository_says("agent = ['theirs', '--y']\nworktree-root = '../.config'\n");
    let later = changed.load().unwrap();
    assert_eq!(later.settings.agent.program(), "mine");
    assert!(matches!(later.approval, Approval::Wanted(_)));
}

#[test]
fn every_setting_that_runs_something_is_guarded() {
    for (text, key) in [
        ("agent = 'x'", Key::Agent),
        ("agent-args = 'x'", Key::AgentArgs),
        ("approve-project = true", Key::ApproveProject),
        ("worktree-root = 'x'", Key::WorktreeRoot),
    ] {
        let resolution = Stage::new().repository_says(text).load().unwrap();
        assert_eq!(resolution.settings.origin(key), Origin::Default, "{text}");
        assert_eq!(resolution.notices.len(), 1, "{text}");
        // The user's own word needs no approval.
        let resolution = Stage::new().user_says(text).load().unwrap();
        assert!(matches!(resolution.settings.origin(key), Origin::UserFile(_)), "{text}");
        assert_eq!(resolution.approval, Approval::NotNeeded);
    }
}

#[test]
fn approvals_that_cannot_be_read_matter_only_where_one_is_asked_for() {
    let stage = Stage::new().repository_says("grace = 1");
    let approvals = stage.places.approvals.clone().unwrap();
    fs::create_dir_all(approvals.parent().unwrap()).unwrap();
    fs::write(&approvals, "{").unwrap();
    assert!(stage.load().is_ok());
    assert!(matches!(stage.repository_says("agent = 'x'").load(), Err(ConfigError::Approvals(_))));
}

#[test]
fn what_ralph_gives_to_agents_is_no_setting_and_a_slip_is_said() {
    let mut stage = Stage::new();
    for name in [
        "RALPH_SESSION_ID",
        "RALPH_TICKET_ID",
        "RALPH_WORKTREE",
        "RALPH_BASE_COMMIT",
        "RALPH_FAILPOINT",
        "RALPH_ARG_1",
        "RALPH_OUTPUT_DIR",
        "RALPH_",
        "RALPHX",
    ] {
        stage = stage.variable(name, "x");
    }
    let resolution = stage.load().unwrap();
    assert!(resolution.notices.is_empty(), "{:?}", resolution.notices);
    assert!(resolution.settings.rows().iter().all(|row| { row.origin == Origin::Default }));
    let notices = stage.variable("RALPH_TIMEOT", "1m").load().unwrap().notices;
    assert_eq!(
        notices[0].to_string(),
        "the variable RALPH_TIMEOT is no setting and does not count; did you mean RALPH_TIMEOUT?"
    );
}

#[test]
fn without_a_repository_or_a_home_there_are_still_settings() {
    let nowhere = Places::default();
    let variables = BTreeMap::new();
    let alone = || Sources {
        places: &nowhere,
        repository: None,
        variables: &variables,
        ticketflow: Layer::default(),
        flags: Layer::default(),
    };
    assert_eq!(load(alone()).unwrap().settings.rows().len(), Key::ALL.len());
    let flags = Layer { worktree_root: Some("~/x".parse().unwrap()), ..Layer::default() };
    let error = load(Sources { flags, ..alone() }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--worktree-root: `worktree-root` cannot be below `~`: `~` means nothing here: HOME is not set"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(content in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(parse(Path::new("x"), &content));
    }

    #[test]
    fn nothing_near_toml_panics_or_puts_an_escape_into_a_message(
        lines in proptest::collection::vec(
            r#"(base|timeout|grace|agent|flags|output-cap|x)? ?=? ?["'\[]?[-0-9a-z.\x1b\t~]{0,12}["'\]]?"#, 0..6),
    ) {
        if let Err(error) = parse(Path::new("x"), lines.join("\n").as_bytes()) {
            let message = error.to_string();
            prop_assert!(!message.chars().any(wording::is_unprintable), "{message:?}");
        }
    }
}
