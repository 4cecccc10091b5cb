//! Threat t09: what people type reaches a mail as their words, and as nothing else.
//!
//! One story is told many times: somebody who may invite and an invitee who asks for access type an
//! attack into every field that there is, over REST and gRPC. The first time they type plain words.
//! Every mail of the later times must be the mail of the first with the words exchanged: the same
//! headers, the same tags with the same attributes, the same links, the same text around the words, and
//! the words themselves as they were typed.
//!
//! A bare address of the web stays what was typed, in the text and in the HTML, where it is no link.
//! Many mail readers make one of it all the same, and no mail can forbid that. What a mail can promise,
//! and what these tests hold it to, is that it stands only where it was typed, that a message of
//! several lines is marked as somebody's words on each of them, and that no label of ours leads there.

use std::{collections::BTreeSet, sync::Arc};

use api::{
    identity::v1::{EnrolUserRequest, user_service_client::UserServiceClient},
    notification::v1::{
        Sender, UpdateSenderRequest, UpdateTemplateRequest,
        sender_service_client::SenderServiceClient, template_service_client::TemplateServiceClient,
    },
    operations::v1::{GetOutboxStatusRequest, outbox_service_client::OutboxServiceClient},
    organisation::v1::{
        access_request_service_client::AccessRequestServiceClient,
        application_service_client::ApplicationServiceClient,
        invitation_service_client::InvitationServiceClient, role_service_client::RoleServiceClient,
        *,
    },
};
use html5gum::{Token, Tokenizer, emitters::default::DefaultEmitter};
use kernel::Duration;
use mail_parser::{Address, MessageParser};
use serde_json::json;
use service::RawSettings;
use stories::{Client, OWNER, PASSWORD, Platform, from_noon};
use testkit::{Mail, SmtpSink, eventually, race, with_token};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// What is typed. At most 80 characters each: it stands twice in a name, and in two names that are one.
const ATTACKS: [&str; 12] = [
    "<img src=x onerror=alert(1)>",
    "<a href=https://evil.example>click</a>",
    "</title></p></td><script src=//evil.example></script><!--",
    "\" onclick='alert(1)' style=\"x",
    "[click](https://evil.example) ![x](https://evil.example/x.png)",
    "](https://evil.example) [click][x] <https://evil.example>",
    "https://evil.example www.evil.example",
    "**bold** __bold__ *it* _it_ `code` ~~x~~ \\",
    "# 1. > - + --- ``` <eve@evil.example>, \"Eve\" <eve@evil.example>;",
    "{{ link }} {% for x in roles %}{{ x }}{% endfor %} {# x #} {% raw %}",
    "&lt;b&gt; &#60;b&#62; &copy; %0d%0aBcc:eve@evil.example \\r\\n",
    "„Zo\u{eb}“ <b>\u{1f44b}</b> (c) =3Cb=3E",
];

/// What somebody types on one line, as far as mails know it, and a few fields that they might know.
const LINES: [&str; 12] = [
    "organisationname",
    "sendername",
    "givenname",
    "invitername",
    "firstname",
    "lastname",
    "institution",
    "sourceid",
    "rolename",
    "applicationname",
    "requestername",
    "bobsname",
];

/// What somebody types on several lines.
const NOTES: [&str; 6] =
    ["welcome", "message", "changedmessage", "reason", "rejection", "approval"];

/// The words of one telling.
#[derive(Clone, Copy)]
struct Words {
    /// Tells this telling's words from those of the others.
    tag: char,
    /// Empty in the first telling, which the others are compared with.
    attack: &'static str,
}

