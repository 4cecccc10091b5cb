use std::sync::{Arc, Mutex};

use api::organisation::v1::{
    CreateInvitationRequest,
    invitation_service_server::{InvitationService, InvitationServiceServer},
};
use service::Module;
use testkit::{Bench, Served};
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream, service::Routes};

use super::{
    super::{super::credentials::Credentials, rows},
    *,
};

/// A service that answers as an address tells it to, and notes what came.
#[derive(Clone, Default)]
struct Double {
    got: Arc<Mutex<Vec<CreateInvitationRequest>>>,
    dry: Arc<Mutex<Vec<bool>>>,
}

#[tonic::async_trait]
impl InvitationService for Double {
    async fn import_invitations(
        &self,
        request: Request<Streaming<ImportInvitationsRequest>>,
    ) -> Result<Response<BoxStream<ImportInvitationsResponse>>, Status> {
        let this = self.clone();
        let answers = request.into_inner().map(move |row| this.answer(row?));
        Ok(Response::new(Box::pin(answers)))
    }
}

impl Double {
    fn answer(&self, row: ImportInvitationsRequest) -> Result<ImportInvitationsResponse, Status> {
        let invitation = row.invitation.unwrap_or_default();
        let email = invitation.email.clone();
        self.got.lock().unwrap().push(invitation);
        self.dry.lock().unwrap().push(row.dry_run);
        let answer = |outcome: ImportOutcome, reason: &str| ImportInvitationsResponse {
            row: row.row,
            outcome: outcome.into(),
            reason: reason.to_owned(),
            ..Default::default()
        };
        match email.split('@').next() {
            Some("again") => Ok(answer(ImportOutcome::Exists, "")),
            Some("refused") => Ok(answer(ImportOutcome::Refused, "DOMAIN_NOT_ALLOWED")),
            Some("broken") => Err(service::unavailable("a test")),
            _ => Ok(answer(ImportOutcome::Created, "")),
        }
    }
}

async fn served(bench: &Bench, double: &Double) -> Served {
    let routes = Routes::new(InvitationServiceServer::new(double.clone()));
    bench.serve(Module { grpc: Some(routes), ..Module::new("organisation") }).await
}

/// Imports a text; what was printed, and how it ended.
async fn import(
    bench: &Bench,
    double: &Double,
    text: &str,
    output: Output,
    dry_run: bool,
) -> (String, Result<(), String>, String) {
    let served = served(bench, double).await;
    let (file, results) = (bench.folder().join("people.csv"), bench.folder().join("results.csv"));
    std::fs::write(&file, text).unwrap();
    let token = Credentials::Token(bench.service_token("").into());
    let mut session = Session::new(&served.url, &served.url, token).unwrap();
    let rows = rows::check(&file, "abc").unwrap();
    let import = Import {
        file,
        organisation: "abc".to_owned(),
        dry_run,
        results: Some(results.clone()),
        rows,
        output,
    };
    let mut out = Vec::new();
    let outcome = import.run(&mut session, &mut out).await.map_err(|error| format!("{error:#}"));
    (String::from_utf8(out).unwrap(), outcome, std::fs::read_to_string(results).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_is_told_with_its_line_and_one_refused_is_no_success() {
    let (bench, double) = (Bench::sqlite().await, Double::default());
    let text = "email,role\nada@example.com,user teacher\n\nagain@example.com,\nrefused@example.com,user\n";
    let (told, outcome, results) = import(&bench, &double, text, Output::Table, false).await;
    assert_eq!(outcome, Err("1 of 3 rows were refused".to_owned()));
    let expected = "line 2      created\n\
                    line 4      exists\n\
                    line 5      refused  DOMAIN_NOT_ALLOWED\n\
                    \n\
                    OUTCOME  ROWS\n\
                    created  1\n\
                    exists   1\n\
                    refused  1\n";
    assert_eq!(told, expected);
    let expected = "line,outcome,invitation_id,reason,message\n\
                    2,created,,,\n\
                    4,exists,,,\n\
                    5,refused,,DOMAIN_NOT_ALLOWED,\n";
    assert_eq!(results, expected);
    let got = double.got.lock().unwrap();
    assert_eq!(got[0].roles, ["user", "teacher"]);
    assert!(got.iter().all(|row| row.organisation_id == "abc"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_rows_go_in_one_call_and_programs_read_a_line_each() {
    let (bench, double) = (Bench::sqlite().await, Double::default());
    let rows: String = (0..10_000).map(|n| format!("person-{n}@example.com\n")).collect();
    let text = format!("email\n{rows}");
    let (told, outcome, _) = import(&bench, &double, &text, Output::Json, true).await;
    assert_eq!(outcome, Ok(()));
    let lines: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 10_001);
    assert_eq!(
        (&lines[9_999]["line"], &lines[9_999]["outcome"]),
        (&json!(10_001), &json!("created"))
    );
    let summary = json!({ "created": 10_000, "exists": 0, "refused": 0, "dry_run": true });
    assert_eq!(lines[10_000]["summary"], summary);
    assert_eq!(double.got.lock().unwrap().len(), 10_000);
    assert!(double.dry.lock().unwrap()[0], "the service is told that it is a dry run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_breaks_off_tells_how_far_it_came() {
    let (bench, double) = (Bench::sqlite().await, Double::default());
    let text = "email\nada@example.com\nbroken@example.com\neve@example.com\n";
    let (told, outcome, results) = import(&bench, &double, text, Output::Table, false).await;
    let why = outcome.unwrap_err();
    assert!(why.starts_with("1 of 3 rows were answered; it is safe to run it again"), "{why}");
    assert!(told.contains("line 2"), "{told}");
    assert!(results.contains("2,created"), "{results}");
}
