//! One try at one mail: claim the delivery, fill the template, send, record.

use std::{collections::HashMap, time::Duration};

use api::notification::v1::{
    AttemptOutcome, ClaimDeliveryRequest, Delivery, DeliveryState, ExtendClaimRequest,
    RecordAttemptRequest, RenderMailRequest, RenderMailResponse, WithdrawDeliveryRequest,
    WithdrawalReason, delivery_service_client::DeliveryServiceClient,
    template_service_client::TemplateServiceClient,
};
use kernel::EmailAddress;
use service::{Auth, MailError, MailReply, Message, Refusal, deadline};
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::{
    Mailer,
    lanes::Seat,
    message::{Author, Envelope, compose},
    peers::{incomplete, is_passing, refusal},
};

/// A mail that an event asks for.
pub(crate) struct Due<'a> {
    /// The event; it holds no secrets.
    pub cause: &'a Message,
    pub organisation_id: String,
    /// From the root down to the organisation.
    pub organisation_path: Vec<String>,
    /// What it is about; may be empty.
    pub application_id: String,
    pub about: About,
    pub recipient: EmailAddress,
    /// The recipient's name; may be empty.
    pub name: String,
    pub template: &'static str,
    /// Empty means the platform's default.
    pub locale: String,
    /// What the template is filled with; those that are empty are left out.
    pub variables: Vec<(&'static str, String)>,
}

/// What a mail is about, by its id.
pub(crate) enum About {
    /// Of an invitation one of its issues.
    Invitation(String, i32),
    AccessRequest(String),
}

/// A claimed delivery and what it is to say.
struct Attempt {
    delivery: Delivery,
    claim_id: String,
    /// Empty unless it is a reminder.
    unsubscribe_url: String,
    recipient: EmailAddress,
    name: String,
    organisation_path: Vec<String>,
    application_id: String,
    variables: HashMap<String, String>,
}

/// How long the mail server may take for all of a mail. Each of its answers is waited for as long as
/// RFC 5321 asks (`service::Mail`), which for a server that uses all of it would be half an hour: as
/// long as the broker waits for an acknowledgement. So: a minute for a place and five calls before it of
/// a minute at most, 17 minutes for the mail (13 of them may pass between its first byte and the answer
/// to its last), and two at least for the record make the 25 that the message may be held, which leaves
/// the broker five.
const SENDING: Duration = Duration::from_secs(17 * 60);

/// How often the claim is extended while the mail is on its way: it holds for a minute, so that two
/// calls may fail, and lapses soon after a crash.
const EXTENDING: Duration = Duration::from_secs(20);

/// The first and the longest pause before recording again. Recording is idempotent, and a mail that
/// was sent but not recorded is the one that goes out twice: it is tried as long as the message may be
/// held. Nobody else gets the message meanwhile, so a claim that has lapsed is not taken over.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(3)];
/// What one try to record may take, and one to renew the token for it.
const RECORDING: Duration = Duration::from_secs(5);

/// Why a mail did not go out. The words may hold an address: they go into the delivery and nowhere
/// else.
struct Failure {
    is_for_good: bool,
    /// One of the words of `DeliveryAttempt.reason`.
    reason: &'static str,
    /// The same for people who read logs.
    kind: &'static str,
    reply: MailReply,
}

impl Failure {
    /// Of our own making, or for want of an answer.
    fn own(is_for_good: bool, reason: &'static str, kind: &'static str, words: String) -> Self {
        Self { is_for_good, reason, kind, reply: MailReply { code: None, words } }
    }
}

