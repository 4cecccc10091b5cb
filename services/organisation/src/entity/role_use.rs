//! Where roles are in use beyond their rows: held, offered, asked for, or a default.
//!
//! Invitations and access requests keep roles by key, and many have the same: they are looked at
//! by their distinct texts, so that it costs a read of what is pending and no round trip a row.

use kernel::{Time, Uuid};
use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait as _, ExprTrait as _, IntoSimpleExpr, QueryFilter as _,
    QuerySelect as _, QueryTrait as _, Select,
    entity::prelude::*,
    sea_query::{Expr, OnConflict, Query},
};

use super::{
    access_request, ancestor, application, application_access, invitation, membership,
    membership_role, organisation, role,
};
use crate::domain::role::Role;

/// Which of some roles of a root is in use at an organisation or below it: one of them, by its key.
pub(crate) async fn in_use_below(
    connection: &impl ConnectionTrait,
    roles: &[role::Model],
    top: Uuid,
) -> Result<Option<String>, DbErr> {
    let held = membership_role::Entity::find()
        .filter(membership_role::Column::RoleId.is_in(roles.iter().map(|role| role.id)))
        .filter(membership_role::Column::OrganisationId.in_subquery(ancestor::subtree(top)))
        .one(connection)
        .await?;
    if let Some(held) = held {
        return Ok(roles.iter().find(|role| role.id == held.role_id).map(|role| role.key.clone()));
    }
    let mut texts = distinct(connection, defaults(top), organisation::Column::DefaultRole).await?;
    texts.extend(distinct(connection, offered(top), invitation::Column::Roles).await?);
    texts.extend(distinct(connection, asked(top), access_request::Column::Roles).await?);
    let is_named = |role: &&role::Model| texts.iter().any(|text| names(text, &role.key));
    Ok(roles.iter().find(is_named).map(|role| role.key.clone()))
}

/// Whether a role of an application is in use; `organisation` is the application's.
pub(crate) async fn application_role_in_use(
    connection: &impl ConnectionTrait,
    role: &role::Model,
    organisation: Uuid,
) -> Result<bool, DbErr> {
    let held = application_access::Entity::find()
        .filter(application_access::Column::RoleId.eq(role.id))
        .one(connection)
        .await?;
    let default = application::Entity::find_by_id(role.owner_id)
        .filter(application::Column::DefaultRoleId.eq(role.id))
        .one(connection)
        .await?;
    let asked = asked_of_application(role.owner_id, organisation);
    let texts = distinct(connection, asked, access_request::Column::Roles).await?;
    Ok(held.is_some() || default.is_some() || texts.iter().any(|text| names(text, &role.key)))
}

/// Gives everybody who has a custom role of a root, or is offered it, or asks for it, another in its
/// place; and where it is the default, the other is. Answers the pending requests for it that are
/// pointless now, because there is one for the other already: they are to be withdrawn.
pub(crate) async fn replace(
    tx: &impl ConnectionTrait,
    old: &role::Model,
    new: &Role,
    now: Time,
) -> Result<Vec<access_request::Model>, DbErr> {
    let root = old.owner_id;
    replace_held(tx, old.id, new.id).await?;
    let version = |version: Expr| version.add(1);
    organisation::Entity::update_many()
        .col_expr(organisation::Column::DefaultRole, Expr::value(new.key.as_str()))
        .col_expr(organisation::Column::UpdatedAt, Expr::value(now))
        .col_expr(organisation::Column::Version, version(Expr::col(organisation::Column::Version)))
        .filter(organisation::Column::Id.in_subquery(ancestor::subtree(root)))
        .filter(organisation::Column::DefaultRole.eq(old.key.as_str()))
        .exec(tx)
        .await?;
    for text in distinct(tx, offered(root), invitation::Column::Roles).await? {
        let Some(instead) = renamed(&text, &old.key, &new.key) else { continue };
        invitation::Entity::update_many()
            .col_expr(invitation::Column::Roles, Expr::value(instead))
            .col_expr(invitation::Column::UpdatedAt, Expr::value(now))
            .col_expr(invitation::Column::Version, version(Expr::col(invitation::Column::Version)))
            .filter(invitation::Column::OrganisationId.in_subquery(ancestor::subtree(root)))
            .filter(invitation::Column::State.eq(invitation::State::Pending))
            .filter(invitation::Column::Roles.eq(text))
            .exec(tx)
            .await?;
    }
    let target = |key: &str| format!("role:{}", key.to_ascii_lowercase());
    let (target_before, target_after) = (target(&old.key), target(&new.key));
    let pointless = asked_twice(tx, root, &target_before, &target_after).await?;
    rename_asked(tx, asked(root), old, new).await?;
    // What is pointless keeps its target: there may be one pending request for one thing.
    access_request::Entity::update_many()
        .col_expr(access_request::Column::Target, Expr::value(target_after))
        .filter(access_request::Column::OrganisationId.in_subquery(ancestor::subtree(root)))
        .filter(access_request::Column::State.eq(access_request::State::Pending))
        .filter(access_request::Column::Target.eq(target_before))
        .filter(access_request::Column::Id.is_not_in(pointless.iter().map(|request| request.id)))
        .exec(tx)
        .await?;
    Ok(pointless)
}

