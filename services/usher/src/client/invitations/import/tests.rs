use std::sync::{Arc, Mutex};

use api::{
    identity::v1::{
        self as identity, SessionTokens,
        session_service_server::{SessionService, SessionServiceServer},
    },
    organisation::v1::{
        CreateInvitationRequest,
        invitation_service_server::{InvitationService, InvitationServiceServer},
    },
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
    /// How many rows each call brought.
    calls: Arc<Mutex<Vec<usize>>>,
    /// What was asked of sessions.
    sessions: Arc<Mutex<Vec<String>>>,
    token: String,
}

#[tonic::async_trait]
impl SessionService for Double {
    async fn create_session(
        &self,
        request: Request<identity::CreateSessionRequest>,
    ) -> Result<Response<identity::CreateSessionResponse>, Status> {
        self.sessions.lock().unwrap().push(format!("create {}", request.into_inner().email));
        let tokens = Some(self.tokens("first"));
        Ok(Response::new(identity::CreateSessionResponse { tokens, ..Default::default() }))
    }

    async fn refresh_session(
        &self,
        request: Request<identity::RefreshSessionRequest>,
    ) -> Result<Response<identity::RefreshSessionResponse>, Status> {
        let asked = format!("refresh {}", request.into_inner().refresh_token);
        self.sessions.lock().unwrap().push(asked);
        let tokens = Some(self.tokens("second"));
        Ok(Response::new(identity::RefreshSessionResponse { tokens }))
    }

    async fn revoke_current_session(
        &self,
        _: Request<identity::RevokeCurrentSessionRequest>,
    ) -> Result<Response<identity::RevokeCurrentSessionResponse>, Status> {
        self.sessions.lock().unwrap().push("revoke".to_owned());
        Ok(Response::new(identity::RevokeCurrentSessionResponse {}))
    }
}

#[tonic::async_trait]
impl InvitationService for Double {
    async fn import_invitations(
        &self,
        request: Request<Streaming<ImportInvitationsRequest>>,
    ) -> Result<Response<BoxStream<ImportInvitationsResponse>>, Status> {
        let this = self.clone();
        this.calls.lock().unwrap().push(0);
        let answers = request.into_inner().map(move |row| this.answer(row?));
        Ok(Response::new(Box::pin(answers)))
    }
}

impl Double {
    fn tokens(&self, refresh: &str) -> SessionTokens {
        SessionTokens {
            access_token: self.token.clone(),
            expires_in: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
            refresh_token: refresh.to_owned(),
        }
    }

    fn answer(&self, row: ImportInvitationsRequest) -> Result<ImportInvitationsResponse, Status> {
        let invitation = row.invitation.unwrap_or_default();
        let email = invitation.email.clone();
        let calls = {
            let mut calls = self.calls.lock().unwrap();
            *calls.last_mut().unwrap() += 1;
            calls.len()
        };
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
            Some("late") if calls < 2 => Err(Status::unauthenticated("the token has run out")),
            Some("broken") => Err(service::unavailable("a test")),
            _ => Ok(answer(ImportOutcome::Created, "")),
        }
    }
}

async fn served(bench: &Bench, double: &Double) -> Served {
    let routes = Routes::new(InvitationServiceServer::new(double.clone()))
        .add_service(SessionServiceServer::new(double.clone()));
    let public = &[
        "/usher.identity.v1.SessionService/CreateSession",
        "/usher.identity.v1.SessionService/RefreshSession",
    ];
    bench.serve(Module { grpc: Some(routes), public, ..Module::new("organisation") }).await
}

/// Imports a text; what was printed, and how it ended.
async fn import(
    bench: &Bench,
    double: &Double,
    text: &str,
    output: Output,
    dry_run: bool,
) -> (String, Result<(), String>, String) {
    let token = Credentials::Token(bench.service_token("").into());
    import_as(token, bench, double, text, output, dry_run).await
}

