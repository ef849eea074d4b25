//! Whether a pattern of an attributes file is for a file, as git has it (`dir.c`, `wildmatch.c`) where case counts: down
//! to what its manual does not say, since it decides how the file is written. Bytes, and no recursion but for stars.

/// A pattern that some file may match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: Vec<u8>,
    is_for: For,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// The last part of a path: there is no slash in the pattern.
    Names,
    /// The same, where all of the pattern but a first star is to be found at the end.
    Endings,
    /// The whole path from the folder of the attributes file on.
    Paths,
}

impl Pattern {
    /// `None` where no file matches: it is for folders, or negative, which git ignores.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.starts_with(b"!") || text.ends_with(b"/") {
            return None;
        }
        let ending = text.strip_prefix(b"*").filter(|rest| !rest.iter().copied().any(is_special));
        let (is_for, text) = match (text.contains(&b'/'), ending) {
            (true, _) => (For::Paths, text.strip_prefix(b"/").unwrap_or(text)),
            (false, Some(ending)) => (For::Endings, ending),
            (false, None) => (For::Names, text),
        };
        Some(Self { text: text.to_owned(), is_for })
    }

    /// Whether it is for the file at `path`, which begins below the folder of the attributes file.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        match self.is_for {
            // No slash is in the ending, and none in a name.
            For::Endings => path.ends_with(&self.text),
            For::Names => {
                let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
                glob(&self.text, name, Slashes::Like) == Verdict::Match
            }
            // What no wildcard comes before is compared by itself: for what follows, the pattern begins there, and two
            // stars there are as good as behind a slash.
            For::Paths => {
                let plain = self.text.iter().take_while(|byte| !is_special(**byte)).count();
                let (plain, rest) = self.text.split_at(plain);
                path.strip_prefix(plain)
                    .is_some_and(|path| glob(rest, path, Slashes::Apart) == Verdict::Match)
            }
        }
    }
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[' | b'\\')
}

/// What a slash in the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slashes {
    /// Matched by wildcards like anything else.
    Like,
    /// Matched by itself and by two stars that stand alone between slashes.
    Apart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Match,
    /// The text does not match; less of it might.
    No,
    /// Nor does what is left of it after any part of it.
    Never,
    /// The same, but for stars before that match slashes too.
    NeverInFolder,
}

fn glob(pattern: &[u8], text: &[u8], slashes: Slashes) -> Verdict {
    let (mut at, mut seen) = (0, 0);
    while let Some(&wanted) = pattern.get(at) {
        if wanted == b'*' {
            match stars(pattern, at, text.get(seen..).unwrap_or_default(), slashes) {
                Stars::Decided(verdict) => return verdict,
                Stars::FolderPassed { pattern: further, text: passed } => {
                    at = further;
                    seen += passed;
                    continue;
                }
            }
        }
        let Some(&here) = text.get(seen) else { return Verdict::Never };
        let is_slash = slashes == Slashes::Apart && here == b'/';
        let fits = match wanted {
            b'?' => !is_slash,
            b'[' => {
                let Some(set) = in_set(pattern, at, here) else { return Verdict::Never };
                at = set.end;
                set.holds && !is_slash
            }
            b'\\' => {
                at += 1;
                pattern.get(at) == Some(&here)
            }
            literal => literal == here,
        };
        if !fits {
            return Verdict::No;
        }
        at += 1;
        seen += 1;
    }
    if seen == text.len() { Verdict::Match } else { Verdict::No }
}

/// What stars come to.
enum Stars {
    Decided(Verdict),
    /// One star before a slash has passed the rest of a folder's name, and the slash.
    FolderPassed {
        /// Where the pattern goes on.
        pattern: usize,
        /// How much of the text was passed.
        text: usize,
    },
}

