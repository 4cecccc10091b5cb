use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Handler, Message, PublishError, Queue, Refusal};

/// The bus within one process. It stores nothing: a publish waits until every queue's consumer has
/// handled the message, so that the publisher's outbox is the store.
#[derive(Clone, Default)]
pub struct MemoryBus(Arc<Mutex<Vec<Consumer>>>);

#[derive(Clone)]
struct Consumer {
    queue: Queue,
    handler: Handler,
    permits: Arc<Semaphore>,
    begun: TaskTracker,
}

impl MemoryBus {
    pub(crate) async fn publish(&self, batch: Vec<Message>) -> Vec<Result<(), PublishError>> {
        join_all(batch.into_iter().map(|message| self.deliver(message))).await
    }

    async fn deliver(&self, message: Message) -> Result<(), PublishError> {
        let bound = self.bound_to(&message.routing_key);
        if bound.is_empty() && message.must_arrive {
            return Err(PublishError::Unroutable(message.routing_key));
        }
        let message = Message { must_arrive: true, ..message };
        let answers = join_all(bound.iter().map(|consumer| consumer.handle(message.clone()))).await;
        // A retry outweighs a rejection: the inboxes of those who have handled it know it again.
        let mut outcome = Ok(());
        for refusal in answers.into_iter().filter_map(Result::err) {
            if outcome.is_ok() || matches!(refusal, Refusal::Retry(_)) {
                outcome = Err(PublishError::Refused(refusal));
            }
        }
        outcome
    }

    /// One consumer for each queue that wants the routing key; of those that share a queue, the one
    /// that is least busy.
    fn bound_to(&self, routing_key: &str) -> Vec<Consumer> {
        let mut bound: Vec<Consumer> = Vec::new();
        for consumer in self.consumers().iter() {
            if !consumer.queue.bindings.contains(&routing_key) {
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
        self.consumers().push(consumer);
        Binding { bus: self.clone(), permits, begun }
    }

    fn consumers(&self) -> std::sync::MutexGuard<'_, Vec<Consumer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Binding {
    bus: MemoryBus,
    permits: Arc<Semaphore>,
    begun: TaskTracker,
}

impl Binding {
    pub(crate) async fn run(self, stop: CancellationToken) {
        stop.cancelled().await;
        self.unbind();
        // What waits finds the semaphore closed and is retried; what has begun is finished.
        self.permits.close();
        self.begun.close();
        self.begun.wait().await;
    }

    fn unbind(&self) {
        self.bus.consumers().retain(|consumer| !Arc::ptr_eq(&consumer.permits, &self.permits));
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
            return Err(Refusal::Retry("the consumer is stopping".to_owned()));
        };
        self.begun.track_future((self.handler)(message)).await
    }
}
