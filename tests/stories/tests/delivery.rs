//! Mail is delayed by bad luck, and never lost or doubled.

use api::notification::v1::{
    DeleteSuppressionRequest, DeliveryState, ListDeliveriesRequest, ResendDeliveryRequest,
    delivery_service_client::DeliveryServiceClient,
    suppression_service_client::SuppressionServiceClient,
};
use kernel::Duration;
use service::RawSettings;
use stories::{Client, PASSWORD, Platform, free_address, from_noon, noon};
use testkit::{Reply, SmtpSink, eventually, with_token};

/// The deliveries of an organisation: state and attempts, as its owner reads them over gRPC.
async fn deliveries(platform: &Platform, reader: &Client, id: &str) -> Vec<(DeliveryState, i32)> {
    let mut client = DeliveryServiceClient::new(platform.notification());
    let request = ListDeliveriesRequest { organisation_id: id.to_owned(), ..Default::default() };
    let answer = client.list_deliveries(with_token(reader.token(), request)).await;
    let deliveries = answer.expect("an answer").into_inner().deliveries;
    deliveries.iter().map(|delivery| (delivery.state(), delivery.attempts)).collect()
}

/// How often each event was refused that waits in the organisation service's outbox for its next try.
async fn refusals(platform: &Platform, operator: &Client) -> Vec<i32> {
    let outbox = platform.outbox(operator, "organisation").await.expect("an answer");
    outbox.stuck.iter().map(|event| event.attempts).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_is_down_delays_the_mail_and_loses_nothing() {
    // Nobody listens there before the invitation, and a mail server does after it.
    let address = free_address();
    let platform = Platform::with_mail_server(&format!("smtp://{address}")).await;
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    owner.invite(&root, "ada@example.com", "user").await;
    eventually("the first attempt has failed", async || {
        let found = deliveries(&platform, &owner, &root).await;
        (matches!(found[..], [(DeliveryState::Queued, 1..=2)])).then_some(())
    })
    .await;

    let sink = SmtpSink::start_at(address.parse().expect("an address")).await;
    let mail = sink.mail_to("ada@example.com").await;
    let (status, page) = platform.anonymous().enrol(&mail.link(), "Ada", PASSWORD).await;
    assert_eq!(status, 200, "{page}");
    eventually("the delivery is recorded", async || {
        let found = deliveries(&platform, &owner, &root).await;
        (matches!(found[..], [(DeliveryState::Sent, 2..=3)])).then_some(())
    })
    .await;
    assert_eq!(sink.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_a_mail_server_that_says_later_gets_the_same_mail_again() {
    let sink = SmtpSink::start().await;
    sink.reply(&[Reply::Delay, Reply::Delay]);
    let mut raw = RawSettings::default();
    raw.set("smtp_url", format!("smtp://{}", sink.address()));
    let platform = Platform::embedded(raw, Some(noon())).await;
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    owner.invite(&root, "ada@example.com", "user").await;
    for attempts in 1..=2 {
        // Its time to wait begins when the outbox has it back, a moment after the delivery says so.
        eventually("an attempt has failed", async || {
            (refusals(&platform, &owner).await == [attempts]).then_some(())
        })
        .await;
        let queued = (DeliveryState::Queued, attempts);
        assert_eq!(deliveries(&platform, &owner, &root).await, [queued]);
        // The steps are 5 s and a minute.
        platform.clock.as_ref().expect("a clock").advance(Duration::seconds(61));
    }
    sink.mail_to("ada@example.com").await;
    let sent = (DeliveryState::Sent, 3);
    eventually("the delivery is recorded", async || {
        (deliveries(&platform, &owner, &root).await == [sent]).then_some(())
    })
    .await;
    assert_eq!(sink.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_mail_server_refuses_is_given_up_visibly_and_its_neighbour_arrives() {
    let sink = SmtpSink::start().await;
    sink.reply(&[Reply::Refuse]);
    let mut raw = RawSettings::default();
    raw.set("smtp_url", format!("smtp://{}", sink.address()));
    let platform = Platform::embedded(raw, Some(from_noon())).await;
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    owner.invite(&root, "gone@example.com", "user").await;
    let failed = (DeliveryState::Failed, 1);
    eventually("the delivery has failed", async || {
        (deliveries(&platform, &owner, &root).await == [failed]).then_some(())
    })
    .await;
    owner.invite(&root, "ada@example.com", "user").await;
    sink.mail_to("ada@example.com").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_mail_shows_at_the_invitation_is_sent_once_more_and_comes_back() {
    let sink = SmtpSink::start().await;
    sink.reply(&[Reply::Line("550 5.7.1 not from you")]);
    let reports = tempfile::tempdir().expect("a folder");
    let mut raw = RawSettings::default();
    raw.set("smtp_url", format!("smtp://{}", sink.address()));
    raw.set("bounce_folder", reports.path().display().to_string());
    let platform = Platform::embedded(raw, Some(from_noon())).await;
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    let invitation = owner.invite(&root, "ada@example.com", "user").await;
    shows(&owner, &invitation, "failed", "refused").await;
    // Whoever looks for those that reached nobody finds it.
    let path = format!("/api/organisation-invitations?organisation_id={root}&delivery_state=");
    let failed = owner.get(&format!("{path}failed")).await.expect(200);
    assert_eq!(failed["invitations"][0]["id"], invitation.as_str());
    let bounced = owner.get(&format!("{path}bounced")).await.expect(200);
    assert_eq!(bounced["invitations"], serde_json::json!([]));

    let mut client = DeliveryServiceClient::new(platform.notification());
    let request = ListDeliveriesRequest { organisation_id: root.clone(), ..Default::default() };
    let answer = client.list_deliveries(with_token(owner.token(), request)).await;
    let id = answer.expect("an answer").into_inner().deliveries[0].id.clone();
    let request = ResendDeliveryRequest { id, force: false };
    client.resend_delivery(with_token(owner.token(), request)).await.expect("it is sent");
    let mail = sink.mail_to("ada@example.com").await;
    shows(&owner, &invitation, "sent", "").await;
    let ids: Vec<_> = sink.offered().iter().map(|mail| mail.header("Message-ID")).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);

    let message_id = mail.header("Message-ID").expect("a Message-ID");
    let report = format!(
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; mx.example.com\r\n\r\n\
         Final-Recipient: rfc822; ada@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n\
         --b\r\nContent-Type: text/rfc822-headers\r\n\r\n\
         Message-ID: <{message_id}>\r\n\r\n--b--\r\n"
    );
    // Whole at once: the folder is looked at every second.
    let [draft, whole] = ["report.draft", "report.eml"].map(|name| reports.path().join(name));
    std::fs::write(&draft, report).and_then(|()| std::fs::rename(draft, whole)).expect("a report");
    shows(&owner, &invitation, "bounced", "address").await;
    // A reissue asks for a mail that goes nowhere any more.
    let reissue = format!("/api/organisation-invitations/{invitation}/reissue");
    owner.post(&reissue, &serde_json::json!({})).await.expect(200);
    shows(&owner, &invitation, "suppressed", "bounced").await;

    // Until whoever runs the platform takes the address off the list.
    let mut list = SuppressionServiceClient::new(platform.notification());
    let request = DeleteSuppressionRequest { email: "ada@example.com".to_owned() };
    list.delete_suppression(with_token(owner.token(), request)).await.expect("it is taken off");
    let request = ListDeliveriesRequest { organisation_id: root, ..Default::default() };
    let answer = client.list_deliveries(with_token(owner.token(), request)).await;
    let id = answer.expect("an answer").into_inner().deliveries[1].id.clone();
    let request = ResendDeliveryRequest { id, force: false };
    client.resend_delivery(with_token(owner.token(), request)).await.expect("it is sent");
    shows(&owner, &invitation, "sent", "").await;
}

/// Waits until the invitation shows how its mail fares.
async fn shows(reader: &Client, invitation: &str, state: &str, reason: &str) {
    let path = format!("/api/organisation-invitations/{invitation}?view=full");
    eventually(&format!("the invitation shows {state}"), async || {
        let shown = reader.get(&path).await.expect(200);
        let why = shown["delivery_reason"].as_str().unwrap_or_default();
        (shown["delivery_state"] == state && why == reason).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_event_delivered_twice_sends_one_mail() {
    use api::organisation::v1::InvitationCreated;
    use bus::{Bus, BusUrl, Message, RetrySteps};
    use kernel::{Clock, parse_id};
    use prost::Message as _;
    let sink = SmtpSink::start().await;
    let mut raw = RawSettings::default();
    let broker = testkit::servers::rabbitmq().await;
    raw.set("bus_url", &broker);
    raw.set("smtp_url", format!("smtp://{}", sink.address()));
    let platform = Platform::embedded(raw, None).await;
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    let invitation = owner.invite(&root, "ada@example.com", "user").await;
    sink.mail_to("ada@example.com").await;

    // What the mailer would do with any event of this invitation it does once for each event: so
    // this sends one more mail for ten copies of a second event.
    let bus = Bus::open(&BusUrl::parse(&broker).expect("a broker"), RetrySteps::default());
    let subject = parse_id(&invitation).expect("an id");
    let event =
        InvitationCreated { invitation_id: invitation, organisation_id: root.clone(), issue: 1 };
    let message = Message {
        id: Clock::System.new_id(),
        routing_key: "organisation.invitation.created.v1".to_owned(),
        source: "usher/organisation".to_owned(),
        subject,
        time: Clock::System.now(),
        payload: event.encode_to_vec(),
        traceparent: None,
        attempt: 1,
        must_arrive: true,
        queue: None,
        redelivered: false,
    };
    let answers = bus.publish(vec![message; 10]).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    // A marker behind the copies: when it has arrived, the copies have been handled or hold a claim.
    owner.invite(&root, "zoe@example.com", "user").await;
    sink.mail_to("zoe@example.com").await;
    eventually("every delivery is sent", async || {
        let deliveries = deliveries(&platform, &owner, &root).await;
        let sent = deliveries.iter().all(|(state, _)| *state == DeliveryState::Sent);
        (deliveries.len() == 3 && sent).then_some(())
    })
    .await;
    let to_ada = sink.mails_to("ada@example.com").len();
    assert_eq!(to_ada, 2, "one for each event, not for each copy");
}
