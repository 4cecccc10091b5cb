use std::{fmt, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, stream};
use lapin::{
    Acker,
    message::Delivery,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    },
    types::FieldTable,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Link, PATIENCE, RabbitMq, label,
    publish::{self, Fate, Parcel},
    topology::{self, DEAD_LETTERS},
};
use crate::{
    DeadLetter, DeadLetterHandler, Ground, Handler, Message, PublishError, Queue, Refusal,
};

/// How many dead letters are kept at once.
const DEAD_LETTERS_AT_ONCE: u16 = 4;
/// Pauses grow from the one to the other.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long a message is held that can neither be handled nor kept elsewhere: well below the half hour
/// after which the broker cuts off whoever does not answer.
const LONGEST_HOLD: Duration = Duration::from_secs(20 * 60);

/// What a consumer does for ever.
pub(crate) enum Duty {
    /// Handles the messages of a queue.
    Handle(Queue, Handler),
    /// Keeps what was given up.
    KeepDeadLetters(DeadLetterHandler),
}

impl Duty {
    fn queue(&self) -> &'static str {
        match self {
            Self::Handle(queue, _) => queue.name,
            Self::KeepDeadLetters(_) => DEAD_LETTERS,
        }
    }

    fn concurrency(&self) -> u16 {
        match self {
            Self::Handle(queue, _) => queue.concurrency,
            Self::KeepDeadLetters(_) => DEAD_LETTERS_AT_ONCE,
        }
    }
}

impl RabbitMq {
    /// Does a duty until `stop`, then finishes what it has begun. What is being handled outlives its
    /// connection, so that a message that takes long does not keep the next one from being made, and
    /// takes one of the places until it is done.
    pub(crate) async fn consume(&self, duty: Duty, stop: CancellationToken) {
        let (duty, stop) = (&duty, &stop);
        let (places, taken) = mpsc::channel(1);
        let taken = stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken)));
        let at_once = usize::from(duty.concurrency());
        let handling = taken.for_each_concurrent(at_once, |(link, delivery)| async move {
            let answered = match duty {
                Duty::Handle(queue, handler) => self.handle(queue, handler, delivery, stop).await,
                Duty::KeepDeadLetters(handler) => keep(handler, delivery, stop).await,
            };
            if let Err(error) = answered {
                tracing::warn!(queue = duty.queue(), %error, "a message was not acknowledged");
            }
            // A consumer may end before its connection, which then waits for the answers.
            drop(link);
        });
        // Only of a boxed one does the compiler see that it is `Send`.
        let (last, ()) = tokio::join!(self.take(duty, stop, places), handling.boxed());
        if let Some(link) = last {
            let _ = timeout(PATIENCE, link.connection.close(200, "stopping".into())).await;
        }
    }

    /// Takes messages from the broker until `stop`, and begins again after every loss, with growing and
    /// jittered pauses. Answers with the connection that it stopped on.
    async fn take(
        &self,
        duty: &Duty,
        stop: &CancellationToken,
        places: mpsc::Sender<(Arc<Link>, Delivery)>,
    ) -> Option<Arc<Link>> {
        let queue = duty.queue();
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            let begun = Instant::now();
            match self.take_once(duty, stop, &places).await {
                Ok(link) if stop.is_cancelled() => return Some(link),
                Ok(_) => tracing::info!(queue, "the broker ended the consumer"),
                Err(error) => tracing::warn!(queue, %error, "the consumer lost the broker"),
            }
            if begun.elapsed() > Duration::from_secs(30) {
                pause = FIRST_PAUSE;
            }
            rest(&mut pause, stop).await;
        }
        None
    }

    async fn take_once(
        &self,
        duty: &Duty,
        stop: &CancellationToken,
        places: &mpsc::Sender<(Arc<Link>, Delivery)>,
    ) -> lapin::Result<Arc<Link>> {
        let queue = duty.queue();
        let link = Arc::new(self.connect(queue).await?);
        let channel = &link.channel;
        let declared = match duty {
            Duty::Handle(queue, _) => topology::declare_queue(channel, queue, &self.steps).await,
            Duty::KeepDeadLetters(_) => topology::declare_dead_letters(channel).await,
        };
        self.note_obstacle(queue, &declared);
        declared.map_err(|undeclared| undeclared.error)?;
        channel.basic_qos(duty.concurrency(), BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let mut deliveries =
            channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
        tracing::info!(queue, "consuming");
        let tag = deliveries.tag();
        // The deliveries end with the channel, or when `stop` cancels the consumer.
        let taking = async {
            while let Ok(place) = places.reserve().await
                && let Some(delivery) = deliveries.next().await
            {
                place.send((link.clone(), delivery?));
            }
            Ok(())
        };
        let cancelling = async {
            stop.cancelled().await;
            let _ = channel.basic_cancel(tag, BasicCancelOptions::default()).await;
            std::future::pending().await
        };
        let ended: lapin::Result<()> = tokio::select! {
            taken = taking => taken,
            never = cancelling => never,
        };
        ended.map(|()| link)
    }

    async fn handle(
        &self,
        queue: &Queue,
        handler: &Handler,
        delivery: Delivery,
        stop: &CancellationToken,
    ) -> lapin::Result<()> {
        let begun = Instant::now();
        let Delivery { properties, data, acker, redelivered, .. } = delivery;
        if !acker.usable() {
            // It waited here for longer than its connection lived, and comes again.
            return Ok(());
        }
        let refused = match publish::read(&properties, data, redelivered) {
            Ok(message) => match handler(message.clone()).await {
                Ok(()) => None,
                Err(refusal) => Some(self.refused(queue, message, &refusal)),
            },
            Err(payload) => {
                tracing::error!(queue = queue.name, "a message without our headers was set aside");
                let error = "it is not one of our messages".to_owned();
                let fate = Fate { queue: queue.name, ground: Ground::Unreadable, error };
                Some(Parcel::dead(properties, payload, &fate))
            }
        };
        answer(acker, begun, stop, || async {
            if let Some(parcel) = &refused {
                self.put_away(parcel).await?;
            }
            fault::point("before-acknowledgement");
            Ok::<(), PublishError>(())
        })
        .await
    }

    /// Addresses a refused message to the delay queue of its next step, or to the dead letters.
    fn refused(&self, queue: &Queue, message: Message, refusal: &Refusal) -> Parcel {
        let attempt = refusal.attempt(&message);
        let (step, ground) = match refusal {
            Refusal::Retry(_) | Refusal::Counted(..) => {
                (self.steps.after(attempt), Ground::Exhausted)
            }
            Refusal::Later(pause, _) => (Some(self.steps.within(*pause)), Ground::Exhausted),
            Refusal::Reject(_) => (None, Ground::Rejected),
        };
        let target = step.map(|step| topology::delayed(queue.name, step));
        let (name, to) = (label(&message), target.as_deref().unwrap_or(DEAD_LETTERS));
        tracing::warn!(queue = queue.name, message = name, %refusal, target = to, "refused");
        // A dead letter tells how often it was tried; a retry which attempt it will be.
        let is_attempt = step.is_some() && !matches!(refusal, Refusal::Later(..));
        let attempt = attempt.saturating_add(u32::from(is_attempt));
        let next = Message { attempt, ..message };
        if let Some(target) = target {
            return Parcel::delayed(target, next);
        }
        let (Refusal::Retry(error)
        | Refusal::Counted(_, error)
        | Refusal::Later(_, error)
        | Refusal::Reject(error)) = refusal;
        let fate = Fate { queue: queue.name, ground, error: error.clone() };
        Parcel::dead(publish::properties(&next), next.payload, &fate)
    }
}

