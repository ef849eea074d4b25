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
    pattern: Pattern,
    says: Vec<Saying>,
}

/// What one file says.
struct File {
    /// Its folder, with a slash at its end but for the top.
    folder: Vec<u8>,
    /// The strongest last.
    rules: Vec<Rule>,
}

/// All that is said, to be asked for these attributes.
pub(in crate::git) struct Rules<const N: usize> {
    names: HashMap<Vec<u8>, Name>,
    /// The strongest last.
    files: Vec<File>,
    macros: HashMap<Name, Vec<Saying>>,
}

impl<const N: usize> Rules<N> {
    /// Rules of which nothing is known yet but what git itself says.
    pub(in crate::git) fn about(wanted: [&str; N]) -> Self {
        let mut rules = Self { names: HashMap::new(), files: Vec::new(), macros: HashMap::new() };
        for name in wanted {
            rules.name(name.as_bytes());
        }
        rules.add(b"[attr]binary -diff -merge -text", Read::ByLine, b"", Macros::Taken);
        rules
    }

    /// Adds what a file in this folder says: it overrules all that were added before.
    pub(in crate::git) fn add(&mut self, content: &[u8], read: Read, folder: &[u8], macros: Macros) {
        let mut file = File { folder: folder.to_owned(), rules: Vec::new() };
        if !folder.is_empty() && !folder.ends_with(b"/") {
            file.folder.push(b'/');
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
                    file.rules.push(Rule { pattern: pattern.clone(), says });
                }
            }
        }
        self.files.push(file);
    }

    /// Leaves out what cannot matter, so that less is looked at for each path. Nothing can be added any more.
    pub(in crate::git) fn finish(mut self) -> Finished<N> {
        let macros = &self.macros;
        let matters =
            |says: &mut Vec<Saying>| says.retain(|(name, _)| *name < N || macros.contains_key(name));
        for file in &mut self.files {
            file.rules.iter_mut().for_each(|rule| matters(&mut rule.says));
            file.rules.retain(|rule| !rule.says.is_empty());
            file.rules.reverse();
        }
        self.files.retain(|file| !file.rules.is_empty());
        self.files.reverse();
        Finished { known: vec![false; self.names.len()], files: self.files, macros: self.macros }
    }

    fn name(&mut self, name: &[u8]) -> Name {
        let next = self.names.len();
        *self.names.entry(name.to_owned()).or_insert(next)
    }
}

/// Rules that can be asked.
pub(in crate::git) struct Finished<const N: usize> {
    /// The strongest first, as are the rules of each.
    files: Vec<File>,
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
        let below = |file: &File| path.strip_prefix(file.folder.as_slice()).map(<[u8]>::len);
        let around = self.files.iter().filter_map(|file| Some((file, below(file)?)));
        let rules = around.flat_map(|(file, below)| file.rules.iter().map(move |rule| (rule, below)));
        for (rule, below) in rules {
            if missing == 0 {
                break;
            }
            if !rule.pattern.matches(&path[path.len() - below..]) {
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
    let content = match read {
        Read::FromIndex => up_to_nul(content),
        Read::ByLine => content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content),
    };
    content.split_inclusive(|byte| *byte == b'\n').map(move |line| {
        let Some(whole) = line.strip_suffix(b"\n") else { return up_to_nul(line) };
        match read {
            Read::FromIndex => whole,
            Read::ByLine => up_to_nul(whole.strip_suffix(b"\r").unwrap_or(whole)),
        }
    })
}

fn up_to_nul(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
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
                let (name, _) = word(without_blanks(up_to_nul(name)));
                Of::Macro(Some(name).filter(|name| is_name(name))?.to_owned())
            }
            None => Of::Paths(Pattern::parse(up_to_nul(&pattern))?),
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

/// What stands up to the closing quotation mark, a NUL and what follows included, and the rest; `None` where it is not quoted well.
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
    Some((found, rest))
}
