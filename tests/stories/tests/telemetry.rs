//! Traces leave for a collector when one is configured.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use stories::{Client, Process};
use testkit::eventually;
use tonic::{service::Routes, transport::Server};

type Exported = Arc<Mutex<Vec<u8>>>;

/// A collector that keeps what OTLP over gRPC brings, as it comes.
async fn collector() -> (String, Exported) {
    let exported = Exported::default();
    let keep = async |State(exported): State<Exported>, body: Bytes| {
        exported.lock().expect("the exports").extend_from_slice(&body);
        HeaderMap::from_iter([
            ("content-type".parse().expect("a name"), "application/grpc".parse().expect("a value")),
            ("grpc-status".parse().expect("a name"), "0".parse().expect("a value")),
        ])
    };
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let router = Router::new().route(path, post(keep)).with_state(exported.clone());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let server = Server::builder().add_routes(Routes::from(router));
    tokio::spawn(server.serve_with_incoming(incoming));
    (url, exported)
}

#[tokio::test]
async fn a_trace_reaches_the_collector_with_the_spans_of_every_service() {
    let (endpoint, exported) = collector().await;
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["up", "--http", "127.0.0.1:0", "--grpc-port", "0", "--management"];
    let arguments = [&arguments[..], &["127.0.0.1:0"]].concat();
    let settings = [
        ("USHER_OTLP_ENDPOINT", endpoint.as_str()),
        ("USHER_LOG_FILTER", "info"),
        ("USHER_OWNER_EMAIL", "owner@example.com"),
        ("USHER_OWNER_PASSWORD", stories::PASSWORD),
    ];
    let process = Process::start(folder.path(), "up", &arguments, &settings);
    let url = eventually("usher up is ready", async || {
        let printed = process.stdout();
        let (_, rest) = printed.split_once("Pages and REST")?;
        printed.contains("Stop with").then(|| rest.split_whitespace().next().map(str::to_owned))?
    })
    .await;
    let owner = Client::anonymous(&url).sign_in("owner@example.com", stories::PASSWORD).await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    owner.invite(&root, "ada@example.com", "user").await;
    for span in [
        "POST /api/organisation-invitations",
        "organisation.v1.InvitationService/CreateInvitation",
        "identity.v1.UserService/CreateInvitedUser",
        "mailer.invitations",
        "notification.v1.DeliveryService/ClaimDelivery",
    ] {
        eventually(&format!("the collector has the span {span}"), async || {
            let exported = exported.lock().expect("the exports");
            exported.windows(span.len()).any(|part| part == span.as_bytes()).then_some(())
        })
        .await;
    }
    let exported = exported.lock().expect("the exports");
    for secret in ["ada@example.com", owner.token()] {
        let told = exported.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!told, "a span tells {secret}");
    }
}
