//! Who may do what: asked of the service that knows.

use api::organisation::v1::{
    CheckPermissionRequest, permission_service_client::PermissionServiceClient,
};
use kernel::Uuid;
use service::Caller;

use crate::{Notification, error::Error};

/// The platform: the organisation above all others.
pub(crate) const PLATFORM: Uuid = Uuid::nil();

/// The scope, and the permission at the platform, of those who run it.
const OPERATE: &str = "operations.manage";

/// Refuses whoever does not run the platform. No transaction may be open.
pub(crate) async fn require_operator(
    notification: &Notification,
    caller: &Caller,
) -> Result<(), Error> {
    let may = may(notification, caller, PLATFORM, OPERATE).await?;
    if may { Ok(()) } else { Err(Error::PermissionMissing(OPERATE)) }
}

/// Whether the caller holds a right at an organisation: a service account by the scope of its name,
/// anybody else if the organisation service, asked in the caller's own name, says so.
///
/// It calls another service, so no transaction may be open.
pub(crate) async fn may(
    notification: &Notification,
    caller: &Caller,
    organisation_id: Uuid,
    right: &str,
) -> Result<bool, Error> {
    if caller.has_scope(right) {
        return Ok(true);
    }
    let mut client = PermissionServiceClient::new(notification.peers.organisation(caller.auth()));
    let request = CheckPermissionRequest {
        subject_id: String::new(),
        organisation_id: organisation_id.to_string(),
        permission: right.to_owned(),
    };
    match client.check_permission(request).await {
        Ok(answer) => Ok(answer.into_inner().allowed),
        Err(status) => Err(Error::PeerUnavailable(status.code())),
    }
}
