//! Which file answers `/tf`, found before anything is started.
//!
//! pi gives a prompt whose template it does not find to the model as it is, and exits 0: money spent, nothing done.
//! So the template is looked for first, in this order: what the arguments name; the worktree's `.pi/prompts`; pi's
//! global prompts, settings and packages; the main checkout's `.pi/prompts`.
//!
//! The file that was found is then passed to pi, by `-np --prompt-template FILE` ([`PromptFound::template`]): tried
//! with 0.74.2 and 1.5.2, this makes pi use that file and no other. Left to itself, pi from 0.79 on skips the prompts of a
//! project that was not trusted, and a global prompt beats one that is merely named. Reading one text file of the
//! worktree that way does not trust the project: its settings and extensions stay unloaded.
//!
//! A command of an extension comes before any file, whatever is passed; that is pi's rule and cannot be changed here.

use std::path::{Path, PathBuf};

use super::args::{Discovery, PiArgs, Trust};
use super::resources::{self, Answer, Resources};
use super::version::{self, PiVersion};
use super::{Pi, files};

/// From this version on, pi loads a project's own settings, prompts and extensions only if it was told to trust it.
const PROJECT_TRUST: PiVersion = PiVersion::new(0, 79, 0);

/// Whether the prompt is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptCheck {
    /// Not finding it is an error.
    Required,
    /// pi is left to find it.
    Skip,
}

/// What a search needs to know.
#[derive(Debug, Clone, Copy)]
pub struct PromptSearch<'a> {
    /// What the prompt begins with.
    pub workflow: &'a str,
    /// The worktree.
    pub worktree: &'a Path,
    /// The main checkout, if there is one.
    pub main_checkout: Option<&'a Path>,
    /// pi's folder, see [`super::agent_dir`].
    pub agent_dir: Option<&'a Path>,
    /// The home folder.
    pub home: Option<&'a Path>,
    /// pi's program, as it was resolved.
    pub program: Option<&'a Path>,
    /// Its version, if it is known.
    pub version: Option<&'a PiVersion>,
    /// The further arguments of this session.
    pub extra_args: &'a [String],
    /// Whether to look at all.
    pub check: PromptCheck,
}

/// What will answer the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptFound {
    /// This file, which is to be passed to pi.
    File {
        /// The file.
        path: PathBuf,
        /// Where it was found.
        origin: Origin,
    },
    /// An extension, by the look of its source.
    Extension {
        /// The source.
        path: PathBuf,
    },
    /// No file was found, but not everything could be looked at: it may be there.
    Unseen {
        /// What could not be looked at.
        what: String,
    },
    /// Nothing has to: the workflow is plain words, or a skill, or the check was not wanted.
    NotNeeded,
}

/// Where a prompt file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was named in the arguments.
    Arguments,
    /// In the worktree.
    Worktree,
    /// Among pi's global prompts, or what its global settings name.
    Global,
    /// In a package of pi's.
    Package,
    /// In the main checkout.
    MainCheckout,
}

/// Why there is no prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// No file and no extension answers to it.
    #[error("could not find the prompt {name:?} of pi: looked for {}", places(looked))]
    Missing {
        /// The workflow's name, with its slash.
        name: String,
        /// The files that would have been taken.
        looked: Vec<PathBuf>,
    },
    /// No file can have that name.
    #[error("{name:?} cannot be the name of a prompt of pi")]
    BadName {
        /// The workflow's name, with its slash.
        name: String,
    },
}

impl PromptError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            // The last place is the main checkout's, or pi's own where there is none: what is written there counts
            // for every lane.
            Self::Missing { looked, .. } => match looked.last() {
                Some(place) => format!(
                    "write it to {place:?}, install the pi package that has it, or choose another workflow with \
                     --workflow"
                ),
                None => "install the pi package that has it, or choose another workflow with --workflow"
                    .to_owned(),
            },
            Self::BadName { .. } => "give the name of a prompt file, such as `/tf` for tf.md".to_owned(),
        }
    }
}

