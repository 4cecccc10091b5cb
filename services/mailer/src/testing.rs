//! A stage for tests: the mailer as production starts it, between peers that answer what the test
//! wants and a mail server that keeps what it is sent.

mod peers;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use api::{
    identity::v1::{User, UserStatus},
    notification::v1::{
        AttemptOutcome, ClaimDeliveryRequest, Delivery, DeliveryChanged, GetDeliveryCauseResponse,
        RenderMailRequest, RenderMailResponse, WithdrawalReason,
    },
    organisation::v1::{
        AccessRequest, AccessRequestMail, AccessRequestMailDue, AccessRequestState,
        GetAccessRequestMailResponse, GetInvitationMailResponse, Invitation, InvitationCreated,
        InvitationExpired, InvitationReminded,
    },
};
use kernel::{Clock, ManualClock, Uuid};
use mail_parser::MessageParser;
use service::{Infra, Listeners, Message, RawSettings, Refusal, Role, Settings};
use testkit::{DeadLetters, SmtpSink};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Code;

/// What the peers answer and what they were told.
#[derive(Clone)]
pub(crate) struct World {
    pub mail: GetInvitationMailResponse,
    pub request: GetAccessRequestMailResponse,
    pub user: User,
    pub rendered: RenderMailResponse,
    /// Where reminders are stopped.
    pub unsubscribe_url: String,
    /// The calls that fail, with which code and how often.
    pub failures: HashMap<&'static str, VecDeque<Code>>,
    /// Each attempt that was recorded, and the mail server's words.
    pub recorded: Vec<(AttemptOutcome, String)>,
    /// The mails about access requests that were asked for.
    pub asked: Vec<AccessRequestMail>,
    /// What each mail was to be filled with.
    pub filled: Vec<RenderMailRequest>,
    /// Why each attempt did not succeed, the mail server's reply code and its status.
    pub replies: Vec<(String, i32, String)>,
    /// Each claim that was asked for.
    pub claims: Vec<ClaimDeliveryRequest>,
    /// Whom invitations are to that are not to the usual invitee, by their ids.
    pub invitees: HashMap<String, String>,
    /// How often a claim was to be extended.
    pub extended: usize,
    /// How often a token was asked for.
    pub tokens: usize,
    /// Whether the identity service hangs when it is asked for one.
    pub no_tokens: bool,
    /// By which call the notification service gives deliveries up, and for which reason.
    pub gives_up: Option<(&'static str, &'static str)>,
    /// Why nothing was to be sent for an event any more.
    pub withdrawn: Vec<(String, WithdrawalReason)>,
    /// What once asked for a delivery.
    pub cause: GetDeliveryCauseResponse,
    /// By event and recipient; whether the delivery is in a final state.
    pub deliveries: HashMap<(String, String), (Delivery, bool)>,
}

impl Default for World {
    fn default() -> Self {
        let invitation = Invitation {
            id: Uuid::from_u128(1).to_string(),
            organisation_id: Uuid::from_u128(2).to_string(),
            email: "ada@example.com".to_owned(),
            display_name: "Ada Lovelace".to_owned(),
            roles: vec!["approver".to_owned(), "user".to_owned()],
            locale: "de-AT".to_owned(),
            invitee_id: Uuid::from_u128(3).to_string(),
            expires_at: Some(prost_types::Timestamp { seconds: 1_780_488_000, nanos: 0 }),
            ..Default::default()
        };
        let request = AccessRequest {
            id: Uuid::from_u128(4).to_string(),
            organisation_id: Uuid::from_u128(2).to_string(),
            requester_display_name: "Mary Somerville".to_owned(),
            requester_email: "mary@example.com".to_owned(),
            roles: vec!["approver".to_owned()],
            reason: "I keep the books.".to_owned(),
            state: AccessRequestState::Rejected.into(),
            decision_reason: "Not yet.".to_owned(),
            due_at: Some(prost_types::Timestamp { seconds: 1_780_488_000, nanos: 0 }),
            expires_at: Some(prost_types::Timestamp { seconds: 1_780_574_400, nanos: 0 }),
            ..Default::default()
        };
        Self {
            request: GetAccessRequestMailResponse {
                superseded: false,
                access_request: Some(request),
                organisation_display_name: "ABC Holdings".to_owned(),
                application_display_name: String::new(),
                recipient_email: "ada@example.com".to_owned(),
                recipient_display_name: "Ada Lovelace".to_owned(),
                decided_by_display_name: "Emmy Noether".to_owned(),
                link: "https://usher.example/requests/4".to_owned(),
                locale: "de-AT".to_owned(),
                organisation_path: Vec::new(),
            },
            mail: GetInvitationMailResponse {
                superseded: false,
                invitation: Some(invitation),
                organisation_display_name: "ABC Holdings".to_owned(),
                inviter_display_name: "Grace Hopper".to_owned(),
                link: "https://usher.example/invitations/token".to_owned(),
                ..Default::default()
            },
            user: User { status: UserStatus::Invited.into(), ..Default::default() },
            rendered: RenderMailResponse {
                subject: "Grace Hopper invites you".to_owned(),
                text: "Hello Ada,\n\nopen https://usher.example/invitations/token\n".to_owned(),
                html: "<p>Hello Ada</p>\n".to_owned(),
                sender: None,
            },
            unsubscribe_url: format!("https://usher.example/unsubscribe/{}", "t".repeat(70)),
            failures: HashMap::new(),
            recorded: Vec::new(),
            replies: Vec::new(),
            claims: Vec::new(),
            extended: 0,
            tokens: 0,
            no_tokens: false,
            invitees: HashMap::new(),
            gives_up: None,
            withdrawn: Vec::new(),
            cause: GetDeliveryCauseResponse::default(),
            asked: Vec::new(),
            filled: Vec::new(),
            deliveries: HashMap::new(),
        }
    }
}

