//! The faults, shortly: what `cargo xtask faults` does at length. One at a time: each wants the machine.

use faults::faults::{
    SERVICES, WINDOWS, crash_in_window, kill_service, overtake_a_mailer, swallow_what_is_published,
    unbind_the_queue,
};
use tokio::sync::Mutex;

static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_service_is_killed_each_invitation_is_mailed_once() {
    for service in SERVICES {
        let _turn = TURN.lock().await;
        let outcome = kill_service(service, 5, 25).await;
        println!("{outcome}");
        outcome.expect_right();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_whichever_window_a_process_crashes_each_invitation_is_mailed_once() {
    for window in WINDOWS {
        let _turn = TURN.lock().await;
        let outcome = crash_in_window(window, 2, 25).await;
        println!("{outcome}");
        outcome.expect_right();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finds_no_queue_waits_and_without_the_mandatory_flag_it_would_be_lost() {
    let _turn = TURN.lock().await;
    unbind_the_queue(20, "").await.expect_right();
    let outcome = unbind_the_queue(20, "mandatory").await;
    assert_eq!((outcome.lost, outcome.delivered), (20, 0), "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_on_the_way_is_sent_again_and_without_confirms_it_would_be_lost() {
    let _turn = TURN.lock().await;
    swallow_what_is_published(20, "").await.expect_right();
    let outcome = swallow_what_is_published(20, "confirm").await;
    assert!(outcome.lost > 0, "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_keeps_a_second_mailer_from_sending_and_without_its_lease_it_would() {
    let _turn = TURN.lock().await;
    overtake_a_mailer("").await.expect_right();
    let outcome = overtake_a_mailer("lease").await;
    assert_eq!((outcome.lost, outcome.duplicates), (0, 1), "{outcome}");
}
