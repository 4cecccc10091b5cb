use std::collections::{HashMap, HashSet};

use kernel::{Time, Uuid};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, IntoActiveModel as _, QuerySelect as _,
    entity::prelude::*, sea_query::OnConflict,
};

use super::{Column, Entity, Model, State, is_in_state};
use crate::entity::membership;

/// Adds pending invitations, for which there is room by now; answers which of them: of an address that
/// one is pending for at the organisation there is no second.
pub(crate) async fn insert(
    tx: &DatabaseTransaction,
    rows: &[&Model],
) -> Result<HashSet<Uuid>, DbErr> {
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    // In one order everywhere, so that of two transactions neither waits for the other for ever.
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| (row.organisation_id, &row.email));
    let one_pending = OnConflict::new().do_nothing().to_owned();
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let rows = rows.into_iter().map(|row| row.clone().into_active_model());
    let insert = Entity::insert_many(rows).on_conflict(one_pending);
    if insert.exec_without_returning(tx).await? == ids.len() as u64 {
        return Ok(ids.into_iter().collect());
    }
    let made = Entity::find().select_only().column(Column::Id).filter(Column::Id.is_in(ids));
    Ok(made.into_tuple::<Uuid>().all(tx).await?.into_iter().collect())
}

/// Takes back what was made in the same transaction.
pub(crate) async fn take_back(tx: &DatabaseTransaction, id: Uuid) -> Result<(), DbErr> {
    Entity::delete_by_id(id).exec(tx).await.map(|_| ())
}

/// The pending invitation of an address at an organisation; the nil UUID if it is gone by now.
pub(crate) async fn pending(
    connection: &impl ConnectionTrait,
    organisation: Uuid,
    email: &str,
) -> Result<Uuid, DbErr> {
    let pending = Entity::find()
        .filter(Column::OrganisationId.eq(organisation))
        .filter(Column::Email.eq(email))
        .filter(Column::State.eq(State::Pending))
        .one(connection)
        .await?;
    Ok(pending.map_or(Uuid::nil(), |pending| pending.id))
}

/// The invitations that are pending at a moment at these organisations, of the addresses beside them:
/// one query however many there are.
pub(crate) async fn pending_at(
    connection: &impl ConnectionTrait,
    places: &[(Uuid, &str)],
    now: Time,
) -> Result<HashMap<(Uuid, String), Uuid>, DbErr> {
    let pending = Entity::find()
        .filter(Column::OrganisationId.is_in(places.iter().map(|(organisation, _)| *organisation)))
        .filter(Column::Email.is_in(places.iter().map(|(_, email)| *email)))
        .filter(is_in_state(api::organisation::v1::InvitationState::Pending, now))
        .all(connection)
        .await?;
    Ok(pending.into_iter().map(|it| ((it.organisation_id, it.email), it.id)).collect())
}

/// Whether the invitee is a member anywhere, or invited to anything else; but for the new invitations
/// that are given by their identifiers.
pub(crate) async fn is_known_elsewhere(
    connection: &impl ConnectionTrait,
    invitee: Uuid,
    new: &[Uuid],
    now: Time,
) -> Result<bool, DbErr> {
    let member =
        membership::Entity::find().filter(membership::Column::SubjectId.eq(invitee)).limit(1);
    if member.one(connection).await?.is_some() {
        return Ok(true);
    }
    let invited = Entity::find()
        .filter(Column::InviteeId.eq(invitee))
        .filter(Column::Id.is_not_in(new.iter().copied()))
        .filter(Column::State.eq(State::Pending))
        .filter(Column::ExpiresAt.gt(now))
        .limit(1);
    Ok(invited.one(connection).await?.is_some())
}
