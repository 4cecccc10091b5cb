use api::organisation::v1::{DeclineInvitationRequest, DeclineInvitationResponse};
use kernel::{Fields, parse_id};
use sea_orm::{ExprTrait as _, entity::prelude::*, sea_query::Expr};

use crate::{
    Organisations,
    call::Call,
    change::Record,
    domain::invitation::State as Stands,
    entity::invitation::{self, Column, State},
    error::Error,
    joining,
    settlement::settled,
};

/// The invitee says no; the link is dead. Declining twice is once.
///
/// Only the invitee, signed in. Event: `organisation.invitation.settled.v1`.
pub(crate) async fn decline(
    service: &Organisations,
    call: &Call,
    request: DeclineInvitationRequest,
) -> Result<DeclineInvitationResponse, Error> {
    let DeclineInvitationRequest { id, request_id: _ } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    if !call.is_person() {
        return Err(Error::InviteeRequired);
    }

    let change = service.begin(call).await?;
    let now = change.now;
    let declined = invitation::Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Declined))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .col_expr(Column::DeletedAt, Expr::value(now))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(id))
        .filter(Column::InviteeId.eq(call.subject))
        .filter(Column::State.eq(State::Pending))
        .filter(Column::ExpiresAt.gt(now))
        .exec(&*change)
        .await?;
    let found = invitation::Entity::find_by_id(id).one(&*change).await?;
    let found = found.ok_or(Error::InvitationNotFound)?;
    if declined.rows_affected == 0 {
        joining::require_invitee(service, &change, call, &found).await?;
        let state = found.state_at(now);
        if state != Stands::Declined {
            return Err(Error::NotPending(state));
        }
    } else {
        call.note(found.organisation_id);
        settled(&change, &found, State::Declined).await?;
        let record = Record::of("invitation", id, found.organisation_id).invitation(id);
        change.record(record).await?;
    }
    change.commit(DeclineInvitationResponse { invitation: Some(found.seen_at(now)) }).await
}

#[cfg(test)]
mod tests {
    use api::organisation::v1::InvitationState;
    use kernel::Duration;
    use testkit::Bench;

    use crate::{
        invitations::tests::{Heard, accept, decline, invite, revoke},
        testing::{Stage, reason},
    };

    testkit::on_both_databases!(
        declining_twice_is_once,
        only_the_invitee_declines_and_only_what_waits,
    );

    async fn declining_twice_is_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC Holdings").await;
        let id = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap().id;
        let ada = stage.person("ada@example.com");
        let heard = Heard::listen(&stage);
        for _ in 0..2 {
            let declined = decline(&ada, &id).await.unwrap();
            assert_eq!(declined.state(), InvitationState::Declined);
            assert!(declined.deleted_at.is_some());
        }
        assert_eq!(heard.count(&stage, "organisation.invitation.settled.v1").await, 1);
        assert_eq!(reason(accept(&ada, &id).await), "INVITATION_DECLINED");
        assert_eq!(reason(revoke(&owner, &id).await), "INVITATION_DECLINED");
        // The address is free for another invitation.
        invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
    }

    async fn only_the_invitee_declines_and_only_what_waits(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC Holdings").await;
        let id = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap().id;
        let (ada, eve) = (stage.person("ada@example.com"), stage.person("eve@example.com"));
        assert_eq!(reason(decline(&owner, &id).await), "INVITEE_REQUIRED");
        assert_eq!(reason(decline(&eve, &id).await), "INVITATION_NOT_FOUND");
        let unknown = "00000000-0000-7000-8000-000000000000";
        assert_eq!(reason(decline(&eve, unknown).await), "INVITATION_NOT_FOUND");
        stage.pass(Duration::hours(48));
        let ada = stage.person(&ada.email);
        assert_eq!(reason(decline(&ada, &id).await), "INVITATION_EXPIRED");
    }
}
