use api::notification::v1::{ListDeliveriesRequest, ListDeliveriesResponse};
use db::PageRequest;
use kernel::{Fields, parse_id};
use service::Caller;

use super::{may_know_message_ids, may_read, shown};
use crate::{Notification, entity::delivery, error::Error};

/// The deliveries of an organisation, newest last, or only those of one of its invitations.
///
/// Rule: an organisation whose deliveries the caller may not read answers exactly like one that
/// does not exist, whether or not it has any. `Message-ID`s are for workers and for who runs the
/// platform.
/// Permission: `deliveries.read` at the organisation, or the scope of that name. Event: none.
pub(crate) async fn list_deliveries(
    notification: &Notification,
    caller: &Caller,
    request: ListDeliveriesRequest,
) -> Result<ListDeliveriesResponse, Error> {
    let ListDeliveriesRequest { organisation_id, invitation_id, page_size, page_token } = request;
    let mut fields = Fields::default();
    let organisation_id = fields.read("organisation_id", parse_id(&organisation_id));
    let invitation_id = fields.read_optional("invitation_id", &invitation_id, parse_id);
    let page = PageRequest::parse(&mut fields, page_size, &page_token);
    let (Some(organisation_id), Some(invitation_id), Some(page)) =
        (organisation_id, invitation_id, page)
    else {
        return Err(Error::Invalid(fields));
    };
    if !may_read(notification, caller, organisation_id).await? {
        return Err(Error::DeliveryNotFound);
    }
    let with_message_id = may_know_message_ids(notification, caller).await?;
    let rows = delivery::list(
        notification.database.read(),
        organisation_id,
        invitation_id,
        page.after,
        page.limit(),
    );
    let page = page.cut(rows.await?, |row| row.id);
    Ok(ListDeliveriesResponse {
        deliveries: page.rows.into_iter().map(|row| shown(row, with_message_id)).collect(),
        next_page_token: page.next_page_token,
    })
}

#[cfg(test)]
mod tests {
    use api::notification::v1::{ClaimDeliveryRequest, Delivery};
    use testkit::Bench;

    use super::*;
    use crate::testing::{Stage, reason, violations};

    testkit::on_both_databases!(
        an_organisations_deliveries_come_in_pages_and_without_its_neighbours,
        a_foreign_organisation_looks_like_none_even_when_it_is_empty,
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

    async fn every_violation_is_named_at_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        let request = ListDeliveriesRequest {
            organisation_id: String::new(),
            invitation_id: "7".to_owned(),
            page_size: -1,
            page_token: "rubbish!".to_owned(),
        };
        assert_eq!(
            violations(stage.person().deliveries().list_deliveries(request).await),
            ["organisation_id", "invitation_id", "page_size", "page_token"],
        );
    }
}
