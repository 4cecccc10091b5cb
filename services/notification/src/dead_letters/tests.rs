use api::{
    notification::v1::{
        AttemptOutcome, ClaimDeliveryRequest, DeadLetter, DeadLetterGround, DeadLetterKept,
        DeadLetterState, DeliveryChanged, DeliveryState, DiscardDeadLetterRequest,
        GetDeadLetterRequest, ListDeadLettersRequest, ReplayDeadLetterRequest,
        ResendDeliveryRequest,
    },
    organisation::v1::InvitationCreated,
};
use bus::{Ground, Handler, Message, Queue, Refusal};
use kernel::{Duration, Uuid};
use prost::Message as _;
use std::sync::{Arc, Mutex};
use testkit::{Bench, eventually};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::delivery::CLAIM_LIFETIME,
    rights::PLATFORM,
    testing::{Caller, Stage, reason, record_of, violations},
};

testkit::on_both_databases!(
    what_a_consumer_gave_up_is_kept_with_all_that_is_known,
    a_replayed_one_comes_to_its_queue_again_and_waits_again_when_it_is_given_up_again,
    who_replays_page_by_page_meets_each_once,
    what_two_queues_gave_up_is_replayed_to_one_after_the_other,
    of_two_who_decide_one_does,
    what_was_discarded_stays_so_when_it_is_told_again,
    what_is_no_message_of_ours_can_be_discarded_alone,
    nobody_waits_for_the_mail_of_a_message_that_was_given_up,
    an_invitation_hears_of_a_mail_that_no_delivery_came_of,
    what_somebody_works_on_or_is_over_stays_and_so_does_what_is_not_the_mailers,
    every_dead_letter_is_announced,
    what_was_decided_is_forgotten_after_thirty_days_and_nothing_else,
    only_who_runs_the_platform_sees_and_decides,
    every_violation_is_named_at_once,
);

/// A consumer of another service, which refuses until it is told otherwise.
struct Elsewhere {
    seen: Arc<Mutex<Vec<Message>>>,
    refuses: Arc<Mutex<bool>>,
}

const QUEUE: Queue = Queue { name: "test.mails", bindings: &["test.told.v1"], concurrency: 1 };

impl Elsewhere {
    async fn listen(stage: &Stage) -> Self {
        // When it answers it keeps dead letters.
        list(&stage.account("operations.manage"), DeadLetterState::Waiting).await;
        let this = Self { seen: Arc::default(), refuses: Arc::new(Mutex::new(true)) };
        let (seen, refuses) = (this.seen.clone(), this.refuses.clone());
        let handler: Handler = Arc::new(move |message| {
            seen.lock().unwrap().push(message);
            let refused = *refuses.lock().unwrap();
            let answer = if refused { Err(Refusal::Reject("no\nroom".to_owned())) } else { Ok(()) };
            Box::pin(async move { answer })
        });
        tokio::spawn(stage.bench.infra.bus.consume(QUEUE, handler, CancellationToken::new()));
        this
    }

    fn seen(&self) -> Vec<Message> {
        self.seen.lock().unwrap().clone()
    }
}

fn message(stage: &Stage) -> Message {
    let clock = &stage.bench.infra.clock;
    Message {
        id: clock.new_id(),
        routing_key: QUEUE.bindings[0].to_owned(),
        source: "usher/organisation".to_owned(),
        subject: Uuid::from_u128(7),
        time: clock.now(),
        payload: vec![1, 2, 3],
        traceparent: None,
        attempt: 1,
        queue: None,
        redelivered: false,
        must_arrive: true,
    }
}

async fn give_up(stage: &Stage, message: Message) {
    let answers = stage.bench.infra.bus.publish(vec![message]).await;
    assert_eq!(answers, [Ok(())]);
}

async fn list(operator: &Caller, state: DeadLetterState) -> Vec<DeadLetter> {
    let request = ListDeadLettersRequest { state: state.into(), ..Default::default() };
    let answer = operator.dead_letters().list_dead_letters(request).await;
    answer.unwrap().into_inner().dead_letters
}

