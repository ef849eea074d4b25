//! Which files of a commit are changed on their way into a worktree, by its attributes and by settings, as git decides
//! it (`convert_attrs` in its `convert.c`), and which are git's own to write. What the attributes of a path are is gix's to
//! say.

use std::collections::BTreeSet;
use std::path::PathBuf;

use gix_attributes::search::{MetadataCollection, Outcome};
use gix_attributes::{Search, StateRef, glob};

use super::GitError;
use super::attributes::{Asked, ENCODING, Read, as_git_reads};
use super::checkout::convert::{Conversion, Ends, Keywords};
use super::config::Settings;
use super::listing::{Kind, Listing, Writer};

/// The attributes that say so, in the order in which they are looked up.
const NAMES: [&str; 6] = ["text", "crlf", "eol", "ident", "filter", ENCODING];

/// What settings say of line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineEnds {
    /// `core.autocrlf`.
    auto: Auto,
    /// Whether text has CR LF in a worktree, where nothing says otherwise (`core.eol`).
    crlf: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Auto {
    Off,
    On,
    Input,
}

impl LineEnds {
    /// `None`: git itself would not take the settings.
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let auto = match settings.text("core.autocrlf") {
            None => Auto::Off,
            Some(value) if value.eq_ignore_ascii_case("input") => Auto::Input,
            Some(value) => match git2::Config::parse_bool(value) {
                Ok(true) => Auto::On,
                Ok(false) => Auto::Off,
                Err(_) => return None,
            },
        };
        let eol = settings.text("core.eol").is_some_and(|value| value.eq_ignore_ascii_case("crlf"));
        let crlf = match auto {
            Auto::On => true,
            Auto::Input => false,
            Auto::Off => eol,
        };
        Some(Self { auto, crlf })
    }

    /// Whether they change files by themselves.
    pub(super) fn rewrite(self) -> bool {
        self.crlf
    }
}

/// Notes in the listing what is changed in its files, and which the git program has to write. `outside` are the attribute
/// files that do not belong to the commit: first those that any of its own overrules, then the one that overrules all.
/// Answers the filters that are needed.
pub(super) fn plan(
    listing: &mut Listing,
    asked: &Asked,
    outside: (&[Vec<u8>], Option<&[u8]>),
    ends: LineEnds,
    is_filter: &dyn Fn(&str) -> bool,
) -> Result<BTreeSet<String>, GitError> {
    let failed = |e| GitError::io("read the attributes in", &PathBuf::from(".gitattributes"), e);
    let mut known = MetadataCollection::default();
    let mut search =
        Search::new_globals(std::iter::empty::<PathBuf>(), &mut Vec::new(), &mut known).map_err(failed)?;
    let mut add = |content: &[u8], file: PathBuf, root: Option<&str>, macros: bool| {
        let root = root.map(std::path::Path::new);
        search.add_patterns_buffer(content, file, root, &mut known, macros).map_err(failed)
    };
    let (below, above) = outside;
    for content in below {
        add(&as_git_reads(content, Read::ByLine), "outside".into(), None, true)?;
    }
    let mut inside: Vec<_> = asked.files.iter().collect();
    // What is deeper has more to say.
    inside.sort_by_key(|(folder, _)| (!folder.is_empty(), folder.iter().filter(|b| **b == b'/').count()));
    for (folder, content) in inside {
        let file = PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(folder));
        let content = as_git_reads(content, Read::FromIndex);
        add(&content, file.join(".gitattributes"), Some(""), folder.is_empty())?;
    }
    if let Some(content) = above {
        add(&as_git_reads(content, Read::ByLine), "info/attributes".into(), None, true)?;
    }
    let mut needed = BTreeSet::new();
    let mut found = Outcome::default();
    found.initialize_with_selection(&known, NAMES);
    for at in 0..listing.items.len() {
        let item = &listing.items[at];
        if !matches!(item.kind, Kind::File | Kind::Program) {
            continue;
        }
        found.reset();
        let case = glob::pattern::Case::Sensitive;
        search.pattern_matching_relative_path(listing.path(item).into(), case, Some(false), &mut found);
        let mut states = found.iter_selected().map(|found| found.assignment.state);
        let mut next = || states.next().unwrap_or(StateRef::Unspecified);
        let states = [next(), next(), next(), next()];
        let (filter, encoding) = (next(), next());
        let filter = match filter {
            StateRef::Value(name) => std::str::from_utf8(name.as_bstr()).ok().filter(|name| is_filter(name)),
            StateRef::Set | StateRef::Unset | StateRef::Unspecified => None,
        };
        let is_gits = filter.is_some() || encoding != StateRef::Unspecified;
        if let Some(filter) = filter
            && !needed.contains(filter)
        {
            needed.insert(filter.to_owned());
        }
        listing.items[at].writer =
            if is_gits { Writer::Git } else { Writer::Ralph(conversion(states, ends)) };
    }
    Ok(needed)
}

/// What `text` or `crlf` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Unsaid,
    Yes,
    No,
    Auto,
    Input,
}

impl Text {
    fn of(state: StateRef<'_>) -> Self {
        match state {
            StateRef::Set => Self::Yes,
            StateRef::Unset => Self::No,
            StateRef::Value(value) if value.as_bstr() == "input" => Self::Input,
            StateRef::Value(value) if value.as_bstr() == "auto" => Self::Auto,
            StateRef::Value(_) | StateRef::Unspecified => Self::Unsaid,
        }
    }
}

fn conversion([text, crlf, eol, ident]: [StateRef<'_>; 4], ends: LineEnds) -> Conversion {
    let text = match Text::of(text) {
        Text::Unsaid => Text::of(crlf),
        said => said,
    };
    let eol = match eol {
        StateRef::Value(value) if value.as_bstr() == "lf" => Some(Ends::Kept),
        StateRef::Value(value) if value.as_bstr() == "crlf" => Some(Ends::CrLf),
        _ => None,
    };
    // Whether it is text, git can tell from the whole content only.
    let in_whole = match (text, eol) {
        (Text::Auto, said) => said != Some(Ends::Kept),
        (Text::Unsaid, None) => ends.auto == Auto::On,
        _ => false,
    };
    let by_settings = |written| if ends.crlf { written } else { Ends::Kept };
    let ends = match (text, eol) {
        (Text::No, _) => Ends::Kept,
        (Text::Auto, Some(Ends::CrLf)) => Ends::CrLfIfText,
        (_, Some(said)) => said,
        (Text::Auto, None) => by_settings(Ends::CrLfIfText),
        (Text::Yes, None) => by_settings(Ends::CrLf),
        (Text::Input, None) => Ends::Kept,
        (Text::Unsaid, None) if ends.auto == Auto::On => Ends::CrLfIfText,
        (Text::Unsaid, None) => Ends::Kept,
    };
    let keywords = match (ident == StateRef::Set, in_whole) {
        (false, _) => Keywords::Kept,
        (true, false) => Keywords::InStream,
        (true, true) => Keywords::InWhole,
    };
    Conversion { ends, keywords }
}
