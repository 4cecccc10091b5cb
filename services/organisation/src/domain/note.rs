use kernel::{Malformed, misleads};

/// What one person writes to another in a mail: plain text.
///
/// Rule: at most 1000 characters, trimmed, lines ended by a line feed (a carriage return before it is
/// dropped); no other control character, and none that changes the direction of what follows. It may
/// be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note(String);

impl Note {
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        // Four bytes a character, and as many carriage returns as there can be lines.
        if text.len() > 5_000 {
            return Err(EXPECTED);
        }
        let text = text.replace("\r\n", "\n").trim().to_owned();
        let fits = text.chars().count() <= 1_000 && text.chars().all(|c| c == '\n' || !misleads(c));
        if fits { Ok(Self(text)) } else { Err(EXPECTED) }
    }
}

const EXPECTED: Malformed =
    Malformed("plain text of at most 1000 characters without control characters");

impl From<Note> for String {
    fn from(note: Note) -> Self {
        note.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_plain_text_of_some_lines() {
        let note = Note::parse(" Dear Ada,\r\n\r\nwelcome! \n").unwrap();
        assert_eq!(String::from(note), "Dear Ada,\n\nwelcome!");
        assert!(Note::parse(&"\u{1f44b}".repeat(1_000)).is_ok());
        let long = "x".repeat(1_001);
        for bad in ["a\rb", "a\u{0}", "a\tb", "a\u{202e}b", "a\u{2028}b", "\u{1b}[2J", &long] {
            assert!(Note::parse(bad).is_err(), "{bad:?}");
        }
    }
}
