use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kernel::{Fields, Malformed, Uuid};

/// A keyset page as AIP-158 asks for it: the rows after a key, in the order of identifiers (which
/// are UUIDv7 and so in the order of their making). A page costs the same wherever it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    size: u64,
    /// The last identifier of the page before.
    pub after: Option<Uuid>,
}

/// The rows of a page, and the token that asks for the next one; empty at the end.
pub struct Page<T> {
    /// At most as many as were asked for.
    pub rows: Vec<T>,
    /// What to send as `page_token`.
    pub next_page_token: String,
}

impl PageRequest {
    /// Reads `page_size` (0 means 50, at most 100) and `page_token`, noting violations.
    pub fn parse(fields: &mut Fields, page_size: i32, page_token: &str) -> Option<Self> {
        let size = match page_size {
            0 => Ok(50),
            1..=100 => Ok(page_size.unsigned_abs().into()),
            _ => Err(Malformed("1 to 100, or 0 for the default of 50")),
        };
        let size = fields.read("page_size", size);
        let after = fields.read_optional("page_token", page_token, parse_token);
        Some(Self { size: size?, after: after? })
    }

    /// How many rows to fetch: one more than the page holds, to learn whether there is a next.
    pub fn limit(&self) -> u64 {
        self.size + 1
    }

    /// Cuts what was fetched into the page; `id` is the key that the query ordered by.
    pub fn cut<T>(&self, mut rows: Vec<T>, id: impl Fn(&T) -> Uuid) -> Page<T> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        let next_page_token = match rows.last() {
            Some(last) if more => URL_SAFE_NO_PAD.encode(id(last)),
            _ => String::new(),
        };
        Page { rows, next_page_token }
    }
}

fn parse_token(token: &str) -> Result<Uuid, Malformed> {
    const EXPECTED: Malformed = Malformed("the next_page_token of an earlier answer");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| EXPECTED)?;
    Uuid::from_slice(&bytes).map_err(|_| EXPECTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: &u128) -> Uuid {
        Uuid::from_u128(*n)
    }

    #[test]
    fn pages_follow_one_another_without_gap() {
        let mut fields = Fields::default();
        let first = PageRequest::parse(&mut fields, 2, "").unwrap();
        let page = first.cut(vec![1, 2, 3], id);
        assert_eq!(page.rows, [1, 2]);
        let next = PageRequest::parse(&mut fields, 2, &page.next_page_token).unwrap();
        assert_eq!(next.after, Some(id(&2)));
        assert_eq!(next.cut(vec![3], id).next_page_token, "");
    }

    #[test]
    fn a_bad_size_and_a_bad_token_are_both_named() {
        let mut fields = Fields::default();
        assert_eq!(PageRequest::parse(&mut fields, 101, "rubbish!"), None);
        let named: Vec<_> = fields.violations().iter().map(|v| v.field.as_str()).collect();
        assert_eq!(named, ["page_size", "page_token"]);
    }
}
