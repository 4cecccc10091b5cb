use api::notification::v1::{GetDeliveryRequest, GetDeliveryResponse};
use kernel::{Fields, parse_id};
use service::Caller;

use super::{may_know_message_ids, may_read, shown};
use crate::{
    Notification,
    entity::{attempt, delivery},
    error::Error,
};

/// One delivery, with the last of its attempts.
///
/// Rule: a delivery that the caller may not read answers exactly like one that does not exist. Its
/// `Message-ID` is for workers and for who runs the platform.
/// Permission: `deliveries.read` at its organisation, or the scope of that name. Event: none.
pub(crate) async fn get_delivery(
    notification: &Notification,
    caller: &Caller,
    request: GetDeliveryRequest,
) -> Result<GetDeliveryResponse, Error> {
    let GetDeliveryRequest { id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    // Whose it is decides who may read it, so it is loaded first.
    let row = delivery::find(notification.database.read(), id).await?;
    let row = row.ok_or(Error::DeliveryNotFound)?;
    if !may_read(notification, caller, row.organisation_id).await? {
        return Err(Error::DeliveryNotFound);
    }
    let with_message_id = may_know_message_ids(notification, caller).await?;
    let attempts = attempt::last_of(notification.database.read(), id).await?;
    let attempts = attempts.into_iter().map(Into::into).collect();
    Ok(GetDeliveryResponse { delivery: Some(shown(row, with_message_id)), attempts })
}

#[cfg(test)]
mod tests {
    use api::notification::v1::ClaimDeliveryRequest;
    use testkit::Bench;

    use super::*;
    use crate::testing::{Stage, reason};

    testkit::on_both_databases!(
        whoever_may_read_there_reads_and_is_asked_about_in_their_own_name,
        a_foreign_delivery_looks_like_none,
    );

    async fn delivery_at(stage: &Stage, organisation_id: &str) -> GetDeliveryRequest {
        let wanted =
            ClaimDeliveryRequest { organisation_id: organisation_id.to_owned(), ..stage.wanted() };
        let mut mailer = stage.account("deliveries.write").deliveries();
        let claim = mailer.claim_delivery(wanted).await.unwrap().into_inner();
        GetDeliveryRequest { id: claim.delivery.unwrap().id }
    }

    async fn whoever_may_read_there_reads_and_is_asked_about_in_their_own_name(bench: Bench) {
        let stage = Stage::set(bench).await;
        let request = delivery_at(&stage, &stage.organisation.to_string()).await;
        let ada = stage.person();
        let answer = ada.deliveries().get_delivery(request).await.unwrap().into_inner();
        assert_eq!(answer.delivery.unwrap().recipient, "ada@example.com");
        let asked = format!("Bearer {}", ada.token);
        assert_eq!(stage.asked(), [asked.clone(), asked]);
    }

    async fn a_foreign_delivery_looks_like_none(bench: Bench) {
        let stage = Stage::set(bench).await;
        let foreign = delivery_at(&stage, "01890a5d-ac96-774b-bcce-b302099a8057").await;
        let nothing = GetDeliveryRequest { id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned() };
        for caller in [stage.person(), stage.account("deliveries.write users.read")] {
            let mut caller = caller.deliveries();
            let foreign = caller.get_delivery(foreign.clone()).await.unwrap_err();
            let nothing = caller.get_delivery(nothing.clone()).await.unwrap_err();
            assert_eq!(reason::<()>(Err(foreign.clone())), "DELIVERY_NOT_FOUND");
            assert_eq!(
                (foreign.code(), foreign.message(), foreign.details()),
                (nothing.code(), nothing.message(), nothing.details()),
            );
        }
        let operator = stage.account("deliveries.read").deliveries().get_delivery(foreign).await;
        assert_eq!(reason(operator), "OK");
    }
}
