//! The long run: every fault, many times, and a table. `cargo xtask faults` starts it.

use std::{fmt::Debug, panic::AssertUnwindSafe, process::ExitCode, time::Duration};

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
use futures::FutureExt as _;
use tokio::signal::{
    ctrl_c,
    unix::{SignalKind, signal},
};

const HELP: &str = "\
Brings faults about on a platform of processes and real servers while invitations are made,
and compares the client's ledger with the mail server's.

Usage: cargo xtask faults [FAULT...] [--times N] [--rate N]

  kills      kill -9 of each service, and of all in one process (100 times each)
  crashes    an abort in each window of the pipe               (20 times each), and behind the
             mail server's answer to each of so many mails
  broker     kill -9 (20 times); down for three minutes; a full disk
  database   kill -9 of PostgreSQL                             (20 times)
  cache      kill -9 of Redis, which forgets all               (20 times)
  smtp       421, 451, 550, 552, cut, reset and tarpit for 30 % of 5,000 mails
  poison     1 % of rows and messages that nobody can take, among 10,000
  network    each service cut off from each that it reaches, for 10 to 60 s
  loop       a mailer that crashes 30 times at once, with innocents beside
  unbound    the mailer's queue taken off while running
  swallowed  publishes lost on the way to the broker
  twice      an event that comes twice
  overtaken  a mailer that loses the broker while it sends
  shared     two relays that take the events of one outbox
  heard      an event that a consumer with an inbox hears of twice
  guards     the last six with their guard switched off: what would be lost, or come twice

Without a FAULT all of them. --times takes another number of kills, and a fifth of it where 20 is
said; --rate another number of invitations a second than 50. It ends with 1 if mail was lost or came
twice that need not, if an invitation does not show what became of its mail, or if healthy mails are
slower beside a faulty mail server's.
";

const FAULTS: [&str; 16] = [
    "kills",
    "crashes",
    "broker",
    "database",
    "cache",
    "smtp",
    "poison",
    "network",
    "loop",
    "unbound",
    "swallowed",
    "twice",
    "overtaken",
    "shared",
    "heard",
    "guards",
];

struct Run {
    faults: Vec<String>,
    times: usize,
    rate: u32,
    is_right: bool,
}

impl Run {
    fn parse() -> Option<Self> {
        let mut run = Self { faults: Vec::new(), times: 100, rate: 50, is_right: true };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--times" => run.times = words.next()?.parse().ok()?,
                "--rate" => run.rate = words.next()?.parse().ok()?,
                fault if FAULTS.contains(&fault) => run.faults.push(word),
                _ => return None,
            }
        }
        Some(run)
    }

    fn has(&self, fault: &str) -> bool {
        self.faults.is_empty() || self.faults.iter().any(|it| it == fault)
    }

    /// Notes what came of a trial; one that does not come to its end spoils no other.
    async fn note(&mut self, trial: impl Future<Output = Outcome>) -> Outcome {
        match AssertUnwindSafe(trial).catch_unwind().await {
            Ok(outcome) => {
                println!("{outcome}");
                self.expect(outcome.is_right(), &outcome);
                outcome
            }
            Err(_) => {
                println!("| a trial that did not come to its end |");
                self.is_right = false;
                Outcome::default()
            }
        }
    }

    fn expect(&mut self, is_right: bool, what: &impl Debug) {
        if !is_right {
            eprintln!("wrong: {what:?}");
            self.is_right = false;
        }
    }

    async fn services_and_servers(&mut self) {
        let (times, few, rate) = (self.times, self.times.div_ceil(5), self.rate);
        if self.has("kills") {
            for service in SERVICES {
                self.note(kill_service(service, times, rate)).await;
            }
            self.note(kill_embedded(times, rate)).await;
        }
        if self.has("crashes") {
            for window in WINDOWS {
                self.note(crash_in_window(window, few, rate)).await;
            }
            let outcome = self.note(crash_behind_each_mail(few)).await;
            self.expect(outcome.duplicates == few, &outcome);
        }
        if self.has("broker") {
            self.note(kill_server(Kind::RabbitMq, few, rate)).await;
            let down = leave_broker_down(Duration::from_secs(180), rate);
            let down = self.note(down).await;
            let full = self.note(fill_disk_of_broker(20 * rate as usize, rate)).await;
            // Nobody who invites notices.
            self.expect(down.repeated + full.repeated == 0, &[down, full]);
        }
        if self.has("database") {
            self.note(kill_server(Kind::Postgres, few, rate)).await;
        }
        if self.has("cache") {
            self.note(kill_server(Kind::Redis, few, rate)).await;
        }
    }

    async fn mails_and_networks(&mut self) {
        let rate = self.rate;
        if self.has("smtp") {
            let annoyed = annoy_mailer(5_000, rate).await;
            for outcome in annoyed.outcomes() {
                self.note(async { outcome.clone() }).await;
            }
            self.expect(annoyed.keeps_pace(), &annoyed);
        }
        if self.has("poison") {
            let poisoned = poison(10_000, rate).await;
            self.note(async { poisoned.healthy.clone() }).await;
            self.expect(poisoned.is_right(), &poisoned);
        }
        if self.has("network") {
            for network in NETWORKS {
                self.note(cut_off(network, 10..=60, rate)).await;
            }
            self.note(cut_off_clients(10..=60, rate)).await;
        }
        if self.has("loop") {
            let looped = crash_in_a_loop(300, 30).await;
            self.note(async { looped.outcome.clone() }).await;
            // Otherwise nothing was replayed.
            self.expect(looped.dead_letters > 0, &looped);
        }
    }

    async fn guarded(&mut self) {
        if self.has("unbound") {
            self.note(unbind_the_queue(200, "")).await;
        }
        if self.has("swallowed") {
            self.note(swallow_what_is_published(200, "")).await;
        }
        if self.has("twice") {
            self.note(deliver_twice(20, "")).await;
        }
        if self.has("overtaken") {
            self.note(overtake_a_mailer("")).await;
        }
        if self.has("shared") {
            self.note(share_an_outbox(200, "")).await;
        }
        if self.has("heard") {
            self.note(hear_twice(20, "")).await;
        }
        if self.has("guards") {
            println!("\nWith a guard switched off:\n\n{}", Outcome::HEAD);
            for outcome in [
                unbind_the_queue(20, "mandatory").await,
                swallow_what_is_published(20, "confirm").await,
                share_an_outbox(20, "lease").await,
                hear_twice(5, "inbox").await,
                deliver_twice(5, "record").await,
                overtake_a_mailer("claim").await,
            ] {
                println!("{outcome}");
                // An oracle that stays green without its guard says nothing.
                self.expect(outcome.lost > 0 || outcome.duplicates > outcome.permitted, &outcome);
            }
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(mut run) = Run::parse() else {
        print!("{HELP}");
        return ExitCode::from(2);
    };
    println!("{}", Outcome::HEAD);
    let all = async {
        run.services_and_servers().await;
        run.mails_and_networks().await;
        run.guarded().await;
    };
    // Interrupted, it drops what it was about, and with it ends all processes that it has started.
    let mut terminated = signal(SignalKind::terminate()).expect("signals");
    let is_whole = tokio::select! {
        () = all => true,
        _ = terminated.recv() => false,
        _ = ctrl_c() => false,
    };
    if is_whole && run.is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
