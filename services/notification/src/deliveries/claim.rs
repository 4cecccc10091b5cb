use api::notification::v1::{ClaimDeliveryRequest, ClaimDeliveryResponse};
use db::Transaction;
use kernel::{EmailAddress, Fields, Malformed, Sealed, Time, Uuid, parse_id};
use prost_types::Timestamp;
use sea_orm::{ActiveValue::Set, EntityTrait as _, sea_query::OnConflict};
use service::Caller;

use super::{WRITE, new_message_id, publish, shown};
use crate::{
    Notification,
    domain::{
        delivery::{CLAIM_LIFETIME, CRASH_LOOP, Cause, Reason, Subject},
        template::{Locale, Template, TemplateKey},
    },
    entity::{
        attempt,
        delivery::{self, ActiveModel, Column, Entity, Model, State},
        suppression,
    },
    error::Error,
};

/// Finds or creates the delivery of an event and recipient, and claims it for sending.
///
/// Rule: of any number of calls for one event and recipient, one at a time holds the claim, for one
/// minute after it was taken or extended. A delivery in a final state is answered without a claim, so
/// that an event that arrives again sends nothing; only what was given up begins anew when an operator
/// has replayed the event, and what was taken for lost goes on when it turns up.
/// An address on the suppression list is sent nothing, or, if it has unsubscribed, no reminder; each
/// reminder that is sent comes with a link that does so. What made 20 workers in a row crash is given
/// up. A mail is about an invitation or about an access request, not both.
/// Permission: the scope `deliveries.write`. Event: `notification.delivery.suppressed.v1`,
/// `….failed.v1`, when the call leads to such a state.
pub(crate) async fn claim_delivery(
    notification: &Notification,
    caller: &Caller,
    request: ClaimDeliveryRequest,
) -> Result<ClaimDeliveryResponse, Error> {
    let replayed = request.replayed;
    let wanted = Wanted::parse(request)?;
    if !caller.has_scope(WRITE) {
        return Err(Error::ScopeMissing(WRITE));
    }
    let template = Template::find(&wanted.template).ok_or(Error::TemplateNotFound)?;
    let now = notification.clock.now();

    let tx = notification.database.begin().await?;
    let id = notification.clock.new_id();
    let message_id = new_message_id(notification, id)?;
    insert_unless_there(&tx, &wanted, template, (id, message_id), now).await?;
    let row = delivery::hold_by_event(&tx, wanted.event_id, wanted.recipient.as_str()).await?;
    let mut row = row.ok_or(Error::DeliveryNotFound)?;
    if let Some(left) = row.held_for(now)
        && !fault::is_off("claim")
    {
        return Err(Error::DeliveryClaimed(left.to_std().unwrap_or_default()));
    }
    if row.state.is_final() && !fault::is_off("record") {
        let begins_anew = replayed && row.is_given_up();
        // A message that was taken for gone has turned up.
        if !begins_anew && !row.is_lost() {
            tx.commit().await?;
            let delivery = Some(shown(row, true));
            return Ok(ClaimDeliveryResponse { delivery, ..Default::default() });
        }
        if begins_anew {
            row.begin_anew(new_message_id(notification, row.id)?);
        }
    }
    let claim_id = notification.clock.new_id();
    take(&tx, &mut row, template, claim_id, now).await?;
    if row.state == State::Sending {
        template.key().clone_into(&mut row.template);
        wanted.locale.as_str().clone_into(&mut row.locale);
        complete(&mut row, &wanted);
        attempt::begin(&tx, &row, now).await?;
    }
    delivery::save(&tx, row.clone()).await?;
    publish(&tx, notification, &row).await?;
    fault::point("before-claim-commit");
    tx.commit().await?;

    let is_claimed = row.state == State::Sending;
    if !is_claimed {
        notification.instruments.delivery(&row);
    }
    let claim_id = if is_claimed { claim_id.to_string() } else { String::new() };
    let is_reminder = is_claimed && Template::is_reminder(template.key());
    let unsubscribe_url =
        if is_reminder { unsubscribe_url(notification, &row) } else { String::new() };
    Ok(ClaimDeliveryResponse { delivery: Some(shown(row, true)), claim_id, unsubscribe_url })
}

/// Where whoever gets a reminder stops them all. The token names the delivery, not the address: nothing
/// about a person stands in an address that proxies write down.
fn unsubscribe_url(notification: &Notification, row: &Model) -> String {
    let sealed = Sealed { id: row.id, generation: row.generation };
    let token = notification.unsubscribe_key.seal(sealed);
    format!("{}/unsubscribe/{token}", notification.public_url)
}

