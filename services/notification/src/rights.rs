//! Who may do what, and where an organisation is in the tree: asked of the service that knows, so no
//! transaction may be open.

use api::organisation::v1::{
    BatchCheckPermissionsRequest, CheckPermissionRequest, GetOrganisationPathRequest,
    organisation_service_client::OrganisationServiceClient,
    permission_service_client::PermissionServiceClient,
};
use kernel::{Uuid, parse_id};
use service::Caller;
use tonic::{Code, Status};

pub(crate) use crate::domain::place::PLATFORM;
use crate::{Notification, error::Error};

/// The right that reading templates and senders needs.
pub(crate) const READ_TEMPLATES: &str = "templates.read";
/// The right that changing them needs.
pub(crate) const UPDATE_TEMPLATES: &str = "templates.update";

/// The scope, and the permission at the platform, of those who run it.
const OPERATE: &str = "operations.manage";

/// Refuses whoever does not run the platform. No transaction may be open.
pub(crate) async fn require_operator(
    notification: &Notification,
    caller: &Caller,
) -> Result<(), Error> {
    let may = runs_the_platform(notification, caller).await?;
    if may { Ok(()) } else { Err(Error::PermissionMissing(OPERATE)) }
}

/// Whether the caller runs the platform. No transaction may be open.
pub(crate) async fn runs_the_platform(
    notification: &Notification,
    caller: &Caller,
) -> Result<bool, Error> {
    may(notification, caller, PLATFORM, OPERATE).await
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
    notification.peers.allow(caller, organisation_id, right).await.map_err(unavailable)
}

/// The same for several organisations, in one call.
pub(crate) async fn may_at_each(
    notification: &Notification,
    caller: &Caller,
    organisation_ids: &[Uuid],
    right: &str,
) -> Result<Vec<bool>, Error> {
    if organisation_ids.is_empty() || caller.has_scope(right) {
        return Ok(vec![true; organisation_ids.len()]);
    }
    let checks = organisation_ids.iter().map(|id| CheckPermissionRequest {
        subject_id: String::new(),
        organisation_id: id.to_string(),
        permission: right.to_owned(),
    });
    let request = BatchCheckPermissionsRequest { checks: checks.collect() };
    let mut client = PermissionServiceClient::new(notification.peers.organisation(caller.auth()));
    let answer = client.batch_check_permissions(request).await.map_err(unavailable)?;
    Ok(answer.into_inner().allowed)
}

/// Refuses who may not read there: the organisation does not exist for them.
pub(crate) async fn require_read(
    notification: &Notification,
    caller: &Caller,
    organisation_id: Uuid,
) -> Result<(), Error> {
    if may(notification, caller, organisation_id, READ_TEMPLATES).await? {
        Ok(())
    } else {
        Err(Error::OrganisationNotFound)
    }
}

/// Refuses who may not change what is there; who may not even read it learns nothing.
pub(crate) async fn require_update(
    notification: &Notification,
    caller: &Caller,
    organisation_id: Uuid,
) -> Result<(), Error> {
    if may(notification, caller, organisation_id, UPDATE_TEMPLATES).await? {
        return Ok(());
    }
    require_read(notification, caller, organisation_id).await?;
    Err(Error::PermissionMissing(UPDATE_TEMPLATES))
}

/// The organisations from the root down to one; none for the platform.
pub(crate) async fn path(
    notification: &Notification,
    organisation_id: Uuid,
) -> Result<Vec<Uuid>, Error> {
    if organisation_id == PLATFORM {
        return Ok(Vec::new());
    }
    // The tree above is not for the caller to see, so it is asked for in the service's own name.
    let auth = notification.peers.own().await.map_err(unavailable)?;
    let mut client = OrganisationServiceClient::new(notification.peers.organisation(auth));
    let request = GetOrganisationPathRequest { id: organisation_id.to_string() };
    match client.get_organisation_path(request).await {
        Ok(answer) => {
            let ids = answer.into_inner().ids;
            let ids: Result<_, _> = ids.iter().map(|id| parse_id(id)).collect();
            ids.map_err(|_| Error::PeerUnavailable(Code::DataLoss))
        }
        Err(status) if status.code() == Code::NotFound => Err(Error::OrganisationNotFound),
        Err(status) => Err(unavailable(status)),
    }
}

fn unavailable(status: Status) -> Error {
    Error::PeerUnavailable(status.code())
}
