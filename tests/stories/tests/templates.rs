//! An organisation speaks in its own words and under its own name.

use api::notification::v1::{
    DeleteTemplateRequest, GetTemplateRequest, Origin, Sender, UpdateSenderRequest,
    UpdateTemplateRequest, sender_service_client::SenderServiceClient,
    template_service_client::TemplateServiceClient,
};
use kernel::Duration;
use service::RawSettings;
use stories::{Client, Platform, noon};
use testkit::{SmtpSink, eventually, with_token};
use tonic::{Code, Status};

const TEMPLATE: &str = "invitation-new-user";

/// Overrides the invitation at an organisation.
async fn say(
    platform: &Platform,
    who: &Client,
    organisation: &str,
    subject: &str,
) -> Result<(), Status> {
    let request = UpdateTemplateRequest {
        organisation_id: organisation.to_owned(),
        template: TEMPLATE.to_owned(),
        source: format!("Subject: {subject}\n\n**Come!**\n\n[Come in]({{{{ link }}}})\n"),
        ..Default::default()
    };
    let mut templates = TemplateServiceClient::new(platform.notification());
    templates.update_template(with_token(who.token(), request)).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organisation_overrides_what_its_mails_say_and_whom_they_come_from() {
    let sink = SmtpSink::start().await;
    let mut raw = RawSettings::default();
    raw.set("smtp_url", format!("smtp://{}", sink.address()));
    raw.set("mail_from", "usher@platform.example");
    raw.set("mail_sender_domains", "platform.example, abc.example");
    let platform = Platform::embedded(raw, Some(noon())).await;
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    let child = owner.create_organisation("Child", Some(&root)).await;
    let mut admins = Vec::new();
    for (organisation, email) in [(&root, "grace@example.com"), (&child, "bob@example.com")] {
        owner.invite(organisation, email, "admin").await;
        let link = sink.mail_to(email).await.link();
        let (status, page) = platform.anonymous().enrol(&link, "Admin", stories::PASSWORD).await;
        assert_eq!(status, 200, "{page}");
        admins.push(platform.anonymous().sign_in(email, stories::PASSWORD).await);
    }
    let (grace, bob) = (&admins[0], &admins[1]);

    say(&platform, grace, &root, "ABC wants you").await.unwrap();
    say(&platform, bob, &child, "The child wants you").await.unwrap();
    let refused = say(&platform, bob, &root, "Bob was here").await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "the root is not for Bob to see");
    let platforms = "00000000-0000-0000-0000-000000000000";
    let refused = say(&platform, grace, platforms, "Grace was here").await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    say(&platform, &owner, platforms, "The platform wants you").await.unwrap();
    let sender = Sender {
        display_name: "ABC People".to_owned(),
        reply_to: "help@elsewhere.example".to_owned(),
        from_address: "people@abc.example".to_owned(),
    };
    let request = UpdateSenderRequest {
        organisation_id: root.clone(),
        sender: Some(sender),
        ..Default::default()
    };
    let mut senders = SenderServiceClient::new(platform.notification());
    senders.update_sender(with_token(grace.token(), request)).await.unwrap();

    owner.invite(&child, "ada@example.com", "user").await;
    let mail = sink.mail_to("ada@example.com").await;
    assert_eq!(mail.header("Subject").as_deref(), Some("The child wants you"));
    let raw = String::from_utf8(mail.raw.clone()).unwrap();
    let line = |name: &str| raw.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let from = line("From: ");
    assert!(from.contains("ABC People") && from.contains("<people@abc.example>"), "{from}");
    assert_eq!(line("Reply-To: "), "Reply-To: help@elsewhere.example");
    assert!(mail.text().starts_with("Come!"), "{}", mail.text());

    let request = DeleteTemplateRequest {
        organisation_id: child.clone(),
        template: TEMPLATE.to_owned(),
        ..Default::default()
    };
    let mut templates = TemplateServiceClient::new(platform.notification());
    templates.delete_template(with_token(bob.token(), request)).await.unwrap();
    owner.invite(&child, "eve@example.com", "user").await;
    let mail = sink.mail_to("eve@example.com").await;
    assert_eq!(mail.header("Subject").as_deref(), Some("ABC wants you"));
    let request = GetTemplateRequest {
        organisation_id: child,
        template: TEMPLATE.to_owned(),
        ..Default::default()
    };
    let applies = templates.get_template(with_token(bob.token(), request)).await.unwrap();
    let applies = applies.into_inner().template.unwrap();
    assert_eq!((applies.origin(), applies.organisation_id.as_str()), (Origin::Organisation, ""));

    // Nobody answers, and that is told, too.
    platform.clock.as_ref().unwrap().advance(Duration::hours(48));
    eventually("Eve hears that her invitation has expired", async || {
        let mails = sink.mails();
        let mut subjects = mails.iter().filter(|mail| mail.recipient == "eve@example.com");
        subjects
            .any(|mail| {
                let subject = mail.header("Subject");
                subject.as_deref() == Some("Your invitation to Child has expired")
            })
            .then_some(())
    })
    .await;
}
