use api::organisation::v1::{
    InvitationReissued, ReissueInvitationRequest, ReissueInvitationResponse,
};
use kernel::{Fields, Time, parse_id};
use sea_orm::{ExprTrait as _, entity::prelude::*, sea_query::Expr};

use crate::{
    Organisations,
    call::Call,
    change::Record,
    domain::permission::Permission,
    entity::{
        invitation::{self, Column, DeliveryState, State},
        person, role,
    },
    error::Error,
    settlement,
};

/// A new link and a new mail for a pending or expired invitation; the earlier link is dead.
///
/// Needs `invitations.reissue` at its organisation and every permission of the roles offered:
/// whoever reissues takes the inviter's place. Event: `organisation.invitation.reissued.v1`, which
/// becomes the mail.
pub(crate) async fn reissue(
    service: &Organisations,
    call: &Call,
    request: ReissueInvitationRequest,
) -> Result<ReissueInvitationResponse, Error> {
    let ReissueInvitationRequest { id, request_id: _ } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };

    count(service, call, id).await?;

    let change = service.begin(call).await?;
    let now = change.now;
    let seen = invitation::held_by(&change, id, call, now).await?;
    let (found, rights) = seen.ok_or(Error::InvitationNotFound)?;
    rights.require(Permission::InvitationsReissue)?;
    let among = role::given_at(found.organisation_id);
    let roles = role::find_again(&*change, among, &found.roles).await?;
    rights.require_to_grant(&roles.ok_or(Error::RoleNotFound)?, call.giver())?;
    settlement::make_room(&change, &[(found.organisation_id, &found.email)]).await?;
    let expires_at = now + service.link_life;
    let kind: invitation::Giver = call.giver().into();
    let reissued = invitation::Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Pending))
        .col_expr(Column::Issue, Expr::col(Column::Issue).add(1))
        .col_expr(Column::InviterId, Expr::value(call.subject))
        .col_expr(Column::InviterKind, Expr::value(kind))
        .col_expr(Column::ExpiresAt, Expr::value(expires_at))
        .col_expr(Column::RemindAt, Expr::value(service.remind_at(now, expires_at)))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        // What is still heard of the mails before is about a link that is dead.
        .col_expr(Column::DeliveryState, Expr::value(DeliveryState::Queued))
        .col_expr(Column::DeliveryReason, Expr::value(""))
        .col_expr(Column::DeliveryChangedAt, Expr::value(None::<Time>))
        .col_expr(Column::DeliveryVersion, Expr::value(0))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(id))
        .filter(Column::State.is_in([State::Pending, State::Expired]))
        .exec(&*change)
        .await;
    let reissued = match reissued {
        // A later invitation of the same address is pending: that one is to be reissued.
        Err(error) if db::is_unique_violation(&error) => {
            drop(change);
            let database = service.database.read();
            let pending = invitation::pending(database, found.organisation_id, &found.email);
            return Err(Error::InvitationPending { id: pending.await? });
        }
        reissued => reissued?.rows_affected,
    };
    let found = invitation::Entity::find_by_id(id).one(&*change).await?;
    let found = found.ok_or(Error::InvitationNotFound)?;
    if reissued == 0 {
        return Err(Error::NotPending(found.state_at(now)));
    }
    person::remember_caller(&*change, call).await?;
    let event = InvitationReissued {
        invitation_id: found.id.to_string(),
        organisation_id: found.organisation_id.to_string(),
        issue: found.issue,
    };
    let key = "organisation.invitation.reissued.v1";
    change.publish(key, found.id, &event).await?;
    let record = Record::of("invitation", found.id, found.organisation_id).invitation(found.id);
    change.record(record.detail(format!("issue={}", found.issue))).await?;
    change.commit(ReissueInvitationResponse { invitation: Some(found.seen_at(now)) }).await
}

/// The counters are a call over the network: it comes before the transaction, and so looks on its own
/// whether the caller may reissue at all.
async fn count(service: &Organisations, call: &Call, id: Uuid) -> Result<(), Error> {
    let (database, now) = (service.database.read(), service.clock.now());
    let seen = invitation::seen_by(database, id, call, now).await?;
    let (found, rights) = seen.ok_or(Error::InvitationNotFound)?;
    rights.require(Permission::InvitationsReissue)?;
    service.count_invitation(call, found.organisation_id, &found.email).await
}

#[cfg(test)]
mod tests {
    use api::organisation::v1::InvitationState;
    use kernel::Duration;
    use testkit::Bench;

    use crate::{
        invitations::tests::{get, invite, reissue},
        testing::{Stage, reason},
    };

    testkit::on_both_databases!(
        t06_nobody_reissues_what_they_could_not_offer,
        whoever_only_reads_reissues_nothing,
        what_has_expired_waits_again_with_a_new_link,
    );

    async fn t06_nobody_reissues_what_they_could_not_offer(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC Holdings").await;
        let admin = stage.member("admin@example.com", &root, &["admin"]).await;
        let heir = invite(&owner, &root, "heir@example.com", &["owner"]).await.unwrap();
        assert_eq!(reason(reissue(&admin, &heir.id).await), "GRANT_CEILING_EXCEEDED");
        let after = get(&owner, &heir.id).await;
        assert_eq!((after.issue, after.inviter_id), (1, owner.id.to_string()));
        assert_eq!(reissue(&owner, &heir.id).await.unwrap().issue, 2);
    }

    async fn whoever_only_reads_reissues_nothing(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC Holdings").await;
        let approver = stage.member("approver@example.com", &root, &["approver"]).await;
        let offered = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
        assert_eq!(get(&approver, &offered.id).await, offered);
        assert_eq!(reason(reissue(&approver, &offered.id).await), "PERMISSION_MISSING");
    }

    async fn what_has_expired_waits_again_with_a_new_link(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC Holdings").await;
        let admin = stage.member("admin@example.com", &root, &["admin"]).await;
        let offered = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
        stage.pass(Duration::days(2));
        let admin = stage.person(&admin.email);
        assert_eq!(get(&admin, &offered.id).await.state(), InvitationState::Expired);
        let again = reissue(&admin, &offered.id).await.unwrap();
        assert_eq!((again.state(), again.issue), (InvitationState::Pending, 2));
        // Whoever reissues takes the inviter's place.
        assert_eq!(again.inviter_id, admin.id.to_string());
        assert!(again.expires_at.unwrap().seconds > stage.now().timestamp());
    }
}
