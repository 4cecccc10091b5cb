use std::{future::pending, iter::repeat_with, pin::pin};

use tokio::task::JoinSet;

use super::*;

fn lanes(all: usize, share: usize) -> Arc<Lanes> {
    Lanes::of(all, share, 0)
}

/// How long a mail is told to stay away.
async fn turned_away(lanes: &Arc<Lanes>, domain: &str) -> Duration {
    match lanes.seat(domain).await {
        Err(Refusal::Later(pause, _)) => pause,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it has a place"),
    }
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

/// One mail to a domain that takes so many seconds.
async fn send(lanes: &Arc<Lanes>, domain: &str, seconds: u64) {
    let mut seat = lanes.seat(domain).await.unwrap();
    let on_its_way = seat.set_out();
    pass(seconds).await;
    drop(on_its_way);
}

/// Sends a mail that hangs before the server has it, or behind that; answers whether it is broken off.
async fn hang(lanes: Arc<Lanes>, domain: String, is_offered: bool) -> bool {
    let Ok(mut seat) = lanes.seat(&domain).await else { return false };
    let mut on_its_way = seat.set_out();
    if is_offered {
        on_its_way.hand_over(pending::<()>()).await;
    }
    on_its_way.offer(pending::<()>()).await.is_none()
}

/// Lets everybody go on who can at this moment.
async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_domain_takes_no_place_of_the_others_for_longer_than_a_second() {
    let lanes = lanes(16, 4);
    send(&lanes, "dead.example", 0).await;
    let mut going = JoinSet::new();
    for _ in 0..100 {
        going.spawn(hang(lanes.clone(), "dead.example".to_owned(), false));
    }
    settle().await;
    assert_eq!(lanes.prompt.available_permits(), 4);
    pass(1).await;
    settle().await;
    // Two go on among the slow, two are broken off, and the others have come back.
    assert_eq!((lanes.prompt.available_permits(), lanes.slow.available_permits()), (8, 6));
    let ended: Vec<_> = repeat_with(|| going.try_join_next()).map_while(|it| it).collect();
    assert_eq!((going.len(), ended.len()), (2, 98));
    assert_eq!(ended.into_iter().filter(|it| *it.as_ref().unwrap()).count(), 2);
    turned_away(&lanes, "dead.example").await;
    going.shutdown().await;
    // From now on it has two.
    for _ in 0..2 {
        going.spawn(hang(lanes.clone(), "dead.example".to_owned(), false));
    }
    settle().await;
    assert_eq!((lanes.prompt.available_permits(), lanes.slow.available_permits()), (8, 6));
    turned_away(&lanes, "dead.example").await;
}

#[tokio::test(start_paused = true)]
async fn any_number_of_dead_domains_leaves_the_places_of_the_others_free() {
    let lanes = lanes(12, 3);
    let mut going = JoinSet::new();
    for round in 0..10 {
        for number in 0..3 {
            going.spawn(hang(lanes.clone(), format!("dead{round}-{number}.example"), false));
            going.spawn(hang(lanes.clone(), format!("dead{round}-{number}.example"), false));
        }
        settle().await;
        assert_eq!(lanes.prompt.available_permits(), 0);
        pass(1).await;
        settle().await;
        // Those of the first round are slow; the others are broken off.
        assert_eq!((lanes.prompt.available_permits(), lanes.slow.available_permits()), (6, 0));
        let broken_off = repeat_with(|| going.try_join_next()).map_while(|it| it).count();
        assert_eq!(broken_off, if round == 0 { 0 } else { 6 });
    }
    // What is known to be dead does not even begin.
    turned_away(&lanes, "dead9-0.example").await;
}

#[tokio::test(start_paused = true)]
async fn of_those_that_wait_for_a_place_when_their_domain_becomes_slow_two_are_among_the_slow() {
    let lanes = lanes(16, 4);
    send(&lanes, "x.example", 0).await;
    let mut going = JoinSet::new();
    going.spawn(hang(lanes.clone(), "x.example".to_owned(), false));
    settle().await;
    let others = lanes.prompt.clone().try_acquire_many_owned(7).unwrap();
    for _ in 0..3 {
        going.spawn(hang(lanes.clone(), "x.example".to_owned(), false));
    }
    settle().await;
    pass(1).await;
    drop(others);
    settle().await;
    assert_eq!((lanes.prompt.available_permits(), lanes.slow.available_permits()), (8, 6));
    assert_eq!(repeat_with(|| going.try_join_next()).map_while(|it| it).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn none_that_waits_for_a_place_begins_when_two_of_its_domain_wait_at_their_last_answer() {
    let lanes = lanes(16, 4);
    send(&lanes, "x.example", 0).await;
    let slow = lanes.slow.clone().try_acquire_many_owned(8).unwrap();
    let mut going = JoinSet::new();
    for _ in 0..2 {
        going.spawn(hang(lanes.clone(), "x.example".to_owned(), true));
    }
    settle().await;
    let prompt = lanes.prompt.clone().try_acquire_many_owned(6).unwrap();
    let next = tokio::spawn(lanes.prompt.clone().acquire_many_owned(2));
    settle().await;
    for _ in 0..2 {
        going.spawn(hang(lanes.clone(), "x.example".to_owned(), false));
    }
    settle().await;
    pass(1).await;
    settle().await;
    assert_eq!((going.len(), lanes.waiting.available_permits()), (4, 14));
    drop((slow, prompt, next.await));
    settle().await;
    assert_eq!((lanes.prompt.available_permits(), lanes.slow.available_permits()), (8, 8));
    assert_eq!(repeat_with(|| going.try_join_next()).map_while(|it| it).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn domains_that_hang_at_their_last_answer_leave_the_places_of_the_others_free() {
    for (domains, were_prompt) in [(24, false), (6, true)] {
        let lanes = lanes(48, 8);
        let others = lanes.slow.clone().try_acquire_many_owned(24).unwrap();
        let mut going = JoinSet::new();
        // As many at once as there are places for the prompt.
        for half in [0..domains / 2, domains / 2..domains] {
            for number in half {
                let domain = format!("dead{number}.example");
                if were_prompt {
                    send(&lanes, &domain, 0).await;
                }
                for _ in 0..8 {
                    going.spawn(hang(lanes.clone(), domain.clone(), true));
                }
            }
            settle().await;
            assert_eq!(lanes.prompt.available_permits(), 0);
            pass(1).await;
            settle().await;
            assert_eq!(lanes.prompt.available_permits(), 24);
        }
        send(&lanes, "healthy.example", 0).await;
        // Those that are above their domain's share have come back, and none of the others is broken off.
        let ended: Vec<_> = repeat_with(|| going.try_join_next()).map_while(|it| it).collect();
        assert!(ended.into_iter().all(|it| !it.unwrap()));
        assert_eq!((going.len(), lanes.waiting.available_permits()), (48, 0));
        // Where two wait no more begin, although there are places among the slow.
        drop(others);
        for number in 0..domains {
            turned_away(&lanes, &format!("dead{number}.example")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_the_server_has_is_never_broken_off() {
    let lanes = lanes(4, 1);
    let places = |lanes: &Lanes| {
        [&lanes.prompt, &lanes.slow, &lanes.waiting].map(|places| places.available_permits())
    };
    let mut going = JoinSet::new();
    for left in [[2, 0, 4], [2, 0, 2], [2, 0, 0], [0, 0, 0]] {
        for _ in 0..2 {
            going.spawn(hang(lanes.clone(), format!("dead{}.example", going.len()), true));
        }
        settle().await;
        pass(60).await;
        settle().await;
        assert_eq!(places(&lanes), left);
    }
    assert!(going.try_join_next().is_none());
    // As soon as there is a place among the waiting, one of the two takes it.
    lanes.waiting.add_permits(1);
    settle().await;
    assert_eq!(places(&lanes), [1, 0, 0]);
}

#[test]
fn a_queue_has_slots_for_all_places() {
    let Lanes { prompt, slow, waiting, .. } = &*lanes(96, 8);
    let places = [prompt, slow, waiting].map(|places| places.available_permits());
    assert_eq!(places.iter().sum::<usize>(), usize::from(SLOTS));
}

#[tokio::test(start_paused = true)]
async fn what_is_turned_away_stays_away_as_long_as_the_domain_is_silent() {
    let lanes = lanes(12, 2);
    let mut held = [lanes.seat("x.example").await.unwrap(), lanes.seat("x.example").await.unwrap()];
    let mut on_their_way: Vec<_> = held.iter_mut().map(Seat::set_out).collect();
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
            let mut seat = lanes.seat("x.example").await.unwrap();
            let mut on_its_way = seat.set_out();
            on_its_way.offer(sleep_until(Instant::now() + Duration::from_millis(200))).await;
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
async fn who_would_wait_for_longer_than_a_second_gives_its_place_back() {
    let lanes = lanes(12, 2);
    let sending = || {
        let lanes = lanes.clone();
        async move {
            let mut seat = lanes.seat("x.example").await?;
            let mut on_its_way = seat.set_out();
            on_its_way.offer(sleep_until(Instant::now() + Duration::from_millis(400))).await;
            Ok::<_, Refusal>(())
        }
    };
    sending().await.unwrap();
    let mut going = JoinSet::new();
    for _ in 0..50 {
        going.spawn(sending());
    }
    let ended = going.join_all().await;
    assert_eq!(ended.iter().filter(|it| it.is_ok()).count(), 6, "those of three turns");
}

#[tokio::test(start_paused = true)]
async fn a_domain_that_was_slow_is_prompt_again_after_a_prompt_mail() {
    let lanes = lanes(12, 1);
    for (seconds, is_slow_next) in [(2, true), (0, false)] {
        send(&lanes, "x.example", seconds).await;
        let mut seat = lanes.seat("x.example").await.unwrap();
        assert_eq!(seat.is_slow, is_slow_next);
        let on_its_way = seat.set_out();
        let mut waiting = pin!(lanes.seat("x.example"));
        let soon = timeout(PROMPT / 2, &mut waiting).await;
        assert_eq!(soon.is_ok(), is_slow_next);
        drop(on_its_way);
    }
}

#[tokio::test(start_paused = true)]
async fn a_domain_that_was_slow_is_tried_among_the_prompt_after_five_minutes() {
    let lanes = lanes(12, 1);
    send(&lanes, "x.example", 2).await;
    let _others = lanes.slow.clone().try_acquire_many_owned(6).unwrap();
    assert_eq!(turned_away(&lanes, "x.example").await, Duration::ZERO);
    pass(300).await;
    assert!(!lanes.seat("x.example").await.unwrap().is_slow);
}

#[tokio::test(start_paused = true)]
async fn a_lane_is_as_wide_as_its_domain_is_prompt_and_at_most_a_quarter_of_all() {
    for (share, wide) in [(6, 6), (8, 8), (200, 8)] {
        let lanes = lanes(32, share);
        for (before, width) in [(None, 2), (Some(0), wide), (Some(2), 2), (Some(0), wide)] {
            if let Some(seconds) = before {
                send(&lanes, "x.example", seconds).await;
            }
            let mut held = Vec::new();
            while let Ok(Ok(seat)) = timeout(PROMPT / 2, lanes.seat("x.example")).await {
                held.push(seat);
            }
            assert_eq!(held.len(), width);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_domain_gets_no_more_within_a_minute_than_its_rate() {
    let lanes = Lanes::of(12, 3, 60);
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < Duration::from_secs(600) {
        while let Ok(mut seat) = lanes.seat("x.example").await {
            sent += 1;
            drop(seat.set_out());
        }
        lanes.seat("other.example").await.map(drop).unwrap_or_default();
        pass(5).await;
    }
    assert!((600..=606).contains(&sent), "{sent} in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_all_places_taken_waits_for_a_minute() {
    let lanes = lanes(4, 2);
    let _held = [lanes.seat("a.example").await.unwrap(), lanes.seat("b.example").await.unwrap()];
    let begun = Instant::now();
    turned_away(&lanes, "c.example").await;
    assert_eq!(begun.elapsed(), WAITING);
    // The same for a place among the mails to a domain, while nothing is known of those that have one.
    let lanes = Lanes::of(12, 2, 0);
    let _held = [lanes.seat("a.example").await.unwrap(), lanes.seat("a.example").await.unwrap()];
    let begun = Instant::now();
    turned_away(&lanes, "a.example").await;
    assert_eq!(begun.elapsed(), WAITING);
}
