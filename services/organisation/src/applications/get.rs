use api::organisation::v1::{GetApplicationRequest, GetApplicationResponse};
use kernel::{Fields, parse_id};

use crate::{
    Organisations,
    call::Call,
    entity::{application, role},
    error::Error,
};

/// One application. Needs `organisations.read` at its organisation, or at one below, where it can be
/// used.
pub(crate) async fn get(
    service: &Organisations,
    call: &Call,
    request: GetApplicationRequest,
) -> Result<GetApplicationResponse, Error> {
    let GetApplicationRequest { id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    let (database, now) = (service.database.read(), service.clock.now());
    let seen = application::seen_by(database, id, call, now).await?;
    let (found, _) = seen.ok_or(Error::ApplicationNotFound)?;
    let default = role::by_id(database, [found.default_role_id]).await?.to_string();
    Ok(GetApplicationResponse { application: Some(found.seen(default)) })
}
