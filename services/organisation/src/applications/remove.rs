use api::organisation::v1::{
    ApplicationChanged, RemoveApplicationRequest, RemoveApplicationResponse,
};
use kernel::{Fields, Uuid, parse_id};
use sea_orm::{ExprTrait as _, entity::prelude::*, sea_query::Expr};

use super::managed;
use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    entity::{
        access_request::{self, Decision},
        application, application_access,
        invitation::{self, Column as Invitation},
        role,
    },
    error::Error,
};

/// Removes an application with everybody's access to it and its roles. Requests for it are
/// withdrawn, and invitations that can still be accepted no longer name it.
///
/// Needs `applications.manage` at its organisation. Event: `organisation.application.removed.v1`.
pub(crate) async fn remove(
    service: &Organisations,
    call: &Call,
    request: RemoveApplicationRequest,
) -> Result<RemoveApplicationResponse, Error> {
    let RemoveApplicationRequest { id, request_id: _ } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    let found = managed(&change, call, id).await?;
    // Whoever gives access or asks for it holds the application: they come before, or find it gone.
    if !application::hold_alone(&change, id).await? {
        return Err(Error::ApplicationNotFound);
    }
    withdraw_requests(&change, id).await?;
    forget_in_invitations(&change, id).await?;
    application_access::Entity::delete_many()
        .filter(application_access::Column::ApplicationId.eq(id))
        .exec(&*change)
        .await?;
    application::Entity::delete_by_id(id).exec(&*change).await?;
    role::Entity::delete_many()
        .filter(role::Column::OwnerId.eq(id))
        .filter(role::Column::IsApplicationRole.eq(true))
        .exec(&*change)
        .await?;
    let event = ApplicationChanged {
        application_id: id.to_string(),
        organisation_id: found.organisation_id.to_string(),
    };
    change.announce("organisation.application.removed.v1", id, &event).await?;
    change.record(Record::of("application", id, found.organisation_id)).await?;
    change.commit(RemoveApplicationResponse {}).await
}

async fn withdraw_requests(change: &Change<'_>, id: Uuid) -> Result<(), Error> {
    let pending = access_request::Entity::find()
        .filter(access_request::Column::ApplicationId.eq(id))
        .filter(access_request::Column::State.eq(access_request::State::Pending))
        .all(&**change)
        .await?;
    for request in pending {
        let withdrawn = access_request::State::Withdrawn;
        access_request::conclude(change, &request, withdrawn, Decision::default()).await?;
    }
    Ok(())
}

/// Also expired ones, which a reissue makes pending again.
async fn forget_in_invitations(change: &Change<'_>, id: Uuid) -> Result<(), Error> {
    invitation::Entity::update_many()
        .col_expr(Invitation::ApplicationId, Expr::value(None::<Uuid>))
        .col_expr(Invitation::CallbackUrl, Expr::value(""))
        .col_expr(Invitation::UpdatedAt, Expr::value(change.now))
        .col_expr(Invitation::Version, Expr::col(Invitation::Version).add(1))
        .filter(Invitation::ApplicationId.eq(id))
        .filter(Invitation::State.is_in([invitation::State::Pending, invitation::State::Expired]))
        .exec(&**change)
        .await?;
    Ok(())
}
