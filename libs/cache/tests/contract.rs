//! One contract for both caches.

use std::time::Duration;

use cache::{Cache, CacheUrl};
use testkit::eventually;

macro_rules! on_both_caches {
    ($($name:ident),* $(,)?) => {
        mod in_process {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Cache::open(&super::CacheUrl::Memory).unwrap()).await;
            })*
        }
        mod on_redis {
            $(#[tokio::test]
            async fn $name() {
                let url = super::CacheUrl::Redis(testkit::servers::redis());
                super::$name(super::Cache::open(&url).unwrap()).await;
            })*
        }
    };
}

on_both_caches!(
    a_mark_is_there_until_its_life_is_over,
    a_counter_counts_and_keeps_its_end,
    several_are_counted_each_for_itself,
    what_is_left_of_a_counter_shrinks_however_often_it_is_raised,
    what_was_cleared_is_gone,
    fifty_at_once_are_counted_as_fifty,
);

const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(100);

async fn a_mark_is_there_until_its_life_is_over(cache: Cache) {
    assert_eq!(cache.value("mark").await.unwrap(), 0);
    cache.mark("mark", LONG).await.unwrap();
    assert_eq!(cache.value("mark").await.unwrap(), 1);
    assert_eq!(cache.value("another").await.unwrap(), 0);
    cache.mark("brief", SHORT).await.unwrap();
    eventually("the brief mark has gone", async || {
        (cache.value("brief").await.unwrap() == 0).then_some(())
    })
    .await;
    assert_eq!(cache.value("mark").await.unwrap(), 1);
}

async fn a_counter_counts_and_keeps_its_end(cache: Cache) {
    for expected in 1..=3 {
        assert_eq!(cache.count("counter", LONG).await.unwrap(), expected);
    }
    assert_eq!(cache.value("counter").await.unwrap(), 3);
    // Raised all the time, a short counter must still begin anew.
    cache.count("brief", SHORT).await.unwrap();
    eventually("the counter begins anew", async || {
        (cache.count("brief", SHORT).await.unwrap() == 1).then_some(())
    })
    .await;
}

async fn several_are_counted_each_for_itself(cache: Cache) {
    cache.count("one", LONG).await.unwrap();
    for expected in [[2, 1, 2], [3, 3, 4]] {
        let counters = [("one", LONG), ("two", 2 * LONG), ("two", LONG)];
        assert_eq!(cache.count_each(counters).await.unwrap(), expected);
    }
    let left = [cache.remaining("one").await.unwrap(), cache.remaining("two").await.unwrap()];
    assert!(left[0] <= LONG && left[1] > LONG, "{left:?}");
}

async fn what_is_left_of_a_counter_shrinks_however_often_it_is_raised(cache: Cache) {
    assert_eq!(cache.remaining("counter").await.unwrap(), Duration::ZERO);
    cache.count("counter", LONG).await.unwrap();
    let first = cache.remaining("counter").await.unwrap();
    assert!(first > LONG / 2 && first <= LONG, "{first:?}");
    eventually("less is left", async || {
        cache.count("counter", 2 * LONG).await.unwrap();
        (cache.remaining("counter").await.unwrap() < first).then_some(())
    })
    .await;
    cache.clear("counter").await.unwrap();
    assert_eq!(cache.remaining("counter").await.unwrap(), Duration::ZERO);
}

async fn what_was_cleared_is_gone(cache: Cache) {
    cache.count("counter", LONG).await.unwrap();
    cache.clear("counter").await.unwrap();
    cache.clear("counter").await.unwrap();
    assert_eq!(cache.value("counter").await.unwrap(), 0);
    assert_eq!(cache.count("counter", LONG).await.unwrap(), 1);
}

async fn fifty_at_once_are_counted_as_fifty(cache: Cache) {
    let mut counts = testkit::race(50, |_| {
        let cache = cache.clone();
        async move { cache.count("counter", LONG).await.unwrap() }
    })
    .await;
    counts.sort_unstable();
    assert_eq!(counts, (1..=50).collect::<Vec<u64>>());
}
