use api::organisation::v1::{InvitationState, ListInvitationsRequest, ListInvitationsResponse};
use db::PageRequest;
use kernel::{Fields, Malformed, Time, parse_id};
use sea_orm::{Condition, QueryOrder as _, QuerySelect as _, entity::prelude::*};

use crate::{
    Organisations,
    call::Call,
    domain::permission::Permission,
    entity::{
        invitation::{self, Column, State},
        organisation::PLATFORM,
    },
    error::Error,
};

/// The invitations of one organisation, oldest first, of one state or all.
///
/// Needs `invitations.read` there.
pub(crate) async fn list(
    service: &Organisations,
    call: &Call,
    request: ListInvitationsRequest,
) -> Result<ListInvitationsResponse, Error> {
    let ListInvitationsRequest { organisation_id, state, page_size, page_token, .. } = request;
    let mut fields = Fields::default();
    let id = fields.read("organisation_id", parse_id(&organisation_id));
    let state = fields.read(
        "state",
        InvitationState::try_from(state).map_err(|_| Malformed("a state of an invitation")),
    );
    let page = PageRequest::parse(&mut fields, page_size, &page_token);
    let (Some(id), Some(state), Some(page)) = (id, state, page) else {
        return Err(Error::Invalid(fields));
    };
    let database = service.database.read();
    let rights = service.rights(call, database, id).await?;
    rights.require(Permission::InvitationsRead)?;
    if id == PLATFORM {
        return Err(Error::OrganisationNotFound);
    }
    let now = service.clock.now();
    let mut rows = invitation::Entity::find()
        .filter(Column::OrganisationId.eq(id))
        .filter(in_state(state, now))
        .order_by_asc(Column::Id)
        .limit(page.limit());
    if let Some(after) = page.after {
        rows = rows.filter(Column::Id.gt(after));
    }
    let page = page.cut(rows.all(database).await?, |row| row.id);
    Ok(ListInvitationsResponse {
        invitations: page.rows.into_iter().map(|row| row.seen_at(now)).collect(),
        next_page_token: page.next_page_token,
    })
}

/// The rows that are in a state at a moment: one whose time is over need not say so yet.
fn in_state(state: InvitationState, now: Time) -> Condition {
    let is = |state: State| Column::State.eq(state);
    match state {
        InvitationState::Unspecified => Condition::all(),
        InvitationState::Pending => {
            Condition::all().add(is(State::Pending)).add(Column::ExpiresAt.gt(now))
        }
        InvitationState::Accepted => Condition::all().add(is(State::Accepted)),
        InvitationState::Declined => Condition::all().add(is(State::Declined)),
        InvitationState::Revoked => Condition::all().add(is(State::Revoked)),
        InvitationState::Expired => Condition::any()
            .add(is(State::Expired))
            .add(Condition::all().add(is(State::Pending)).add(Column::ExpiresAt.lte(now))),
    }
}
