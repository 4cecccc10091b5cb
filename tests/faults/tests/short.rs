//! The faults, shortly: what `cargo xtask faults` does at length.

use std::time::Duration;

use faults::{
    faults::{
        NETWORKS, SERVICES, WINDOWS, annoy_mailer, crash_behind_each_mail, crash_in_a_loop,
        crash_in_window, cut_off, cut_off_clients, deliver_twice, fill_disk_of_broker, hear_twice,
        kill_embedded, kill_server, kill_service, leave_broker_down, overtake_a_mailer, poison,
        share_an_outbox, swallow_what_is_published, unbind_the_queue,
    },
    outcome::Outcome,
    own::Kind,
};
use futures::future::join_all;
use tokio::sync::Semaphore;

/// Each trial has a platform of its own, and most of them wait for a minute for what a crashed process
/// held: so many at a time.
const AT_ONCE: usize = 6;
static TRIALS: Semaphore = Semaphore::const_new(AT_ONCE);

async fn trial<T>(trial: impl Future<Output = T>) -> T {
    let _permit = TRIALS.acquire().await.expect("never closed");
    trial.await
}

/// The same trial as it should go and with a guard switched off.
async fn with_and_without<F: Future<Output = Outcome>>(trials: [F; 2]) -> Outcome {
    let [right, wrong] = trials.map(trial);
    let (right, wrong) = tokio::join!(right, wrong);
    right.expect_right();
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_service_is_killed_each_invitation_is_mailed_once() {
    let services = all_right(SERVICES.map(|service| kill_service(service, 5, 10)));
    let embedded = trial(kill_embedded(5, 10));
    tokio::join!(embedded, services).0.expect_right();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_whichever_window_a_process_crashes_each_invitation_is_mailed_once() {
    all_right(WINDOWS.map(|window| crash_in_window(window, 2, 10))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_the_server_took_when_the_mailer_crashed_comes_once_more_and_no_oftener() {
    let outcome = trial(crash_behind_each_mail(3)).await;
    outcome.expect_right();
    assert_eq!(outcome.duplicates, 3, "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_server_is_killed_each_invitation_is_mailed_once() {
    let kinds = [Kind::RabbitMq, Kind::Postgres, Kind::Redis];
    all_right(kinds.map(|kind| kill_server(kind, 2, 10))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_broker_is_down_or_full_every_call_succeeds_at_once() {
    // Beside no other test: a call that is slow for another reason would count.
    let _alone = TRIALS.acquire_many(AT_ONCE as u32).await.expect("never closed");
    let down = leave_broker_down(Duration::from_secs(10), 10);
    let (down, full) = tokio::join!(down, fill_disk_of_broker(50, 10));
    for outcome in [down, full] {
        outcome.expect_right();
        assert_eq!(
            (outcome.attempted - outcome.acknowledged, outcome.repeated),
            (0, 0),
            "{outcome}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_faulty_mail_server_delays_no_healthy_mail_and_what_it_refuses_is_visible() {
    let annoyed = trial(annoy_mailer(200, 20)).await;
    assert!(annoyed.is_right() && annoyed.faulty.refused > 0, "{annoyed:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_does_nothing_to_its_neighbours_and_is_visible() {
    let poisoned = trial(poison(200, 20)).await;
    assert!(poisoned.is_right() && poisoned.poison > 0, "{poisoned:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_network_is_cut_each_invitation_is_mailed_once() {
    let clients = trial(cut_off_clients(1..=3, 5));
    let services = all_right(NETWORKS.map(|network| cut_off(network, 1..=3, 5)));
    tokio::join!(clients, services).0.expect_right();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn innocents_beside_a_crash_loop_are_mailed_or_set_aside_and_then_replayed() {
    let looped = trial(crash_in_a_loop(230, 25)).await;
    looped.outcome.expect_right();
    assert!(looped.dead_letters > 0, "{looped:#?}");
}

async fn all_right<F: Future<Output = Outcome>>(trials: impl IntoIterator<Item = F>) {
    let outcomes = join_all(trials.into_iter().map(trial)).await;
    outcomes.iter().for_each(|outcome| println!("{outcome}"));
    outcomes.iter().for_each(Outcome::expect_right);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finds_no_queue_waits_and_without_the_mandatory_flag_it_would_be_lost() {
    let outcome = with_and_without(["", "mandatory"].map(|off| unbind_the_queue(20, off))).await;
    assert!(outcome.lost > 0, "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_on_the_way_is_sent_again_and_without_confirms_it_would_be_lost() {
    let trials = ["", "confirm"].map(|off| swallow_what_is_published(20, off));
    let outcome = with_and_without(trials).await;
    assert!(outcome.lost > 0, "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_twice_is_one_mail_and_without_its_record_it_would_be_two() {
    let outcome = with_and_without(["", "record"].map(|off| deliver_twice(5, off))).await;
    assert_eq!((outcome.lost, outcome.duplicates), (0, 5), "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_keeps_a_second_mailer_from_sending_and_without_it_both_would() {
    let outcome = with_and_without(["", "claim"].map(overtake_a_mailer)).await;
    assert_eq!((outcome.lost, outcome.duplicates), (0, 1), "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_share_an_outbox_and_without_a_lease_events_would_leave_twice() {
    let outcome = with_and_without(["", "lease"].map(|off| share_an_outbox(50, off))).await;
    assert!(outcome.duplicates > 0, "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_heard_of_twice_has_one_effect_and_without_the_inbox_it_would_have_two() {
    let outcome = with_and_without(["", "inbox"].map(|off| hear_twice(3, off))).await;
    assert_eq!((outcome.lost, outcome.duplicates), (0, 3), "{outcome}");
}
