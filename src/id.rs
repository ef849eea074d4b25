//! Names that come from outside, parsed once.
//!
//! A value of one of these types cannot be hostile: it holds no path separator where none belongs, no option
//! look-alike, no control character, and it is bounded in length. Nothing below the command line takes a bare
//! string for a ticket, a lane, a branch or a session.

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// Why a name was refused. `Display` escapes the name, so it is safe on a terminal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a {what}: {why}")]
pub struct NameError {
    what: &'static str,
    name: String,
    why: &'static str,
}

/// The id of a ticket, such as `T-1` or `pt-9yjn`.
///
/// Letters, digits, `.`, `_`, `-`; no leading `-` or `.`, no `..`, no `.lock` end; at most 100 characters and 200
/// bytes. Letters may be of any script and are kept in Unicode normalization form C, so that the two ways of
/// writing `é` are one ticket.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TicketId(String);

impl TicketId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TicketId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = |why| Err(NameError { what: "ticket id", name: shortened(text), why });
        let id: String = text.chars().take(1000).nfc().collect();
        if id.is_empty() {
            return refuse("it is empty");
        }
        if id.chars().count() > 100 || id.len() > 200 {
            return refuse("it is longer than 100 characters (or 200 bytes)");
        }
        if id.starts_with(['-', '.']) {
            return refuse("it starts with `-` or `.`");
        }
        if !id.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-')) {
            return refuse("only letters, digits, `.`, `_` and `-` are allowed");
        }
        if id.contains("..") || id.ends_with('.') || id.to_ascii_lowercase().ends_with(".lock") {
            return refuse("`..`, a final `.` and a final `.lock` cannot be part of a branch name");
        }
        Ok(Self(id))
    }
}

/// A name of a branch, tag or commit given as a base or target: never an expression such as `a~1` or `a..b`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RefName(String);

impl RefName {
    /// The name as text, as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RefName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match refused_ref_name(text) {
            None => Ok(Self(text.to_owned())),
            Some(why) => Err(NameError { what: "branch, tag or commit name", name: shortened(text), why }),
        }
    }
}

/// A branch's short name, such as `ralph/T-1`; `refs/heads/<name>` is a valid reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BranchName(String);

impl BranchName {
    /// The short name, without `refs/heads/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full reference name.
    pub fn full(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

impl FromStr for BranchName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = |why| Err(NameError { what: "branch name", name: shortened(text), why });
        if let Some(why) = refused_ref_name(text) {
            return refuse(why);
        }
        if text == "HEAD" || text.starts_with("refs/") {
            return refuse("a branch is named without `refs/heads/`, and cannot be called HEAD");
        }
        Ok(Self(text.to_owned()))
    }
}

/// What owns one worktree and one branch: a ticket, or a ticket on a named base (`T-1@release/1.x`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lane {
    ticket: TicketId,
    base: Option<RefName>,
}

impl Lane {
    /// The lane of `ticket`, on `base` where one was named.
    pub fn new(ticket: TicketId, base: Option<RefName>) -> Self {
        Self { ticket, base }
    }

    /// The ticket that the lane works on.
    pub fn ticket(&self) -> &TicketId {
        &self.ticket
    }

    /// The named base, where the lane has one.
    pub fn base(&self) -> Option<&RefName> {
        self.base.as_ref()
    }

    /// The name of the lane's folders: the store's and the worktree's.
    pub fn slug(&self) -> Slug {
        Slug::of(&self.to_string())
    }

    /// The branch a lane works on unless another was asked for: `ralph/<ticket>[@<base slug>]`.
    pub fn default_branch(&self) -> BranchName {
        let on = |ticket: &str| match &self.base {
            None => format!("ralph/{ticket}"),
            Some(base) => format!("ralph/{ticket}@{}", Slug::of(&base.0)),
        };
        // A long id of many bytes makes a name that no file system takes.
        let named = on(&self.ticket.0);
        let fits = refused_ref_name(&named).is_none();
        BranchName(if fits { named } else { on(Slug::of(&self.ticket.0).as_str()) })
    }
}

impl FromStr for Lane {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('@') {
            None => Ok(Self { ticket: text.parse()?, base: None }),
            Some((ticket, base)) => Ok(Self { ticket: ticket.parse()?, base: Some(base.parse()?) }),
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.base {
            None => f.write_str(&self.ticket.0),
            Some(base) => write!(f, "{}@{}", self.ticket.0, base.0),
        }
    }
}

