//! The faults, shortly: what `cargo xtask faults` does at length. One at a time: each wants the machine.

use faults::{
    faults::{
        SERVICES, WINDOWS, crash_in_window, deliver_twice, kill_service, overtake_a_mailer,
        swallow_what_is_published, unbind_the_queue,
    },
    outcome::Outcome,
};
use futures::{StreamExt as _, stream};
use tokio::sync::Mutex;

static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_service_is_killed_each_invitation_is_mailed_once() {
    let _turn = TURN.lock().await;
    all_right(SERVICES.map(|service| kill_service(service, 5, 10))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_whichever_window_a_process_crashes_each_invitation_is_mailed_once() {
    let _turn = TURN.lock().await;
    all_right(WINDOWS.map(|window| crash_in_window(window, 2, 10))).await;
}

/// Each trial has a platform of its own, and most of them wait for a minute for what a crashed process
/// held: three at a time.
async fn all_right<F: Future<Output = Outcome>>(trials: impl IntoIterator<Item = F>) {
    let outcomes: Vec<_> = stream::iter(trials).buffered(3).collect().await;
    outcomes.iter().for_each(|outcome| println!("{outcome}"));
    outcomes.iter().for_each(Outcome::expect_right);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finds_no_queue_waits_and_without_the_mandatory_flag_it_would_be_lost() {
    let _turn = TURN.lock().await;
    unbind_the_queue(20, "").await.expect_right();
    let outcome = unbind_the_queue(20, "mandatory").await;
    assert!(outcome.lost > 0, "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_on_the_way_is_sent_again_and_without_confirms_it_would_be_lost() {
    let _turn = TURN.lock().await;
    swallow_what_is_published(20, "").await.expect_right();
    let outcome = swallow_what_is_published(20, "confirm").await;
    assert!(outcome.lost > 0, "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_twice_is_one_mail_and_without_the_inbox_it_would_be_two() {
    let _turn = TURN.lock().await;
    deliver_twice(5, "").await.expect_right();
    let outcome = deliver_twice(5, "inbox").await;
    assert!(outcome.duplicates > 0, "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_keeps_a_second_mailer_from_sending_and_without_its_lease_it_would() {
    let _turn = TURN.lock().await;
    overtake_a_mailer("").await.expect_right();
    let outcome = overtake_a_mailer("lease").await;
    assert_eq!((outcome.lost, outcome.duplicates), (0, 1), "{outcome}");
}
