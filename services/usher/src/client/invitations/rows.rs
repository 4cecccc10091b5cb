use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::Path,
};

use anyhow::Context as _;
use api::organisation::v1::CreateInvitationRequest;
use csv::{Reader, ReaderBuilder, StringRecord, Trim};
use kernel::{DisplayName, EmailAddress, Time, parse_id};

/// How many wrong places are named; the rest is counted.
const NAMED: usize = 50;

/// The rows of a file, each read when it is asked for.
pub(super) struct Rows {
    reader: Reader<File>,
    lines: Lines,
    columns: Vec<Column>,
    organisation: String,
}

/// One row: the line that it begins in, and what is asked for.
pub(super) struct Row {
    pub(super) line: i32,
    pub(super) invitation: CreateInvitationRequest,
}

/// A place that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    line: u64,
    /// Counts from 1, with its name; nothing where the whole line is wrong.
    column: Option<(usize, &'static str)>,
    what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some((number, name)) = self.column {
            write!(f, ", column {number} ({name})")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for Wrong {}

/// Reads a whole file; answers how many rows it has, or names what is wrong with it.
pub(super) fn check(file: &Path, organisation: &str) -> anyhow::Result<u64> {
    let mut rows = Rows::open(file, organisation)?;
    let (mut count, mut named, mut more) = (0, Vec::new(), 0);
    while let Some(row) = rows.next() {
        count += 1;
        for wrong in row.err().unwrap_or_default() {
            if named.len() < NAMED {
                named.push(format!("\n  {wrong}"));
            } else {
                more += 1;
            }
        }
    }
    if named.is_empty() {
        return Ok(count);
    }
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    let named = named.concat();
    anyhow::bail!("{} is not right, and nothing was sent:{named}{more}", file.display());
}

impl Rows {
    /// Opens a file and reads its first line.
    pub(super) fn open(file: &Path, organisation: &str) -> anyhow::Result<Self> {
        let name = || file.display().to_string();
        let mut reader = ReaderBuilder::new()
            .flexible(true)
            .trim(Trim::All)
            .from_reader(File::open(file).with_context(name)?);
        let header = reader.headers().with_context(name)?;
        let columns = columns(header).with_context(name)?;
        let lines = Lines { file: BufReader::new(File::open(file)?), byte: 0, line: 1 };
        Ok(Self { reader, lines, columns, organisation: organisation.to_owned() })
    }

    /// The next row, or everything that is wrong with it.
    pub(super) fn next(&mut self) -> Option<Result<Row, Vec<Wrong>>> {
        let mut record = StringRecord::new();
        let read = self.reader.read_record(&mut record);
        let position = match &read {
            Ok(false) => return None,
            Ok(true) => record.position(),
            Err(error) => error.position(),
        };
        let line = self.lines.at(position.map_or(0, csv::Position::byte)).unwrap_or_default();
        let whole = |what: String| Some(Err(vec![Wrong { line, column: None, what }]));
        match read {
            Ok(_) => Some(self.row(&record, line)),
            Err(error) => match error.kind() {
                csv::ErrorKind::Utf8 { .. } => whole("expected UTF-8".to_owned()),
                _ => whole(error.to_string()),
            },
        }
    }

    fn row(&self, record: &StringRecord, line: u64) -> Result<Row, Vec<Wrong>> {
        if record.len() != self.columns.len() {
            let what = format!("expected {} fields, found {}", self.columns.len(), record.len());
            return Err(vec![Wrong { line, column: None, what }]);
        }
        let mut invitation = CreateInvitationRequest {
            organisation_id: self.organisation.clone(),
            ..Default::default()
        };
        let mut wrong = Vec::new();
        for (index, (column, text)) in self.columns.iter().zip(record).enumerate() {
            // Only the address must be there.
            if text.is_empty() && column.name != "email" {
                continue;
            }
            if let Err(what) = (column.read)(&mut invitation, text) {
                wrong.push(Wrong { line, column: Some((index + 1, column.name)), what });
            }
        }
        let too_far =
            |_| vec![Wrong { line, column: None, what: "the file is too long".to_owned() }];
        let line = i32::try_from(line).map_err(too_far)?;
        if wrong.is_empty() { Ok(Row { line, invitation }) } else { Err(wrong) }
    }
}

/// Finds the line of a byte. The reader of the rows counts too, but not the empty lines before a row,
/// nor the second byte of an end that has two.
struct Lines {
    file: BufReader<File>,
    byte: u64,
    line: u64,
}

impl Lines {
    /// The line of the first text at a byte or after it; bytes are asked for in their order.
    fn at(&mut self, byte: u64) -> io::Result<u64> {
        while let Some(next) = self.file.fill_buf()?.first().copied() {
            if self.byte >= byte && !matches!(next, b'\r' | b'\n') {
                break;
            }
            self.file.consume(1);
            self.byte += 1;
            self.line += u64::from(next == b'\n');
        }
        Ok(self.line)
    }
}

/// A column: its name, and how a field of it is read.
#[derive(Clone, Copy)]
struct Column {
    name: &'static str,
    read: fn(&mut CreateInvitationRequest, &str) -> Result<(), String>,
}

fn at_most(text: &str, most: usize) -> Result<String, String> {
    if text.chars().count() > most {
        return Err(format!("expected at most {most} characters"));
    }
    Ok(text.to_owned())
}

fn name(text: &str) -> Result<String, String> {
    DisplayName::parse(text).map(String::from).map_err(|it| it.to_string())
}

fn moment(text: &str) -> Result<Option<prost_types::Timestamp>, String> {
    let at: Result<Time, _> = text.parse();
    let at = at.map_err(|_| "expected a moment such as 2026-01-31T12:00:00Z".to_owned())?;
    Ok(Some(api::timestamp(at)))
}

fn hours(text: &str) -> Result<Option<prost_types::Duration>, String> {
    let hours = text.parse::<i64>().ok().filter(|hours| (1..=2_160).contains(hours));
    let hours = hours.ok_or("expected 1 to 2160 hours")?;
    Ok(Some(prost_types::Duration { seconds: hours * 3_600, nanos: 0 }))
}

#[rustfmt::skip]
const COLUMNS: [Column; 14] = [
    Column { name: "email", read: |it, text| {
        EmailAddress::parse(text).map_err(|it| it.to_string())?;
        it.email = text.to_owned();
        Ok(())
    } },
    Column { name: "first_name", read: |it, text| { it.first_name = name(text)?; Ok(()) } },
    Column { name: "last_name", read: |it, text| { it.last_name = name(text)?; Ok(()) } },
    Column { name: "display_name", read: |it, text| { it.display_name = name(text)?; Ok(()) } },
    Column { name: "role", read: |it, text| {
        it.roles = text.split_whitespace().map(str::to_owned).collect();
        Ok(())
    } },
    Column { name: "institution", read: |it, text| { it.institution = name(text)?; Ok(()) } },
    Column { name: "locale", read: |it, text| { it.locale = text.to_owned(); Ok(()) } },
    Column { name: "application_id", read: |it, text| {
        parse_id(text).map_err(|it| it.to_string())?;
        it.application_id = text.to_owned();
        Ok(())
    } },
    Column { name: "personal_message", read: |it, text| { it.personal_message = at_most(text, 1_000)?; Ok(()) } },
    Column { name: "source_id", read: |it, text| { it.source_id = at_most(text, 200)?; Ok(()) } },
    Column { name: "callback_url", read: |it, text| { it.callback_url = text.to_owned(); Ok(()) } },
    Column { name: "membership_valid_from", read: |it, text| { it.membership_valid_from = moment(text)?; Ok(()) } },
    Column { name: "membership_expires_at", read: |it, text| { it.membership_expires_at = moment(text)?; Ok(()) } },
    Column { name: "life_hours", read: |it, text| { it.life = hours(text)?; Ok(()) } },
];

/// What the first line says.
fn columns(header: &StringRecord) -> anyhow::Result<Vec<Column>> {
    let mut places = BTreeMap::new();
    let mut columns = Vec::with_capacity(header.len());
    for (index, text) in header.iter().enumerate() {
        // Spreadsheets begin a file with a mark of its encoding.
        let name = text.trim_start_matches('\u{feff}');
        let name = if name == "roles" { "role" } else { name };
        let Some(column) = COLUMNS.iter().find(|column| column.name == name) else {
            let known = COLUMNS.map(|column| column.name).join(", ");
            anyhow::bail!("line 1, column {}: there is no {name:?}; there are {known}", index + 1);
        };
        if let Some(first) = places.insert(column.name, index + 1) {
            anyhow::bail!(
                "line 1: {} is in column {first} and in column {}",
                column.name,
                index + 1
            );
        }
        columns.push(*column);
    }
    anyhow::ensure!(places.contains_key("email"), "line 1: there is no column `email`");
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn refused(text: impl AsRef<[u8]>) -> String {
        let file = written(text);
        let error = format!("{:#}", check(file.path(), "organisation").unwrap_err());
        error.replace(&file.path().display().to_string(), "FILE")
    }

    #[test]
    fn every_column_is_read() {
        let text = "\u{feff}email,first_name,last_name,display_name,role,institution,locale,\
                    application_id,personal_message,source_id,callback_url,membership_valid_from,\
                    membership_expires_at,life_hours\r\n\
                    ada@example.com,Ada,Lovelace,,user teacher,ABC,de,\
                    01890a5d-ac96-774b-bcce-b302099a8057,\"Hello,\nAda\",s1,https://a.example/b,\
                    2026-01-31T12:00:00Z,,72\r\n\r\n eve@example.com ,,,,,,,,,,,,,\n";
        let file = written(text);
        assert_eq!(check(file.path(), "organisation").unwrap(), 2);
        let mut rows = Rows::open(file.path(), "organisation").unwrap();
        let first = rows.next().unwrap().unwrap();
        let expected = CreateInvitationRequest {
            organisation_id: "organisation".to_owned(),
            email: "ada@example.com".to_owned(),
            first_name: "Ada".to_owned(),
            last_name: "Lovelace".to_owned(),
            roles: vec!["user".to_owned(), "teacher".to_owned()],
            institution: "ABC".to_owned(),
            locale: "de".to_owned(),
            application_id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
            personal_message: "Hello,\nAda".to_owned(),
            source_id: "s1".to_owned(),
            callback_url: "https://a.example/b".to_owned(),
            membership_valid_from: moment("2026-01-31T12:00:00Z").unwrap(),
            life: hours("72").unwrap(),
            ..Default::default()
        };
        assert_eq!((first.line, first.invitation), (2, expected));
        let second = rows.next().unwrap().unwrap();
        assert_eq!((second.line, second.invitation.email.as_str()), (5, "eve@example.com"));
        assert!(rows.next().is_none());
    }

    #[test]
    fn wrong_fields_are_named_with_line_and_column() {
        let text = "email,role,life_hours\n\
                    ada@example.com,user,\n\
                    nobody,user,9999\n\
                    ,user,\n\
                    eve@example.com,user\n";
        let expected = "FILE is not right, and nothing was sent:\n  \
            line 3, column 1 (email): expected a mail address such as ada@example.com\n  \
            line 3, column 3 (life_hours): expected 1 to 2160 hours\n  \
            line 4, column 1 (email): expected a mail address such as ada@example.com\n  \
            line 5: expected 3 fields, found 2";
        assert_eq!(refused(text), expected);
    }

    #[test]
    fn a_line_that_is_not_utf_8_is_named() {
        let text = b"email\nada@example.com\n\xff@example.com\neve@example.com\n";
        assert!(refused(text).contains("line 3: expected UTF-8"), "{}", refused(text));
    }

    #[test]
    fn a_thousand_wrong_lines_do_not_fill_the_screen() {
        let told = refused(format!("email\n{}", "nobody\n".repeat(1_000)));
        assert!(told.contains("line 51,") && !told.contains("line 52,"), "{told}");
        assert!(told.ends_with("and 950 more"), "{told}");
    }

    #[test]
    fn the_first_line_must_name_columns_that_there_are() {
        assert!(refused("email,rolle\n").contains("line 1, column 2: there is no \"rolle\""));
        assert!(refused("email,role,roles\n").contains("role is in column 2 and in column 3"));
        assert!(refused("first_name\n").contains("there is no column `email`"));
        assert!(refused("").contains("there is no column `email`"));
    }
}
