use api::organisation::v1::{GetRoleRequest, GetRoleResponse};
use kernel::{Fields, parse_id};

use crate::{Organisations, call::Call, entity::role, error::Error};

/// One role. Needs `organisations.read` at its root, or at its application's organisation, or
/// somewhere below; the built-in ones are everybody's to read.
pub(crate) async fn get(
    service: &Organisations,
    call: &Call,
    request: GetRoleRequest,
) -> Result<GetRoleResponse, Error> {
    let GetRoleRequest { id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    let (database, now) = (service.database.read(), service.clock.now());
    let found = role::seen_by(database, id, call, now).await?;
    let found = found.ok_or(Error::RoleNotFound)?;
    Ok(GetRoleResponse { role: Some(found.seen()) })
}
