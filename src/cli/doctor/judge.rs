//! What the facts mean. Pure: the same facts, the same words.

use std::io;
use std::path::Path;

use super::facts::{
    Agent, Answer, Asked, Facts, Folder, Git, Node, Pi, Place, Prompt, Repository, RunsOn, Stands, Trouble,
};
use super::{Finding, Status};
use crate::agent::pi::prompt::{Origin, PromptFound};
use crate::agent::pi::provider::ProviderSigns;
use crate::agent::pi::version::PiVersion;
use crate::git::Engine;
use crate::process::filesystem::Reach;
use crate::process::probe::{Feature, Use};

/// Older versions of git lack an option that ralph calls it with.
const OLDEST_GIT: (u32, u32) = (2, 38);
/// The oldest pi that ralph was tried with.
const OLDEST_PI: PiVersion = PiVersion::new(0, 74, 0);
/// From this pi on, an older Node than `NEWER_NODE` does not run it.
const PI_OF_NEWER_NODE: PiVersion = PiVersion::new(0, 75, 0);
const NEWER_NODE: PiVersion = PiVersion::new(22, 19, 0);
const OLDER_NODE: PiVersion = PiVersion::new(20, 6, 0);

const INSTALL_PI: &str = "npm install -g @earendil-works/pi-coding-agent";

/// Judges everything, in the order in which it is shown.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(facts.inside.as_deref().map(inside));
    findings.push(git(&facts.git));
    findings.push(settings(&facts.settings));
    findings.extend(agent(&facts.agent, &facts.place));
    findings.extend(place(&facts.place));
    findings.push(folder("temp", &facts.temporary));
    findings.extend(facts.kernel.iter().map(|(which, tried)| feature(*which, tried)));
    findings
}

fn missing(check: &'static str, trouble: &Trouble) -> Finding {
    let finding = Finding::new(check, Status::Missing, &trouble.why);
    Finding { advice: trouble.advice.clone(), ..finding }
}

fn inside(session: &str) -> Finding {
    Finding::new("session", Status::Warning, format!("this is session {session} itself"))
        .advice("a session does not dispatch another: use a shell of your own")
}

fn git(found: &Result<Git, Trouble>) -> Finding {
    let Git { path, version } = match found {
        Ok(git) => git,
        Err(trouble) => return missing("git", trouble),
    };
    let detail = format!("{version}, {}", path.display());
    let mut numbers = version.split(['.', ' ', '-']).map_while(|part| part.parse::<u32>().ok());
    let (oldest, newer) = (OLDEST_GIT, "install a newer git");
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= oldest => Finding::ok("git", detail),
        (Some(_), Some(_)) => {
            let detail = format!("{detail}: ralph needs {}.{} or newer", oldest.0, oldest.1);
            Finding::new("git", Status::Missing, detail).advice(newer)
        }
        _ => Finding::new("git", Status::Warning, format!("{detail}: its version could not be understood"))
            .advice(format!("check that it is {}.{} or newer", oldest.0, oldest.1)),
    }
}

fn settings(said: &Result<Vec<String>, Trouble>) -> Finding {
    match said {
        Err(trouble) => missing("settings", trouble),
        Ok(notices) if notices.is_empty() => Finding::ok("settings", "they can be read"),
        Ok(notices) => Finding::new("settings", Status::Warning, notices.join("; "))
            .advice("`ralph config` shows what counts"),
    }
}

fn agent(agent: &Agent, place: &Place) -> Vec<Finding> {
    match agent {
        Agent::Unusable(trouble) => vec![missing("agent", trouble)],
        Agent::Other(Err(trouble)) => vec![missing("agent", trouble)],
        Agent::Other(Ok(program)) => vec![Finding::ok(
            "agent",
            format!("{}, which is not pi: node, provider and prompt are its own affair", program.display()),
        )],
        Agent::Pi(found) => {
            vec![pi(found), node(found), provider(&found.provider), prompt(&found.prompt, place)]
        }
    }
}

fn pi(pi: &Pi) -> Finding {
    match &pi.program {
        Err(trouble) => {
            let advice = trouble.advice.as_deref().unwrap_or_default();
            let install = format!("{advice}; to install pi: {INSTALL_PI}");
            missing("pi", trouble).advice(install.trim_start_matches("; "))
        }
        Ok((program, None)) => {
            Finding::ok("pi", format!("{}, of a version that no package.json tells", program.display()))
        }
        Ok((program, Some(version))) => {
            let detail = format!("{version}, {}", program.display());
            if *version >= OLDEST_PI {
                return Finding::ok("pi", detail);
            }
            Finding::new(
                "pi",
                Status::Warning,
                format!("{detail}: ralph was tried with {OLDEST_PI} and newer"),
            )
            .advice(format!("install a newer pi: {INSTALL_PI}"))
        }
    }
}

