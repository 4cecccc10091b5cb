//! What operators ask about an outbox, the same of every service that has one.

use api::operations::v1::{
    GetOutboxStatusRequest, GetOutboxStatusResponse, RetryOutboxRequest, RetryOutboxResponse,
    StuckEvent,
    outbox_service_server::{OutboxService, OutboxServiceServer},
};
use db::{Database, DbErr, outbox};
use kernel::{Clock, Fields, Uuid, parse_id};
use tonic::{Code, Request, Response, Status};

use crate::{Caller, Peers, status};

/// The permission at the platform, and the scope, that every call needs.
const MANAGE: &str = "operations.manage";
/// How many stuck events are shown.
const SHOWN: u64 = 100;

/// The outbox of a service.
pub(crate) struct Outbox {
    pub service: &'static str,
    pub database: Database,
    pub clock: Clock,
    pub peers: Peers,
}

impl Outbox {
    /// Its RPCs.
    pub(crate) fn server(self) -> OutboxServiceServer<Self> {
        OutboxServiceServer::new(self)
    }

    /// Refuses whoever does not run the platform.
    async fn require_operator<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let caller = Caller::of(request)?;
        match self.peers.allow(&caller, Uuid::nil(), MANAGE).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(status::refusal(
                "operations.usher",
                Code::PermissionDenied,
                "PERMISSION_MISSING",
                format!("the permission {MANAGE} is needed"),
                &[("required", MANAGE.to_owned())],
                None,
            )),
            Err(status) => {
                Err(Status::unavailable(format!("CheckPermission: {:?}", status.code())))
            }
        }
    }
}

#[tonic::async_trait]
impl OutboxService for Outbox {
    async fn get_outbox_status(
        &self,
        request: Request<GetOutboxStatusRequest>,
    ) -> Result<Response<GetOutboxStatusResponse>, Status> {
        self.require_operator(&request).await?;
        let backlog = outbox::backlog(&self.database).await.map_err(failed)?;
        let stuck = outbox::stuck(&self.database, SHOWN).await.map_err(failed)?;
        let count = |count| i64::try_from(count).unwrap_or(i64::MAX);
        Ok(Response::new(GetOutboxStatusResponse {
            service: self.service.to_owned(),
            waiting: count(backlog.waiting),
            refused: count(backlog.refused),
            dead: count(backlog.dead),
            oldest_at: backlog.oldest.map(api::timestamp),
            stuck: stuck.into_iter().map(shown).collect(),
        }))
    }

    async fn retry_outbox(
        &self,
        request: Request<RetryOutboxRequest>,
    ) -> Result<Response<RetryOutboxResponse>, Status> {
        let mut fields = Fields::default();
        let event_id = fields.read_optional("event_id", &request.get_ref().event_id, parse_id);
        let Some(event_id) = event_id else { return Err(status::invalid(&fields)) };
        self.require_operator(&request).await?;
        let retried = outbox::retry(&self.database, event_id, self.clock.now()).await;
        let retried = i64::try_from(retried.map_err(failed)?).unwrap_or(i64::MAX);
        Ok(Response::new(RetryOutboxResponse { retried }))
    }
}

fn shown(row: outbox::Model) -> StuckEvent {
    StuckEvent {
        id: row.id.to_string(),
        r#type: row.routing_key,
        subject: row.subject.to_string(),
        attempts: row.attempts,
        dead: row.dead.is_some(),
        error: row.dead.unwrap_or(row.last_error),
        created_at: Some(api::timestamp(row.created_at)),
        next_at: Some(api::timestamp(row.available_at)),
    }
}

fn failed(error: DbErr) -> Status {
    if db::is_unavailable(&error) { status::unavailable(&error) } else { status::internal(&error) }
}