/// The running mailer.
pub(crate) struct Stage {
    world: Arc<Mutex<World>>,
    clock: ManualClock,
    infra: Infra,
    dead_letters: DeadLetters,
    pub sink: SmtpSink,
    _stop: DropGuard,
}

impl Stage {
    pub(crate) async fn set(world: World) -> Self {
        let world = Arc::new(Mutex::new(world));
        let (listener, peers_url) = socket().await;
        peers::serve(world.clone(), listener);
        let sink = SmtpSink::start().await;

        let mut raw = RawSettings::default();
        raw.set("environment", "development");
        raw.set("bus_url", "memory:");
        raw.set("cache_url", "memory:");
        raw.set("smtp_url", format!("smtp://{}", sink.address()));
        raw.set("mail_from", "usher@platform.example");
        raw.set("service_secret", "0123456789abcdef0123456789abcdef");
        for peer in ["identity_url", "organisation_url", "notification_url"] {
            raw.set(peer, &peers_url);
        }
        let settings = Settings::parse(&raw, Role::Mailer).unwrap();
        let clock = ManualClock::at("2026-06-01T12:00:00Z".parse().unwrap());
        let infra = Infra::open(settings, Clock::Manual(clock.clone())).unwrap();
        let dead_letters = DeadLetters::keep(&infra.bus);
        let stop = CancellationToken::new();
        tokio::spawn(service::run(
            infra.clone(),
            vec![crate::build(&infra).unwrap()],
            Listeners { modules: Vec::new(), management: socket().await.0 },
            prometheus::Registry::new(),
            stop.clone(),
        ));
        Self { world, clock, infra, dead_letters, sink, _stop: stop.drop_guard() }
    }

