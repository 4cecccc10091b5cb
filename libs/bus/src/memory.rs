use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, future::join_all};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    DeadLetter, DeadLetterHandler, Ground, Handler, Message, PublishError, Queue, Refusal,
    RetrySteps,
};

/// The bus within one process. It stores nothing: a publish waits until every queue's consumer has
/// handled the message, or it is kept as a dead letter, so that the publisher's outbox is the store.
#[derive(Clone)]
pub struct MemoryBus {
    steps: RetrySteps,
    consumers: Arc<Mutex<Vec<Consumer>>>,
    dead_letters: Arc<Mutex<Option<DeadLetterHandler>>>,
}

#[derive(Clone)]
struct Consumer {
    queue: Queue,
    handler: Handler,
    permits: Arc<Semaphore>,
    begun: TaskTracker,
}

impl MemoryBus {
    pub(crate) fn new(steps: RetrySteps) -> Self {
        Self { steps, consumers: Arc::default(), dead_letters: Arc::default() }
    }

    pub(crate) async fn publish(&self, batch: Vec<Message>) -> Vec<Result<(), PublishError>> {
        join_all(batch.into_iter().map(|message| self.deliver(message))).await
    }

    async fn deliver(&self, message: Message) -> Result<(), PublishError> {
        let bound = self.bound_to(&message);
        if bound.is_empty() && message.must_arrive {
            return Err(PublishError::Unroutable(message.routing_key));
        }
        let message = Message { must_arrive: true, ..message };
        let handling = bound.iter().map(|consumer| self.handle(consumer, message.clone()));
        // The inboxes of those who have handled it know it again.
        join_all(handling).await.into_iter().collect()
    }

    async fn handle(&self, consumer: &Consumer, message: Message) -> Result<(), PublishError> {
        let Err(refusal) = consumer.handle(message.clone()).await else { return Ok(()) };
        let attempt = refusal.attempt(&message);
        let (ground, error) = match refusal {
            Refusal::Later(pause, why) => {
                return Err(PublishError::Later(self.steps.within(pause), why));
            }
            Refusal::Reject(why) => (Ground::Rejected, why),
            Refusal::Retry(why) | Refusal::Counted(_, why) => match self.steps.after(attempt) {
                Some(_) => return Err(PublishError::Refused(why)),
                None => (Ground::Exhausted, why),
            },
        };
        let message = Message { attempt, ..message };
        let queue = consumer.queue.name.to_owned();
        let dead = DeadLetter { queue, ground, error, message: Ok(message) };
        let handler = lock(&self.dead_letters).clone();
        let handler = handler
            .ok_or_else(|| PublishError::Unavailable("nobody keeps dead letters".to_owned()))?;
        handler(dead).await.map_err(PublishError::Unavailable)
    }

    /// One consumer for each queue that wants the message; of those that share a queue, the one that
    /// is least busy.
    fn bound_to(&self, message: &Message) -> Vec<Consumer> {
        let mut bound: Vec<Consumer> = Vec::new();
        for consumer in lock(&self.consumers).iter() {
            let wants = match &message.queue {
                Some(queue) => consumer.queue.name == queue,
                None => consumer.queue.bindings.contains(&message.routing_key.as_str()),
            };
            if !wants {
                continue;
            }
            match bound.iter_mut().find(|other| other.queue.name == consumer.queue.name) {
                Some(other) => {
                    let free = consumer.permits.available_permits();
                    if free > other.permits.available_permits() {
                        *other = consumer.clone();
                    }
                }
                None => bound.push(consumer.clone()),
            }
        }
        bound
    }

    /// Binds a consumer's queue; it is bound until its [`Binding`] has run or is dropped.
    pub(crate) fn bind(&self, queue: Queue, handler: Handler) -> Binding {
        let permits = Arc::new(Semaphore::new(queue.concurrency.into()));
        let begun = TaskTracker::new();
        let consumer = Consumer { queue, handler, permits: permits.clone(), begun: begun.clone() };
        lock(&self.consumers).push(consumer);
        Binding { bus: self.clone(), permits, begun }
    }

