//! The platform that faults happen to, its load, and the drain.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::process::ExitStatusExt as _,
    time::Duration,
};

use api::{notification::v1::DeliveryState, organisation::v1::InvitationDeliveryState};
use rustix::process::Signal;
use stories::{Client, Platform};
use testkit::{SmtpSink, eventually, servers::Servers, settled};
use tokio::time::{Instant, interval};

use crate::{
    lists,
    load::{Inviter, Ledger, Load},
    outcome::Outcome,
    proxy::Proxy,
};

/// The steps that a refused message waits: short, longer in all than a claim that a crash left, and of
/// few lengths, for each is a queue of its own behind each consumer's.
const STEPS: &str = "1s,1s,1s,1s,5s,5s,5s,5s,5s,5s,5s,5s,5s,5s,20s,20s,20s,20s,20s,20s";

/// What a platform that faults happen to is set up with.
pub const SETTINGS: [(&str, &str); 4] = [
    ("USHER_RETRY_STEPS", STEPS),
    ("USHER_LOG_FILTER", "warn,lapin=off"),
    // One inviter makes them all.
    ("USHER_INVITATIONS_PER_INVITER_HOUR", "1000000"),
    ("USHER_INVITATIONS_PER_ORGANISATION_DAY", "1000000"),
];

/// A platform of processes with an organisation to invite into.
pub struct Scene {
    /// The processes, and the mail server.
    pub platform: Platform,
    /// Who invites.
    pub inviter: Inviter,
    /// Where to.
    pub organisation: String,
    /// How long without a new mail means that no more will come.
    pub patience: Duration,
    /// None where everything is in one process.
    servers: Option<Servers>,
}

impl Scene {
    /// A platform on the servers of the test run.
    pub async fn set() -> Self {
        Self::on(Servers::of_this_run()).await
    }

    /// A platform on these servers.
    pub async fn on(servers: Servers) -> Self {
        Self::of(Platform::on(&servers, &SETTINGS).await, Some(servers)).await
    }

    /// A platform in one process, on embedded parts.
    pub async fn embedded() -> Self {
        Self::of(Platform::up(&SETTINGS).await, None).await
    }

    async fn of(platform: Platform, servers: Option<Servers>) -> Self {
        let owner = platform.owner().await;
        let organisation = owner.create_organisation("ABC Holdings", None).await;
        let inviter = Inviter::new(&platform.http, &organisation).await;
        // A crashed mailer's claim holds for a minute.
        let patience = Duration::from_secs(100);
        Self { platform, inviter, organisation, patience, servers }
    }

    /// The mail server.
    pub fn sink(&self) -> &SmtpSink {
        self.platform.sink.as_ref().expect("a mail server")
    }

    /// Starts a service again with variables over its own, and waits until all is ready.
    pub async fn restart(&mut self, service: &str, variables: &[(&str, &str)]) {
        self.begin_again(service, variables);
        self.platform.wait_until_ready().await;
    }

    /// Starts a service again with variables over its own, and does not wait for it.
    pub fn begin_again(&mut self, service: &str, variables: &[(&str, &str)]) {
        let process = self.platform.process(service);
        process.kill();
        process.start_again_with(variables);
    }

    /// Waits until a service has crashed at its point.
    pub async fn until_crashed(&mut self, service: &str) {
        let process = self.platform.process(service);
        let ended = process.exit().await;
        let is_crash = ended.signal() == Some(Signal::ABORT.as_raw());
        assert!(is_crash, "{service} has ended: {ended}\n{}", process.stderr());
    }

    /// Puts a network that can be cut before what a service reaches by the URL of a variable; the
    /// service is to be started again with the URL that is answered.
    pub async fn network(&mut self, service: &str, variable: &'static str) -> (Proxy, String) {
        let url = self.platform.process(service).variable(variable);
        Proxy::before(&url.expect("a variable of the service")).await
    }

    /// Begins to invite so many a second.
    pub fn load(&self, per_second: u32) -> Load {
        Load::start(self.inviter.clone(), per_second, |_| "example.com".to_owned())
    }