impl Words {
    /// The first telling's, and those of one telling for each attack.
    fn of(attacks: &[&'static str]) -> Vec<Self> {
        let attacks = std::iter::once("").chain(attacks.iter().copied());
        ('a'..='z').zip(attacks).map(|(tag, attack)| Self { tag, attack }).collect()
    }

    /// The part of a field's words that no attack is in.
    fn mark(&self, field: &str) -> String {
        format!("{field}{}", self.tag)
    }

    /// What is typed into a field of one line: an attack at both ends, where Markdown looks.
    fn line(&self, field: &str) -> String {
        let (mark, attack) = (self.mark(field), self.attack);
        match field {
            // Two names that are put together, with an attack at either end of what comes out.
            "firstname" => format!("{attack} {mark}").trim().to_owned(),
            "lastname" => format!("{mark} {attack}").trim().to_owned(),
            _ => format!("{attack} {mark} {attack}").trim().to_owned(),
        }
    }

    /// What is typed into a field of several lines: also what would begin a header, end the mail and
    /// begin another one.
    fn lines(&self, field: &str) -> Vec<String> {
        let smuggled = match self.attack {
            "" => ["plain", "plain"],
            _ => ["Bcc: eve@evil.example", "RCPT TO:<eve@evil.example>"],
        };
        let [header, command] = smuggled;
        vec![
            self.line(&format!("{field}-one-")),
            String::new(),
            format!("{header} {}", self.mark(&format!("{field}-two-"))),
            ".".to_owned(),
            format!("{command} {}", self.mark(&format!("{field}-three-"))),
            self.line(&format!("{field}-four-")),
        ]
    }

    /// Those lines as a browser's form sends them.
    fn note(&self, field: &str) -> String {
        self.lines(field).join("\r\n")
    }

    /// A mail address of this telling. What may stand before the `@` is more than letters.
    fn address(&self, name: &str, domain: &str) -> String {
        let odd = if self.attack.is_empty() { "" } else { "{{link}}**'`|_&" };
        format!("{odd}{name}-{}@{domain}", self.tag)
    }

    /// A text with a name in the place of each field's words.
    fn named(&self, text: &str) -> String {
        let lines = LINES.iter().map(|field| (self.line(field), format!("‹{field}›")));
        let notes = NOTES.iter().flat_map(|field| {
            let lines = self.lines(field).into_iter().enumerate();
            lines
                .filter(|(_, line)| line.len() > 1)
                .map(|(index, line)| (line, place(field, index)))
        });
        let mut known: Vec<_> = lines.chain(notes).collect();
        known.sort_by_key(|(words, _)| std::cmp::Reverse(words.len()));
        known.iter().fold(text.to_owned(), |text, (words, name)| text.replace(words, name))
    }
}

fn place(field: &str, index: usize) -> String {
    // In words: digits are left out when mails are compared.
    let letter = char::from(b'a' + u8::try_from(index).expect("a few lines"));
    format!("‹{field} {letter}›")
}

/// A platform with a mail server.
struct Scene {
    platform: Platform,
    owner: Client,
}

/// A mail that arrived.
struct Told {
    what: &'static str,
    /// To whom, and under which name.
    to: String,
    name: String,
    /// Fields whose words it must say.
    says: &'static [&'static str],
    mail: Mail,
}

/// One telling of the story, and its mails.
struct Telling {
    words: Words,
    mails: Vec<Told>,
}

/// An access request of Ada's.
struct Request<'a> {
    role: &'a str,
    application: &'a str,
}

impl Scene {
    const SETTINGS: [(&str, &str); 2] = [
        ("mail_from", "usher@platform.example"),
        ("mail_sender_domains", "platform.example, abc.example"),
    ];

    async fn on_real_servers() -> Arc<Self> {
        let names = Self::SETTINGS.map(|(name, _)| format!("USHER_{}", name.to_uppercase()));
        let values = Self::SETTINGS.map(|(_, value)| value);
        let settings: Vec<_> = names.iter().map(String::as_str).zip(values).collect();
        Self::of(Platform::on_real_servers_with(&settings).await).await
    }

