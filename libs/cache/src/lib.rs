//! The cache: short-lived marks and counters that every instance of a service shares. Nothing in
//! it is the only copy of anything: losing it costs no data.
//!
//! Both adapters keep one contract (`tests/contract.rs`).

use std::time::{Duration, Instant};

use moka::{Expiry, future::Cache as Moka, ops::compute::Op};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};

/// Where the cache is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheUrl {
    /// `memory:`, in this process. Embedded.
    Memory,
    /// `redis://` or `rediss://`.
    Redis(String),
}

impl CacheUrl {
    /// Parses a setting; the error tells the expected form.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected redis://USER:PASSWORD@HOST/DB, rediss://… or memory:";
        match text {
            "memory:" => Ok(Self::Memory),
            _ if redis::Client::open(text).is_ok() => Ok(Self::Redis(text.to_owned())),
            _ => Err(EXPECTED),
        }
    }
}

/// The cache did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the cache is unavailable: {0}")]
pub struct Unavailable(#[from] redis::RedisError);

/// The cache. Clones share it.
#[derive(Clone)]
pub enum Cache {
    /// In this process.
    Memory(MemoryCache),
    /// A server; supervised, every answer bounded at one second.
    Redis(ConnectionManager),
}

/// Marks and counters apart, at most 100,000 of each: whoever makes many counters drives out no mark.
#[derive(Clone)]
pub struct MemoryCache {
    marks: Moka<String, Entry>,
    counters: Moka<String, Entry>,
}

impl Default for MemoryCache {
    fn default() -> Self {
        let bounded = || Moka::builder().max_capacity(100_000).expire_after(Lifetime).build();
        Self { marks: bounded(), counters: bounded() }
    }
}

/// A value and how long it lives from its first write.
#[derive(Clone)]
struct Entry {
    count: u64,
    life: Duration,
    ends: Instant,
}

impl Entry {
    fn new(life: Duration) -> Self {
        Self { count: 1, life, ends: Instant::now() + life }
    }
}

impl Cache {
    /// Opens the cache. A server is connected on first use and again whenever it has gone.
    pub fn open(url: &CacheUrl) -> Result<Self, Unavailable> {
        Ok(match url {
            CacheUrl::Memory => Self::Memory(MemoryCache::default()),
            CacheUrl::Redis(url) => {
                let config = ConnectionManagerConfig::new()
                    .set_response_timeout(Some(Duration::from_secs(1)))
                    .set_connection_timeout(Some(Duration::from_secs(1)))
                    .set_number_of_retries(1);
                let client = redis::Client::open(url.as_str())?;
                Self::Redis(ConnectionManager::new_lazy_with_config(client, config)?)
            }
        })
    }

    /// Sets a mark for `life`.
    pub async fn mark(&self, key: &str, life: Duration) -> Result<(), Unavailable> {
        match self {
            Self::Memory(MemoryCache { marks, .. }) => {
                marks.insert(key.to_owned(), Entry::new(life)).await;
                Ok(())
            }
            Self::Redis(connection) => {
                let mut command = redis::cmd("SET");
                command.arg(key).arg(1).arg("PX").arg(milliseconds(life));
                Ok(command.query_async(&mut connection.clone()).await?)
            }
        }
    }

    /// Raises a counter and answers its new value. The first raise starts its life; later ones do
    /// not prolong it.
    pub async fn count(&self, key: &str, life: Duration) -> Result<u64, Unavailable> {
        let [count] = self.count_each([(key, life)]).await?;
        Ok(count)
    }

    /// Raises several counters, each as [`Self::count`] does, in one exchange.
    pub async fn count_each<const N: usize>(
        &self,
        counters: [(&str, Duration); N],
    ) -> Result<[u64; N], Unavailable> {
        match self {
            Self::Memory(cache) => {
                let mut counts = [0; N];
                for (count, (key, life)) in counts.iter_mut().zip(counters) {
                    *count = cache.count(key, life).await;
                }
                Ok(counts)
            }
            Self::Redis(connection) => {
                // One step, so that no counter is left without an end.
                const SCRIPT: &str = "local counts = {} for i, key in ipairs(KEYS) do \
                    counts[i] = redis.call('INCR', key) \
                    if counts[i] == 1 then redis.call('PEXPIRE', key, ARGV[i]) end \
                    end return counts";
                let script = redis::Script::new(SCRIPT);
                let mut call = script.prepare_invoke();
                for (key, life) in counters {
                    call.key(key).arg(milliseconds(life));
                }
                Ok(call.invoke_async(&mut connection.clone()).await?)
            }
        }
    }

    /// How long a counter still lives; nothing at all if there is none.
    pub async fn remaining(&self, key: &str) -> Result<Duration, Unavailable> {
        match self {
            Self::Memory(MemoryCache { counters, .. }) => {
                let entry = counters.get(key).await;
                Ok(entry.map_or(Duration::ZERO, |entry| {
                    entry.ends.saturating_duration_since(Instant::now())
                }))
            }
            Self::Redis(connection) => {
                let mut command = redis::cmd("PTTL");
                command.arg(key);
                // Negative if there is no such key.
                let left: i64 = command.query_async(&mut connection.clone()).await?;
                Ok(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
            }
        }
    }

    /// A mark's or counter's value; 0 if there is none.
    pub async fn value(&self, key: &str) -> Result<u64, Unavailable> {
        match self {
            Self::Memory(MemoryCache { marks, counters }) => {
                let entry = match marks.get(key).await {
                    Some(mark) => Some(mark),
                    None => counters.get(key).await,
                };
                Ok(entry.map_or(0, |entry| entry.count))
            }
            Self::Redis(connection) => {
                let mut command = redis::cmd("GET");
                command.arg(key);
                let value: Option<u64> = command.query_async(&mut connection.clone()).await?;
                Ok(value.unwrap_or(0))
            }
        }
    }

    /// Removes a mark or counter.
    pub async fn clear(&self, key: &str) -> Result<(), Unavailable> {
        match self {
            Self::Memory(MemoryCache { marks, counters }) => {
                marks.invalidate(key).await;
                counters.invalidate(key).await;
                Ok(())
            }
            Self::Redis(connection) => {
                let mut command = redis::cmd("DEL");
                command.arg(key);
                Ok(command.query_async(&mut connection.clone()).await?)
            }
        }
    }
}

impl MemoryCache {
    async fn count(&self, key: &str, life: Duration) -> u64 {
        let raised = self
            .counters
            .entry(key.to_owned())
            .and_compute_with(async |entry| {
                Op::Put(match entry.map(|entry| entry.into_value()) {
                    Some(entry) => Entry { count: entry.count + 1, ..entry },
                    None => Entry::new(life),
                })
            })
            .await;
        raised.into_entry().map_or(0, |entry| entry.into_value().count)
    }
}

fn milliseconds(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1)
}

struct Lifetime;

impl Expiry<String, Entry> for Lifetime {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.life)
    }

    fn expire_after_update(
        &self,
        _: &String,
        entry: &Entry,
        _: Instant,
        left: Option<Duration>,
    ) -> Option<Duration> {
        // A counter keeps its end; a mark that is set again starts anew.
        if entry.count > 1 { left } else { Some(entry.life) }
    }
}