    /// Ten minutes pass, the life of a token.
    pub(crate) fn outlive_token(&self) {
        self.clock.advance(kernel::Duration::minutes(10));
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// An event that tells of an issue.
    pub(crate) fn event(&self) -> Message {
        let payload = InvitationCreated {
            invitation_id: Uuid::from_u128(1).to_string(),
            organisation_id: Uuid::from_u128(2).to_string(),
            issue: 1,
        };
        self.message("organisation.invitation.created.v1", &payload)
    }

    /// An event that tells of an issue of an invitation to somebody else.
    pub(crate) fn event_to(&self, email: &str) -> Message {
        let invitation_id = self.infra.clock.new_id().to_string();
        self.world().invitees.insert(invitation_id.clone(), email.to_owned());
        let organisation_id = Uuid::from_u128(2).to_string();
        let payload = InvitationCreated { invitation_id, organisation_id, issue: 1 };
        self.message("organisation.invitation.created.v1", &payload)
    }

    /// An event that asks for a reminder.
    pub(crate) fn reminder(&self) -> Message {
        let payload = InvitationReminded {
            invitation_id: Uuid::from_u128(1).to_string(),
            organisation_id: Uuid::from_u128(2).to_string(),
            issue: 1,
        };
        self.message("organisation.invitation.reminded.v1", &payload)
    }

    /// An event that tells that an invitation has run out.
    pub(crate) fn expired(&self) -> Message {
        let payload = InvitationExpired {
            invitation_id: Uuid::from_u128(1).to_string(),
            organisation_id: Uuid::from_u128(2).to_string(),
            issue: 1,
        };
        self.message("organisation.invitation.expired.v1", &payload)
    }

    /// An event that asks for a mail about an access request.
    pub(crate) fn request(&self, mail: AccessRequestMail) -> Message {
        let payload = AccessRequestMailDue {
            access_request_id: Uuid::from_u128(4).to_string(),
            organisation_id: Uuid::from_u128(2).to_string(),
            recipient_id: Uuid::from_u128(3).to_string(),
            mail: mail.into(),
        };
        self.message("organisation.access_request.mail.v1", &payload)
    }

    /// An event that asks for a delivery to be sent once more, which this event once asked for.
    pub(crate) fn resend(&self, cause: &Message) -> Message {
        self.world().cause = GetDeliveryCauseResponse {
            event_id: cause.id.to_string(),
            event_time: Some(api::timestamp(cause.time)),
            routing_key: cause.routing_key.clone(),
            payload: cause.payload.clone(),
            recipient: "ada@example.com".to_owned(),
        };
        let delivery_id = Uuid::from_u128(5).to_string();
        let payload = DeliveryChanged { delivery_id, ..Default::default() };
        self.message("notification.delivery.queued.v1", &payload)
    }

    fn message(&self, routing_key: &str, payload: &impl prost::Message) -> Message {
        Message {
            id: self.infra.clock.new_id(),
            routing_key: routing_key.to_owned(),
            source: "usher/organisation".to_owned(),
            subject: Uuid::from_u128(1),
            time: self.infra.clock.now(),
            payload: payload.encode_to_vec(),
            traceparent: None,
            must_arrive: true,
            attempt: 1,
            queue: None,
            redelivered: false,
        }
    }

    /// Hands the event over; answers what the consumer did with it.
    pub(crate) async fn hear(&self, event: Message) -> Result<(), Refusal> {
        loop {
            let mut answers = self.infra.bus.publish(vec![event.clone()]).await;
            match answers.remove(0) {
                Ok(()) => {
                    let dead = self.dead_letters.all();
                    let dead = dead.into_iter().find(|dead| dead.message.as_ref() == Ok(&event));
                    return dead.map_or(Ok(()), |dead| Err(Refusal::Reject(dead.error)));
                }
                Err(bus::PublishError::Refused(why)) => return Err(Refusal::Retry(why)),
                Err(bus::PublishError::Later(pause, why)) => {
                    return Err(Refusal::Later(pause, why));
                }
                // The consumer is not listening yet.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }
}

async fn socket() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// What could end a line, a header or a mail.
pub(crate) const ATTACKS: [&str; 8] = [
    "\rRCPT TO:<eve@evil.example>\r",
    "\nRCPT TO:<eve@evil.example>\n",
    "\r\nBcc: eve@evil.example\r\n",
    "\r\n.\r\nMAIL FROM:<eve@evil.example>\r\nRCPT TO:<eve@evil.example>\r\nDATA\r\nspam",
    "\n.\nMAIL FROM:<eve@evil.example>\n",
    "\r.\rMAIL FROM:<eve@evil.example>\r",
    "\"\r\n <eve@evil.example>, \"",
    "ok\0\u{b}\u{c}\u{85}\u{2028}.",
];

/// The mail that arrived is one mail to one recipient, whatever was attempted.
pub(crate) fn assert_is_one_clean_mail(stage: &Stage, attack: &str) {
    let commands = stage.sink.commands();
    let verbs: Vec<_> = commands.iter().map(|line| line.get(..4).unwrap()).collect();
    assert_eq!(verbs, ["EHLO", "MAIL", "RCPT", "DATA"], "{attack:?}");
    assert_eq!(commands[2], "RCPT TO:<ada@example.com>\r\n", "{attack:?}");
    let mails = stage.sink.mails();
    let raw = String::from_utf8(mails[0].raw.clone()).unwrap();
    for line in raw.split("\r\n") {
        assert!(!line.contains(['\r', '\n', '\0']), "{attack:?}: {line:?}");
        assert!(line.len() <= 998, "{attack:?}: {line:?}");
    }

    let mail = MessageParser::default().parse(&mails[0].raw).unwrap();
    let names: Vec<_> = mail.headers().iter().map(|header| header.name().to_lowercase()).collect();
    let expected = [
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "auto-submitted",
        "mime-version",
        "content-type",
    ];
    assert_eq!(names, expected, "{attack:?}");
    let to: Vec<_> = mail.to().unwrap().iter().map(|to| to.address().unwrap()).collect();
    assert_eq!(to, ["ada@example.com"], "{attack:?}");
    assert!(mail.subject().unwrap().starts_with("before"), "{attack:?}");
    assert!(mail.body_text(0).unwrap().contains("after"), "{attack:?}");
    assert!(mail.body_html(0).unwrap().contains("after"), "{attack:?}");
    assert_eq!(
        (mail.text_body_count(), mail.html_body_count(), mail.attachment_count()),
        (1, 1, 0)
    );
}
