use api::notification::v1::{ClaimDeliveryRequest, ClaimDeliveryResponse};
use db::Transaction;
use kernel::{EmailAddress, Fields, Time, Uuid, parse_id};
use sea_orm::{ActiveValue::Set, EntityTrait as _, sea_query::OnConflict};
use service::Caller;

use super::WRITE;
use crate::{
    Notification,
    domain::{
        delivery::{CLAIM_LIFETIME, message_id},
        template::{Locale, Template, TemplateKey},
    },
    entity::delivery::{self, ActiveModel, Claim, Column, Entity, State},
    error::Error,
};

/// Finds or creates the delivery of an event and recipient, and claims it for sending.
///
/// Rule: of any number of calls for one event and recipient, one at a time holds the claim, for two
/// minutes. A delivery in a final state is answered without a claim, so that an event that arrives
/// again sends nothing.
/// Permission: the scope `deliveries.write`. Event: none.
pub(crate) async fn claim_delivery(
    notification: &Notification,
    caller: &Caller,
    request: ClaimDeliveryRequest,
) -> Result<ClaimDeliveryResponse, Error> {
    let ClaimDeliveryRequest {
        event_id,
        organisation_id,
        invitation_id,
        recipient,
        template,
        locale,
    } = request;
    let mut fields = Fields::default();
    let event_id = fields.read("event_id", parse_id(&event_id));
    let organisation_id = fields.read("organisation_id", parse_id(&organisation_id));
    let invitation_id = fields.read("invitation_id", parse_id(&invitation_id));
    let recipient = fields.read("recipient", EmailAddress::parse(&recipient));
    let template = fields.read("template", TemplateKey::parse(&template));
    let locale = fields.read("locale", Locale::parse(&locale));
    let (
        Some(event_id),
        Some(organisation_id),
        Some(invitation_id),
        Some(recipient),
        Some(template),
        Some(locale),
    ) = (event_id, organisation_id, invitation_id, recipient, template, locale)
    else {
        return Err(Error::Invalid(fields));
    };
    if !caller.has_scope(WRITE) {
        return Err(Error::ScopeMissing(WRITE));
    }
    let template = Template::find(&template).ok_or(Error::TemplateNotFound)?;
    let now = notification.clock.now();
    let wanted = Wanted { event_id, organisation_id, invitation_id, recipient, template, locale };
    let claim_id = notification.clock.new_id();

    let tx = notification.database.begin().await?;
    insert_unless_there(&tx, &wanted, notification.clock.new_id(), now).await?;
    let claim = Claim {
        id: claim_id,
        now,
        expires_at: now + CLAIM_LIFETIME,
        template: wanted.template.key(),
        locale: wanted.locale.as_str(),
    };
    let recipient = wanted.recipient.as_str();
    let is_claimed = delivery::claim(&*tx, event_id, recipient, claim).await?;
    let row = delivery::find_by_event(&*tx, event_id, recipient).await?;
    let row = row.ok_or(Error::DeliveryNotFound)?;
    tx.commit().await?;

    if !is_claimed && !row.state.is_final() {
        let left = row.claim_expires_at.map_or(CLAIM_LIFETIME, |until| until - now);
        return Err(Error::DeliveryClaimed(left.to_std().unwrap_or_default()));
    }
    let claim_id = if is_claimed { claim_id.to_string() } else { String::new() };
    Ok(ClaimDeliveryResponse { delivery: Some(row.into()), claim_id })
}

struct Wanted {
    event_id: Uuid,
    organisation_id: Uuid,
    invitation_id: Uuid,
    recipient: EmailAddress,
    template: Template,
    locale: Locale,
}

async fn insert_unless_there(
    tx: &Transaction,
    wanted: &Wanted,
    id: Uuid,
    now: Time,
) -> Result<(), db::DbErr> {
    let row = ActiveModel {
        id: Set(id),
        event_id: Set(wanted.event_id),
        recipient: Set(wanted.recipient.to_string()),
        organisation_id: Set(wanted.organisation_id),
        invitation_id: Set(wanted.invitation_id),
        template: Set(wanted.template.key().to_owned()),
        locale: Set(wanted.locale.as_str().to_owned()),
        state: Set(State::Queued),
        attempts: Set(0),
        last_error: Set(String::new()),
        claim_id: Set(None),
        claim_expires_at: Set(None),
        message_id: Set(message_id(id)),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let key = OnConflict::columns([Column::EventId, Column::Recipient]).do_nothing().to_owned();
    Entity::insert(row).on_conflict(key).exec_without_returning(&**tx).await.map(|_| ())
}
