use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kernel::{Malformed, Uuid};

use super::order::Order;

/// Where a page ended: the last row's place in the order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Token {
    pub id: Uuid,
    /// Its sort key; empty where the order has none.
    pub key: Vec<u8>,
}

impl Token {
    /// In the order of creation it is the bare identifier. Otherwise the order comes first, so that
    /// the token is of no use in another: the direction, the length of the key's name and the name,
    /// the identifier, the sort key.
    pub(super) fn encode(&self, order: Order) -> String {
        let mut bytes = prefix(order);
        bytes.extend(self.id.as_bytes());
        bytes.extend(&self.key);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token of this order.
    pub(super) fn parse(text: &str, order: Order) -> Result<Self, Malformed> {
        const EXPECTED: Malformed =
            Malformed("the next_page_token of an earlier answer to a request of the same order");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| EXPECTED)?;
        let place = bytes.strip_prefix(&*prefix(order)).ok_or(EXPECTED)?;
        let (id, key) = place.split_first_chunk::<16>().ok_or(EXPECTED)?;
        if order.key.is_none() && !key.is_empty() {
            return Err(EXPECTED);
        }
        Ok(Self { id: Uuid::from_bytes(*id), key: key.to_vec() })
    }
}

fn prefix(order: Order) -> Vec<u8> {
    if order == Order::default() {
        return Vec::new();
    }
    let name = order.key.unwrap_or_default();
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [&[u8::from(order.descending), length], name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders() -> Vec<Order> {
        [None, Some("email"), Some("name")]
            .into_iter()
            .flat_map(|key| [false, true].map(|descending| Order { key, descending }))
            .collect()
    }

    #[test]
    fn a_token_is_read_in_its_own_order_alone() {
        let id = Uuid::from_u128(7);
        for order in orders() {
            let keys: &[&[u8]] =
                if order.key.is_some() { &[b"", b"ada", &[0; 300]] } else { &[b""] };
            for key in keys {
                let token = Token { id, key: key.to_vec() };
                let text = token.encode(order);
                for other in orders() {
                    let read = Token::parse(&text, other);
                    assert_eq!(read.ok(), (other == order).then(|| token.clone()), "{other:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for bad in ["rubbish!", "AAAA", "=", &URL_SAFE_NO_PAD.encode([0; 17])] {
            for order in orders() {
                assert!(Token::parse(bad, order).is_err(), "{bad} {order:?}");
            }
        }
    }
}
