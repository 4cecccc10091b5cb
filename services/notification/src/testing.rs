//! A stage for tests: the service as production starts it, beside peers that answer what the test
//! wants.

mod peers;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use api::notification::v1::{
    AttemptOutcome, ClaimDeliveryRequest, ClaimDeliveryResponse, Delivery, DeliveryChanged,
    GetDeliveryRequest, GetDeliveryResponse, RecordAttemptRequest,
    dead_letter_service_client::DeadLetterServiceClient,
    delivery_service_client::DeliveryServiceClient, sender_service_client::SenderServiceClient,
    suppression_service_client::SuppressionServiceClient,
    template_service_client::TemplateServiceClient,
};
use bus::{Handler, Queue};
use kernel::{Duration, Uuid};
use prost::Message as _;
use service::Message;
use testkit::{Bench, Connection, Served, eventually};
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt as _;

use self::peers::Peers;

/// The running service.
pub(crate) struct Stage {
    pub bench: Bench,
    served: Served,
    /// What the service's use cases work with: to look at its tables, and to race.
    pub notification: Arc<crate::Notification>,
    /// The organisation of which anybody may read the deliveries, and read and change the templates;
    /// see [`Stage::asked`] and [`Stage::allow`].
    pub organisation: Uuid,
    peers: Peers,
    told: Arc<Mutex<Vec<Message>>>,
    _served_peers: Served,
}

impl Stage {
    pub(crate) async fn set(mut bench: Bench) -> Self {
        let organisation = bench.infra.clock.new_id();
        let peers = Peers::new(bench.service_token("permissions.check"));
        peers.place(&[organisation]);
        for permission in ["deliveries.read", "templates.read", "templates.update"] {
            peers.allow(permission, organisation);
        }
        let served_peers = bench.serve(peers.module()).await;
        let settings = Arc::make_mut(&mut bench.infra.settings);
        settings.organisation_url = served_peers.url.clone();
        settings.identity_url = served_peers.url.clone();

        assert!(crate::build(&bench.infra).await.is_err(), "migrations are pending");
        assert_ne!(crate::migrate(&bench.infra).await.unwrap(), 0);
        let told = listen(&bench);
        let database = bench.infra.database("notification").await.unwrap();
        let notification = crate::Notification::new(&bench.infra, database).unwrap();
        let served = bench.serve(crate::build(&bench.infra).await.unwrap()).await;
        Self {
            bench,
            served,
            notification: Arc::new(notification),
            organisation,
            peers,
            told,
            _served_peers: served_peers,
        }
    }

    /// Everybody may do something at an organisation from now on.
    pub(crate) fn allow(&self, permission: &str, organisation: Uuid) {
        self.peers.allow(permission, organisation);
    }

    /// Puts organisations into one line of the tree, the root first.
    pub(crate) fn place(&self, path: &[Uuid]) {
        self.peers.place(path);
    }

    /// A new identifier.
    pub(crate) fn id(&self) -> Uuid {
        self.bench.infra.clock.new_id()
    }

    /// The service again, with other domains that mails may come from.
    pub(crate) async fn restart_with_domains(&mut self, domains: &[&str]) {
        let domains = domains.iter().map(|domain| kernel::MailDomain::parse(domain).unwrap());
        let settings = Arc::make_mut(&mut self.bench.infra.settings);
        settings.mail_sender_domains = domains.collect();
        let module = crate::build(&self.bench.infra).await.unwrap();
        self.served = self.bench.serve(module).await;
    }

