//! A stage for tests: the mailer as production starts it, between peers that answer what the test
//! wants and a mail server that keeps every byte it is sent.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use api::{
    identity::v1::{self as identity, User, UserStatus, user_service_server::UserService},
    notification::v1::{
        self as notification, AttemptOutcome, Delivery, RenderMailResponse,
        delivery_service_server::DeliveryService, template_service_server::TemplateService,
    },
    organisation::v1::{
        self as organisation, GetInvitationMailResponse, Invitation, InvitationCreated,
        invitation_service_server::InvitationService,
    },
};
use kernel::{Clock, ManualClock, Uuid};
use prost::Message as _;
use service::{Infra, Listeners, Message, RawSettings, Refusal, Role, Settings};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Code, Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// What the peers answer and what they were told.
#[derive(Clone)]
pub(crate) struct World {
    pub mail: GetInvitationMailResponse,
    pub user: User,
    pub rendered: RenderMailResponse,
    /// The calls that fail, with which code and how often.
    pub failures: HashMap<&'static str, VecDeque<Code>>,
    /// Each attempt that was recorded, and the mail server's words.
    pub recorded: Vec<(AttemptOutcome, String)>,
    /// What each mail was to be filled with.
    pub filled: Vec<notification::RenderMailRequest>,
    deliveries: HashMap<(String, String), (Delivery, bool)>,
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
        Self {
            mail: GetInvitationMailResponse {
                superseded: false,
                invitation: Some(invitation),
                organisation_display_name: "ABC Holdings".to_owned(),
                inviter_display_name: "Grace Hopper".to_owned(),
                link: "https://usher.example/invitations/token".to_owned(),
            },
            user: User { status: UserStatus::Invited.into(), ..Default::default() },
            rendered: RenderMailResponse {
                subject: "Grace Hopper invites you".to_owned(),
                text: "Hello Ada,\n\nopen https://usher.example/invitations/token\n".to_owned(),
                html: "<p>Hello Ada</p>\n".to_owned(),
            },
            failures: HashMap::new(),
            recorded: Vec::new(),
            filled: Vec::new(),
            deliveries: HashMap::new(),
        }
    }
}

/// The running mailer.
pub(crate) struct Stage {
    world: Arc<Mutex<World>>,
    infra: Infra,
    pub sink: Sink,
    _stop: DropGuard,
}

