//! Use cases about deliveries, one a file, and what they share: how a delivery looks to the world,
//! and who may read one.

pub(crate) mod claim;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod record;

use api::{
    notification::v1::{Delivery, DeliveryState},
    organisation::v1::{
        CheckPermissionRequest, permission_service_client::PermissionServiceClient,
    },
};
use kernel::{Time, Uuid};
use prost_types::Timestamp;
use service::Caller;

use crate::{
    Notification,
    domain::delivery::Subject,
    entity::delivery::{Model, State},
    error::Error,
};

/// The scope that working on deliveries needs.
const WRITE: &str = "deliveries.write";
/// The scope, and the permission at the organisation, that reading them needs.
const READ: &str = "deliveries.read";

/// Whether the caller may read the deliveries of an organisation: a service account by its scope,
/// anybody else if the organisation service, asked in the caller's own name, says so.
///
/// It calls another service, so no transaction may be open.
async fn may_read(
    notification: &Notification,
    caller: &Caller,
    organisation_id: Uuid,
) -> Result<bool, Error> {
    if caller.has_scope(READ) {
        return Ok(true);
    }
    let mut client = PermissionServiceClient::new(notification.peers.organisation(caller.auth()));
    let request = CheckPermissionRequest {
        subject_id: String::new(),
        organisation_id: organisation_id.to_string(),
        permission: READ.to_owned(),
    };
    match client.check_permission(request).await {
        Ok(answer) => Ok(answer.into_inner().allowed),
        Err(status) => Err(Error::PeerUnavailable(status.code())),
    }
}

impl From<Model> for Delivery {
    fn from(row: Model) -> Self {
        let (invitation_id, access_request_id) = match row.subject() {
            Subject::Invitation(id) => (id.to_string(), String::new()),
            Subject::AccessRequest(id) => (String::new(), id.to_string()),
        };
        Self {
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
            message_id: row.message_id,
            created_at: Some(timestamp(row.created_at)),
            updated_at: Some(timestamp(row.updated_at)),
            access_request_id,
        }
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

fn timestamp(time: Time) -> Timestamp {
    Timestamp {
        seconds: time.timestamp(),
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default(),
    }
}
