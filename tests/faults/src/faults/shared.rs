use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use futures::{StreamExt as _, stream};
use lapin::{
    Channel,
    options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};

use super::{
    OFF,
    unbound::{EXCHANGE, KEY, QUEUE, channel_to},
};
use crate::{load::Ledger, outcome::Outcome, scene::Scene};

/// How many invite at once.
const AT_ONCE: usize = 16;

/// Lets two organisation services take the events of one outbox to the broker.
///
/// Each event goes there once: its relay claims it. Without the claim's lease the other would publish it,
/// too, and each again and again. Counted here are events at the exchange, not mails.
pub async fn share_an_outbox(invitations: usize, off: &str) -> Outcome {
    let mut scene = Scene::set().await;
    scene.restart("organisation", &[(OFF, off)]).await;
    let _second = scene.platform.start_another("organisation", &[(OFF, off)]).await;
    scene.until_bound(QUEUE).await;
    let channel = channel_to(&scene.platform.bus).await;
    let events = tap(&channel).await;
    let ledger = Ledger::default();
    let inviting = stream::iter(0..invitations);
    inviting.for_each_concurrent(AT_ONCE, |_| scene.invite(&ledger)).await;
    let load = format!("{invitations} in all");
    let outcome = scene.drain("outbox shared by two relays", &load, &ledger).await;

    let events = events.lock().expect("the events").clone();
    let published = events.iter().collect::<BTreeSet<_>>().len();
    Outcome {
        times: 1,
        lost: outcome.acknowledged.saturating_sub(published),
        duplicates: events.len() - published,
        ..outcome
    }
}

/// The identifiers of all events about new invitations from now on, as they come to a queue of the
/// trial's own.
async fn tap(channel: &Channel) -> Arc<Mutex<Vec<ShortString>>> {
    let none = FieldTable::default();
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    let queue = channel.queue_declare("".into(), options, none.clone()).await.expect("a queue");
    let (name, options) = (queue.name().clone(), QueueBindOptions::default());
    let bound =
        channel.queue_bind(name.clone(), EXCHANGE.into(), KEY.into(), options, none.clone());
    bound.await.expect("it is bound");
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut coming = channel.basic_consume(name, "".into(), options, none).await.expect("it comes");
    let events = Arc::<Mutex<Vec<_>>>::default();
    let kept = events.clone();
    tokio::spawn(async move {
        while let Some(Ok(event)) = coming.next().await {
            let id = event.properties.message_id().clone().expect("an event's identifier");
            kept.lock().expect("the events").push(id);
        }
    });
    events
}
