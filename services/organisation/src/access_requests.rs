//! Access requests: four eyes on what somebody gets.

pub(crate) mod approve;
pub(crate) mod create;
pub(crate) mod get;
pub(crate) mod get_mail;
pub(crate) mod keep_time;
pub(crate) mod list;
pub(crate) mod list_own;
pub(crate) mod reject;
#[cfg(test)]
mod tests;
pub(crate) mod withdraw;

use api::organisation::v1 as proto;
use db::{DbErr, PageRequest};
use kernel::Time;
use sea_orm::{ConnectionTrait, EntityTrait as _, Select};

use crate::{
    call::Call,
    change::Change,
    domain::{permission::Permission, role::Roles},
    entity::{
        access_request::{self, Column, Entity, Model, State},
        membership, person,
    },
    error::Error,
};

/// What deciding takes, approving and rejecting alike: the caller is neither the requester nor
/// whoever invited them, and holds, at this moment, `requests.decide` and what would be granted.
/// Their roles are held until the end of the transaction: a demotion comes before or after. Answers
/// the roles asked for as they are now; `None` if one of them is gone.
async fn require_decider(
    change: &Change<'_>,
    call: &Call,
    found: &Model,
) -> Result<Option<Roles>, Error> {
    if access_request::barred(&**change, found).await?.contains(&call.subject) {
        return Err(Error::OwnRequest);
    }
    let (organisation, now) = (found.organisation_id, change.now);
    let rights = membership::rights_held(change, call.subject, organisation, now).await?;
    rights.require(Permission::RequestsDecide)?;
    if found.wants_application().is_some() {
        rights.require(Permission::ApplicationsGrant)?;
    }
    let roles = found.roles_now(&**change).await?;
    if let Some(roles) = &roles {
        rights.require_to_grant(roles, call.giver())?;
    }
    Ok(roles)
}

/// Refuses what was settled before, also by the time that went by.
fn require_pending(found: &Model, now: Time) -> Result<(), Error> {
    match found.state_at(now) {
        State::Pending => Ok(()),
        state => Err(Error::AccessRequestSettled { state: state.as_str() }),
    }
}

/// The request as it is after a change, as callers see it.
async fn seen_again(change: &Change<'_>, found: &Model) -> Result<proto::AccessRequest, Error> {
    let again = Entity::find_by_id(found.id).one(&**change).await?;
    let again = again.ok_or(Error::AccessRequestNotFound)?;
    let requester = person::Entity::find_by_id(again.requester_id).one(&**change).await?;
    Ok(again.seen_at(requester, change.now))
}

/// Why nothing was changed: somebody was faster.
async fn settled_before(change: &Change<'_>, found: &Model) -> Result<Error, DbErr> {
    let again = Entity::find_by_id(found.id).one(&**change).await?;
    let state = again.map_or(found.state, |again| again.state_at(change.now));
    Ok(Error::AccessRequestSettled { state: state.as_str() })
}

/// A page of requests as callers see them, and the token of the next: two queries.
async fn page_of(
    connection: &impl ConnectionTrait,
    page: PageRequest,
    rows: Select<Entity>,
    now: Time,
) -> Result<(Vec<proto::AccessRequest>, String), DbErr> {
    let rows = page.apply(rows, None::<Column>, Column::Id).all(connection).await?;
    let page = page.cut(rows, |row| row.id);
    let requesters: Vec<_> = page.rows.iter().map(|row| row.requester_id).collect();
    let people = person::of(connection, &requesters).await?;
    let seen = page.rows.into_iter().map(|row| {
        let requester = people.get(&row.requester_id).cloned();
        row.seen_at(requester, now)
    });
    Ok((seen.collect(), page.next_page_token))
}
