use api::organisation::v1::{GetMembershipRequest, GetMembershipResponse};
use kernel::{Fields, parse_id};

use crate::{
    Organisations, call::Call, domain::permission::Permission, entity::membership, error::Error,
};

/// One membership. Needs `members.read` there, or to be the member, whatever its state: whoever
/// begins on Monday may know.
pub(crate) async fn get(
    service: &Organisations,
    call: &Call,
    request: GetMembershipRequest,
) -> Result<GetMembershipResponse, Error> {
    let GetMembershipRequest { organisation_id, user_id } = request;
    let mut fields = Fields::default();
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let subject = fields.read_optional("user_id", &user_id, parse_id);
    let (Some(organisation), Some(subject)) = (organisation, subject) else {
        return Err(Error::Invalid(fields));
    };
    let subject = subject.unwrap_or(call.subject);
    let (database, now) = (service.database.read(), service.clock.now());
    let found = membership::shown(database, subject, organisation, now).await?;
    if subject != call.subject || found.is_none() {
        let rights = service.rights(call, database, organisation).await?;
        let own = subject == call.subject;
        rights.require(if own {
            Permission::OrganisationsRead
        } else {
            Permission::MembersRead
        })?;
    }
    let membership = Some(found.ok_or(Error::MembershipNotFound)?);
    Ok(GetMembershipResponse { membership })
}