async fn keep(
    handler: &DeadLetterHandler,
    delivery: Delivery,
    stop: &CancellationToken,
) -> lapin::Result<()> {
    let begun = Instant::now();
    let Delivery { properties, data, acker, redelivered, .. } = delivery;
    let Fate { queue, ground, error } = publish::fate(&properties);
    let message = publish::read(&properties, data, redelivered);
    let dead = DeadLetter { queue, ground, error, message };
    answer(acker, begun, stop, || handler(dead.clone())).await
}

/// Acknowledges a message once it is kept.
///
/// While what keeps it is away, such as a database or a queue with room, the message is held: each time
/// that the broker hands a message out counts, and after 20 times it is set aside, or lost if it is a
/// dead letter.
async fn answer<F, E>(
    acker: Acker,
    begun: Instant,
    stop: &CancellationToken,
    keep: impl Fn() -> F,
) -> lapin::Result<()>
where
    F: Future<Output = Result<(), E>>,
    E: fmt::Display,
{
    let mut pause = FIRST_PAUSE;
    // With its connection the message has gone back to its queue, and comes again: it is not kept
    // elsewhere as well.
    while acker.usable() {
        let Err(error) = keep().await else {
            return acker.ack(BasicAckOptions::default()).await.map(drop);
        };
        tracing::warn!(%error, "a message cannot be kept yet");
        rest(&mut pause, stop).await;
        if stop.is_cancelled() || begun.elapsed() > LONGEST_HOLD {
            let options = BasicNackOptions { requeue: true, multiple: false };
            return acker.nack(options).await.map(drop);
        }
    }
    Ok(())
}

/// Rests for about so long, and longer the next time.
async fn rest(pause: &mut Duration, stop: &CancellationToken) {
    let _ = timeout(pause.mul_f64(rand::random_range(0.5..1.5)), stop.cancelled()).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}
