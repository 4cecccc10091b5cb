//! The story, with the words of one telling.

use std::sync::Arc;

use api::{
    notification::v1::{Sender, UpdateSenderRequest, sender_service_client::SenderServiceClient},
    organisation::v1::{
        CreateApplicationRequest, CreateInvitationRequest, CreateRoleRequest,
        application_service_client::ApplicationServiceClient,
        role_service_client::RoleServiceClient,
    },
};
use serde_json::json;
use stories::{Client, OWNER};
use testkit::{Mail, eventually, race, with_token};

use crate::{
    scene::{Request, Scene},
    words::Words,
};

/// A mail that arrived.
pub(crate) struct Told {
    pub(crate) what: &'static str,
    /// To whom, and under which name.
    pub(crate) to: String,
    pub(crate) name: String,
    /// Fields whose words it must say.
    pub(crate) says: &'static [&'static str],
    pub(crate) mail: Mail,
}

/// One telling of the story, and its mails.
pub(crate) struct Telling {
    pub(crate) words: Words,
    pub(crate) mails: Vec<Told>,
}

impl Telling {
    /// Tells the story with plain words and with each attack, four at a time: more would wait for
    /// SQLite's one writer until they are told to try again.
    pub(crate) async fn tell_all(scene: &Arc<Scene>, attacks: &[&'static str]) -> Vec<Self> {
        let mut told = Vec::new();
        for words in Words::of(attacks).chunks(4) {
            let tell = |index: usize| {
                let (scene, words) = (scene.clone(), words[index]);
                async move { Self::tell(&scene, words).await }
            };
            told.extend(race(words.len(), tell).await);
        }
        told
    }

    /// Tells the story: an organisation and whom its mails come from, somebody who may invite there,
    /// an application and a role, invitees, and one of them who asks for access three times. One
    /// invitation and one request are left open.
    async fn tell(scene: &Scene, words: Words) -> Self {
        let mut this = Self { words, mails: Vec::new() };
        // Signed in anew: a token holds for ten minutes.
        let owner = scene.platform.owner().await;
        let at = owner.create_organisation(&words.line("organisationname"), None).await;
        let sender = UpdateSenderRequest {
            organisation_id: at.clone(),
            sender: Some(Sender {
                display_name: words.line("sendername"),
                reply_to: this.reply_to(),
                from_address: this.author(),
            }),
            ..Default::default()
        };
        let mut senders = SenderServiceClient::new(scene.platform.notification());
        senders.update_sender(with_token(owner.token(), sender)).await.expect("it is taken");

        let mallory = this.mallory(scene, &owner, &at).await;
        let application = this.application(scene, &mallory, &at).await;
        let ada = this.ada(scene, &mallory, &at, &application).await;
        this.bob(scene, &mallory, &at).await;

        let wanted = Request { role: "approver", application: "" };
        let request = this.ada_asks(scene, &ada, &at, &wanted).await;
        this.decide(scene, &mallory, &request, "rejected", "rejection").await;
        let wanted = Request { role: "", application: &application };
        let request = this.ada_asks(scene, &ada, &at, &wanted).await;
        this.decide(scene, &mallory, &request, "approved", "approval").await;
        let wanted = Request { role: "approver", application: "" };
        this.ada_asks(scene, &ada, &at, &wanted).await;
        this
    }

    pub(crate) fn mallorys(&self) -> String {
        self.words.address("mallory", "example.com")
    }

    pub(crate) fn adas(&self) -> String {
        self.words.address("ada", "example.com")
    }

    pub(crate) fn bobs(&self) -> String {
        self.words.address("bob", "example.com")
    }

    pub(crate) fn author(&self) -> String {
        self.words.address("people", "abc.example")
    }

    pub(crate) fn reply_to(&self) -> String {
        self.words.address("help", "elsewhere.example")
    }

    /// Somebody may invite there, and calls themselves what they want.
    async fn mallory(&mut self, scene: &Scene, owner: &Client, at: &str) -> Client {
        let words = self.words;
        let request = CreateInvitationRequest {
            organisation_id: at.to_owned(),
            email: self.mallorys(),
            display_name: words.line("givenname"),
            roles: vec!["admin".to_owned()],
            personal_message: words.note("welcome"),
            ..Default::default()
        };
        let invitation = scene.invite(owner, request).await;
        let says = &["organisationname", "givenname", "welcome"];
        self.hear(scene, "new user", &self.mallorys(), &words.line("givenname"), says).await;
        scene.join(&self.last().mail, &invitation, &words.line("invitername")).await
    }

    /// An application and a role, both renamed to what must do no harm.
    async fn application(&self, scene: &Scene, mallory: &Client, at: &str) -> String {
        let request = CreateApplicationRequest {
            organisation_id: at.to_owned(),
            display_name: "Payroll".to_owned(),
            redirect_urls: vec!["https://payroll.example/".to_owned()],
            ..Default::default()
        };
        let mut applications = ApplicationServiceClient::new(scene.platform.organisation());
        let created = applications.create_application(with_token(mallory.token(), request)).await;
        let application = created.expect("created").into_inner().application.expect("it").id;
        let name = json!({ "display_name": self.words.line("applicationname") });
        mallory.patch(&format!("/api/applications/{application}"), &name).await.expect(200);

        let request = CreateRoleRequest {
            organisation_id: at.to_owned(),
            key: "clerk".to_owned(),
            display_name: self.words.line("rolename"),
            permissions: vec!["organisations.read".to_owned()],
            ..Default::default()
        };
        let mut roles = RoleServiceClient::new(scene.platform.organisation());
        roles.create_role(with_token(mallory.token(), request)).await.expect("it is taken");
        application
    }

    /// Somebody is invited as a new user and as one who is known.
    async fn ada(
        &mut self,
        scene: &Scene,
        mallory: &Client,
        at: &str,
        application: &str,
    ) -> Client {
        let words = self.words;
        let path = format!("/api/organisation-invitations?organisation_id={at}");
        let mut body = json!({
            "email": self.adas(),
            "role": "user",
            "first_name": words.line("firstname"),
            "last_name": words.line("lastname"),
            "institution": words.line("institution"),
            "source_id": words.line("sourceid"),
            "application_id": application,
            "personal_message": words.note("message"),
        });
        let invited = mallory.post(&path, &body).await.expect(201);
        let invitation = invited["id"].as_str().expect("an id");
        let name = format!("{} {}", words.line("firstname"), words.line("lastname"));
        let says = &[
            "organisationname",
            "invitername",
            "firstname",
            "lastname",
            "applicationname",
            "message",
        ];
        self.hear(scene, "new user with two names", &self.adas(), &name, says).await;
        let ada = scene.join(&self.last().mail, invitation, &words.line("requestername")).await;

        body["role"] = json!("clerk");
        let invited = mallory.post(&path, &body).await.expect(201);
        let invitation = invited["id"].as_str().expect("an id");
        let name = words.line("requestername");
        let says =
            &["organisationname", "invitername", "requestername", "applicationname", "message"];
        self.hear(scene, "existing user", &self.adas(), &name, says).await;
        mallory.set_state(invitation, "revoked").await.expect(200);
        ada
    }

    /// Somebody is invited with plain words, which are changed before the invitation goes out again.
    async fn bob(&mut self, scene: &Scene, mallory: &Client, at: &str) {
        let words = self.words;
        let request = CreateInvitationRequest {
            organisation_id: at.to_owned(),
            email: self.bobs(),
            display_name: words.line("bobsname"),
            roles: vec!["user".to_owned()],
            ..Default::default()
        };
        let invitation = scene.invite(mallory, request).await;
        let name = words.line("bobsname");
        let says = &["organisationname", "invitername", "bobsname"];
        self.hear(scene, "without a message", &self.bobs(), &name, says).await;
        let path = format!("/api/organisation-invitations/{invitation}");
        let changed = json!({ "personal_message": words.note("changedmessage") });
        mallory.patch(&path, &changed).await.expect(200);
        mallory.post(&format!("{path}/reissue"), &json!({})).await.expect(200);
        let says = &["organisationname", "invitername", "bobsname", "changedmessage"];
        self.hear(scene, "reissued", &self.bobs(), &name, says).await;
    }

    /// Ada hears that her request was received; those who can decide are asked.
    async fn ada_asks(
        &mut self,
        scene: &Scene,
        ada: &Client,
        at: &str,
        wanted: &Request<'_>,
    ) -> String {
        let words = self.words;
        let request = scene.ask(ada, at, wanted, words.note("reason")).await;
        let name = words.line("requestername");
        let (received, asked): (&[_], &[_]) = match wanted.application {
            "" => (
                &["organisationname", "requestername", "reason"],
                &["organisationname", "requestername", "reason", "invitername"],
            ),
            _ => (
                &["organisationname", "requestername", "reason", "applicationname"],
                &["organisationname", "requestername", "reason", "invitername", "applicationname"],
            ),
        };
        self.hear(scene, "received", &self.adas(), &name, received).await;
        self.hear_deciders(scene, "asked", asked).await;
        request
    }

    /// Mallory decides; Ada and the other who could have decided hear of it.
    async fn decide(
        &mut self,
        scene: &Scene,
        mallory: &Client,
        request: &str,
        status: &str,
        field: &'static str,
    ) {
        let words = self.words;
        let decision = json!({ "status": status, "reason": words.note(field) });
        mallory.patch(&format!("/api/access-requests/{request}"), &decision).await.expect(200);
        let says: &[_] = match field {
            "rejection" => &["organisationname", "requestername", "invitername", "rejection"],
            _ => {
                &["organisationname", "requestername", "invitername", "approval", "applicationname"]
            }
        };
        self.hear(scene, "decided", &self.adas(), &words.line("requestername"), says).await;
        self.hear(scene, "settled", OWNER, "Platform owner", says).await;
    }

    /// Waits for a mail to Mallory and for one to the owner; the latter need not say Mallory's name.
    pub(crate) async fn hear_deciders(
        &mut self,
        scene: &Scene,
        what: &'static str,
        says: &'static [&'static str],
    ) {
        let name = self.words.line("invitername");
        self.hear(scene, what, &self.mallorys(), &name, says).await;
        self.hear(scene, what, OWNER, "Platform owner", &says[..3]).await;
    }

    /// Waits for the next mail of this telling to an address.
    pub(crate) async fn hear(
        &mut self,
        scene: &Scene,
        what: &'static str,
        to: &str,
        name: &str,
        says: &'static [&'static str],
    ) {
        let heard = self.mails.iter().filter(|told| told.to == to).count();
        let mark = self.words.mark("organisationname");
        let awaited = format!("{what}: mail {} to {to}", heard + 1);
        let mail = eventually(&awaited, async || {
            let mails = scene.sink().mails_to(to);
            mails.into_iter().filter(|mail| mail.text().contains(&mark)).nth(heard)
        });
        let mail = mail.await;
        self.mails.push(Told { what, to: to.to_owned(), name: name.to_owned(), says, mail });
    }

    fn last(&self) -> &Told {
        self.mails.last().expect("a mail")
    }
}