    async fn embedded() -> Arc<Self> {
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

    fn sink(&self) -> &SmtpSink {
        self.platform.sink.as_ref().expect("a mail server")
    }

    /// Lets time pass when nothing is on its way any more: a mail that is not recorded yet would be taken
    /// for lost, and sent again.
    async fn pass(&self, time: Duration) {
        let owner = self.platform.owner().await;
        for service in [self.platform.organisation(), self.platform.notification()] {
            let outbox = OutboxServiceClient::new(service);
            eventually("nothing is on its way", async || {
                let request = with_token(owner.token(), GetOutboxStatusRequest {});
                let status = outbox.clone().get_outbox_status(request).await.expect("an answer");
                (status.into_inner().waiting == 0).then_some(())
            })
            .await;
        }
        self.platform.clock.as_ref().expect("a clock").advance(time);
    }

    /// Invites over gRPC; the invitation's id.
    async fn invite(&self, who: &Client, request: CreateInvitationRequest) -> String {
        let mut invitations = InvitationServiceClient::new(self.platform.organisation());
        let answer = invitations.create_invitation(with_token(who.token(), request)).await;
        answer.expect("it is taken").into_inner().invitation.expect("an invitation").id
    }

    /// Enrols over gRPC with a name that the person chooses, and accepts.
    async fn join(&self, mail: &Mail, invitation: &str, name: &str) -> Client {
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

    async fn ask(&self, who: &Client, at: &str, request: &Request<'_>, reason: String) -> String {
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

impl Telling {
    /// Tells the story with plain words and with each attack, four at a time: more would wait for
    /// SQLite's one writer until they are told to try again.
    async fn tell_all(scene: &Arc<Scene>, attacks: &[&'static str]) -> Vec<Self> {
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

    fn mallorys(&self) -> String {
        self.words.address("mallory", "example.com")
    }

    fn adas(&self) -> String {
        self.words.address("ada", "example.com")
    }

    fn bobs(&self) -> String {
        self.words.address("bob", "example.com")
    }

    fn author(&self) -> String {
        self.words.address("people", "abc.example")
    }

    fn reply_to(&self) -> String {
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
    async fn hear_deciders(
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
    async fn hear(
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
            let mails = scene.sink().mails_to(to).into_iter();
            mails.filter(|mail| mail.text().contains(&mark)).nth(heard)
        });
        let mail = mail.await;
        self.mails.push(Told { what, to: to.to_owned(), name: name.to_owned(), says, mail });
    }

    fn last(&self) -> &Told {
        self.mails.last().expect("a mail")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t09_whatever_is_typed_reaches_mails_as_words_on_real_servers() {
    let scene = Scene::on_real_servers().await;
    let told = Telling::tell_all(&scene, &ATTACKS).await;
    assert_words_are_all_that_differs(&scene, &told);
    assert_the_conversation_is_of_these_mails(&scene, &told);
}

/// The mails that only time brings: reminders, and that it is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t09_whatever_is_typed_reaches_reminders_and_last_words_as_words() {
    let scene = Scene::embedded().await;
    let mut told = Telling::tell_all(&scene, &ATTACKS).await;
    scene.pass(Duration::hours(24)).await;
    for telling in &mut told {
        let (to, name) = (telling.bobs(), telling.words.line("bobsname"));
        let says = &["organisationname", "invitername", "bobsname", "changedmessage"];
        telling.hear(&scene, "reminder", &to, &name, says).await;
    }
    scene.pass(Duration::hours(24)).await;
    for telling in &mut told {
        let (to, name) = (telling.bobs(), telling.words.line("bobsname"));
        let says = &["organisationname", "invitername", "bobsname"];
        telling.hear(&scene, "expired", &to, &name, says).await;
    }
    scene.pass(Duration::days(2)).await;
    for telling in &mut told {
        let says = &["organisationname", "requestername", "reason", "invitername"];
        telling.hear_deciders(&scene, "reminded", says).await;
    }
    scene.pass(Duration::days(86)).await;
    for telling in &mut told {
        let (to, name) = (telling.adas(), telling.words.line("requestername"));
        let says = &["organisationname", "requestername"];
        telling.hear(&scene, "request expired", &to, &name, says).await;
        let (to, name) = (telling.mallorys(), telling.words.line("invitername"));
        telling.hear(&scene, "request of another expired", &to, &name, says).await;
        telling.hear(&scene, "request of another expired", OWNER, "Platform owner", says).await;
    }
    assert_words_are_all_that_differs(&scene, &told);
    assert_the_conversation_is_of_these_mails(&scene, &told);
}

/// Words that are an encoded word of a header (RFC 2047) are words, too: decoded they could say what
/// no field takes, such as a line that reads backwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t09_what_looks_like_an_encoded_header_is_not_decoded() {
    let scene = Scene::embedded().await;
    let attack = "=?utf-8?Q?=E2=80=AEeve=0D=0ABcc:_eve@evil.example?=";
    let told = Telling::tell_all(&scene, &[attack]).await;
    assert_words_are_all_that_differs(&scene, &told);
}

/// A mail as its reader sees it, with a name in the place of each field's words and of each link. The
/// addresses in its headers are those that they must be, and are left out.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    /// The names of the headers, in their order.
    headers: Vec<String>,
    /// The media types of its parts.
    parts: Vec<String>,
    from: String,
    to: String,
    subject: String,
    text: String,
    page: Vec<Piece>,
}

/// A part of a page as a browser reads it.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// A tag with its attributes; of `href` and `src` the value is one of the links.
    Tag(String, Vec<(String, String)>),
    Text(String),
}

/// Each mail is the first telling's with the words exchanged.
fn assert_words_are_all_that_differs(scene: &Scene, told: &[Telling]) {
    let [plain, hostile @ ..] = told else { panic!("a telling to compare with") };
    let expected: Vec<_> = plain.mails.iter().map(|told| Read::of(scene, plain, told)).collect();
    for (read, told) in expected.iter().zip(&plain.mails) {
        assert_it_says_what_it_must(read, told);
    }
    for telling in hostile {
        assert_eq!(telling.mails.len(), expected.len());
        for (told, expected) in telling.mails.iter().zip(&expected) {
            let (read, attack) = (Read::of(scene, telling, told), telling.words.attack);
            let raw = String::from_utf8_lossy(&told.mail.raw);
            assert_eq!(&read, expected, "{} to {}: {attack}\n{raw}", told.what, told.to);
        }
    }
}

/// What the comparison stands on: a mail that left a field out would say nothing about it.
fn assert_it_says_what_it_must(read: &Read, told: &Told) {
    let shown = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Tag(..) => String::new(),
    };
    let shown: String = read.page.iter().map(shown).collect();
    for &field in told.says {
        let names: Vec<_> = match NOTES.contains(&field) {
            true => [0, 2, 4, 5].map(|index| place(field, index)).into(),
            false => vec![format!("‹{field}›")],
        };
        for name in names {
            assert!(read.text.contains(&name), "{}: {name} in {}", told.what, read.text);
            assert!(shown.contains(&name), "{}: {name} in {shown}", told.what);
            // What has several lines is quoted on each of them.
            let mut lines = read.text.lines().filter(|line| line.contains(&name));
            assert!(!NOTES.contains(&field) || lines.all(|line| line == format!("> {name}")));
        }
    }
    assert!(read.subject.contains("‹organisationname›"), "{}", read.subject);
    assert_eq!(read.from, "‹sendername›");
    assert_eq!(read.parts, ["multipart/alternative", "text/plain", "text/html"]);
    for name in ["From", "To", "Reply-To", "Subject", "Date", "Message-ID"] {
        assert_eq!(read.headers.iter().filter(|it| *it == name).count(), 1, "{:?}", read.headers);
    }
    let harmless = ["Auto-Submitted", "MIME-Version", "Content-Type"];
    let reminder = ["List-Unsubscribe", "List-Unsubscribe-Post"];
    for name in &read.headers {
        let is_known = ["From", "To", "Reply-To", "Subject", "Date", "Message-ID"]
            .iter()
            .chain(&harmless)
            .chain(reminder.iter().filter(|_| ["reminder", "reminded"].contains(&told.what)))
            .any(|known| known == name);
        assert!(is_known, "{name} in {}", told.what);
    }
    let links = |text: &str| text.matches("‹link›").count();
    let hrefs = |piece: &Piece| match piece {
        Piece::Tag(_, attributes) => attributes.iter().filter(|(_, it)| it == "‹link›").count(),
        Piece::Text(_) => 0,
    };
    // That an invitation is over is told without a link; every other mail has one, which its HTML
    // also shows to be copied.
    let count = usize::from(told.what != "expired");
    let counts = (links(&read.text), links(&shown), read.page.iter().map(hrefs).sum::<usize>());
    assert_eq!(counts, (count, count, count), "{}: {}", told.what, read.text);
}

impl Read {
    fn of(scene: &Scene, telling: &Telling, told: &Told) -> Self {
        let raw = &told.mail.raw;
        let whole = std::str::from_utf8(raw).expect("a mail is text");
        for line in whole.split("\r\n") {
            assert!(!line.contains(['\r', '\n', '\0']) && line.len() <= 998, "{line:?}");
        }
        let mail = MessageParser::default().parse(raw).expect("a mail that can be parsed");
        assert!(mail.cc().is_none() && mail.bcc().is_none() && mail.sender().is_none(), "{whole}");
        assert_eq!(only(mail.to()), (told.name.as_str(), told.to.as_str()), "{whole}");
        let (from, author) = only(mail.from());
        assert_eq!(author, telling.author());
        assert_eq!(only(mail.reply_to()), ("", telling.reply_to().as_str()), "{whole}");
        let named = |text: &str| named(scene, telling, text);
        let parts = mail.parts.iter().filter_map(mail_parser::MimeHeaders::content_type);
        Self {
            headers: header_names(whole),
            parts: parts
                .map(|it| format!("{}/{}", it.ctype(), it.subtype().unwrap_or_default()))
                .collect(),
            from: named(from),
            to: named(only(mail.to()).0),
            subject: named(mail.subject().expect("a subject")),
            text: named(&told.mail.text().replace("\r\n", "\n")),
            page: page(&told.mail.html(), named),
        }
    }
}

/// The name and the address that a header has, which must be one.
fn only<'a>(header: Option<&'a Address<'a>>) -> (&'a str, &'a str) {
    let list = header.and_then(Address::as_list).expect("a list of addresses");
    let [one] = list else { panic!("one address: {list:?}") };
    (one.name().unwrap_or_default(), one.address().unwrap_or_default())
}

/// The names of the headers as they came over the wire: a parser may overlook one that another finds.
fn header_names(whole: &str) -> Vec<String> {
    let (headers, _) = whole.split_once("\r\n\r\n").expect("headers and a body");
    let lines = headers.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
    lines.map(|line| line.split_once(':').expect("a header").0.to_owned()).collect()
}

/// A text with names in the place of what may differ: words, links of the platform's own, and times.
fn named(scene: &Scene, telling: &Telling, text: &str) -> String {
    let text = telling.words.named(text);
    let origin = format!("{}/", scene.platform.http);
    let mut parts = text.split(&origin);
    let mut named = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(char::is_whitespace).unwrap_or(part.len());
        named += "‹link›";
        named += &part[end..];
    }
    named.retain(|c| !c.is_ascii_digit());
    named
}

/// A page as a browser reads it.
fn page(html: &str, named: impl Fn(&str) -> String) -> Vec<Piece> {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let words = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let mut pieces = Vec::new();
    let mut text = String::new();
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let tag = match token.expect("a token") {
            Token::String(more) => {
                text += &words(&more.value);
                continue;
            }
            Token::StartTag(tag) => {
                let attributes = tag.attributes.iter().map(|(name, value)| {
                    let (name, value) = (words(name), words(&value.value));
                    let is_address = ["href", "src"].contains(&name.as_str());
                    (name, if is_address { named(&value) } else { value })
                });
                Piece::Tag(words(&tag.name), attributes.collect())
            }
            Token::EndTag(tag) => Piece::Tag(format!("/{}", words(&tag.name)), Vec::new()),
            Token::Doctype(_) => continue,
            other => panic!("neither tag nor text: {other:?} in {html}"),
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(named(&std::mem::take(&mut text))));
        }
        pieces.push(tag);
    }
    assert!(text.trim().is_empty(), "nothing stands behind the page: {text}");
    pieces
}