/// The stars at `start` of the pattern, against this text.
fn stars(pattern: &[u8], start: usize, text: &[u8], slashes: Slashes) -> Stars {
    let count = pattern.iter().skip(start).take_while(|byte| **byte == b'*').count();
    let behind = start + count;
    let rest = pattern.get(behind..).unwrap_or_default();
    let stands_alone = count > 1
        && (start == 0 || pattern.get(start - 1) == Some(&b'/'))
        && (rest.is_empty() || rest.starts_with(b"/") || rest.starts_with(b"\\/"));
    let across = slashes == Slashes::Like || stands_alone;
    if slashes == Slashes::Apart
        && stands_alone
        && let Some(below) = rest.strip_prefix(b"/")
        && glob(below, text, slashes) == Verdict::Match
    {
        return Stars::Decided(Verdict::Match);
    }
    let Some(&first) = rest.first() else {
        let is_match = across || !text.contains(&b'/');
        return Stars::Decided(if is_match { Verdict::Match } else { Verdict::NeverInFolder });
    };
    if !across && first == b'/' {
        return match text.iter().position(|byte| *byte == b'/') {
            None => Stars::Decided(Verdict::Never),
            Some(slash) => Stars::FolderPassed { pattern: behind + 1, text: slash + 1 },
        };
    }
    Stars::Decided(after_stars(rest, first, text, slashes, across))
}

/// Tries the rest of a pattern, which begins with `first`, at each place of the text up to which the stars reach.
fn after_stars(rest: &[u8], first: u8, text: &[u8], slashes: Slashes, across: bool) -> Verdict {
    let beyond = if across { Verdict::Never } else { Verdict::NeverInFolder };
    let mut seen = 0;
    while seen < text.len() {
        if !is_special(first) {
            let here = text.get(seen..).unwrap_or_default();
            let ends = |byte: &u8| *byte == first || (!across && *byte == b'/');
            match here.iter().position(ends).filter(|at| here.get(*at) == Some(&first)) {
                Some(at) => seen += at,
                None => return beyond,
            }
        }
        let here = text.get(seen..).unwrap_or_default();
        match glob(rest, here, slashes) {
            Verdict::No if !across && here.starts_with(b"/") => return Verdict::NeverInFolder,
            Verdict::No => {}
            Verdict::NeverInFolder if across => {}
            verdict => return verdict,
        }
        seen += 1;
    }
    Verdict::Never
}

struct Set {
    holds: bool,
    /// Where its bracket is closed.
    end: usize,
}

/// The set whose bracket is at `start`; `None` where it is never closed, or names a class that there is not.
fn in_set(pattern: &[u8], start: usize, here: u8) -> Option<Set> {
    let byte = |at: usize| pattern.get(at).copied();
    let mut at = start + 1;
    let negated = matches!(byte(at)?, b'!' | b'^');
    at += usize::from(negated);
    let mut before = None;
    let mut holds = false;
    loop {
        let mut member = byte(at)?;
        let is_range = member == b'-' && byte(at + 1).is_some_and(|next| next != b']');
        let class = if member == b'[' && byte(at + 1) == Some(b':') { class(pattern, at + 2)? } else { None };
        if let Some(class) = class {
            holds |= is_in_class(class, here)?;
            at += class.len() + 3;
            before = None;
        } else if let Some(from) = before.filter(|_| is_range) {
            at += 1;
            member = byte(at)?;
            if member == b'\\' {
                at += 1;
                member = byte(at)?;
            }
            holds |= (from..=member).contains(&here);
            before = None;
        } else {
            if member == b'\\' {
                at += 1;
                member = byte(at)?;
            }
            holds |= here == member;
            before = Some(member);
        }
        at += 1;
        // A bracket that closes nothing is a member.
        if byte(at)? == b']' {
            return Some(Set { holds: holds != negated, end: at });
        }
    }
}

/// The name of the class that begins at `start`; nothing where no colon ends it, so that it is none.
#[expect(
    clippy::option_option,
    reason = "a bracket that is never closed is not the same as one that names no class"
)]
fn class(pattern: &[u8], start: usize) -> Option<Option<&[u8]>> {
    let rest = pattern.get(start..)?;
    let inside = rest.get(..rest.iter().position(|byte| *byte == b']')?)?;
    Some(inside.strip_suffix(b":"))
}

fn is_in_class(class: &[u8], byte: u8) -> Option<bool> {
    let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    Some(match class {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => is_space,
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => return None,
    })
}