/// Sends a mail unless it is sent already, or given up. Held by another worker, it is asked for
/// again later: that worker may have crashed.
pub(crate) async fn deliver(mailer: &Mailer, auth: Auth, due: Due<'_>) -> Result<(), Refusal> {
    let Due {
        cause,
        organisation_id,
        organisation_path,
        application_id,
        about,
        recipient,
        name,
        template,
        locale,
        variables,
    } = due;
    let (invitation_id, issue, access_request_id) = match about {
        About::Invitation(id, issue) => (id, issue, String::new()),
        About::AccessRequest(id) => (String::new(), 0, id),
    };
    let request = ClaimDeliveryRequest {
        event_id: cause.id.to_string(),
        organisation_id,
        invitation_id,
        recipient: recipient.to_string(),
        template: template.to_owned(),
        locale,
        access_request_id,
        issue,
        event_time: Some(api::timestamp(cause.time)),
        cause_routing_key: cause.routing_key.clone(),
        cause_payload: cause.payload.clone(),
        replayed: cause.queue.is_some(),
    };
    fault::point("before-claim");
    // Held until what became of the mail is recorded.
    let mut seat = mailer.lanes.seat(recipient.domain()).await?;
    let mut client = DeliveryServiceClient::new(mailer.peers.notification(auth.clone()));
    let claim = client.claim_delivery(request).await;
    let claim = claim.map_err(|status| refusal("ClaimDelivery", &status))?.into_inner();
    let delivery = claim.delivery.ok_or_else(|| incomplete("ClaimDelivery"))?;
    if claim.claim_id.is_empty() {
        let (delivery_id, state) = (&delivery.id, delivery.state().as_str_name());
        tracing::info!(delivery_id, state, "nothing is left to send");
        return given_up(&delivery).map_or(Ok(()), Err);
    }
    let given = variables.into_iter().filter(|(_, text)| !text.is_empty());
    let variables = given.map(|(name, text)| (name.to_owned(), text)).collect();
    let claimed = Attempt {
        delivery,
        claim_id: claim.claim_id,
        unsubscribe_url: claim.unsubscribe_url,
        recipient,
        name,
        organisation_path,
        application_id,
        variables,
    };
    attempt(mailer, auth, &mut seat, claimed).await
}

/// Nothing is to be sent for an event any more, and nobody is to wait for it.
pub(crate) async fn withdraw(
    mailer: &Mailer,
    auth: Auth,
    cause: &Message,
    reason: WithdrawalReason,
) -> Result<(), Refusal> {
    tracing::info!(reason = reason.as_str_name(), "no mail");
    let request = WithdrawDeliveryRequest { event_id: cause.id.to_string(), reason: reason.into() };
    let mut client = DeliveryServiceClient::new(mailer.peers.notification(auth));
    let answer = client.withdraw_delivery(request).await;
    answer.map(|_| ()).map_err(|status| refusal("WithdrawDelivery", &status))
}

/// What was given up for want of luck is set aside, where an operator sees its event and can replay it.
fn given_up(delivery: &Delivery) -> Option<Refusal> {
    let by_us = delivery.state() == DeliveryState::Failed
        && ["exhausted", "crash_loop"].contains(&delivery.reason.as_str());
    by_us.then(|| Refusal::Reject(format!("the delivery was given up: {}", delivery.reason)))
}

/// Tries once and records the outcome. A mail that is refused for good is done with: it is visible
/// as a failed delivery.
async fn attempt(
    mailer: &Mailer,
    auth: Auth,
    seat: &mut Seat,
    attempt: Attempt,
) -> Result<(), Refusal> {
    let failure = send(mailer, auth.clone(), seat, &attempt).await.err();
    let Attempt { delivery, claim_id, .. } = attempt;
    let outcome = match &failure {
        None => AttemptOutcome::Sent,
        Some(failure) if failure.is_for_good => AttemptOutcome::Failed,
        Some(_) => AttemptOutcome::Delayed,
    };
    let reply = failure.as_ref().map(|failure| failure.reply.clone()).unwrap_or_default();
    let request = RecordAttemptRequest {
        delivery_id: delivery.id.clone(),
        claim_id,
        outcome: outcome.into(),
        reason: failure.as_ref().map_or("", |failure| failure.reason).to_owned(),
        reply_code: reply.code.map_or(0, i32::from),
        enhanced_status: enhanced_status(&reply.words),
        error: reply.words,
    };
    let recorded = record(mailer, auth, request).await?;

    let (delivery_id, attempts) = (delivery.id, delivery.attempts);
    let Some(Failure { is_for_good, kind, .. }) = failure else {
        tracing::info!(delivery_id, attempts, "the mail was sent");
        return Ok(());
    };
    if is_for_good {
        tracing::warn!(delivery_id, kind, "the mail was refused for good");
        return Ok(());
    }
    match recorded {
        // It came back although nobody took it: a mail server that breaks off after its answer.
        Some(delivery) if delivery.state() == DeliveryState::Bounced => Ok(()),
        Some(delivery) => Err(given_up(&delivery).unwrap_or(Refusal::Retry(kind.to_owned()))),
        None => Err(Refusal::Retry(kind.to_owned())),
    }
}

