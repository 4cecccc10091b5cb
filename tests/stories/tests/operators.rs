//! What is stuck is seen and mended by an operator, with the command alone, against real servers.

use api::organisation::v1::InvitationCreated;
use bus::{Bus, BusUrl, Message, RetrySteps};
use kernel::{Clock, parse_id};
use prost::Message as _;
use serde_json::{Value, json};
use stories::{PASSWORD, Platform, Process};
use testkit::{Reply, eventually};

/// One retry, after a second.
const SETTINGS: [(&str, &str); 1] = [("USHER_RETRY_STEPS", "1s")];

/// Runs a command in the platform owner's name; its exit code and what it printed.
async fn run(platform: &Platform, words: &str) -> (Option<i32>, Value) {
    let [identity, organisation] = platform.places();
    let notification = platform.notification_url();
    let environment = [
        ("USHER_IDENTITY_URL", identity.as_str()),
        ("USHER_ORGANISATION_URL", &organisation),
        ("USHER_NOTIFICATION_URL", notification),
        ("USHER_PASSWORD", PASSWORD),
    ];
    let who = ["--email", "owner@example.com", "--output", "json"];
    let arguments: Vec<_> = words.split(' ').chain(who).collect();
    let mut process = Process::start(&platform.folder(), "command", &arguments, &environment);
    let code = process.exit().await.code();
    let printed = process.stdout();
    (code, serde_json::from_str(&printed).unwrap_or(Value::String(printed + &process.stderr())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_handled_is_a_dead_letter_and_replayed_it_is_mailed_once() {
    let mut platform = Platform::on_real_servers_with(&SETTINGS).await;
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    // The mailer has no token yet, and whoever gives it one is away.
    platform.process("mailer").kill();
    let ada = owner.invite(&root, "ada@example.com", "user").await;
    platform.process("identity").kill();
    platform.process("mailer").start_again();
    eventually("it is given up", async || {
        platform.logs_of("notification").contains("a dead letter").then_some(())
    })
    .await;
    platform.process("identity").start_again();
    platform.wait_until_ready().await;

    let (code, letters) = run(&platform, "dead-letters list --queue mailer.invitations").await;
    assert_eq!(code, Some(0), "{letters}");
    assert_eq!(letters.as_array().map(Vec::len), Some(1), "{letters}");
    let letter = &letters[0];
    assert_eq!(letter["ground"], "exhausted");
    assert_eq!(letter["subject"], *ada);
    assert_eq!(letter["type"], "organisation.invitation.created.v1");
    let id = letter["id"].as_str().expect("an id");
    let (_, shown) = run(&platform, &format!("dead-letters show {id}")).await;
    assert!(!shown["payload"].as_str().expect("a payload").is_empty(), "{shown}");

    let fares = async |state: &str| {
        let words = format!("invitations list --organisation {root} --delivery-state {state}");
        eventually(&format!("the invitation's mail is {state}"), async || {
            let (_, found) = run(&platform, &words).await;
            (found[0]["id"] == *ada).then_some(())
        })
        .await;
    };
    fares("failed").await;

    let (code, told) = run(&platform, "dead-letters replay --all").await;
    assert_eq!((code, told), (Some(0), Value::String("1 replayed\n".to_owned())));
    platform.link_mailed_to("ada@example.com").await;
    fares("sent").await;
    let (_, letters) = run(&platform, "dead-letters list").await;
    assert_eq!(letters, Value::Array(Vec::new()));
    let (code, told) = run(&platform, &format!("dead-letters replay {id}")).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.to_string().contains("DEAD_LETTER_DECIDED"), "{told}");
    assert_eq!(platform.texts_mailed_to("ada@example.com").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_mail_server_refused_is_seen_with_its_words_and_sent_once_more() {
    let platform = Platform::on_real_servers_with(&SETTINGS).await;
    let sink = platform.sink.as_ref().expect("a mail server");
    sink.reply(&[Reply::Line("550 5.7.1 not from here")]);
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    owner.invite(&root, "ada@example.com", "user").await;
    let failed = eventually("it has failed", async || {
        let (_, failed) = run(&platform, "deliveries list --state failed").await;
        failed.get(0).cloned()
    })
    .await;
    let list = format!("deliveries list --organisation {root}");
    assert_eq!(run(&platform, &list).await.1, json!([failed]));
    let id = failed["id"].as_str().expect("an id");
    let (_, shown) = run(&platform, &format!("deliveries show {id}")).await;
    assert_eq!(shown["attempts"][0]["reply_code"], 550, "{shown}");
    assert_eq!(shown["attempts"][0]["enhanced_status"], "5.7.1", "{shown}");

    let (code, resent) = run(&platform, &format!("deliveries resend {id}")).await;
    assert_eq!((code, &resent[0]["generation"]), (Some(0), &Value::from(2)), "{resent}");
    platform.link_mailed_to("ada@example.com").await;
    let (code, told) = run(&platform, "outbox status").await;
    assert_eq!(code, Some(0), "{told}");
    let services: Vec<_> =
        told.as_array().expect("boxes").iter().map(|it| &it["service"]).collect();
    assert_eq!(services, ["identity", "organisation", "notification"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_set_aside_and_its_neighbours_are_mailed() {
    let platform = Platform::on_real_servers_with(&SETTINGS).await;
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    let bus = Bus::open(&BusUrl::parse(&platform.bus).expect("a broker"), RetrySteps::default());
    let message = |payload: Vec<u8>| Message {
        id: Clock::System.new_id(),
        routing_key: "organisation.invitation.created.v1".to_owned(),
        source: "usher/organisation".to_owned(),
        subject: parse_id(&root).expect("an id"),
        time: Clock::System.now(),
        payload,
        traceparent: None,
        attempt: 1,
        queue: None,
        redelivered: false,
        must_arrive: true,
    };
    let unknown = InvitationCreated {
        invitation_id: Clock::System.new_id().to_string(),
        organisation_id: root.clone(),
        issue: 1,
    };
    // The mailer's queue is there.
    owner.invite(&root, "ada@example.com", "user").await;
    platform.link_mailed_to("ada@example.com").await;
    for poison in [b"\xff\xff\xff".to_vec(), unknown.encode_to_vec()] {
        let answers = bus.publish(vec![message(poison)]).await;
        assert_eq!(answers, [Ok(())]);
        owner
            .invite(&root, &format!("p{}@example.com", Clock::System.new_id().simple()), "user")
            .await;
    }
    eventually("the neighbours are mailed", async || {
        (platform.sink.as_ref()?.taken() == 3).then_some(())
    })
    .await;
    let letters = eventually("the poison is set aside", async || {
        let (_, letters) = run(&platform, "dead-letters list").await;
        (letters.as_array()?.len() == 2).then_some(letters)
    })
    .await;
    assert_eq!(letters[0]["ground"], "rejected", "{letters}");
    let (code, told) = run(&platform, "dead-letters discard --all").await;
    assert_eq!((code, told), (Some(0), Value::String("2 discarded\n".to_owned())));
}
