//! Arguments that look like secrets, before they are written down or shown.
//!
//! A manifest records what was run; a key that was given on the command line must not be in it. What is recognised:
//! the value of an option, a header or an assignment whose name says that it is a secret, the well-known shapes of
//! tokens, `Bearer` values, and the password in a URL. An argument that is itself several words (a prompt) is looked
//! at word by word, so that only the secret goes.
//!
//! A heuristic: it errs towards `***` for named values and towards keeping ordinary words, commit ids, UUIDs and paths.

use std::ops::Range;

/// What stands where a secret stood.
pub const REDACTED: &str = "***";

/// The arguments, with what looks like a secret replaced by `***`.
pub fn redacted(args: &[String]) -> Vec<String> {
    let mut previous: Option<&str> = None;
    let mut result = Vec::with_capacity(args.len());
    for arg in args {
        let is_value = previous.is_some_and(is_secret_option) && !arg.starts_with("--");
        result.push(if is_value && !is_count(arg) {
            REDACTED.to_owned()
        } else if let Some(safe) = previous.and_then(|option| redacted_login(option, arg)) {
            safe
        } else {
            redacted_argument(arg)
        });
        previous = Some(arg);
    }
    result
}

/// A line that is split into words as a shell would, without any expansion: an agent's command as one argument. Words
/// without a secret stay as they were typed.
pub fn redacted_line(line: &str) -> String {
    line_without_secrets(line, |_| false)
}

/// A line for the shell. What is only named there (`--token "$TOKEN"`) is not written in it, and stays.
pub fn redacted_script(line: &str) -> String {
    line_without_secrets(line, is_reference)
}

fn line_without_secrets(line: &str, is_harmless: impl Fn(&str) -> bool) -> String {
    let words = words_of(line);
    let given: Vec<String> = words.iter().map(|(_, word)| word.clone()).collect();
    let mut result = String::with_capacity(line.len());
    let mut done = 0;
    for ((place, word), safe) in words.iter().zip(redacted(&given)) {
        let typed = line.get(place.clone()).unwrap_or_default();
        result.push_str(line.get(done..place.start).unwrap_or_default());
        match shlex::try_quote(&safe) {
            _ if safe == *word || is_harmless(typed) => result.push_str(typed),
            // So that the line has as many words as before.
            Ok(quoted) if safe.contains(char::is_whitespace) => result.push_str(&quoted),
            _ => result.push_str(&safe),
        }
        done = place.end;
    }
    result.push_str(line.get(done..).unwrap_or_default());
    result
}

/// The words of a line as a shell tells them apart: where each stands, and what it is without its quotes. A quote that
/// is left open reaches to the end.
fn words_of(line: &str) -> Vec<(Range<usize>, String)> {
    let mut words = Vec::new();
    let mut begun: Option<(usize, String)> = None;
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in line.char_indices() {
        if quote.is_none() && !escaped && c.is_whitespace() {
            words.extend(begun.take().map(|(start, word)| (start..at, word)));
            continue;
        }
        let (_, word) = begun.get_or_insert_with(|| (at, String::new()));
        match (quote, c) {
            _ if escaped => {
                word.push(c);
                escaped = false;
            }
            (Some(open), _) if open == c => quote = None,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(c),
            _ => word.push(c),
        }
    }
    words.extend(begun.map(|(start, word)| (start..line.len(), word)));
    words
}

/// `$NAME`, `"$NAME"`, `${NAME}`, and the same after `name=`.
fn is_reference(typed: &str) -> bool {
    let value = typed.split_once('=').map_or(typed, |(_, value)| value);
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let Some(name) = value.strip_prefix('$') else { return false };
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    is_name(name) && !name.contains(['-', '.'])
}

/// The positions of the arguments that hold something that looks like a secret.
pub fn secret_positions(args: &[String]) -> Vec<usize> {
    let safe = redacted(args);
    (0..args.len()).filter(|at| args.get(*at) != safe.get(*at)).collect()
}

