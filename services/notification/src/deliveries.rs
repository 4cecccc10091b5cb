//! Use cases about deliveries, one a file, and what they share: how a delivery looks to the world,
//! and how the world hears of a change.

pub(crate) mod claim;
pub(crate) mod extend;
pub(crate) mod get;
pub(crate) mod get_cause;
pub(crate) mod list;
pub(crate) mod record;
pub(crate) mod recover;
pub(crate) mod report_bounce;
pub(crate) mod resend;
pub(crate) mod withdraw;

use api::notification::v1::{Delivery, DeliveryChanged, DeliveryState};
use db::{DbErr, Transaction};
use kernel::Uuid;
use service::Caller;

use crate::{
    Notification,
    domain::delivery::{Subject, message_id},
    entity::delivery::{Model, State},
    error::Error,
    rights::{may, runs_the_platform},
};

/// The scope that working on deliveries needs.
const WRITE: &str = "deliveries.write";
/// The scope, and the permission at the organisation, that reading them needs.
const READ: &str = "deliveries.read";
/// The scope, and the permission at the organisation, that sending them once more needs.
const RESEND: &str = "deliveries.resend";

/// Whether the caller may read the deliveries of an organisation. No transaction may be open.
async fn may_read(
    notification: &Notification,
    caller: &Caller,
    organisation_id: Uuid,
) -> Result<bool, Error> {
    may(notification, caller, organisation_id, READ).await
}

/// Whether the caller may know `Message-ID`s: a worker, who writes them, and who runs the platform. A
/// report that names one counts, and puts an address onto the list that holds for all organisations, so
/// no organisation's admin is told them. No transaction may be open.
async fn may_know_message_ids(notification: &Notification, caller: &Caller) -> Result<bool, Error> {
    Ok(caller.has_scope(WRITE) || runs_the_platform(notification, caller).await?)
}

/// The `Message-ID` of a mail that nobody has seen yet.
fn new_message_id(notification: &Notification, delivery: Uuid) -> Result<String, Error> {
    let secret = kernel::random_secret().ok_or(Error::NoRandomness)?;
    Ok(message_id(delivery, &secret, &notification.mail_domain))
}

/// Publishes that a delivery has come to a state that others hear of. Of one that waits they hear only
/// when it is sent once more.
pub(crate) async fn publish(
    tx: &Transaction,
    notification: &Notification,
    row: &Model,
) -> Result<(), DbErr> {
    let routing_key = match row.state {
        State::Queued => "notification.delivery.queued.v1",
        State::Sent => "notification.delivery.sent.v1",
        State::Failed => "notification.delivery.failed.v1",
        State::Bounced => "notification.delivery.bounced.v1",
        State::Suppressed => "notification.delivery.suppressed.v1",
        State::Sending => return Ok(()),
    };
    let (invitation_id, access_request_id) = about(row);
    let event = DeliveryChanged {
        delivery_id: row.id.to_string(),
        event_id: row.event_id.to_string(),
        organisation_id: row.organisation_id.to_string(),
        invitation_id,
        access_request_id,
        state: DeliveryState::from(row.state).into(),
        reason: row.reason.clone(),
        issue: row.issue,
        changed_at: Some(api::timestamp(row.updated_at)),
        version: row.version,
    };
    service::publish(tx, &notification.clock, routing_key, row.id, &event).await
}

fn about(row: &Model) -> (String, String) {
    match row.subject() {
        Subject::Invitation(id) => (id.to_string(), String::new()),
        Subject::AccessRequest(id) => (String::new(), id.to_string()),
    }
}

/// A delivery as callers see it; see [`may_know_message_ids`].
fn shown(row: Model, with_message_id: bool) -> Delivery {
    let (invitation_id, access_request_id) = about(&row);
    Delivery {
        id: row.id.to_string(),
        event_id: row.event_id.to_string(),
        organisation_id: row.organisation_id.to_string(),
        invitation_id,
        recipient: row.recipient,
        template: row.template,
        locale: row.locale,
        state: DeliveryState::from(row.state).into(),
        attempts: row.attempts,
        last_error: row.last_error,
        message_id: if with_message_id { row.message_id } else { String::new() },
        created_at: Some(api::timestamp(row.created_at)),
        updated_at: Some(api::timestamp(row.updated_at)),
        access_request_id,
        reason: row.reason,
        generation: row.generation,
        issue: row.issue,
    }
}

impl From<State> for DeliveryState {
    fn from(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Sending => Self::Sending,
            State::Sent => Self::Sent,
            State::Failed => Self::Failed,
            State::Bounced => Self::Bounced,
            State::Suppressed => Self::Suppressed,
        }
    }
}
