use api::notification::v1::{AttemptOutcome, RecordAttemptRequest, RecordAttemptResponse};
use kernel::{Duration, Fields, Malformed, Time, parse_id};
use service::Caller;

use super::{WRITE, publish, shown};
use crate::{
    Notification,
    domain::delivery::{Outcome, QUEUE_GRACE, Reason, Reply, Subject, words_without},
    entity::{
        attempt,
        delivery::{self, Model, State},
    },
    error::Error,
};

/// Records the outcome of a claimed attempt.
///
/// Rule: only the claim that holds the delivery ends its attempt. Recording the same outcome again
/// with the same claim is once; after somebody else has taken the delivery over it is refused. A
/// delivery is delayed as often as there are steps to wait for the next attempt; the next time it has
/// failed. What has bounced meanwhile stays so.
/// Permission: the scope `deliveries.write`. Event: `notification.delivery.sent.v1`, `….failed.v1`.
pub(crate) async fn record_attempt(
    notification: &Notification,
    caller: &Caller,
    request: RecordAttemptRequest,
) -> Result<RecordAttemptResponse, Error> {
    let RecordAttemptRequest {
        delivery_id,
        claim_id,
        outcome,
        error,
        reason,
        reply_code,
        enhanced_status,
    } = request;
    let mut fields = Fields::default();
    let delivery_id = fields.read("delivery_id", parse_id(&delivery_id));
    let claim_id = fields.read("claim_id", parse_id(&claim_id));
    let outcome = fields.read("outcome", parse_outcome(outcome));
    let reply = Reply::parse(&mut fields, reply_code, &enhanced_status, &error);
    let (Some(delivery_id), Some(claim_id), Some(outcome), Some(reply)) =
        (delivery_id, claim_id, outcome, reply)
    else {
        return Err(Error::Invalid(fields));
    };
    let (reason, reply) = match outcome {
        Outcome::Sent => (Reason::Nothing, Reply { words: String::new(), ..reply }),
        Outcome::Delayed | Outcome::Failed => (Reason::of_attempt(&reason), reply),
    };
    if !caller.has_scope(WRITE) {
        return Err(Error::ScopeMissing(WRITE));
    }
    let now = notification.clock.now();

    let tx = notification.database.begin().await?;
    let mut row = delivery::hold(&tx, delivery_id).await?.ok_or(Error::DeliveryNotFound)?;
    let words = words_without(&row.message_id, &reply.words);
    let reply = Reply { words, ..reply };
    let known = attempt::outcome_of_last(&tx, &row).await?;
    if row.claim_id != Some(claim_id) || known.is_some_and(|known| known != outcome.into()) {
        return Err(Error::ClaimLost);
    }
    // Otherwise it was recorded before, or has bounced before it could be.
    let is_first = known.is_none() && row.state == State::Sending;
    if known.is_none() {
        attempt::end(&tx, &row, outcome.into(), (reason, &reply), now).await?;
    }
    if is_first {
        turn(notification, &mut row, outcome, reason, now);
        row.last_error = reply.words;
        delivery::save(&tx, row.clone()).await?;
        if row.state.is_final() {
            publish(&tx, notification, &row).await?;
        }
    }
    tx.commit().await?;

    if is_first && row.state.is_final() {
        measure(notification, &row, now);
    }
    Ok(RecordAttemptResponse { delivery: Some(shown(row, true)) })
}

/// What an outcome makes of a delivery.
fn turn(notification: &Notification, row: &mut Model, outcome: Outcome, reason: Reason, now: Time) {
    row.losses = 0;
    match outcome {
        Outcome::Sent => row.turn(State::Sent, Reason::Nothing, now),
        Outcome::Failed => row.turn(State::Failed, reason, now),
        Outcome::Delayed => {
            row.delays += 1;
            let wait = u32::try_from(row.delays).ok();
            let wait = wait.and_then(|delays| notification.retry_steps.after(delays));
            let Some(wait) = wait.and_then(|wait| Duration::from_std(wait).ok()) else {
                return row.turn(State::Failed, Reason::Exhausted, now);
            };
            row.turn(State::Queued, reason, now);
            row.overdue_at = Some(now + wait + QUEUE_GRACE);
        }
    }
}

/// What was sent once more was not asked for by its event.
fn measure(notification: &Notification, row: &Model, now: Time) {
    notification.instruments.delivery(row);
    if let (State::Sent, 1, Subject::Invitation(_), Some(at)) =
        (row.state, row.generation, row.subject(), row.event_at)
    {
        notification.instruments.taken_after(now - at);
    }
}

