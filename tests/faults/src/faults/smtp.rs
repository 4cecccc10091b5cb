use std::time::Duration;

use testkit::Reply;

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
    /// The healthy mails, with their pace, before the tarpit let any of its own go.
    pub healthy: Outcome,
    /// The others.
    pub faulty: Outcome,
    /// How many of the others the server refused for good.
    pub refused: usize,
}

impl Faulty {
    /// Whether the healthy ones went out beside the others, and of these what was refused, and nothing
    /// else, was given up.
    pub fn is_right(&self) -> bool {
        self.healthy.is_right() && self.faulty.is_right() && self.faulty.given_up == self.refused
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
    let [healthy, faulty] =
        [false, true].map(|is_faulty| ledger.only(|email| kind_of(email).is_some() == is_faulty));
    let load = format!("{per_second}/s");
    let healthy = scene.arrive("SMTP: the healthy 70 %", &load, &healthy);
    let healthy = healthy.await;
    sink.relent();
    let refused = faulty.acknowledged().into_keys();
    let refused =
        refused.filter(|it| kind_of(it).is_some_and(|kind| kind.end == End::Refused)).count();
    let faulty = scene.drain("SMTP: the faulty 30 %", &load, &faulty).await;
    let arrivals = sink.arrivals().into_keys();
    let unknown =
        arrivals.filter(|it| kind_of(it).is_some_and(|kind| kind.end == End::Unknown)).count();
    let faulty = Outcome { permitted: unknown, ..faulty };
    Faulty { healthy, faulty, refused }
}
