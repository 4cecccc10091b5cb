//! `usher outbox`: what waits to leave each service.

use api::operations::v1::{
    GetOutboxStatusRequest, GetOutboxStatusResponse, RetryOutboxRequest,
    outbox_service_client::OutboxServiceClient,
};
use clap::Subcommand;
use serde::Serialize;

use super::{
    Options,
    output::{Out, Output, Table, json},
    refusal::told,
    session::Session,
};

#[derive(Subcommand, Debug)]
pub enum OutboxCommand {
    /// Show how much waits, since when, and what is stuck and why.
    Status,
    /// Let stuck events leave at once: those that wait for their next attempt, and those given up.
    Retry {
        /// Only this one.
        #[arg(long, value_name = "ID")]
        event: Option<String>,
    },
}

impl OutboxCommand {
    pub(crate) async fn run(self, options: &Options, out: Out<'_>) -> anyhow::Result<()> {
        let mut session = Session::of(options)?;
        let outcome = match self {
            Self::Status => status(&mut session, options.output, out).await,
            Self::Retry { event } => retry(&mut session, event, out).await,
        };
        session.sign_out().await;
        out.flush()?;
        outcome
    }
}

async fn status(session: &mut Session, output: Output, out: Out<'_>) -> anyhow::Result<()> {
    let mut boxes = Vec::new();
    for connection in session.all().await? {
        let mut client = OutboxServiceClient::new(connection);
        let answer = client.get_outbox_status(GetOutboxStatusRequest {}).await;
        boxes.push(answer.map_err(|it| told(&it))?.into_inner());
    }
    print(boxes, output, out)
}

async fn retry(session: &mut Session, event: Option<String>, out: Out<'_>) -> anyhow::Result<()> {
    let event_id = event.unwrap_or_default();
    let mut retried = 0;
    for connection in session.all().await? {
        let mut client = OutboxServiceClient::new(connection);
        let request = RetryOutboxRequest { event_id: event_id.clone() };
        retried += client.retry_outbox(request).await.map_err(|it| told(&it))?.into_inner().retried;
    }
    Ok(writeln!(out, "{retried} leave at once")?)
}

#[derive(Serialize)]
struct Shown {
    service: String,
    waiting: i64,
    refused: i64,
    dead: i64,
    oldest_at: Option<String>,
    stuck: Vec<Stuck>,
}

#[derive(Serialize)]
struct Stuck {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    attempts: i32,
    dead: bool,
    next_at: Option<String>,
    error: String,
}

impl From<GetOutboxStatusResponse> for Shown {
    fn from(status: GetOutboxStatusResponse) -> Self {
        let stuck = status.stuck.into_iter().map(|event| Stuck {
            id: event.id,
            kind: event.r#type,
            subject: event.subject,
            attempts: event.attempts,
            dead: event.dead,
            next_at: event.next_at.map(|at| at.to_string()).filter(|_| !event.dead),
            error: event.error,
        });
        Self {
            service: status.service,
            waiting: status.waiting,
            refused: status.refused,
            dead: status.dead,
            oldest_at: status.oldest_at.map(|at| at.to_string()),
            stuck: stuck.collect(),
        }
    }
}

fn print(boxes: Vec<GetOutboxStatusResponse>, output: Output, out: Out<'_>) -> anyhow::Result<()> {
    let boxes: Vec<_> = boxes.into_iter().map(Shown::from).collect();
    if output == Output::Json {
        return Ok(json(out, &boxes)?);
    }
    let mut table = Table::new(["SERVICE", "WAITING", "REFUSED", "GIVEN UP", "OLDEST"]);
    for shown in &boxes {
        let [waiting, refused, dead] =
            [shown.waiting, shown.refused, shown.dead].map(|count| count.to_string());
        let oldest = shown.oldest_at.as_deref().unwrap_or_default();
        table.row([&shown.service, &waiting, &refused, &dead, oldest]);
    }
    table.print(out)?;
    if boxes.iter().all(|shown| shown.stuck.is_empty()) {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(["EVENT", "SERVICE", "TYPE", "ATTEMPTS", "NEXT", "ERROR"]);
    for shown in &boxes {
        for event in &shown.stuck {
            let next = event.next_at.as_deref().unwrap_or("given up");
            let attempts = event.attempts.to_string();
            table.row([&event.id, &shown.service, &event.kind, &attempts, next, &event.error]);
        }
    }
    Ok(table.print(out)?)
}

#[cfg(test)]
mod tests {
    use api::operations::v1::StuckEvent;

    use super::*;

    #[test]
    fn what_is_stuck_is_told_with_its_reason() {
        let event = StuckEvent {
            id: "7".to_owned(),
            r#type: "test.told.v1".to_owned(),
            attempts: 3,
            error: "no queue is bound".to_owned(),
            next_at: Some(prost_types::Timestamp { seconds: 1_767_268_800, nanos: 0 }),
            ..Default::default()
        };
        let status = GetOutboxStatusResponse {
            service: "organisation".to_owned(),
            waiting: 12,
            refused: 1,
            stuck: vec![event],
            ..Default::default()
        };
        let mut out = Vec::new();
        print(vec![status], Output::Table, &mut out).unwrap();
        let expected = "\
SERVICE       WAITING  REFUSED  GIVEN UP  OLDEST
organisation  12       1        0

EVENT  SERVICE       TYPE          ATTEMPTS  NEXT                  ERROR
7      organisation  test.told.v1  3         2026-01-01T12:00:00Z  no queue is bound
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