async fn what_a_consumer_gave_up_is_kept_with_all_that_is_known(bench: Bench) {
    let stage = Stage::set(bench).await;
    let _elsewhere = Elsewhere::listen(&stage).await;
    let operator = stage.account("operations.manage");
    let message = message(&stage);
    // Told of it twice, it is kept once.
    give_up(&stage, message.clone()).await;
    give_up(&stage, message.clone()).await;
    let listed = list(&operator, DeadLetterState::Unspecified).await;
    assert_eq!(listed.len(), 1);
    let now = Some(api::timestamp(stage.bench.infra.clock.now()));
    let expected = DeadLetter {
        id: listed[0].id.clone(),
        event_id: message.id.to_string(),
        queue: QUEUE.name.to_owned(),
        ground: DeadLetterGround::Rejected.into(),
        error: "no room".to_owned(),
        r#type: message.routing_key,
        source: message.source,
        subject: message.subject.to_string(),
        time: now,
        attempts: 1,
        state: DeadLetterState::Waiting.into(),
        created_at: now,
        updated_at: now,
        decided_by: String::new(),
        payload: Vec::new(),
    };
    assert_eq!(listed[0], expected);
    let request = GetDeadLetterRequest { id: expected.id.clone() };
    let got = operator.dead_letters().get_dead_letter(request).await.unwrap().into_inner();
    assert_eq!(got.dead_letter, Some(DeadLetter { payload: vec![1, 2, 3], ..expected }));
}

async fn a_replayed_one_comes_to_its_queue_again_and_waits_again_when_it_is_given_up_again(
    bench: Bench,
) {
    let stage = Stage::set(bench).await;
    let elsewhere = Elsewhere::listen(&stage).await;
    let operator = stage.account("operations.manage");
    let first = message(&stage);
    give_up(&stage, first.clone()).await;
    let id = list(&operator, DeadLetterState::Waiting).await.remove(0).id;
    let replay = ReplayDeadLetterRequest { id: id.clone() };
    // It waits again a moment before its event has left the outbox.
    let replay_when_it_has_left = async || {
        eventually("it has left", async || {
            match operator.dead_letters().replay_dead_letter(replay.clone()).await {
                Ok(answer) => answer.into_inner().dead_letter,
                refused => {
                    assert_eq!(reason(refused), "DEAD_LETTER_ON_ITS_WAY");
                    None
                }
            }
        })
        .await
    };
    for round in 1..=2 {
        let told = replay_when_it_has_left().await;
        assert_eq!(told.state(), DeadLetterState::Replayed);
        assert!(!told.decided_by.is_empty());
        let again = eventually("it waits again", async || {
            list(&operator, DeadLetterState::Waiting).await.pop()
        })
        .await;
        assert_eq!((again.id, again.decided_by), (id.clone(), String::new()));
        let seen = elsewhere.seen();
        let queue = Some(QUEUE.name.to_owned());
        assert_eq!(seen.len(), 1 + round);
        assert_eq!(seen.last(), Some(&Message { queue, ..first.clone() }), "as it was at first");
    }
    *elsewhere.refuses.lock().unwrap() = false;
    replay_when_it_has_left().await;
    eventually("it is handled", async || (elsewhere.seen().len() == 4).then_some(())).await;
    assert_eq!(
        reason(operator.dead_letters().replay_dead_letter(replay).await),
        "DEAD_LETTER_DECIDED"
    );
}

