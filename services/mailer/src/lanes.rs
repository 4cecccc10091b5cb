//! How many mails go to a domain at once, so that one that is slow or dead holds up no other.
//!
//! Of the `mails_at_once` places one half is for *prompt* domains: the last mail to one, and each that is
//! on its way, was with the mail server for less than a second. The other half is for slow ones. Beside
//! them there are as many again for mails that only *wait* for the answer to their last byte. Each place
//! is a connection, so the mail server must allow twice `mails_at_once` for each mailer process. All of
//! this is known within a process alone: two of them have twice the places, and twice of all that a
//! domain may have.
//!
//! - A prompt domain has up to `mails_at_once_per_domain` mails on their way, but no more than a quarter
//!   of `mails_at_once`, so that no domain can take all places of the prompt. What is above that waits
//!   in its place if its turn comes within about a second; otherwise it gives its place back and comes
//!   again.
//! - A slow domain has two, among the slow. What is above that comes again: after the first retry step,
//!   or a longer one for which the domain has been silent already. That is no attempt, and claims
//!   nothing. One prompt mail makes the domain prompt again, and so do five minutes without any.
//! - A domain of which nothing is known yet has two, among the prompt.
//! - A mail that turns out to be slow gives its place among the prompt up after a second, and goes on
//!   among the slow. If its domain has its two there, or all places are taken, it is broken off, which is
//!   an attempt, unless the mail server has begun to read it: then nobody would know whether it went
//!   out, and it goes on among those that wait. They count as their domain's two, so that no more begin.
//!
//! So a slow domain takes a place from the prompt ones for one second at most, however many others are
//! dead. Behind their last byte mails can hang for 13 minutes and cannot be broken off: only when more than
//! `mails_at_once` of them do so at the same time, so that all places of those that wait and of the slow
//! are taken, do further ones keep theirs.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use service::{Refusal, Settings};
use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until, timeout, timeout_at},
};

/// How many messages of a queue are handled at once: as many as there are places when `mails_at_once` is
/// as large as it may be, so that the prompt get theirs when a queue's slow and waiting have all of their
/// own.
pub(crate) const SLOTS: u16 = 192;

/// What a mail to a prompt domain takes at most.
const PROMPT: Duration = Duration::from_secs(1);
/// How many mails go at once to a domain that is slow, or of which nothing is known.
const NARROW: usize = 2;
/// The longest that what is above a domain's share stays away because the domain is silent.
const LONGEST_SILENCE: Duration = Duration::from_secs(300);
/// How much sooner than its rate allows a mail may go: as long as one stays away.
const BURST: Duration = Duration::from_secs(5);
/// How long a mail waits for a place.
const WAITING: Duration = Duration::from_secs(60);
/// How many domains are remembered.
const REMEMBERED: usize = 10_000;

/// The lanes of all domains.
pub(crate) struct Lanes {
    prompt: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    /// For mails that are slow at their last answer and find no place among the slow.
    waiting: Arc<Semaphore>,
    share: usize,
    /// The time between two mails to a domain.
    interval: Duration,
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
}

struct Lane {
    /// How wide it is when the domain is prompt.
    share: usize,
    seats: Arc<Semaphore>,
    state: Mutex<State>,
}

struct State {
    /// How many seats there are.
    width: usize,
    /// How many mails have a place among the slow or the waiting.
    slow: usize,
    /// When each mail that is on its way set out, by a number.
    begun: Vec<(u64, Instant)>,
    next: u64,
    /// How long the last mail took; `None` before the first.
    last_took: Option<Duration>,
    last_ended: Instant,
    /// When the next mail may go by its rate.
    due: Instant,
}

/// A place among the mails to a domain, and among the prompt, the slow or the waiting of all.
pub(crate) struct Seat {
    lanes: Arc<Lanes>,
    lane: Arc<Lane>,
    _of_domain: OwnedSemaphorePermit,
    of_all: OwnedSemaphorePermit,
    /// Whether it is counted among the domain's slow ones.
    is_slow: bool,
}

/// As long as it lives, the mail server has the mail.
pub(crate) struct OnItsWay<'a> {
    seat: &'a mut Seat,
    number: u64,
    begun: Instant,
}

impl Lanes {
    /// Lanes as wide as the settings say.
    pub(crate) fn new(settings: &Settings) -> Arc<Self> {
        let share = settings.mails_at_once_per_domain;
        Self::of(settings.mails_at_once, share, settings.mails_per_domain_minute)
    }