    pub(crate) fn bind_dead_letters(&self, handler: DeadLetterHandler) {
        *lock(&self.dead_letters) = Some(handler);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Binding {
    bus: MemoryBus,
    permits: Arc<Semaphore>,
    begun: TaskTracker,
}

impl Binding {
    pub(crate) async fn run(self, stop: CancellationToken) {
        stop.cancelled().await;
        // What waits or comes now finds the semaphore closed and comes later; what has begun is
        // finished. Then it is no longer bound.
        self.permits.close();
        self.begun.close();
        self.begun.wait().await;
    }

    fn unbind(&self) {
        lock(&self.bus.consumers).retain(|consumer| !Arc::ptr_eq(&consumer.permits, &self.permits));
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        self.unbind();
    }
}

impl Consumer {
    async fn handle(&self, message: Message) -> Result<(), Refusal> {
        let Ok(_permit) = self.permits.acquire().await else {
            // It has not begun: a stop spends no attempt.
            return Err(Refusal::Later(Duration::ZERO, "the consumer is stopping".to_owned()));
        };
        let (queue, event_id) = (self.queue.name, message.id);
        // A panic ends no process here, so nobody else would count this attempt and answer for it.
        let handling = AssertUnwindSafe(async { (self.handler)(message).await }).catch_unwind();
        self.begun.track_future(handling).await.unwrap_or_else(|_| {
            // What it said is not repeated: it could hold what was in the message.
            tracing::error!(queue, %event_id, "a handler panicked");
            Err(Refusal::Retry("the handler panicked".to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use kernel::{Clock, Uuid};

    use super::*;

    const QUEUE: Queue = Queue { name: "test.told", bindings: &["test.told.v1"], concurrency: 1 };

    fn message() -> Message {
        Message {
            id: Clock::System.new_id(),
            routing_key: "test.told.v1".to_owned(),
            source: "usher/test".to_owned(),
            subject: Uuid::nil(),
            time: Clock::System.now(),
            payload: Vec::new(),
            traceparent: None,
            attempt: 1,
            must_arrive: true,
            queue: None,
            redelivered: false,
        }
    }

    #[tokio::test]
    async fn what_waits_for_its_turn_at_a_stop_has_had_no_attempt() {
        let (bus, stop) = (MemoryBus::new(RetrySteps::default()), CancellationToken::new());
        let finish = CancellationToken::new();
        let (stopping, finished) = (stop.clone(), finish.clone());
        let handler: Handler = Arc::new(move |_| {
            // The other message waits by now: both are polled in turn.
            stopping.cancel();
            Box::pin(finished.clone().cancelled_owned().map(Ok))
        });
        let running = tokio::spawn(bus.bind(QUEUE, handler).run(stop));
        let (begun, [waits, comes]) = tokio::join!(bus.publish(vec![message()]), async {
            let waits = bus.publish(vec![message()]).await;
            let comes = bus.publish(vec![message()]).await;
            finish.cancel();
            [waits, comes]
        });
        let pause = RetrySteps::default().0[0];
        let later = vec![Err(PublishError::Later(pause, "the consumer is stopping".to_owned()))];
        assert_eq!((begun, waits, comes), (vec![Ok(())], later.clone(), later));
        running.await.unwrap();
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_asked_again_and_goes_on_with_others() {
        let bus = MemoryBus::new(RetrySteps::default());
        let poison = message();
        let id = poison.id;
        let handler: Handler = Arc::new(move |message| {
            assert_ne!(message.id, id, "it panics before it has begun");
            Box::pin(async { Ok(()) })
        });
        let _bound = bus.bind(QUEUE, handler);
        let refused = Err(PublishError::Refused("the handler panicked".to_owned()));
        for _ in 0..2 {
            assert_eq!(bus.publish(vec![poison.clone()]).await, std::slice::from_ref(&refused));
        }
        assert_eq!(bus.publish(vec![message()]).await, [Ok(())]);
    }
}
