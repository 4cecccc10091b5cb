use std::time::Duration;

use futures::StreamExt as _;
use lapin::{
    BasicProperties,
    message::Delivery,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    },
    types::FieldTable,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Link, PATIENCE, RabbitMq, label,
    publish::{self, Fate},
    topology::{self, DEAD_LETTERS},
};
use crate::{DeadLetter, DeadLetterHandler, Ground, Handler, Message, Queue, Refusal};

/// How many dead letters are kept at once.
const DEAD_LETTERS_AT_ONCE: u16 = 4;

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
    /// Does a duty, and begins again for ever after a loss, with growing and jittered pauses.
    pub(crate) async fn consume(&self, duty: Duty, stop: CancellationToken) {
        let queue = duty.queue();
        let mut pause = Duration::from_millis(100);
        while !stop.is_cancelled() {
            let begun = Instant::now();
            match self.consume_once(&duty, &stop).await {
                Ok(()) => tracing::info!(queue, "the broker ended the consumer"),
                Err(error) => tracing::warn!(queue, %error, "the consumer lost the broker"),
            }
            if begun.elapsed() > Duration::from_secs(30) {
                pause = Duration::from_millis(100);
            }
            let jittered = pause.mul_f64(rand::random_range(0.5..1.5));
            let _ = timeout(jittered, stop.cancelled()).await;
            pause = (pause * 2).min(Duration::from_secs(15));
        }
    }

    async fn consume_once(&self, duty: &Duty, stop: &CancellationToken) -> lapin::Result<()> {
        let (queue, concurrency) = (duty.queue(), duty.concurrency());
        let link = self.connect(queue).await?;
        let channel = &link.channel;
        let declared = match duty {
            Duty::Handle(queue, _) => topology::declare_queue(channel, queue, &self.steps).await,
            Duty::KeepDeadLetters(_) => topology::declare_dead_letters(channel).await,
        };
        self.note_obstacle(queue, &declared);
        declared?;
        channel.basic_qos(concurrency, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let deliveries =
            channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
        tracing::info!(queue, "consuming");
        let tag = deliveries.tag();
        // The stream ends with the channel, or when `stop` cancels the consumer; either way what is
        // being handled is finished first. An acknowledgement on a dead channel fails, and then the
        // message comes again.
        let handling = deliveries.for_each_concurrent(usize::from(concurrency), async |it| {
            let outcome = match (it, duty) {
                (Ok(delivery), Duty::Handle(queue, handler)) => {
                    self.handle(&link, queue, handler, delivery).await
                }
                (Ok(delivery), Duty::KeepDeadLetters(handler)) => keep(handler, delivery).await,
                (Err(error), _) => Err(error),
            };
            if let Err(error) = outcome {
                tracing::warn!(queue, %error, "a message was not acknowledged");
            }
        });
        let cancelling = async {
            stop.cancelled().await;
            let _ = channel.basic_cancel(tag, BasicCancelOptions::default()).await;
            std::future::pending::<()>().await
        };
        tokio::select! {
            () = handling => {}
            () = cancelling => {}
        }
        if stop.is_cancelled() {
            let _ = timeout(PATIENCE, link.connection.close(200, "stopping".into())).await;
        }
        Ok(())
    }

    async fn handle(
        &self,
        link: &Link,
        queue: &Queue,
        handler: &Handler,
        delivery: Delivery,
    ) -> lapin::Result<()> {
        let Delivery { properties, data, acker, redelivered, .. } = delivery;
        let kept = match publish::read(&properties, data, redelivered) {
            Err(payload) => set_aside(link, queue, properties, &payload).await,
            Ok(message) => match handler(message.clone()).await {
                Ok(()) => Ok(()),
                Err(refusal) => self.keep_for_later(link, queue, message, refusal).await,
            },
        };
        if let Err(error) = kept {
            let _ = acker.nack(BasicNackOptions { requeue: true, multiple: false }).await;
            return Err(error);
        }
        fault::point("before-acknowledgement");
        acker.ack(BasicAckOptions::default()).await.map(|_| ())
    }

    /// Moves a refused message to the delay queue of its next step, or to the dead letters.
    async fn keep_for_later(
        &self,
        link: &Link,
        queue: &Queue,
        message: Message,
        refusal: Refusal,
    ) -> lapin::Result<()> {
        let attempt = refusal.attempt(&message);
        let (step, ground) = match &refusal {
            Refusal::Retry(_) | Refusal::Counted(..) => {
                (self.steps.after(attempt), Ground::Exhausted)
            }
            Refusal::Later(pause, _) => (Some(self.steps.within(*pause)), Ground::Exhausted),
            Refusal::Reject(_) => (None, Ground::Rejected),
        };
        let (target, fate) = match step {
            Some(step) => (topology::delayed(queue.name, step), None),
            None => {
                let (Refusal::Retry(error)
                | Refusal::Counted(_, error)
                | Refusal::Later(_, error)
                | Refusal::Reject(error)) = &refusal;
                let fate = Fate { queue: queue.name, ground, error: error.clone() };
                (DEAD_LETTERS.to_owned(), Some(fate))
            }
        };
        tracing::warn!(queue = queue.name, message = label(&message), %refusal, %target, "refused");
        // A dead letter tells how often it was tried; a retry which attempt it will be.
        let is_attempt = step.is_some() && !matches!(refusal, Refusal::Later(..));
        let attempt = attempt.saturating_add(u32::from(is_attempt));
        let next = Message { attempt, ..message };
        let _turn = link.turn.lock().await;
        let sent = publish::send(&link.channel, "", &target, &next, fate.as_ref()).await?;
        confirmed(sent.await?)
    }
}

/// Keeps a dead letter, or leaves it in its queue for a while.
async fn keep(handler: &DeadLetterHandler, delivery: Delivery) -> lapin::Result<()> {
    let Delivery { properties, data, acker, redelivered, .. } = delivery;
    let Fate { queue, ground, error } = publish::fate(&properties);
    let message = publish::read(&properties, data, redelivered);
    let dead = DeadLetter { queue, ground, error, message };
    if let Err(error) = handler(dead).await {
        tracing::warn!(%error, "a dead letter stays in its queue");
        // What cannot be kept now cannot be kept at once: the database is away.
        sleep(Duration::from_secs(1).mul_f64(rand::random_range(0.5..1.5))).await;
        return acker.nack(BasicNackOptions { requeue: true, multiple: false }).await.map(|_| ());
    }
    acker.ack(BasicAckOptions::default()).await.map(|_| ())
}

/// Keeps a message that is not one of ours as it is, with the dead letters.
async fn set_aside(
    link: &Link,
    queue: &Queue,
    properties: BasicProperties,
    payload: &[u8],
) -> lapin::Result<()> {
    tracing::error!(queue = queue.name, "a message without our headers was set aside");
    let error = "it is not one of our messages".to_owned();
    let fate = Fate { queue: queue.name, ground: Ground::Unreadable, error };
    let properties = publish::with_fate(properties, &fate);
    let options = lapin::options::BasicPublishOptions { mandatory: true, ..Default::default() };
    let _turn = link.turn.lock().await;
    let target = DEAD_LETTERS;
    let sent = link.channel.basic_publish("".into(), target.into(), options, payload, properties);
    confirmed(sent.await?.await?)
}

fn confirmed(confirmation: lapin::Confirmation) -> lapin::Result<()> {
    match confirmation {
        lapin::Confirmation::Ack(None) => Ok(()),
        _ => {
            let lost = std::io::Error::other("the broker did not keep a refused message");
            Err(lapin::ErrorKind::IOError(std::sync::Arc::new(lost)).into())
        }
    }
}