/// The same for a role of an application.
pub(crate) async fn replace_in_application(
    tx: &impl ConnectionTrait,
    old: &role::Model,
    new: &Role,
    organisation: Uuid,
    now: Time,
) -> Result<(), DbErr> {
    use application_access::Column as Access;
    let both = Query::select()
        .columns([Access::SubjectId, Access::OrganisationId, Access::ApplicationId])
        .expr(Expr::value(new.id))
        .column(Access::CreatedAt)
        .from(application_access::Entity)
        .and_where(Access::RoleId.eq(old.id))
        .to_owned();
    let insert = Query::insert()
        .into_table(application_access::Entity)
        .columns([
            Access::SubjectId,
            Access::OrganisationId,
            Access::ApplicationId,
            Access::RoleId,
            Access::CreatedAt,
        ])
        .select_from(both)
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .to_owned();
    tx.execute(&insert).await?;
    application_access::Entity::delete_many().filter(Access::RoleId.eq(old.id)).exec(tx).await?;
    application::Entity::update_many()
        .col_expr(application::Column::DefaultRoleId, Expr::value(new.id))
        .col_expr(application::Column::UpdatedAt, Expr::value(now))
        .col_expr(application::Column::Version, Expr::col(application::Column::Version).add(1))
        .filter(application::Column::Id.eq(old.owner_id))
        .filter(application::Column::DefaultRoleId.eq(old.id))
        .exec(tx)
        .await?;
    rename_asked(tx, asked_of_application(old.owner_id, organisation), old, new).await
}

async fn replace_held(tx: &impl ConnectionTrait, old: Uuid, new: Uuid) -> Result<(), DbErr> {
    use membership_role::Column as Held;
    let holders = || {
        membership_role::Entity::find()
            .select_only()
            .columns([Held::SubjectId, Held::OrganisationId])
            .filter(Held::RoleId.eq(old))
    };
    let both = holders().expr(Expr::value(new)).into_query();
    let insert = Query::insert()
        .into_table(membership_role::Entity)
        .columns([Held::SubjectId, Held::OrganisationId, Held::RoleId])
        .select_from(both)
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .to_owned();
    tx.execute(&insert).await?;
    let key = [membership::Column::SubjectId, membership::Column::OrganisationId].map(Expr::col);
    membership::Entity::update_many()
        .col_expr(membership::Column::Version, Expr::col(membership::Column::Version).add(1))
        .filter(Expr::tuple(key).in_subquery(holders().into_query()))
        .exec(tx)
        .await?;
    membership_role::Entity::delete_many().filter(Held::RoleId.eq(old)).exec(tx).await.map(|_| ())
}

/// The pending requests for one role of those who have one pending for the other too.
async fn asked_twice(
    tx: &impl ConnectionTrait,
    root: Uuid,
    old: &str,
    new: &str,
) -> Result<Vec<access_request::Model>, DbErr> {
    use access_request::Column as Asked;
    let pair = [Asked::RequesterId, Asked::OrganisationId];
    let others = asked(root).select_only().columns(pair).filter(Asked::Target.eq(new)).into_query();
    asked(root)
        .filter(Asked::Target.eq(old))
        .filter(Expr::tuple(pair.map(Expr::col)).in_subquery(others))
        .all(tx)
        .await
}

async fn rename_asked(
    tx: &impl ConnectionTrait,
    pending: Select<access_request::Entity>,
    old: &role::Model,
    new: &Role,
) -> Result<(), DbErr> {
    use access_request::Column as Asked;
    for text in distinct(tx, pending.clone(), Asked::Roles).await? {
        let Some(instead) = renamed(&text, &old.key, &new.key) else { continue };
        let these = pending.clone().select_only().column(Asked::Id).filter(Asked::Roles.eq(text));
        access_request::Entity::update_many()
            .col_expr(Asked::Roles, Expr::value(instead))
            .filter(Asked::Id.in_subquery(these.into_query()))
            .exec(tx)
            .await?;
    }
    Ok(())
}

fn defaults(top: Uuid) -> Select<organisation::Entity> {
    organisation::Entity::find()
        .filter(organisation::Column::Id.in_subquery(ancestor::subtree(top)))
        .filter(organisation::Column::DefaultRole.ne(""))
}

fn offered(top: Uuid) -> Select<invitation::Entity> {
    invitation::Entity::find()
        .filter(invitation::Column::OrganisationId.in_subquery(ancestor::subtree(top)))
        .filter(invitation::Column::State.eq(invitation::State::Pending))
}

fn asked(top: Uuid) -> Select<access_request::Entity> {
    access_request::Entity::find()
        .filter(access_request::Column::OrganisationId.in_subquery(ancestor::subtree(top)))
        .filter(access_request::Column::State.eq(access_request::State::Pending))
        .filter(access_request::Column::ApplicationId.is_null())
}

/// Those who use an application are at its organisation or below it.
fn asked_of_application(application: Uuid, organisation: Uuid) -> Select<access_request::Entity> {
    access_request::Entity::find()
        .filter(access_request::Column::OrganisationId.in_subquery(ancestor::subtree(organisation)))
        .filter(access_request::Column::ApplicationId.eq(application))
        .filter(access_request::Column::State.eq(access_request::State::Pending))
}

async fn distinct<E: EntityTrait>(
    connection: &impl ConnectionTrait,
    rows: Select<E>,
    column: impl IntoSimpleExpr,
) -> Result<Vec<String>, DbErr> {
    rows.select_only().expr(column.into_simple_expr()).distinct().into_tuple().all(connection).await
}

/// Whether a row's keys name a role.
fn names(text: &str, key: &str) -> bool {
    text.split_whitespace().any(|named| same(named, key))
}

/// A row's keys with one in the place of another, each once and in order; nothing if it is not there.
fn renamed(text: &str, old: &str, new: &str) -> Option<String> {
    if !names(text, old) {
        return None;
    }
    let others = text.split_whitespace().filter(|named| !same(named, old) && !same(named, new));
    let mut keys: Vec<_> = others.chain([new]).collect();
    keys.sort_unstable();
    Some(keys.join(" "))
}

fn same(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
}