/// One argument by itself.
pub fn redacted_argument(arg: &str) -> String {
    if let Some(safe) = redacted_header(arg) {
        return safe;
    }
    // An assignment's value goes to the end of the argument, blanks included.
    if let Some(safe) = redacted_assignment(arg) {
        return safe;
    }
    if let Some((option, value)) = arg.split_once('=')
        && option.starts_with('-')
        && let Some(safe) = redacted_header(value)
    {
        return format!("{option}={safe}");
    }
    if !arg.contains(char::is_whitespace) {
        return redacted_word(arg);
    }
    let mut result = String::with_capacity(arg.len());
    let mut previous = "";
    let mut before = "";
    for piece in arg.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end_matches(char::is_whitespace);
        let space = piece.get(word.len()..).unwrap_or_default();
        let bearer = previous.eq_ignore_ascii_case("bearer");
        let header = bearer && before.to_ascii_lowercase().ends_with("authorization:");
        // In running text the word after `--token` or `bearer` is a secret only if it reads like one.
        let named = (bearer || is_secret_option(previous)) && looks_random(word);
        let safe = if header || named {
            REDACTED.to_owned()
        } else {
            redacted_login(previous, word).unwrap_or_else(|| redacted_word(word))
        };
        result.push_str(&safe);
        result.push_str(space);
        if !word.is_empty() {
            before = previous;
            previous = word;
        }
    }
    result
}

/// `Name: value`, as an HTTP header is given: all of the value is the secret.
fn redacted_header(text: &str) -> Option<String> {
    let (name, value) = text.split_once(':')?;
    let is_secret = is_name(name) && is_secret_name(name) && !value.trim().is_empty();
    is_secret.then(|| format!("{name}: {REDACTED}"))
}

/// `-u user:password`, as curl takes it.
fn redacted_login(option: &str, word: &str) -> Option<String> {
    let (user, password) =
        word.split_once(':').filter(|_| matches!(option, "-u" | "--user" | "--proxy-user"))?;
    (!password.is_empty()).then(|| format!("{user}:{REDACTED}"))
}

fn redacted_word(word: &str) -> String {
    redacted_assignment(word).unwrap_or_else(|| without_tokens(&without_url_password(word)))
}

/// `NAME=***` for `NAME=value` and `--name=value` where the name says that it is a secret.
fn redacted_assignment(text: &str) -> Option<String> {
    let (name, value) = text.split_once('=')?;
    let named = is_name(name.trim_start_matches('-')) && is_secret_name(name);
    (named && !value.is_empty() && !is_count(value)).then(|| format!("{name}={REDACTED}"))
}

fn is_secret_option(arg: &str) -> bool {
    arg.starts_with('-') && !arg.contains('=') && is_name(arg.trim_start_matches('-')) && is_secret_name(arg)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn is_secret_name(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "token",
        "password",
        "passwd",
        "passphrase",
        "secret",
        "apikey",
        "api-key",
        "access-key",
        "private-key",
        "credential",
        "authorization",
    ];
    let name = name.trim_start_matches('-').to_ascii_lowercase().replace(['_', '.'], "-");
    // `OPENAI_KEY=…`; but not `--key`, which is an ordinary word.
    PARTS.iter().any(|part| name.contains(part)) || name.ends_with("-key")
}

/// `--max-tokens 4096` names a number, not a secret.
fn is_count(value: &str) -> bool {
    value.len() <= 9 && value.chars().all(|c| c.is_ascii_digit())
}

fn looks_random(word: &str) -> bool {
    word.len() >= 8
        && word.chars().any(|c| c.is_ascii_digit())
        && word.chars().any(|c| c.is_ascii_alphabetic())
}

/// `https://user:password@host` → `https://user:***@host`.
fn without_url_password(word: &str) -> String {
    let found = word.find("://").and_then(|scheme| {
        let after = scheme + 3;
        let authority = word.get(after..)?.split(['/', '?', '#']).next()?;
        let (user, _) = authority.rsplit_once('@')?;
        let colon = user.find(':')?;
        (colon + 1 < user.len()).then_some((after + colon + 1, after + user.len()))
    });
    match found {
        Some((from, to)) => {
            format!("{}{REDACTED}{}", word.get(..from).unwrap_or(""), word.get(to..).unwrap_or(""))
        }
        None => word.to_owned(),
    }
}

/// A well-known shape: how it begins, and how long what follows must at least be.
const SHAPES: &[(&str, usize)] = &[
    ("sk-", 16),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxe-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("xapp-", 10),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("npm_", 30),
    ("hf_", 20),
    ("gsk_", 20),
    ("xai-", 20),
    ("pypi-", 20),
];