fn node(pi: &Pi) -> Finding {
    let version = pi.program.as_ref().ok().and_then(|(_, version)| version.as_ref());
    let needed = match version {
        Some(version) if *version < PI_OF_NEWER_NODE => OLDER_NODE,
        _ => NEWER_NODE,
    };
    let is_known_to_run_pi = pi.runs_on == RunsOn::Node;
    match &pi.node {
        Err(trouble) if is_known_to_run_pi => {
            missing("node", trouble).advice(format!("install Node {needed} or newer"))
        }
        Err(_) if pi.program.is_ok() => {
            Finding::new("node", Status::Skipped, "this pi is no script of Node's")
        }
        Err(_) => Finding::new("node", Status::Warning, "not found; pi, installed with npm, needs it")
            .advice(format!("install Node {needed} or newer")),
        Ok(Node { path, version: None }) => {
            let detail = format!("{}, which does not tell its version", path.display());
            Finding::new("node", Status::Warning, detail)
                .advice(format!("check that `node --version` is {needed} or newer"))
        }
        Ok(Node { path, version: Some(found) }) => {
            let detail = format!("{found}, {}", path.display());
            if *found >= needed {
                return Finding::ok("node", detail);
            }
            let advice = format!(
                "install Node {needed} or newer; pi 0.74.2 still runs on {OLDER_NODE}: {INSTALL_PI}@0.74.2"
            );
            match version {
                Some(pi_version) if is_known_to_run_pi => {
                    let why = format!("{detail}: pi {pi_version} needs {needed} or newer");
                    Finding::new("node", Status::Missing, why).advice(advice)
                }
                _ => {
                    let why = format!("{detail}: pi from {PI_OF_NEWER_NODE} on needs {needed} or newer");
                    Finding::new("node", Status::Warning, why).advice(advice)
                }
            }
        }
    }
}

fn provider(signs: &ProviderSigns) -> Finding {
    let mut found = Vec::new();
    let mut tell = |what: &str, names: &[String]| {
        if !names.is_empty() {
            found.push(format!("{what} {}", names.join(", ")));
        }
    };
    tell("logged in to", &signs.logged_in);
    tell("models.json has", &signs.own);
    tell("by default", signs.default_provider.as_slice());
    tell("set:", &signs.variables);
    if signs.unread_models {
        found.push("there is a models.json, which is no plain JSON".to_owned());
    }
    if signs.seems_configured() {
        return Finding::ok("provider", found.join("; "));
    }
    Finding::new(
        "provider",
        Status::Missing,
        "pi shows no sign of a model to talk to: no login, no models.json, no key",
    )
    .advice(
        "start `pi` and type /login, or set the variable of your provider's key, such as ANTHROPIC_API_KEY",
    )
}

fn prompt(found: &Result<Prompt, Trouble>, place: &Place) -> Finding {
    let Prompt { name, found } = match (found, place) {
        (Ok(prompt), _) => prompt,
        (Err(trouble), Place::Inside(_)) => return missing("prompt", trouble),
        (Err(_), _) => {
            return Finding::new(
                "prompt",
                Status::Skipped,
                "none for every repository; a repository may have its own",
            );
        }
    };
    match found {
        Answer::Committed(path) => {
            Finding::ok("prompt", format!("{name}: {}, of the commit that is checked out", path.display()))
        }
        Answer::NotCommitted(path) => {
            Finding::ok("prompt", format!("{name}: {}, which is not committed", path.display()))
        }
        Answer::Elsewhere(PromptFound::File { path, origin }) => {
            let whose = match origin {
                Origin::Arguments => "named in the agent's arguments",
                Origin::Worktree | Origin::MainCheckout => "of this repository",
                Origin::Global => "of every repository",
                Origin::Package => "of a package of pi's",
            };
            Finding::ok("prompt", format!("{name}: {}, {whose}", path.display()))
        }
        Answer::Elsewhere(PromptFound::Extension { path }) => {
            Finding::ok("prompt", format!("{name}: the extension {}, by its source", path.display()))
        }
        Answer::Elsewhere(PromptFound::NotNeeded) => {
            Finding::ok("prompt", format!("{name}: no file has to answer it, or none is asked for"))
        }
        Answer::Elsewhere(PromptFound::Unseen { what }) => Finding::new(
            "prompt",
            Status::Warning,
            format!("{name}: it may be in {what}, which could not be looked at"),
        )
        .advice("a prompt that pi does not have goes to the model as it is: try it in pi once"),
    }
}

fn place(place: &Place) -> Vec<Finding> {
    match place {
        Place::Outside { trouble, asked: Asked::Named } => vec![missing("repository", trouble)],
        Place::Outside { trouble, asked: Asked::Here } => {
            let finding = Finding::new("repository", Status::Skipped, &trouble.why);
            vec![Finding { advice: trouble.advice.clone(), ..finding }]
        }
        Place::Unusable(trouble) => vec![missing("repository", trouble)],
        Place::Inside(repository) => inside_repository(repository),
    }
}

