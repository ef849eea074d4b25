//! Which engine writes a commit's files as git itself would: ralph, or the `git` program where names are odd or the file
//! system is, or where git keeps more than files and an index. Files that need a filter or another encoding are git's to
//! write, and the others ralph's.
//!
//! The answer rests on settings and on the attributes that the commit brings along. It errs towards the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::attributes::{Asked, attribute_files, read_attributes};
use super::config::{Settings, Switch};
use super::conversions::{self, LineEnds};
use super::listing::{Listing, list};
use super::program::AtATime;
use super::relative::runs_from_tree;
use super::repo::{Backend, Repo};
use super::why::WhyGitProgram;
use super::{CommitId, GitError, Worktree};

/// What writes the files of a worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// ralph itself, several files at a time.
    Direct,
    /// ralph, but for files that the `git` program has to write, and why.
    Shared(WhyGitProgram),
    /// The `git` program, and why.
    GitProgram(WhyGitProgram),
}

/// What writes the files of a commit, with what it needs for that.
pub(super) enum Route {
    Direct(Listing),
    Shared(Listing, WhyGitProgram, AtATime),
    GitProgram(WhyGitProgram, AtATime),
}

/// The parts of a filter's settings that name a command.
const FILTER_COMMANDS: [&str; 3] = ["clean", "smudge", "process"];
/// What git takes for a switch before it writes any file, beside `core.autocrlf`, which may be `input` too.
const SWITCHES: [&str; 5] =
    ["core.symlinks", "core.ignorecase", "core.filemode", "core.protecthfs", "core.protectntfs"];

impl Repo {
    /// What has to write the files of `commit`. Refuses filters that would run a program out of the worktree.
    pub fn engine_for(&self, commit: &CommitId) -> Result<Engine, GitError> {
        Ok(match self.route_for(commit, None)? {
            Route::Direct(_) => Engine::Direct,
            Route::Shared(_, why, _) => Engine::Shared(why),
            Route::GitProgram(why, _) => Engine::GitProgram(why),
        })
    }

    /// What has to write the files of `commit`, with what it needs for that: see [`Repo::engine_for`]. They are those of
    /// this worktree, whose branch and registration settings may depend on.
    pub(super) fn route_for(
        &self,
        commit: &CommitId,
        worktree: Option<&Worktree>,
    ) -> Result<Route, GitError> {
        let settings =
            self.settings_for(worktree.map(|tree| (tree.admin_dir.as_path(), tree.path.as_path())))?;
        let filters = configured_filters(&settings)?;
        let why = self.why_from_the_first_file(&settings)?;
        let mut at_a_time = AtATime::One;
        let mut plain = None;
        let mut odd = WhyGitProgram::OddNames;
        // Why some of the files are git's to write.
        let mut in_part = None;
        // The attributes matter for what a filter may run, and for how many files git may write at a time, even where the
        // program is needed for another reason.
        let is_told = tells_attributes(why.as_ref(), &settings);
        if is_told || !filters.is_empty() {
            let (asked, mut listing) = self.asked_by(commit, &settings)?;
            if is_told && !asked.encoding {
                at_a_time = AtATime::Several;
            }
            for (name, used_by) in &asked.filters {
                if let Some(commands) = filters.get(name) {
                    self.refuse_relative(commit, name, commands, used_by)?;
                    in_part.get_or_insert_with(|| WhyGitProgram::Filter(name.clone()));
                }
            }
            if asked.encoding {
                in_part.get_or_insert(WhyGitProgram::WorkingTreeEncoding);
            }
            if asked.by_link {
                in_part.get_or_insert(WhyGitProgram::LinkedAttributes);
            }
            let ends = LineEnds::of(&settings);
            let by_settings = why_by_odd_settings(&settings, ends);
            if why.is_some() || by_settings.is_some() {
                listing = None;
            }
            odd = by_settings.unwrap_or(WhyGitProgram::OddNames);
            if let (Some(listing), Some(ends)) = (&mut listing, ends)
                && (asked.rewrites || ends.rewrite() || in_part.is_some())
            {
                let files = attribute_files(&settings, self.common_dir(), self.program());
                let read = |file: &PathBuf| read_attributes(file).map(Option::unwrap_or_default);
                let below = files.below.iter().map(read).collect::<Result<Vec<_>, _>>()?;
                let above = read_attributes(&files.above)?;
                let is_filter = |name: &str| filters.contains_key(name);
                let needed = conversions::plan(listing, &asked, (&below, above.as_deref()), ends, &is_filter);
                for name in &needed {
                    let used_by = asked.filters.get(name).map_or("an attributes file", String::as_str);
                    self.refuse_relative(
                        commit,
                        name,
                        filters.get(name).map_or(&[], Vec::as_slice),
                        used_by,
                    )?;
                }
            }
            plain = listing;
        }
        Ok(match (why, plain, in_part) {
            (Some(why), _, _) | (None, None, Some(why)) => Route::GitProgram(why, at_a_time),
            (None, Some(listing), Some(why)) if listing.is_shared() => Route::Shared(listing, why, at_a_time),
            (None, Some(listing), _) => Route::Direct(listing),
            (None, None, None) => Route::GitProgram(odd, at_a_time),
        })
    }