/// A readable folder name: lower-case ASCII letters, digits, `.`, `_`, `-`; at most 48 characters, and a hash of the
/// whole name behind it wherever two names could come out the same (other case, other characters, too long).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slug(String);

const SLUG_CHARS: usize = 48;
const HASH_CHARS: usize = 8;

impl Slug {
    /// The slug of a name. The same name gives the same slug for ever: folders on disk depend on it.
    pub fn of(name: &str) -> Self {
        let plain = Self::plain(name);
        let is_safe = !plain.is_empty() && !plain.starts_with(['-', '.']) && !is_reserved(&plain);
        if plain == name && is_safe && !looks_hashed(&plain) {
            return Self(plain);
        }
        let readable = match plain.trim_matches(['-', '.']) {
            // A folder whose name begins with `-` is taken for an option by every tool.
            "" => "lane",
            readable => readable,
        };
        Self(format!("{readable}-{:0width$x}", fnv1a(name.as_bytes()), width = HASH_CHARS))
    }

    /// Whether `slug` may be that of a lane of the ticket `start`; if not, it certainly is not.
    pub fn may_be_of(slug: &str, start: &str) -> bool {
        let plain = Self::plain(start);
        let readable = plain.trim_matches(['-', '.']);
        // A base or a hash follows, or nothing. Where nothing of the name is readable, whatever follows it is.
        slug.strip_prefix(readable)
            .is_some_and(|rest| readable.is_empty() || rest.is_empty() || rest.starts_with(['-', '.']))
    }

    fn plain(name: &str) -> String {
        name.chars()
            .map(|c| c.to_ascii_lowercase())
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' })
            .take(SLUG_CHARS)
            .collect()
    }

    /// The slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A plain name that ends like a hash could be the slug of another name.
fn looks_hashed(slug: &str) -> bool {
    slug.rsplit_once('-')
        .is_some_and(|(_, tail)| tail.len() == HASH_CHARS && tail.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Device names of other systems: a tree that is carried there must still be usable.
fn is_reserved(slug: &str) -> bool {
    let stem = slug.split('.').next().unwrap_or(slug);
    matches!(stem, "con" | "prn" | "aux" | "nul")
        || (stem.len() == 4
            && (stem.starts_with("com") || stem.starts_with("lpt"))
            && stem.ends_with(|c: char| c.is_ascii_digit()))
}

/// 32-bit FNV-1a: short, and stable across versions and machines, which the standard hasher does not promise.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The id of a session: a UUID of version 7, so that ids sort by the time they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(uuid::Uuid);

impl SessionId {
    /// A new id, made from the clock and random bits.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7())
    }
}

impl FromStr for SessionId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let parsed = uuid::Uuid::parse_str(text).ok().filter(|id| id.hyphenated().to_string() == text);
        parsed.map(Self).ok_or_else(|| NameError {
            what: "session id",
            name: shortened(text),
            why: "it is not a UUID in lower case with hyphens",
        })
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.hyphenated())
    }
}

/// Why git would not take `name` as part of a reference, after git-check-ref-format(1), with our own bounds.
fn refused_ref_name(name: &str) -> Option<&'static str> {
    if name.is_empty() || name == "@" {
        return Some("it is empty, or `@` alone");
    }
    if name.len() > 200 {
        return Some("it is longer than 200 bytes");
    }
    if name.starts_with('-') {
        return Some("it starts with `-`");
    }
    if name.contains("..") || name.contains("@{") || name.contains("//") {
        return Some("`..`, `@{` and `//` are not allowed: give the name of a branch, tag or commit");
    }
    if name.chars().any(|c| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\')) {
        return Some("it holds a character that no branch name may hold");
    }
    if name.starts_with('/') || name.ends_with(['/', '.']) {
        return Some("it starts with `/`, or ends with `/` or `.`");
    }
    if name.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock")) {
        return Some("a part of it starts with `.` or ends with `.lock`");
    }
    None
}

/// Enough of a refused name to recognise it; what is printed stays bounded.
fn shortened(name: &str) -> String {
    let mut short: String = name.chars().take(60).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}

