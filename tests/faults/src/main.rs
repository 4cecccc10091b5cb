//! The long run: every fault, many times, and a table. `cargo xtask faults` starts it.

use std::process::ExitCode;

use faults::{
    faults::{
        SERVICES, WINDOWS, crash_in_window, deliver_twice, kill_service, overtake_a_mailer,
        swallow_what_is_published, unbind_the_queue,
    },
    outcome::Outcome,
};

const HELP: &str = "\
Brings faults about on a platform of processes and real servers while invitations are made,
and compares the client's ledger with the mail server's.

Usage: cargo xtask faults [FAULT...] [--times N] [--rate N]

  kills      kill -9 of each service at random moments         (100 times each)
  crashes    an abort in each window of the pipe               (20 times each)
  unbound    the mailer's queue taken off while running
  swallowed  publishes lost on the way to the broker
  twice      an event that comes twice
  overtaken  a mailer that loses the broker while it sends
  guards     the last four with their guard switched off: what would be lost, or come twice

Without a FAULT all of them. --times takes another number of kills and a fifth of it for crashes,
--rate another number of invitations a second than 50. It ends with 1 if mail was lost or came
twice that need not.
";

struct Run {
    faults: Vec<String>,
    times: u32,
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
                "kills" | "crashes" | "unbound" | "swallowed" | "twice" | "overtaken"
                | "guards" => {
                    run.faults.push(word);
                }
                _ => return None,
            }
        }
        Some(run)
    }

    fn has(&self, fault: &str) -> bool {
        self.faults.is_empty() || self.faults.iter().any(|it| it == fault)
    }

    fn note(&mut self, outcome: Outcome) {
        println!("{outcome}");
        self.is_right &= outcome.is_right();
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(mut run) = Run::parse() else {
        print!("{HELP}");
        return ExitCode::from(2);
    };
    println!("{}", Outcome::HEAD);
    let (times, rate) = (run.times, run.rate);
    if run.has("kills") {
        for service in SERVICES {
            run.note(kill_service(service, times, rate).await);
        }
    }
    if run.has("crashes") {
        for window in WINDOWS {
            run.note(crash_in_window(window, times.div_ceil(5), rate).await);
        }
    }
    if run.has("unbound") {
        run.note(unbind_the_queue(200, "").await);
    }
    if run.has("swallowed") {
        run.note(swallow_what_is_published(200, "").await);
    }
    if run.has("twice") {
        run.note(deliver_twice(20, "").await);
    }
    if run.has("overtaken") {
        run.note(overtake_a_mailer("").await);
    }
    if run.has("guards") {
        println!("\nWith a guard switched off:\n\n{}", Outcome::HEAD);
        for outcome in [
            unbind_the_queue(20, "mandatory").await,
            swallow_what_is_published(20, "confirm").await,
            deliver_twice(5, "inbox").await,
            overtake_a_mailer("lease").await,
        ] {
            println!("{outcome}");
            // An oracle that stays green without its guard says nothing.
            run.is_right &= outcome.lost > 0 || outcome.duplicates > outcome.permitted;
        }
    }
    if run.is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