async fn who_replays_page_by_page_meets_each_once(bench: Bench) {
    let stage = Stage::set(bench).await;
    let mut operator = stage.account("operations.manage").dead_letters();
    let messages: Vec<_> = (0..5).map(|_| message(&stage)).collect();
    for message in &messages {
        given_up(&stage, QUEUE.name, message.clone()).await;
    }
    let (mut met, mut request) =
        (Vec::new(), ListDeadLettersRequest { page_size: 2, ..Default::default() });
    loop {
        let page = operator.list_dead_letters(request.clone()).await.unwrap().into_inner();
        for letter in page.dead_letters {
            let replay = ReplayDeadLetterRequest { id: letter.id };
            operator.replay_dead_letter(replay).await.unwrap();
            // It fails again before the walk is over.
            let again = messages.iter().find(|it| it.id.to_string() == letter.event_id).unwrap();
            given_up(&stage, QUEUE.name, again.clone()).await;
            met.push(again.id);
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(met, messages.iter().map(|message| message.id).collect::<Vec<_>>());
}

async fn what_two_queues_gave_up_is_replayed_to_one_after_the_other(bench: Bench) {
    let stage = Stage::set(bench).await;
    let operator = stage.account("operations.manage");
    let message = message(&stage);
    // Nobody listens to either, so that what is replayed stays in the outbox.
    for queue in ["test.one", "test.other"] {
        given_up(&stage, queue, message.clone()).await;
    }
    let letters = list(&operator, DeadLetterState::Waiting).await;
    let replay = async |letter: &DeadLetter| {
        let request = ReplayDeadLetterRequest { id: letter.id.clone() };
        reason(operator.dead_letters().replay_dead_letter(request).await)
    };
    assert_eq!(replay(&letters[0]).await, "OK");
    assert_eq!(replay(&letters[1]).await, "DEAD_LETTER_ON_ITS_WAY");
    assert_eq!(list(&operator, DeadLetterState::Waiting).await, [letters[1].clone()]);
    db::outbox::finish(&stage.notification.database, &[message.id]).await.unwrap();
    assert_eq!(replay(&letters[1]).await, "OK");
}

async fn of_two_who_decide_one_does(bench: Bench) {
    let stage = Stage::set(bench).await;
    let elsewhere = Elsewhere::listen(&stage).await;
    let operator = stage.account("operations.manage");
    for _ in 0..50 {
        give_up(&stage, message(&stage)).await;
        let id = list(&operator, DeadLetterState::Waiting).await.remove(0).id;
        let before = elsewhere.seen().len();
        *elsewhere.refuses.lock().unwrap() = false;
        let (mut left, mut right) = (operator.dead_letters(), operator.dead_letters());
        let (replayed, discarded) = tokio::join!(
            left.replay_dead_letter(ReplayDeadLetterRequest { id: id.clone() }),
            right.discard_dead_letter(DiscardDeadLetterRequest { id })
        );
        let mut outcomes = [reason(replayed), reason(discarded)];
        let replays = usize::from(outcomes[0] == "OK");
        outcomes.sort();
        assert_eq!(outcomes, ["DEAD_LETTER_DECIDED", "OK"]);
        eventually("the outbox is empty", async || {
            let backlog = db::outbox::backlog(&stage.notification.database).await.unwrap();
            (backlog.waiting == 0).then_some(())
        })
        .await;
        assert_eq!(elsewhere.seen().len(), before + replays);
        *elsewhere.refuses.lock().unwrap() = true;
    }
}

async fn what_was_discarded_stays_so_when_it_is_told_again(bench: Bench) {
    let stage = Stage::set(bench).await;
    let _elsewhere = Elsewhere::listen(&stage).await;
    let operator = stage.account("operations.manage");
    let message = message(&stage);
    give_up(&stage, message.clone()).await;
    let id = list(&operator, DeadLetterState::Waiting).await.remove(0).id;
    operator.dead_letters().discard_dead_letter(DiscardDeadLetterRequest { id }).await.unwrap();
    // The broker hands a dead letter out again whose acknowledgement it lost.
    give_up(&stage, message).await;
    assert!(list(&operator, DeadLetterState::Waiting).await.is_empty());
    assert!(!list(&operator, DeadLetterState::Discarded).await[0].decided_by.is_empty());
}

async fn what_is_no_message_of_ours_can_be_discarded_alone(bench: Bench) {
    let stage = Stage::set(bench).await;
    let operator = stage.account("operations.manage");
    let noise = bus::DeadLetter {
        queue: QUEUE.name.to_owned(),
        ground: Ground::Unreadable,
        error: "it is not one of our messages".to_owned(),
        message: Err(b"noise".to_vec()),
    };
    super::keep::keep(&stage.notification, noise).await.unwrap();
    let letter = list(&operator, DeadLetterState::Waiting).await.remove(0);
    assert_eq!((letter.event_id, letter.r#type), (String::new(), String::new()));
    let replay = ReplayDeadLetterRequest { id: letter.id.clone() };
    let refused = operator.dead_letters().replay_dead_letter(replay).await;
    assert_eq!(reason(refused), "DEAD_LETTER_UNREADABLE");
    let discard = DiscardDeadLetterRequest { id: letter.id.clone() };
    operator.dead_letters().discard_dead_letter(discard.clone()).await.unwrap();
    assert_eq!(list(&operator, DeadLetterState::Discarded).await[0].id, letter.id);
    assert!(list(&operator, DeadLetterState::Waiting).await.is_empty());
    let again = operator.dead_letters().discard_dead_letter(discard).await;
    assert_eq!(reason(again), "DEAD_LETTER_DECIDED");
}

/// A message that the mailer gave up.
async fn given_up(stage: &Stage, queue: &str, message: Message) {
    let dead = bus::DeadLetter {
        queue: queue.to_owned(),
        ground: Ground::Exhausted,
        error: "identity: Unavailable".to_owned(),
        message: Ok(message),
    };
    // However often it is told.
    for _ in 0..2 {
        super::keep::keep(&stage.notification, dead.clone()).await.unwrap();
    }
}

/// The message that asked for a delivery.
fn cause(stage: &Stage, event: &str) -> Message {
    Message {
        id: event.parse().unwrap(),
        routing_key: "organisation.invitation.created.v1".to_owned(),
        ..message(stage)
    }
}

fn failed() -> (String, String) {
    ("failed".to_owned(), "set_aside".to_owned())
}

async fn nobody_waits_for_the_mail_of_a_message_that_was_given_up(bench: Bench) {
    let stage = Stage::set(bench).await;
    // One that waits for its next attempt, one whose worker is gone, one that was to be sent again.
    let delayed = stage.wanted();
    let waits = stage.attempt(&delayed, AttemptOutcome::Delayed, "delayed").await;
    given_up(&stage, "mailer.invitations", cause(&stage, &delayed.event_id)).await;
    assert_eq!(stage.told(&waits.id).await, [failed()]);
    let left = stage.wanted();
    let lapsed = stage.claim(&left).await.delivery.unwrap();
    stage.pass(CLAIM_LIFETIME);
    given_up(&stage, "mailer.invitations", cause(&stage, &left.event_id)).await;
    assert_eq!(stage.told(&lapsed.id).await, [failed()]);
    assert_eq!(stage.look_at(&lapsed.id).await.attempts[0].outcome(), AttemptOutcome::Lost);
    let resent = stage.attempt(&stage.wanted(), AttemptOutcome::Failed, "refused").await;
    let request = ResendDeliveryRequest { id: resent.id.clone(), force: false };
    let mut operator = stage.account("deliveries.resend").deliveries();
    operator.resend_delivery(request).await.unwrap();
    let queued = Message {
        routing_key: "notification.delivery.queued.v1".to_owned(),
        subject: resent.id.parse().unwrap(),
        payload: b"\xff\xff".to_vec(),
        ..message(&stage)
    };
    given_up(&stage, "mailer.resends", queued).await;
    assert_eq!(stage.told(&resent.id).await.last(), Some(&failed()));

    // Replayed, it is sent after all, and only then.
    assert_eq!(stage.claim(&delayed).await.claim_id, "");
    let replayed = ClaimDeliveryRequest { replayed: true, ..delayed };
    let sent = stage.attempt(&replayed, AttemptOutcome::Sent, "").await;
    assert_eq!((sent.state(), sent.id), (DeliveryState::Sent, waits.id));
}

async fn an_invitation_hears_of_a_mail_that_no_delivery_came_of(bench: Bench) {
    let stage = Stage::set(bench).await;
    let invitation = stage.id();
    let event = InvitationCreated {
        invitation_id: invitation.to_string(),
        organisation_id: stage.organisation.to_string(),
        issue: 3,
    };
    let of = |payload: Vec<u8>| Message {
        subject: invitation,
        payload,
        ..cause(&stage, &stage.id().to_string())
    };
    let malformed = InvitationCreated { invitation_id: "7".to_owned(), ..event.clone() };
    for (payload, issue) in
        [(event.encode_to_vec(), 3), (malformed.encode_to_vec(), 0), (b"\xff\xff".to_vec(), 0)]
    {
        let message = of(payload);
        given_up(&stage, "mailer.invitations", message.clone()).await;
        assert_eq!(stage.told(&invitation.to_string()).await, [failed()]);
        let told = stage.last_change();
        let expected = DeliveryChanged {
            event_id: message.id.to_string(),
            invitation_id: invitation.to_string(),
            organisation_id: if issue == 0 {
                String::new()
            } else {
                stage.organisation.to_string()
            },
            state: DeliveryState::Failed.into(),
            reason: "set_aside".to_owned(),
            issue,
            changed_at: Some(api::timestamp(stage.bench.infra.clock.now())),
            ..Default::default()
        };
        assert_eq!(told, expected);
    }
}

async fn what_somebody_works_on_or_is_over_stays_and_so_does_what_is_not_the_mailers(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (held, over, elsewhere) = (stage.wanted(), stage.wanted(), stage.wanted());
    let works_on = stage.claim(&held).await;
    given_up(&stage, "mailer.invitations", cause(&stage, &held.event_id)).await;
    let mut mailer = stage.account("deliveries.write").deliveries();
    mailer.record_attempt(record_of(&works_on, AttemptOutcome::Sent, "")).await.unwrap();
    let sent = stage.told(&works_on.delivery.unwrap().id).await;
    assert_eq!(sent, [("sent".to_owned(), String::new())]);
    let done = stage.attempt(&over, AttemptOutcome::Failed, "refused").await;
    given_up(&stage, "mailer.invitations", cause(&stage, &over.event_id)).await;
    assert_eq!(stage.told(&done.id).await.len(), 1);
    let waits = stage.attempt(&elsewhere, AttemptOutcome::Delayed, "delayed").await;
    let told = Message { subject: waits.id.parse().unwrap(), ..cause(&stage, &elsewhere.event_id) };
    given_up(&stage, "organisation.deliveries", told).await;
    assert_eq!(stage.told(&waits.id).await, []);
    // About an access request nobody keeps how its mails fare.
    let request = Message {
        routing_key: "organisation.access_request.mail.v1".to_owned(),
        ..cause(&stage, &stage.id().to_string())
    };
    let subject = request.subject.to_string();
    given_up(&stage, "mailer.access-requests", request).await;
    assert_eq!(stage.told(&subject).await, []);
}

async fn every_dead_letter_is_announced(bench: Bench) {
    const KEPT: Queue = Queue {
        name: "test.dead-letters",
        bindings: &["notification.dead_letter.kept.v1"],
        concurrency: 1,
    };
    let stage = Stage::set(bench).await;
    let heard = Arc::<Mutex<Vec<DeadLetterKept>>>::default();
    let keeping = heard.clone();
    let handler: Handler = Arc::new(move |message| {
        keeping.lock().unwrap().push(DeadLetterKept::decode(&*message.payload).unwrap());
        Box::pin(async { Ok(()) })
    });
    tokio::spawn(stage.bench.infra.bus.consume(KEPT, handler, CancellationToken::new()));
    let message = message(&stage);
    given_up(&stage, "organisation.callbacks", message.clone()).await;
    let expected = DeadLetterKept {
        event_id: message.id.to_string(),
        queue: "organisation.callbacks".to_owned(),
        ground: DeadLetterGround::Exhausted.into(),
        r#type: message.routing_key,
    };
    eventually("it is announced", async || heard.lock().unwrap().contains(&expected).then_some(()))
        .await;
}

async fn what_was_decided_is_forgotten_after_thirty_days_and_nothing_else(bench: Bench) {
    let stage = Stage::set(bench).await;
    let _elsewhere = Elsewhere::listen(&stage).await;
    let operator = stage.account("operations.manage");
    give_up(&stage, message(&stage)).await;
    give_up(&stage, message(&stage)).await;
    let id = list(&operator, DeadLetterState::Waiting).await.remove(0).id;
    let discard = DiscardDeadLetterRequest { id };
    operator.dead_letters().discard_dead_letter(discard).await.unwrap();
    stage.pass(Duration::days(30));
    super::keep::prune(&stage.notification).await.unwrap();
    let left = crate::entity::dead_letter::list;
    let database = stage.notification.database.read();
    use crate::entity::dead_letter::State;
    assert_eq!(left(database, State::Discarded, "", None, 9).await.unwrap().len(), 1);
    stage.pass(Duration::seconds(1));
    super::keep::prune(&stage.notification).await.unwrap();
    assert!(left(database, State::Discarded, "", None, 9).await.unwrap().is_empty());
    assert_eq!(left(database, State::Waiting, "", None, 9).await.unwrap().len(), 1);
}

async fn only_who_runs_the_platform_sees_and_decides(bench: Bench) {
    let stage = Stage::set(bench).await;
    let _elsewhere = Elsewhere::listen(&stage).await;
    give_up(&stage, message(&stage)).await;
    let id = list(&stage.account("operations.manage"), DeadLetterState::Waiting).await.remove(0).id;
    // Of their own organisation people may do everything; this is asked at the platform.
    stage.allow("operations.manage", stage.organisation);
    for stranger in [stage.person(), stage.account("deliveries.write deliveries.read")] {
        let mut letters = stranger.dead_letters();
        let expected = "PERMISSION_MISSING";
        assert_eq!(
            reason(letters.list_dead_letters(ListDeadLettersRequest::default()).await),
            expected
        );
        for id in [id.clone(), Uuid::from_u128(1).to_string()] {
            let get = GetDeadLetterRequest { id: id.clone() };
            assert_eq!(reason(letters.get_dead_letter(get).await), expected);
            let replay = ReplayDeadLetterRequest { id: id.clone() };
            assert_eq!(reason(letters.replay_dead_letter(replay).await), expected);
            let discard = DiscardDeadLetterRequest { id };
            assert_eq!(reason(letters.discard_dead_letter(discard).await), expected);
        }
    }
    stage.allow("operations.manage", PLATFORM);
    assert_eq!(list(&stage.person(), DeadLetterState::Waiting).await.len(), 1);
    let unknown = GetDeadLetterRequest { id: Uuid::from_u128(1).to_string() };
    let answer = stage.person().dead_letters().get_dead_letter(unknown).await;
    assert_eq!(reason(answer), "DEAD_LETTER_NOT_FOUND");
}

async fn every_violation_is_named_at_once(bench: Bench) {
    let stage = Stage::set(bench).await;
    let operator = stage.account("operations.manage");
    let request = ListDeadLettersRequest {
        queue: "q".repeat(256),
        state: 9,
        page_size: 101,
        page_token: "rubbish!".to_owned(),
    };
    let answer = operator.dead_letters().list_dead_letters(request).await;
    assert_eq!(violations(answer), ["page_size", "page_token", "queue", "state"]);
    let id = "7".to_owned();
    let answer = operator.dead_letters().replay_dead_letter(ReplayDeadLetterRequest { id }).await;
    assert_eq!(violations(answer), ["id"]);
}
