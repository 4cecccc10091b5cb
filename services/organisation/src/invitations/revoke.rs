use api::organisation::v1::{RevokeInvitationRequest, RevokeInvitationResponse};
use kernel::{Fields, parse_id};
use sea_orm::{ExprTrait as _, entity::prelude::*, sea_query::Expr};

use crate::{
    Organisations,
    call::Call,
    change::Record,
    domain::{invitation::State as Stands, permission::Permission},
    entity::invitation::{self, Column, State},
    error::Error,
    settlement::settled,
};

/// Takes a pending or expired invitation back; its link is dead. Revoking twice is once.
///
/// Needs `invitations.revoke` at its organisation.
pub(crate) async fn revoke(
    service: &Organisations,
    call: &Call,
    request: RevokeInvitationRequest,
) -> Result<RevokeInvitationResponse, Error> {
    let RevokeInvitationRequest { id, request_id: _ } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    let now = change.now;
    let seen = invitation::seen_by(&*change, id, call, now).await?;
    let (_, rights) = seen.ok_or(Error::InvitationNotFound)?;
    rights.require(Permission::InvitationsRevoke)?;
    let revoked = invitation::Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Revoked))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .col_expr(Column::DeletedAt, Expr::value(now))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(id))
        .filter(Column::State.is_in([State::Pending, State::Expired]))
        .exec(&*change)
        .await?;
    let found = invitation::Entity::find_by_id(id).one(&*change).await?;
    let found = found.ok_or(Error::InvitationNotFound)?;
    let state = found.state_at(now);
    if revoked.rows_affected == 0 && state != Stands::Revoked {
        return Err(Error::NotPending(state));
    }
    if revoked.rows_affected == 1 {
        settled(&change, &found, State::Revoked).await?;
        let record = Record::of("invitation", id, found.organisation_id).invitation(id);
        change.record(record).await?;
    }
    change.commit(RevokeInvitationResponse { invitation: Some(found.seen_at(now)) }).await
}

#[cfg(test)]
mod tests {
    use testkit::Bench;

    use crate::{
        invitations::tests::{get, invite, revoke},
        testing::{Stage, reason},
    };

    testkit::on_both_databases!(whoever_only_reads_revokes_nothing);

    async fn whoever_only_reads_revokes_nothing(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC Holdings").await;
        let approver = stage.member("approver@example.com", &root, &["approver"]).await;
        let offered = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
        assert_eq!(reason(revoke(&approver, &offered.id).await), "PERMISSION_MISSING");
        assert_eq!(get(&owner, &offered.id).await, offered);
        // Twice is once.
        let revoked = revoke(&owner, &offered.id).await.unwrap();
        assert_eq!(revoke(&owner, &offered.id).await.unwrap(), revoked);
    }
}
