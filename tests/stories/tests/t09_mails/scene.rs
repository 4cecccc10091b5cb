//! Where it is told.

use std::sync::Arc;

use api::{
    identity::v1::{EnrolUserRequest, user_service_client::UserServiceClient},
    organisation::v1::{
        CreateAccessRequestRequest, CreateInvitationRequest,
        access_request_service_client::AccessRequestServiceClient,
        invitation_service_client::InvitationServiceClient,
    },
};
use kernel::Duration;
use service::RawSettings;
use stories::{Client, PASSWORD, Platform, from_noon};
use testkit::{Mail, SmtpSink, eventually, with_token};

/// A platform with a mail server.
pub(crate) struct Scene {
    pub(crate) platform: Platform,
    pub(crate) owner: Client,
}

/// An access request of Ada's.
pub(crate) struct Request<'a> {
    pub(crate) role: &'a str,
    pub(crate) application: &'a str,
}

impl Scene {
    const SETTINGS: [(&str, &str); 2] = [
        ("mail_from", "usher@platform.example"),
        ("mail_sender_domains", "platform.example, abc.example"),
    ];

    pub(crate) async fn on_real_servers() -> Arc<Self> {
        let names = Self::SETTINGS.map(|(name, _)| format!("USHER_{}", name.to_uppercase()));
        let values = Self::SETTINGS.map(|(_, value)| value);
        let settings: Vec<_> = names.iter().map(String::as_str).zip(values).collect();
        Self::of(Platform::on_real_servers_with(&settings).await).await
    }

    pub(crate) async fn embedded() -> Arc<Self> {
        let sink = SmtpSink::start().await;
        let mut raw = RawSettings::default();
        raw.set("smtp_url", format!("smtp://{}", sink.address()));
        for (name, value) in Self::SETTINGS {
            raw.set(name, value);
        }
        let mut platform = Platform::embedded(raw, Some(from_noon())).await;
        platform.sink = Some(sink);
        Self::of(platform).await
    }

    async fn of(platform: Platform) -> Arc<Self> {
        let owner = platform.owner().await;
        Arc::new(Self { platform, owner })
    }

    pub(crate) fn sink(&self) -> &SmtpSink {
        self.platform.sink.as_ref().expect("a mail server")
    }

    /// Lets time pass when nothing is on its way any more: a mail that is not recorded yet would be taken
    /// for lost, and sent again.
    pub(crate) async fn pass(&self, time: Duration) {
        let owner = self.platform.owner().await;
        for service in ["organisation", "notification"] {
            eventually("nothing is on its way", async || {
                let outbox = self.platform.outbox(&owner, service).await.expect("an answer");
                (outbox.waiting == 0).then_some(())
            })
            .await;
        }
        self.platform.clock.as_ref().expect("a clock").advance(time);
    }

    /// Invites over gRPC; the invitation's id.
    pub(crate) async fn invite(&self, who: &Client, request: CreateInvitationRequest) -> String {
        let mut invitations = InvitationServiceClient::new(self.platform.organisation());
        let answer = invitations.create_invitation(with_token(who.token(), request)).await;
        answer.expect("it is taken").into_inner().invitation.expect("an invitation").id
    }

    /// Enrols over gRPC with a name that the person chooses, and accepts.
    pub(crate) async fn join(&self, mail: &Mail, invitation: &str, name: &str) -> Client {
        let link = mail.link();
        let request = EnrolUserRequest {
            link_token: link.rsplit_once('/').expect("a token").1.to_owned(),
            display_name: name.to_owned(),
            password: PASSWORD.to_owned(),
        };
        let mut users = UserServiceClient::new(self.platform.identity());
        let enrolled = users.enrol_user(request).await.expect("it is taken").into_inner();
        let token = enrolled.tokens.expect("tokens").access_token;
        let client = self.platform.anonymous().with_token(&token);
        client.set_state(invitation, "accepted").await.expect(200);
        client
    }

    pub(crate) async fn ask(
        &self,
        who: &Client,
        at: &str,
        request: &Request<'_>,
        reason: String,
    ) -> String {
        let request = CreateAccessRequestRequest {
            organisation_id: at.to_owned(),
            role: request.role.to_owned(),
            application_id: request.application.to_owned(),
            reason,
            ..Default::default()
        };
        let mut requests = AccessRequestServiceClient::new(self.platform.organisation());
        let answer = requests.create_access_request(with_token(who.token(), request)).await;
        answer.expect("it is taken").into_inner().access_request.expect("it").id
    }
}
