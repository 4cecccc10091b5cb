use std::sync::Arc;

use api::organisation::v1::InvitationSettled;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bus::Queue;
use kernel::{Uuid, parse_id};
use prost::Message as _;
use ring::hmac;
use sea_orm::{DbErr, EntityTrait as _};
use service::{Consumer, Message, Refusal};
use url::Url;

use crate::{
    Organisations,
    domain::callback_url::CallbackUrl,
    entity::{application, invitation},
    webhooks::{Failure, Webhooks},
};

const QUEUE: Queue = Queue {
    name: "organisation.callbacks",
    bindings: &["organisation.invitation.callback.v1"],
    concurrency: 8,
};

/// Tells the application that invited how the invitation ended: a POST to the invitation's callback
/// URL, signed as Standard Webhooks describes it (<https://www.standardwebhooks.com>), until the
/// application takes it. Its form is documented beside the event.
///
/// 2xx is taken. 410 ends it, as do a host that is no longer registered and an address that must not
/// be reached: an operator sees what was set aside. All else is tried again. An application may hear
/// of one outcome twice, if its answer got lost; it knows it again by `webhook-id`.
pub(crate) fn consumer(service: Organisations, webhooks: Webhooks) -> Consumer {
    let webhooks = Arc::new(webhooks);
    Consumer::new(QUEUE, move |message| {
        let (service, webhooks) = (service.clone(), webhooks.clone());
        async move { handle(&service, &webhooks, message).await }
    })
}

async fn handle(
    service: &Organisations,
    webhooks: &Webhooks,
    message: Message,
) -> Result<(), Refusal> {
    let event = InvitationSettled::decode(message.payload.as_slice());
    let event = event.map_err(|error| Refusal::Reject(error.to_string()))?;
    let id = parse_id(&event.invitation_id).map_err(|error| Refusal::Reject(error.to_string()))?;
    if db::inbox::knows(&service.database, QUEUE.name, message.id).await.map_err(retry)? {
        return Ok(());
    }
    let (invitation, application) = find(service, id).await?;
    let url = registered(&application, &invitation.callback_url)?;

    let body = serde_json::json!({
        "type": format!("invitation.{}", event.state),
        "timestamp": api::timestamp(message.time).to_string(),
        "data": {
            "id": event.invitation_id,
            "organisation_id": event.organisation_id,
            "source_id": invitation.source_id,
            "status": event.state,
        },
    })
    .to_string();
    let key = application.callback_key(&service.callback_key);
    let sent_at = service.clock.now().timestamp();
    let signature = sign(&key, &format!("{}.{sent_at}.{body}", message.id));
    let headers = [
        ("webhook-id", message.id.to_string()),
        ("webhook-timestamp", sent_at.to_string()),
        ("webhook-signature", signature),
    ];
    match webhooks.post(&url, headers, body).await {
        Ok(status) if status.is_success() => claim(service, message.id).await.map_err(retry),
        Ok(status) if status == http::StatusCode::GONE => {
            Err(Refusal::Reject("the application answers 410: it wants no callbacks".to_owned()))
        }
        Ok(status) => Err(Refusal::Retry(format!("the application answers {status}"))),
        Err(Failure::Forbidden(why)) => Err(Refusal::Reject(why.to_owned())),
        Err(Failure::Unreachable(why)) => Err(Refusal::Retry(why)),
    }
}

fn retry(error: DbErr) -> Refusal {
    Refusal::Retry(error.to_string())
}

async fn find(
    service: &Organisations,
    id: Uuid,
) -> Result<(invitation::Model, application::Model), Refusal> {
    let gone = |what: &str| Refusal::Reject(format!("there is no such {what} any more"));
    let database = service.database.read();
    let invitation = invitation::Entity::find_by_id(id).one(database).await.map_err(retry)?;
    let invitation = invitation.ok_or_else(|| gone("invitation"))?;
    let application = invitation.application_id.ok_or_else(|| gone("application"))?;
    let application = application::Entity::find_by_id(application).one(database).await;
    let application = application.map_err(retry)?.ok_or_else(|| gone("application"))?;
    Ok((invitation, application))
}

/// The URL, if its host still is one of the application's: it may have been taken off since the
/// invitation was made.
fn registered(application: &application::Model, url: &str) -> Result<Url, Refusal> {
    let callback = CallbackUrl::parse(url).map_err(|error| Refusal::Reject(error.to_string()))?;
    if !application.takes_callbacks_at(&callback) {
        let why = "the application has not registered the callback's host";
        return Err(Refusal::Reject(why.to_owned()));
    }
    Url::parse(url).map_err(|error| Refusal::Reject(error.to_string()))
}

fn sign(key: &[u8], signed: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

/// Only now, and in a transaction of its own: none is open while somebody else is waited for.
async fn claim(service: &Organisations, event: Uuid) -> Result<(), DbErr> {
    let tx = service.database.begin().await?;
    db::inbox::claim(&tx, QUEUE.name, event, service.clock.now()).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests;
