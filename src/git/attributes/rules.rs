//! What the attribute files of a commit, and those around it, say of a path, as git reads them (`attr.c`).

use std::collections::HashMap;

use super::glob::Pattern;

/// git ignores a line that is as long.
const LONGEST_LINE: usize = 2048;
const BLANK: &[u8] = b" \t\r\n";
const MACRO: &[u8] = b"[attr]";
/// No one may say anything of git's own attributes.
const RESERVED: &[u8] = b"builtin_";

/// How git comes by an attributes file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::git) enum Read {
    /// From the index: all of it is one string of C, and a byte order mark a part of the first line.
    FromIndex,
    /// Line by line, each a string of C, without a byte order mark.
    ByLine,
}

/// Whether a file may say what further attributes an attribute stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::git) enum Macros {
    /// As the one at the top may, and those outside the commit.
    Taken,
    /// A line that does is ignored.
    Ignored,
}

/// What is said of an attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::git) enum State {
    /// Nothing, or that nothing is to be said.
    #[default]
    Unspecified,
    /// `name`.
    Set,
    /// `-name`.
    Unset,
    /// `name=value`.
    Value(Vec<u8>),
}

static UNSPECIFIED: State = State::Unspecified;

/// An attribute, as a number.
type Name = usize;
type Saying = (Name, State);

struct Rule {
    /// The folder of its file, with a slash at its end but for the top.
    folder: Vec<u8>,
    pattern: Pattern,
    says: Vec<Saying>,
}

/// All that is said, to be asked for these attributes.
pub(in crate::git) struct Rules<const N: usize> {
    names: HashMap<Vec<u8>, Name>,
    /// The strongest last.
    rules: Vec<Rule>,
    macros: HashMap<Name, Vec<Saying>>,
}

impl<const N: usize> Rules<N> {
    /// Rules of which nothing is known yet but what git itself says.
    pub(in crate::git) fn about(wanted: [&str; N]) -> Self {
        let mut rules = Self { names: HashMap::new(), rules: Vec::new(), macros: HashMap::new() };
        for name in wanted {
            rules.name(name.as_bytes());
        }
        rules.add(b"[attr]binary -diff -merge -text", Read::ByLine, b"", Macros::Taken);
        rules
    }

    /// Adds what a file in this folder says: it overrules all that were added before.
    pub(in crate::git) fn add(&mut self, content: &[u8], read: Read, folder: &[u8], macros: Macros) {
        let mut prefix = folder.to_owned();
        if !prefix.is_empty() && !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        for line in lines(content, read).filter(|line| line.len() < LONGEST_LINE) {
            let Some(line) = Line::parse(line) else { continue };
            let says = |rules: &mut Self| {
                line.says.iter().map(|(name, state)| (rules.name(name), state.clone())).collect()
            };
            match &line.of {
                Of::Macro(name) if macros == Macros::Taken => {
                    let name = self.name(name);
                    let says = says(self);
                    self.macros.insert(name, says);
                }
                Of::Macro(_) => {}
                Of::Paths(pattern) => {
                    let says = says(self);
                    self.rules.push(Rule { folder: prefix.clone(), pattern: pattern.clone(), says });
                }
            }
        }
    }

    /// Leaves out what cannot matter, so that less is looked at for each path. Nothing can be added any more.
    pub(in crate::git) fn finish(mut self) -> Finished<N> {
        let macros = &self.macros;
        let matters =
            |says: &mut Vec<Saying>| says.retain(|(name, _)| *name < N || macros.contains_key(name));
        for rule in &mut self.rules {
            matters(&mut rule.says);
        }
        self.rules.retain(|rule| !rule.says.is_empty());
        self.rules.reverse();
        Finished { known: vec![false; self.names.len()], rules: self.rules, macros: self.macros }
    }

    fn name(&mut self, name: &[u8]) -> Name {
        let next = self.names.len();
        *self.names.entry(name.to_owned()).or_insert(next)
    }
}

/// Rules that can be asked.
pub(in crate::git) struct Finished<const N: usize> {
    /// The strongest first.
    rules: Vec<Rule>,
    macros: HashMap<Name, Vec<Saying>>,
    /// Of which attributes something is known, while a path is looked at.
    known: Vec<bool>,
}