    /// How many files of `commit` git may write at a time, in the worktree with this registration and folder.
    pub(super) fn files_at_a_time(
        &self,
        commit: &CommitId,
        (admin, top): (&Path, &Path),
    ) -> Result<AtATime, GitError> {
        let settings = self.settings_for(Some((admin, top)))?;
        if !tells_attributes(self.why_from_the_first_file(&settings)?.as_ref(), &settings) {
            return Ok(AtATime::One);
        }
        let (asked, _) = self.asked_by(commit, &settings)?;
        Ok(if asked.encoding { AtATime::One } else { AtATime::Several })
    }

    /// The settings that count for a checkout, in the worktree with this registration and folder where there is one.
    fn settings_for(&self, worktree: Option<(&Path, &Path)>) -> Result<Settings, GitError> {
        let settings = self.settings()?;
        match worktree {
            Some((admin, top)) if !settings.matching("includeif.*")?.is_empty() => {
                self.settings_in(admin, top)
            }
            _ => Ok(settings),
        }
    }

    /// Why git has to write the files of whatever commit, where it has to.
    fn why_from_the_first_file(&self, settings: &Settings) -> Result<Option<WhyGitProgram>, GitError> {
        match self.backend() {
            Backend::Program(why) => Ok(Some(why.clone())),
            Backend::Libgit2(_) if !self.refs_below("refs/replace/")?.is_empty() => {
                Ok(Some(WhyGitProgram::ReplacedObjects))
            }
            Backend::Libgit2(_) => why_by_settings(settings, self.git_dir()),
        }
    }

    /// Why git itself has to register a new worktree, where it has to.
    pub(super) fn why_git_registers(&self) -> Result<Option<WhyGitProgram>, GitError> {
        let own = match self.backend() {
            // Read already.
            Backend::Libgit2(_) => self.settings()?,
            Backend::Program(_) => Settings::own(self.common_dir(), self.git_dir())?,
        };
        if own.flag("core.sparseCheckout") {
            return Ok(Some(WhyGitProgram::SparseCheckout));
        }
        let copied = own.flag("extensions.worktreeConfig") && self.git_dir().join("config.worktree").exists();
        Ok(copied.then_some(WhyGitProgram::WorktreeConfig))
    }

    /// Settings for a call of the program that turn off every filter that `commit` does not ask for, or that would run
    /// something of the worktree at `top`: what someone configured after that commit was checked out, or put there, does
    /// not run.
    pub(super) fn filters_off_but_for(
        &self,
        commit: &CommitId,
        top: &Path,
    ) -> Result<Vec<(String, String)>, GitError> {
        let settings = self.settings()?;
        let filters = configured_filters(&settings)?;
        if filters.is_empty() {
            return Ok(Vec::new());
        }
        let (asked, _) = self.asked_by(commit, &settings)?;
        let mut off = Vec::new();
        for (name, commands) in &filters {
            if asked.filters.contains_key(name) && !self.any_runs_from(commands, commit, top)? {
                continue;
            }
            off.extend(FILTER_COMMANDS.map(|part| (format!("filter.{name}.{part}"), String::new())));
            off.push((format!("filter.{name}.required"), "false".to_owned()));
        }
        Ok(off)
    }

