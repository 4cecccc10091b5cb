use api::notification::v1::{WithdrawDeliveryRequest, WithdrawDeliveryResponse, WithdrawalReason};
use kernel::{Fields, Malformed, parse_id};
use service::Caller;

use super::{WRITE, publish};
use crate::{
    Notification,
    domain::delivery::Reason,
    entity::{
        attempt,
        delivery::{self, State},
    },
    error::Error,
};

/// Nothing is to be sent any more for an event: what still waits for it is suppressed, so that nobody
/// waits for a mail that never comes.
///
/// Rule: what is in a final state stays so, and an event without a delivery is fine. What another worker
/// holds at this moment is to be asked for again.
/// Permission: the scope `deliveries.write`. Event: `notification.delivery.suppressed.v1`.
pub(crate) async fn withdraw_delivery(
    notification: &Notification,
    caller: &Caller,
    request: WithdrawDeliveryRequest,
) -> Result<WithdrawDeliveryResponse, Error> {
    let WithdrawDeliveryRequest { event_id, reason } = request;
    let mut fields = Fields::default();
    let event_id = fields.read("event_id", parse_id(&event_id));
    let reason = fields.read("reason", parse_reason(reason));
    let (Some(event_id), Some(reason)) = (event_id, reason) else {
        return Err(Error::Invalid(fields));
    };
    if !caller.has_scope(WRITE) {
        return Err(Error::ScopeMissing(WRITE));
    }
    let now = notification.clock.now();

    let tx = notification.database.begin().await?;
    let mut rows = delivery::hold_waiting(&tx, event_id).await?;
    if let Some(left) = rows.iter().find_map(|row| row.held_for(now)) {
        return Err(Error::DeliveryClaimed(left.to_std().unwrap_or_default()));
    }
    for row in &mut rows {
        if row.state == State::Sending {
            attempt::lose(&tx, row, now).await?;
        }
        row.turn(State::Suppressed, reason, now);
        delivery::save(&tx, row.clone()).await?;
        publish(&tx, notification, row).await?;
    }
    tx.commit().await?;

    rows.iter().for_each(|row| notification.instruments.delivery(row));
    Ok(WithdrawDeliveryResponse {})
}

fn parse_reason(number: i32) -> Result<Reason, Malformed> {
    match WithdrawalReason::try_from(number) {
        Ok(WithdrawalReason::Superseded) => Ok(Reason::Superseded),
        Ok(WithdrawalReason::AccountClosed) => Ok(Reason::AccountClosed),
        Ok(WithdrawalReason::RecipientChanged) => Ok(Reason::RecipientChanged),
        Ok(WithdrawalReason::Unspecified) | Err(_) => Err(Malformed("a reason to withdraw")),
    }
}

#[cfg(test)]
mod tests {
    use api::notification::v1::{AttemptOutcome, DeliveryState};
    use testkit::Bench;

    use super::*;
    use crate::{
        domain::delivery::CLAIM_LIFETIME,
        testing::{Stage, reason, violations},
    };

    testkit::on_both_databases!(
        what_waits_is_suppressed_and_told_and_what_is_over_stays,
        what_somebody_works_on_is_asked_for_again,
        wrong_input_and_strangers_are_refused,
    );

    fn request(event_id: &str) -> WithdrawDeliveryRequest {
        let reason = WithdrawalReason::Superseded.into();
        WithdrawDeliveryRequest { event_id: event_id.to_owned(), reason }
    }

    async fn what_waits_is_suppressed_and_told_and_what_is_over_stays(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let (waits, over, nothing) = (stage.wanted(), stage.wanted(), stage.wanted());
        let waiting = stage.attempt(&waits, AttemptOutcome::Delayed, "timeout").await;
        let sent = stage.attempt(&over, AttemptOutcome::Sent, "").await;
        for wanted in [&waits, &waits, &over, &nothing] {
            mailer.withdraw_delivery(request(&wanted.event_id)).await.unwrap();
        }
        let told = [("suppressed".to_owned(), "superseded".to_owned())];
        assert_eq!(stage.told(&waiting.id).await, told);
        assert_eq!(stage.claim(&waits).await.claim_id, "");
        let sent = stage.look_at(&sent.id).await.delivery.unwrap();
        assert_eq!(sent.state(), DeliveryState::Sent);
    }

    async fn what_somebody_works_on_is_asked_for_again(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let wanted = stage.wanted();
        let id = stage.claim(&wanted).await.delivery.unwrap().id;
        let request = request(&wanted.event_id);
        let refused = mailer.withdraw_delivery(request.clone()).await;
        assert_eq!(reason(refused), "DELIVERY_CLAIMED");
        stage.pass(CLAIM_LIFETIME);
        mailer.withdraw_delivery(request).await.unwrap();
        let found = stage.look_at(&id).await;
        assert_eq!(found.delivery.unwrap().state(), DeliveryState::Suppressed);
        assert_eq!(found.attempts[0].outcome(), AttemptOutcome::Lost);
    }

    async fn wrong_input_and_strangers_are_refused(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let answer = mailer.withdraw_delivery(WithdrawDeliveryRequest::default()).await;
        assert_eq!(violations(answer), ["event_id", "reason"]);
        for stranger in [stage.account("deliveries.read deliveries.resend"), stage.person()] {
            let answer =
                stranger.deliveries().withdraw_delivery(request(&stage.wanted().event_id)).await;
            assert_eq!(reason(answer), "SCOPE_MISSING");
        }
    }
}
