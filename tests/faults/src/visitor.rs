//! People who do something else than invite, so that every network has something to carry.

use std::time::Duration;

use api::notification::v1::{
    ListDeliveriesRequest, delivery_service_client::DeliveryServiceClient,
};
use serde_json::json;
use stories::{OWNER, PASSWORD};
use testkit::{eventually, with_token};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::interval,
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::scene::Scene;

/// One visit a second, until it is stopped.
pub struct Visitor {
    visit: Visit,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// How long somebody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

impl Visitor {
    /// Begins. Visits may fail; who enrols is somebody whose mail has arrived.
    pub fn start(scene: &Scene) -> Self {
        let visit = Visit {
            http: reqwest::Client::builder().timeout(PATIENCE).build().expect("a client"),
            gateway: scene.platform.http.clone(),
            notification: scene.platform.notification(),
            organisation: scene.organisation.clone(),
        };
        let mails = scene.sink().mails();
        let (begun, stop) = (visit.clone(), CancellationToken::new());
        let stopped = stop.clone();
        let running = tokio::spawn(async move {
            let (mut tick, mut visits) = (interval(Duration::from_secs(1)), JoinSet::new());
            let mut mails = mails.into_iter();
            while !stopped.is_cancelled() {
                tick.tick().await;
                let (visit, link) = (begun.clone(), mails.next_back().map(|mail| mail.link()));
                visits.spawn(async move {
                    let enrolling = async {
                        let Some(link) = &link else { return Some(()) };
                        visit.enrol(link).await
                    };
                    tokio::join!(visit.sign_in_and_look(), visit.open_a_stale_link(), enrolling)
                });
            }
            visits.join_all().await;
        });
        Self { visit, stop, running }
    }

    /// Stops, and sees that everybody gets on while invitations are made.
    pub async fn finish(self, scene: &Scene) {
        self.stop.cancel();
        self.running.await.expect("the visits end");
        let visit = &self.visit;
        eventually("somebody looks", async || visit.sign_in_and_look().await).await;
        eventually("a link is answered", async || visit.open_a_stale_link().await).await;
        eventually("somebody enrols", async || {
            let newest = scene.sink().mails().pop()?;
            visit.enrol(&newest.link()).await
        })
        .await;
    }
}

#[derive(Clone)]
struct Visit {
    http: reqwest::Client,
    gateway: String,
    notification: Channel,
    organisation: String,
}

impl Visit {
    /// The owner signs in and looks what became of the mails.
    async fn sign_in_and_look(&self) -> Option<()> {
        let body = json!({ "email": OWNER, "password": PASSWORD });
        let answer = self.http.post(format!("{}/api/sessions", self.gateway)).json(&body).send();
        let answer = answer.await.ok()?.error_for_status().ok()?.text().await.ok()?;
        let answer: serde_json::Value = serde_json::from_str(&answer).ok()?;
        let organisation_id = self.organisation.clone();
        let request = ListDeliveriesRequest { organisation_id, ..Default::default() };
        let mut request = with_token(answer["access_token"].as_str()?, request);
        request.set_timeout(PATIENCE);
        let mut client = DeliveryServiceClient::new(self.notification.clone());
        client.list_deliveries(request).await.is_ok().then_some(())
    }

    /// Somebody clicks on a link that is none of ours, and is told so.
    async fn open_a_stale_link(&self) -> Option<()> {
        let token = "t".repeat(70);
        let answer = self.http.get(format!("{}/unsubscribe/{token}", self.gateway)).send().await;
        (answer.ok()?.status() == 404).then_some(())
    }

    /// Somebody takes an invitation.
    async fn enrol(&self, link: &str) -> Option<()> {
        let form = [
            ("display_name", "Ada Lovelace"),
            ("password", PASSWORD),
            ("password_again", PASSWORD),
        ];
        let answer = self.http.post(format!("{link}/enrol")).form(&form).send().await.ok()?;
        answer.status().is_success().then_some(())
    }
}
