//! What is measured, by the names on the metrics page.

use kernel::Duration;
use service::{Counter, Seconds};

use crate::entity::delivery::Model;

/// The instruments of the service.
pub(crate) struct Instruments {
    deliveries: Counter,
    to_smtp: Seconds,
    reports: Counter,
}

impl Instruments {
    pub(crate) fn new() -> Self {
        Self {
            deliveries: Counter::new("usher_deliveries"),
            to_smtp: Seconds::new("usher_invitation_to_smtp"),
            reports: Counter::new("usher_bounce_reports"),
        }
    }

    /// `usher_deliveries_total{state,reason}`: a delivery has come to a state that others hear of.
    pub(crate) fn delivery(&self, row: &Model) {
        let state = row.state.as_str().to_owned();
        self.deliveries.count([("state", state), ("reason", row.reason.clone())]);
    }

    /// `usher_invitation_to_smtp_seconds`: from an invitation's event until the mail server took its
    /// mail.
    pub(crate) fn taken_after(&self, time: Duration) {
        self.to_smtp.record(time);
    }

    /// `usher_bounce_reports_total{outcome}`.
    pub(crate) fn report(&self, outcome: String) {
        self.reports.count([("outcome", outcome)]);
    }
}
