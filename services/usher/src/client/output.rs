use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Where answers are printed.
pub(super) type Out<'a> = &'a mut (dyn Write + Send);

/// Rows below a heading, each column as wide as its longest text.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned)] }
    }

    pub(super) fn row(&mut self, row: [&str; N]) {
        self.rows.push(row.map(plain));
    }

    pub(super) fn print(&self, out: Out<'_>) -> io::Result<()> {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, text) in widths.iter_mut().zip(row) {
                *width = text.chars().count().max(*width);
            }
        }
        for row in &self.rows {
            let mut line = String::new();
            for (width, text) in widths.iter().zip(row) {
                line.push_str(&format!("{text:width$}  "));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A text without what would steer a terminal or turn its direction: others have typed it.
pub(super) fn plain(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// A moment, or nothing.
pub(super) fn moment(at: Option<prost_types::Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

/// What an enum's value says, as a word: its name without the enum's, in lower case.
pub(super) fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

/// One value in one line.
pub(super) fn json_line(out: Out<'_>, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// One value, for reading too.
pub(super) fn json(out: Out<'_>, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_nothing_in_it_steers_the_terminal() {
        let mut table = Table::new(["NAME", "ROLES", "STATE"]);
        table.row(["Zoë", "admin user", "pending"]);
        table.row(["a\u{1b}[2Jb\u{202e}", "", "accepted"]);
        let mut out = Vec::new();
        table.print(&mut out).unwrap();
        let expected = "NAME     ROLES       STATE\n\
                        Zoë      admin user  pending\n\
                        a\u{fffd}[2Jb\u{fffd}              accepted\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