fn places(looked: &[PathBuf]) -> String {
    let mut places: Vec<String> = looked.iter().map(|path| format!("{path:?}")).collect();
    places.push("the settings, packages and extensions of pi".to_owned());
    places.join(", ")
}

impl PromptFound {
    /// The file to pass to pi ([`super::super::Invocation::prompt_template`]).
    pub fn template(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Extension { .. } | Self::Unseen { .. } | Self::NotNeeded => None,
        }
    }
}

/// Where a project keeps the file of a workflow's prompt, below its top. `None`: it has none.
pub fn prompt_inside(workflow: &str) -> Option<PathBuf> {
    let name = name_in(workflow).filter(|name| is_file_name(name))?;
    Some(Path::new(".pi/prompts").join(format!("{name}.md")))
}

/// The name of a workflow's prompt; plain words and skills have none.
fn name_in(workflow: &str) -> Option<&str> {
    let name = workflow.trim().strip_prefix('/')?.split_whitespace().next()?;
    (!name.starts_with("skill:")).then_some(name)
}

fn is_file_name(name: &str) -> bool {
    !name.contains(['/', '\0']) && !name.starts_with('.') && name.len() <= 200
}

impl Pi {
    /// Finds what will answer the prompt of a session of this pi.
    pub fn find_prompt(&self, search: &PromptSearch<'_>) -> Result<PromptFound, PromptError> {
        let Some(name) = name_in(search.workflow) else { return Ok(PromptFound::NotNeeded) };
        if search.check == PromptCheck::Skip {
            return Ok(PromptFound::NotNeeded);
        }
        if !is_file_name(name) {
            return Err(PromptError::BadName {
                name: format!("/{}", name.chars().take(60).collect::<String>()),
            });
        }
        let args = PiArgs::parse(self.arguments().iter().chain(search.extra_args));
        Places::new(search, &args, name).find()
    }
}

/// The places of one search.
struct Places<'a> {
    search: &'a PromptSearch<'a>,
    args: &'a PiArgs<'a>,
    name: &'a str,
    file_name: String,
    project: PathBuf,
    module_folders: Vec<PathBuf>,
}

impl<'a> Places<'a> {
    fn new(search: &'a PromptSearch<'a>, args: &'a PiArgs<'a>, name: &'a str) -> Self {
        // `npm install -g` puts pi and its packages side by side.
        let package = search.program.and_then(version::package).map(|(folder, _)| folder);
        let module_folders = package.iter().flat_map(|folder| folder.ancestors());
        Self {
            search,
            args,
            name,
            file_name: format!("{name}.md"),
            project: search.worktree.join(".pi"),
            module_folders: module_folders
                .filter(|folder| folder.ends_with("node_modules"))
                .map(Path::to_owned)
                .collect(),
        }
    }

    fn find(&self) -> Result<PromptFound, PromptError> {
        if let Some((path, origin)) = self.file() {
            return Ok(PromptFound::File { path, origin });
        }
        match self.other_answer() {
            Some(Answer::Extension(path)) => Ok(PromptFound::Extension { path }),
            Some(Answer::Unseen(what)) => Ok(PromptFound::Unseen { what }),
            None => Err(PromptError::Missing { name: format!("/{}", self.name), looked: self.looked() }),
        }
    }

    fn file(&self) -> Option<(PathBuf, Origin)> {
        self.named()
            .map(|path| (path, Origin::Arguments))
            .or_else(|| self.worktrees().map(|path| (path, Origin::Worktree)))
            .or_else(|| self.global())
            .or_else(|| {
                self.in_folder(&self.search.main_checkout?.join(".pi"))
                    .map(|path| (path, Origin::MainCheckout))
            })
    }

