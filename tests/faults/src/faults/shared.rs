use std::collections::BTreeSet;

use futures::{StreamExt as _, stream};
use lapin::{
    Channel,
    options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};

use super::{
    OFF,
    unbound::{EXCHANGE, KEY, channel_to},
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
    let channel = channel_to(&scene.platform.bus).await;
    let tap = tap(&channel).await;
    let ledger = Ledger::default();
    let inviting = stream::iter(0..invitations);
    inviting.for_each_concurrent(AT_ONCE, |_| scene.invite(&ledger)).await;
    let load = format!("{invitations} in all");
    let outcome = scene.drain("outbox shared by two relays", &load, &ledger).await;

    let mut events = Vec::new();
    while let Some(event) = next(&channel, &tap).await {
        events.push(event);
    }
    let published = events.iter().collect::<BTreeSet<_>>().len();
    Outcome {
        times: 1,
        lost: outcome.acknowledged.saturating_sub(published),
        duplicates: events.len() - published,
        ..outcome
    }
}

/// A queue of the test's own that gets every event about a new invitation.
async fn tap(channel: &Channel) -> ShortString {
    let (options, none) = (QueueDeclareOptions::default(), FieldTable::default());
    let options = QueueDeclareOptions { exclusive: true, ..options };
    let queue = channel.queue_declare("".into(), options, none.clone()).await.expect("a queue");
    let (name, options) = (queue.name().clone(), QueueBindOptions::default());
    let bound = channel.queue_bind(name.clone(), EXCHANGE.into(), KEY.into(), options, none);
    bound.await.expect("it is bound");
    name
}

/// The identifier of the next event in a queue.
async fn next(channel: &Channel, queue: &ShortString) -> Option<ShortString> {
    let options = BasicGetOptions { no_ack: true };
    let got = channel.basic_get(queue.clone(), options).await.expect("the queue is there");
    Some(got?.delivery.properties.message_id().clone().expect("an event's identifier"))
}
