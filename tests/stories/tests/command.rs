//! The command `usher`, as an operator and a newcomer meet it.

use std::path::Path;

use api::notification::v1::{
    DeliveryState, ListDeliveriesRequest, delivery_service_client::DeliveryServiceClient,
};
use serde_json::json;
use stories::{Client, Process};
use testkit::{Reply, SmtpSink, eventually, with_token};
use tonic::transport::Endpoint;

/// Starts `usher up` on a folder and waits until it is ready; the process and the gateway's URL.
async fn up(folder: &Path, name: &str) -> (Process, String) {
    up_with(folder, name, &[]).await
}

/// The same with settings.
async fn up_with(folder: &Path, name: &str, settings: &[(&str, &str)]) -> (Process, String) {
    let arguments = ["up", "--data-dir", "data", "--http", "127.0.0.1:0", "--grpc-port", "0"];
    let arguments = [&arguments[..], &["--management", "127.0.0.1:0"]].concat();
    let process = Process::start(folder, name, &arguments, settings);
    let url = eventually("usher up is ready", async || {
        let printed = process.stdout();
        printed.contains("Stop with Ctrl-C").then(|| word_after(&printed, "Pages and REST"))
    })
    .await;
    (process, url)
}

fn word_after(text: &str, label: &str) -> String {
    let (_, rest) = text.split_once(label).expect(label);
    rest.split_whitespace().next().expect("a word").to_owned()
}

#[tokio::test]
async fn up_killed_at_any_moment_comes_back_with_its_data_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut first, url) = up(folder.path(), "first").await;
    let email = word_after(&first.stdout(), "Sign in as");
    let password = word_after(&first.stdout(), "Password");
    let owner = Client::anonymous(&url).sign_in(&email, &password).await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    owner.invite(&root, "ada@example.com", "user").await;
    // The mail may or may not have been written: it must be there in the end, once.
    first.kill();

    let (second, url) = up(folder.path(), "second").await;
    assert!(!second.stdout().contains(&password), "the password is shown once");
    let owner = Client::anonymous(&url).sign_in(&email, &password).await;
    let found = owner.get(&format!("/api/organisations/{root}")).await.expect(200);
    assert_eq!(found["display_name"], "ABC Holdings");
    let mails = eventually("the mail has arrived", async || {
        let mails = Client::anonymous(&url).get("/api/mailbox?to=ada@example.com").await;
        mails.body.as_array().cloned().filter(|mails| !mails.is_empty())
    })
    .await;
    assert_eq!(mails.len(), 1);
}

#[tokio::test]
async fn sigterm_ends_up_well_and_within_ten_seconds() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut process, url) = up(folder.path(), "up").await;
    // A connection that stays open must not hold it up.
    let client = Client::anonymous(&url);
    client.get("/.well-known/jwks.json").await.expect(200);
    let begun = std::time::Instant::now();
    process.terminate();
    assert!(process.exit().await.success(), "{}", process.stderr());
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

/// The mail is with the mail server, which has not answered yet, when SIGTERM comes: the mailer
/// waits for the answer, and the notification service is still there to record it.
#[tokio::test]
async fn a_mail_in_flight_at_sigterm_is_sent_and_recorded_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = SmtpSink::start().await;
    sink.reply(&[Reply::Hold]);
    let smtp = format!("smtp://{}", sink.address());
    let settings = [("USHER_SMTP_URL", smtp.as_str()), ("USHER_LOG_FILTER", "info")];
    let (mut first, url) = up_with(folder.path(), "first", &settings).await;
    let email = word_after(&first.stdout(), "Sign in as");
    let password = word_after(&first.stdout(), "Password");
    let owner = Client::anonymous(&url).sign_in(&email, &password).await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    owner.invite(&root, "ada@example.com", "user").await;
    eventually("the mail is in flight", async || (sink.offered().len() == 1).then_some(())).await;
    first.terminate();
    eventually("it is stopping", async || first.stderr().contains("stopping").then_some(())).await;
    sink.release();
    assert!(first.exit().await.success(), "{}", first.stderr());

    let (second, url) = up_with(folder.path(), "second", &settings).await;
    let owner = Client::anonymous(&url).sign_in(&email, &password).await;
    let printed = second.stdout();
    let before = printed.split_once(" notification").expect("its address").0;
    let address = before.rsplit(' ').next().expect("its address");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let mut deliveries = DeliveryServiceClient::new(endpoint.connect_lazy());
    let request = ListDeliveriesRequest { organisation_id: root, ..Default::default() };
    let answer = deliveries.list_deliveries(with_token(owner.token(), request)).await;
    let answer = answer.expect("an answer").into_inner().deliveries;
    let recorded: Vec<_> = answer.iter().map(|it| (it.state(), it.attempts)).collect();
    assert_eq!(recorded, [(DeliveryState::Sent, 1)]);
    assert_eq!(sink.mails().len(), 1);
}