/// The mail server was told of these mails and of nothing else: one sender and one recipient each. The
/// commands of several connections come one between another, so that they are counted.
fn assert_the_conversation_is_of_these_mails(scene: &Scene, told: &[Telling]) {
    let expected = told.iter().flat_map(|telling| telling.mails.iter().map(|told| told.to.clone()));
    let (mut expected, mut mailed): (Vec<_>, _) = (expected.collect(), scene.sink().recipients());
    expected.sort_unstable();
    mailed.sort_unstable();
    assert_eq!(mailed, expected);

    let authors: BTreeSet<_> = told.iter().map(Telling::author).collect();
    let (mut begun, mut recipients) = (0, 0);
    for command in scene.sink().commands() {
        let line = command.strip_suffix("\r\n").expect("a line");
        match line.split([' ', ':']).next().unwrap_or_default() {
            "MAIL" => {
                begun += 1;
                let author = line.strip_prefix("MAIL FROM:<").and_then(|it| it.split_once('>'));
                assert!(author.is_some_and(|(author, _)| authors.contains(author)), "{line}");
            }
            "RCPT" => {
                recipients += 1;
                let to = line.strip_prefix("RCPT TO:<").and_then(|it| it.strip_suffix('>'));
                assert!(to.is_some_and(|to| expected.iter().any(|it| it == to)), "{line}");
            }
            "EHLO" => {}
            "DATA" | "NOOP" | "RSET" | "QUIT" => assert_eq!(line.len(), 4, "{line}"),
            _ => panic!("no command of a mail: {line}"),
        }
    }
    // One that was begun in vain may lack its recipient; none has two.
    assert!(recipients <= begun, "{recipients} recipients of {begun} mails");
}

