//! What an operator sees of a platform, whole.

use api::{
    notification::v1::{
        DeadLetter, Delivery, ListDeadLettersRequest, ListDeliveriesRequest,
        dead_letter_service_client::DeadLetterServiceClient,
        delivery_service_client::DeliveryServiceClient,
    },
    organisation::v1::{
        Invitation, ListInvitationsRequest, invitation_service_client::InvitationServiceClient,
    },
};
use testkit::with_token;

use crate::scene::Scene;

/// The deliveries of the organisation that people are invited into.
pub(crate) async fn deliveries(scene: &Scene) -> Vec<Delivery> {
    let (owner, client) =
        (scene.platform.owner().await, DeliveryServiceClient::new(scene.platform.notification()));
    all(async |page_token| {
        let request = ListDeliveriesRequest {
            organisation_id: scene.organisation.clone(),
            page_size: 100,
            page_token,
            ..Default::default()
        };
        let answer = client.clone().list_deliveries(with_token(owner.token(), request)).await;
        let answer = answer.expect("the deliveries").into_inner();
        (answer.deliveries, answer.next_page_token)
    })
    .await
}

/// The invitations there.
pub(crate) async fn invitations(scene: &Scene) -> Vec<Invitation> {
    let (owner, client) =
        (scene.platform.owner().await, InvitationServiceClient::new(scene.platform.organisation()));
    all(async |page_token| {
        let request = ListInvitationsRequest {
            organisation_id: scene.organisation.clone(),
            page_size: 100,
            page_token,
            ..Default::default()
        };
        let answer = client.clone().list_invitations(with_token(owner.token(), request)).await;
        let answer = answer.expect("the invitations").into_inner();
        (answer.invitations, answer.next_page_token)
    })
    .await
}

/// The messages that wait for an operator's decision.
pub(crate) async fn dead_letters(scene: &Scene) -> Vec<DeadLetter> {
    let (owner, client) =
        (scene.platform.owner().await, DeadLetterServiceClient::new(scene.platform.notification()));
    all(async |page_token| {
        let request = ListDeadLettersRequest { page_size: 100, page_token, ..Default::default() };
        let answer = client.clone().list_dead_letters(with_token(owner.token(), request)).await;
        let answer = answer.expect("the dead letters").into_inner();
        (answer.dead_letters, answer.next_page_token)
    })
    .await
}

/// Page after page.
async fn all<T>(page: impl AsyncFn(String) -> (Vec<T>, String)) -> Vec<T> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let (some, next) = page(page_token).await;
        all.extend(some);
        if next.is_empty() {
            return all;
        }
        page_token = next;
    }
}