    /// What was told of a delivery, each event once, in the order of its changes: the last part but one
    /// of the routing key, and the reason.
    pub(crate) async fn told(&self, delivery: &str) -> Vec<(String, String)> {
        self.all_is_told().await;
        let told = self.told.lock().unwrap();
        let about = told.iter().filter(|message| message.subject.to_string() == delivery);
        let changes = about.map(|message| {
            let change = DeliveryChanged::decode(&*message.payload).unwrap();
            let state = message.routing_key.split('.').nth(2).unwrap().to_owned();
            (change.version, (state, change.reason))
        });
        changes.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    /// What was told under a routing key, each event once, in order.
    pub(crate) async fn heard<E: prost::Message + Default>(&self, key: &str) -> Vec<E> {
        self.all_is_told().await;
        let told = self.told.lock().unwrap();
        let events = told.iter().filter(|message| message.routing_key == key);
        let events: BTreeMap<_, _> =
            events.map(|message| (message.id, E::decode(&*message.payload).unwrap())).collect();
        events.into_values().collect()
    }

    async fn all_is_told(&self) {
        eventually("the outbox is empty", async || {
            let backlog = db::outbox::backlog(&self.notification.database).await.unwrap();
            (backlog.waiting == 0).then_some(())
        })
        .await;
    }

    /// What was told last of any delivery.
    pub(crate) fn last_change(&self) -> DeliveryChanged {
        let told = self.told.lock().unwrap();
        DeliveryChanged::decode(&*told.last().unwrap().payload).unwrap()
    }

    /// Claims and records: one attempt.
    pub(crate) async fn attempt(
        &self,
        wanted: &ClaimDeliveryRequest,
        outcome: AttemptOutcome,
        reason: &str,
    ) -> Delivery {
        let claim = self.claim(wanted).await;
        let request = record_of(&claim, outcome, reason);
        let mut mailer = self.account("deliveries.write").deliveries();
        let answer = mailer.record_attempt(request).await.unwrap();
        answer.into_inner().delivery.unwrap()
    }

    /// Claims in a worker's name.
    pub(crate) async fn claim(&self, wanted: &ClaimDeliveryRequest) -> ClaimDeliveryResponse {
        let mut mailer = self.account("deliveries.write").deliveries();
        mailer.claim_delivery(wanted.clone()).await.unwrap().into_inner()
    }

    /// A delivery and its attempts, as an operator reads them.
    pub(crate) async fn look_at(&self, id: &str) -> GetDeliveryResponse {
        let request = GetDeliveryRequest { id: id.to_owned() };
        let answer = self.account("deliveries.read").deliveries().get_delivery(request).await;
        answer.unwrap().into_inner()
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        self.bench.clock.advance(time);
    }

    /// A service account with scopes.
    pub(crate) fn account(&self, scopes: &str) -> Caller {
        self.caller(self.bench.service_token(scopes))
    }

    /// A signed-in person.
    pub(crate) fn person(&self) -> Caller {
        self.caller(self.bench.person_token(self.bench.infra.clock.new_id()))
    }

    /// Somebody without a token.
    pub(crate) fn nobody(&self) -> Channel {
        self.served.channel.clone()
    }

    fn caller(&self, token: String) -> Caller {
        Caller { connection: self.served.connection(&token), token }
    }

    /// The authorisation of every question that the organisation service was asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.peers.asked()
    }

    /// An organisation that nobody may look into.
    pub(crate) fn organisation_of_others(&self) -> String {
        self.bench.infra.clock.new_id().to_string()
    }

    /// A claim for the organisation of the stage.
    pub(crate) fn wanted(&self) -> ClaimDeliveryRequest {
        let clock = &self.bench.infra.clock;
        ClaimDeliveryRequest {
            event_id: clock.new_id().to_string(),
            organisation_id: self.organisation.to_string(),
            invitation_id: clock.new_id().to_string(),
            recipient: "ada@example.com".to_owned(),
            template: "invitation-new-user".to_owned(),
            locale: "en".to_owned(),
            issue: 1,
            event_time: Some(api::timestamp(clock.now())),
            cause_routing_key: "organisation.invitation.created.v1".to_owned(),
            cause_payload: b"what asked for it".to_vec(),
            ..Default::default()
        }
    }
}

/// What a worker says of a claim.
pub(crate) fn record_of(
    claim: &ClaimDeliveryResponse,
    outcome: AttemptOutcome,
    reason: &str,
) -> RecordAttemptRequest {
    RecordAttemptRequest {
        delivery_id: claim.delivery.as_ref().unwrap().id.clone(),
        claim_id: claim.claim_id.clone(),
        outcome: outcome.into(),
        reason: reason.to_owned(),
        ..Default::default()
    }
}

