use api::notification::v1::{DeliveryState, ListDeliveriesRequest, ListDeliveriesResponse};
use db::PageRequest;
use kernel::{Fields, Malformed, parse_id};
use service::Caller;

use super::{may_know_message_ids, may_read, shown};
use crate::{
    Notification,
    entity::delivery::{self, State, Wanted},
    error::Error,
    rights::require_operator,
};

/// The deliveries of an organisation, or of the whole platform; of one invitation alone, or in one
/// state, if that is asked for.
///
/// Rule: an organisation whose deliveries the caller may not read answers exactly like one that
/// does not exist, whether or not it has any. `Message-ID`s are for workers and for who runs the
/// platform.
/// Permission: `deliveries.read` at the organisation, or `operations.manage` at the platform, or the
/// scope of that name. Event: none.
pub(crate) async fn list_deliveries(
    notification: &Notification,
    caller: &Caller,
    request: ListDeliveriesRequest,
) -> Result<ListDeliveriesResponse, Error> {
    let ListDeliveriesRequest {
        organisation_id,
        invitation_id,
        page_size,
        page_token,
        state,
        order_by,
    } = request;
    let mut fields = Fields::default();
    let organisation_id = fields.read_optional("organisation_id", &organisation_id, parse_id);
    let invitation_id = fields.read_optional("invitation_id", &invitation_id, parse_id);
    let state = fields.read("state", wanted(state));
    let page = PageRequest::parse_ordered(&mut fields, page_size, &page_token, &order_by, &[]);
    let (Some(organisation_id), Some(invitation_id), Some(state), Some(page)) =
        (organisation_id, invitation_id, state, page)
    else {
        return Err(Error::Invalid(fields));
    };
    let with_message_id = match organisation_id {
        None => {
            require_operator(notification, caller).await?;
            true
        }
        Some(id) if may_read(notification, caller, id).await? => {
            may_know_message_ids(notification, caller).await?
        }
        Some(_) => return Err(Error::DeliveryNotFound),
    };
    let wanted = Wanted { organisation_id, invitation_id, state };
    let rows = delivery::list(notification.database.read(), wanted, &page).await?;
    let page = page.cut(rows, |row| row.id);
    Ok(ListDeliveriesResponse {
        deliveries: page.rows.into_iter().map(|row| shown(row, with_message_id)).collect(),
        next_page_token: page.next_page_token,
    })
}

/// The state that is asked for, if one is.
fn wanted(state: i32) -> Result<Option<State>, Malformed> {
    match DeliveryState::try_from(state) {
        Ok(DeliveryState::Unspecified) => Ok(None),
        Ok(DeliveryState::Queued) => Ok(Some(State::Queued)),
        Ok(DeliveryState::Sending) => Ok(Some(State::Sending)),
        Ok(DeliveryState::Sent) => Ok(Some(State::Sent)),
        Ok(DeliveryState::Failed) => Ok(Some(State::Failed)),
        Ok(DeliveryState::Bounced) => Ok(Some(State::Bounced)),
        Ok(DeliveryState::Suppressed) => Ok(Some(State::Suppressed)),
        Err(_) => Err(Malformed("a state of the enum")),
    }
}

#[cfg(test)]
mod tests {
    use api::notification::v1::{
        AttemptOutcome, ClaimDeliveryRequest, Delivery, RecordAttemptRequest,
    };
    use testkit::Bench;

    use super::*;
    use crate::testing::{Stage, reason, violations};

    testkit::on_both_databases!(
        an_organisations_deliveries_come_in_pages_and_without_its_neighbours,
        a_foreign_organisation_looks_like_none_even_when_it_is_empty,
        who_runs_the_platform_sees_what_failed_anywhere_the_newest_first,
        every_violation_is_named_at_once,
    );