/// Runs a client verb to its end: its exit code, what it printed and what it said beside that.
async fn run(
    folder: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (Option<i32>, String, String) {
    let mut process = Process::start(folder, "verb", arguments, environment);
    let status = process.exit().await;
    (status.code(), process.stdout(), process.stderr())
}

/// An operator verifies the history, notes its head down, and verifies again later.
#[tokio::test]
async fn the_history_is_verified_from_the_command_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let (process, url) = up(folder.path(), "up").await;
    let printed = process.stdout();
    let (email, password) = (word_after(&printed, "Sign in as"), word_after(&printed, "Password"));
    let identity = format!("http://{}", word_after(&printed, "gRPC"));
    let organisation = format!("http://{}", word_after(&printed, " identity,"));
    let owner = Client::anonymous(&url).sign_in(&email, &password).await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    owner.invite(&root, "ada@example.com", "user").await;

    let places =
        [("USHER_IDENTITY_URL", identity.as_str()), ("USHER_ORGANISATION_URL", &organisation)];
    let signed_in = [&places[..], &[("USHER_PASSWORD", password.as_str())]].concat();
    let usher = async |verb: &str| {
        let arguments: Vec<_> = verb.split(' ').chain(["--email", &email]).collect();
        run(folder.path(), &arguments, &signed_in).await
    };
    eventually("both records have their places", async || {
        let (code, listed, told) = usher("audit list --output json").await;
        assert_eq!(code, Some(0), "{told}");
        let records: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
        let records = records.as_array().expect("records").clone();
        let sealed = records.iter().all(|record| record["sequence"].as_i64() > Some(0));
        (sealed && records.len() == 2).then_some(())
    })
    .await;
    let (_, table, _) = usher(&format!("audit list --organisation {root}")).await;
    assert!(table.contains("invitations.create") && table.contains(&root), "{table}");

    let (code, told, beside) = usher("audit verify").await;
    assert_eq!((code, beside.as_str()), (Some(0), ""), "{told}");
    assert!(told.contains("The chain holds: 2 records."), "{told}");
    let head = word_after(&told, "noted down:");
    assert_eq!(usher(&format!("audit verify --head {head}")).await.0, Some(0));
    let other = format!("9:{}", head.split_once(':').expect("a hash").1);
    let (code, _, told) = usher(&format!("audit verify --head {other}")).await;
    assert_eq!(code, Some(1));
    assert!(told.contains("record 3 is missing"), "{told}");

    // The export can be verified where nobody can sign in.
    let (code, exported, _) = usher("audit export").await;
    assert_eq!((code, exported.lines().count()), (Some(0), 2));
    let forged = exported.replacen("invitations.create", "invitations.revoke", 1);
    for (text, expected) in [(exported, Some(0)), (forged, Some(1))] {
        std::fs::write(folder.path().join("history.jsonl"), text).expect("a file");
        let verify = ["audit", "verify", "--file", "history.jsonl", "--head", &head];
        assert_eq!(run(folder.path(), &verify, &[]).await.0, expected);
    }

    // What is refused is told with its reason; what makes no sense ends with 2.
    let wrong = [&places[..], &[("USHER_PASSWORD", "not the password at all")]].concat();
    let verify = ["audit", "verify", "--email", email.as_str()];
    let (code, _, told) = run(folder.path(), &verify, &wrong).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("usher: ") && told.contains("_"), "{told}");
    let (code, _, told) = run(folder.path(), &["audit", "verify"], &places).await;
    assert_eq!(code, Some(2), "{told}");
}

#[tokio::test]
async fn demo_tells_the_story_and_exits_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(folder.path(), "demo", &["demo"], &[]);
    let status = process.exit().await;
    assert!(status.success(), "{}{}", process.stdout(), process.stderr());
    assert!(process.stdout().contains("The story is told"));
}

