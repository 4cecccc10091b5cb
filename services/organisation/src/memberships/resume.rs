use api::organisation::v1::{ResumeMembershipRequest, ResumeMembershipResponse};
use kernel::{Fields, parse_id};
use sea_orm::sea_query::Expr;

use crate::{
    Organisations,
    call::Call,
    change::Record,
    domain::{permission::Permission, rights::Denied},
    entity::membership::{self, Column, State, changing},
    error::Error,
};

/// Makes a suspended membership count again. Resuming twice is once.
///
/// It gives the roles anew: needs `members.suspend` there and every permission of the roles; a
/// service account resumes who holds invitable roles alone, and nobody resumes themselves. Event:
/// `organisation.membership.resumed.v1`.
pub(crate) async fn resume(
    service: &Organisations,
    call: &Call,
    request: ResumeMembershipRequest,
) -> Result<ResumeMembershipResponse, Error> {
    let ResumeMembershipRequest { organisation_id, user_id, request_id: _ } = request;
    let mut fields = Fields::default();
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let subject = fields.read("user_id", parse_id(&user_id));
    let (Some(organisation), Some(subject)) = (organisation, subject) else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    let rights = service.rights(call, &*change, organisation).await?;
    rights.require(Permission::MembersSuspend)?;
    let held = changing::hold(&change, subject, organisation).await?;
    let (found, roles) = held.ok_or(Error::MembershipNotFound)?;
    rights.require_to_grant(&roles, call.giver())?;
    if found.state == State::Suspended {
        if subject == call.subject {
            return Err(Denied::AboveCeiling(roles.to_string()).into());
        }
        let resumed = changing::update(&found)
            .col_expr(Column::State, Expr::value(State::Active))
            .exec(&*change)
            .await?;
        if resumed.rows_affected == 0 {
            return Err(Error::EtagMismatch);
        }
        let key = "organisation.membership.resumed.v1";
        changing::announce(&change, key, subject, organisation).await?;
        change.record(Record::of("membership", subject, organisation)).await?;
    }
    let membership = membership::shown(&*change, subject, organisation, change.now).await?;
    change.commit(ResumeMembershipResponse { membership }).await
}
