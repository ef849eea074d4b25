use super::*;
use crate::git::WhyGitProgram;
use crate::process::filesystem::FileSystem;

fn trouble(why: &str) -> Trouble {
    Trouble { why: why.to_owned(), advice: Some("do this".to_owned()) }
}

fn version(text: &str) -> PiVersion {
    text.parse().unwrap()
}

/// A pi of this version on a Node of that version, where all is well but for these.
fn pi_on_node(pi: Option<&str>, node: Option<&str>) -> Pi {
    Pi {
        program: Ok(("/bin/pi".into(), pi.map(version))),
        runs_on: RunsOn::Node,
        node: Ok(Node { path: "/bin/node".into(), version: node.map(version) }),
        prompt: Ok(Prompt { name: "/tf".to_owned(), found: Answer::Committed(".pi/prompts/tf.md".into()) }),
        provider: ProviderSigns { variables: vec!["OPENAI_API_KEY".to_owned()], ..ProviderSigns::default() },
    }
}

fn folder_on(magic: u32, used: Use) -> Folder {
    Folder { path: "/x/y".into(), stands: Stands::There, on: Ok(FileSystem::of_magic(magic)), used }
}

const EXT4: u32 = 0xef53;
const NFS: u32 = 0x6969;

fn refused() -> io::Error {
    io::Error::from_raw_os_error(13)
}

fn repository() -> Repository {
    Repository {
        path: "/x".into(),
        bare: false,
        base: Ok(("main".to_owned(), "0123456789".to_owned())),
        engine: Some(Ok(Engine::Direct)),
        store: folder_on(EXT4, Use::Sound),
        worktrees: folder_on(EXT4, Use::Sound),
    }
}

fn all_well() -> Facts {
    Facts {
        inside: None,
        git: Ok(Git { path: "/bin/git".into(), version: "2.47.3".to_owned() }),
        settings: Ok(Vec::new()),
        agent: Agent::Pi(Box::new(pi_on_node(Some("1.5.2"), Some("v22.23.0")))),
        place: Place::Inside(Box::new(repository())),
        kernel: Feature::ALL.map(|feature| (feature, Ok(()))).into(),
        temporary: folder_on(EXT4, Use::Sound),
    }
}

#[test]
fn where_all_is_well_every_finding_says_so_and_none_advises() {
    for finding in judge(&all_well()) {
        assert_eq!((finding.status, &finding.advice), (Status::Ok, &None), "{finding:?}");
    }
}

#[test]
fn each_check_has_a_name_of_its_own() {
    let mut facts = all_well();
    facts.inside = Some("x".to_owned());
    let findings = judge(&facts);
    for (at, finding) in findings.iter().enumerate() {
        assert!(findings.iter().skip(at + 1).all(|other| other.check != finding.check), "{}", finding.check);
    }
}

#[test]
fn whatever_is_not_ok_comes_with_advice() {
    let mut facts = all_well();
    facts.inside = Some("x".to_owned());
    facts.git = Err(trouble("no git"));
    facts.settings = Err(trouble("bad settings"));
    facts.agent = Agent::Unusable(trouble("no agent"));
    facts.place = Place::Unusable(trouble("no repository"));
    facts.kernel = Feature::ALL.map(|feature| (feature, Err(refused()))).into();
    facts.temporary = folder_on(EXT4, Use::NotWritable(refused()));
    for finding in judge(&facts) {
        assert!(finding.status != Status::Ok && finding.advice.is_some(), "{finding:?}");
    }
}

#[test]
fn git_is_judged_by_its_version() {
    let cases = [
        ("2.47.3", Status::Ok),
        ("2.38.0", Status::Ok),
        ("3.0.0", Status::Ok),
        ("2.39.5 (Apple Git-154)", Status::Ok),
        ("2.45.windows.1", Status::Ok),
        ("2.37.9", Status::Missing),
        ("1.99.0", Status::Missing),
        ("unheard of", Status::Warning),
        ("", Status::Warning),
        ("2", Status::Warning),
    ];
    for (text, status) in cases {
        let finding = git(&Ok(Git { path: "/bin/git".into(), version: text.to_owned() }));
        assert_eq!(finding.status, status, "{text:?}");
    }
    assert_eq!(git(&Err(trouble("none"))).status, Status::Missing);
}

