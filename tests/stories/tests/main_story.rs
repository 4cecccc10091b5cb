//! The main story: someone entitled to do so invites a person into an organisation; exactly one
//! mail goes out; the person enrols and is a member with exactly the rights offered.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use stories::{PASSWORD, Platform};
use testkit::eventually;

async fn tell(platform: &Platform) {
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    let child = owner.create_organisation("ABC Holdings - Child 1", Some(&root)).await;
    let sibling = owner.create_organisation("ABC Holdings - Child 2", Some(&root)).await;

    let invitation = owner.invite(&child, "Ada@Example.COM", "admin").await;
    let link = platform.link_mailed_to("ada@example.com").await;
    assert!(link.starts_with(&format!("{}/invitations/", platform.http)));

    // Mail scanners open links, often twice: that changes nothing.
    let visitor = platform.anonymous();
    for _ in 0..2 {
        let (status, page) = visitor.open(&link).await;
        assert_eq!(status, 200, "{page}");
        assert!(page.contains("ABC Holdings - Child 1") && page.contains("ada@example.com"));
    }
    assert_eq!(owner.state_of(&invitation).await, "pending");
    let (status, page) = visitor.enrol(&link, "Ada Lovelace", PASSWORD).await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(owner.state_of(&invitation).await, "accepted");
    let (status, page) = visitor.open(&link).await;
    assert_eq!(status, 410, "{page}");
    assert!(!page.contains("<form"), "a used link asks nobody to type: {page}");

    // Exactly the rights offered, here and below; nothing above or beside.
    let ada = visitor.sign_in("ada@example.com", PASSWORD).await;
    assert!(platform.allows(&ada, &child, "invitations.create").await);
    assert!(!platform.allows(&ada, &child, "owners.manage").await);
    for elsewhere in [&root, &sibling] {
        assert!(!platform.allows(&ada, elsewhere, "organisations.read").await);
    }
    let members = owner.get(&format!("/api/organisations/{child}/members")).await.expect(200);
    let text = members.to_string();
    assert!(text.contains("ada@example.com") && text.contains("Ada Lovelace"), "{text}");

    // Somebody with an account is told by another mail, signs in and accepts.
    owner.invite(&sibling, "ada@example.com", "user").await;
    let link = platform.nth_link_mailed_to("ada@example.com", 2).await;
    let texts = platform.texts_mailed_to("ada@example.com").await;
    assert_ne!(texts[0].lines().nth(2), texts[1].lines().nth(2), "one mail for new, one for known");
    let (_, page) = visitor.open(&link).await;
    assert!(!page.contains("password_again"), "nobody is asked for a second password: {page}");
    let (status, page) = visitor.submit(&format!("{link}/accept"), &[("password", PASSWORD)]).await;
    assert_eq!(status, 200, "{page}");
    assert!(platform.allows(&ada, &sibling, "organisations.read").await);

    assert_eq!(platform.texts_mailed_to("ada@example.com").await.len(), 2, "one mail each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_story_embedded() {
    tell(&Platform::on_sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_story_on_postgres_in_one_process() {
    tell(&Platform::on_postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_story_on_real_servers_with_every_service_a_process() {
    let mut platform = Platform::on_real_servers().await;
    tell(&platform).await;

    let sink = platform.sink.as_ref().expect("a mail server");
    let mail = sink.mail_to("ada@example.com").await;
    assert!(mail.header("subject").is_some_and(|it| it.contains("ABC Holdings - Child 1")));
    assert!(mail.html().contains("ABC Holdings - Child 1"));
    assert_eq!(mail.header("auto-submitted").as_deref(), Some("auto-generated"));

    one_invitation_is_one_trace(&platform).await;
    metrics_tell_what_happened(&platform).await;
    for service in ["identity", "organisation", "notification", "mailer", "gateway"] {
        platform.process(service).terminate();
        let begun = std::time::Instant::now();
        assert!(platform.process(service).exit().await.success(), "{service} ends well");
        assert!(begun.elapsed().as_secs() < 10, "{service} ends within 10 s");
    }
}

/// The trace that the gateway began at `POST /api/organisation-invitations` goes on in every
/// process, over gRPC and over RabbitMQ, up to the mailer that sends the mail.
async fn one_invitation_is_one_trace(platform: &Platform) {
    // It also hears of what needs no mail.
    let mailed = eventually("two mails, two traces", async || {
        let log = platform.logs_of("mailer");
        let mailed = traces_in(log.lines().filter(|line| line.contains("the mail was sent")));
        (mailed.len() >= 2).then_some(mailed)
    })
    .await;
    let traces: HashMap<&str, HashSet<String>> = platform
        .processes
        .iter()
        .map(|(service, process)| (*service, traces_in(process.stderr().lines())))
        .collect();
    for trace in &mailed {
        for service in ["gateway", "organisation", "identity", "notification"] {
            assert!(traces[service].contains(trace), "{service} has no line of trace {trace}");
        }
    }
}

fn traces_in<'a>(lines: impl Iterator<Item = &'a str>) -> HashSet<String> {
    let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let spans = lines.flat_map(|line| line["spans"].as_array().cloned().unwrap_or_default());
    spans
        .filter_map(|span| span["trace_id"].as_str().map(str::to_owned))
        .filter(|trace| trace.chars().any(|digit| digit != '0'))
        .collect()
}

async fn metrics_tell_what_happened(platform: &Platform) {
    for (service, metric) in [
        ("organisation", "usher_rpc_server_duration_seconds"),
        ("organisation", "usher_messages_published_total"),
        ("organisation", "usher_outbox_waiting"),
        ("mailer", "usher_messages_consumed_total"),
        ("notification", "usher_deliveries_total"),
        ("notification", "state=\"sent\""),
        ("notification", "usher_invitation_to_smtp_seconds_count"),
        ("gateway", "usher_http_server_duration_seconds"),
    ] {
        let (_, url) =
            platform.management.iter().find(|(name, _)| *name == service).expect(service);
        eventually(&format!("{service} tells {metric}"), async || {
            let page = reqwest::get(format!("{url}/metrics")).await.ok()?.text().await.ok()?;
            page.contains(metric).then_some(())
        })
        .await;
    }
}
