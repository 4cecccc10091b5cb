use api::notification::v1::{GetDeliveryCauseRequest, GetDeliveryCauseResponse};
use kernel::{Fields, parse_id};
use service::Caller;

use super::WRITE;
use crate::{Notification, entity::delivery, error::Error};

/// What once asked for a delivery, so that it is sent once more by the same way.
///
/// Rule: of a delivery from before that was kept there is none.
/// Permission: the scope `deliveries.write`. Event: none.
pub(crate) async fn get_delivery_cause(
    notification: &Notification,
    caller: &Caller,
    request: GetDeliveryCauseRequest,
) -> Result<GetDeliveryCauseResponse, Error> {
    let GetDeliveryCauseRequest { delivery_id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("delivery_id", parse_id(&delivery_id)) else {
        return Err(Error::Invalid(fields));
    };
    if !caller.has_scope(WRITE) {
        return Err(Error::ScopeMissing(WRITE));
    }
    let row = delivery::find(notification.database.read(), id).await?;
    let row = row.ok_or(Error::DeliveryNotFound)?;
    let payload = row.cause_payload.ok_or(Error::DeliveryCauseUnknown)?;
    Ok(GetDeliveryCauseResponse {
        event_id: row.event_id.to_string(),
        event_time: row.event_at.map(api::timestamp),
        routing_key: row.cause_key,
        payload,
        recipient: row.recipient,
    })
}

#[cfg(test)]
mod tests {
    use api::notification::v1::ClaimDeliveryRequest;
    use testkit::Bench;

    use super::*;
    use crate::testing::{Stage, reason};

    testkit::on_both_databases!(what_asked_for_a_mail_is_given_to_workers_alone);

    async fn what_asked_for_a_mail_is_given_to_workers_alone(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let wanted = stage.wanted();
        let request = |claim: api::notification::v1::ClaimDeliveryResponse| {
            GetDeliveryCauseRequest { delivery_id: claim.delivery.unwrap().id }
        };
        let known = request(stage.claim(&wanted).await);
        let answer = mailer.get_delivery_cause(known.clone()).await.unwrap().into_inner();
        let expected = GetDeliveryCauseResponse {
            event_id: wanted.event_id.clone(),
            event_time: wanted.event_time,
            routing_key: wanted.cause_routing_key.clone(),
            payload: wanted.cause_payload.clone(),
            recipient: wanted.recipient.clone(),
        };
        assert_eq!(answer, expected);

        let untold = ClaimDeliveryRequest { cause_routing_key: String::new(), ..stage.wanted() };
        let untold = request(stage.claim(&untold).await);
        assert_eq!(reason(mailer.get_delivery_cause(untold).await), "DELIVERY_CAUSE_UNKNOWN");
        let unknown = GetDeliveryCauseRequest { delivery_id: wanted.event_id };
        assert_eq!(reason(mailer.get_delivery_cause(unknown).await), "DELIVERY_NOT_FOUND");
        let mut reader = stage.account("deliveries.read").deliveries();
        assert_eq!(reason(reader.get_delivery_cause(known).await), "SCOPE_MISSING");
    }
}
