//! A Rust file as tokens: what stands in a comment or a string is not there.

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// A word or a mark, and the line that it stands on.
#[derive(Debug, Clone)]
pub struct Token {
    /// Empty for a literal.
    pub text: String,
    pub line: usize,
}

/// A path as it is used: `a::b` in an expression, or one leaf of `use a::{b, c::d}`.
#[derive(Debug, PartialEq, Eq)]
pub struct PathUse {
    pub segments: Vec<String>,
    pub line: usize,
    /// Whether it stands in a `use` declaration.
    pub imported: bool,
}

/// A Rust file, with its test code apart from the rest.
pub struct Source {
    /// Relative to the workspace: `libs/kernel/src/lib.rs`.
    pub path: String,
    pub code: Vec<Token>,
    pub tests: Vec<Token>,
    /// How many lines are not part of a test.
    pub code_lines: usize,
}

impl Source {
    /// Reads a file's text.
    ///
    /// Test code is what `#[cfg(test)]` marks, and all of a file in a folder `tests` or named so.
    ///
    /// # Panics
    ///
    /// The text is not Rust.
    #[must_use]
    pub fn parse(path: &str, text: &str) -> Self {
        let stream: TokenStream =
            text.parse().unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        let mut source = Self {
            path: path.to_owned(),
            code: Vec::new(),
            tests: Vec::new(),
            code_lines: text.lines().count(),
        };
        if path.split('/').any(|part| part == "tests" || part == "tests.rs") {
            flatten(stream, &mut source.tests);
            source.code_lines = 0;
        } else {
            source.divide(stream);
        }
        source
    }

    /// The folder below `services/` or `libs/` that the file is in, and the rest below its `src/`:
    /// `("services", "identity", "users/create.rs")`.
    #[must_use]
    pub fn place(&self) -> Option<(&str, &str, &str)> {
        let (area, rest) = self.path.split_once('/')?;
        let (package, rest) = rest.split_once('/')?;
        let inside = rest.strip_prefix("src/")?;
        matches!(area, "services" | "libs").then_some((area, package, inside))
    }

    fn divide(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while at < trees.len() {
            if marks_tests(&trees[at..]) {
                let end = end_of_item(&trees, at + 2);
                let first = trees[at].span().start().line;
                let last = trees[end - 1].span().end().line;
                self.code_lines = self.code_lines.saturating_sub(last + 1 - first);
                flatten(trees[at..end].iter().cloned().collect(), &mut self.tests);
                at = end;
                continue;
            }
            match &trees[at] {
                TokenTree::Group(group) => {
                    let (open, close) = marks(group);
                    self.code.push(token(open, group.span_open().start().line));
                    self.divide(group.stream());
                    self.code.push(token(close, group.span_close().start().line));
                    at += 1;
                }
                _ => at += push_word(&trees[at..], &mut self.code),
            }
        }
    }
}