    fn of(all: usize, share: usize, per_minute: u32) -> Arc<Self> {
        let interval = Duration::from_secs(60).checked_div(per_minute).unwrap_or_default();
        let [prompt, slow, waiting] =
            [all - all / 2, all / 2, all].map(|places| Arc::new(Semaphore::new(places)));
        let share = share.min(all / 4).max(1);
        Arc::new(Self { prompt, slow, waiting, share, interval, lanes: Mutex::default() })
    }

    /// A place for a mail to a domain, within a minute.
    pub(crate) async fn seat(self: &Arc<Self>, domain: &str) -> Result<Seat, Refusal> {
        let seat = timeout(WAITING, self.sit(domain)).await;
        seat.unwrap_or_else(|_| later(Duration::ZERO, "all places are taken"))
    }

    async fn sit(self: &Arc<Self>, domain: &str) -> Result<Seat, Refusal> {
        let lane = self.lane(domain);
        let of_domain = lane.seat().await?;
        let is_prompt = !lock(&lane.state).is_slow();
        let mut prompt = None;
        if is_prompt {
            prompt = Some(self.prompt.clone().acquire_owned().await.map_err(ended)?);
        }
        // It may have become slow meanwhile.
        let silent = lock(&lane.state).silent_for();
        let (of_all, is_slow) = match (prompt, silent) {
            (Some(place), None) => (place, false),
            (_, silent) => match lane.place_among(&self.slow) {
                Some(place) => (place, true),
                None => {
                    let why = "the domain has its share of the slow, or all their places are taken";
                    return later(silent.unwrap_or_default(), why);
                }
            },
        };
        let seat = Seat { lanes: self.clone(), lane, _of_domain: of_domain, of_all, is_slow };
        let early = lock(&seat.lane.state).take_turn(self.interval);
        match early {
            None => Ok(seat),
            Some(early) => later(early, "the domain has had its mails of this minute"),
        }
    }

    fn lane(&self, domain: &str) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        if lanes.len() >= REMEMBERED {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        let lane = lanes.entry(domain.to_owned()).or_insert_with(|| {
            let now = Instant::now();
            let width = NARROW.min(self.share);
            let state = State {
                width,
                slow: 0,
                begun: Vec::new(),
                next: 0,
                last_took: None,
                last_ended: now,
                due: now,
            };
            let seats = Arc::new(Semaphore::new(width));
            Arc::new(Lane { share: self.share, seats, state: Mutex::new(state) })
        });
        lane.clone()
    }
}

impl Lane {
    /// A place among the mails to the domain.
    async fn seat(self: &Arc<Self>) -> Result<OwnedSemaphorePermit, Refusal> {
        // All that sit or wait hold the lane, and the map does.
        let ahead = Arc::strong_count(self).saturating_sub(2);
        if let Some(too_long) = lock(&self.state).waiting_behind(ahead) {
            return later(too_long, "many mails to the domain wait");
        }
        let mut waiting = Box::pin(self.seats.clone().acquire_owned());
        loop {
            let prompt_until = lock(&self.state).prompt_until();
            tokio::select! {
                biased;
                seat = &mut waiting => {
                    let seat = seat.map_err(ended)?;
                    if !lock(&self.state).is_too_wide() {
                        return Ok(seat);
                    }
                    seat.forget();
                    waiting = Box::pin(self.seats.clone().acquire_owned());
                }
                () = sleep_until(prompt_until) => {
                    if let Some(silent) = lock(&self.state).silent_for() {
                        return later(silent, "the domain is slow and has its share");
                    }
                }
            }
        }
    }

    /// A place among the slow, unless the domain has its two or none is left. It is looked up, taken and
    /// counted at once: of the mails that turn out to be slow at the same moment two get one.
    fn place_among(&self, slow: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let mut state = lock(&self.state);
        if state.slow >= NARROW {
            return None;
        }
        let place = slow.clone().try_acquire_owned().ok()?;
        state.slow += 1;
        Some(place)
    }
}

impl State {
    /// When the domain stops being prompt, unless something changes; past if it has.
    fn prompt_until(&self) -> Instant {
        let oldest = self.begun.first().map_or_else(Instant::now, |(_, begun)| *begun);
        if self.is_slow() { oldest } else { oldest + PROMPT }
    }

    fn is_slow(&self) -> bool {
        let was_slow = self.last_took.is_some_and(|took| took >= PROMPT);
        was_slow && self.last_ended.elapsed() < LONGEST_SILENCE
            || self.begun.first().is_some_and(|(_, begun)| begun.elapsed() >= PROMPT)
    }

