//! Which engine writes a commit's files as git itself would: libgit2 where it can, else the `git` program.
//!
//! The answer rests on settings and on the attributes that the commit brings along. It errs towards the program:
//! an attribute that looks like one libgit2 cannot honour counts, wherever it stands in its file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::config::Settings;
use super::repo::{Backend, Repo};
use super::why::WhyGitProgram;
use super::{CommitId, GitError};
use crate::durable;

/// What writes the files of a worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// libgit2, in this process.
    Libgit2,
    /// The `git` program, and why.
    GitProgram(WhyGitProgram),
}

/// The parts of a filter's settings that name a command.
const FILTER_COMMANDS: [&str; 3] = ["clean", "smudge", "process"];
/// What a checkout goes by, beside filters and attributes.
const CHECKOUT_SETTINGS: [&str; 9] = [
    "core.autocrlf",
    "core.eol",
    "core.safecrlf",
    "core.symlinks",
    "core.filemode",
    "core.ignorecase",
    "core.protecthfs",
    "core.protectntfs",
    "core.attributesfile",
];
/// git ignores an attributes file that is larger.
const ATTRIBUTES_LIMIT: u64 = 100 << 20;

/// What a commit's attributes ask for, each with the file that says so.
#[derive(Debug, Default)]
struct Asked {
    filters: BTreeMap<String, String>,
    encoding: bool,
}

impl Repo {
    /// What has to write the files of `commit`. Refuses filters that would run a program out of the worktree.
    pub fn engine_for(&self, commit: &CommitId) -> Result<Engine, GitError> {
        let settings = self.settings()?;
        let filters = configured_filters(&settings)?;
        let mut why = match self.backend() {
            Backend::Program(why) => Some(why.clone()),
            Backend::Libgit2(repo) => match why_by_settings(&settings, self.git_dir())? {
                None => why_by_other_settings(&settings, repo)?,
                why => why,
            },
        };
        // The attributes matter for what a filter may run, even where the program is needed for another reason.
        if why.is_none() || !filters.is_empty() {
            let asked = self.asked_by(commit, &settings)?;
            for (name, used_by) in &asked.filters {
                if let Some(commands) = filters.get(name) {
                    refuse_relative(name, commands, used_by)?;
                    why.get_or_insert_with(|| WhyGitProgram::Filter(name.clone()));
                }
            }
            if asked.encoding {
                why.get_or_insert(WhyGitProgram::WorkingTreeEncoding);
            }
        }
        Ok(why.or_else(why_by_umask).map_or(Engine::Libgit2, Engine::GitProgram))
    }

    /// Why git itself has to register a new worktree, where it has to.
    pub(super) fn why_git_registers(&self) -> Result<Option<WhyGitProgram>, GitError> {
        let own = Settings::own(self.common_dir(), self.git_dir())?;
        if own.flag("core.sparseCheckout") {
            return Ok(Some(WhyGitProgram::SparseCheckout));
        }
        let copied = own.flag("extensions.worktreeConfig") && self.git_dir().join("config.worktree").exists();
        Ok(copied.then_some(WhyGitProgram::WorktreeConfig))
    }

    /// Settings for a call of the program that turn off every filter that `commit` does not ask for: what someone
    /// configured after that commit was checked out does not run.
    pub(super) fn filters_off_but_for(&self, commit: &CommitId) -> Result<Vec<(String, String)>, GitError> {
        let settings = self.settings()?;
        let filters = configured_filters(&settings)?;
        if filters.is_empty() {
            return Ok(Vec::new());
        }
        let asked = self.asked_by(commit, &settings)?;
        let mut off = Vec::new();
        for (name, commands) in &filters {
            let wanted = asked.filters.get(name);
            if wanted.is_some_and(|used_by| refuse_relative(name, commands, used_by).is_ok()) {
                continue;
            }
            off.extend(FILTER_COMMANDS.map(|part| (format!("filter.{name}.{part}"), String::new())));
            off.push((format!("filter.{name}.required"), "false".to_owned()));
        }
        Ok(off)
    }

    fn asked_by(&self, commit: &CommitId, settings: &Settings) -> Result<Asked, GitError> {
        let mut asked = Asked::default();
        for file in attribute_files(settings, self.common_dir()) {
            if let Some(content) = read_attributes(&file)? {
                asked.note(&content, &file.to_string_lossy());
            }
        }
        match self.backend() {
            Backend::Libgit2(repo) => walk_attributes(repo, commit, &mut asked)?,
            Backend::Program(_) => self.list_attributes(commit, &mut asked)?,
        }
        Ok(asked)
    }

    fn list_attributes(&self, commit: &CommitId, asked: &mut Asked) -> Result<(), GitError> {
        let mut objects = Vec::new();
        let mut rest = Vec::new();
        let call = self.fetching().args(["ls-tree", "-r", "-z", "--full-tree", commit.as_str()]);
        call.run_streaming(&mut |bytes| {
            rest.extend_from_slice(bytes);
            while let Some(end) = rest.iter().position(|b| *b == 0) {
                let record: Vec<u8> = rest.drain(..=end).collect();
                objects.extend(attributes_object(&record));
            }
            true
        })?
        .into_stdout()?;
        for object in objects {
            let content = self.fetching().args(["cat-file", "blob", &object]).succeed()?;
            asked.note(&content, ".gitattributes");
        }
        Ok(())
    }
}