impl Stage {
    pub(crate) async fn set(world: World) -> Self {
        let world = Arc::new(Mutex::new(world));
        let (peers, peers_url) = socket().await;
        let fakes = Fakes(world.clone());
        let server = Server::builder()
            .add_service(
                identity::service_account_service_server::ServiceAccountServiceServer::new(
                    fakes.clone(),
                ),
            )
            .add_service(identity::user_service_server::UserServiceServer::new(fakes.clone()))
            .add_service(organisation::invitation_service_server::InvitationServiceServer::new(
                fakes.clone(),
            ))
            .add_service(notification::delivery_service_server::DeliveryServiceServer::new(
                fakes.clone(),
            ))
            .add_service(notification::template_service_server::TemplateServiceServer::new(fakes));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(peers)));
        let sink = Sink::open().await;

        let mut raw = RawSettings::default();
        raw.set("environment", "development");
        raw.set("bus_url", "memory:");
        raw.set("cache_url", "memory:");
        raw.set("smtp_url", format!("smtp://{}", sink.address));
        raw.set("mail_from", "usher@platform.example");
        raw.set("service_secret", "0123456789abcdef0123456789abcdef");
        for peer in ["identity_url", "organisation_url", "notification_url"] {
            raw.set(peer, &peers_url);
        }
        let settings = Settings::parse(&raw, Role::Mailer).unwrap();
        let clock = ManualClock::at("2026-06-01T12:00:00Z".parse().unwrap());
        let infra = Infra::open(settings, Clock::Manual(clock), Default::default()).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(service::run(
            infra.clone(),
            vec![crate::build(&infra).unwrap()],
            Listeners { modules: Vec::new(), management: socket().await.0 },
            prometheus::Registry::new(),
            stop.clone(),
        ));
        Self { world, infra, sink, _stop: stop.drop_guard() }
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
        Message {
            id: self.infra.clock.new_id(),
            routing_key: "organisation.invitation.created.v1".to_owned(),
            source: "usher/organisation".to_owned(),
            subject: Uuid::from_u128(1),
            time: self.infra.clock.now(),
            payload: payload.encode_to_vec(),
            traceparent: None,
            attempt: 1,
        }
    }

    /// Hands the event over; answers what the consumer did with it.
    pub(crate) async fn hear(&self, event: Message) -> Result<(), Refusal> {
        loop {
            let mut answers = self.infra.bus.publish(vec![event.clone()]).await;
            match answers.remove(0) {
                Ok(()) => return Ok(()),
                Err(bus::PublishError::Refused(refusal)) => return Err(refusal),
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

/// A mail server that keeps what it is sent.
#[derive(Clone)]
pub(crate) struct Sink {
    address: String,
    heard: Arc<Mutex<Heard>>,
}

/// What a mail server heard and what it answers.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    /// Every command line, with its end.
    pub commands: Vec<String>,
    /// The bytes of every DATA, before dots are removed, without the final dot.
    pub mails: Vec<Vec<u8>>,
    /// What it answers to the next mails; then `250 taken`.
    pub answers: VecDeque<&'static str>,
}

impl Sink {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink =
            Self { address: listener.local_addr().unwrap().to_string(), heard: Arc::default() };
        let this = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let this = this.clone();
                tokio::spawn(async move { this.converse(stream).await });
            }
        });
        sink
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }

    /// The mails as a reader gets them: without the dots that SMTP adds.
    pub(crate) fn mails(&self) -> Vec<Vec<u8>> {
        let unstuff = |raw: &Vec<u8>| {
            let text = String::from_utf8(raw.clone()).unwrap();
            let lines = text.split("\r\n").map(|line| line.strip_prefix('.').unwrap_or(line));
            lines.collect::<Vec<_>>().join("\r\n").into_bytes()
        };
        self.heard().mails.iter().map(unstuff).collect()
    }

    async fn converse(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 sink\r\n").await.ok()?;
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
                return None;
            }
            let line = String::from_utf8_lossy(&line).into_owned();
            let answer = match line.get(..4) {
                Some("EHLO") => "250-sink\r\n250 8BITMIME".to_owned(),
                Some("DATA") => {
                    stream.write_all(b"354 go on\r\n").await.ok()?;
                    let mut mail = Vec::new();
                    while !mail.ends_with(b"\r\n.\r\n") {
                        mail.push(stream.read_u8().await.ok()?);
                    }
                    mail.truncate(mail.len() - b".\r\n".len());
                    let mut heard = self.heard();
                    heard.mails.push(mail);
                    heard.answers.pop_front().unwrap_or("250 taken").to_owned()
                }
                _ => "250 well".to_owned(),
            };
            self.heard().commands.push(line);
            stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        }
    }
}

#[derive(Clone)]
struct Fakes(Arc<Mutex<World>>);

