use std::collections::HashMap;

use api::organisation::v1 as proto;
use kernel::{Time, Uuid};
use sea_orm::{ConnectionTrait, QueryOrder as _, entity::prelude::*};

use super::Model;
use crate::entity::{membership_role, organisation::etag, person, role};

/// A membership as callers see it at a moment; nothing if there is none.
pub(crate) async fn shown(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    organisation: Uuid,
    now: Time,
) -> Result<Option<proto::Membership>, DbErr> {
    let row = super::Entity::find_by_id((subject, organisation)).one(connection).await?;
    Ok(shown_all(connection, row.into_iter().collect(), now).await?.pop())
}

/// Memberships as callers see them at a moment, in their order: of one organisation or of one
/// subject, by two queries however many there are.
pub(crate) async fn shown_all(
    connection: &impl ConnectionTrait,
    rows: Vec<Model>,
    now: Time,
) -> Result<Vec<proto::Membership>, DbErr> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut roles = roles_of(connection, &rows).await?;
    let people = people_of(connection, &rows).await?;
    let show = |row: Model| {
        let roles = roles.remove(&(row.subject_id, row.organisation_id)).unwrap_or_default();
        let person = people.get(&row.subject_id);
        proto::Membership {
            organisation_id: row.organisation_id.to_string(),
            user_id: row.subject_id.to_string(),
            email: person.map(|person| person.email.clone()).unwrap_or_default(),
            display_name: person.map(|person| person.display_name.clone()).unwrap_or_default(),
            roles,
            created_at: Some(api::timestamp(row.created_at)),
            state: row.state_at(now).into(),
            valid_from: row.valid_from.map(api::timestamp),
            expires_at: row.expires_at.map(api::timestamp),
            etag: etag(row.version),
            invitation_id: String::new(),
            is_service_account: row.is_service_account,
        }
    };
    Ok(rows.into_iter().map(show).collect())
}

/// The keys of the roles of each, sorted.
async fn roles_of(
    connection: &impl ConnectionTrait,
    rows: &[Model],
) -> Result<HashMap<(Uuid, Uuid), Vec<String>>, DbErr> {
    let held = membership_role::Entity::find()
        .find_also_related(role::Entity)
        .filter(membership_role::Column::SubjectId.is_in(rows.iter().map(|row| row.subject_id)))
        .filter(
            membership_role::Column::OrganisationId
                .is_in(rows.iter().map(|row| row.organisation_id)),
        )
        .order_by_asc(role::Column::FoldedKey)
        .all(connection)
        .await?;
    let mut roles = HashMap::<_, Vec<String>>::new();
    for (row, role) in held {
        let keys = roles.entry((row.subject_id, row.organisation_id)).or_default();
        keys.extend(role.map(|role| role.key));
    }
    Ok(roles)
}

async fn people_of(
    connection: &impl ConnectionTrait,
    rows: &[Model],
) -> Result<HashMap<Uuid, person::Model>, DbErr> {
    let people = person::Entity::find()
        .filter(person::Column::UserId.is_in(rows.iter().map(|row| row.subject_id)))
        .all(connection)
        .await?;
    Ok(people.into_iter().map(|person| (person.user_id, person)).collect())
}