#[tokio::test]
async fn wrong_settings_are_named_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = [("USHER_BUS_URL", "http://rabbit"), ("USHER_SMTP_URL", "mailbox:mails")];
    let mut process = Process::start(folder.path(), "serve", &["serve", "mailer"], &wrong);
    assert_eq!(process.exit().await.code(), Some(1));
    let told = process.stderr();
    for part in [
        "USHER_BUS_URL: expected amqp://",
        "USHER_SMTP_URL: production refuses an embedded mail",
        "USHER_CACHE_URL: missing",
        "USHER_SERVICE_SECRET: missing",
    ] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
}

/// The order in which a platform's parts start does not matter.
#[tokio::test]
async fn serve_waits_for_its_database_and_stops_when_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = [
        ("USHER_DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"),
        ("USHER_BUS_URL", "amqp://127.0.0.1:1"),
        ("USHER_CACHE_URL", "redis://127.0.0.1:1"),
        ("USHER_SERVICE_SECRET", "0123456789abcdef0123456789abcdef"),
        ("USHER_SECRET_KEY", "fedcba9876543210fedcba9876543210"),
        ("USHER_LISTEN", "127.0.0.1:0"),
        ("USHER_MANAGEMENT_LISTEN", "127.0.0.1:0"),
    ];
    let mut process = Process::start(folder.path(), "serve", &["serve", "notification"], &settings);
    eventually("it waits", async || {
        process.stderr().contains("waiting for the database").then_some(())
    })
    .await;
    process.expect_running();
    process.terminate();
    assert!(process.exit().await.success(), "{}", process.stderr());
}

#[tokio::test]
async fn serve_refuses_tables_that_are_not_up_to_date() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = "0123456789abcdef0123456789abcdef";
    let settings = [
        ("USHER_ENVIRONMENT", "development"),
        ("USHER_DATABASE_URL", "sqlite:data"),
        ("USHER_BUS_URL", "memory:"),
        ("USHER_CACHE_URL", "memory:"),
        ("USHER_SERVICE_SECRET", secret),
        ("USHER_SECRET_KEY", secret),
    ];
    let mut process = Process::start(folder.path(), "serve", &["serve", "notification"], &settings);
    assert_eq!(process.exit().await.code(), Some(1));
    assert!(process.stderr().contains("run `usher migrate` first"), "{}", process.stderr());
}

#[tokio::test]
async fn no_secret_is_in_the_logs() {
    let folder = tempfile::tempdir().expect("a folder");
    let verbose = [("USHER_LOG_FILTER", "trace,h2=info,hyper=info,hyper_util=info")];
    let (process, url) = up_with(folder.path(), "up", &verbose).await;
    let printed = process.stdout();
    let (email, password) = (word_after(&printed, "Sign in as"), word_after(&printed, "Password"));
    let visitor = Client::anonymous(&url);
    let tokens = visitor.try_sign_in(&email, &password).await.expect(201);
    let owner = visitor.with_token(tokens["access_token"].as_str().expect("a token"));
    let root = owner.create_organisation("ABC Holdings", None).await;
    owner.invite(&root, "ada@example.com", "user").await;
    let link = eventually("the mail has arrived", async || {
        let mails = visitor.get("/api/mailbox?to=ada@example.com").await;
        let text = mails.body[0]["text"].as_str()?.to_owned();
        text.split_whitespace().find(|word| word.contains("/invitations/")).map(str::to_owned)
    })
    .await;
    visitor.open(&link).await;
    let chosen = "a password for Ada Lovelace";
    visitor.enrol(&link, "Ada Lovelace", chosen).await;
    visitor
        .post("/api/sessions/refresh", &json!({ "refresh_token": tokens["refresh_token"] }))
        .await;
    let secret_key = std::fs::read_to_string(folder.path().join("data/secret.key")).expect("a key");
    let log = process.stderr();
    assert!(log.contains("rpc.method"), "the calls are logged");
    let token = link.rsplit_once('/').expect("a token").1;
    for (what, secret) in [
        ("the owner's password", password.as_str()),
        ("the chosen password", chosen),
        ("the access token", owner.token()),
        ("the refresh token", tokens["refresh_token"].as_str().expect("a token")),
        ("the link's token", token),
        ("the invitee's address", "ada@example.com"),
        ("the secret key", secret_key.trim()),
    ] {
        let place = log.find(secret).map(|at| log[at.saturating_sub(300)..at].to_owned());
        assert_eq!(place, None, "{what} is in the log");
    }
}