fn walk_attributes(repo: &git2::Repository, commit: &CommitId, asked: &mut Asked) -> Result<(), GitError> {
    let failed = |e| GitError::libgit2("read the files of the commit", commit, e);
    let top = repo.find_commit(commit.oid()?).and_then(|c| c.tree()).map_err(failed)?;
    let odb = repo.odb().map_err(failed)?;
    // A tree may be as deep as its author likes: no recursion.
    let mut left = vec![top];
    while let Some(tree) = left.pop() {
        for entry in &tree {
            match entry.kind() {
                Some(git2::ObjectType::Tree) => left.push(repo.find_tree(entry.id()).map_err(failed)?),
                Some(git2::ObjectType::Blob) if entry.name_bytes() == b".gitattributes" => {
                    let (size, _) = odb.read_header(entry.id()).map_err(failed)?;
                    if size as u64 <= ATTRIBUTES_LIMIT {
                        asked.note(odb.read(entry.id()).map_err(failed)?.data(), ".gitattributes");
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The object of a `ls-tree` record that is an attributes file.
fn attributes_object(record: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(record.strip_suffix(b"\0")?).ok()?;
    let (facts, path) = text.split_once('\t')?;
    let name = path.rsplit('/').next()?;
    (name == ".gitattributes" && facts.starts_with("100"))
        .then(|| facts.rsplit(' ').next().map(str::to_owned))?
}

impl Asked {
    /// Notes what an attributes file asks for. Patterns are not looked at.
    fn note(&mut self, content: &[u8], file: &str) {
        let words = content.split(u8::is_ascii_whitespace).filter_map(|w| std::str::from_utf8(w).ok());
        for word in words {
            if let Some(name) = word.strip_prefix("filter=") {
                self.filters.entry(name.to_owned()).or_insert_with(|| file.to_owned());
            }
            self.encoding |= word.starts_with("working-tree-encoding=");
        }
    }
}

/// The attribute files outside the commit that git reads too.
pub(super) fn attribute_files(settings: &Settings, common: &Path) -> Vec<PathBuf> {
    let mut files = vec![common.join("info/attributes"), PathBuf::from("/etc/gitattributes")];
    match settings.attributes_file() {
        Some(file) => files.push(file),
        // Beside the user's configuration, wherever that turns out to be.
        None => {
            let beside = |file: PathBuf, name: &str| file.parent().map(|folder| folder.join(name));
            files.extend(git2::Config::find_xdg().ok().and_then(|f| beside(f, "attributes")));
            files.extend(git2::Config::find_global().ok().and_then(|f| beside(f, ".config/git/attributes")));
        }
    }
    files
}

pub(super) fn read_attributes(file: &Path) -> Result<Option<Vec<u8>>, GitError> {
    // The user's own file may well be a link into a collection of settings.
    match file.canonicalize() {
        Ok(real) if real.is_file() => Ok(durable::read(&real, ATTRIBUTES_LIMIT)?),
        // `/dev/null` says that there are none.
        Ok(_) | Err(_) => Ok(None),
    }
}

/// The filters that are configured, each with its commands.
fn configured_filters(settings: &Settings) -> Result<BTreeMap<String, Vec<String>>, GitError> {
    let mut filters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, _) in settings.matching("filter.*")? {
        let Some((name, part)) = key.strip_prefix("filter.").and_then(|rest| rest.rsplit_once('.')) else {
            continue;
        };
        if FILTER_COMMANDS.contains(&part)
            && let Some(command) = settings.text(&key).filter(|command| !command.is_empty())
        {
            filters.entry(name.to_owned()).or_default().push(command);
        }
    }
    Ok(filters)
}

fn refuse_relative(name: &str, commands: &[String], used_by: &str) -> Result<(), GitError> {
    match commands.iter().find(|command| is_relative(command)) {
        None => Ok(()),
        Some(command) => Err(GitError::RelativeFilter {
            filter: name.to_owned(),
            used_by: used_by.to_owned(),
            command: command.clone(),
        }),
    }
}

/// Whether a command's program is a path that means another file in every folder.
pub(super) fn is_relative(command: &str) -> bool {
    let program = command.split_whitespace().next().unwrap_or_default().trim_start_matches(['"', '\'']);
    program.contains('/') && !program.starts_with(['/', '~', '$'])
}

fn why_by_settings(settings: &Settings, git_dir: &Path) -> Result<Option<WhyGitProgram>, GitError> {
    let promisor = settings.matching("remote.*.promisor")?.iter().any(|(_, value)| value != "false");
    let worktree_config =
        settings.flag("extensions.worktreeConfig") && git_dir.join("config.worktree").exists();
    let reasons = [
        (promisor, WhyGitProgram::PartialClone),
        (
            settings.flag("core.sparseCheckout") || settings.flag("index.sparse"),
            WhyGitProgram::SparseCheckout,
        ),
        (settings.flag("core.splitIndex"), WhyGitProgram::SplitIndex),
        (worktree_config, WhyGitProgram::WorktreeConfig),
    ];
    Ok(reasons.into_iter().find_map(|(applies, why)| applies.then_some(why)))
}

/// Whether libgit2 would write files by other settings than git.
fn why_by_other_settings(
    settings: &Settings,
    repo: &git2::Repository,
) -> Result<Option<WhyGitProgram>, GitError> {
    if matches!(settings, Settings::Read(_)) {
        return Ok(None);
    }
    let libgit2s = Settings::of(repo)?;
    let differs = |key: &str| settings.text(key) != libgit2s.text(key);
    Ok(CHECKOUT_SETTINGS.iter().any(|key| differs(key)).then_some(WhyGitProgram::OtherSettings))
}

/// libgit2 makes files 0644 and 0755 at most; git leaves it to the umask alone.
fn why_by_umask() -> Option<WhyGitProgram> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    let umask = u32::from_str_radix(line.trim(), 8).ok()?;
    (umask & 0o022 != 0o022).then_some(WhyGitProgram::Umask)
}