    /// For how long nothing has come of the mails to a slow domain; `None` if it is prompt.
    fn silent_for(&self) -> Option<Duration> {
        let since = self.begun.first().map(|(_, oldest)| self.last_ended.max(*oldest));
        let silent = since.map_or(Duration::ZERO, |since| since.elapsed());
        self.is_slow().then(|| silent.min(LONGEST_SILENCE))
    }

    /// How long those ahead of a mail will take, if that is too long for it to wait in its place.
    fn waiting_behind(&self, ahead: usize) -> Option<Duration> {
        let ahead = u32::try_from(ahead / self.width).unwrap_or(u32::MAX);
        let waiting = self.last_took?.saturating_mul(ahead);
        (waiting > PROMPT && !self.is_slow()).then_some(waiting.min(LONGEST_SILENCE))
    }

    /// Whether a seat must go because the domain has become slow; then it counts as gone.
    fn is_too_wide(&mut self) -> bool {
        let is_too_wide = self.is_slow() && self.width > NARROW;
        self.width -= usize::from(is_too_wide);
        is_too_wide
    }

    /// Takes the next turn by the domain's rate; how much too early it is, if it is.
    fn take_turn(&mut self, interval: Duration) -> Option<Duration> {
        let now = Instant::now();
        let due = self.due.max(now);
        if due > now + BURST {
            return Some(due - now - BURST);
        }
        self.due = due + interval;
        None
    }
}

impl Seat {
    /// The mail sets out.
    pub(crate) fn set_out(&mut self) -> OnItsWay<'_> {
        let begun = Instant::now();
        let mut state = lock(&self.lane.state);
        let number = state.next;
        state.next += 1;
        state.begun.push((number, begun));
        drop(state);
        OnItsWay { seat: self, number, begun }
    }

    /// Gives the place among the prompt up for one among the slow; whether it has one.
    fn goes_on_among_the_slow(&mut self) -> bool {
        if !self.is_slow
            && let Some(place) = self.lane.place_among(&self.lanes.slow)
        {
            self.of_all = place;
            self.is_slow = true;
        }
        self.is_slow
    }

    /// Gives it up for one among the waiting, whatever the domain has: what is there cannot be broken off.
    fn wait_at(&mut self, place: OwnedSemaphorePermit) {
        self.of_all = place;
        self.is_slow = true;
        lock(&self.lane.state).slow += 1;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.lane.state).slow -= usize::from(self.is_slow);
    }
}

impl OnItsWay<'_> {
    /// The part of the way on which the mail can be broken off; `None` if it was, because it is slow and
    /// its domain has its share of the slow, or all their places are taken.
    pub(crate) async fn offer<T>(&mut self, offering: impl Future<Output = T>) -> Option<T> {
        let mut offering = pin!(offering);
        if let Some(done) = self.promptly(&mut offering).await {
            return Some(done);
        }
        if !self.seat.goes_on_among_the_slow() {
            return None;
        }
        Some(offering.await)
    }

    /// The rest of the way, to its end. What is slow here leaves the prompt as well; it keeps its place
    /// among them only while there is none among the slow and none among the waiting.
    pub(crate) async fn hand_over<T>(&mut self, handing: impl Future<Output = T>) -> T {
        let mut handing = pin!(handing);
        if let Some(done) = self.promptly(&mut handing).await {
            return done;
        }
        if !self.seat.goes_on_among_the_slow() {
            tokio::select! {
                biased;
                done = &mut handing => return done,
                Ok(place) = self.seat.lanes.waiting.clone().acquire_owned() => {
                    self.seat.wait_at(place);
                }
            }
        }
        handing.await
    }

    async fn promptly<T>(&self, going: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.begun + PROMPT, going).await.ok()
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        let Seat { lane, .. } = &*self.seat;
        let mut state = lock(&lane.state);
        state.begun.retain(|(number, _)| *number != self.number);
        let took = self.begun.elapsed();
        state.last_took = Some(took);
        state.last_ended = Instant::now();
        if took < PROMPT && state.width < lane.share {
            lane.seats.add_permits(lane.share - state.width);
            state.width = lane.share;
        }
    }
}

fn later<T>(pause: Duration, why: &str) -> Result<T, Refusal> {
    Err(Refusal::Later(pause, why.to_owned()))
}

fn ended(_: AcquireError) -> Refusal {
    Refusal::Retry("the mailer ends".to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
