use api::notification::v1::{AttemptOutcome, RecordAttemptRequest, RecordAttemptResponse};
use kernel::{Fields, Malformed, parse_id};
use service::Caller;

use super::WRITE;
use crate::{
    Notification,
    domain::delivery::{Outcome, kept_error},
    entity::delivery::{self, State},
    error::Error,
};

/// Records the outcome of a claimed attempt.
///
/// Rule: only the claim that holds the delivery ends its attempt. Recording the same outcome again
/// with the same claim is once; after somebody else has taken the delivery over it is refused.
/// Permission: the scope `deliveries.write`. Event: none.
pub(crate) async fn record_attempt(
    notification: &Notification,
    caller: &Caller,
    request: RecordAttemptRequest,
) -> Result<RecordAttemptResponse, Error> {
    let RecordAttemptRequest { delivery_id, claim_id, outcome, error } = request;
    let mut fields = Fields::default();
    let delivery_id = fields.read("delivery_id", parse_id(&delivery_id));
    let claim_id = fields.read("claim_id", parse_id(&claim_id));
    let outcome = fields.read("outcome", parse_outcome(outcome));
    let (Some(delivery_id), Some(claim_id), Some(outcome)) = (delivery_id, claim_id, outcome)
    else {
        return Err(Error::Invalid(fields));
    };
    let error = match outcome {
        Outcome::Sent => String::new(),
        Outcome::Delayed | Outcome::Failed => kept_error(&error),
    };
    if !caller.has_scope(WRITE) {
        return Err(Error::ScopeMissing(WRITE));
    }
    let now = notification.clock.now();

    let tx = notification.database.begin().await?;
    let is_recorded = delivery::record(&*tx, delivery_id, claim_id, outcome, error, now).await?;
    let row = delivery::find(&*tx, delivery_id).await?.ok_or(Error::DeliveryNotFound)?;
    tx.commit().await?;

    let was_recorded = row.claim_id == Some(claim_id) && row.state == State::after(outcome);
    if !is_recorded && !was_recorded {
        return Err(Error::ClaimLost);
    }
    Ok(RecordAttemptResponse { delivery: Some(row.into()) })
}

fn parse_outcome(number: i32) -> Result<Outcome, Malformed> {
    match AttemptOutcome::try_from(number) {
        Ok(AttemptOutcome::Sent) => Ok(Outcome::Sent),
        Ok(AttemptOutcome::Delayed) => Ok(Outcome::Delayed),
        Ok(AttemptOutcome::Failed) => Ok(Outcome::Failed),
        Ok(AttemptOutcome::Unspecified) | Err(_) => Err(Malformed("sent, delayed or failed")),
    }
}

#[cfg(test)]
mod tests {
    use api::notification::v1::{
        ClaimDeliveryRequest, DeliveryState, delivery_service_client::DeliveryServiceClient,
    };
    use testkit::{Bench, Connection};

    use super::*;
    use crate::testing::{Stage, reason, violations};

    testkit::on_both_databases!(
        a_delayed_mail_is_claimed_again_and_recording_twice_is_once,
        what_is_refused_for_good_stays_so,
        wrong_input_strangers_and_unknown_deliveries_are_refused,
    );

    async fn claim(
        mailer: &mut DeliveryServiceClient<Connection>,
        wanted: &ClaimDeliveryRequest,
    ) -> RecordAttemptRequest {
        let claim = mailer.claim_delivery(wanted.clone()).await.unwrap().into_inner();
        RecordAttemptRequest {
            delivery_id: claim.delivery.unwrap().id,
            claim_id: claim.claim_id,
            outcome: AttemptOutcome::Delayed.into(),
            error: "451 \0 later".to_owned(),
        }
    }

    async fn a_delayed_mail_is_claimed_again_and_recording_twice_is_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let wanted = stage.wanted();
        let delayed = claim(&mut mailer, &wanted).await;
        for _ in 0..2 {
            let answer = mailer.record_attempt(delayed.clone()).await.unwrap().into_inner();
            let delivery = answer.delivery.unwrap();
            assert_eq!(delivery.state(), DeliveryState::Queued);
            assert_eq!(delivery.last_error, "451   later");
        }
        // The same claim cannot change its mind.
        let sent = RecordAttemptRequest { outcome: AttemptOutcome::Sent.into(), ..delayed.clone() };
        assert_eq!(reason(mailer.record_attempt(sent).await), "CLAIM_LOST");

        let again = claim(&mut mailer, &wanted).await;
        assert_eq!(reason(mailer.record_attempt(delayed).await), "CLAIM_LOST");
        let sent = RecordAttemptRequest { outcome: AttemptOutcome::Sent.into(), ..again };
        let delivery = mailer.record_attempt(sent).await.unwrap().into_inner().delivery.unwrap();
        assert_eq!((delivery.attempts, delivery.last_error.as_str()), (2, ""));
    }

    async fn what_is_refused_for_good_stays_so(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let wanted = stage.wanted();
        let failed = RecordAttemptRequest {
            outcome: AttemptOutcome::Failed.into(),
            ..claim(&mut mailer, &wanted).await
        };
        mailer.record_attempt(failed).await.unwrap();
        let again = mailer.claim_delivery(wanted).await.unwrap().into_inner();
        assert_eq!(again.claim_id, "");
        assert_eq!(again.delivery.unwrap().state(), DeliveryState::Failed);
    }

    async fn wrong_input_strangers_and_unknown_deliveries_are_refused(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let answer = mailer.record_attempt(RecordAttemptRequest::default()).await;
        assert_eq!(violations(answer), ["delivery_id", "claim_id", "outcome"]);
        let claimed = claim(&mut mailer, &stage.wanted()).await;
        let stranger =
            stage.account("deliveries.read").deliveries().record_attempt(claimed.clone()).await;
        assert_eq!(reason(stranger), "SCOPE_MISSING");
        let unknown = RecordAttemptRequest { delivery_id: claimed.claim_id.clone(), ..claimed };
        assert_eq!(reason(mailer.record_attempt(unknown).await), "DELIVERY_NOT_FOUND");
    }
}