    /// Invites one person.
    pub async fn invite(&self, ledger: &Ledger) {
        self.inviter.invite(ledger, "example.com").await;
    }

    /// Waits until something is true of the mails so far.
    pub async fn until_mailed(&self, count: usize) {
        let sink = self.sink();
        eventually(&format!("{count} mails"), async || (sink.taken() >= count).then_some(())).await;
    }

    /// Fails unless so many of the acknowledged wait for their mail: the fault would be none.
    pub fn expect_waiting(&self, ledger: &Ledger, count: usize) {
        let (taken, acknowledged) = (self.sink().taken(), ledger.acknowledged().len());
        assert!(taken + count <= acknowledged, "{taken} of {acknowledged} mails went out");
    }

    /// Waits until the organisation service has published so many events of a kind, whatever became of
    /// them.
    pub async fn until_published(&self, count: usize) {
        let is_done = |line: &str| line.contains("returned") || line.contains("confirmed");
        self.until_counted("organisation", "usher_messages_published_total", is_done, count).await;
    }

    /// Waits until the process of a service that runs now has handled so many messages.
    pub async fn until_consumed(&self, service: &str, count: usize) {
        let is_done = |line: &str| line.contains("handled");
        self.until_counted(service, "usher_messages_consumed_total", is_done, count).await;
    }

    /// Waits until a queue is bound. A service is ready a moment before.
    pub async fn until_bound(&self, queue: &str) {
        let servers = self.servers.as_ref().expect("a broker");
        eventually(&format!("{queue} is bound"), async || {
            servers.is_bound(&self.platform.bus, queue).await.then_some(())
        })
        .await;
    }

    /// Waits until a counter of a service, of the lines that count, has come so far.
    async fn until_counted(
        &self,
        service: &str,
        counter: &str,
        counts: impl Fn(&str) -> bool,
        count: usize,
    ) {
        let management = self.platform.management_of(service);
        eventually(&format!("{counter} of {service} is {count}"), async || {
            let page =
                reqwest::get(format!("{management}/metrics")).await.ok()?.text().await.ok()?;
            let lines = page.lines().filter(|line| line.starts_with(counter) && counts(line));
            let counted = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
            (counted.sum::<usize>() >= count).then_some(())
        })
        .await;
    }

    /// Waits until every acknowledged invitation is mailed or visibly given up, or nothing moves any
    /// more; then until nothing is on its way, and compares the ledgers.
    pub async fn drain(&self, fault: &str, load: &str, ledger: &Ledger) -> Outcome {
        let drain = self.until_mailed_all(ledger).await;
        // What comes twice comes behind, and so does what is told of a mail.
        let is_restless = !self.comes_to_rest().await;
        Outcome { drain, is_restless, ..self.compare(fault, load, ledger).await }
    }

    /// Waits until all are mailed, or nothing moves any more; how long until the last came.
    pub async fn until_mailed_all(&self, ledger: &Ledger) -> Duration {
        let begun = Instant::now();
        let mut missing: BTreeSet<_> = ledger.acknowledged().into_keys().collect();
        let arrive = || {
            self.sink().recipients().iter().for_each(|recipient| {
                missing.remove(recipient);
            });
            missing.is_empty()
        };
        let last = settled(self.patience, || self.sink().taken(), arrive).await;
        last.saturating_duration_since(begun)
    }