fn inside_repository(repository: &Repository) -> Vec<Finding> {
    let Repository { path, bare, base, engine, store, worktrees } = repository;
    let kind = if *bare { ", which is bare" } else { "" };
    let first = match base {
        Err(trouble) => missing("repository", trouble),
        Ok((name, commit)) => {
            let name = if name.starts_with(commit) { "no branch".to_owned() } else { name.clone() };
            Finding::ok("repository", format!("{}{kind}, at {commit} ({name})", path.display()))
        }
    };
    let engine = engine.as_ref().map(|engine| match engine {
        Err(trouble) => missing("checkout", trouble),
        Ok(Engine::Direct) => Finding::ok("checkout", "by ralph, several files at a time"),
        Ok(Engine::Shared(why)) => Finding::ok(
            "checkout",
            format!("by ralph, several files at a time, and in part by the git program: {why}"),
        ),
        Ok(Engine::GitProgram(why)) => Finding::ok("checkout", format!("by the git program: {why}")),
    });
    let folders = [folder("store", store), folder("worktrees", worktrees)];
    std::iter::once(first).chain(engine).chain(folders).collect()
}

fn folder(check: &'static str, folder: &Folder) -> Finding {
    let Folder { path, stands, on, used } = folder;
    let shown = path.display();
    let detail = match on {
        Ok(system) => format!("{shown} on {}", system.name),
        Err(_) => shown.to_string(),
    };
    // The user's own temp directory may well be a link; what ralph makes may not.
    match stands {
        Stands::Link if check != "temp" => {
            return Finding::new(
                check,
                Status::Missing,
                format!("{shown} is a symbolic link, which ralph does not follow"),
            )
            .advice(elsewhere(check, path));
        }
        Stands::InTheWay => {
            return Finding::new(check, Status::Missing, format!("{shown} is not a folder"))
                .advice(elsewhere(check, path));
        }
        Stands::Link | Stands::There | Stands::NotYet => {}
    }
    let made = if *stands == Stands::NotYet { ", to be made" } else { "" };
    match used {
        Use::NotWritable(error) => {
            return Finding::new(check, Status::Missing, format!("{detail}: it cannot be written: {error}"))
                .advice(elsewhere(check, path));
        }
        Use::NoLocks(error) => {
            return Finding::new(
                check,
                Status::Missing,
                format!("{detail}: locks do not work there: {error}"),
            )
            .advice("use a file system of this machine: ralph knows by its locks what runs");
        }
        Use::Sound => {}
    }
    let sound = format!("{detail}{made}, can be written and locked");
    let warning = |why: &str, advice: &str| {
        Finding::new(check, Status::Warning, format!("{detail}{made}: {why}")).advice(advice)
    };
    match on.as_ref().map(|system| system.reach) {
        Ok(Reach::Network) => warning(
            "a network file system, where locks may not hold between machines and renames may be seen late",
            "use it from one machine at a time, or move the repository to a local file system",
        ),
        Ok(Reach::Program) => warning(
            "a program serves this file system; whether locks hold there is its choice",
            "where it is a network's, use it from one machine at a time",
        ),
        Ok(Reach::Foreign) => warning(
            "this file system keeps no permissions and no links",
            "move the repository to a file system made for Linux",
        ),
        Ok(Reach::Memory) => Finding::ok(check, format!("{sound}; gone after a reboot")),
        Ok(Reach::Local | Reach::Unknown) | Err(_) => Finding::ok(check, sound),
    }
}

fn elsewhere(check: &'static str, path: &Path) -> String {
    match check {
        "worktrees" => "choose a folder of your own with the setting `worktree-root`".to_owned(),
        "temp" => "set TMPDIR to a folder of your own".to_owned(),
        _ => format!("make {} writable for you; ralph keeps its records there", path.display()),
    }
}

fn feature(feature: Feature, tried: &io::Result<()>) -> Finding {
    let (check, what, since) = match feature {
        Feature::Pidfd => ("pidfd", "processes are held by descriptors (pidfd_open)", "5.3"),
        Feature::Subreaper => {
            ("subreaper", "orphans come to their supervisor (PR_SET_CHILD_SUBREAPER)", "3.4")
        }
        Feature::Flock => ("flock", "locks say who is alive (flock)", "2.0"),
        Feature::Openat2 => ("openat2", "paths are opened beneath a folder (openat2)", "5.6"),
        Feature::CloseRange => ("close_range", "descriptors are closed by the range (close_range)", "5.9"),
        Feature::Environ => ("environ", "environments can be read (/proc/<pid>/environ)", "any"),
        Feature::Identity => ("identity", "processes and boots are told apart (/proc)", "any"),
    };
    match (tried, since) {
        (Ok(()), _) => Finding::ok(check, what),
        (Err(error), "any") => Finding::new(check, Status::Missing, format!("not here: {what}: {error}"))
            .advice("mount /proc, and let processes see those of the same user"),
        (Err(error), since) => Finding::new(check, Status::Missing, format!("not here: {what}: {error}"))
            .advice(format!(
                "use Linux {since} or newer; in a container, allow the call in its seccomp profile"
            )),
    }
}

#[cfg(test)]
mod tests;
