use kernel::{Malformed, Time};
use prost_types::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// RFC 3339 in UTC, milliseconds, `Z`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(as = Timestamp, value_type = String, format = DateTime)]
pub(crate) struct Stamp(String);

impl Stamp {
    pub fn of(time: &Time) -> Self {
        Self(stamp(time))
    }
}

/// A moment, if it is one that a calendar has.
pub(crate) fn moment(timestamp: Option<Timestamp>) -> Option<Time> {
    let Timestamp { seconds, nanos } = timestamp?;
    Time::from_timestamp(seconds, u32::try_from(nanos).ok()?)
}

/// A moment as `sources/002` writes it: RFC 3339 in UTC, milliseconds, `Z`.
pub(crate) fn stamp(time: &Time) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// [`stamp`] for what a service answered; `null` for what is not set.
pub(crate) fn stamp_of(timestamp: Option<Timestamp>) -> Option<Stamp> {
    moment(timestamp).as_ref().map(Stamp::of)
}

/// A moment as callers write it: RFC 3339, with any offset.
pub(crate) fn parse_stamp(text: &str) -> Result<Timestamp, Malformed> {
    let time: Time =
        text.parse().map_err(|_| Malformed("a moment such as 2024-05-28T16:12:10.831Z"))?;
    // A leap second is told as the end of the second before.
    let nanos = time.timestamp_subsec_nanos().min(999_999_999);
    Ok(Timestamp { seconds: time.timestamp(), nanos: nanos.cast_signed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanos: i32) -> Option<String> {
        stamp_of(Some(Timestamp { seconds, nanos })).map(|Stamp(text)| text)
    }

    #[test]
    fn a_stamp_has_the_form_of_the_source() {
        assert_eq!(at(1_716_912_730, 831_000_000).unwrap(), "2024-05-28T16:12:10.831Z");
        assert_eq!(at(1_716_912_730, 0).unwrap(), "2024-05-28T16:12:10.000Z");
        assert_eq!(at(1_716_912_730, 831_999_999).unwrap(), "2024-05-28T16:12:10.831Z");
        assert_eq!(stamp_of(None), None);
    }

    #[test]
    fn a_moment_is_read_with_any_offset() {
        let parsed = parse_stamp("2024-05-28T18:12:10.831+02:00").unwrap();
        assert_eq!(at(parsed.seconds, parsed.nanos).unwrap(), "2024-05-28T16:12:10.831Z");
        for bad in ["", "soon", "2024-05-28", "2024-05-28T16:12:10", "2024-02-30T00:00:00Z"] {
            assert!(parse_stamp(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_no_calendar_has_is_null_and_not_a_panic() {
        assert_eq!(at(i64::MAX, 0), None);
        assert_eq!(at(0, -1), None);
        assert_eq!(at(0, i32::MAX), None);
    }
}