async fn import_as(
    credentials: Credentials,
    bench: &Bench,
    double: &Double,
    text: &str,
    output: Output,
    dry_run: bool,
) -> (String, Result<(), String>, String) {
    let served = served(bench, double).await;
    let (file, results) = (bench.folder().join("people.csv"), bench.folder().join("results.csv"));
    std::fs::write(&file, text).unwrap();
    let mut session = Session::new([&served.url; 3], credentials).unwrap();
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
    session.sign_out().await;
    (String::from_utf8(out).unwrap(), outcome, std::fs::read_to_string(results).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_is_told_with_its_line_and_one_refused_is_no_success() {
    let (bench, double) = (Bench::sqlite().await, Double::default());
    let text = "email,role\nada@example.com,user teacher\n\nagain@example.com,\nrefused@example.com,user\n";
    let (told, outcome, results) = import(&bench, &double, text, Output::Table, false).await;
    assert_eq!(outcome, Err("1 of 3 rows were refused".to_owned()));
    let expected = "line 2      created  ada@example.com\n\
                    line 4      exists   again@example.com\n\
                    line 5      refused  refused@example.com  DOMAIN_NOT_ALLOWED\n\
                    \n\
                    OUTCOME  ROWS\n\
                    created  1\n\
                    exists   1\n\
                    refused  1\n";
    assert_eq!(told, expected);
    let expected = "line,email,outcome,invitation_id,reason,message\n\
                    2,ada@example.com,created,,,\n\
                    4,again@example.com,exists,,,\n\
                    5,refused@example.com,refused,,DOMAIN_NOT_ALLOWED,\n";
    assert_eq!(results, expected);
    let got = double.got.lock().unwrap();
    assert_eq!(got[0].roles, ["user", "teacher"]);
    assert!(got.iter().all(|row| row.organisation_id == "abc"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_does_not_say_that_it_did_anything() {
    let (bench, double) = (Bench::sqlite().await, Double::default());
    let text = "email\nada@example.com\nagain@example.com\nrefused@example.com\n";
    let (told, _, _) = import(&bench, &double, text, Output::Table, true).await;
    let expected = "line 2      would be created  ada@example.com\n\
                    line 3      exists            again@example.com\n\
                    line 4      would be refused  refused@example.com  DOMAIN_NOT_ALLOWED\n\
                    \n\
                    WOULD BE  ROWS\n";
    assert!(told.starts_with(expected), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_rows_than_a_call_takes_go_in_several() {
    let (bench, double) = (Bench::sqlite().await, Double::default());
    let rows: String = (0..20_001).map(|n| format!("person-{n}@example.com\n")).collect();
    let text = format!("email\n{rows}");
    let (_, outcome, results) = import(&bench, &double, &text, Output::Table, false).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(*double.calls.lock().unwrap(), [10_000, 10_000, 1]);
    let last = results.lines().last().unwrap();
    assert!(last.starts_with("20002,person-20000@example.com,created"), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_runs_out_on_the_way_is_replaced_and_no_row_is_told_twice() {
    let bench = Bench::sqlite().await;
    let double = Double { token: bench.service_token(""), ..Double::default() };
    let text = "email\nada@example.com\nlate@example.com\neve@example.com\n";
    let person = Credentials::Person { email: "me@example.com".into(), password: "p".into() };
    let (told, outcome, _) = import_as(person, &bench, &double, text, Output::Table, false).await;
    assert_eq!(outcome, Ok(()));
    let expected = "line 2      created  ada@example.com\n\
                    line 3      created  late@example.com\n\
                    line 4      created  eve@example.com\n";
    assert!(told.starts_with(expected), "{told}");
    let sessions = double.sessions.lock().unwrap().clone();
    assert_eq!(sessions, ["create me@example.com", "refresh first", "revoke"]);

    // Whoever brings their own token has no other.
    double.calls.lock().unwrap().clear();
    let (_, outcome, _) = import(&bench, &double, text, Output::Table, false).await;
    let why = outcome.unwrap_err();
    assert!(why.starts_with("1 of 3 rows were answered; it is safe to run it again"), "{why}");
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
        lines[9_999],
        json!({
            "line": 10_001, "email": "person-9999@example.com", "outcome": "created",
            "invitation_id": "", "reason": "", "message": ""
        })
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
    assert!(results.contains("2,ada@example.com,created"), "{results}");
}
