//! Which files of a commit are changed on their way into a worktree, by its attributes and by settings, as git decides
//! it (`convert_attrs` in its `convert.c`), and which are git's own to write.

use std::collections::BTreeSet;

use super::attributes::{Asked, ENCODING, Finished, Macros, Read, Rules, State};
use super::checkout::convert::{Conversion, Ends, Keywords};
use super::config::{Settings, Switch};
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
        const AUTO: &str = "core.autocrlf";
        let auto = match settings.switch(AUTO) {
            Switch::On => Auto::On,
            Switch::Off | Switch::Unsaid => Auto::Off,
            Switch::Unclear if settings.text(AUTO)?.eq_ignore_ascii_case("input") => Auto::Input,
            Switch::Unclear => return None,
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
) -> BTreeSet<String> {
    let mut rules = rules(asked, outside);
    let mut needed = BTreeSet::new();
    for at in 0..listing.items.len() {
        let item = &listing.items[at];
        if !matches!(item.kind, Kind::File | Kind::Program) {
            continue;
        }
        let [text, crlf, eol, ident, filter, encoding] = rules.of(listing.path(item));
        let filter = match filter {
            State::Value(name) => std::str::from_utf8(name).ok().filter(|name| is_filter(name)),
            State::Set | State::Unset | State::Unspecified => None,
        };
        let is_gits = filter.is_some() || *encoding != State::Unspecified;
        if let Some(filter) = filter
            && !needed.contains(filter)
        {
            needed.insert(filter.to_owned());
        }
        listing.items[at].writer = match is_gits {
            true => Writer::Git,
            false => Writer::Ralph(conversion([text, crlf, eol, ident], ends)),
        };
    }
    needed
}

fn rules(asked: &Asked, (below, above): (&[Vec<u8>], Option<&[u8]>)) -> Finished<{ NAMES.len() }> {
    let mut rules = Rules::about(NAMES);
    for content in below {
        rules.add(content, Read::ByLine, b"", Macros::Taken);
    }
    let mut inside: Vec<_> = asked.files.iter().collect();
    // What is deeper has more to say.
    inside.sort_by_key(|(folder, _)| (!folder.is_empty(), folder.iter().filter(|b| **b == b'/').count()));
    for (folder, content) in inside {
        let macros = if folder.is_empty() { Macros::Taken } else { Macros::Ignored };
        rules.add(content, Read::FromIndex, folder, macros);
    }
    if let Some(content) = above {
        rules.add(content, Read::ByLine, b"", Macros::Taken);
    }
    rules.finish()
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
    fn of(state: &State) -> Self {
        match state {
            State::Set => Self::Yes,
            State::Unset => Self::No,
            State::Value(value) if value == b"input" => Self::Input,
            State::Value(value) if value == b"auto" => Self::Auto,
            State::Value(_) | State::Unspecified => Self::Unsaid,
        }
    }
}

fn conversion([text, crlf, eol, ident]: [&State; 4], ends: LineEnds) -> Conversion {
    let text = match Text::of(text) {
        Text::Unsaid => Text::of(crlf),
        said => said,
    };
    let eol = match eol {
        State::Value(value) if value == b"lf" => Some(Ends::Kept),
        State::Value(value) if value == b"crlf" => Some(Ends::CrLf),
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
    let keywords = match (*ident == State::Set, in_whole) {
        (false, _) => Keywords::Kept,
        (true, false) => Keywords::InStream,
        (true, true) => Keywords::InWhole,
    };
    Conversion { ends, keywords }
}
