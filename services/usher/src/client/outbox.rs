//! `usher outbox`: what waits to leave each service.

use api::operations::v1::{
    GetOutboxStatusRequest, GetOutboxStatusResponse, RetryOutboxRequest,
    outbox_service_client::OutboxServiceClient,
};
use clap::Subcommand;
use serde::Serialize;
use tonic::Status;

use super::{
    Options,
    output::{Out, Output, Table, json, plain},
    refusal::{sentence, told},
    session::Session,
};

#[derive(Subcommand, Debug)]
pub enum OutboxCommand {
    /// Show how much waits, since when, and what is stuck and why.
    ///
    /// Ends with 1 if a service did not say; what the others said is shown all the same.
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
    for (service, connection) in session.all().await? {
        let mut client = OutboxServiceClient::new(connection);
        // One is often asked for because another is away, which must not hide what this one says.
        boxes.push(match client.get_outbox_status(GetOutboxStatusRequest {}).await {
            Ok(answer) => Shown::from(answer.into_inner()),
            Err(status) => Shown::silent(service, &status),
        });
    }
    print(&boxes, output, out)?;
    let silent = boxes.iter().filter(|shown| shown.error.is_some()).count();
    anyhow::ensure!(silent == 0, "{silent} of {} services did not say", boxes.len());
    Ok(())
}

async fn retry(session: &mut Session, event: Option<String>, out: Out<'_>) -> anyhow::Result<()> {
    let event_id = event.unwrap_or_default();
    let mut retried = 0;
    for (_, connection) in session.all().await? {
        let mut client = OutboxServiceClient::new(connection);
        let request = RetryOutboxRequest { event_id: event_id.clone() };
        retried += client.retry_outbox(request).await.map_err(|it| told(&it))?.into_inner().retried;
    }
    Ok(writeln!(out, "{retried} leave at once")?)
}

#[derive(Default, Serialize)]
struct Shown {
    service: String,
    /// Why the service did not say; then there are no counts, for 0 would be one.
    error: Option<String>,
    waiting: Option<i64>,
    refused: Option<i64>,
    dead: Option<i64>,
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
            error: None,
            waiting: Some(status.waiting),
            refused: Some(status.refused),
            dead: Some(status.dead),
            oldest_at: status.oldest_at.map(|at| at.to_string()),
            stuck: stuck.collect(),
        }
    }
}

impl Shown {
    fn silent(service: &str, status: &Status) -> Self {
        let (service, error) = (service.to_owned(), Some(sentence(status)));
        Self { service, error, ..Self::default() }
    }
}

fn print(boxes: &[Shown], output: Output, out: Out<'_>) -> anyhow::Result<()> {
    if output == Output::Json {
        return Ok(json(out, &boxes)?);
    }
    let mut table = Table::new(["SERVICE", "WAITING", "REFUSED", "GIVEN UP", "OLDEST"]);
    for shown in boxes {
        let [waiting, refused, dead] = [shown.waiting, shown.refused, shown.dead]
            .map(|count| count.map_or_else(|| "?".to_owned(), |count| count.to_string()));
        let oldest = shown.oldest_at.as_deref().unwrap_or_default();
        table.row([&shown.service, &waiting, &refused, &dead, oldest]);
    }
    table.print(out)?;
    for Shown { service, error, .. } in boxes {
        if let Some(error) = error {
            writeln!(out, "\n{service} did not say: {}", plain(error))?;
        }
    }
    if boxes.iter().all(|shown| shown.stuck.is_empty()) {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(["EVENT", "SERVICE", "TYPE", "ATTEMPTS", "NEXT", "ERROR"]);
    for shown in boxes {
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
    use api::operations::v1::{
        StuckEvent,
        outbox_service_server::{OutboxService, OutboxServiceServer},
    };
    use service::Module;
    use testkit::{Bench, Served};
    use tonic::{Request, Response, service::Routes};

    use super::{super::credentials::Credentials, *};

    /// A service with its name and one event that waits.
    struct Double(&'static str);

    #[tonic::async_trait]
    impl OutboxService for Double {
        async fn get_outbox_status(
            &self,
            _: Request<GetOutboxStatusRequest>,
        ) -> Result<Response<GetOutboxStatusResponse>, Status> {
            let service = self.0.to_owned();
            let status = GetOutboxStatusResponse { service, waiting: 1, ..Default::default() };
            Ok(Response::new(status))
        }
    }

    async fn served(bench: &Bench, name: &'static str) -> Served {
        let routes = Routes::new(OutboxServiceServer::new(Double(name)));
        bench.serve(Module { grpc: Some(routes), ..Module::new(name) }).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_service_that_is_away_is_named_and_the_others_are_heard() {
        let bench = Bench::sqlite().await;
        let (identity, notification) =
            (served(&bench, "identity").await, served(&bench, "notification").await);
        let asked = async |output| {
            let token = Credentials::Token(bench.service_token("").into());
            let places = [identity.url.as_str(), "http://127.0.0.1:1", &notification.url];
            let (mut session, mut out) = (Session::new(places, token).unwrap(), Vec::new());
            let outcome = status(&mut session, output, &mut out).await;
            // What ends the command with 1.
            assert_eq!(outcome.unwrap_err().to_string(), "1 of 3 services did not say");
            String::from_utf8(out).unwrap()
        };
        let expected = "\
SERVICE       WAITING  REFUSED  GIVEN UP  OLDEST
identity      1        0        0
organisation  ?        ?        ?
notification  1        0        0

organisation did not say: the service cannot be reached: ";
        let told = asked(Output::Table).await;
        assert!(told.starts_with(expected), "{told}");
        let told: serde_json::Value = serde_json::from_str(&asked(Output::Json).await).unwrap();
        assert_eq!((&told[0]["waiting"], &told[2]["waiting"]), (&1.into(), &1.into()), "{told}");
        assert!(told[0]["error"].is_null() && told[1]["waiting"].is_null(), "{told}");
        assert_eq!(told[1]["service"], "organisation");
        assert!(told[1]["error"].as_str().unwrap().contains("cannot be reached"), "{told}");
    }

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
        print(&[Shown::from(status)], Output::Table, &mut out).unwrap();
        let expected = "\
SERVICE       WAITING  REFUSED  GIVEN UP  OLDEST
organisation  12       1        0

EVENT  SERVICE       TYPE          ATTEMPTS  NEXT                  ERROR
7      organisation  test.told.v1  3         2026-01-01T12:00:00Z  no queue is bound
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
