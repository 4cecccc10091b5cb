use kernel::Time;
use prost_types::Timestamp;

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
pub(crate) fn stamp_of(timestamp: Option<Timestamp>) -> Option<String> {
    moment(timestamp).as_ref().map(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanos: i32) -> Option<String> {
        stamp_of(Some(Timestamp { seconds, nanos }))
    }

    #[test]
    fn a_stamp_has_the_form_of_the_source() {
        assert_eq!(at(1_716_912_730, 831_000_000).unwrap(), "2024-05-28T16:12:10.831Z");
        assert_eq!(at(1_716_912_730, 0).unwrap(), "2024-05-28T16:12:10.000Z");
        assert_eq!(at(1_716_912_730, 831_999_999).unwrap(), "2024-05-28T16:12:10.831Z");
        assert_eq!(stamp_of(None), None);
    }

    #[test]
    fn what_no_calendar_has_is_null_and_not_a_panic() {
        assert_eq!(at(i64::MAX, 0), None);
        assert_eq!(at(0, -1), None);
        assert_eq!(at(0, i32::MAX), None);
    }
}
