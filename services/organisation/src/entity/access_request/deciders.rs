//! Who can decide a request: to whom it goes.

use std::collections::HashMap;

use kernel::{Time, Uuid};
use sea_orm::{
    ConnectionTrait, FromQueryResult, JoinType, QueryOrder as _, QuerySelect as _,
    entity::prelude::*,
};

use super::Model;
use crate::{
    domain::permission::{Permission, Permissions},
    entity::{
        ancestor, invitation,
        membership::{self, counts, with_membership},
        membership_role,
        organisation::PLATFORM,
        role,
    },
};

/// To how many people a request goes: those who have been there longest.
const MOST: usize = 100;
/// How many holders of the right are looked at, at one node.
const LOOKED_AT: u64 = 500;

/// To whom a request goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deciders {
    pub people: Vec<Uuid>,
    /// Whether nobody at the organisation or above it can decide, so that it goes to the platform.
    pub none_near: bool,
}

/// Those who can decide a request at a moment: the people of the nearest node that has any, from the
/// organisation itself up to its root, who hold `requests.decide` and all that they would grant. It
/// is nobody's own request and nobody's own invitation. Where no node has any it goes to whoever
/// holds `requests.decide` at the platform, its support, whatever else they hold.
pub(crate) async fn deciders(
    connection: &impl ConnectionTrait,
    request: &Model,
    now: Time,
) -> Result<Deciders, DbErr> {
    let barred = barred(connection, request).await?;
    let needed = needed(connection, request).await?;
    let nodes = ancestor::Entity::find()
        .filter(ancestor::Column::OrganisationId.eq(request.organisation_id))
        .filter(ancestor::Column::AncestorId.ne(PLATFORM))
        .order_by_asc(ancestor::Column::Distance)
        .all(connection)
        .await?;
    for node in nodes {
        let holders = holders(connection, node.ancestor_id, &barred, now).await?;
        let mut people = able(connection, request.organisation_id, holders, needed, now).await?;
        people.truncate(MOST);
        if !people.is_empty() {
            return Ok(Deciders { people, none_near: false });
        }
    }
    let mut people = holders(connection, PLATFORM, &barred, now).await?;
    people.truncate(MOST);
    Ok(Deciders { people, none_near: true })
}

/// Who has no say in a request: the requester, and whoever invited them.
pub(crate) async fn barred(
    connection: &impl ConnectionTrait,
    request: &Model,
) -> Result<Vec<Uuid>, DbErr> {
    let mut barred = vec![request.requester_id];
    if let Some(invitation) = request.invitation_id {
        let invitation = invitation::Entity::find_by_id(invitation).one(connection).await?;
        barred.extend(invitation.map(|invitation| invitation.inviter_id));
    }
    Ok(barred)
}

/// What a decision takes. Of a role that is gone there is nothing to grant.
async fn needed(connection: &impl ConnectionTrait, request: &Model) -> Result<Permissions, DbErr> {
    let decide = Permissions::of(&[Permission::OrganisationsRead, Permission::RequestsDecide]);
    if request.wants_application().is_some() {
        return Ok(decide.union(Permissions::of(&[Permission::ApplicationsGrant])));
    }
    let roles = request.roles_now(connection).await?.unwrap_or_default();
    Ok(decide.union(roles.permissions()))
}

/// The people who hold `requests.decide` by a role given at exactly this node, those who have been
/// there longest first.
async fn holders(
    connection: &impl ConnectionTrait,
    node: Uuid,
    barred: &[Uuid],
    now: Time,
) -> Result<Vec<Uuid>, DbErr> {
    let held = membership_role::Entity::find()
        .select_only()
        .column(membership_role::Column::SubjectId)
        .column(membership::Column::Id)
        .distinct()
        .join(JoinType::InnerJoin, membership_role::Relation::Role.def())
        .filter(membership_role::Column::OrganisationId.eq(node))
        .filter(membership_role::Column::SubjectId.is_not_in(barred.iter().copied()))
        .filter(counts(now))
        .filter(membership::Column::IsServiceAccount.eq(false))
        .filter(role::allowing(Permission::RequestsDecide))
        .order_by_asc(membership::Column::Id)
        .limit(LOOKED_AT);
    let rows =
        with_membership(connection, held).into_tuple::<(Uuid, Uuid)>().all(connection).await?;
    Ok(rows.into_iter().map(|(subject, _)| subject).collect())
}

#[derive(FromQueryResult)]
struct Held {
    subject_id: Uuid,
    role_id: Uuid,
    permissions: i64,
}

/// Those of some people who hold all of this at an organisation, by whatever roles there and above.
async fn able(
    connection: &impl ConnectionTrait,
    organisation: Uuid,
    people: Vec<Uuid>,
    needed: Permissions,
    now: Time,
) -> Result<Vec<Uuid>, DbErr> {
    if people.is_empty() {
        return Ok(people);
    }
    let to_ancestor = membership_role::Entity::belongs_to(ancestor::Entity)
        .from(membership_role::Column::OrganisationId)
        .to(ancestor::Column::AncestorId);
    let held = membership_role::Entity::find()
        .select_only()
        .column(membership_role::Column::SubjectId)
        .column(membership_role::Column::RoleId)
        .column(role::Column::Permissions)
        .join(JoinType::InnerJoin, to_ancestor.into())
        .join(JoinType::InnerJoin, membership_role::Relation::Role.def())
        .filter(ancestor::Column::OrganisationId.eq(organisation))
        .filter(membership_role::Column::SubjectId.is_in(people.iter().copied()))
        .filter(counts(now));
    let rows = with_membership(connection, held).into_model::<Held>().all(connection).await?;
    let mut held = HashMap::<Uuid, Permissions>::new();
    for row in rows {
        let all = held.entry(row.subject_id).or_default();
        *all = all.union(role::permissions_of(row.role_id, row.permissions));
    }
    let is_able = |it: &Uuid| held.get(it).is_some_and(|held| needed.is_subset_of(*held));
    Ok(people.into_iter().filter(is_able).collect())
}
