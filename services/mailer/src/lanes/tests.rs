use std::pin::pin;

use tokio::task::JoinSet;

use super::*;

fn lanes(all: usize, share: usize) -> Arc<Lanes> {
    Lanes::of(all, share, 0)
}

/// How long a mail is told to stay away.
async fn turned_away(lanes: &Lanes, domain: &str) -> Duration {
    match lanes.seat(domain).await {
        Err(Refusal::Later(pause, _)) => pause,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it has a place"),
    }
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_domain_has_its_share_and_takes_a_second_from_the_others_once() {
    let lanes = lanes(12, 4);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(lanes.seat("dead.example").await.unwrap());
    }
    let on_their_way: Vec<_> = held.iter().map(Seat::on_its_way).collect();
    // The first above its share wait until the domain turns out to be slow.
    let begun = Instant::now();
    turned_away(&lanes, "dead.example").await;
    assert_eq!(begun.elapsed(), PROMPT);
    for _ in 0..100 {
        turned_away(&lanes, "dead.example").await;
    }
    assert_eq!(begun.elapsed(), PROMPT, "nobody waits for it any more");
    // Another one has all that is left, at once.
    let mut others = Vec::new();
    for domain in ["a.example", "b.example"] {
        for _ in 0..4 {
            others.push(lanes.seat(domain).await.unwrap());
        }
    }
    assert_eq!(begun.elapsed(), PROMPT);
    drop(on_their_way);
}

#[tokio::test(start_paused = true)]
async fn what_is_turned_away_stays_away_as_long_as_the_domain_is_silent() {
    let lanes = lanes(12, 2);
    let held = [lanes.seat("x.example").await.unwrap(), lanes.seat("x.example").await.unwrap()];
    let mut on_their_way: Vec<_> = held.iter().map(Seat::on_its_way).collect();
    for (passing, silent) in [(5, 5), (85, 90), (600, 300)] {
        pass(passing).await;
        assert_eq!(turned_away(&lanes, "x.example").await, Duration::from_secs(silent));
    }
    // One of its mails ends at last: it is slow, but not silent.
    on_their_way.pop();
    assert_eq!(turned_away(&lanes, "x.example").await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn mails_to_a_prompt_domain_wait_for_their_turn_and_go_in_order() {
    let lanes = lanes(12, 2);
    let mut going = JoinSet::new();
    for number in 0..50 {
        let lanes = lanes.clone();
        going.spawn(async move {
            let seat = lanes.seat("x.example").await.unwrap();
            let on_its_way = seat.on_its_way();
            tokio::time::timeout(Duration::from_millis(200), std::future::pending::<()>())
                .await
                .unwrap_err();
            drop(on_its_way);
            number
        });
    }
    let begun = Instant::now();
    let mut order = Vec::new();
    while let Some(number) = going.join_next().await {
        order.push(number.unwrap());
    }
    assert_eq!(begun.elapsed().as_millis() / 100, 50, "two at a time, without a pause");
    order.iter_mut().for_each(|number| *number /= 2);
    assert!(order.is_sorted(), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn a_domain_that_was_slow_is_prompt_again_after_a_prompt_mail() {
    let lanes = lanes(12, 1);
    for (seconds, is_slow_next) in [(2, true), (0, false)] {
        let seat = lanes.seat("x.example").await.unwrap();
        let on_its_way = seat.on_its_way();
        pass(seconds).await;
        drop(on_its_way);
        drop(seat);
        let seat = lanes.seat("x.example").await.unwrap();
        let on_its_way = seat.on_its_way();
        let mut waiting = pin!(lanes.seat("x.example"));
        let soon = timeout(PROMPT / 2, &mut waiting).await;
        assert_eq!(soon.is_ok(), is_slow_next);
        drop(on_its_way);
    }
}

#[tokio::test(start_paused = true)]
async fn a_domain_gets_no_more_within_a_minute_than_its_rate() {
    let lanes = Lanes::of(12, 4, 60);
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < Duration::from_secs(600) {
        while let Ok(seat) = lanes.seat("x.example").await {
            sent += 1;
            drop(seat.on_its_way());
        }
        lanes.seat("other.example").await.map(drop).unwrap_or_default();
        pass(5).await;
    }
    assert!((600..=606).contains(&sent), "{sent} in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_all_places_taken_waits_for_a_minute() {
    let lanes = lanes(2, 2);
    let _held = [lanes.seat("a.example").await.unwrap(), lanes.seat("b.example").await.unwrap()];
    let begun = Instant::now();
    turned_away(&lanes, "c.example").await;
    assert_eq!(begun.elapsed(), WAITING);
}