/// What could end a line, a header or a mail, or make a line read backwards.
const BREAKS: [&str; 9] = [
    "\r\nBcc: eve@evil.example\r\n",
    "\nBcc: eve@evil.example\n",
    "\r",
    "\0",
    "\u{b}",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "\u{1b}[2J",
];

/// What is no address, or more than one.
const ADDRESSES: [&str; 7] = [
    "ada@example.com\r\nBcc: eve@evil.example",
    "ada@example.com, eve@evil.example",
    "<eve@evil.example>",
    "ada@example.com> SIZE=1\r\nRCPT TO:<eve@evil.example",
    "\"<b>\"@example.com",
    "Eve <eve@evil.example>",
    "ada@<b>.example",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t09_what_could_end_a_line_is_refused_where_one_is_asked_for() {
    let scene = Scene::embedded().await;
    let owner = &scene.owner;
    let at = owner.create_organisation("ABC Holdings", None).await;
    let created = owner
        .post(
            &format!("/api/organisations/{at}/applications"),
            &json!({ "display_name": "Payroll", "redirect_urls": ["https://payroll.example/"] }),
        )
        .await
        .expect(201);
    let application =
        format!("/api/applications/{}", created["application"]["id"].as_str().expect("an id"));
    let invitation = owner.invite(&at, "ada@example.com", "user").await;
    let mail = scene.sink().mail_to("ada@example.com").await;
    let invitations = format!("/api/organisation-invitations?organisation_id={at}");
    let invitation = format!("/api/organisation-invitations/{invitation}");
    for end in BREAKS {
        let bad = format!("Ada{end}Lovelace");
        let name = json!({ "display_name": bad });
        refuses(owner.post("/api/organisations", &name).await, &["display_name"]);
        let organisation = format!("/api/organisations/{at}");
        refuses(owner.patch(&organisation, &name).await, &["display_name"]);
        let applications = format!("{organisation}/applications");
        refuses(owner.post(&applications, &name).await, &["display_name"]);
        refuses(owner.patch(&application, &name).await, &["display_name"]);
        let offer = json!({
            "roles": ["user", bad],
            "first_name": bad,
            "last_name": bad,
            "institution": bad,
            "source_id": bad,
            "locale": bad,
            "callback_url": format!("https://hooks.example/{end}"),
        });
        let offered = ["first_name", "last_name", "institution", "source_id", "locale", "roles"];
        let mut whole = offer.clone();
        whole["email"] = json!(format!("ada{end}@example.com"));
        whole["display_name"] = json!(bad);
        let refused = owner.post(&invitations, &whole).await;
        refuses(refused, &[&offered[..], &["email", "display_name", "callback_url"]].concat());
        refuses(owner.patch(&invitation, &offer).await, &offered);
        // A message has lines, but of one kind.
        if !end.contains('\n') {
            let message = json!({ "email": "eve@example.com", "personal_message": bad });
            refuses(owner.post(&invitations, &message).await, &["personal_message"]);
            let message = json!({ "personal_message": bad });
            refuses(owner.patch(&invitation, &message).await, &["personal_message"]);
        }
        refuses_over_grpc(&scene, &at, &mail, &bad).await;
    }
    for email in ADDRESSES {
        refuses(owner.post(&invitations, &json!({ "email": email })).await, &["email"]);
        let sender = Sender {
            display_name: "ABC".to_owned(),
            reply_to: email.to_owned(),
            from_address: email.to_owned(),
        };
        let refused = send_as(&scene, &at, sender).await;
        violates(&refused, &["sender.reply_to", "sender.from_address"]);
    }
    assert_eq!(scene.sink().taken(), 1, "nobody was mailed but Ada");
}

async fn refuses_over_grpc(scene: &Scene, at: &str, mail: &Mail, bad: &str) {
    let token = scene.owner.token();
    let sender = Sender { display_name: bad.to_owned(), ..Default::default() };
    violates(&send_as(scene, at, sender).await, &["sender.display_name"]);

    let mut roles = RoleServiceClient::new(scene.platform.organisation());
    let request = CreateRoleRequest {
        organisation_id: at.to_owned(),
        key: bad.to_owned(),
        display_name: bad.to_owned(),
        permissions: vec!["organisations.read".to_owned()],
        ..Default::default()
    };
    let refused = roles.create_role(with_token(token, request)).await;
    violates(&refused.expect_err("refused"), &["key", "display_name"]);

    let link = mail.link();
    let mut users = UserServiceClient::new(scene.platform.identity());
    let request = EnrolUserRequest {
        link_token: link.rsplit_once('/').expect("a token").1.to_owned(),
        display_name: bad.to_owned(),
        password: PASSWORD.to_owned(),
    };
    violates(&users.enrol_user(request).await.expect_err("refused"), &["display_name"]);
}

async fn send_as(scene: &Scene, at: &str, sender: Sender) -> Status {
    let request = UpdateSenderRequest {
        organisation_id: at.to_owned(),
        sender: Some(sender),
        ..Default::default()
    };
    let mut senders = SenderServiceClient::new(scene.platform.notification());
    let answer = senders.update_sender(with_token(scene.owner.token(), request)).await;
    answer.expect_err("refused")
}

/// Why somebody asks or decides has lines as a message has, and no more than a message another end of a
/// line or a character that turns one round.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t09_a_reason_takes_nothing_that_makes_a_line_say_something_else() {
    let scene = Scene::embedded().await;
    let at = scene.owner.create_organisation("ABC Holdings", None).await;
    let ada = scene.platform.member(&scene.owner, &at, "ada@example.com", "user").await;
    let mut asks = AccessRequestServiceClient::new(scene.platform.organisation());
    let wanted = Request { role: "approver", application: "" };
    let request = scene.ask(&ada, &at, &wanted, "I keep the books.".to_owned()).await;
    for end in BREAKS.iter().filter(|end| !end.contains('\n')) {
        let bad = format!("Because{end}of it");
        let again = CreateAccessRequestRequest {
            organisation_id: at.clone(),
            role: "admin".to_owned(),
            reason: bad.clone(),
            ..Default::default()
        };
        let refused = asks.create_access_request(with_token(ada.token(), again)).await;
        violates(&refused.expect_err(&format!("{end:?} is refused")), &["reason"]);
        for status in ["approved", "rejected"] {
            let decision = json!({ "status": status, "reason": bad });
            let path = format!("/api/access-requests/{request}");
            refuses(scene.owner.patch(&path, &decision).await, &["reason"]);
        }
    }
}

