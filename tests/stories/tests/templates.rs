//! An organisation speaks in its own words and under its own name.

use api::notification::v1::{
    DeleteTemplateRequest, GetTemplateRequest, Origin, Sender, UpdateSenderRequest,
    UpdateTemplateRequest, sender_service_client::SenderServiceClient,
    template_service_client::TemplateServiceClient,
};
use kernel::Duration;
use service::RawSettings;
use stories::{Client, PASSWORD, Platform, Process, from_noon};
use testkit::{Reply, SmtpSink, eventually, with_token};
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

/// Says whom the mails of an organisation come from.
async fn come_from(
    platform: &Platform,
    who: &Client,
    organisation: &str,
    name: &str,
    address: &str,
) -> Result<(), Status> {
    let sender = Sender {
        display_name: name.to_owned(),
        reply_to: "help@elsewhere.example".to_owned(),
        from_address: address.to_owned(),
    };
    let request = UpdateSenderRequest {
        organisation_id: organisation.to_owned(),
        sender: Some(sender),
        ..Default::default()
    };
    let mut senders = SenderServiceClient::new(platform.notification());
    senders.update_sender(with_token(who.token(), request)).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organisation_overrides_what_its_mails_say_and_whom_they_come_from() {
    let sink = SmtpSink::start().await;
    let mut raw = RawSettings::default();
    raw.set("smtp_url", format!("smtp://{}", sink.address()));
    raw.set("mail_from", "usher@platform.example");
    raw.set("mail_sender_domains", "platform.example, abc.example");
    let platform = Platform::embedded(raw, Some(from_noon())).await;
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
    // The platform lends an address; what else there is to say of the sender is the organisation's.
    let people = "people@abc.example";
    let refused = come_from(&platform, grace, &root, "ABC", people).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    come_from(&platform, &owner, &root, "ABC", people).await.unwrap();
    come_from(&platform, grace, &root, "ABC People", people).await.unwrap();
    for other in [people, "security@platform.example"] {
        let refused = come_from(&platform, bob, &child, "Bob", other).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{other}");
    }

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

/// Runs a command in the platform owner's name; its exit code and what it printed, refusals at the end.
async fn run(platform: &Platform, words: &str) -> (Option<i32>, String) {
    let [identity, organisation] = platform.places();
    let environment = [
        ("USHER_IDENTITY_URL", identity.as_str()),
        ("USHER_ORGANISATION_URL", &organisation),
        ("USHER_NOTIFICATION_URL", platform.notification_url()),
        ("USHER_PASSWORD", PASSWORD),
    ];
    let who = ["--email", "owner@example.com"];
    let arguments: Vec<_> = words.split(' ').chain(who).collect();
    let mut process = Process::start(&platform.folder(), "command", &arguments, &environment);
    let code = process.exit().await.code();
    (code, process.stdout() + &process.stderr())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_and_senders_are_changed_with_the_command_alone_and_the_history_knows() {
    let sink = SmtpSink::start().await;
    let mut raw = RawSettings::default();
    raw.set("smtp_url", format!("smtp://{}", sink.address()));
    let platform = Platform::embedded(raw, None).await;
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC", None).await;
    let (code, listed) = run(&platform, &format!("templates list --organisation {root}")).await;
    let line = listed.lines().find(|line| line.starts_with(TEMPLATE));
    assert_eq!(code, Some(0), "{listed}");
    assert!(
        line.is_some_and(|line| line.contains("built-in") && line.contains("de en")),
        "{listed}"
    );

    // As they are, but for the subject.
    let show = format!("templates show {TEMPLATE} --organisation {root}");
    let (code, before) = run(&platform, &show).await;
    assert_eq!(code, Some(0), "{before}");
    let (_, body) = before.split_once('\n').expect("a subject and a body");
    let words = format!("Subject: Come to {{{{ organisation_name }}}}!\n{body}");
    std::fs::write(platform.folder().join("words.md"), &words).unwrap();
    std::fs::write(platform.folder().join("broken.md"), "Subject: Come!\n\n<b>Come!</b>\n")
        .unwrap();
    let preview = format!("templates preview {TEMPLATE} words.md --organisation {root}");
    let (code, seen) = run(&platform, &preview).await;
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.starts_with("Subject: Come to ") && seen.contains("https://"), "{seen}");
    let set = |file: &str| format!("templates set {TEMPLATE} {file} --organisation {root}");
    let (code, refused) = run(&platform, &set("broken.md")).await;
    assert_eq!(code, Some(1), "{refused}");
    assert!(refused.contains("line 3"), "{refused}");
    assert_eq!(run(&platform, &show).await.1, before, "nothing was saved");
    let (code, saved) = run(&platform, &set("words.md")).await;
    assert_eq!(code, Some(0), "{saved}");
    assert_eq!(run(&platform, &show).await.1, words);
    let sender =
        format!("senders set --organisation {root} --name People --reply-to help@abc.example");
    let (code, told) = run(&platform, &sender).await;
    assert_eq!(code, Some(0), "{told}");
    let (_, told) = run(&platform, &format!("senders show --organisation {root}")).await;
    assert!(told.contains("People") && told.contains("help@abc.example"), "{told}");

    owner.invite(&root, "ada@example.com", "user").await;
    let mail = sink.mail_to("ada@example.com").await;
    assert_eq!(mail.header("Subject").as_deref(), Some("Come to ABC!"));
    let raw = String::from_utf8(mail.raw.clone()).unwrap();
    assert!(raw.lines().any(|line| line == "Reply-To: help@abc.example"), "{raw}");

    for taken_back in [format!("templates delete {TEMPLATE}"), "senders delete".to_owned()] {
        let command = format!("{taken_back} --organisation {root}");
        assert_eq!(run(&platform, &command).await.0, Some(0));
        let (code, again) = run(&platform, &command).await;
        assert_eq!(code, Some(1), "{again}");
        assert!(again.contains("_NOT_FOUND"), "{again}");
    }
    assert_eq!(run(&platform, &show).await.1, before);
    let actions = ["templates.update", "templates.delete", "senders.update", "senders.delete"];
    eventually("the history knows", async || {
        let (_, history) = run(&platform, &format!("audit list --organisation {root}")).await;
        actions.iter().all(|action| history.contains(action)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_whose_mail_did_not_go_out_are_found_with_the_command() {
    let sink = SmtpSink::start().await;
    let mut raw = RawSettings::default();
    raw.set("smtp_url", format!("smtp://{}", sink.address()));
    let platform = Platform::embedded(raw, None).await;
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC", None).await;
    owner.invite(&root, "ada@example.com", "user").await;
    sink.mail_to("ada@example.com").await;
    sink.reply(&[Reply::Line("550 5.7.1 not from here")]);
    owner.invite(&root, "eve@example.com", "user").await;
    let list =
        |state: &str| format!("invitations list --organisation {root} --delivery-state {state}");
    let failed = eventually("it has failed", async || {
        let (_, failed) = run(&platform, &list("failed")).await;
        failed.contains("eve@example.com").then_some(failed)
    })
    .await;
    assert!(!failed.contains("ada@example.com"), "{failed}");
    let sent = eventually("it was sent", async || {
        let (_, sent) = run(&platform, &list("sent")).await;
        sent.contains("ada@example.com").then_some(sent)
    })
    .await;
    assert!(!sent.contains("eve@example.com"), "{sent}");
}
