use api::organisation::v1::{SuspendMembershipRequest, SuspendMembershipResponse};
use kernel::{Fields, parse_id};
use sea_orm::sea_query::Expr;

use crate::{
    Organisations,
    call::Call,
    change::Record,
    domain::permission::Permission,
    entity::membership::{self, Column, State, changing},
    error::Error,
};

/// Sets a membership aside: it gives no rights until it is resumed. Suspending twice is once.
///
/// Needs `members.suspend` there and every permission of its roles. The last owner of a root stays.
/// Event: `organisation.membership.suspended.v1`.
pub(crate) async fn suspend(
    service: &Organisations,
    call: &Call,
    request: SuspendMembershipRequest,
) -> Result<SuspendMembershipResponse, Error> {
    let SuspendMembershipRequest { organisation_id, user_id, request_id: _ } = request;
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
    rights.require_to_hold(&roles)?;
    if found.state == State::Active {
        let suspended = changing::update(&found)
            .col_expr(Column::State, Expr::value(State::Suspended))
            .exec(&*change)
            .await?;
        if suspended.rows_affected == 0 {
            return Err(Error::EtagMismatch);
        }
        if !changing::leaves_owner(&change, &found, &roles, change.now).await? {
            return Err(Error::LastOwner);
        }
        let key = "organisation.membership.suspended.v1";
        changing::announce(&change, key, subject, organisation).await?;
        change.record(Record::of("membership", subject, organisation)).await?;
    }
    let membership = membership::shown(&*change, subject, organisation, change.now).await?;
    change.commit(SuspendMembershipResponse { membership }).await
}
