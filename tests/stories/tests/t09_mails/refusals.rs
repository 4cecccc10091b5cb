//! What no field takes.

use api::{
    identity::v1::{EnrolUserRequest, user_service_client::UserServiceClient},
    notification::v1::{
        Sender, UpdateSenderRequest, UpdateTemplateRequest,
        sender_service_client::SenderServiceClient, template_service_client::TemplateServiceClient,
    },
    organisation::v1::{
        CreateAccessRequestRequest, CreateRoleRequest,
        access_request_service_client::AccessRequestServiceClient,
        role_service_client::RoleServiceClient,
    },
};
use serde_json::json;
use stories::PASSWORD;
use testkit::{Mail, with_token};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::scene::{Request, Scene};

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