    fn any_runs_from(&self, commands: &[String], commit: &CommitId, top: &Path) -> Result<bool, GitError> {
        for command in commands {
            if runs_from_tree(command, top) || self.runs_from(command, commit)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn refuse_relative(
        &self,
        commit: &CommitId,
        name: &str,
        commands: &[String],
        used_by: &str,
    ) -> Result<(), GitError> {
        for command in commands {
            if self.runs_from(command, commit)? {
                return Err(GitError::RelativeFilter {
                    filter: name.to_owned(),
                    used_by: used_by.to_owned(),
                    command: command.clone(),
                });
            }
        }
        Ok(())
    }

    /// What the attributes of a commit ask for, and its files where they make a plan.
    fn asked_by(&self, commit: &CommitId, settings: &Settings) -> Result<(Asked, Option<Listing>), GitError> {
        let mut asked = Asked::default();
        for file in attribute_files(settings, self.common_dir(), self.program()).all() {
            if let Some(content) = read_attributes(&file)? {
                asked.note(&content, &file.to_string_lossy());
            }
        }
        let listing = match self.backend() {
            Backend::Libgit2(repo) => list(repo, commit, &mut asked)?,
            Backend::Program(_) => {
                self.list_attributes(commit, &mut asked)?;
                None
            }
        };
        Ok((asked, listing))
    }
}

/// The filters that are configured, each with its commands; none is a filter too, which git may insist on.
fn configured_filters(settings: &Settings) -> Result<BTreeMap<String, Vec<String>>, GitError> {
    let mut filters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, _) in settings.matching("filter.*")? {
        let Some((name, part)) = key.strip_prefix("filter.").and_then(|rest| rest.rsplit_once('.')) else {
            continue;
        };
        let commands = filters.entry(name.to_owned()).or_default();
        if FILTER_COMMANDS.contains(&part)
            && let Some(command) = settings.text(&key).filter(|command| !command.is_empty())
        {
            commands.push(command);
        }
    }
    Ok(filters)
}

/// Whether the attributes that git goes by are those in the commit's own files, and cost nothing to look at: in a partial
/// clone they would be fetched one by one.
fn tells_attributes(why: Option<&WhyGitProgram>, settings: &Settings) -> bool {
    let hides =
        |why: &WhyGitProgram| matches!(why, WhyGitProgram::PartialClone | WhyGitProgram::ReplacedObjects);
    !why.is_some_and(hides) && !are_attributes_elsewhere(settings)
}

fn are_attributes_elsewhere(settings: &Settings) -> bool {
    settings.text("attr.tree").is_some_and(|tree| !tree.is_empty())
}

fn why_by_settings(settings: &Settings, git_dir: &Path) -> Result<Option<WhyGitProgram>, GitError> {
    let promisor = settings.matching("remote.*.promisor")?.iter().any(|(_, value)| value != "false");
    let worktree_config =
        settings.flag("extensions.worktreeConfig") && git_dir.join("config.worktree").exists();
    let reasons = [
        (promisor, WhyGitProgram::PartialClone),
        (are_attributes_elsewhere(settings), WhyGitProgram::AttributesOfATree),
        (
            settings.flag("core.sparseCheckout") || settings.flag("index.sparse"),
            WhyGitProgram::SparseCheckout,
        ),
        (settings.flag("core.splitIndex"), WhyGitProgram::SplitIndex),
        (worktree_config, WhyGitProgram::WorktreeConfig),
    ];
    Ok(reasons.into_iter().find_map(|(applies, why)| applies.then_some(why)))
}

/// Whether settings say that the file system cannot keep what a commit may hold, or something that git itself takes for
/// no setting: it refuses then, and says so.
fn why_by_odd_settings(settings: &Settings, ends: Option<LineEnds>) -> Option<WhyGitProgram> {
    let is_unclear = |key: &&str| settings.switch(key) == Switch::Unclear;
    let unclear = ends.is_none().then_some("core.autocrlf").or_else(|| SWITCHES.into_iter().find(is_unclear));
    if let Some(key) = unclear {
        return Some(WhyGitProgram::UnclearSetting(key.to_owned()));
    }
    let is_odd = settings.switch("core.symlinks") == Switch::Off || settings.flag("core.ignorecase");
    is_odd.then_some(WhyGitProgram::OddFileSystem)
}
