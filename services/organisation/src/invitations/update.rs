use api::organisation::v1::{
    Invitation, InvitationUpdated, UpdateInvitationRequest, UpdateInvitationResponse,
};
use kernel::{Fields, Malformed, Time, parse_id};
use sea_orm::{IntoActiveModel as _, entity::prelude::*};

use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::{
        invitation::{State as Stands, parse_life},
        permission::Permission,
    },
    entity::{
        invitation::{self, Column, State},
        membership::{self, read_moment},
        organisation::etag,
        person, role,
    },
    error::Error,
    offer::Offer,
};

/// Changes what a pending invitation offers and says: the fields that the mask names (AIP-134). A
/// non-empty etag must be the current one (AIP-154). The link stays as it is, and no mail goes out.
///
/// Needs `invitations.update` at its organisation, and every permission of the roles offered before
/// and after: whoever changes an invitation takes the inviter's place. Event:
/// `organisation.invitation.updated.v1`.
pub(crate) async fn update(
    service: &Organisations,
    call: &Call,
    request: UpdateInvitationRequest,
) -> Result<UpdateInvitationResponse, Error> {
    let UpdateInvitationRequest { invitation, update_mask, request_id: _ } = request;
    let wanted = invitation.unwrap_or_default();
    let mask = update_mask.unwrap_or_default().paths;
    let mut fields = Fields::default();
    let id = fields.read("invitation.id", parse_id(&wanted.id));
    read_mask(&mut fields, &mask, &wanted, service.clock.now());
    let expires_at = read_expiry(&mut fields, &mask, &wanted, service.clock.now());
    let Some(id) = id else { return Err(Error::Invalid(fields)) };

    let change = service.begin(call).await?;
    let now = change.now;
    let seen = invitation::held_by(&change, id, call, now).await?;
    let (found, rights) = seen.ok_or(Error::InvitationNotFound)?;
    rights.require(Permission::InvitationsUpdate)?;
    let mut offer = Offer::of(&found);
    for path in &mask {
        offer.take(path, &wanted, now, &mut Fields::default(), "");
    }
    if mask.iter().any(|path| path.starts_with("membership_") || path == "callback_url") {
        offer.check(&mut fields, "invitation.");
    }
    let organisation = found.organisation_id;
    let named = offer.look_up(&*change, organisation, &mut fields, "invitation.").await?;
    if !fields.violations().is_empty() {
        return Err(Error::Invalid(fields));
    }
    let before = role::find_again(&*change, role::given_at(organisation), &found.roles).await?;
    rights.require_to_grant(&before.ok_or(Error::RoleNotFound)?, call.giver())?;
    rights.require_to_grant(&named.roles, call.giver())?;
    offer.require_registered(&named)?;
    if found.state_at(now) != Stands::Pending {
        return Err(Error::NotPending(found.state_at(now)));
    }
    if !wanted.etag.is_empty() && wanted.etag != etag(found.version) {
        return Err(Error::EtagMismatch);
    }
    let whose = (found.invitee_id, organisation);
    let held = membership::lasting_roles(&*change, &[whose], now).await?;
    if named.roles.are_among(held.get(&whose)) {
        return Err(Error::AlreadyMember);
    }
    let changed = invitation::Model {
        roles: named.roles.to_string(),
        expires_at: expires_at.unwrap_or(found.expires_at),
        remind_at: expires_at.map_or(found.remind_at, |at| service.remind_at(now, at)),
        inviter_id: call.subject,
        inviter_kind: call.giver().into(),
        version: found.version + 1,
        updated_at: now,
        ..with(found.clone(), offer)
    };
    write(&change, &found, &changed).await?;
    person::remember_caller(&*change, call).await?;
    let event = InvitationUpdated {
        invitation_id: id.to_string(),
        organisation_id: organisation.to_string(),
    };
    change.announce("organisation.invitation.updated.v1", id, &event).await?;
    let record = Record::of("invitation", id, organisation).invitation(id);
    let record = record.detail(format!("changed={}", mask.join(" ")));
    change.record(record.detail(format!("roles={}", changed.roles))).await?;
    change.commit(UpdateInvitationResponse { invitation: Some(changed.seen_at(now)) }).await
}

/// Reads what the mask names; the values are taken over once the invitation is known.
fn read_mask(fields: &mut Fields, mask: &[String], wanted: &Invitation, now: Time) {
    let mut syntax = Offer::default();
    for path in mask {
        if path == "email" {
            let expected = "cannot be changed: revoke the invitation and invite the other address";
            fields.reject("invitation.email", expected);
        } else if path != "expires_at" && !syntax.take(path, wanted, now, fields, "invitation.") {
            fields.reject("update_mask", Malformed(MASK));
        }
    }
    if mask.is_empty() {
        fields.reject("update_mask", Malformed(MASK));
    }
}

const MASK: &str = "fields that UpdateInvitation can change";

/// Until when the link is to work; nothing if that stays.
fn read_expiry(
    fields: &mut Fields,
    mask: &[String],
    wanted: &Invitation,
    now: Time,
) -> Option<Time> {
    if !mask.iter().any(|path| path == "expires_at") {
        return None;
    }
    let expected = Malformed("a moment one hour to 90 days ahead");
    let moment = read_moment(fields, "invitation.expires_at", wanted.expires_at, now)?;
    let moment = moment.filter(|moment| parse_life(*moment - now).is_ok()).ok_or(expected);
    fields.read("invitation.expires_at", moment)
}

fn with(row: invitation::Model, offer: Offer) -> invitation::Model {
    // A name that was put together from the two is put together again.
    let derived = row.display_name == Offer::of(&row).full_name();
    let display_name = if derived { offer.full_name() } else { row.display_name };
    invitation::Model {
        search_name: invitation::search_name(&display_name, &row.email),
        display_name,
        first_name: offer.first_name,
        last_name: offer.last_name,
        institution: offer.institution,
        application_id: offer.application,
        locale: offer.locale,
        personal_message: offer.personal_message,
        membership_valid_from: offer.span.valid_from,
        membership_expires_at: offer.span.expires_at,
        source_id: offer.source_id,
        callback_url: offer.callback.map(String::from).unwrap_or_default(),
        ..row
    }
}

/// Writes it, if nobody was faster.
async fn write(
    change: &Change<'_>,
    found: &invitation::Model,
    changed: &invitation::Model,
) -> Result<(), Error> {
    let written = invitation::Entity::update_many()
        .set(changed.clone().into_active_model().reset_all())
        .filter(Column::Id.eq(found.id))
        .filter(Column::Version.eq(found.version))
        .filter(Column::State.eq(State::Pending))
        .exec(&**change)
        .await?;
    if written.rows_affected == 1 { Ok(()) } else { Err(Error::EtagMismatch) }
}

#[cfg(test)]
mod tests;
