use kernel::Uuid;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, IntoActiveModel as _, QuerySelect as _,
    entity::prelude::*, sea_query::OnConflict,
};

use super::{Column, Entity, Model, State};
use crate::entity::membership;

/// Adds a pending invitation, for which there is room by now; or answers which one of the address is pending there.
pub(crate) async fn insert(
    tx: &DatabaseTransaction,
    new: &Model,
) -> Result<Result<(), Uuid>, DbErr> {
    let one_pending = OnConflict::new().do_nothing().to_owned();
    let insert = Entity::insert(new.clone().into_active_model()).on_conflict(one_pending);
    if insert.exec_without_returning(tx).await? == 1 {
        return Ok(Ok(()));
    }
    Ok(Err(pending(tx, new.organisation_id, &new.email).await?))
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

/// Whether the invitee is a member anywhere, or invited to anything else.
pub(crate) async fn is_known_elsewhere(
    connection: &impl ConnectionTrait,
    new: &Model,
) -> Result<bool, DbErr> {
    let member = membership::Entity::find()
        .filter(membership::Column::SubjectId.eq(new.invitee_id))
        .limit(1);
    if member.one(connection).await?.is_some() {
        return Ok(true);
    }
    let invited = Entity::find()
        .filter(Column::InviteeId.eq(new.invitee_id))
        .filter(Column::Id.ne(new.id))
        .filter(Column::State.eq(State::Pending))
        .filter(Column::ExpiresAt.gt(new.created_at))
        .limit(1);
    Ok(invited.one(connection).await?.is_some())
}
