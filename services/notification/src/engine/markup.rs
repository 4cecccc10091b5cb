//! What a mail may be made of.

use std::ops::Range;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};

use super::{
    check::{MOST, Violation},
    piece::{self, Kind, Piece},
};
use crate::domain::{template::Template, variable};

/// How deep a mail may be nested: a drawing costs its length times its depth.
pub(super) const DEEPEST: usize = 10;

/// Whether a link may lead there: an `https:`, `http:` or `mailto:` address. Escaping keeps an address
/// inside its attribute, but not from being `javascript:`.
pub(super) fn is_safe(address: &str) -> bool {
    let starts = |prefix: &str| {
        address.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            && address.len() > prefix.len()
    };
    ["https://", "http://", "mailto:"].into_iter().any(starts)
        && !address.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// A paragraph that is one link and nothing else: it is drawn as a button.
pub(super) struct Button<'a> {
    pub label: String,
    pub address: &'a str,
    /// How many events it is made of.
    pub length: usize,
}

impl<'a> Button<'a> {
    /// The button that begins here, if one does.
    pub(super) fn at(events: &'a [Event<'_>]) -> Option<Self> {
        let [Event::Start(Tag::Paragraph), Event::Start(Tag::Link { dest_url, .. }), ..] = events
        else {
            return None;
        };
        let end = events.iter().position(|event| *event == Event::End(TagEnd::Link))?;
        let is_alone = events.get(end + 1) == Some(&Event::End(TagEnd::Paragraph));
        if !is_alone || !is_safe(dest_url) {
            return None;
        }
        let label = events[2..end].iter().map(|event| match event {
            Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => {
                &**text
            }
            Event::SoftBreak | Event::HardBreak => " ",
            _ => "",
        });
        Some(Self { label: label.collect(), address: dest_url, length: end + 2 })
    }
}

/// What stands for a link, and for any other value, when the markup alone is looked at.
const LINK: &str = "https://link.invalid/";
const VALUE: &str = "usherVALUEusher";

/// What is wrong with the markup of a body whose first line has this number. It is looked at as it is
/// with every branch of every condition; whatever the values are, the drawings pass no more than this.
/// No more than [`MOST`] are looked for.
pub(super) fn check(pieces: &[Piece<'_>], template: Template, first: usize) -> Vec<Violation> {
    let mut masked = String::new();
    for Piece { kind, inner, raw, line: _ } in pieces {
        match kind {
            Kind::Text => masked.push_str(raw),
            Kind::Variable => {
                let variable = piece::known(inner, template).ok();
                let is_link = variable.is_some_and(|it| it.kind == variable::Kind::Link);
                masked.push_str(if is_link { LINK } else { VALUE });
            }
            Kind::Statement | Kind::Comment => {}
        }
        if *kind != Kind::Text {
            masked.extend(raw.chars().filter(|c| *c == '\n'));
        }
    }
    let line_at = |offset: usize| first + masked[..offset].matches('\n').count();
    let (mut wrong, mut depth, mut links) = (Vec::new(), 0_usize, Vec::new());
    for (event, range) in Parser::new_ext(&masked, Options::empty()).into_offset_iter() {
        // To tell a line takes a look at all before it: so there is an end to it, not only to the list.
        if wrong.len() == MOST {
            return wrong;
        }
        depth = match &event {
            Event::Start(_) => depth + 1,
            Event::End(_) => depth.saturating_sub(1),
            _ => depth,
        };
        if let Event::Start(Tag::Link { .. } | Tag::Image { .. }) = &event {
            links.push(range.clone());
        }
        let what = match &event {
            Event::Start(Tag::Link { dest_url, link_type, .. }) => {
                let email = *link_type == LinkType::Email;
                check_destination(dest_url, email)
            }
            Event::Html(_) | Event::InlineHtml(_) | Event::Start(Tag::HtmlBlock) => {
                Some("HTML is not allowed: write Markdown, and `\\<` for a `<`")
            }
            Event::Code(_) | Event::Start(Tag::CodeBlock(_)) => Some(
                "code is not allowed: neither in backticks, nor by four spaces at the beginning",
            ),
            Event::Start(Tag::Image { .. }) => Some("pictures are not allowed"),
            // The sample of a quotation adds one, and the list's items theirs.
            Event::Start(_) if depth >= DEEPEST => Some("expected less nesting"),
            Event::Text(_) if is_loose(&masked, range.clone()) => {
                Some("what begins with `**` or `__` does not end")
            }
            _ => None,
        };
        if let Some(what) = what {
            wrong.push(Violation { line: line_at(range.start), what: what.to_owned() });
        }
    }
    for (at, _) in masked.match_indices("](") {
        let is_escaped = masked[..at].ends_with('\\');
        if wrong.len() == MOST {
            break;
        }
        if !is_escaped && !links.iter().any(|link| link.contains(&at)) {
            let what = "a link is not complete: expected `[label](destination)`".to_owned();
            wrong.push(Violation { line: line_at(at), what });
        }
    }
    wrong
}

/// Whether a text begins with or holds a mark of emphasis, which then is none: it has no counterpart.
fn is_loose(masked: &str, text: Range<usize>) -> bool {
    let begins = |mark: &str| masked[text.start..].starts_with(mark);
    let is_escaped = masked[..text.start].ends_with('\\');
    !is_escaped
        && ["**", "__"].iter().any(|mark| begins(mark) || masked[text.clone()].contains(mark))
}

fn check_destination(destination: &str, is_email: bool) -> Option<&'static str> {
    if destination.is_empty() {
        Some("a link needs a destination")
    } else if destination == LINK || is_email {
        None
    } else if destination.contains(LINK) || destination.contains(VALUE) {
        Some("expected a destination that is a variable which holds a link, or has no variable")
    } else if is_safe(destination) {
        None
    } else {
        Some("expected a destination that begins with https://, http:// or mailto:")
    }
}