impl<const N: usize> Finished<N> {
    /// What is said of a file's attributes, in the order in which they were asked about.
    pub(in crate::git) fn of(&mut self, path: &[u8]) -> [&State; N] {
        self.known.fill(false);
        let mut found = [&UNSPECIFIED; N];
        let mut missing = N;
        for rule in &self.rules {
            if missing == 0 {
                break;
            }
            let Some(below) = path.strip_prefix(rule.folder.as_slice()) else { continue };
            if !rule.pattern.matches(below) {
                continue;
            }
            // What is said last counts, and what a macro stands for as if it were said in its place.
            let mut says = rule.says.iter().rev();
            let mut around = Vec::new();
            loop {
                let Some((name, state)) = says.next() else {
                    let Some(outer) = around.pop() else { break };
                    says = outer;
                    continue;
                };
                let Some(known) = self.known.get_mut(*name).filter(|known| !**known) else { continue };
                *known = true;
                if let Some(found) = found.get_mut(*name) {
                    *found = state;
                    missing -= 1;
                }
                if *state == State::Set
                    && let Some(stands_for) = self.macros.get(name)
                {
                    around.push(std::mem::replace(&mut says, stands_for.iter().rev()));
                }
            }
        }
        found
    }
}

fn lines(content: &[u8], read: Read) -> impl Iterator<Item = &[u8]> {
    let up_to_nul = |text: &'_ [u8]| text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    let content = match read {
        Read::FromIndex => content.get(..up_to_nul(content)).unwrap_or(content),
        Read::ByLine => content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content),
    };
    content.split(|byte| *byte == b'\n').map(move |line| line.get(..up_to_nul(line)).unwrap_or(line))
}

/// A line of which git takes notice.
struct Line {
    of: Of,
    says: Vec<(Vec<u8>, State)>,
}

enum Of {
    Macro(Vec<u8>),
    Paths(Pattern),
}

impl Line {
    fn parse(line: &[u8]) -> Option<Self> {
        let line = without_blanks(line);
        if line.is_empty() || line.starts_with(b"#") {
            return None;
        }
        let (pattern, states) = match line.strip_prefix(b"\"").and_then(unquoted) {
            Some((pattern, rest)) => (pattern, rest),
            None => {
                let (pattern, rest) = word(line);
                (pattern.to_owned(), rest)
            }
        };
        let of = match pattern.strip_prefix(MACRO).filter(|name| !name.is_empty()) {
            Some(name) => {
                let (name, _) = word(without_blanks(name));
                Of::Macro(Some(name).filter(|name| is_name(name))?.to_owned())
            }
            None => Of::Paths(Pattern::parse(&pattern)?),
        };
        let mut says = Vec::new();
        let mut states = without_blanks(states);
        while !states.is_empty() {
            let (state, rest) = word(states);
            says.push(saying(state)?);
            states = without_blanks(rest);
        }
        Some(Self { of, says })
    }
}

fn saying(word: &[u8]) -> Option<(Vec<u8>, State)> {
    let (said, value) = match word.iter().position(|byte| *byte == b'=') {
        Some(at) => (word.get(..at)?, Some(word.get(at + 1..)?)),
        None => (word, None),
    };
    let (name, state) = match (said.first(), value) {
        (Some(b'-'), _) => (said.get(1..)?, State::Unset),
        (Some(b'!'), _) => (said.get(1..)?, State::Unspecified),
        (_, None) => (said, State::Set),
        (_, Some(value)) => (said, State::Value(value.to_owned())),
    };
    (is_name(name) && !name.starts_with(RESERVED)).then(|| (name.to_owned(), state))
}

fn is_name(name: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    !name.is_empty() && !name.starts_with(b"-") && name.iter().all(fits)
}

fn without_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| BLANK.contains(byte)).count();
    text.get(blanks..).unwrap_or_default()
}

/// What stands before the first blank, and the rest.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| BLANK.contains(byte)).unwrap_or(text.len()))
}

/// What stands up to the closing quotation mark, as a string of C, and the rest; `None` where it is not quoted well.
fn unquoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut next = || {
        let (first, more) = rest.split_first()?;
        rest = more;
        Some(*first)
    };
    loop {
        found.push(match next()? {
            b'"' => break,
            b'\\' => match next()? {
                b'a' => 0x07,
                b'b' => 0x08,
                b'f' => 0x0c,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 0x0b,
                plain @ (b'"' | b'\\') => plain,
                first @ b'0'..=b'3' => {
                    let mut digit = || next().filter(|digit| (b'0'..=b'7').contains(digit));
                    (first - b'0') << 6 | (digit()? - b'0') << 3 | (digit()? - b'0')
                }
                _ => return None,
            },
            plain => plain,
        });
    }
    // As a string of C it ends there.
    let end = found.iter().position(|byte| *byte == 0).unwrap_or(found.len());
    found.truncate(end);
    Some((found, rest))
}