/// Claims a delivery that nobody holds, or comes to the end of it.
async fn take(
    tx: &Transaction,
    row: &mut Model,
    template: Template,
    claim_id: Uuid,
    now: Time,
) -> Result<(), db::DbErr> {
    if row.state == State::Sending {
        // Its worker is gone, or cannot say what became of it.
        attempt::lose(tx, row, now).await?;
        row.losses += 1;
    }
    if row.losses >= CRASH_LOOP {
        row.turn(State::Failed, Reason::CrashLoop, now);
    } else if let Some(why) = suppression::against(&**tx, &row.recipient, template.key()).await? {
        row.turn(State::Suppressed, why.word(), now);
    } else {
        row.turn(State::Sending, Reason::Nothing, now);
        row.claim_id = Some(claim_id);
        row.claim_expires_at = Some(now + CLAIM_LIFETIME);
        row.attempts += 1;
    }
    Ok(())
}

/// What the version before has not kept, of a delivery that it began.
fn complete(row: &mut Model, wanted: &Wanted) {
    if let (None, Some(cause)) = (&row.cause_payload, &wanted.cause) {
        row.cause_key.clone_from(&cause.routing_key);
        row.cause_payload = Some(cause.payload.clone());
        row.event_at = wanted.event_at;
        row.issue = wanted.issue;
    }
}

struct Wanted {
    event_id: Uuid,
    organisation_id: Uuid,
    subject: Subject,
    recipient: EmailAddress,
    template: TemplateKey,
    locale: Locale,
    issue: i32,
    event_at: Option<Time>,
    cause: Option<Cause>,
}

impl Wanted {
    fn parse(request: ClaimDeliveryRequest) -> Result<Self, Error> {
        let ClaimDeliveryRequest {
            event_id,
            organisation_id,
            invitation_id,
            recipient,
            template,
            locale,
            access_request_id,
            issue,
            event_time,
            cause_routing_key,
            cause_payload,
            replayed: _,
        } = request;
        let mut fields = Fields::default();
        let event_id = fields.read("event_id", parse_id(&event_id));
        let organisation_id = fields.read("organisation_id", parse_id(&organisation_id));
        let subject = Subject::parse(&mut fields, &invitation_id, &access_request_id);
        let recipient = fields.read("recipient", EmailAddress::parse(&recipient));
        let template = fields.read("template", TemplateKey::parse(&template));
        let locale = fields.read("locale", Locale::parse(&locale));
        let issue = if issue >= 0 { Ok(issue) } else { Err(Malformed("an issue, or 0 for none")) };
        let issue = fields.read("issue", issue);
        let event_at = fields.read("event_time", parse_moment(event_time));
        let cause = Cause::parse(&mut fields, cause_routing_key, cause_payload);
        let ids = event_id.zip(organisation_id).zip(subject);
        let mail = recipient.zip(template).zip(locale);
        let origin = issue.zip(event_at).zip(cause);
        let (
            Some(((event_id, organisation_id), subject)),
            Some(((recipient, template), locale)),
            Some(((issue, event_at), cause)),
        ) = (ids, mail, origin)
        else {
            return Err(Error::Invalid(fields));
        };
        Ok(Self {
            event_id,
            organisation_id,
            subject,
            recipient,
            template,
            locale,
            issue,
            event_at,
            cause,
        })
    }
}

fn parse_moment(moment: Option<Timestamp>) -> Result<Option<Time>, Malformed> {
    let parse = |at: Timestamp| api::time(&at).ok_or(Malformed("a moment"));
    moment.map(parse).transpose()
}

