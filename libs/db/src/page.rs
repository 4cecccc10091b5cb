//! Pages of a list, in the order that was asked for.

mod order;
mod token;

use kernel::{Fields, Malformed, Uuid};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait as _, Order as Direction, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Select, sea_query::Expr,
};

use self::{order::Order, token::Token};

/// A keyset page as AIP-158 asks for it: the rows after a place in the list. A page costs the same
/// wherever it lies, if an index has the order's columns.
///
/// The order is that of the identifiers (which are UUIDv7, and so in the order of their making), or
/// that of a sort key and, where two rows have the same, of their identifiers. The column of a sort
/// key is BINARY: it holds a folded text ([`kernel::fold`]) as UTF-8 bytes. Texts would be in the order
/// of the database's collation, which differs from one engine to the other and from one server's
/// system to the next; bytes are in one order everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    size: u64,
    order: Order,
    /// The last identifier of the page before.
    pub after: Option<Uuid>,
    /// The last sort key of the page before.
    after_key: Vec<u8>,
}

/// The rows of a page, and the token that asks for the next one; empty at the end.
pub struct Page<T> {
    /// At most as many as were asked for.
    pub rows: Vec<T>,
    /// What to send as `page_token`.
    pub next_page_token: String,
}

impl PageRequest {
    /// Reads `page_size` (0 means 50, at most 100) and `page_token`, noting violations. The order is
    /// that of creation.
    pub fn parse(fields: &mut Fields, page_size: i32, page_token: &str) -> Option<Self> {
        Self::parse_ordered(fields, page_size, page_token, "", &[])
    }

    /// The same with pages of up to 1000 rows, for lists of identifiers alone.
    pub fn parse_large(fields: &mut Fields, page_size: i32, page_token: &str) -> Option<Self> {
        let most = (1000, Malformed("1 to 1000, or 0 for the default of 50"));
        Self::parse_sized(fields, (page_size, most), page_token, "", &[])
    }

    /// Reads `page_size`, `page_token` and `order_by`, noting violations. `order_by` is what AIP-132
    /// makes of one field: `created_at` (the default, also when it is left empty) or one of `keys`,
    /// with ` desc` after it for the opposite direction. A token of another order is a violation.
    pub fn parse_ordered(
        fields: &mut Fields,
        page_size: i32,
        page_token: &str,
        order_by: &str,
        keys: &'static [&'static str],
    ) -> Option<Self> {
        let most = (100, Malformed("1 to 100, or 0 for the default of 50"));
        Self::parse_sized(fields, (page_size, most), page_token, order_by, keys)
    }

    fn parse_sized(
        fields: &mut Fields,
        (size, (most, expected)): (i32, (i32, Malformed)),
        page_token: &str,
        order_by: &str,
        keys: &'static [&'static str],
    ) -> Option<Self> {
        let size = match size {
            0 => Ok(50),
            size if (1..=most).contains(&size) => Ok(size.unsigned_abs().into()),
            _ => Err(expected),
        };
        let size = fields.read("page_size", size);
        // Without its order nothing can be said about a token.
        let order = fields.read("order_by", Order::parse(order_by, keys))?;
        let token =
            fields.read_optional("page_token", page_token, |token| Token::parse(token, order))?;
        let (after, after_key) = token.map(|token| (token.id, token.key)).unzip();
        Some(Self { size: size?, order, after, after_key: after_key.unwrap_or_default() })
    }

    /// The sort key: one of those that the list has, or `None` for the order of creation.
    pub fn key(&self) -> Option<&'static str> {
        self.order.key
    }

    /// Whether the last comes first.
    pub fn descending(&self) -> bool {
        self.order.descending
    }

    /// How many rows to fetch: one more than the page holds, to learn whether there is a next.
    pub fn limit(&self) -> u64 {
        self.size + 1
    }

    /// Makes a query answer what [`PageRequest::cut_ordered`] cuts: the rows after the page before, in
    /// the order that was asked for. `key` is the BINARY column of [`PageRequest::key`], and `None`
    /// where that is; an index should have what the query is restricted to, `key` and `id`.
    pub fn apply<E, K, I>(&self, rows: Select<E>, key: Option<K>, id: I) -> Select<E>
    where
        E: EntityTrait,
        K: ColumnTrait,
        I: ColumnTrait,
    {
        debug_assert_eq!(key.is_some(), self.order.key.is_some(), "the column of the sort key");
        let mut rows = rows;
        if let Some(id_before) = self.after {
            let columns = key.map(|key| Expr::col(key.as_column_ref())).into_iter();
            let values = key.map(|_| Expr::value(self.after_key.clone())).into_iter();
            // Rows are compared as one value: a planner finds their place in an index, which it may
            // not for the same said with OR.
            let place = Expr::tuple(columns.chain([Expr::col(id.as_column_ref())]));
            let before = Expr::tuple(values.chain([Expr::value(id_before)]));
            let is_after = if self.order.descending { place.lt(before) } else { place.gt(before) };
            rows = rows.filter(is_after);
        }
        let direction = if self.order.descending { Direction::Desc } else { Direction::Asc };
        if let Some(key) = key {
            rows = rows.order_by(key, direction.clone());
        }
        rows.order_by(id, direction).limit(self.limit())
    }

    /// Cuts what was fetched in the order of creation into the page; `id` is the key that the query
    /// ordered by.
    pub fn cut<T>(&self, rows: Vec<T>, id: impl Fn(&T) -> Uuid) -> Page<T> {
        self.cut_ordered(rows, |row| (Vec::new(), id(row)))
    }

    /// Cuts what was fetched into the page; `place` is a row's sort key, which says nothing in the
    /// order of creation, and its identifier. The rows may be of several queries, each with
    /// [`PageRequest::apply`], merged in the order that was asked for.
    pub fn cut_ordered<T>(
        &self,
        mut rows: Vec<T>,
        place: impl Fn(&T) -> (Vec<u8>, Uuid),
    ) -> Page<T> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        let next_page_token = match rows.last() {
            Some(last) if more => {
                let (key, id) = place(last);
                let key = if self.order.key.is_some() { key } else { Vec::new() };
                Token { id, key }.encode(self.order)
            }
            _ => String::new(),
        };
        Page { rows, next_page_token }
    }
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

    #[test]
    fn a_token_of_another_order_is_a_violation_of_the_token() {
        let parse = |token: &str, order: &str| {
            let mut fields = Fields::default();
            let page = PageRequest::parse_ordered(&mut fields, 1, token, order, &["name"]);
            let named: Vec<_> = fields.violations().iter().map(|v| v.field.clone()).collect();
            page.ok_or(named)
        };
        let page = parse("", "name").unwrap();
        let page = page.cut_ordered(vec![1, 2], |n| (b"ada".to_vec(), id(n)));
        let next = parse(&page.next_page_token, "name").unwrap();
        assert_eq!(
            (next.key(), next.descending(), next.after),
            (Some("name"), false, Some(id(&1)))
        );
        for other in ["", "created_at desc", "name desc"] {
            assert_eq!(parse(&page.next_page_token, other).unwrap_err(), ["page_token"], "{other}");
        }
        assert_eq!(parse("", "email").unwrap_err(), ["order_by"]);
    }
}
