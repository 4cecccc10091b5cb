use std::{sync::Arc, time::Duration};

use bus::{Handler, Queue, Refusal, RetrySteps};
use db::{
    Database, DbErr,
    attempts::{self, Refused},
};
use kernel::{Clock, Uuid};

use crate::deadline;

/// What counting may take, a broken connection included.
const PATIENCE: Duration = Duration::from_secs(15);

/// Counts the attempts of a module's consumers in its database.
#[derive(Clone)]
pub(crate) struct Attempts {
    pub(crate) database: Database,
    pub(crate) clock: Clock,
    pub(crate) steps: RetrySteps,
}

impl Attempts {
    /// The same handler, whose refusals are counted: they say which attempt it was, whatever the bus
    /// believes. While the database is away the bus counts alone.
    pub(crate) fn counting(self, queue: Queue, handler: Handler) -> Handler {
        let this = Arc::new(self);
        Arc::new(move |message| {
            let (this, event, is_replayed) = (this.clone(), message.id, message.queue.is_some());
            let handling = handler(message);
            Box::pin(async move {
                match handling.await {
                    Ok(()) => Ok(()),
                    Err(refusal) => Err(this.count(queue, event, is_replayed, refusal).await),
                }
            })
        })
    }

    async fn count(
        &self,
        queue: Queue,
        event_id: Uuid,
        is_replayed: bool,
        refusal: Refusal,
    ) -> Refusal {
        let (why, for_good) = match &refusal {
            Refusal::Retry(why) | Refusal::Counted(_, why) => (why, false),
            Refusal::Later(..) => return refusal,
            Refusal::Reject(why) => (why, true),
        };
        let refused = Refused { consumer: queue.name, event_id, for_good, is_replayed, why };
        let counting =
            attempts::count(&self.database, refused, self.steps.0.len(), self.clock.now());
        let late = || Err(DbErr::Custom("it took longer than 15 s".to_owned()));
        let counted = deadline::within(PATIENCE, counting).await.unwrap_or_else(late);
        match (counted, refusal) {
            (Ok(attempt), Refusal::Retry(why) | Refusal::Counted(_, why)) => {
                Refusal::Counted(attempt, why)
            }
            (Ok(_), refusal @ (Refusal::Later(..) | Refusal::Reject(_))) => refusal,
            (Err(error), refusal) => {
                tracing::warn!(queue = queue.name, %event_id, %error, "an attempt was not counted");
                refusal
            }
        }
    }
}
