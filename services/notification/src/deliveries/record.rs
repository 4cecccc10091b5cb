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
    let is_recorded =
        delivery::record(&*tx, delivery_id, claim_id, outcome, error, now).await?;
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