/// All paths in the tokens, with the trees of `use` declarations spread out. A single word is a
/// path too.
#[must_use]
pub fn paths(tokens: &[Token]) -> Vec<PathUse> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_word(&tokens[at].text) {
            let before = tokens[..at].iter().rev().find(|token| token.text != "::");
            let imported = before.is_some_and(|token| token.text == "use");
            at = read_path(tokens, at, &[], imported, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path, or the rest of one after `prefix`, and returns where it ends.
fn read_path(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    imported: bool,
    found: &mut Vec<PathUse>,
) -> usize {
    let mut segments = prefix.to_vec();
    let line = tokens[at].line;
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    loop {
        match text(at) {
            "{" => {
                at += 1;
                while at < tokens.len() && text(at) != "}" {
                    if is_word(text(at)) || text(at) == "*" {
                        at = read_path(tokens, at, &segments, imported, found);
                        if text(at) == "as" {
                            at += 2;
                        }
                    } else {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "*" if !segments.is_empty() => {
                segments.push("*".to_owned());
                at += 1;
                break;
            }
            word if is_word(word) => {
                segments.push(word.to_owned());
                at += 1;
                if text(at) != "::" {
                    break;
                }
                at += 1;
            }
            _ => break,
        }
    }
    found.push(PathUse { segments, line, imported });
    at
}

/// Whether a path may begin or go on with it. The keywords are those that may stand before a path
/// that begins with `::`.
fn is_word(text: &str) -> bool {
    const KEYWORDS: [&str; 17] = [
        "as", "break", "const", "dyn", "else", "for", "if", "impl", "in", "let", "match", "mut",
        "ref", "return", "use", "where", "while",
    ];
    text.starts_with(|first: char| first == '_' || first.is_alphabetic())
        && !KEYWORDS.contains(&text)
}

/// Whether a `#[cfg(test)]` or `#[cfg(all(test, …))]` stands here.
fn marks_tests(trees: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = trees else {
        return false;
    };
    if hash.as_char() != '#' || attribute.delimiter() != Delimiter::Bracket {
        return false;
    }
    arguments(attribute.stream(), "cfg").is_some_and(|condition| {
        is_test(condition.clone())
            || arguments(condition, "all").is_some_and(|all| {
                all.into_iter().any(|tree| matches!(tree, TokenTree::Ident(word) if word == "test"))
            })
    })
}

fn is_test(condition: TokenStream) -> bool {
    condition.to_string() == "test"
}

/// What stands in the parentheses of `name(…)`.
fn arguments(stream: TokenStream, name: &str) -> Option<TokenStream> {
    let mut trees = stream.into_iter();
    match (trees.next(), trees.next()) {
        (Some(TokenTree::Ident(word)), Some(TokenTree::Group(group))) if word == name => {
            Some(group.stream())
        }
        _ => None,
    }
}

/// The index after an item: after its braces or its semicolon.
fn end_of_item(trees: &[TokenTree], from: usize) -> usize {
    let ends = |tree: &TokenTree| match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(mark) => mark.as_char() == ';',
        _ => false,
    };
    (from..trees.len()).find(|at| ends(&trees[*at])).map_or(trees.len(), |at| at + 1)
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < trees.len() {
        match &trees[at] {
            TokenTree::Group(group) => {
                let (open, close) = marks(group);
                tokens.push(token(open, group.span_open().start().line));
                flatten(group.stream(), tokens);
                tokens.push(token(close, group.span_close().start().line));
                at += 1;
            }
            _ => at += push_word(&trees[at..], tokens),
        }
    }
}

/// Adds a word, a mark or a literal, and returns how many trees it was made of: two for `::`.
fn push_word(trees: &[TokenTree], tokens: &mut Vec<Token>) -> usize {
    let line = trees[0].span().start().line;
    match trees {
        [TokenTree::Punct(first), TokenTree::Punct(second), ..]
            if first.as_char() == ':'
                && first.spacing() == Spacing::Joint
                && second.as_char() == ':' =>
        {
            tokens.push(token("::", line));
            return 2;
        }
        [TokenTree::Literal(_), ..] => tokens.push(token("", line)),
        [other, ..] => tokens.push(token(&other.to_string(), line)),
        [] => {}
    }
    1
}

fn marks(group: &Group) -> (&'static str, &'static str) {
    match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

fn token(text: &str, line: usize) -> Token {
    Token { text: text.to_owned(), line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        paths(&Source::parse("libs/a/src/lib.rs", text).code)
            .into_iter()
            .filter(|path| path.segments.len() > 1)
            .map(|path| {
                format!("{}{}", if path.imported { "use " } else { "" }, path.segments.join("::"))
            })
            .collect()
    }

    #[test]
    fn trees_of_use_declarations_are_spread_out() {
        assert_eq!(
            found("pub use a::{self, b::{C, d as e}, f::*};\nuse ::g::h as i;"),
            ["use a::self", "use a::b::C", "use a::b::d", "use a::f::*", "use g::h"]
        );
    }

    #[test]
    fn paths_in_expressions_types_macros_and_attributes_are_found() {
        assert_eq!(
            found("#[derive(a::B)] fn f(x: c::D<e::F>) -> u8 { g!(h::i(), Vec::<u8>::new()) }"),
            ["a::B", "c::D", "e::F", "h::i"]
        );
    }

    #[test]
    fn comments_and_strings_hold_no_paths() {
        assert_eq!(
            found("//! a::b\n/// c::d\nfn f() { /* e::f */ g(\"h::i\", r#\"j::k\"#, 'l') }"),
            [""; 0]
        );
    }

    #[test]
    fn test_code_stands_apart_and_its_lines_do_not_count() {
        let source = Source::parse(
            "libs/a/src/lib.rs",
            "fn code() {}\n\
             #[cfg(test)]\n\
             mod tests {\n\
                 fn inside() {}\n\
             }\n\
             #[cfg(all(test, unix))]\n\
             use marked::too;\n\
             #[cfg(not(test))]\n\
             fn more_code() {}\n",
        );
        let has = |tokens: &[Token], word| tokens.iter().any(|token| token.text == word);
        for word in ["inside", "marked"] {
            assert!(has(&source.tests, word) && !has(&source.code, word), "{word}");
        }
        for word in ["code", "more_code"] {
            assert!(has(&source.code, word) && !has(&source.tests, word), "{word}");
        }
        assert_eq!(source.code_lines, 3);
    }

    #[test]
    fn a_file_in_a_folder_of_tests_is_all_test_code() {
        for path in ["tests/stories/src/lib.rs", "libs/a/tests/b.rs", "libs/a/src/b/tests.rs"] {
            let source = Source::parse(path, "fn code() {}");
            assert_eq!((source.code.len(), source.code_lines), (0, 0), "{path}");
        }
    }
}