    async fn an_organisations_deliveries_come_in_pages_and_without_its_neighbours(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let mut made = Vec::new();
        for _ in 0..3 {
            let wanted = stage.wanted();
            let neighbour =
                ClaimDeliveryRequest { organisation_id: wanted.event_id.clone(), ..stage.wanted() };
            mailer.claim_delivery(neighbour).await.unwrap();
            let claim = mailer.claim_delivery(wanted).await.unwrap().into_inner();
            made.push(Delivery { message_id: String::new(), ..claim.delivery.unwrap() });
            stage.pass(kernel::Duration::seconds(1));
        }
        let mut ada = stage.person().deliveries();
        let mut request = ListDeliveriesRequest {
            organisation_id: stage.organisation.to_string(),
            page_size: 2,
            ..Default::default()
        };
        let first = ada.list_deliveries(request.clone()).await.unwrap().into_inner();
        assert_eq!(first.deliveries, made[..2]);
        request.page_token = first.next_page_token;
        let second = ada.list_deliveries(request.clone()).await.unwrap().into_inner();
        assert_eq!(
            (second.deliveries, second.next_page_token),
            (made[2..].to_vec(), String::new())
        );
        request.page_token.clear();
        request.invitation_id = made[1].invitation_id.clone();
        let one = ada.list_deliveries(request).await.unwrap().into_inner();
        assert_eq!(one.deliveries, made[1..2]);
    }

    async fn a_foreign_organisation_looks_like_none_even_when_it_is_empty(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let wanted = stage.wanted();
        let full = wanted.event_id.clone();
        let neighbour = ClaimDeliveryRequest { organisation_id: full.clone(), ..wanted };
        mailer.claim_delivery(neighbour).await.unwrap();
        let empty = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
        for organisation_id in [full, empty] {
            let request = ListDeliveriesRequest { organisation_id, ..Default::default() };
            let answer = stage.person().deliveries().list_deliveries(request).await;
            assert_eq!(reason(answer), "DELIVERY_NOT_FOUND");
        }
    }

    async fn who_runs_the_platform_sees_what_failed_anywhere_the_newest_first(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").deliveries();
        let mut failed = Vec::new();
        for outcome in [AttemptOutcome::Failed, AttemptOutcome::Sent, AttemptOutcome::Failed] {
            let elsewhere = stage.wanted();
            let elsewhere =
                ClaimDeliveryRequest { organisation_id: elsewhere.event_id.clone(), ..elsewhere };
            let claim = mailer.claim_delivery(elsewhere).await.unwrap().into_inner();
            let delivery_id = claim.delivery.unwrap().id;
            if outcome == AttemptOutcome::Failed {
                failed.insert(0, delivery_id.clone());
            }
            let reason = if outcome == AttemptOutcome::Failed { "refused" } else { "" };
            let record = RecordAttemptRequest {
                delivery_id,
                claim_id: claim.claim_id,
                outcome: outcome.into(),
                reason: reason.to_owned(),
                ..Default::default()
            };
            mailer.record_attempt(record).await.unwrap();
            stage.pass(kernel::Duration::seconds(1));
        }
        let mut request = ListDeliveriesRequest {
            state: DeliveryState::Failed.into(),
            order_by: "created_at desc".to_owned(),
            page_size: 1,
            ..Default::default()
        };
        let refused = stage.person().deliveries().list_deliveries(request.clone()).await;
        assert_eq!(reason(refused), "PERMISSION_MISSING");
        let mut operator = stage.account("operations.manage").deliveries();
        for delivery_id in failed {
            let page = operator.list_deliveries(request.clone()).await.unwrap().into_inner();
            let ids: Vec<_> = page.deliveries.iter().map(|it| it.id.as_str()).collect();
            assert_eq!(ids, [delivery_id]);
            assert!(page.deliveries.iter().all(|it| !it.message_id.is_empty()));
            request.page_token = page.next_page_token;
        }
        assert_eq!(request.page_token, "");
    }

    async fn every_violation_is_named_at_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        let request = ListDeliveriesRequest {
            organisation_id: "7".to_owned(),
            invitation_id: "7".to_owned(),
            page_size: -1,
            page_token: "rubbish!".to_owned(),
            state: 7,
            order_by: String::new(),
        };
        assert_eq!(
            violations(stage.person().deliveries().list_deliveries(request).await),
            ["organisation_id", "invitation_id", "state", "page_size", "page_token"],
        );
    }
}
