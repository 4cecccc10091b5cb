use api::notification::v1::{ResendDeliveryRequest, ResendDeliveryResponse};
use kernel::{Fields, parse_id};
use service::Caller;

use super::{RESEND, may_know_message_ids, may_read, new_message_id, publish, shown};
use crate::{
    Notification,
    domain::delivery::{MOST_GENERATIONS, Reason},
    entity::{
        attempt,
        delivery::{self, Model, State},
        suppression,
    },
    error::Error,
    rights::may,
};

/// Sends a delivery once more: a new mail, and attempts begin anew.
///
/// Rule: from `failed`, `bounced` and `suppressed`, and from `sent` only if that is meant, for the
/// recipient gets a second mail. What is on its way is left alone: of two resends at once there is one.
/// Not to an address on the suppression list (a reminder: neither to one that has unsubscribed), and
/// 19 times at most.
/// Permission: `deliveries.resend` at its organisation, or the scope of that name; a delivery that the
/// caller may not read answers exactly like one that does not exist.
/// Event: `notification.delivery.queued.v1`, which becomes the mail.
pub(crate) async fn resend_delivery(
    notification: &Notification,
    caller: &Caller,
    request: ResendDeliveryRequest,
) -> Result<ResendDeliveryResponse, Error> {
    let ResendDeliveryRequest { id, force } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    // Whose it is decides who may send it, so it is loaded first.
    let row = delivery::find(notification.database.read(), id).await?;
    let organisation_id = row.ok_or(Error::DeliveryNotFound)?.organisation_id;
    if !may(notification, caller, organisation_id, RESEND).await? {
        let sees_it = may_read(notification, caller, organisation_id).await?;
        let missing = Error::PermissionMissing(RESEND);
        return Err(if sees_it { missing } else { Error::DeliveryNotFound });
    }
    let with_message_id = may_know_message_ids(notification, caller).await?;
    let now = notification.clock.now();

    let tx = notification.database.begin().await?;
    let mut row = delivery::hold(&tx, id).await?.ok_or(Error::DeliveryNotFound)?;
    require_resendable(&row, force)?;
    if suppression::against(&*tx, &row.recipient, &row.template).await?.is_some() {
        return Err(Error::AddressSuppressed);
    }
    // A worker may still be at what has bounced meanwhile: its record finds the claim lost.
    attempt::lose(&tx, &row, now).await?;
    row.claim_id = None;
    row.begin_anew(new_message_id(notification, row.id)?);
    row.turn(State::Queued, Reason::Resent, now);
    delivery::save(&tx, row.clone()).await?;
    publish(&tx, notification, &row).await?;
    tx.commit().await?;

    notification.instruments.delivery(&row);
    Ok(ResendDeliveryResponse { delivery: Some(shown(row, with_message_id)) })
}

