//! A client that invites at a steady rate, and its ledger.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kernel::Clock;
use serde_json::{Value, json};
use stories::{OWNER, PASSWORD};
use testkit::eventually;
use tokio::{
    sync::RwLock,
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

/// Who invites, by REST as a program outside the cluster does, and where to.
#[derive(Clone)]
pub struct Inviter {
    http: reqwest::Client,
    gateway: String,
    token: Arc<RwLock<String>>,
    organisation: String,
}

/// What became of each invitation, by address: when it was acknowledged.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Kept>);

#[derive(Default)]
struct Kept {
    invitations: Mutex<BTreeMap<String, Option<Instant>>>,
    repeated: AtomicUsize,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Option<Instant>>> {
        self.0.invitations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many were tried.
    pub fn attempted(&self) -> usize {
        self.lock().len()
    }

    /// Whether an address was tried.
    pub fn has(&self, email: &str) -> bool {
        self.lock().contains_key(email)
    }

    /// The addresses of those that were acknowledged, and when.
    pub fn acknowledged(&self) -> BTreeMap<String, Instant> {
        let ledger = self.lock();
        ledger.iter().filter_map(|(email, at)| Some((email.clone(), (*at)?))).collect()
    }

    /// Of these addresses alone.
    pub fn only(&self, mut is_one: impl FnMut(&str) -> bool) -> Self {
        let some = self
            .lock()
            .iter()
            .filter(|(email, _)| is_one(email))
            .map(|(email, at)| (email.clone(), *at))
            .collect();
        Self(Arc::new(Kept { invitations: Mutex::new(some), repeated: self.repeated().into() }))
    }

    /// How many calls were not answered with success, and were repeated.
    pub fn repeated(&self) -> usize {
        self.0.repeated.load(Ordering::Relaxed)
    }
}

/// A load that goes on until it is stopped.
pub struct Load {
    ledger: Ledger,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// How long a call is repeated that is not answered, under the same key.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two tries at first, doubled each time up to the longest; and what one may take.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
const ANSWER: Duration = Duration::from_secs(10);

impl Load {
    /// Invites somebody new so many times a second, into a ledger; `domain` says of which domain the
    /// so-manieth is.
    pub fn start(
        inviter: Inviter,
        per_second: u32,
        domain: impl Fn(usize) -> String + Send + 'static,
    ) -> Self {
        let (ledger, stop) = (Ledger::default(), CancellationToken::new());
        let (kept, stopped) = (ledger.clone(), stop.clone());
        let running = tokio::spawn(async move {
            let mut tick = interval(Duration::from_secs(1) / per_second);
            tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut calls = JoinSet::new();
            for number in 0.. {
                tick.tick().await;
                while let Some(call) = calls.try_join_next() {
                    call.expect("an invitation");
                }
                if stopped.is_cancelled() {
                    break;
                }
                let (inviter, kept, domain) = (inviter.clone(), kept.clone(), domain(number));
                calls.spawn(async move { inviter.invite(&kept, &domain).await });
            }
            calls.join_all().await;
        });
        Self { ledger, stop, running }
    }

    /// The ledger so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Goes on for a time.
    pub async fn goes_on(&self, time: Duration) {
        // A fault lasts so long: nothing is waited for.
        let _ = timeout(time, pending::<()>()).await;
    }

    /// Goes on until so many have been tried.
    pub async fn until_attempted(&self, count: usize) {
        let mut look = interval(Duration::from_millis(10));
        while self.ledger.attempted() < count {
            look.tick().await;
            assert!(!self.running.is_finished(), "the load has ended");
        }
    }

    /// Stops, and waits for the answers that are missing.
    pub async fn finish(self) -> Ledger {
        self.stop.cancel();
        self.running.await.expect("the load ends");
        self.ledger
    }
}

impl Inviter {
    /// The platform owner, who invites into an organisation.
    pub async fn new(gateway: &str, organisation: &str) -> Self {
        let this = Self {
            http: reqwest::Client::builder().timeout(ANSWER).build().expect("a client"),
            gateway: gateway.to_owned(),
            token: Arc::default(),
            organisation: organisation.to_owned(),
        };
        eventually("the owner signs in", async || this.sign_in().await).await;
        this
    }

    async fn sign_in(&self) -> Option<()> {
        let body = json!({ "email": OWNER, "password": PASSWORD });
        let (status, answer) = self.post("/api/sessions", None, &body).await.ok()?;
        let token = answer["access_token"].as_str().filter(|_| status == 201)?.to_owned();
        *self.token.write().await = token;
        Some(())
    }

    /// Invites one person; a call that is not answered is repeated, as a client would.
    ///
    /// # Panics
    ///
    /// The platform refuses.
    pub async fn invite(&self, ledger: &Ledger, domain: &str) {
        let id = Clock::System.new_id();
        let email = format!("p{}@{domain}", id.simple());
        ledger.lock().insert(email.clone(), None);
        let path = format!("/api/organisation-invitations?organisation_id={}", self.organisation);
        let body = json!({ "email": email, "role": "user" });
        let (key, begun) = (id.to_string(), Instant::now());
        let mut pause = PAUSE;
        while begun.elapsed() < PATIENCE {
            match self.post(&path, Some(&key), &body).await {
                Ok((201, _)) => {
                    ledger.lock().insert(email, Some(Instant::now()));
                    return;
                }
                // The token has run out.
                Ok((401, _)) => drop(self.sign_in().await),
                // Nobody answered, or in vain; a connection on which many calls ran out of time is
                // closed, which is told as too much.
                Err(_) | Ok((409 | 429 | 502..=504, _)) => {
                    ledger.0.repeated.fetch_add(1, Ordering::Relaxed);
                }
                Ok((status, answer)) => panic!("{status} {answer}"),
            }
            let _ = timeout(pause.mul_f64(rand::random_range(0.5..1.0)), pending::<()>()).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn post(
        &self,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> reqwest::Result<(u16, Value)> {
        let mut request = self.http.post(format!("{}{path}", self.gateway)).json(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
            request = request.bearer_auth(&*self.token.read().await);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or_default()))
    }
}
