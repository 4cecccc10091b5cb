use api::organisation::v1::{CheckPermissionRequest, CheckPermissionResponse};
use kernel::{Fields, parse_id};
use service::Caller;

use crate::{Organisations, domain::permission::Permission, entity::membership, error::Error};

/// Whether a subject holds a permission at an organisation.
///
/// Everybody may ask about themselves; about others a service account with the scope
/// `permissions.check`. It reads the database, so that a change counts from its commit on. An
/// organisation that does not exist answers like one where the subject holds nothing.
pub(crate) async fn check(
    service: &Organisations,
    caller: &Caller,
    request: CheckPermissionRequest,
) -> Result<CheckPermissionResponse, Error> {
    let CheckPermissionRequest { subject_id, organisation_id, permission } = request;
    let mut fields = Fields::default();
    let subject = fields.read_optional("subject_id", &subject_id, parse_id);
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let permission = fields.read("permission", Permission::parse(&permission));
    let (Some(subject), Some(organisation), Some(permission)) = (subject, organisation, permission)
    else {
        return Err(Error::Invalid(fields));
    };
    let subject = subject.unwrap_or(caller.subject);
    if subject != caller.subject && !caller.has_scope("permissions.check") {
        return Err(Error::ScopeMissing("permissions.check"));
    }
    let rights = membership::rights(service.database.read(), subject, organisation).await?;
    Ok(CheckPermissionResponse { allowed: rights.allow(permission) })
}
