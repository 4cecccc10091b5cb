use api::notification::v1::{ExtendClaimRequest, ExtendClaimResponse};
use kernel::{Fields, parse_id};
use service::Caller;

use super::WRITE;
use crate::{Notification, domain::delivery::CLAIM_LIFETIME, entity::delivery, error::Error};

/// Holds a claim for another minute from now, while its mail is on its way.
///
/// Rule: only the claim that was given last is extended, also when it has lapsed and nobody has taken
/// the delivery over; after the end of its attempt it is lost. A claim that nobody extends lapses after
/// a minute: its worker has crashed.
/// Permission: the scope `deliveries.write`. Event: none.
pub(crate) async fn extend_claim(
    notification: &Notification,
    caller: &Caller,
    request: ExtendClaimRequest,
) -> Result<ExtendClaimResponse, Error> {
    let ExtendClaimRequest { delivery_id, claim_id } = request;
    let mut fields = Fields::default();
    let delivery_id = fields.read("delivery_id", parse_id(&delivery_id));
    let claim_id = fields.read("claim_id", parse_id(&claim_id));
    let (Some(delivery_id), Some(claim_id)) = (delivery_id, claim_id) else {
        return Err(Error::Invalid(fields));
    };
    if !caller.has_scope(WRITE) {
        return Err(Error::ScopeMissing(WRITE));
    }
    let until = notification.clock.now() + CLAIM_LIFETIME;
    let database = notification.database.read();
    if delivery::extend_claim(database, delivery_id, claim_id, until).await? {
        return Ok(ExtendClaimResponse {});
    }
    match delivery::find(database, delivery_id).await? {
        Some(_) => Err(Error::ClaimLost),
        None => Err(Error::DeliveryNotFound),
    }
}

#[cfg(test)]
mod tests {
    use api::notification::v1::{AttemptOutcome, ClaimDeliveryResponse, DeliveryState};
    use kernel::Duration;
    use testkit::Bench;
    use tonic::Status;

    use super::*;
    use crate::testing::{Stage, reason, record_of, violations};

    testkit::on_both_databases!(
        a_mail_that_is_long_on_its_way_is_taken_over_by_nobody,
        a_claim_that_somebody_else_has_or_that_is_over_is_lost,
        strangers_and_wrong_input_are_refused,
    );

    fn of(claim: &ClaimDeliveryResponse) -> ExtendClaimRequest {
        let delivery_id = claim.delivery.clone().unwrap().id;
        ExtendClaimRequest { delivery_id, claim_id: claim.claim_id.clone() }
    }

    async fn extend(stage: &Stage, claim: &ClaimDeliveryResponse) -> Result<(), Status> {
        let mut mailer = stage.account("deliveries.write").deliveries();
        mailer.extend_claim(of(claim)).await.map(|_| ())
    }

    async fn a_mail_that_is_long_on_its_way_is_taken_over_by_nobody(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        let claim = stage.claim(&wanted).await;
        let other = async || {
            let mut other = stage.account("deliveries.write").deliveries();
            reason(other.claim_delivery(wanted.clone()).await)
        };
        // Twenty minutes, forty seconds at a time.
        for _ in 0..30 {
            stage.pass(Duration::seconds(40));
            extend(&stage, &claim).await.unwrap();
            assert_eq!(other().await, "DELIVERY_CLAIMED");
        }
        let delivery = stage.look_at(&claim.delivery.clone().unwrap().id).await;
        assert_eq!(delivery.delivery.unwrap().state(), DeliveryState::Sending);
        assert_eq!(delivery.attempts.len(), 1);
        // Its worker crashes.
        stage.pass(CLAIM_LIFETIME - Duration::seconds(1));
        assert_eq!(other().await, "DELIVERY_CLAIMED");
        stage.pass(Duration::seconds(1));
        assert_ne!(stage.claim(&wanted).await.claim_id, "");
    }

    async fn a_claim_that_somebody_else_has_or_that_is_over_is_lost(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        let first = stage.claim(&wanted).await;
        stage.pass(CLAIM_LIFETIME);
        // Lapsed, and nobody wanted it.
        extend(&stage, &first).await.unwrap();
        stage.pass(CLAIM_LIFETIME);
        let second = stage.claim(&wanted).await;
        assert_eq!(reason(extend(&stage, &first).await), "CLAIM_LOST");
        extend(&stage, &second).await.unwrap();

        let mut mailer = stage.account("deliveries.write").deliveries();
        let record = record_of(&second, AttemptOutcome::Delayed, "timeout");
        mailer.record_attempt(record).await.unwrap();
        assert_eq!(reason(extend(&stage, &second).await), "CLAIM_LOST");
        // It holds up nobody.
        assert_ne!(stage.claim(&wanted).await.claim_id, "");
    }

    async fn strangers_and_wrong_input_are_refused(bench: Bench) {
        let stage = Stage::set(bench).await;
        let claim = stage.claim(&stage.wanted()).await;
        for stranger in [stage.account("deliveries.read"), stage.person()] {
            let refused = stranger.deliveries().extend_claim(of(&claim)).await;
            assert_eq!(reason(refused), "SCOPE_MISSING");
        }
        let mut mailer = stage.account("deliveries.write").deliveries();
        let wrong = mailer.extend_claim(ExtendClaimRequest::default()).await;
        assert_eq!(violations(wrong), ["delivery_id", "claim_id"]);
        let unknown = ExtendClaimRequest { delivery_id: claim.claim_id.clone(), ..of(&claim) };
        assert_eq!(reason(mailer.extend_claim(unknown).await), "DELIVERY_NOT_FOUND");
    }
}
