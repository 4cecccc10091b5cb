use std::fmt;

/// The name of the order of creation, which is that of the identifiers.
const CREATED_AT: &str = "created_at";

/// How a list is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// The sort key; without one it is the identifier alone.
    pub key: Option<&'static str>,
    pub descending: bool,
}

/// The orders that a list has.
pub(super) struct Unordered(&'static [&'static str]);

impl Order {
    /// Reads one field as AIP-132 writes it: `KEY` or `KEY desc`; spaces beyond that say nothing.
    pub(super) fn parse(text: &str, keys: &'static [&'static str]) -> Result<Self, Unordered> {
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let key = match words.next() {
            None | Some(CREATED_AT) => None,
            Some(named) => Some(*keys.iter().find(|key| **key == named).ok_or(Unordered(keys))?),
        };
        let descending = match words.next() {
            None => false,
            Some("desc") => true,
            Some(_) => return Err(Unordered(keys)),
        };
        match words.next() {
            None => Ok(Self { key, descending }),
            Some(_) => Err(Unordered(keys)),
        }
    }
}

impl fmt::Display for Unordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {CREATED_AT}")?;
        for key in self.0 {
            write!(f, " or {key}")?;
        }
        f.write_str(", with \" desc\" after it for the opposite direction")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] = &["display_name", "email"];

    #[test]
    fn an_order_is_a_key_and_a_direction() {
        for (text, key, descending) in [
            ("", None, false),
            ("created_at", None, false),
            ("created_at desc", None, true),
            ("email", Some("email"), false),
            ("  display_name   desc ", Some("display_name"), true),
        ] {
            assert_eq!(Order::parse(text, KEYS).ok(), Some(Order { key, descending }), "{text}");
        }
    }

    #[test]
    fn any_other_order_is_refused_with_those_that_there_are() {
        for bad in
            ["id", "Email", "email asc", "email DESC", "email desc desc", "email, id", "desc"]
        {
            let refused = Order::parse(bad, KEYS).err().map(|refused| refused.to_string());
            let expected = "expected created_at or display_name or email, with \" desc\" after it for \
                            the opposite direction";
            assert_eq!(refused.as_deref(), Some(expected), "{bad}");
        }
    }
}
