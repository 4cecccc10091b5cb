use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use api::organisation::v1::{AcceptInvitationRequest, RevokeInvitationRequest};
use db::outbox;
use kernel::Duration;
use sea_orm::{IntoActiveModel as _, entity::prelude::*, sea_query::Expr};
use testkit::{Bench, eventually};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::{
    domain::role::BuiltIn,
    testing::{Stage, Who},
};

testkit::on_both_databases!(
    an_acceptance_is_told_with_a_signature_that_verifies,
    what_ran_out_is_told,
    a_call_that_failed_is_tried_again_under_the_same_id,
    an_event_that_comes_twice_is_told_once,
    a_host_that_was_taken_off_hears_nothing,
    a_redirect_leads_nowhere,
    gone_is_the_end_of_it,
    a_private_address_is_not_reached,
);

/// An application's server, which keeps what it gets.
#[derive(Clone, Default)]
struct Listener {
    got: Arc<Mutex<Vec<Got>>>,
    /// What it answers instead of 204.
    answers: Arc<Mutex<VecDeque<String>>>,
}

#[derive(Clone, Debug)]
struct Got {
    head: String,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> String {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.to_owned()).unwrap_or_default()
    }
}

impl Listener {
    /// Starts; answers its URL too.
    async fn start(answers: &[&str]) -> (Self, String) {
        let this = Self::default();
        this.answers.lock().unwrap().extend(answers.iter().map(ToString::to_string));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?x=1", listener.local_addr().unwrap());
        let serving = this.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut read = Vec::new();
                let got = loop {
                    let mut part = [0; 4_096];
                    let count = stream.read(&mut part).await.unwrap_or(0);
                    read.extend_from_slice(&part[..count]);
                    if let Some(got) = whole(&read) {
                        break Some(got);
                    } else if count == 0 {
                        break None;
                    }
                };
                let Some(got) = got else { continue };
                serving.got.lock().unwrap().push(got);
                let answer = serving.answers.lock().unwrap().pop_front();
                let answer = answer.unwrap_or_else(|| "204 No Content".to_owned());
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        (this, url)
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    async fn first(&self) -> Got {
        eventually("a callback", async || self.got().first().cloned()).await
    }
}

fn whole(read: &[u8]) -> Option<Got> {
    let text = String::from_utf8(read.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let got = Got { head: head.to_owned(), body: body.to_owned() };
    let length: usize = got.header("content-length").parse().unwrap();
    (body.len() == length).then_some(got)
}

/// A stage with an application that may be called back, and an invitation that says so.
struct Scene {
    stage: Stage,
    owner: Who,
    application: application::Model,
    invitation: String,
}

impl Scene {
    async fn set(bench: Bench, url: &str) -> Self {
        Self::with(bench, url, true).await
    }

    async fn with(mut bench: Bench, url: &str, private_networks: bool) -> Self {
        Arc::make_mut(&mut bench.infra.settings).callback_private_networks = private_networks;
        let stage = Stage::set(bench).await;
        // What is published finds somebody.
        let _heard = stage.listen();
        let (owner, root) = stage.root("ABC").await;
        let now = stage.now();
        let application = application::Model {
            id: stage.service.clock.new_id(),
            organisation_id: root.parse().unwrap(),
            display_name: "Manage schools".to_owned(),
            redirect_urls: "https://schools.example.com/".to_owned(),
            callback_hosts: url.split('/').nth(2).unwrap().to_owned(),
            default_role_id: BuiltIn::User.id(),
            assign_on_invite: false,
            secret_generation: 1,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let database = stage.service.database.read();
        let insert = application::Entity::insert(application.clone().into_active_model());
        insert.exec_without_returning(database).await.unwrap();
        let invitation = stage.invite(&owner, &root, "ada@example.com").await;
        use invitation::Column;
        invitation::Entity::update_many()
            .col_expr(Column::ApplicationId, Expr::value(application.id))
            .col_expr(Column::CallbackUrl, Expr::value(url))
            .col_expr(Column::SourceId, Expr::value("pupil 7"))
            .filter(Column::Id.eq(invitation.parse::<Uuid>().unwrap()))
            .exec(database)
            .await
            .unwrap();
        Self { stage, owner, application, invitation }
    }

    async fn revoke(&self) {
        let request = RevokeInvitationRequest { id: self.invitation.clone(), ..Default::default() };
        self.owner.invitations().revoke_invitation(request).await.unwrap();
    }

    /// Why the callback was set aside.
    async fn set_aside(&self) -> String {
        eventually("it is set aside", async || {
            self.stage.bench.dead_letters.all().pop().map(|dead| dead.error)
        })
        .await
    }
}

async fn an_acceptance_is_told_with_a_signature_that_verifies(bench: Bench) {
    let (listener, url) = Listener::start(&[]).await;
    let scene = Scene::set(bench, &url).await;
    let ada = scene.stage.person("ada@example.com");
    let request = AcceptInvitationRequest { id: scene.invitation.clone(), ..Default::default() };
    ada.invitations().accept_invitation(request).await.unwrap();
    let got = listener.first().await;
    assert!(got.head.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{}", got.head);
    assert_eq!(format!("http://{}/hook?x=1", got.header("host")), url);
    assert_eq!(got.header("content-type"), "application/json");

    let told: serde_json::Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!(told["type"], "invitation.accepted");
    assert_eq!(told["timestamp"], "2026-01-01T12:00:00Z");
    assert_eq!(told["data"]["id"], *scene.invitation);
    assert_eq!(told["data"]["organisation_id"], scene.application.organisation_id.to_string());
    assert_eq!(told["data"]["source_id"], "pupil 7");
    assert_eq!(told["data"]["status"], "accepted");

    // As an application verifies it, with the secret that it was given.
    let key = scene.application.callback_key(&scene.stage.service.callback_key);
    let (id, at) = (got.header("webhook-id"), got.header("webhook-timestamp"));
    assert_eq!(at, scene.stage.now().timestamp().to_string());
    let signature = got.header("webhook-signature");
    let tag = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let verify = |body: &str| hmac::verify(&key, format!("{id}.{at}.{body}").as_bytes(), &tag);
    assert!(verify(&got.body).is_ok());
    assert!(verify(&got.body.replace("accepted", "declined")).is_err());
}

async fn what_ran_out_is_told(bench: Bench) {
    let (listener, url) = Listener::start(&[]).await;
    let scene = Scene::set(bench, &url).await;
    scene.stage.pass(Duration::hours(48));
    assert!(listener.first().await.body.contains("invitation.expired"));
}

async fn a_call_that_failed_is_tried_again_under_the_same_id(bench: Bench) {
    let (listener, url) = Listener::start(&["503 Service Unavailable"]).await;
    let scene = Scene::set(bench, &url).await;
    scene.revoke().await;
    listener.first().await;
    eventually("it is kept", async || {
        let refused = outbox::Entity::find().filter(outbox::Column::Attempts.gt(0));
        refused.one(scene.stage.service.database.read()).await.unwrap()
    })
    .await;
    scene.stage.pass(Duration::seconds(5));
    scene.stage.relayed().await;
    let got = listener.got();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
    assert_ne!(got[0].header("webhook-timestamp"), got[1].header("webhook-timestamp"));
    assert_eq!(got[0].body, got[1].body);
}

async fn an_event_that_comes_twice_is_told_once(bench: Bench) {
    let (listener, url) = Listener::start(&[]).await;
    let scene = Scene::set(bench, &url).await;
    let (service, id) = (&scene.stage.service, scene.invitation.parse().unwrap());
    let event = InvitationSettled {
        invitation_id: scene.invitation.clone(),
        organisation_id: scene.application.organisation_id.to_string(),
        state: "declined".to_owned(),
    };
    let message = Message {
        id: service.clock.new_id(),
        routing_key: QUEUE.bindings[0].to_owned(),
        source: "usher/organisation".to_owned(),
        subject: id,
        time: scene.stage.now(),
        payload: event.encode_to_vec(),
        traceparent: None,
        attempt: 1,
        must_arrive: true,
        queue: None,
        redelivered: false,
    };
    let webhooks = Webhooks::new(&scene.stage.bench.infra.settings).unwrap();
    for _ in 0..2 {
        handle(service, &webhooks, message.clone()).await.unwrap();
    }
    assert_eq!(listener.got().len(), 1);
}

async fn a_host_that_was_taken_off_hears_nothing(bench: Bench) {
    let (listener, url) = Listener::start(&[]).await;
    let scene = Scene::set(bench, &url).await;
    application::Entity::update_many()
        .col_expr(application::Column::CallbackHosts, Expr::value("127.0.0.1\nexample.com"))
        .exec(scene.stage.service.database.read())
        .await
        .unwrap();
    scene.revoke().await;
    assert!(scene.set_aside().await.contains("not registered"));
    assert!(listener.got().is_empty());
}

async fn a_redirect_leads_nowhere(bench: Bench) {
    let (elsewhere, target) = Listener::start(&[]).await;
    let redirect = format!("307 Temporary Redirect\r\nlocation: {target}");
    let (listener, url) = Listener::start(&[&redirect]).await;
    let scene = Scene::set(bench, &url).await;
    scene.revoke().await;
    listener.first().await;
    eventually("it is to be tried again", async || {
        let refused = outbox::Entity::find().filter(outbox::Column::Attempts.gt(0));
        refused.one(scene.stage.service.database.read()).await.unwrap()
    })
    .await;
    assert!(elsewhere.got().is_empty());
}

async fn gone_is_the_end_of_it(bench: Bench) {
    let (listener, url) = Listener::start(&["410 Gone"]).await;
    let scene = Scene::set(bench, &url).await;
    scene.revoke().await;
    assert!(scene.set_aside().await.contains("410"));
    assert_eq!(listener.got().len(), 1);
}

async fn a_private_address_is_not_reached(bench: Bench) {
    let (listener, url) = Listener::start(&[]).await;
    let scene = Scene::with(bench, &url, false).await;
    scene.revoke().await;
    assert!(scene.set_aside().await.contains("open internet"));
    assert!(listener.got().is_empty());
    // By its name neither, nor mapped into IPv6; and elsewhere than here only by https.
    let webhooks = Webhooks::new(&scene.stage.bench.infra.settings).unwrap();
    for refused in [
        url.replace("127.0.0.1", "localhost"),
        url.replace("127.0.0.1", "[::ffff:127.0.0.1]").replace("http:", "https:"),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "http://1.1.1.1/".to_owned(),
    ] {
        let url = Url::parse(&refused).unwrap();
        let headers = ["a", "b", "c"].map(|name| (name, String::new()));
        let answer = webhooks.post(&url, headers, String::new()).await;
        assert!(matches!(answer, Err(Failure::Forbidden(_))), "{refused}: {answer:?}");
    }
    assert!(listener.got().is_empty());
}