    fn named(&self) -> Option<PathBuf> {
        self.args.templates.iter().find_map(|named| {
            let path = files::expand_home(Path::new(named), self.search.home)?;
            let path = self.search.worktree.join(path);
            match path.is_dir() {
                true => readable(path.join(&self.file_name)),
                false => readable(path)
                    .filter(|path| path.file_name().is_some_and(|name| *name == *self.file_name)),
            }
        })
    }

    fn worktrees(&self) -> Option<PathBuf> {
        if self.args.trust == Trust::Refused {
            return None;
        }
        self.in_folder(&self.project).or_else(|| {
            let project = self.project_resources()?;
            project
                .prompt_of_settings(&self.file_name)
                .or_else(|| project.prompt_of_packages(&self.file_name))
        })
    }

    fn global(&self) -> Option<(PathBuf, Origin)> {
        let dir = self.search.agent_dir?;
        let global = self.global_resources()?;
        self.in_folder(dir)
            .or_else(|| global.prompt_of_settings(&self.file_name))
            .map(|path| (path, Origin::Global))
            .or_else(|| global.prompt_of_packages(&self.file_name).map(|path| (path, Origin::Package)))
    }

    fn in_folder(&self, folder: &Path) -> Option<PathBuf> {
        readable(folder.join("prompts").join(&self.file_name))
    }

    /// An extension, or something that was not seen.
    fn other_answer(&self) -> Option<Answer> {
        let named = self.args.extensions.iter().filter_map(|source| {
            match ["npm:", "git:", "http:", "https:", "ssh:", "github:"]
                .iter()
                .any(|kind| source.starts_with(kind))
            {
                true => Some(Answer::Unseen(format!("the extension {source:?}"))),
                false => {
                    let path = files::expand_home(Path::new(source), self.search.home)?;
                    resources::answer_of_extension(&self.search.worktree.join(path), self.name)
                }
            }
        });
        let mut answers: Vec<Answer> = named.collect();
        if self.args.discovery == Discovery::All {
            let loaded = [self.project_resources(), self.global_resources()];
            answers.extend(loaded.iter().flatten().filter_map(|found| found.answer_of_extensions(self.name)));
        }
        resources::first_certain(answers)
    }

    /// The worktree's own settings, if pi will load them: what it will not load is not even read.
    fn project_resources(&self) -> Option<Resources<'_>> {
        let trusted = match self.args.trust {
            Trust::Approved => true,
            Trust::Refused => false,
            Trust::Unsaid => self.search.version.is_some_and(|version| *version < PROJECT_TRUST),
        };
        trusted.then(|| Resources::read(&self.project, self.search.home, Vec::new()))
    }

    fn global_resources(&self) -> Option<Resources<'_>> {
        let dir = self.search.agent_dir?;
        Some(Resources::read(dir, self.search.home, self.module_folders.clone()))
    }

    fn looked(&self) -> Vec<PathBuf> {
        let main = self.search.main_checkout.map(|main| main.join(".pi"));
        let folders = [Some(self.project.clone()), self.search.agent_dir.map(Path::to_owned), main];
        folders.into_iter().flatten().map(|folder| folder.join("prompts").join(&self.file_name)).collect()
    }
}

