use api::notification::v1::{ClaimDeliveryRequest, ClaimDeliveryResponse};
use db::Transaction;
use kernel::{EmailAddress, Fields, Time, Uuid, parse_id};
use sea_orm::{ActiveValue::Set, EntityTrait as _, sea_query::OnConflict};
use service::Caller;

use super::WRITE;
use crate::{
    Notification,
    domain::{
        delivery::{CLAIM_LIFETIME, Subject, message_id},
        template::{Locale, Template, TemplateKey},
    },
    entity::delivery::{self, ActiveModel, Claim, Column, Entity, State},
    error::Error,
};

/// Finds or creates the delivery of an event and recipient, and claims it for sending.
///
/// Rule: of any number of calls for one event and recipient, one at a time holds the claim, for one
/// minute. A delivery in a final state is answered without a claim, so that an event that arrives
/// again sends nothing. A mail is about an invitation or about an access request, not both.
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
        access_request_id,
    } = request;
    let mut fields = Fields::default();
    let event_id = fields.read("event_id", parse_id(&event_id));
    let organisation_id = fields.read("organisation_id", parse_id(&organisation_id));
    let subject = Subject::parse(&mut fields, &invitation_id, &access_request_id);
    let recipient = fields.read("recipient", EmailAddress::parse(&recipient));
    let template = fields.read("template", TemplateKey::parse(&template));
    let locale = fields.read("locale", Locale::parse(&locale));
    let (
        Some(event_id),
        Some(organisation_id),
        Some(subject),
        Some(recipient),
        Some(template),
        Some(locale),
    ) = (event_id, organisation_id, subject, recipient, template, locale)
    else {
        return Err(Error::Invalid(fields));
    };
    if !caller.has_scope(WRITE) {
        return Err(Error::ScopeMissing(WRITE));
    }
    let template = Template::find(&template).ok_or(Error::TemplateNotFound)?;
    let now = notification.clock.now();
    let wanted = Wanted { event_id, organisation_id, subject, recipient, template, locale };
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
    subject: Subject,
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
    let (invitation_id, access_request_id) = match wanted.subject {
        Subject::Invitation(id) => (id, None),
        Subject::AccessRequest(id) => (Uuid::nil(), Some(id)),
    };
    let row = ActiveModel {
        id: Set(id),
        event_id: Set(wanted.event_id),
        recipient: Set(wanted.recipient.to_string()),
        organisation_id: Set(wanted.organisation_id),
        invitation_id: Set(invitation_id),
        access_request_id: Set(access_request_id),
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use api::notification::v1::{
        AttemptOutcome, Delivery, DeliveryState, GetDeliveryRequest, ListDeliveriesRequest,
        RecordAttemptRequest,
    };
    use kernel::Duration;
    use testkit::Bench;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::testing::{Stage, reason, violations};

    testkit::on_both_databases!(
        of_two_parallel_claims_one_wins,
        whoever_comes_second_learns_when_to_try_again,
        a_lapsed_claim_is_taken_over_and_its_late_record_is_refused,
        what_is_sent_is_not_claimed_again,
        every_violation_is_named_at_once,
        a_mail_is_about_an_invitation_or_about_an_access_request,
        only_the_scope_claims,
    );

    async fn of_two_parallel_claims_one_wins(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mailer = stage.account("deliveries.write");
        let (mut left, mut right) = (mailer.deliveries(), mailer.deliveries());
        for _ in 0..50 {
            let wanted = stage.wanted();
            let (left, right) =
                tokio::join!(left.claim_delivery(wanted.clone()), right.claim_delivery(wanted));
            let outcomes = HashSet::from([reason(left), reason(right)]);
            assert_eq!(outcomes, HashSet::from(["OK".to_owned(), "DELIVERY_CLAIMED".to_owned()]));
        }
    }

    async fn whoever_comes_second_learns_when_to_try_again(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let wanted = stage.wanted();
        mailer.claim_delivery(wanted.clone()).await.unwrap();
        stage.pass(Duration::seconds(50));
        let status = mailer.claim_delivery(wanted).await.unwrap_err();
        let retry = status.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(std::time::Duration::from_secs(10)));
    }

    async fn a_lapsed_claim_is_taken_over_and_its_late_record_is_refused(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let wanted = stage.wanted();
        let first = mailer.claim_delivery(wanted.clone()).await.unwrap().into_inner();
        stage.pass(CLAIM_LIFETIME);
        let second = mailer.claim_delivery(wanted).await.unwrap().into_inner();
        let (first_delivery, delivery) = (first.delivery.unwrap(), second.delivery.unwrap());
        assert_ne!(second.claim_id, first.claim_id);
        assert_eq!(delivery.id, first_delivery.id);
        assert_eq!(delivery.message_id, first_delivery.message_id);
        assert_eq!((first_delivery.attempts, delivery.attempts), (1, 2));

        let mut late = RecordAttemptRequest {
            delivery_id: delivery.id,
            claim_id: first.claim_id,
            outcome: AttemptOutcome::Failed.into(),
            error: "late".to_owned(),
        };
        assert_eq!(reason(mailer.record_attempt(late.clone()).await), "CLAIM_LOST");
        late.claim_id = second.claim_id;
        late.outcome = AttemptOutcome::Sent.into();
        let recorded = mailer.record_attempt(late).await.unwrap().into_inner();
        assert_eq!(recorded.delivery.unwrap().state(), DeliveryState::Sent);
    }

    async fn what_is_sent_is_not_claimed_again(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let wanted = stage.wanted();
        let claim = mailer.claim_delivery(wanted.clone()).await.unwrap().into_inner();
        let delivery = claim.delivery.unwrap();
        let sent = RecordAttemptRequest {
            delivery_id: delivery.id.clone(),
            claim_id: claim.claim_id,
            outcome: AttemptOutcome::Sent.into(),
            error: String::new(),
        };
        mailer.record_attempt(sent).await.unwrap();
        stage.pass(CLAIM_LIFETIME);
        // The same person, spelled differently.
        let again =
            ClaimDeliveryRequest { recipient: " ADA@Example.com".to_owned(), ..wanted.clone() };
        let again = mailer.claim_delivery(again).await.unwrap().into_inner();
        assert_eq!(again.claim_id, "");
        let again = again.delivery.unwrap();
        assert_eq!((again.id, again.attempts), (delivery.id.clone(), 1));

        let other = ClaimDeliveryRequest { recipient: "eve@example.com".to_owned(), ..wanted };
        let other = mailer.claim_delivery(other).await.unwrap().into_inner();
        assert_ne!(other.delivery.unwrap().id, delivery.id);
    }

    async fn every_violation_is_named_at_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let nothing_right = ClaimDeliveryRequest {
            event_id: "1".to_owned(),
            organisation_id: String::new(),
            invitation_id: "{}".to_owned(),
            recipient: "ada@example.com\r\nBcc: eve@example.com".to_owned(),
            template: "../../etc/passwd".to_owned(),
            locale: "de_AT".to_owned(),
            ..Default::default()
        };
        assert_eq!(
            violations(mailer.claim_delivery(nothing_right).await),
            ["event_id", "organisation_id", "invitation_id", "recipient", "template", "locale"],
        );
        let unknown = ClaimDeliveryRequest { template: "lottery".to_owned(), ..stage.wanted() };
        assert_eq!(reason(mailer.claim_delivery(unknown).await), "TEMPLATE_NOT_FOUND");
    }

    async fn a_mail_is_about_an_invitation_or_about_an_access_request(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let about = |invitation_id: &str, access_request_id: &str| ClaimDeliveryRequest {
            invitation_id: invitation_id.to_owned(),
            access_request_id: access_request_id.to_owned(),
            ..stage.wanted()
        };
        let (id, nil) = ("01890a5d-ac96-774b-bcce-b302099a8057", Uuid::nil().to_string());
        for (invitation_id, access_request_id, wrong) in [
            ("", "", "invitation_id"),
            ("7", "", "invitation_id"),
            (&nil, "", "invitation_id"),
            ("", "7", "access_request_id"),
            ("", &nil, "access_request_id"),
            (id, id, "access_request_id"),
            (id, "7", "access_request_id"),
        ] {
            let answer = mailer.claim_delivery(about(invitation_id, access_request_id)).await;
            assert_eq!(violations(answer), [wrong], "{invitation_id}, {access_request_id}");
        }

        let request = mailer.claim_delivery(about("", id)).await.unwrap().into_inner();
        let invitation = mailer.claim_delivery(about(id, "")).await.unwrap().into_inner();
        let deliveries = [request.delivery.unwrap(), invitation.delivery.unwrap()];
        let told = |it: &Delivery| (it.invitation_id.clone(), it.access_request_id.clone());
        let (nothing, id) = (String::new(), id.to_owned());
        assert_eq!(told(&deliveries[0]), (nothing.clone(), id.clone()));
        assert_eq!(told(&deliveries[1]), (id.clone(), nothing));

        // Whoever reads learns the same; those of the invitation are those of it alone.
        let mut ada = stage.person().deliveries();
        let request = GetDeliveryRequest { id: deliveries[0].id.clone() };
        let answer = ada.get_delivery(request).await.unwrap().into_inner();
        assert_eq!(answer.delivery.as_ref(), Some(&deliveries[0]));
        let mut request = ListDeliveriesRequest {
            organisation_id: stage.organisation.to_string(),
            ..Default::default()
        };
        let all = ada.list_deliveries(request.clone()).await.unwrap().into_inner();
        assert_eq!(all.deliveries, deliveries);
        request.invitation_id = id;
        let one = ada.list_deliveries(request).await.unwrap().into_inner();
        assert_eq!(one.deliveries, deliveries[1..]);
    }

    async fn only_the_scope_claims(bench: Bench) {
        let stage = Stage::set(bench).await;
        for caller in [stage.account("deliveries.read users.read"), stage.person()] {
            let answer = caller.deliveries().claim_delivery(stage.wanted()).await;
            assert_eq!(reason(answer), "SCOPE_MISSING");
        }
    }
}
