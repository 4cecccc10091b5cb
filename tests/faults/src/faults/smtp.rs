use std::{collections::BTreeSet, time::Duration};

use testkit::{Reply, eventually};

use crate::{load::Load, outcome::Outcome, scene::Scene};

/// What the mail server does to the mails to a domain.
struct Kind {
    domain: &'static str,
    reply: Reply,
    /// How often to each.
    times: usize,
    end: End,
}

/// How it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The mail goes out once.
    Mailed,
    /// The mail is given up.
    Refused,
    /// A session was cut, of which nobody knows whether the mail was taken: once, or twice.
    Unknown,
}

/// Three of ten mails go to one of these.
const KINDS: [Kind; 7] = [
    kind("421.example", Reply::Line("421 4.3.2 going down"), 2, End::Mailed),
    kind("451.example", Reply::Line("451 4.7.1 greylisted"), 2, End::Mailed),
    kind("550.example", Reply::Line("550 5.1.1 no such user"), usize::MAX, End::Refused),
    kind("552.example", Reply::Line("552 5.2.2 mailbox full"), usize::MAX, End::Refused),
    kind("cut.example", Reply::Cut, 1, End::Mailed),
    kind("reset.example", Reply::Reset, 1, End::Unknown),
    kind("tarpit.example", Reply::Hold, usize::MAX, End::Mailed),
];

const fn kind(domain: &'static str, reply: Reply, times: usize, end: End) -> Kind {
    Kind { domain, reply, times, end }
}

/// The kind of an address; none is healthy.
fn kind_of(email: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| email.ends_with(kind.domain))
}

/// What came of a mail server that is faulty to three of ten mails.
#[derive(Debug)]
pub struct Faulty {
    /// Healthy mails to the same server before it was faulty.
    pub before: Outcome,
    /// The healthy mails beside the others, with their pace before the tarpit let any of its own go.
    pub healthy: Outcome,
    /// The others that go out once, or not at all.
    pub faulty: Outcome,
    /// Those whose session was reset behind the answer.
    pub reset: Outcome,
}

impl Faulty {
    /// What is told of each part.
    pub fn outcomes(&self) -> [&Outcome; 4] {
        [&self.before, &self.healthy, &self.faulty, &self.reset]
    }

    /// Whether the healthy ones went out beside the others, and of these what was refused, and nothing
    /// else, was given up.
    pub fn is_right(&self) -> bool {
        self.outcomes().into_iter().all(Outcome::is_right)
    }

    /// Whether the healthy mails went out about as fast as before: the slowest of a hundred.
    pub fn keeps_pace(&self) -> bool {
        self.healthy.slowest <= 2 * self.before.slowest + Duration::from_secs(1)
    }
}

/// Lets the mail server ask to try again, refuse, cut, reset and hold: three of ten mails are to domains
/// to which it does, as many to each.
///
/// The healthy mails do not wait for the others; what is refused for good is visibly failed; the others
/// are mailed in the end.
pub async fn annoy_mailer(mails: usize, per_second: u32) -> Faulty {
    let mut scene = Scene::set().await;
    // Nobody crashes: the longest that a mail stays away is one step.
    scene.patience = Duration::from_secs(40);
    let per = format!("{per_second}/s");
    let load = scene.load(per_second);
    load.until_attempted(mails / 10).await;
    let before = load.finish().await;
    let before = scene.drain("SMTP: before", &per, &before).await;

    let sink = scene.sink();
    for Kind { domain, reply, times, .. } in KINDS {
        sink.reply_to(domain, reply, times);
    }
    let load = Load::start(scene.inviter.clone(), per_second, |number| {
        let (ten, place) = (number / 10, number % 10);
        let domain = if place < 3 { KINDS[(ten * 3 + place) % 7].domain } else { "example.com" };
        domain.to_owned()
    });
    load.until_attempted(mails).await;
    let ledger = load.finish().await;
    let of = |ends: &[End]| {
        ledger.only(|email| kind_of(email).is_some_and(|kind| ends.contains(&kind.end)))
    };
    let healthy = ledger.only(|email| kind_of(email).is_none());
    let (faulty, reset) = (of(&[End::Mailed, End::Refused]), of(&[End::Unknown]));

    let drain = scene.until_mailed_all(&healthy).await;
    let pace = scene.compare("SMTP: the healthy 70 %", &per, &healthy).await;
    // Whatever is refused for good has been offered by then.
    let refused: Vec<_> = of(&[End::Refused]).acknowledged().into_keys().collect();
    eventually("what is refused was offered", async || {
        let offered: BTreeSet<_> = sink.offered().into_iter().map(|it| it.recipient).collect();
        refused.iter().all(|email| offered.contains(email)).then_some(())
    })
    .await;
    sink.relent();
    let faulty = Outcome {
        refused: refused.len(),
        ..scene.drain("SMTP: refused, delayed, cut and held", &per, &faulty).await
    };
    let reset = scene.compare("SMTP: taken and reset", &per, &reset).await;
    let reset = Outcome { permitted: reset.acknowledged, ..reset };
    // What comes twice comes last.
    let healthy = scene.compare(&pace.fault, &per, &healthy).await;
    Faulty { before, healthy: Outcome { drain, ..healthy }, faulty, reset }
}