/// The first word of a server's that is a status (RFC 3463); empty if none is.
fn enhanced_status(words: &str) -> String {
    let is_status = |word: &&str| {
        let mut parts = word.split('.');
        let class = parts.next().is_some_and(|part| ["2", "4", "5"].contains(&part));
        let rest: Vec<_> = parts.collect();
        let number = |part: &&str| {
            (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        class && rest.len() == 2 && rest.iter().all(number)
    };
    words.split_whitespace().find(is_status).unwrap_or_default().to_owned()
}

async fn send(
    mailer: &Mailer,
    auth: Auth,
    seat: &mut Seat,
    attempt: &Attempt,
) -> Result<(), Failure> {
    let Attempt {
        delivery,
        claim_id,
        unsubscribe_url,
        recipient,
        name,
        organisation_path,
        application_id,
        variables,
    } = attempt;
    let request = RenderMailRequest {
        template: delivery.template.clone(),
        locale: delivery.locale.clone(),
        organisation_id: delivery.organisation_id.clone(),
        variables: variables.clone(),
        organisation_path: organisation_path.clone(),
        application_id: application_id.clone(),
    };
    let mut client = TemplateServiceClient::new(mailer.peers.notification(auth.clone()));
    let answer = match client.render_mail(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => {
            let words = format!("RenderMail: {:?}", status.code());
            let kind = "the template cannot be filled";
            return Err(Failure::own(!is_passing(&status), "template", kind, words));
        }
    };
    let RenderMailResponse { subject, text, html, sender } = answer;
    let envelope = Envelope {
        from: &Author::new(sender.unwrap_or_default(), &mailer.from),
        to: recipient,
        name,
        message_id: &delivery.message_id,
        date: mailer.clock.now(),
        unsubscribe_url,
    };
    let message = compose(envelope, &subject, &text, &html).map_err(|error| {
        Failure::own(true, "composing", "the mail cannot be composed", error.to_string())
    })?;
    let sent = tokio::select! {
        sent = timeout(SENDING, transmit(mailer, seat, message)) => sent,
        () = lost(mailer, auth, delivery, claim_id) => {
            let kind = "the claim was lost while the mail was on its way";
            return Err(Failure::own(false, "other", kind, kind.to_owned()));
        }
    };
    sent.unwrap_or_else(|_| {
        let kind = "the mail server took longer than 17 minutes";
        Err(Failure::own(false, "timeout", kind, kind.to_owned()))
    })
}

async fn transmit(mailer: &Mailer, seat: &mut Seat, mail: lettre::Message) -> Result<(), Failure> {
    // How long the server takes to let us in says nothing of the domain.
    let begun = mailer.mail.begin(mail).await.map_err(answered)?;
    let mut on_its_way = seat.set_out();
    let Some(offered) = on_its_way.offer(begun.offer()).await else {
        let kind = "the mail server is slow with too many domains";
        return Err(Failure::own(false, "timeout", kind, kind.to_owned()));
    };
    let handing_over = offered.map_err(answered)?.hand_over();
    on_its_way.hand_over(handing_over).await.map_err(answered)?;
    fault::point("after-smtp-250");
    Ok(())
}

/// Holds the claim while the mail is on its way. It ends only when somebody else has the delivery: then
/// this mail is broken off.
async fn lost(mailer: &Mailer, mut auth: Auth, delivery: &Delivery, claim_id: &str) {
    let request =
        ExtendClaimRequest { delivery_id: delivery.id.clone(), claim_id: claim_id.to_owned() };
    loop {
        tokio::time::sleep(EXTENDING).await;
        let mut client = DeliveryServiceClient::new(mailer.peers.notification(auth.clone()));
        let extending = deadline::within(RECORDING, client.extend_claim(request.clone()));
        match extending.await {
            Some(Ok(_)) => {}
            Some(Err(status)) if status.code() == Code::Aborted => return,
            Some(Err(status)) => {
                tracing::warn!(code = ?status.code(), "a claim is not extended");
                renew(mailer, &mut auth, &status).await;
            }
            None => tracing::warn!("a claim is not extended: no answer"),
        }
    }
}

fn answered(error: MailError) -> Failure {
    match error {
        MailError::Refused(reply) => Failure {
            is_for_good: true,
            reason: "refused",
            kind: "the mail server refuses the mail",
            reply,
        },
        MailError::Late(_) => Failure::own(
            false,
            "timeout",
            "the mail server does not answer in time",
            error.to_string(),
        ),
        MailError::Delayed(reply) => Failure {
            is_for_good: false,
            reason: if reply.code.is_some() { "delayed" } else { "unreachable" },
            kind: "the mail server is away or asks to try again",
            reply,
        },
    }
}

/// Records what became of an attempt; answers the delivery as it stands now, unless somebody else goes
/// on with it.
async fn record(
    mailer: &Mailer,
    mut auth: Auth,
    request: RecordAttemptRequest,
) -> Result<Option<Delivery>, Refusal> {
    let [mut pause, longest] = PAUSES;
    loop {
        let mut client = DeliveryServiceClient::new(mailer.peers.notification(auth.clone()));
        let recording = deadline::within(RECORDING, client.record_attempt(request.clone()));
        let status = match recording.await {
            Some(Ok(answer)) => return Ok(answer.into_inner().delivery),
            Some(Err(status)) => status,
            None => Status::deadline_exceeded("not recorded within 5 s"),
        };
        if status.code() == Code::Aborted {
            // Somebody took the delivery over when the claim had lapsed, and goes on with it.
            tracing::warn!(delivery_id = request.delivery_id, "the claim was lost");
            return Ok(None);
        }
        if !is_passing(&status) {
            return Err(refusal("RecordAttempt", &status));
        }
        tracing::warn!(code = ?status.code(), "an attempt is not recorded yet");
        renew(mailer, &mut auth, &status).await;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// Takes another token if one was refused: it runs out while a mail is on its way. Not before: as long as
/// it is good, what became of a mail is recorded although the identity service is away, or hangs.
async fn renew(mailer: &Mailer, auth: &mut Auth, refused: &Status) {
    if refused.code() == Code::Unauthenticated
        && let Some(Ok(own)) = deadline::within(RECORDING, mailer.peers.own()).await
    {
        *auth = own;
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Arc};

    use tokio::task::JoinSet;

    use testkit::{Reply, eventually};

    use super::*;
    use crate::testing::{Stage, World};

    /// A mail that is on its way and held by the server.
    async fn held(stage: &Stage) {
        eventually("it is held", async || (stage.sink.offered().len() == 1).then_some(())).await;
    }

    /// The clock jumps, and goes on.
    async fn pass(seconds: u64) {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    }

    #[tokio::test]
    async fn a_mail_that_the_server_holds_keeps_its_claim_and_goes_out_once() {
        let stage = Stage::set(World::default()).await;
        stage.sink.reply(&[Reply::Hold]);
        // The claim outlives two calls that fail.
        let failures = [Code::Unavailable, Code::DeadlineExceeded].into();
        stage.world().failures.insert("ExtendClaim", failures);
        let event = stage.event();
        let holding = async {
            held(&stage).await;
            // Six minutes, which is six lives of a claim.
            for calls in 1..=18 {
                let asked = async || {
                    pass(5).await;
                    (stage.world().extended == calls).then_some(())
                };
                eventually("the claim is extended", asked).await;
            }
            stage.sink.release();
        };
        let (heard, ()) = tokio::join!(stage.hear(event.clone()), holding);
        assert_eq!(heard, Ok(()));
        assert_eq!(stage.hear(event).await, Ok(()));
        assert_eq!(stage.sink.offered().len(), 1);
        assert_eq!(stage.world().recorded, [(AttemptOutcome::Sent, String::new())]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_domain_that_holds_its_mails_holds_up_no_other() {
        let stage = Arc::new(Stage::set(World::default()).await);
        stage.sink.reply_to("tarpit.example", Reply::Hold, usize::MAX);
        let mut hearing = JoinSet::new();
        for number in 0..200 {
            let event = stage.event_to(&format!("p{number}@tarpit.example"));
            let stage = stage.clone();
            hearing.spawn(async move { stage.hear(event).await });
        }
        eventually("they are held", async || (stage.sink.offered().len() == 2).then_some(())).await;
        for number in 0..20 {
            let event = stage.event_to(&format!("p{number}@example.com"));
            assert_eq!(stage.hear(event).await, Ok(()));
        }
        assert_eq!((stage.sink.offered().len(), stage.sink.taken()), (22, 20));
        // What has its share's places is held, and the others have come back without an attempt.
        for _ in 2..200 {
            let answer = hearing.join_next().await.unwrap().unwrap();
            assert!(matches!(answer, Err(Refusal::Later(..))), "{answer:?}");
        }
        assert_eq!(stage.world().claims.len(), 22);
        stage.sink.relent();
        while let Some(answer) = hearing.join_next().await {
            assert_eq!(answer.unwrap(), Ok(()));
        }
    }

    #[tokio::test]
    async fn a_server_that_is_slow_to_let_us_in_makes_no_domain_slow() {
        let stage = Stage::set(World::default()).await;
        stage.sink.hold_greetings();
        let hear = |name: &str| stage.hear(stage.event_to(&format!("{name}@example.com")));
        let waiting = async {
            let connected = async || (stage.sink.connections() == 2).then_some(());
            eventually("two connect", connected).await;
            pass(5).await;
            stage.sink.relent();
        };
        let (one, two, three, ()) = tokio::join!(hear("p1"), hear("p2"), hear("p3"), waiting);
        assert_eq!([one, two, three], [Ok(()), Ok(()), Ok(())]);
    }

    #[tokio::test]
    async fn a_mail_whose_delivery_somebody_else_has_is_broken_off() {
        let stage = Stage::set(World::default()).await;
        stage.sink.reply(&[Reply::Hold]);
        for call in ["ExtendClaim", "RecordAttempt"] {
            stage.world().failures.insert(call, VecDeque::from([Code::Aborted]));
        }
        let passing = async {
            held(&stage).await;
            pass(20).await;
        };
        let (heard, ()) = tokio::join!(stage.hear(stage.event()), passing);
        let lost = "the claim was lost while the mail was on its way".to_owned();
        assert_eq!(heard, Err(Refusal::Retry(lost)));
        assert_eq!(stage.world().recorded, []);
    }

    #[tokio::test]
    async fn a_server_that_never_answers_is_given_up_in_time_and_asked_again() {
        let stage = Stage::set(World::default()).await;
        stage.sink.reply(&[Reply::Hold]);
        let event = stage.event();
        let passing = async {
            held(&stage).await;
            // As long as the RFC says to wait for the answer to the last byte.
            pass(10 * 60).await;
            eventually("it is waited", async || (stage.world().extended > 0).then_some(())).await;
            assert_eq!(stage.world().recorded, []);
            pass(3 * 60).await;
        };
        let (heard, ()) = tokio::join!(stage.hear(event.clone()), passing);
        let late = "the mail server does not answer in time".to_owned();
        assert_eq!(heard, Err(Refusal::Retry(late)));
        assert_eq!(stage.world().replies, [("timeout".to_owned(), 0, String::new())]);
        assert_eq!(stage.hear(event).await, Ok(()));
        assert_eq!(stage.sink.taken(), 1);
    }

    #[tokio::test]
    async fn a_mail_is_recorded_with_the_token_at_hand_although_the_identity_service_hangs() {
        let stage = Stage::set(World::default()).await;
        stage.sink.reply(&[Reply::Hold]);
        let holding = async {
            held(&stage).await;
            stage.outlive_token();
            stage.world().no_tokens = true;
            pass(20).await;
            let extended = async || (stage.world().extended == 1).then_some(());
            eventually("the claim is extended", extended).await;
            stage.sink.release();
        };
        let (heard, ()) = tokio::join!(stage.hear(stage.event()), holding);
        assert_eq!(heard, Ok(()));
        assert_eq!(stage.world().recorded, [(AttemptOutcome::Sent, String::new())]);
        assert_eq!(stage.world().tokens, 1, "only the message asked for one");
    }

    #[tokio::test]
    async fn a_token_that_is_refused_is_renewed_and_not_waited_for() {
        let stage = Stage::set(World::default()).await;
        stage.sink.reply(&[Reply::Hold]);
        stage.world().failures.insert("RecordAttempt", [Code::Unauthenticated; 2].into());
        let recording = async {
            held(&stage).await;
            stage.outlive_token();
            stage.world().no_tokens = true;
            stage.sink.release();
            let asked = async || (stage.world().tokens == 2).then_some(());
            eventually("a token is asked for", asked).await;
            let begun = tokio::time::Instant::now();
            pass(5).await;
            // If that was over a moment before the next, it is recorded by then.
            let asked = async || {
                let world = stage.world();
                (world.tokens == 3 || !world.recorded.is_empty()).then_some(())
            };
            eventually("a token is asked for again", asked).await;
            pass(5).await;
            begun
        };
        let (heard, begun) = tokio::join!(stage.hear(stage.event()), recording);
        assert_eq!(heard, Ok(()));
        assert_eq!(stage.world().recorded, [(AttemptOutcome::Sent, String::new())]);
        // Two times five seconds, and not two times as long as `own` itself is patient.
        assert!(begun.elapsed() < Duration::from_secs(18));
    }

    #[test]
    fn a_status_is_found_among_a_servers_words() {
        for (words, status) in [
            ("permanent error (550): 5.1.1 no such user", "5.1.1"),
            ("transient error (451): 4.7.1 try 5.5.5 later", "4.7.1"),
            ("550 no such user at 10.0.0.1", ""),
            ("version 5.1 of 3.1.1 and 5.1.1.1 and 5.1.x", ""),
            ("", ""),
        ] {
            assert_eq!(enhanced_status(words), status, "{words}");
        }
    }
}