async fn insert_unless_there(
    tx: &Transaction,
    wanted: &Wanted,
    template: Template,
    (id, message_id): (Uuid, String),
    now: Time,
) -> Result<(), db::DbErr> {
    let (invitation_id, access_request_id) = match wanted.subject {
        Subject::Invitation(id) => (id, None),
        Subject::AccessRequest(id) => (Uuid::nil(), Some(id)),
    };
    let (cause_key, cause_payload) = wanted
        .cause
        .clone()
        .map_or_else(Default::default, |cause| (cause.routing_key, Some(cause.payload)));
    let row = ActiveModel {
        id: Set(id),
        event_id: Set(wanted.event_id),
        recipient: Set(wanted.recipient.to_string()),
        organisation_id: Set(wanted.organisation_id),
        invitation_id: Set(invitation_id),
        access_request_id: Set(access_request_id),
        template: Set(template.key().to_owned()),
        locale: Set(wanted.locale.as_str().to_owned()),
        state: Set(State::Queued),
        attempts: Set(0),
        last_error: Set(String::new()),
        claim_id: Set(None),
        claim_expires_at: Set(None),
        message_id: Set(message_id),
        created_at: Set(now),
        updated_at: Set(now),
        reason: Set(String::new()),
        generation: Set(1),
        issue: Set(wanted.issue),
        event_at: Set(wanted.event_at),
        cause_key: Set(cause_key),
        cause_payload: Set(cause_payload),
        delays: Set(0),
        losses: Set(0),
        overdue_at: Set(None),
        version: Set(0),
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
        of_many_claims_on_a_delivery_that_waits_one_wins,
        whoever_comes_second_learns_when_to_try_again,
        a_lapsed_claim_is_taken_over_and_its_late_record_is_refused,
        what_is_sent_is_not_claimed_again,
        every_violation_is_named_at_once,
        a_mail_is_about_an_invitation_or_about_an_access_request,
        only_the_scope_claims,
        an_attempt_whose_worker_crashed_is_lost_and_known_for_it,
        what_makes_every_worker_crash_is_given_up_and_told_once,
        a_record_ends_a_row_of_crashes,
        what_was_given_up_begins_anew_only_when_it_is_replayed,
        nothing_is_sent_to_an_address_on_the_suppression_list,
        what_asked_for_a_mail_is_kept_in_bounds,
        what_the_version_before_has_not_kept_is_learnt_at_the_next_claim,
    );

    async fn what_the_version_before_has_not_kept_is_learnt_at_the_next_claim(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        let before = ClaimDeliveryRequest {
            issue: 0,
            event_time: None,
            cause_routing_key: String::new(),
            cause_payload: Vec::new(),
            ..wanted.clone()
        };
        stage.attempt(&before, AttemptOutcome::Delayed, "timeout").await;
        let sent = stage.attempt(&wanted, AttemptOutcome::Sent, "").await;
        assert_eq!(sent.issue, 1);
        let mut mailer = stage.account("deliveries.write").deliveries();
        let request = api::notification::v1::GetDeliveryCauseRequest { delivery_id: sent.id };
        let cause = mailer.get_delivery_cause(request).await.unwrap().into_inner();
        assert_eq!((cause.payload, cause.event_time), (wanted.cause_payload, wanted.event_time));
    }

    async fn an_attempt_whose_worker_crashed_is_lost_and_known_for_it(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        let id = stage.claim(&wanted).await.delivery.unwrap().id;
        stage.pass(CLAIM_LIFETIME);
        stage.attempt(&wanted, AttemptOutcome::Delayed, "unreachable").await;
        stage.claim(&wanted).await;
        let attempts = stage.look_at(&id).await.attempts;
        let told: Vec<_> =
            attempts.iter().map(|it| (it.number, it.outcome(), it.reason.as_str())).collect();
        let expected = [
            (1, AttemptOutcome::Lost, ""),
            (2, AttemptOutcome::Delayed, "unreachable"),
            (3, AttemptOutcome::Unspecified, ""),
        ];
        assert_eq!(told, expected);
        let seconds = |at: Option<prost_types::Timestamp>| at.map(|at| at.seconds);
        assert_eq!(seconds(attempts[0].ended_at), seconds(attempts[0].begun_at).map(|at| at + 60));
        assert_eq!(attempts[2].ended_at, None);
    }

    async fn what_makes_every_worker_crash_is_given_up_and_told_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        let mut claims = 0;
        let given_up = loop {
            let claim = stage.claim(&wanted).await;
            if claim.claim_id.is_empty() {
                break claim.delivery.unwrap();
            }
            claims += 1;
            assert!(claims <= CRASH_LOOP, "it goes on for ever");
            stage.pass(CLAIM_LIFETIME);
        };
        assert_eq!(claims, CRASH_LOOP);
        assert_eq!(
            (given_up.state(), given_up.reason.as_str()),
            (DeliveryState::Failed, "crash_loop")
        );
        assert_eq!(stage.claim(&wanted).await.claim_id, "");
        let told = [("failed".to_owned(), "crash_loop".to_owned())];
        assert_eq!(stage.told(&given_up.id).await, told);
        let attempts = stage.look_at(&given_up.id).await.attempts;
        assert!(attempts.iter().all(|it| it.outcome() == AttemptOutcome::Lost));
    }

    async fn a_record_ends_a_row_of_crashes(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        for _ in 0..2 {
            for _ in 1..CRASH_LOOP {
                assert_ne!(stage.claim(&wanted).await.claim_id, "");
                stage.pass(CLAIM_LIFETIME);
            }
            let delivery = stage.attempt(&wanted, AttemptOutcome::Delayed, "timeout").await;
            assert_eq!(delivery.state(), DeliveryState::Queued);
        }
    }

    async fn what_was_given_up_begins_anew_only_when_it_is_replayed(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        for _ in 0..8 {
            stage.attempt(&wanted, AttemptOutcome::Delayed, "unreachable").await;
        }
        let given_up = stage.claim(&wanted).await;
        assert_eq!(given_up.claim_id, "");
        let given_up = given_up.delivery.unwrap();
        assert_eq!(
            (given_up.state(), given_up.reason.as_str()),
            (DeliveryState::Failed, "exhausted")
        );

        let replayed = ClaimDeliveryRequest { replayed: true, ..wanted.clone() };
        let again = stage.attempt(&replayed, AttemptOutcome::Delayed, "unreachable").await;
        assert_eq!((again.state(), again.generation), (DeliveryState::Queued, 2));
        assert_ne!(again.message_id, given_up.message_id);
        // The other copies of the event, replayed or not, go on with it as with any other.
        let sent = stage.attempt(&wanted, AttemptOutcome::Sent, "").await;
        assert_eq!(sent.message_id, again.message_id);
        assert_eq!(stage.claim(&replayed).await.claim_id, "");

        // Whom a mail server has refused is no better for it.
        let refused = ClaimDeliveryRequest { replayed: true, ..stage.wanted() };
        stage.attempt(&refused, AttemptOutcome::Failed, "refused").await;
        assert_eq!(stage.claim(&refused).await.claim_id, "");
    }

    async fn nothing_is_sent_to_an_address_on_the_suppression_list(bench: Bench) {
        let stage = Stage::set(bench).await;
        let request = api::notification::v1::CreateSuppressionRequest {
            email: "ADA@example.com".to_owned(),
            note: String::new(),
        };
        let mut operator = stage.account("operations.manage").suppressions();
        operator.create_suppression(request).await.unwrap();
        let wanted = stage.wanted();
        for _ in 0..2 {
            let claim = stage.claim(&wanted).await;
            assert_eq!(claim.claim_id, "");
            let delivery = claim.delivery.unwrap();
            assert_eq!((delivery.state(), delivery.attempts), (DeliveryState::Suppressed, 0));
            let told = [("suppressed".to_owned(), "manual".to_owned())];
            assert_eq!(stage.told(&delivery.id).await, told);
        }
        let other = ClaimDeliveryRequest { recipient: "eve@example.com".to_owned(), ..wanted };
        assert_ne!(stage.claim(&other).await.claim_id, "");
    }

    async fn what_asked_for_a_mail_is_kept_in_bounds(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let whole = ClaimDeliveryRequest {
            cause_routing_key: "x".repeat(255),
            cause_payload: vec![0; 8_192],
            ..stage.wanted()
        };
        let longer = ClaimDeliveryRequest { cause_routing_key: "x".repeat(256), ..whole.clone() };
        assert_eq!(violations(mailer.claim_delivery(longer).await), ["cause_routing_key"]);
        let larger = ClaimDeliveryRequest { cause_payload: vec![0; 8_193], ..whole.clone() };
        assert_eq!(violations(mailer.claim_delivery(larger).await), ["cause_payload"]);
        mailer.claim_delivery(whole).await.unwrap();
        let wrong = ClaimDeliveryRequest {
            issue: -1,
            event_time: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
            ..stage.wanted()
        };
        assert_eq!(violations(mailer.claim_delivery(wrong).await), ["issue", "event_time"]);
    }

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

    async fn of_many_claims_on_a_delivery_that_waits_one_wins(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        for _ in 0..5 {
            let id = stage.attempt(&wanted, AttemptOutcome::Delayed, "timeout").await.id;
            let before = stage.look_at(&id).await.attempts.len();
            let claims = testkit::race(10, |_| {
                let mut mailer = stage.account("deliveries.write").deliveries();
                let wanted = wanted.clone();
                async move { reason(mailer.claim_delivery(wanted).await) }
            });
            let answers = claims.await;
            assert_eq!(answers.iter().filter(|it| *it == "OK").count(), 1, "{answers:?}");
            assert_eq!(stage.look_at(&id).await.attempts.len(), before + 1);
            stage.pass(CLAIM_LIFETIME);
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
            ..Default::default()
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
            ..Default::default()
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
        let deliveries = [request, invitation]
            .map(|it| Delivery { message_id: String::new(), ..it.delivery.unwrap() });
        let told = |it: &Delivery| (it.invitation_id.clone(), it.access_request_id.clone());
        let (nothing, id) = (String::new(), id.to_owned());
        assert_eq!(told(&deliveries[0]), (nothing.clone(), id.clone()));
        assert_eq!(told(&deliveries[1]), (id.clone(), nothing));

        // Whoever reads learns the same, but for the Message-ID; those of the invitation are those of
        // it alone.
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
