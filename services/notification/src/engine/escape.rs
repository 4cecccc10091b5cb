//! What keeps a value from becoming markup (CommonMark 0.31, sections 2.4 and 2.5).

use std::fmt::Write as _;

/// A value as Markdown that reads as the same characters, wherever in a line of text, in a link's
/// label or in its destination it lands.
///
/// Every punctuation character of ASCII is escaped: nothing else can begin or end an element. At the
/// edges a space or a digit is written as a reference, because spaces at the beginning of a line would
/// make it a block of code, and a digit with a point of the template's behind it an item of a list.
/// What could end the line is a space.
pub(super) fn markdown(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(value.len() + 8);
    for (index, c) in value.chars().enumerate() {
        let c = if ends_a_line(c) { ' ' } else { c };
        let at_edge = index == 0 || index == last;
        match c {
            _ if c.is_ascii_punctuation() => {
                escaped.push('\\');
                escaped.push(c);
            }
            _ if at_edge && (c.is_whitespace() || c.is_ascii_digit()) => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

/// What a person wrote, on however many lines, as a quotation: a block of its own, in which each of
/// their lines is one, and an empty line separates paragraphs.
pub(super) fn quotation(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let mut quoted = String::from("\n\n");
    for (index, line) in lines.iter().enumerate() {
        let next_is_empty = lines.get(index + 1).is_none_or(|next| next.is_empty());
        let end = if line.is_empty() || next_is_empty { "" } else { "\\" };
        let _ = writeln!(quoted, "> {}{end}", markdown(line));
    }
    quoted.push('\n');
    quoted
}

/// One line of plain text: what could end it is a space.
pub(super) fn line(value: &str) -> String {
    value.chars().map(|c| if ends_a_line(c) { ' ' } else { c }).collect()
}

fn ends_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use pulldown_cmark::{Event, Parser, Tag, TagEnd};

    use super::*;

    /// Every short text of what means something in Markdown, wherever it may stand, is read as
    /// itself and changes nothing around it.
    #[test]
    fn t09_a_value_is_read_as_the_characters_that_it_is() {
        let alphabet = [
            "a", "1", " ", "\u{a0}", "#", "-", "+", "*", "_", "`", "~", ">", "<", "[", "]", "(",
            ")", "!", "|", "\\", "&", ";", ":", "=", ".", "\"", "'", "/", "{", "}", "&#35;", "<b>",
            "](", "\u{e4}",
        ];
        let places = ["{}", "{} x", "x {}", "x{}x", "- {}", "{}. x", "{}\nx", "x\n{}", "[{}](/x)"];
        for (a, b, c) in every_three(&alphabet) {
            let value = format!("{a}{b}{c}");
            for place in places {
                let read = |value: &str| {
                    let source = place.replace("{}", value);
                    let mut shape = Vec::new();
                    let mut text = String::new();
                    for event in Parser::new(&source) {
                        match event {
                            Event::Text(more) => text.push_str(&more),
                            other => shape.push(format!("{other:?}")),
                        }
                    }
                    (shape, text)
                };
                let (harmless, around) = read("yyyyy");
                let (shape, text) = read(&markdown(&value));
                assert_eq!(shape, harmless, "{value:?} in {place:?}");
                assert_eq!(text, around.replace("yyyyy", &value), "{value:?} in {place:?}");
            }
        }
    }

    fn every_three<'a>(alphabet: &[&'a str]) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        let each = alphabet.to_vec();
        let size = each.len();
        (0..size * size * size)
            .map(move |n| (each[n % size], each[n / size % size], each[n / size / size]))
    }

    #[test]
    fn t09_a_destination_is_the_address_that_it_is() {
        for address in [
            "https://a.example/x(y)z",
            "https://a.example/\"><b>'&amp;\\`{{x}}](y",
            "http://a/*_~1",
        ] {
            let source = format!("[go]({})", markdown(address));
            let destination = Parser::new(&source).find_map(|event| match event {
                Event::Start(Tag::Link { dest_url, .. }) => Some(dest_url),
                _ => None,
            });
            assert_eq!(destination.as_deref(), Some(address));
        }
    }

    #[test]
    fn a_quotation_has_its_lines_and_its_paragraphs_and_ends() {
        let source = format!("Before{}After", quotation("1. one\n    two\n\n> three\n# four"));
        let events: Vec<_> = Parser::new(&source).collect();
        let inner = events.iter().skip_while(|it| !matches!(it, Event::Start(Tag::BlockQuote(_))));
        let inner: Vec<_> =
            inner.take_while(|it| **it != Event::End(TagEnd::BlockQuote(None))).collect();
        let breaks = inner.iter().filter(|it| ***it == Event::HardBreak).count();
        let paragraphs = inner.iter().filter(|it| ***it == Event::Start(Tag::Paragraph)).count();
        assert_eq!((breaks, paragraphs), (2, 2), "{source}");
        let after = events.iter().skip_while(|it| **it != Event::End(TagEnd::BlockQuote(None)));
        assert!(after.into_iter().any(|it| *it == Event::Text("After".into())));
    }
}