/// Replaces every token of a known shape that begins where a word begins.
fn without_tokens(word: &str) -> String {
    let mut result = String::with_capacity(word.len());
    let mut rest = word;
    let mut inside = false;
    while let Some(first) = rest.chars().next() {
        let length = if inside { None } else { token_length(rest) };
        let step = match length {
            Some(length) => {
                result.push_str(REDACTED);
                length
            }
            None => {
                result.push(first);
                first.len_utf8()
            }
        };
        inside = length.is_some() || is_token_char(first);
        rest = rest.get(step..).unwrap_or_default();
    }
    result
}

fn token_length(text: &str) -> Option<usize> {
    let run = |text: &str| text.find(|c: char| !is_token_char(c)).unwrap_or(text.len());
    let shaped = SHAPES.iter().find_map(|(prefix, least)| {
        let length = run(text.strip_prefix(prefix)?);
        // A long hyphenated word such as `sk-learn-compatible-models` is no key: keys hold digits.
        let body = text.get(prefix.len()..prefix.len() + length)?;
        (length >= *least && body.contains(|c: char| c.is_ascii_digit())).then_some(prefix.len() + length)
    });
    shaped.or_else(|| {
        // A JSON web token: three parts, the first of which is `{"` in base64.
        let length = text.find(|c: char| !is_token_char(c) && c != '.').unwrap_or(text.len());
        let token = text.get(..length)?;
        let parts: Vec<&str> = token.split('.').collect();
        (token.starts_with("eyJ") && parts.len() == 3 && parts.iter().take(2).all(|part| part.len() >= 10))
            .then_some(length)
    })
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redacted_of(args: &[&str]) -> Vec<String> {
        redacted(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn named_values_are_taken_out() {
        let cases: &[(&[&str], &[&str])] = &[
            (&["--api-key", "abc"], &["--api-key", "***"]),
            (&["--api-key=abc"], &["--api-key=***"]),
            (&["--github-token", "-abc"], &["--github-token", "***"]),
            (&["--db_password=x y"], &["--db_password=***"]),
            (&["-e", "OPENAI_API_KEY=abc"], &["-e", "OPENAI_API_KEY=***"]),
            (&["MY_SECRET=abc", "HOME=/root"], &["MY_SECRET=***", "HOME=/root"]),
            (&["DEPLOY_KEY=abc"], &["DEPLOY_KEY=***"]),
            (&["-H", "Authorization: Basic abc"], &["-H", "Authorization: ***"]),
            (&["-H", "x-api-key: abc"], &["-H", "x-api-key: ***"]),
            (&["--header=Authorization: Basic abc"], &["--header=Authorization: ***"]),
            (&["--token", "--model", "x"], &["--token", "--model", "x"]),
            (&["run PASSWORD=abc now"], &["run PASSWORD=*** now"]),
            (&["--max-tokens", "4096", "--token-limit=100"], &["--max-tokens", "4096", "--token-limit=100"]),
        ];
        for (given, wanted) in cases {
            assert_eq!(redacted_of(given), *wanted, "{given:?}");
        }
    }

    #[test]
    fn tokens_of_a_known_shape_are_taken_out_wherever_they_stand() {
        let digits = "0123456789abcdefghijABCDEFGHIJ0123456789";
        for prefix in
            ["sk-", "sk-ant-api03-", "ghp_", "gho_", "github_pat_11", "xoxb-", "glpat-", "AIza", "hf_"]
        {
            let secret = format!("{prefix}{digits}");
            assert_eq!(redacted_of(&[&secret]), ["***"], "{secret}");
            let prompt = format!("use {secret}, please");
            assert_eq!(redacted_of(&[&prompt]), ["use ***, please"]);
            assert_eq!(redacted_of(&[&format!("--x={secret}")]), ["--x=***"]);
        }
        assert_eq!(redacted_of(&["AKIAIOSFODNN7EXAMPLE"]), ["***"]);
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl";
        assert_eq!(redacted_of(&[jwt]), ["***"]);
        assert_eq!(redacted_of(&["curl -H 'Auth: Bearer abc123def'"]), ["curl -H 'Auth: Bearer ***"]);
        assert_eq!(
            redacted_of(&["curl -H \"Authorization: Bearer hunter\""]),
            ["curl -H \"Authorization: Bearer ***"]
        );
        assert_eq!(redacted_of(&["curl", "-u", "me:hunter", "x"]), ["curl", "-u", "me:***", "x"]);
        assert_eq!(redacted_of(&["curl -u me:hunter x"]), ["curl -u me:*** x"]);
        assert_eq!(redacted_of(&["the bearer of bad news"]), ["the bearer of bad news"]);
        assert_eq!(redacted_of(&["https://me:hunter2@host/x?y"]), ["https://me:***@host/x?y"]);
    }

    #[test]
    fn ordinary_words_stay() {
        for word in [
            "/tf T-1 --auto",
            "rotate the --token flag, a secret: keep it; the bearer of news; password reset",
            "0123456789abcdef0123456789abcdef01234567",
            "01a2046c-4369-79c9-9f34-22141d69d200",
            "/home/me/project.ralph/t-1-ab12cd34/task-risk-sk-1",
            "sk-learn-compatible-models",
            "task-0123456789abcdefghij",
            "--session",
            "--model=anthropic/claude-sonnet-4-5:high",
            "git@github.com:me/repo.git",
            "https://host:8080/path@v1",
            "PATH=/usr/bin",
            "key",
            "eyJx.y.z",
            "",
        ] {
            assert_eq!(redacted_of(&[word]), [word]);
        }
        let session =
            ["--session", "/r/.git/ralph/sessions/01a2046c-4369-79c9-9f34-22141d69d200/pi-session.jsonl"];
        assert_eq!(redacted_of(&session), session);
    }

    #[test]
    fn a_line_is_looked_at_word_by_word_and_else_stays_as_it_was_typed() {
        for (line, safe) in [
            ("ag {ticket} --password hunter2", "ag {ticket} --password ***"),
            ("ag --password 'hun ter'  -x", "ag --password ***  -x"),
            ("ag --password hun\\ ter 'a b' \"c\"", "ag --password *** 'a b' \"c\""),
            ("ag -H 'Authorization: Basic abc' x", "ag -H 'Authorization: ***' x"),
            ("ag '--api-key=a b", "ag --api-key=***"),
            ("ag --token $TOKEN", "ag --token ***"),
            ("  make\ttest && true ", "  make\ttest && true "),
            ("", ""),
        ] {
            assert_eq!(redacted_line(line), safe, "{line:?}");
        }
        for (script, safe) in [
            ("make && deploy --password hunter2", "make && deploy --password ***"),
            (
                "deploy --token $TOKEN --secret \"${A_SECRET}\"",
                "deploy --token $TOKEN --secret \"${A_SECRET}\"",
            ),
            ("DB_PASSWORD=\"$PASSWORD\" make", "DB_PASSWORD=\"$PASSWORD\" make"),
            ("DB_PASSWORD=hunter2 make", "DB_PASSWORD=*** make"),
            ("deploy --password '$ecret' --token $a-b", "deploy --password *** --token ***"),
        ] {
            assert_eq!(redacted_script(script), safe, "{script:?}");
        }
    }

    #[test]
    fn the_positions_are_those_of_the_changed_arguments() {
        let args: Vec<String> = ["-p", "--api-key", "abc", "x"].map(str::to_owned).to_vec();
        assert_eq!(secret_positions(&args), [2]);
    }

    proptest! {
        #[test]
        fn a_line_without_a_secret_is_kept_to_the_byte(line in "[-a-z '\"\\\\&;|\t]{0,60}") {
            prop_assume!(!line.contains("--"));
            prop_assert_eq!(&redacted_script(&line), &line);
            prop_assert_eq!(&redacted_line(&line), &line);
        }

        #[test]
        fn never_panics_and_keeps_the_count(args: Vec<String>) {
            prop_assert_eq!(redacted(&args).len(), args.len());
        }

        #[test]
        fn a_second_pass_changes_nothing(args in proptest::collection::vec("[-a-zA-Z0-9_=:/@. ]{0,40}", 0..4)) {
            let once = redacted(&args);
            prop_assert_eq!(redacted(&once), once);
        }
    }
}