fn readable(path: PathBuf) -> Option<PathBuf> {
    files::is_readable_file(&path).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    struct World {
        dir: tempfile::TempDir,
        pi: Pi,
        version: Option<PiVersion>,
        extra_args: Vec<String>,
        check: PromptCheck,
    }

    impl World {
        fn new() -> Self {
            Self {
                dir: tempfile::tempdir().unwrap(),
                pi: Pi::new("pi".to_owned(), Vec::new()).unwrap(),
                version: Some(PiVersion::new(0, 74, 2)),
                extra_args: Vec::new(),
                check: PromptCheck::Required,
            }
        }

        fn put(&self, path: &str, content: &str) -> PathBuf {
            let path = self.dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            path
        }

        fn find(&self, workflow: &str) -> Result<PromptFound, PromptError> {
            let at = |name: &str| self.dir.path().join(name);
            self.pi.find_prompt(&PromptSearch {
                workflow,
                worktree: &at("tree"),
                main_checkout: Some(&at("main")),
                agent_dir: Some(&at("agent")),
                home: Some(&at("home")),
                program: None,
                version: self.version.as_ref(),
                extra_args: &self.extra_args,
                check: self.check,
            })
        }
    }

    fn file(path: PathBuf, origin: Origin) -> Result<PromptFound, PromptError> {
        Ok(PromptFound::File { path, origin })
    }

    #[test]
    fn the_worktrees_prompt_comes_first_then_pis_then_the_main_checkouts() {
        for version in [Some(PiVersion::new(0, 74, 2)), Some(PiVersion::new(1, 5, 2)), None] {
            let mut world = World::new();
            world.version = version;
            assert!(matches!(world.find("/tf"), Err(PromptError::Missing { .. })));
            let main = world.put("main/.pi/prompts/tf.md", "x");
            assert_eq!(world.find("/tf"), file(main, Origin::MainCheckout));
            world.put("agent/settings.json", r#"{"packages":["./pk"],"prompts":["more"]}"#);
            let package = world.put("agent/pk/prompts/tf.md", "x");
            assert_eq!(world.find("/tf"), file(package, Origin::Package));
            let settings = world.put("agent/more/tf.md", "x");
            assert_eq!(world.find("/tf"), file(settings, Origin::Global));
            let global = world.put("agent/prompts/tf.md", "x");
            assert_eq!(world.find("/tf"), file(global, Origin::Global));
            let worktree = world.put("tree/.pi/prompts/tf.md", "x");
            assert_eq!(world.find("/tf"), file(worktree.clone(), Origin::Worktree));
            assert_eq!(world.find(" /tf with words ").unwrap().template(), Some(worktree.as_path()));
            let named = world.put("tree/named/tf.md", "x");
            world.extra_args = vec!["--prompt-template".to_owned(), "named".to_owned()];
            assert_eq!(world.find("/tf"), file(named.clone(), Origin::Arguments));
            world.extra_args = vec!["--prompt-template".to_owned(), named.to_str().unwrap().to_owned()];
            assert_eq!(world.find("/tf"), file(named, Origin::Arguments));
        }
    }

    #[test]
    fn a_missing_prompt_names_every_place_and_what_to_do() {
        let world = World::new();
        world.put("tree/.pi/prompts/tf.txt", "x");
        world.put("tree/.pi/prompts/TF.md", "x");
        fs::create_dir_all(world.dir.path().join("main/.pi/prompts/tf.md")).unwrap();
        let error = world.find("/tf").unwrap_err();
        for place in ["tree/.pi/prompts/tf.md", "agent/prompts/tf.md", "main/.pi/prompts/tf.md", "packages"] {
            assert!(error.to_string().contains(place), "{error}");
        }
        assert!(error.hint().contains("main/.pi/prompts/tf.md"), "{}", error.hint());
    }

    #[test]
    fn plain_words_and_skills_need_no_file_and_the_check_can_be_left_out() {
        let mut world = World::new();
        for workflow in ["Solve this ticket", "/skill:tf", "/"] {
            assert_eq!(world.find(workflow), Ok(PromptFound::NotNeeded), "{workflow}");
        }
        world.check = PromptCheck::Skip;
        assert_eq!(world.find("/tf"), Ok(PromptFound::NotNeeded));
    }

    #[test]
    fn a_name_never_leads_out_of_a_prompt_folder() {
        let world = World::new();
        world.put("tree/.pi/secret.md", "x");
        for workflow in ["/../secret", "/a/b", "//x", "/.hidden", "/..", &format!("/{}", "x".repeat(300))] {
            assert!(matches!(world.find(workflow), Err(PromptError::BadName { .. })), "{workflow}");
        }
    }

    #[test]
    fn the_settings_of_a_project_count_only_where_pi_loads_them() {
        let mut world = World::new();
        world.put("tree/.pi/settings.json", r#"{"prompts":["elsewhere"]}"#);
        let elsewhere = world.put("tree/.pi/elsewhere/tf.md", "x");
        assert_eq!(world.find("/tf"), file(elsewhere.clone(), Origin::Worktree));
        for version in [None, Some(PiVersion::new(0, 79, 0))] {
            world.version = version;
            assert!(world.find("/tf").is_err());
        }
        world.extra_args = vec!["--approve".to_owned()];
        assert_eq!(world.find("/tf"), file(elsewhere, Origin::Worktree));

        world.put("tree/.pi/prompts/tf.md", "x");
        let global = world.put("agent/prompts/tf.md", "x");
        world.extra_args = vec!["--no-approve".to_owned()];
        assert_eq!(world.find("/tf"), file(global, Origin::Global));
    }

    #[test]
    fn an_extension_that_may_answer_is_no_reason_to_refuse() {
        let mut world = World::new();
        let source = world.put("agent/extensions/x.ts", "pi.registerCommand(\"tf\", {})");
        assert_eq!(world.find("/tf"), Ok(PromptFound::Extension { path: source }));
        assert!(world.find("/other").is_err());
        world.extra_args = vec!["-ne".to_owned()];
        assert!(world.find("/tf").is_err());
        let named = world.put("tree/named.ts", "pi.registerCommand(\"tf\", {})");
        world.extra_args.extend(["-e".to_owned(), "named.ts".to_owned()]);
        assert_eq!(world.find("/tf"), Ok(PromptFound::Extension { path: named }));
        world.extra_args = vec!["-e".to_owned(), "npm:x".to_owned()];
        assert!(matches!(world.find("/other"), Ok(PromptFound::Unseen { .. })));
        assert_eq!(world.find("/other").unwrap().template(), None);
    }

    #[test]
    fn packages_beside_pi_itself_are_found() {
        let world = World::new();
        let cli = world.put("lib/node_modules/@e/pi-coding-agent/dist/cli.js", "");
        world.put(
            "lib/node_modules/@e/pi-coding-agent/package.json",
            r#"{"name":"@e/pi-coding-agent","version":"0.74.2"}"#,
        );
        world.put("agent/settings.json", r#"{"packages":["npm:flows"]}"#);
        let found = world.put("lib/node_modules/flows/prompts/tf.md", "x");
        let at = |name: &str| world.dir.path().join(name);
        let search = PromptSearch {
            workflow: "/tf",
            worktree: &at("tree"),
            main_checkout: None,
            agent_dir: Some(&at("agent")),
            home: None,
            program: Some(&cli),
            version: None,
            extra_args: &[],
            check: PromptCheck::Required,
        };
        let origin = Origin::Package;
        assert_eq!(
            world.pi.find_prompt(&search),
            Ok(PromptFound::File { path: fs::canonicalize(found).unwrap(), origin })
        );
    }

    #[test]
    fn what_is_no_regular_file_is_no_prompt() {
        let world = World::new();
        let folder = world.dir.path().join("tree/.pi/prompts");
        fs::create_dir_all(&folder).unwrap();
        let real = world.put("real.md", "x");
        std::os::unix::fs::symlink("/dev/zero", folder.join("device.md")).unwrap();
        std::os::unix::fs::symlink("/nowhere", folder.join("dangling.md")).unwrap();
        std::os::unix::fs::symlink(real, folder.join("link.md")).unwrap();
        assert!(world.find("/device").is_err());
        assert!(world.find("/dangling").is_err());
        assert_eq!(world.find("/link").unwrap().template(), Some(folder.join("link.md").as_path()));
    }

    proptest! {
        #[test]
        fn no_workflow_and_no_settings_make_it_panic(workflow: String, settings: String) {
            let world = World::new();
            world.put("tree/.pi/settings.json", &settings);
            world.put("agent/settings.json", &settings);
            drop(world.find(&workflow));
            drop(world.find("/tf"));
        }
    }
}