fn require_resendable(row: &Model, force: bool) -> Result<(), Error> {
    let may_be_sent = match row.state {
        State::Failed | State::Bounced | State::Suppressed => true,
        State::Sent => force,
        State::Queued | State::Sending => false,
    };
    if !may_be_sent {
        return Err(Error::DeliveryNotResendable(row.state.as_str()));
    }
    if row.cause_payload.is_none() {
        return Err(Error::DeliveryCauseUnknown);
    }
    if row.generation >= MOST_GENERATIONS {
        return Err(Error::DeliveryResentTooOften(MOST_GENERATIONS));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use api::notification::v1::{
        AttemptOutcome, ClaimDeliveryRequest, CreateSuppressionRequest, DeleteSuppressionRequest,
        Delivery, DeliveryState, WithdrawDeliveryRequest, WithdrawalReason,
    };
    use testkit::Bench;

    use super::*;
    use crate::{
        domain::delivery::CLAIM_LIFETIME,
        testing::{Stage, reason, violations},
    };

    testkit::on_both_databases!(
        what_has_failed_is_sent_as_another_mail_and_its_history_stays,
        attempts_begin_anew,
        what_is_sent_takes_force_and_what_is_on_its_way_is_left_alone,
        of_many_resends_at_once_there_is_one,
        nothing_goes_to_an_address_on_the_list_until_it_is_off_it,
        what_is_too_old_or_was_sent_too_often_is_refused,
        whoever_only_reads_sends_nothing_and_strangers_see_nothing,
    );

    async fn resend(stage: &Stage, id: &str, force: bool) -> Result<Delivery, tonic::Status> {
        let mut operator = stage.account("deliveries.resend operations.manage").deliveries();
        let request = ResendDeliveryRequest { id: id.to_owned(), force };
        let answer = operator.resend_delivery(request).await?;
        Ok(answer.into_inner().delivery.unwrap())
    }

    async fn what_has_failed_is_sent_as_another_mail_and_its_history_stays(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        let failed = stage.attempt(&wanted, AttemptOutcome::Failed, "refused").await;
        let queued = resend(&stage, &failed.id, false).await.unwrap();
        assert_eq!((queued.state(), queued.reason.as_str()), (DeliveryState::Queued, "resent"));
        assert_eq!(queued.generation, 2);
        assert_ne!(queued.message_id, failed.message_id);

        // The original event, or any copy of it, sends the new mail, once.
        let sent = stage.attempt(&wanted, AttemptOutcome::Sent, "").await;
        assert_eq!((sent.state(), sent.message_id), (DeliveryState::Sent, queued.message_id));
        assert_eq!(stage.claim(&wanted).await.claim_id, "");
        let attempts = stage.look_at(&failed.id).await.attempts;
        let generations: Vec<_> = attempts.iter().map(|it| (it.number, it.generation)).collect();
        assert_eq!(generations, [(1, 1), (2, 2)]);
        let told = [("failed", "refused"), ("queued", "resent"), ("sent", "")];
        let told: Vec<_> = told.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        assert_eq!(stage.told(&failed.id).await, told);
    }

    async fn attempts_begin_anew(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        let mut id = String::new();
        for _ in 0..8 {
            id = stage.attempt(&wanted, AttemptOutcome::Delayed, "timeout").await.id;
        }
        resend(&stage, &id, false).await.unwrap();
        for _ in 0..7 {
            let delivery = stage.attempt(&wanted, AttemptOutcome::Delayed, "timeout").await;
            assert_eq!(delivery.state(), DeliveryState::Queued);
        }
        let delivery = stage.attempt(&wanted, AttemptOutcome::Delayed, "timeout").await;
        assert_eq!(delivery.state(), DeliveryState::Failed);
    }

    async fn what_is_sent_takes_force_and_what_is_on_its_way_is_left_alone(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        let claim = stage.claim(&wanted).await;
        let id = claim.delivery.clone().unwrap().id;
        for force in [false, true] {
            assert_eq!(reason(resend(&stage, &id, force).await), "DELIVERY_NOT_RESENDABLE");
        }
        stage.pass(CLAIM_LIFETIME);
        stage.attempt(&wanted, AttemptOutcome::Sent, "").await;
        assert_eq!(reason(resend(&stage, &id, false).await), "DELIVERY_NOT_RESENDABLE");
        assert_eq!(resend(&stage, &id, true).await.unwrap().state(), DeliveryState::Queued);
        for force in [false, true] {
            assert_eq!(reason(resend(&stage, &id, force).await), "DELIVERY_NOT_RESENDABLE");
        }
    }

    async fn of_many_resends_at_once_there_is_one(bench: Bench) {
        let stage = Stage::set(bench).await;
        for _ in 0..5 {
            let id = stage.attempt(&stage.wanted(), AttemptOutcome::Failed, "refused").await.id;
            let resends = testkit::race(10, |_| {
                let mut operator = stage.account("deliveries.resend").deliveries();
                let request = ResendDeliveryRequest { id: id.clone(), force: true };
                async move { reason(operator.resend_delivery(request).await) }
            });
            let answers = resends.await;
            assert_eq!(answers.iter().filter(|it| *it == "OK").count(), 1, "{answers:?}");
            assert_eq!(stage.look_at(&id).await.delivery.unwrap().generation, 2);
            assert_eq!(stage.told(&id).await.len(), 2);
        }
    }

    async fn nothing_goes_to_an_address_on_the_list_until_it_is_off_it(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut operator = stage.account("operations.manage").suppressions();
        let email = "ada@example.com".to_owned();
        let create = CreateSuppressionRequest { email: email.clone(), note: String::new() };
        operator.create_suppression(create).await.unwrap();
        let wanted = stage.wanted();
        let suppressed = stage.claim(&wanted).await.delivery.unwrap();
        assert_eq!(reason(resend(&stage, &suppressed.id, true).await), "ADDRESS_SUPPRESSED");
        operator.delete_suppression(DeleteSuppressionRequest { email }).await.unwrap();
        resend(&stage, &suppressed.id, false).await.unwrap();
        assert_ne!(stage.claim(&wanted).await.claim_id, "");

        // What was withdrawn can be asked for again: whether it is to be sent is found out then.
        let wanted = stage.wanted();
        let waiting = stage.attempt(&wanted, AttemptOutcome::Delayed, "timeout").await;
        let withdraw = WithdrawDeliveryRequest {
            event_id: wanted.event_id,
            reason: WithdrawalReason::AccountClosed.into(),
        };
        let mut mailer = stage.account("deliveries.write").deliveries();
        mailer.withdraw_delivery(withdraw).await.unwrap();
        assert_eq!(resend(&stage, &waiting.id, false).await.unwrap().generation, 2);
    }

    async fn what_is_too_old_or_was_sent_too_often_is_refused(bench: Bench) {
        let stage = Stage::set(bench).await;
        let untold = ClaimDeliveryRequest { cause_routing_key: String::new(), ..stage.wanted() };
        let id = stage.attempt(&untold, AttemptOutcome::Failed, "refused").await.id;
        assert_eq!(reason(resend(&stage, &id, false).await), "DELIVERY_CAUSE_UNKNOWN");

        let wanted = stage.wanted();
        let id = stage.attempt(&wanted, AttemptOutcome::Sent, "").await.id;
        for _ in 1..MOST_GENERATIONS {
            resend(&stage, &id, true).await.unwrap();
            stage.attempt(&wanted, AttemptOutcome::Sent, "").await;
        }
        assert_eq!(reason(resend(&stage, &id, true).await), "DELIVERY_RESENT_TOO_OFTEN");
    }

    async fn whoever_only_reads_sends_nothing_and_strangers_see_nothing(bench: Bench) {
        let stage = Stage::set(bench).await;
        let id = stage.attempt(&stage.wanted(), AttemptOutcome::Failed, "refused").await.id;
        let request = ResendDeliveryRequest { id, force: false };
        let ada = stage.person();
        let refused = ada.deliveries().resend_delivery(request.clone()).await;
        assert_eq!(reason(refused), "PERMISSION_MISSING");
        let reader = stage.account("deliveries.read deliveries.write");
        let refused = reader.deliveries().resend_delivery(request.clone()).await;
        assert_eq!(reason(refused), "PERMISSION_MISSING");

        let foreign = stage.organisation_of_others();
        let foreign = ClaimDeliveryRequest { organisation_id: foreign, ..stage.wanted() };
        let id = stage.attempt(&foreign, AttemptOutcome::Failed, "refused").await.id;
        let foreign = ResendDeliveryRequest { id, force: false };
        let nothing = ResendDeliveryRequest { id: stage.organisation_of_others(), force: false };
        for request in [foreign, nothing] {
            let refused = ada.deliveries().resend_delivery(request).await;
            assert_eq!(reason(refused), "DELIVERY_NOT_FOUND");
        }
        let malformed = ResendDeliveryRequest { id: "7".to_owned(), force: false };
        assert_eq!(violations(ada.deliveries().resend_delivery(malformed).await), ["id"]);

        stage.allow("deliveries.resend", stage.organisation);
        let delivery = ada.deliveries().resend_delivery(request).await.unwrap().into_inner();
        assert_eq!(delivery.delivery.unwrap().state(), DeliveryState::Queued);
    }
}