/// An organisation's own words are Markdown, and no more than that: what its mails are drawn from
/// takes no HTML, no pictures, no header and no link that is none of the web.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t09_an_organisations_words_take_no_html_and_no_header() {
    let scene = Scene::embedded().await;
    let at = scene.owner.create_organisation("ABC Holdings", None).await;
    let mut templates = TemplateServiceClient::new(scene.platform.notification());
    for bad in [
        "Subject: Come\n\n<img src=x onerror=alert(1)>\n\n[Come]({{ link }})\n",
        "Subject: Come\n\nCome <b>now</b>\n\n[Come]({{ link }})\n",
        "Subject: Come\n\n![x](https://evil.example/x.png)\n\n[Come]({{ link }})\n",
        "Subject: Come\n\n[x](javascript:alert)\n\n[Come]({{ link }})\n",
        "Subject: Come\nBcc: eve@evil.example\n\n[Come]({{ link }})\n",
        "Subject: Come\r\nBcc: eve@evil.example\r\n\r\n[Come]({{ link }})\n",
        "Subject: Come\n\n{{ link|safe }}\n\n[Come]({{ link }})\n",
        "Subject: Come\n\n{% include 'layout.html' %}\n\n[Come]({{ link }})\n",
    ] {
        let request = UpdateTemplateRequest {
            organisation_id: at.clone(),
            template: "invitation-new-user".to_owned(),
            source: bad.to_owned(),
            ..Default::default()
        };
        let answer = templates.update_template(with_token(scene.owner.token(), request)).await;
        violates(&answer.expect_err(bad), &["source"]);
    }
}

/// A problem that names these fields, whatever others it names.
fn refuses(answer: stories::Answer, fields: &[&str]) {
    assert_eq!((answer.status, answer.reason()), (400, "INVALID_ARGUMENT"), "{}", answer.body);
    let errors = answer.body["errors"].as_array().expect("errors");
    let named = errors.iter().map(|error| error["field"].as_str().expect("a field").to_owned());
    names(&named.collect::<Vec<_>>(), fields);
}

/// The same over gRPC.
fn violates(status: &Status, fields: &[&str]) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().expect("the fields");
    let named = details.field_violations.into_iter().map(|it| it.field);
    names(&named.collect::<Vec<_>>(), fields);
}

fn names(named: &[String], fields: &[&str]) {
    for field in fields {
        // Of a list the element is named.
        let is_named = named.iter().any(|it| it.split('[').next() == Some(field));
        assert!(is_named, "{field} is not among {named:?}");
    }
}