    /// What the ledgers say at this moment.
    pub async fn compare(&self, fault: &str, load: &str, ledger: &Ledger) -> Outcome {
        let acknowledged = ledger.acknowledged();
        let (arrivals, mut mails) = (self.sink().arrivals(), BTreeMap::<_, Vec<_>>::new());
        for mail in self.sink().mails() {
            if ledger.has(&mail.recipient) {
                mails.entry(mail.recipient.clone()).or_default().push(mail);
            }
        }
        let copies = mails.values().filter(|copies| copies.len() > 1);
        let is_forged = copies.clone().any(|copies| {
            let ids = copies.iter().map(|mail| mail.header("Message-ID"));
            ids.collect::<BTreeSet<_>>().len() > 1
        });
        let missing = acknowledged.keys().filter(|email| !arrivals.contains_key(*email));
        let missing: BTreeSet<_> = missing.cloned().collect();
        let (given_up, set_aside) = if missing.is_empty() {
            Default::default()
        } else {
            (self.given_up(&missing).await, self.set_aside().await)
        };
        let waits = acknowledged.iter().filter_map(|(email, acknowledged)| {
            Some(arrivals.get(email)?.saturating_duration_since(*acknowledged))
        });
        let mut waits: Vec<_> = waits.collect();
        waits.sort_unstable();
        let wait = |percent| waits.get(waits.len() * percent / 100).copied().unwrap_or_default();
        Outcome {
            fault: fault.to_owned(),
            times: 1,
            load: load.to_owned(),
            attempted: ledger.attempted(),
            acknowledged: acknowledged.len(),
            repeated: ledger.repeated(),
            delivered: waits.len(),
            given_up,
            lost: missing.len() - given_up,
            untold: self.untold(&acknowledged, &missing).await,
            duplicates: copies.map(|copies| copies.len() - 1).sum(),
            permitted: 0,
            refused: 0,
            set_aside,
            is_forged,
            is_restless: false,
            median: wait(50),
            slowest: wait(99),
            drain: Duration::ZERO,
        }
    }

    /// Waits until nothing is on its way any more: no outbox has an event, and for longer than the
    /// broker's management takes to see it no queue has a message. `false` if something is for longer
    /// than a claim that a crash left holds.
    async fn comes_to_rest(&self) -> bool {
        let mut calm = Instant::now();
        let deadline = calm + Duration::from_secs(100);
        let mut pace = interval(Duration::from_millis(500));
        let owner = self.platform.owner().await;
        while calm.elapsed() < Duration::from_secs(7) {
            if Instant::now() > deadline {
                return false;
            }
            pace.tick().await;
            if self.is_something_on_its_way(&owner).await {
                calm = Instant::now();
            }
        }
        true
    }

    /// Whether an event or a message is on its way, or it cannot be told.
    async fn is_something_on_its_way(&self, owner: &Client) -> bool {
        if let Some(servers) = &self.servers
            && servers.messages_in(&self.platform.bus).await != Some(0)
        {
            return true;
        }
        for service in ["identity", "organisation", "notification"] {
            let outbox = self.platform.outbox(owner, service).await;
            if outbox.map_or(true, |outbox| outbox.waiting > 0) {
                return true;
            }
        }
        false
    }

    /// How many of these addresses have a delivery in a state that tells an operator why no mail came.
    async fn given_up(&self, addresses: &BTreeSet<String>) -> usize {
        let deliveries = lists::deliveries(self).await.into_iter();
        let ended = deliveries.filter(|it| {
            addresses.contains(&it.recipient)
                && matches!(
                    it.state(),
                    DeliveryState::Failed | DeliveryState::Bounced | DeliveryState::Suppressed
                )
        });
        ended.map(|it| it.recipient).collect::<BTreeSet<_>>().len()
    }

    /// How many of the acknowledged invitations do not show what became of their mail: that it was sent,
    /// or, if it is missing, that it was not.
    async fn untold(
        &self,
        acknowledged: &BTreeMap<String, Instant>,
        missing: &BTreeSet<String>,
    ) -> usize {
        let told = lists::invitations(self).await.into_iter().filter(|it| {
            let is_sent = it.delivery_state() == InvitationDeliveryState::Sent;
            let is_on_its_way = it.delivery_state() == InvitationDeliveryState::Queued;
            acknowledged.contains_key(&it.email)
                && if missing.contains(&it.email) { !is_sent && !is_on_its_way } else { is_sent }
        });
        let told: BTreeSet<_> = told.map(|it| it.email).collect();
        acknowledged.len() - told.len()
    }

    /// What was set aside, and why, for whoever looks for the cause.
    async fn set_aside(&self) -> Vec<String> {
        let dead_letters = lists::dead_letters(self).await.into_iter();
        let words = dead_letters.map(|it| {
            let ground = it.ground().as_str_name();
            format!("{} {}: {ground} after {}, {}", it.queue, it.subject, it.attempts, it.error)
        });
        words.collect()
    }
}
