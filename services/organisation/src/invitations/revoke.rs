use api::organisation::v1::{RevokeInvitationRequest, RevokeInvitationResponse};
use kernel::{Fields, parse_id};
use sea_orm::{entity::prelude::*, sea_query::Expr};
use service::Caller;

use crate::{
    Organisations,
    domain::{invitation::State as Stands, permission::Permission},
    entity::invitation::{self, Column, State},
    error::Error,
};

/// Takes a pending or expired invitation back; its link is dead. Revoking twice is once.
///
/// Needs `invitations.revoke` at its organisation.
pub(crate) async fn revoke(
    service: &Organisations,
    caller: &Caller,
    request: RevokeInvitationRequest,
) -> Result<RevokeInvitationResponse, Error> {
    let RevokeInvitationRequest { id, .. } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };

    let tx = service.database.begin().await?;
    let seen = invitation::seen_by(&*tx, id, caller.subject).await?;
    let (_, rights) = seen.ok_or(Error::InvitationNotFound)?;
    rights.require(Permission::InvitationsRevoke)?;
    let now = service.clock.now();
    let revoked = invitation::Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Revoked))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .col_expr(Column::DeletedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::State.is_in([State::Pending, State::Expired]))
        .exec(&*tx)
        .await?;
    let found = invitation::Entity::find_by_id(id).one(&*tx).await?;
    let found = found.ok_or(Error::InvitationNotFound)?;
    let state = found.state_at(now);
    if revoked.rows_affected == 0 && state != Stands::Revoked {
        return Err(Error::NotPending(state));
    }
    tx.commit().await?;
    Ok(RevokeInvitationResponse { invitation: Some(found.seen_at(now)) })
}
