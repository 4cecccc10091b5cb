use std::fmt;

/// Why a text is not a value of its type: what would have been right, as a phrase ("a UUID").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// One wrong field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's path as the caller spelled it: `email`, `roles[1]`.
    pub field: String,
    /// What is wrong with it, as a sentence fragment: `expected a UUID`.
    pub description: String,
}

/// Collects every violation of a request, so that they are answered at once.
///
/// ```
/// # use kernel::{Fields, EmailAddress, parse_id};
/// let mut fields = Fields::default();
/// let email = fields.read("email", EmailAddress::parse("nobody"));
/// let id = fields.read("organisation_id", parse_id("7"));
/// let (Some(_email), Some(_id)) = (email, id) else {
///     assert_eq!(fields.violations().len(), 2);
///     return;
/// };
/// # unreachable!();
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<Violation>);

impl Fields {
    /// Keeps the value, or notes the violation.
    pub fn read<T, E: fmt::Display>(
        &mut self,
        field: impl Into<String>,
        parsed: Result<T, E>,
    ) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(error) => {
                self.reject(field, error);
                None
            }
        }
    }

    /// Like [`Fields::read`], for a field that may be left empty.
    pub fn read_optional<T, E: fmt::Display>(
        &mut self,
        field: impl Into<String>,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        if text.is_empty() { Some(None) } else { self.read(field, parse(text)).map(Some) }
    }

    /// Notes a violation that no parser found.
    pub fn reject(&mut self, field: impl Into<String>, what: impl fmt::Display) {
        self.0.push(Violation { field: field.into(), description: what.to_string() });
    }

    /// Adds what was noted elsewhere, such as by a look into the database.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// All that was noted.
    pub fn violations(&self) -> &[Violation] {
        &self.0
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", violation.field, violation.description)?;
        }
        Ok(())
    }
}
