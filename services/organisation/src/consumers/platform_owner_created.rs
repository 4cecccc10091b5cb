use api::identity::v1::{
    GetUserRequest, PlatformOwnerCreated, user_service_client::UserServiceClient,
};
use bus::Queue;
use kernel::{Uuid, parse_id};
use prost::Message as _;
use service::{Consumer, Message, Refusal};

use crate::{
    Organisations,
    domain::role::BuiltIn,
    entity::{
        membership::{self, New, Span},
        organisation::PLATFORM,
        person,
    },
};

const QUEUE: Queue = Queue {
    name: "organisation.platform-owner",
    bindings: &["identity.platform_owner.created.v1"],
    concurrency: 1,
};

/// Gives the platform owner the role `owner` at the platform, from where it holds everywhere.
pub(crate) fn consumer(service: Organisations) -> Consumer {
    Consumer::new(QUEUE, move |message| {
        let service = service.clone();
        async move { handle(&service, message).await }
    })
}

async fn handle(service: &Organisations, message: Message) -> Result<(), Refusal> {
    let event = PlatformOwnerCreated::decode(message.payload.as_slice());
    let event = event.map_err(|error| Refusal::Reject(error.to_string()))?;
    let id = parse_id(&event.user_id).map_err(|error| Refusal::Reject(error.to_string()))?;
    let (email, display_name) = person_of(service, id).await?;

    let retry = |error: db::DbErr| Refusal::Retry(error.to_string());
    let now = service.clock.now();
    let tx = service.database.begin().await.map_err(retry)?;
    if db::inbox::claim(&tx, QUEUE.name, message.id, now).await.map_err(retry)? {
        person::remember(&*tx, id, &email, &display_name).await.map_err(retry)?;
        let (owner, span) = (BuiltIn::Owner.into(), Span::default());
        let new = New { id: service.clock.new_id(), is_service_account: false, span, now };
        membership::grant(&*tx, id, PLATFORM, &owner, new).await.map_err(retry)?;
    }
    tx.commit().await.map_err(retry)
}

/// Address and name, which events do not carry.
async fn person_of(service: &Organisations, id: Uuid) -> Result<(String, String), Refusal> {
    let retry = |status: tonic::Status| Refusal::Retry(format!("identity: {:?}", status.code()));
    let auth = service.peers.own().await.map_err(retry)?;
    let mut client = UserServiceClient::new(service.peers.identity(auth));
    let answer = client.get_user(GetUserRequest { id: id.to_string() }).await.map_err(retry)?;
    let user = answer.into_inner().user.unwrap_or_default();
    Ok((user.email, user.display_name))
}
