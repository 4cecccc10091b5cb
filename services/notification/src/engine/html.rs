//! A mail as HTML. Mail readers know no style sheets: each element carries its own style.

use minijinja::HtmlEscape;
use pulldown_cmark::{Event, HeadingLevel, Tag, TagEnd};

use super::{
    Error,
    markup::{Button, DEEPEST, is_safe},
    write,
};

/// Draws a mail. `hint` stands above each link that is there to be copied.
pub(super) fn draw(events: &[Event<'_>], hint: Option<&str>) -> Result<String, Error> {
    let mut page =
        Page { out: String::new(), closes: Vec::new(), address: None, is_small: false, hint };
    let mut rest = events;
    while let Some((event, behind)) = rest.split_first() {
        rest = match Button::at(rest) {
            Some(button) => {
                page.button(&button)?;
                &rest[button.length..]
            }
            None => {
                page.event(event)?;
                behind
            }
        };
    }
    Ok(page.out)
}

struct Page<'a> {
    out: String,
    /// What ends the elements that are open.
    closes: Vec<&'static str>,
    /// Where the link that is open leads, escaped, and where its label begins.
    address: Option<(String, usize)>,
    /// Behind a rule there is small print.
    is_small: bool,
    hint: Option<&'a str>,
}

const SMALL: &str = " font-size:14px; color:#4b5563;";

impl Page<'_> {
    fn event(&mut self, event: &Event<'_>) -> Result<(), Error> {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(*tag),
            // What is no text of ours is shown as it stands: no markup passes.
            Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => {
                self.text(text)
            }
            Event::SoftBreak => write(&mut self.out, "\n"),
            Event::HardBreak => write(&mut self.out, "<br>\n"),
            Event::Rule => {
                self.is_small = true;
                let style = "margin:28px 0 16px; border:0; border-top:1px solid #e5e7eb;";
                write(&mut self.out, &format!("<hr style=\"{style}\">\n"))
            }
            // Extensions, which are off.
            Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::TaskListMarker(_) => Ok(()),
        }
    }

    fn start(&mut self, tag: &Tag<'_>) -> Result<(), Error> {
        let small = if self.is_small { SMALL } else { "" };
        let (open, close) = match tag {
            Tag::Paragraph if self.closes.contains(&QUOTED) => {
                ("<p style=\"margin:0 0 8px;\">".to_owned(), "</p>\n")
            }
            Tag::Paragraph => (format!("<p style=\"margin:0 0 16px;{small}\">"), "</p>\n"),
            Tag::Heading { level: HeadingLevel::H1, .. } => (
                "<h1 style=\"margin:0 0 20px; font-size:22px; line-height:1.3; color:#111827;\">"
                    .to_owned(),
                "</h1>\n",
            ),
            Tag::Heading { .. } => (
                "<h2 style=\"margin:24px 0 12px; font-size:18px; line-height:1.3; color:#111827;\">"
                    .to_owned(),
                "</h2>\n",
            ),
            Tag::BlockQuote(_) => {
                let style =
                    "margin:0 0 16px; padding:8px 16px; border-left:4px solid #d1d5db; color:#374151;";
                (format!("<blockquote style=\"{style}\">\n"), QUOTED)
            }
            Tag::List(None) => {
                (format!("<ul style=\"margin:0 0 16px; padding-left:24px;{small}\">\n"), "</ul>\n")
            }
            Tag::List(Some(first)) => (
                format!("<ol start=\"{first}\" style=\"margin:0 0 16px; padding-left:24px;{small}\">\n"),
                "</ol>\n",
            ),
            Tag::Item => ("<li style=\"margin:0 0 4px;\">".to_owned(), "</li>\n"),
            Tag::Emphasis => ("<em>".to_owned(), "</em>"),
            Tag::Strong => ("<strong>".to_owned(), "</strong>"),
            Tag::Link { dest_url, .. } if is_safe(dest_url) => {
                let address = HtmlEscape(dest_url).to_string();
                let open = format!("<a href=\"{address}\" style=\"color:#1d4ed8;\">");
                self.address = Some((address, self.out.len() + open.len()));
                (open, "</a>")
            }
            // What is not drawn, but what is in it: a picture, code, a link to nowhere.
            _ => (String::new(), ""),
        };
        if self.closes.len() > DEEPEST {
            return Err(Error::TooDeep);
        }
        self.closes.push(close);
        write(&mut self.out, &open)
    }

    fn end(&mut self, tag: TagEnd) -> Result<(), Error> {
        let link = if tag == TagEnd::Link { self.address.take() } else { None };
        let shown = link.filter(|(address, label)| self.out.get(*label..) != Some(address));
        let close = self.closes.pop().unwrap_or_default();
        write(&mut self.out, close)?;
        // A link can be copied, too, where it cannot be clicked. The brackets are those that an address
        // in a text is set off by (RFC 3986, appendix C).
        shown.map_or(Ok(()), |(address, _)| write(&mut self.out, &format!(" &lt;{address}&gt;")))
    }

    fn text(&mut self, text: &str) -> Result<(), Error> {
        write(&mut self.out, &HtmlEscape(text).to_string())
    }

    /// A link that stands alone: a button that every mail reader draws, and the link to be copied.
    fn button(&mut self, button: &Button<'_>) -> Result<(), Error> {
        let address = HtmlEscape(button.address).to_string();
        let label = HtmlEscape(&button.label).to_string();
        let hint = self.hint.map(|hint| format!("{}<br>\n", HtmlEscape(hint))).unwrap_or_default();
        let face = "display:inline-block; padding:14px 24px; \
                    font-family:Arial,Helvetica,sans-serif; font-size:16px; font-weight:bold; \
                    color:#ffffff; text-decoration:none;";
        write(
            &mut self.out,
            &format!(
                "<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" \
                 style=\"margin:28px 0;\">\n<tr>\n\
                 <td style=\"background-color:#1d4ed8; border-radius:6px;\">\n\
                 <a href=\"{address}\" style=\"{face}\">{label}</a>\n</td>\n</tr>\n</table>\n\
                 <p style=\"margin:0 0 16px;{SMALL}\">{hint}\
                 <span style=\"word-break:break-all; color:#1f2937;\">{address}</span></p>\n"
            ),
        )
    }
}

const QUOTED: &str = "</blockquote>\n";