#[test]
fn node_is_judged_by_what_this_pi_needs() {
    let cases = [
        // pi, Node, judgement
        (Some("0.74.2"), Some("20.20.2"), Status::Ok),
        (Some("0.74.2"), Some("18.0.0"), Status::Missing),
        (Some("0.75.0"), Some("20.20.2"), Status::Missing),
        (Some("0.75.0"), Some("22.18.0"), Status::Missing),
        (Some("0.75.0"), Some("22.19.0"), Status::Ok),
        (Some("1.5.2"), Some("24.0.0"), Status::Ok),
        (Some("1.5.2"), None, Status::Warning),
        (None, Some("20.20.2"), Status::Warning),
        (None, Some("22.19.0"), Status::Ok),
    ];
    for (pi, found, status) in cases {
        assert_eq!(node(&pi_on_node(pi, found)).status, status, "pi {pi:?} on Node {found:?}");
    }
}

#[test]
fn a_node_that_is_not_there_matters_only_to_a_pi_that_runs_on_it() {
    let mut pi = pi_on_node(Some("1.5.2"), None);
    pi.node = Err(trouble("no node"));
    assert_eq!(node(&pi).status, Status::Missing);
    pi.runs_on = RunsOn::Itself;
    assert_eq!(node(&pi).status, Status::Skipped);
    pi.program = Err(trouble("no pi"));
    assert_eq!(node(&pi).status, Status::Warning);
    pi.node = Ok(Node { path: "/bin/node".into(), version: Some(version("18.0.0")) });
    pi.program = Ok(("/bin/pi".into(), Some(version("1.5.2"))));
    assert_eq!(node(&pi).status, Status::Warning, "an old Node that does not run this pi");
}

#[test]
fn pi_may_be_old_or_of_no_known_version() {
    let judged = |version| pi(&pi_on_node(version, None)).status;
    assert_eq!(
        [judged(Some("0.74.0")), judged(Some("0.73.9")), judged(None)],
        [Status::Ok, Status::Warning, Status::Ok]
    );
    let mut none = pi_on_node(None, None);
    none.program = Err(trouble("none"));
    let finding = pi(&none);
    assert_eq!(finding.status, Status::Missing);
    assert!(finding.advice.unwrap().contains("npm install -g"));
}

#[test]
fn another_agent_than_pi_needs_neither_node_nor_provider_nor_prompt() {
    let mut facts = all_well();
    facts.agent = Agent::Other(Ok("/bin/other".into()));
    let checks: Vec<_> = judge(&facts).iter().map(|finding| finding.check).collect();
    assert!(checks.contains(&"agent"));
    for check in ["pi", "node", "provider", "prompt"] {
        assert!(!checks.contains(&check), "{check}");
    }
    facts.agent = Agent::Other(Err(trouble("none")));
    assert!(judge(&facts).iter().any(|f| f.check == "agent" && f.status == Status::Missing));
}

#[test]
fn one_sign_of_a_provider_is_enough() {
    assert_eq!(provider(&ProviderSigns::default()).status, Status::Missing);
    let name = || vec!["a-name".to_owned()];
    let signs = [
        ProviderSigns { logged_in: name(), ..ProviderSigns::default() },
        ProviderSigns { own: name(), ..ProviderSigns::default() },
        ProviderSigns { default_provider: Some("a-name".to_owned()), ..ProviderSigns::default() },
        ProviderSigns { variables: name(), ..ProviderSigns::default() },
    ];
    for signs in signs {
        let finding = provider(&signs);
        assert_eq!(finding.status, Status::Ok);
        assert!(finding.detail.contains("a-name"), "{finding:?}");
    }
    let unread = ProviderSigns { unread_models: true, ..ProviderSigns::default() };
    assert_eq!(provider(&unread).status, Status::Ok);
}