/// Keeps what is told of deliveries, templates and senders.
fn listen(bench: &Bench) -> Arc<Mutex<Vec<Message>>> {
    const KEYS: &[&str] = &[
        "notification.template.updated.v1",
        "notification.template.deleted.v1",
        "notification.sender.updated.v1",
        "notification.sender.deleted.v1",
        "notification.delivery.queued.v1",
        "notification.delivery.sent.v1",
        "notification.delivery.failed.v1",
        "notification.delivery.bounced.v1",
        "notification.delivery.suppressed.v1",
    ];
    let told = Arc::<Mutex<Vec<Message>>>::default();
    let keeping = told.clone();
    let handler: Handler = Arc::new(move |message| {
        keeping.lock().unwrap().push(message);
        Box::pin(async { Ok(()) })
    });
    let queue = Queue { name: "listener", bindings: KEYS, concurrency: 8 };
    tokio::spawn(bench.infra.bus.consume(queue, handler, CancellationToken::new()));
    told
}

/// A report about a mail that came back, as mail servers write it.
pub(crate) fn dsn(message_id: &str, recipient: &str, action: &str, status: &str) -> String {
    format!(
        "From: Mail Delivery System <mailer-daemon@mx.example.com>\r\n\
         To: usher@platform.example\r\n\
         Subject: Undelivered mail\r\n\
         Message-ID: <bounce@mx.example.com>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\
         \tboundary=\"=_b\"\r\n\
         \r\n\
         This is a MIME-encapsulated message.\r\n\
         \r\n\
         --=_b\r\n\
         Content-Type: text/plain\r\n\
         \r\n\
         I'm sorry to have to inform you.\r\n\
         \r\n\
         --=_b\r\n\
         Content-Type: message/delivery-status\r\n\
         \r\n\
         Reporting-MTA: dns; mx.example.com\r\n\
         \r\n\
         Final-Recipient: rfc822; {recipient}\r\n\
         Action: {action}\r\n\
         Status: {status}\r\n\
         Diagnostic-Code: smtp; 550 {status} what the server said\r\n\
         \r\n\
         --=_b\r\n\
         Content-Type: message/rfc822\r\n\
         \r\n\
         Message-ID: {message_id}\r\n\
         Subject: An invitation\r\n\
         \r\n\
         Hello.\r\n\
         \r\n\
         --=_b--\r\n"
    )
}

/// A recipient's complaint about a mail, as their provider passes it on.
pub(crate) fn complaint(message_id: &str, recipient: &str) -> String {
    format!(
        "From: abuse@mx.example.com\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\
         \r\n\
         --b\r\n\
         Content-Type: message/feedback-report\r\n\
         \r\n\
         Feedback-Type: abuse\r\n\
         Version: 1\r\n\
         Original-Rcpt-To: <{recipient}>\r\n\
         \r\n\
         --b\r\n\
         Content-Type: message/rfc822\r\n\
         \r\n\
         Message-ID: {message_id}\r\n\
         \r\n\
         Hello.\r\n\
         --b--\r\n"
    )
}

/// Somebody with a token.
pub(crate) struct Caller {
    connection: Connection,
    pub token: String,
}

impl Caller {
    pub(crate) fn deliveries(&self) -> DeliveryServiceClient<Connection> {
        DeliveryServiceClient::new(self.connection.clone())
    }

    pub(crate) fn suppressions(&self) -> SuppressionServiceClient<Connection> {
        SuppressionServiceClient::new(self.connection.clone())
    }

    pub(crate) fn dead_letters(&self) -> DeadLetterServiceClient<Connection> {
        DeadLetterServiceClient::new(self.connection.clone())
    }

    pub(crate) fn senders(&self) -> SenderServiceClient<Connection> {
        SenderServiceClient::new(self.connection.clone())
    }

    pub(crate) fn templates(&self) -> TemplateServiceClient<Connection> {
        TemplateServiceClient::new(self.connection.clone())
    }
}

/// The documented reason of a refusal, or its code when it has none.
pub(crate) fn reason<T>(answer: Result<T, Status>) -> String {
    let Err(status) = answer else { return "OK".to_owned() };
    let info = status.get_details_error_info();
    info.map_or_else(|| format!("{:?}", status.code()), |info| info.reason)
}

/// The fields that a refusal names.
pub(crate) fn violations<T>(answer: Result<T, Status>) -> Vec<String> {
    let Err(status) = answer else { return Vec::new() };
    let request = status.get_details_bad_request().unwrap();
    request.field_violations.into_iter().map(|violation| violation.field).collect()
}
