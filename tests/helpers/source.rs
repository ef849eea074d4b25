//! Rust source as flat tokens, each with its line, its module and whether it is test code: enough to hold rules about
//! what is written where, whatever the layout. Comments and the insides of literals are no tokens.

use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// An identifier, a punctuation character, a bracket; `""` for any literal.
    pub text: String,
    /// The line it stands on, from 1.
    pub line: usize,
    /// How many modules of this file it stands in.
    pub depth: usize,
    /// Whether it belongs to an item under `#[cfg(test)]` or `#[test]`.
    pub is_test: bool,
}

/// A source file.
#[derive(Debug)]
pub struct Source {
    /// The tokens in order.
    pub tokens: Vec<Token>,
    /// How many lines there are, those of test code not counted.
    pub lines: usize,
}

impl Source {
    /// Reads Rust source.
    pub fn parse(text: &str) -> Self {
        let stream = TokenStream::from_str(text).unwrap_or_else(|error| panic!("no Rust source: {error}"));
        let mut tokens = Vec::new();
        flatten(stream, 0, false, &mut tokens);
        Self { lines: text.lines().count() - lines_of_tests(&tokens), tokens }
    }

    /// The places where `texts` stand one after the other: the index of the first.
    pub fn find<'a>(&'a self, texts: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
        let matches =
            move |window: &[Token]| window.iter().zip(texts).all(|(token, text)| token.text == *text);
        self.tokens.windows(texts.len()).enumerate().filter(move |(_, w)| matches(w)).map(|(at, _)| at)
    }

    /// The text of the token at `at`; empty beyond the end.
    pub fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    /// The first names of the paths at `at`: the name there, or those of a `{group, of::paths}`. With each the index
    /// of its token.
    pub fn path_heads(&self, at: usize) -> Vec<usize> {
        if self.text(at) != "{" {
            return vec![at];
        }
        let mut heads = Vec::new();
        let mut open = 0;
        let mut is_head = true;
        for (index, token) in self.tokens.iter().enumerate().skip(at) {
            match token.text.as_str() {
                "{" => open += 1,
                "}" => open -= 1,
                "," if open == 1 => is_head = true,
                _ if open == 1 && is_head => {
                    heads.push(index);
                    is_head = false;
                }
                _ => {}
            }
            if open == 0 {
                break;
            }
        }
        heads
    }
}

/// The lines from the first to the last token of each run of test code: comments in between belong to it.
fn lines_of_tests(tokens: &[Token]) -> usize {
    let runs = tokens.chunk_by(|one, next| one.is_test == next.is_test).filter(|run| run[0].is_test);
    runs.map(|run| run[run.len() - 1].line - run[0].line + 1).sum()
}

fn flatten(stream: TokenStream, depth: usize, is_test: bool, tokens: &mut Vec<Token>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut is_test = is_test;
    // Test code until the end of the item that follows the attribute.
    let mut item_is_test = false;
    let mut module = false;
    for (at, tree) in trees.iter().enumerate() {
        if let Some(inner) = attribute(&trees[at..]) {
            let marks_test = matches!(inner.as_str(), "cfg(test)" | "test");
            item_is_test |= marks_test;
            is_test |= marks_test && is_inner_attribute(&trees[at..]);
        }
        let test_here = is_test || item_is_test;
        let mut push = |text: &str, line: usize| {
            tokens.push(Token { text: text.to_owned(), line, depth, is_test: test_here });
        };
        match tree {
            TokenTree::Ident(ident) => {
                // `mod name {` opens a module.
                module = ident == "mod" || (module && matches!(trees.get(at - 1), Some(TokenTree::Ident(_))));
                push(&ident.to_string(), ident.span().start().line);
            }
            TokenTree::Punct(punct) => {
                push(&punct.as_char().to_string(), punct.span().start().line);
                module = false;
                item_is_test &= punct.as_char() != ';';
            }
            TokenTree::Literal(literal) => push("", literal.span().end().line),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                push(open, group.span_open().start().line);
                let inner = depth + usize::from(module && open == "{");
                flatten(group.stream(), inner, test_here, tokens);
                let line = group.span_close().start().line;
                tokens.push(Token { text: close.to_owned(), line, depth, is_test: test_here });
                module = false;
                item_is_test &= open != "{";
            }
        }
    }
}

/// What stands in the attribute that begins here, without spaces.
fn attribute(trees: &[TokenTree]) -> Option<String> {
    let group = match trees {
        [TokenTree::Punct(hash), TokenTree::Group(group), ..] if hash.as_char() == '#' => group,
        [TokenTree::Punct(hash), TokenTree::Punct(bang), TokenTree::Group(group), ..]
            if hash.as_char() == '#' && bang.as_char() == '!' =>
        {
            group
        }
        _ => return None,
    };
    let inner = group.stream().to_string();
    (group.delimiter() == Delimiter::Bracket).then(|| inner.chars().filter(|c| !c.is_whitespace()).collect())
}

fn is_inner_attribute(trees: &[TokenTree]) -> bool {
    matches!(trees.get(1), Some(TokenTree::Punct(bang)) if bang.as_char() == '!')
}
