//! Use cases about senders, one a file, and what they share.

pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod update;

#[cfg(test)]
mod tests;

use api::notification::v1::SenderChanged;
use db::{DbErr, Transaction};
use service::{Caller, CallerKind};

use crate::{Notification, entity::sender::Model};

/// Publishes that an organisation's sender has changed.
async fn publish(
    tx: &Transaction,
    notification: &Notification,
    key: &'static str,
    row: &Model,
    by: &Caller,
) -> Result<(), DbErr> {
    let event = SenderChanged {
        organisation_id: row.organisation_id.to_string(),
        version: row.version,
        actor_id: by.subject.to_string(),
        by_service_account: matches!(by.kind, CallerKind::Service { .. }),
    };
    service::publish(tx, &notification.clock, key, row.organisation_id, &event).await
}

/// A version as callers see it.
fn etag(version: i32) -> String {
    format!("v{version}")
}