impl Fakes {
    /// The world, unless the call is to fail.
    fn answer(&self, call: &'static str) -> Result<MutexGuard<'_, World>, Status> {
        let mut world = self.0.lock().unwrap();
        match world.failures.get_mut(call).and_then(VecDeque::pop_front) {
            Some(code) => Err(Status::new(code, "about ada@example.com")),
            None => Ok(world),
        }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl identity::service_account_service_server::ServiceAccountService for Fakes {
    async fn issue_service_token(
        &self,
        request: Request<identity::IssueServiceTokenRequest>,
    ) -> Answer<identity::IssueServiceTokenResponse> {
        assert_eq!(request.into_inner().name, "mailer");
        drop(self.answer("IssueServiceToken")?);
        Ok(Response::new(identity::IssueServiceTokenResponse {
            access_token: "token".to_owned(),
            expires_in: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
        }))
    }

    async fn create_service_account(
        &self,
        _: Request<identity::CreateServiceAccountRequest>,
    ) -> Answer<identity::CreateServiceAccountResponse> {
        unimplemented!()
    }
}

#[tonic::async_trait]
impl UserService for Fakes {
    async fn get_user(
        &self,
        request: Request<identity::GetUserRequest>,
    ) -> Answer<identity::GetUserResponse> {
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer token");
        assert_eq!(request.into_inner().id, Uuid::from_u128(3).to_string());
        let user = self.answer("GetUser")?.user.clone();
        Ok(Response::new(identity::GetUserResponse { user: Some(user) }))
    }

    async fn get_current_user(
        &self,
        _: Request<identity::GetCurrentUserRequest>,
    ) -> Answer<identity::GetCurrentUserResponse> {
        unimplemented!()
    }

    async fn create_invited_user(
        &self,
        _: Request<identity::CreateInvitedUserRequest>,
    ) -> Answer<identity::CreateInvitedUserResponse> {
        unimplemented!()
    }

    async fn enrol_user(
        &self,
        _: Request<identity::EnrolUserRequest>,
    ) -> Answer<identity::EnrolUserResponse> {
        unimplemented!()
    }
}

#[tonic::async_trait]
impl InvitationService for Fakes {
    async fn get_invitation_mail(
        &self,
        request: Request<organisation::GetInvitationMailRequest>,
    ) -> Answer<GetInvitationMailResponse> {
        assert_eq!(request.into_inner().issue, 1);
        Ok(Response::new(self.answer("GetInvitationMail")?.mail.clone()))
    }

    async fn create_invitation(
        &self,
        _: Request<organisation::CreateInvitationRequest>,
    ) -> Answer<organisation::CreateInvitationResponse> {
        unimplemented!()
    }

    async fn get_invitation(
        &self,
        _: Request<organisation::GetInvitationRequest>,
    ) -> Answer<organisation::GetInvitationResponse> {
        unimplemented!()
    }

    async fn list_invitations(
        &self,
        _: Request<organisation::ListInvitationsRequest>,
    ) -> Answer<organisation::ListInvitationsResponse> {
        unimplemented!()
    }

    async fn reissue_invitation(
        &self,
        _: Request<organisation::ReissueInvitationRequest>,
    ) -> Answer<organisation::ReissueInvitationResponse> {
        unimplemented!()
    }

    async fn revoke_invitation(
        &self,
        _: Request<organisation::RevokeInvitationRequest>,
    ) -> Answer<organisation::RevokeInvitationResponse> {
        unimplemented!()
    }

    async fn accept_invitation(
        &self,
        _: Request<organisation::AcceptInvitationRequest>,
    ) -> Answer<organisation::AcceptInvitationResponse> {
        unimplemented!()
    }

    async fn inspect_invitation_link(
        &self,
        _: Request<organisation::InspectInvitationLinkRequest>,
    ) -> Answer<organisation::InspectInvitationLinkResponse> {
        unimplemented!()
    }
}

#[tonic::async_trait]
impl DeliveryService for Fakes {
    async fn claim_delivery(
        &self,
        request: Request<notification::ClaimDeliveryRequest>,
    ) -> Answer<notification::ClaimDeliveryResponse> {
        let request = request.into_inner();
        let mut world = self.answer("ClaimDelivery")?;
        let id = format!("delivery-{}", request.event_id);
        let key = (request.event_id.clone(), request.recipient.clone());
        let (delivery, is_final) = world.deliveries.entry(key).or_default();
        *delivery = Delivery {
            message_id: format!("<{id}@usher>"),
            id,
            event_id: request.event_id,
            organisation_id: request.organisation_id,
            invitation_id: request.invitation_id,
            recipient: request.recipient,
            template: request.template,
            locale: request.locale,
            ..Default::default()
        };
        let claim_id = if *is_final { String::new() } else { "claim".to_owned() };
        let delivery = Some(delivery.clone());
        Ok(Response::new(notification::ClaimDeliveryResponse { delivery, claim_id }))
    }

    async fn record_attempt(
        &self,
        request: Request<notification::RecordAttemptRequest>,
    ) -> Answer<notification::RecordAttemptResponse> {
        let request = request.into_inner();
        assert_eq!(request.claim_id, "claim");
        let mut world = self.answer("RecordAttempt")?;
        let outcome = request.outcome();
        world.recorded.push((outcome, request.error));
        for (delivery, is_final) in world.deliveries.values_mut() {
            if delivery.id == request.delivery_id {
                *is_final = outcome != AttemptOutcome::Delayed;
            }
        }
        Ok(Response::new(notification::RecordAttemptResponse::default()))
    }

    async fn get_delivery(
        &self,
        _: Request<notification::GetDeliveryRequest>,
    ) -> Answer<notification::GetDeliveryResponse> {
        unimplemented!()
    }

    async fn list_deliveries(
        &self,
        _: Request<notification::ListDeliveriesRequest>,
    ) -> Answer<notification::ListDeliveriesResponse> {
        unimplemented!()
    }
}

#[tonic::async_trait]
impl TemplateService for Fakes {
    async fn render_mail(
        &self,
        request: Request<notification::RenderMailRequest>,
    ) -> Answer<RenderMailResponse> {
        let mut world = self.answer("RenderMail")?;
        world.filled.push(request.into_inner());
        Ok(Response::new(world.rendered.clone()))
    }
}