macro_rules! text_conversions {
    ($($name:ident),*) => {$(
        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "minLength": 1 })
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}
macro_rules! text_display {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
text_conversions!(TicketId, RefName, BranchName, Lane, SessionId);
text_display!(TicketId, RefName, BranchName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_ids_are_refused() {
        for id in [
            "",
            ".",
            "..",
            "../x",
            "/abs",
            "a/b",
            "-rf",
            "--upload-pack=x",
            ".hidden",
            "x.lock",
            "X.LOCK",
            "a..b",
            "@{",
            "a@b",
            "a~1",
            "a b",
            "a\nb",
            "a\0b",
            "a\u{1b}[31m",
            "a.",
        ] {
            assert!(id.parse::<TicketId>().is_err(), "{id:?} was taken");
        }
        assert!("x".repeat(100).parse::<TicketId>().is_ok());
        assert!("x".repeat(101).parse::<TicketId>().is_err());
        assert!("x".repeat(300).parse::<TicketId>().is_err());
    }

    #[test]
    fn a_refusal_never_prints_a_control_character() {
        let message = "a\u{1b}[31m\n\u{0}".parse::<TicketId>().unwrap_err().to_string();
        assert!(!message.chars().any(char::is_control), "{message:?}");
    }

    #[test]
    fn the_two_ways_to_write_an_accent_are_one_ticket() {
        let composed: TicketId = "caf\u{e9}".parse().unwrap();
        let decomposed: TicketId = "cafe\u{301}".parse().unwrap();
        assert_eq!(composed, decomposed);
    }

    #[test]
    fn slugs_are_readable_distinct_and_bounded() {
        assert_eq!(Slug::of("pt-9yjn").as_str(), "pt-9yjn");
        assert_ne!(Slug::of("T-1"), Slug::of("t-1"));
        assert!(Slug::of("T-1").as_str().starts_with("t-1-"));
        // A ticket that is named like another one's slug gets a slug of its own.
        let taken = Slug::of("T-1");
        assert_ne!(Slug::of(taken.as_str()), taken);
        assert_ne!(Slug::of("con").as_str(), "con");
        assert_ne!(Slug::of("com1.txt").as_str(), "com1.txt");
        let long = Slug::of(&"x".repeat(100));
        assert!(long.as_str().len() <= SLUG_CHARS + 1 + HASH_CHARS);
        assert!(Slug::of("é").as_str().is_ascii());
        for name in ["é", "-x", "--force", ".", "..", ".git", ""] {
            let slug = Slug::of(name);
            assert!(!slug.as_str().starts_with(['-', '.']), "{name:?} gives {slug}");
        }
    }

    #[test]
    fn no_slug_of_a_ticket_s_lanes_is_ever_ruled_out() {
        let tickets = ["T-1", "t-1", "é", "éa-é", "a.", "con", "_x", &"long".repeat(25), "t-1-3f2a91bc"];
        for ticket in tickets {
            for lane in [ticket.to_owned(), format!("{ticket}@main"), format!("{ticket}@rel/1.x")] {
                let slug = Slug::of(&lane);
                assert!(Slug::may_be_of(slug.as_str(), ticket), "{slug} of {ticket}");
            }
        }
        assert!(!Slug::may_be_of(Slug::of("T-2").as_str(), "T-1"));
        assert!(!Slug::may_be_of(Slug::of("T-10").as_str(), "T-1"));
    }

    #[test]
    fn lanes_are_read_as_they_are_written() {
        let lane: Lane = "T-1@release/1.x".parse().unwrap();
        assert_eq!(lane.to_string(), "T-1@release/1.x");
        assert!(lane.default_branch().as_str().starts_with("ralph/T-1@release-1.x-"));
        assert_eq!("T-1".parse::<Lane>().unwrap().default_branch().as_str(), "ralph/T-1");
        assert!("T-1@".parse::<Lane>().is_err());
        assert!("T-1@a~1".parse::<Lane>().is_err());
        for longest in ["x".repeat(100), "é".repeat(100), "x".repeat(100) + "@" + &"y".repeat(200)] {
            let branch = longest.parse::<Lane>().unwrap().default_branch();
            assert_eq!(branch.as_str().parse::<BranchName>().as_ref(), Ok(&branch));
        }
    }

    #[test]
    fn expressions_are_not_names_of_a_base() {
        for name in ["a~1", "a^", "a..b", "@{u}", "-x", "a b", "x.lock", "a/.b", "a\u{7}"] {
            assert!(name.parse::<RefName>().is_err(), "{name:?} was taken");
        }
        for name in ["main", "origin/main", "v1.0", "refs/tags/v1", "0123abcd", "HEAD"] {
            assert!(name.parse::<RefName>().is_ok(), "{name:?} was refused");
        }
    }
}
