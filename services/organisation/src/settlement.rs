//! The end of an invitation's waiting: what is told and written down whenever one is no longer
//! pending, whoever ended it.

use api::organisation::v1::{InvitationExpired, InvitationSettled};
use kernel::Uuid;
use sea_orm::{ExprTrait as _, QueryOrder as _, entity::prelude::*, sea_query::Expr};

use crate::{
    change::{Change, Record},
    entity::invitation::{Column, Entity, Model, State},
};

/// Tells that an invitation has come to a state other than pending. Events:
/// `organisation.invitation.settled.v1`, and `organisation.invitation.callback.v1` if the outcome is
/// to be told at a callback URL: the first may go unheard, the second must arrive.
pub(crate) async fn settled(
    change: &Change<'_>,
    invitation: &Model,
    state: State,
) -> Result<(), DbErr> {
    let event = InvitationSettled {
        invitation_id: invitation.id.to_string(),
        organisation_id: invitation.organisation_id.to_string(),
        state: state.as_str().to_owned(),
    };
    change.announce("organisation.invitation.settled.v1", invitation.id, &event).await?;
    if invitation.callback_url.is_empty() {
        return Ok(());
    }
    change.publish("organisation.invitation.callback.v1", invitation.id, &event).await
}

/// Writes down that a pending invitation has run out, tells it, and notes in the history that Usher
/// did so; `false` if it is not pending any more, or not yet over. Events: those of [`settled`], and
/// `organisation.invitation.expired.v1`, which becomes the mail.
pub(crate) async fn expire(change: &Change<'_>, invitation: &Model) -> Result<bool, DbErr> {
    let expired = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Expired))
        .col_expr(Column::UpdatedAt, Expr::value(change.now))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(invitation.id))
        .filter(Column::State.eq(State::Pending))
        .filter(Column::ExpiresAt.lte(change.now))
        .exec(&**change)
        .await?;
    if expired.rows_affected == 0 {
        return Ok(false);
    }
    settled(change, invitation, State::Expired).await?;
    let event = InvitationExpired {
        invitation_id: invitation.id.to_string(),
        organisation_id: invitation.organisation_id.to_string(),
        issue: invitation.issue,
    };
    change.publish("organisation.invitation.expired.v1", invitation.id, &event).await?;
    let record = Record::of("invitation", invitation.id, invitation.organisation_id);
    change.record_itself("invitations.expire", record.invitation(invitation.id)).await?;
    Ok(true)
}

/// Makes room for a pending invitation at each organisation of the address beside it: one whose time
/// is over is not waited for until the timer comes to it.
pub(crate) async fn make_room(change: &Change<'_>, places: &[(Uuid, &str)]) -> Result<(), DbErr> {
    let over = Entity::find()
        .filter(Column::OrganisationId.is_in(places.iter().map(|(organisation, _)| *organisation)))
        .filter(Column::Email.is_in(places.iter().map(|(_, email)| *email)))
        .filter(Column::State.eq(State::Pending))
        .filter(Column::ExpiresAt.lte(change.now))
        .order_by_asc(Column::Id)
        .all(&**change)
        .await?;
    for over in over.iter().filter(|it| places.contains(&(it.organisation_id, &it.email))) {
        expire(change, over).await?;
    }
    Ok(())
}