#[test]
fn the_prompt_is_needed_where_there_is_a_repository() {
    let here = Place::Inside(Box::new(repository()));
    let nowhere = Place::Outside { trouble: trouble("none"), asked: Asked::Here };
    assert_eq!(prompt(&Err(trouble("none")), &here).status, Status::Missing);
    assert_eq!(prompt(&Err(trouble("none")), &nowhere).status, Status::Skipped);
    let found = |found| prompt(&Ok(Prompt { name: "/tf".to_owned(), found }), &here);
    let file = |origin| Answer::Elsewhere(PromptFound::File { path: "/p/tf.md".into(), origin });
    for origin in [Origin::Arguments, Origin::Worktree, Origin::Global, Origin::Package, Origin::MainCheckout]
    {
        let finding = found(file(origin));
        assert_eq!(finding.status, Status::Ok);
        assert!(finding.detail.contains("/p/tf.md"), "{finding:?}");
    }
    assert!(found(Answer::NotCommitted("/p/tf.md".into())).detail.contains("not committed"));
    assert_eq!(found(Answer::Elsewhere(PromptFound::NotNeeded)).status, Status::Ok);
    let unseen = PromptFound::Unseen { what: "a package".to_owned() };
    assert_eq!(found(Answer::Elsewhere(unseen)).status, Status::Warning);
}

#[test]
fn a_folder_that_is_no_repository_matters_only_when_it_was_named() {
    let judged = |asked| place(&Place::Outside { trouble: trouble("none"), asked })[0].status;
    assert_eq!(judged(Asked::Here), Status::Skipped);
    assert_eq!(judged(Asked::Named), Status::Missing);
    assert_eq!(place(&Place::Unusable(trouble("sha256")))[0].status, Status::Missing);
}

#[test]
fn what_checks_files_out_is_said_with_its_reason() {
    let judged = |engine| {
        let findings = inside_repository(&Repository { engine: Some(engine), ..repository() });
        findings.into_iter().find(|finding| finding.check == "checkout").unwrap()
    };
    assert_eq!(judged(Ok(Engine::Direct)).status, Status::Ok);
    let lfs = judged(Ok(Engine::GitProgram(WhyGitProgram::Filter("lfs".to_owned()))));
    assert_eq!(lfs.status, Status::Ok);
    assert!(lfs.detail.contains("git program") && lfs.detail.contains("\"lfs\""), "{lfs:?}");
    let in_part = judged(Ok(Engine::Shared(WhyGitProgram::Filter("lfs".to_owned()))));
    assert!(in_part.detail.contains("in part by the git program: it uses the filter"), "{in_part:?}");
    assert_eq!(judged(Err(trouble("a relative filter"))).status, Status::Missing);
    let unborn = Repository { base: Err(trouble("no commit")), engine: None, ..repository() };
    assert_eq!(inside_repository(&unborn)[0].status, Status::Missing);
}

#[test]
fn a_file_system_is_judged_by_where_its_files_are() {
    let cases = [
        (EXT4, Status::Ok, "ext4"),
        (0x0102_1994, Status::Ok, "gone after a reboot"),
        (0x1234, Status::Ok, "0x1234"),
        (NFS, Status::Warning, "locks may not hold"),
        (0x6573_5546, Status::Warning, "its choice"),
        (0x4d44, Status::Warning, "no permissions"),
    ];
    for (magic, status, said) in cases {
        let finding = folder("store", &folder_on(magic, Use::Sound));
        assert_eq!(finding.status, status, "{finding:?}");
        assert!(finding.detail.contains(said), "{finding:?}");
    }
}

#[test]
fn a_folder_has_to_be_writable_lockable_and_a_folder() {
    let judged = |stands, used| folder("worktrees", &Folder { stands, ..folder_on(EXT4, used) });
    assert_eq!(judged(Stands::NotYet, Use::Sound).status, Status::Ok);
    assert_eq!(judged(Stands::There, Use::NotWritable(refused())).status, Status::Missing);
    assert_eq!(judged(Stands::NotYet, Use::NotWritable(refused())).status, Status::Missing);
    assert_eq!(judged(Stands::There, Use::NoLocks(refused())).status, Status::Missing);
    assert_eq!(judged(Stands::InTheWay, Use::Sound).status, Status::Missing);
    let link = judged(Stands::Link, Use::Sound);
    assert_eq!(link.status, Status::Missing);
    assert!(link.advice.unwrap().contains("worktree-root"));
    let temp = Folder { stands: Stands::Link, ..folder_on(EXT4, Use::Sound) };
    assert_eq!(folder("temp", &temp).status, Status::Ok, "a temp directory may be a link");
}

#[test]
fn settings_that_say_something_are_a_warning_and_broken_ones_are_missing() {
    assert_eq!(settings(&Ok(vec!["not approved".to_owned()])).status, Status::Warning);
    assert_eq!(settings(&Err(trouble("line 3"))).status, Status::Missing);
}
