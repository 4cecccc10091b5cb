//! `notification.delivery.queued.v1`: a delivery is to be sent once more.

use std::sync::Arc;

use api::notification::v1::{
    DeliveryChanged, GetDeliveryCauseRequest, GetDeliveryCauseResponse,
    delivery_service_client::DeliveryServiceClient,
};
use bus::Queue;
use kernel::parse_id;
use prost::Message as _;
use service::{Auth, Consumer, Message, Refusal};

use super::{access_request_mail, invitation_issued};
use crate::{
    Mailer,
    lanes::SLOTS,
    peers::{incomplete, no_token, refusal},
};

const QUEUE: Queue = Queue {
    name: "mailer.resends",
    bindings: &["notification.delivery.queued.v1"],
    concurrency: SLOTS,
};

/// The call that tells what once asked for the mail.
const CALL: &str = "GetDeliveryCause";

/// The consumer.
pub(crate) fn consumer(mailer: Arc<Mailer>) -> Consumer {
    Consumer::patient(QUEUE, move |message| {
        let mailer = mailer.clone();
        async move { delivery_resent(&mailer, message).await }
    })
}

/// Rule: the mail goes the way of the event that once asked for it, and says what holds now: one event
/// sends one mail, whatever crashes. What is sent already, overtaken or for a closed account sends
/// none, and so does what would go to another address by now.
/// Event: `notification.delivery.queued.v1`.
async fn delivery_resent(mailer: &Mailer, message: Message) -> Result<(), Refusal> {
    let broken = || Refusal::Reject("the event cannot be read".to_owned());
    let event = DeliveryChanged::decode(message.payload.as_slice()).map_err(|_| broken())?;
    parse_id(&event.delivery_id).map_err(|_| broken())?;
    let auth = mailer.peers.own().await.map_err(|status| no_token(&status))?;

    let request = GetDeliveryCauseRequest { delivery_id: event.delivery_id };
    let mut client = DeliveryServiceClient::new(mailer.peers.notification(auth.clone()));
    let cause = client.get_delivery_cause(request).await;
    let cause = cause.map_err(|status| refusal(CALL, &status))?.into_inner();
    let recipient = cause.recipient.clone();
    let cause = event_of(cause, &message)?;
    send(mailer, auth, &cause, &recipient).await
}

/// The event as it once came.
fn event_of(cause: GetDeliveryCauseResponse, message: &Message) -> Result<Message, Refusal> {
    let GetDeliveryCauseResponse { event_id, event_time, routing_key, payload, recipient: _ } =
        cause;
    let time = event_time.as_ref().and_then(api::time).unwrap_or(message.time);
    let id = parse_id(&event_id).map_err(|_| incomplete(CALL))?;
    Ok(Message { id, routing_key, payload, time, ..message.clone() })
}

async fn send(
    mailer: &Mailer,
    auth: Auth,
    cause: &Message,
    recipient: &str,
) -> Result<(), Refusal> {
    let key = cause.routing_key.as_str();
    if invitation_issued::KEYS.contains(&key) {
        invitation_issued::send(mailer, auth, cause, Some(recipient)).await
    } else if access_request_mail::KEYS.contains(&key) {
        access_request_mail::send(mailer, auth, cause, Some(recipient)).await
    } else {
        // Of a later version's mailer.
        Err(Refusal::Retry("no consumer here sends what this event asked for".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use api::{
        identity::v1::UserStatus, notification::v1::WithdrawalReason,
        organisation::v1::AccessRequestMail,
    };
    use std::collections::VecDeque;
    use tonic::Code;

    use super::*;
    use crate::testing::{Stage, World};

    #[tokio::test(flavor = "multi_thread")]
    async fn it_goes_the_way_of_the_event_that_once_asked_for_it() {
        let stage = Stage::set(World::default()).await;
        let causes = [stage.event(), stage.reminder(), stage.request(AccessRequestMail::Decided)];
        for (number, cause) in causes.into_iter().enumerate() {
            let event = stage.resend(&cause);
            for _ in 0..3 {
                assert_eq!(stage.hear(event.clone()).await, Ok(()));
            }
            assert_eq!(stage.sink.mails().len(), number + 1);
            let claim = stage.world().claims.last().unwrap().clone();
            assert_eq!(claim.event_id, cause.id.to_string());
            assert_eq!(claim.event_time, Some(api::timestamp(cause.time)));
            assert_eq!(claim.cause_routing_key, cause.routing_key);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_holds_no_longer_is_withdrawn() {
        let stage = Stage::set(World::default()).await;
        for cause in [stage.event(), stage.request(AccessRequestMail::Decided)] {
            let event = stage.resend(&cause);
            stage.world().cause.recipient = "an-earlier@example.com".to_owned();
            assert_eq!(stage.hear(event.clone()).await, Ok(()));
            stage.world().user.set_status(UserStatus::Suspended);
            stage.world().cause.recipient = "ada@example.com".to_owned();
            assert_eq!(stage.hear(event).await, Ok(()));
            stage.world().user.set_status(UserStatus::Active);
            let withdrawn = std::mem::take(&mut stage.world().withdrawn);
            let reasons = [WithdrawalReason::RecipientChanged, WithdrawalReason::AccountClosed];
            assert_eq!(withdrawn, reasons.map(|reason| (cause.id.to_string(), reason)));
        }
        assert!(stage.sink.commands().is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_read_is_set_aside_and_what_may_come_back_is_tried_again() {
        let stage = Stage::set(World::default()).await;
        let event = stage.resend(&stage.event());
        let broken = Message { payload: b"\xff\xff".to_vec(), ..event.clone() };
        let refusal = Refusal::Reject("the event cannot be read".to_owned());
        assert_eq!(stage.hear(broken).await, Err(refusal));
        for (code, retried) in [(Code::Unavailable, true), (Code::NotFound, false)] {
            stage.world().failures.insert(CALL, VecDeque::from([code]));
            let why = format!("{CALL}: {code:?}");
            let expected = if retried { Refusal::Retry(why) } else { Refusal::Reject(why) };
            assert_eq!(stage.hear(event.clone()).await, Err(expected));
        }
        stage.world().cause.routing_key = "organisation.invitation.forwarded.v9".to_owned();
        assert!(matches!(stage.hear(event).await, Err(Refusal::Retry(_))));
        assert!(stage.sink.commands().is_empty());
    }
}