fn parse_outcome(number: i32) -> Result<Outcome, Malformed> {
    match AttemptOutcome::try_from(number) {
        Ok(AttemptOutcome::Sent) => Ok(Outcome::Sent),
        Ok(AttemptOutcome::Delayed) => Ok(Outcome::Delayed),
        Ok(AttemptOutcome::Failed) => Ok(Outcome::Failed),
        Ok(AttemptOutcome::Unspecified | AttemptOutcome::Lost) | Err(_) => {
            Err(Malformed("sent, delayed or failed"))
        }
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
        each_attempt_is_kept_with_what_the_mail_server_said,
        the_last_of_the_delays_gives_it_up_and_says_so,
        what_is_sent_is_told_once,
    );

    async fn each_attempt_is_kept_with_what_the_mail_server_said(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let wanted = stage.wanted();
        let delayed = claim(&mut mailer, &wanted).await;
        mailer.record_attempt(delayed).await.unwrap();
        stage.pass(kernel::Duration::seconds(5));
        let refused = RecordAttemptRequest {
            outcome: AttemptOutcome::Failed.into(),
            reason: "a word of a later version".to_owned(),
            reply_code: 550,
            enhanced_status: String::new(),
            error: "x".repeat(600),
            ..claim(&mut mailer, &wanted).await
        };
        let delivery = mailer.record_attempt(refused).await.unwrap().into_inner().delivery.unwrap();
        assert_eq!((delivery.state(), delivery.reason.as_str()), (DeliveryState::Failed, "other"));
        let attempts = stage.look_at(&delivery.id).await.attempts;
        let told: Vec<_> = attempts
            .iter()
            .map(|it| (it.number, it.reason.as_str(), it.reply_code, it.enhanced_status.as_str()))
            .collect();
        assert_eq!(told, [(1, "delayed", 451, "4.7.1"), (2, "other", 550, "")]);
        assert_eq!(attempts[0].words, "451   later");
        assert_eq!(attempts[1].words.len(), 500);
        assert!(attempts.iter().all(|it| it.begun_at.is_some() && it.ended_at.is_some()));
    }

    async fn the_last_of_the_delays_gives_it_up_and_says_so(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        // There are seven steps to wait.
        for _ in 0..7 {
            let delivery = stage.attempt(&wanted, AttemptOutcome::Delayed, "unreachable").await;
            assert_eq!(delivery.state(), DeliveryState::Queued);
            assert_eq!(delivery.reason, "unreachable");
        }
        let delivery = stage.attempt(&wanted, AttemptOutcome::Delayed, "unreachable").await;
        assert_eq!(
            (delivery.state(), delivery.reason.as_str()),
            (DeliveryState::Failed, "exhausted")
        );
        let told = [("failed".to_owned(), "exhausted".to_owned())];
        assert_eq!(stage.told(&delivery.id).await, told);
    }

    async fn what_is_sent_is_told_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        let claim = stage.claim(&stage.wanted()).await;
        let sent = crate::testing::record_of(&claim, AttemptOutcome::Sent, "");
        let records = testkit::race(10, |_| {
            let (mut mailer, sent) = (stage.account("deliveries.write").deliveries(), sent.clone());
            async move { mailer.record_attempt(sent).await }
        });
        for record in records.await {
            let delivery = record.unwrap().into_inner().delivery.unwrap();
            assert_eq!(delivery.state(), DeliveryState::Sent);
        }
        let told = [("sent".to_owned(), String::new())];
        assert_eq!(stage.told(&sent.delivery_id).await, told);
    }

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
            reason: "delayed".to_owned(),
            reply_code: 451,
            enhanced_status: "4.7.1".to_owned(),
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
        let wrong = RecordAttemptRequest {
            outcome: AttemptOutcome::Lost.into(),
            reply_code: 600,
            enhanced_status: "5".to_owned(),
            ..Default::default()
        };
        assert_eq!(
            violations(mailer.record_attempt(wrong).await),
            ["delivery_id", "claim_id", "outcome", "reply_code", "enhanced_status"],
        );
        let claimed = claim(&mut mailer, &stage.wanted()).await;
        let stranger =
            stage.account("deliveries.read").deliveries().record_attempt(claimed.clone()).await;
        assert_eq!(reason(stranger), "SCOPE_MISSING");
        let unknown = RecordAttemptRequest { delivery_id: claimed.claim_id.clone(), ..claimed };
        assert_eq!(reason(mailer.record_attempt(unknown).await), "DELIVERY_NOT_FOUND");
    }
}
