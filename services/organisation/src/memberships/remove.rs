use api::organisation::v1::{RemoveMembershipRequest, RemoveMembershipResponse};
use kernel::{Fields, parse_id};

use crate::{
    Organisations, call::Call, change::Record, domain::permission::Permission,
    entity::membership::changing, error::Error,
};

/// Ends a membership, with the rights, the access to applications and the open access requests of
/// its member there; the account stays. Removing twice is once.
///
/// Needs `members.remove` there and every permission of its roles. Leaving oneself needs nothing,
/// and who is no member has left. The last owner of a root stays. Event:
/// `organisation.membership.removed.v1`.
pub(crate) async fn remove(
    service: &Organisations,
    call: &Call,
    request: RemoveMembershipRequest,
) -> Result<RemoveMembershipResponse, Error> {
    let RemoveMembershipRequest { organisation_id, user_id, request_id: _ } = request;
    let mut fields = Fields::default();
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let subject = fields.read_optional("user_id", &user_id, parse_id);
    let (Some(organisation), Some(subject)) = (organisation, subject) else {
        return Err(Error::Invalid(fields));
    };
    let subject = subject.unwrap_or(call.subject);
    let leaves = subject == call.subject;

    let change = service.begin(call).await?;
    let rights = service.rights(call, &*change, organisation).await?;
    if !leaves {
        rights.require(Permission::MembersRemove)?;
    }
    if let Some((found, roles)) = changing::hold(&change, subject, organisation).await? {
        if !leaves {
            rights.require_to_hold(&roles)?;
        }
        changing::end(&change, &found).await?;
        if !changing::leaves_owner(&change, &found, &roles, change.now).await? {
            return Err(Error::LastOwner);
        }
        let key = "organisation.membership.removed.v1";
        changing::announce(&change, key, subject, organisation).await?;
        let record = Record::of("membership", subject, organisation);
        change.record(record.detail(format!("roles={roles}"))).await?;
    }
    change.commit(RemoveMembershipResponse {}).await
}
