//! A mail as plain text: paragraphs with an empty line between, quotations behind `> ` as mail readers
//! mark them (RFC 3676, section 4.5), and every link in full, on a line of its own.

use pulldown_cmark::{Event, Tag, TagEnd};

use super::{
    Error,
    markup::{Button, DEEPEST, is_safe},
    write,
};

/// Draws a mail.
pub(super) fn draw(events: &[Event<'_>]) -> Result<String, Error> {
    let mut page = Page { open: vec![Block::new(Kind::Mail)], address: None };
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
    page.end_paragraph()?;
    let mail = page.open.swap_remove(0);
    Ok(mail.text + "\n")
}

/// What is open, the mail itself first.
struct Page {
    open: Vec<Block>,
    /// Where the link that is open leads, and where in its line it began.
    address: Option<(String, usize)>,
}

struct Block {
    kind: Kind,
    /// The blocks in it that are complete.
    text: String,
    /// The paragraph that is being written.
    line: String,
    /// The links in it, to be written behind it.
    links: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Mail,
    Quotation,
    /// The number of its next item, if it counts them.
    List(Option<u64>),
    Item(Option<u64>),
}

impl Block {
    fn new(kind: Kind) -> Self {
        Self { kind, text: String::new(), line: String::new(), links: Vec::new() }
    }

    /// Adds a block behind those that are complete.
    fn add(&mut self, block: &str) -> Result<(), Error> {
        let between = if matches!(self.kind, Kind::List(_)) { "\n" } else { "\n\n" };
        self.add_behind(between, block)
    }

    fn add_behind(&mut self, between: &str, block: &str) -> Result<(), Error> {
        if block.is_empty() {
            return Ok(());
        }
        let between = if self.text.is_empty() { "" } else { between };
        write(&mut self.text, between)?;
        write(&mut self.text, block)
    }

    /// As it stands in what it is in.
    fn drawn(&self) -> String {
        let (first, others) = match self.kind {
            Kind::Mail | Kind::List(_) => return self.text.clone(),
            Kind::Quotation => (">".to_owned(), ">".to_owned()),
            Kind::Item(None) => ("-".to_owned(), " ".to_owned()),
            Kind::Item(Some(number)) => {
                let mark = format!("{number}.");
                let space = " ".repeat(mark.len());
                (mark, space)
            }
        };
        let line = |(index, line): (usize, &str)| {
            let mark = if index == 0 { &first } else { &others };
            format!("{mark} {line}").trim_end().to_owned()
        };
        self.text.lines().enumerate().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl Page {
    fn event(&mut self, event: &Event<'_>) -> Result<(), Error> {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(*tag),
            Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => {
                write(&mut self.last().line, text)
            }
            Event::SoftBreak => write(&mut self.last().line, " "),
            Event::HardBreak => write(&mut self.last().line, "\n"),
            Event::Rule => self.last().add("---"),
            // Extensions, which are off.
            Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::TaskListMarker(_) => Ok(()),
        }
    }

    fn last(&mut self) -> &mut Block {
        let last = self.open.len() - 1;
        &mut self.open[last]
    }

    fn start(&mut self, tag: &Tag<'_>) -> Result<(), Error> {
        let kind = match tag {
            Tag::BlockQuote(_) => Kind::Quotation,
            Tag::List(first) => Kind::List(*first),
            Tag::Item => match &mut self.last().kind {
                Kind::List(Some(number)) => {
                    *number += 1;
                    Kind::Item(Some(*number - 1))
                }
                _ => Kind::Item(None),
            },
            Tag::Link { dest_url, .. } if is_safe(dest_url) => {
                self.address = Some((dest_url.to_string(), self.last().line.len()));
                return Ok(());
            }
            _ => return Ok(()),
        };
        // An item's text ends where a list in it begins.
        self.end_paragraph()?;
        if self.open.len() > DEEPEST {
            return Err(Error::TooDeep);
        }
        self.open.push(Block::new(kind));
        Ok(())
    }

    fn end(&mut self, tag: TagEnd) -> Result<(), Error> {
        match tag {
            TagEnd::Link => {
                let Some((address, began)) = self.address.take() else { return Ok(()) };
                let block = self.last();
                // An address that is its own label is there already.
                if block.line.get(began..) != Some(address.as_str()) {
                    block.links.push(address);
                }
                Ok(())
            }
            TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::Item => {
                self.end_paragraph()?;
                match self.open.pop() {
                    // A list in an item belongs to what the item says.
                    Some(Block { kind: Kind::List(_), text, .. })
                        if matches!(self.last().kind, Kind::Item(_)) =>
                    {
                        self.last().add_behind("\n", &text)
                    }
                    Some(block) => self.last().add(&block.drawn()),
                    None => Ok(()),
                }
            }
            TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::CodeBlock | TagEnd::HtmlBlock => {
                self.end_paragraph()
            }
            _ => Ok(()),
        }
    }

    fn end_paragraph(&mut self) -> Result<(), Error> {
        let block = self.last();
        let mut paragraph = std::mem::take(&mut block.line).trim().to_owned();
        for address in std::mem::take(&mut block.links) {
            write(&mut paragraph, "\n")?;
            write(&mut paragraph, &address)?;
        }
        block.add(&paragraph)
    }

    fn button(&mut self, button: &Button<'_>) -> Result<(), Error> {
        let Button { label, address, .. } = button;
        let is_its_own = label == address;
        let lines = if is_its_own { label.clone() } else { format!("{label}:\n{address}") };
        self.last().add(&lines)
    }
}
