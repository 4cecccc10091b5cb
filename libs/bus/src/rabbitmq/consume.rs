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
use tokio_util::sync::CancellationToken;

use super::{Link, PATIENCE, RabbitMq, label, publish, topology};
use crate::{Handler, Message, Queue, Refusal};

impl RabbitMq {
    /// Consumes, and begins again for ever after a loss, with growing and jittered pauses.
    pub(crate) async fn consume(&self, queue: Queue, handler: Handler, stop: CancellationToken) {
        let mut pause = Duration::from_millis(100);
        while !stop.is_cancelled() {
            let begun = tokio::time::Instant::now();
            match self.consume_once(&queue, &handler, &stop).await {
                Ok(()) => tracing::info!(queue = queue.name, "the broker ended the consumer"),
                Err(error) => {
                    tracing::warn!(queue = queue.name, %error, "the consumer lost the broker")
                }
            }
            if begun.elapsed() > Duration::from_secs(30) {
                pause = Duration::from_millis(100);
            }
            let jittered = pause.mul_f64(rand::random_range(0.5..1.5));
            let _ = tokio::time::timeout(jittered, stop.cancelled()).await;
            pause = (pause * 2).min(Duration::from_secs(15));
        }
    }

    async fn consume_once(
        &self,
        queue: &Queue,
        handler: &Handler,
        stop: &CancellationToken,
    ) -> lapin::Result<()> {
        let link = self.connect(queue.name).await?;
        let channel = &link.channel;
        topology::declare_queue(channel, queue, &self.steps).await?;
        channel.basic_qos(queue.concurrency, BasicQosOptions::default()).await?;
        let deliveries = channel
            .basic_consume(
                queue.name.into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        tracing::info!(queue = queue.name, "consuming");
        let tag = deliveries.tag();
        // The stream ends with the channel, or when `stop` cancels the consumer; either way what is
        // being handled is finished first. An acknowledgement on a dead channel fails, and then the
        // message comes again.
        let handling = deliveries.for_each_concurrent(usize::from(queue.concurrency), async |it| {
            let outcome = match it {
                Ok(delivery) => self.handle(&link, queue, handler, delivery).await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                tracing::warn!(queue = queue.name, %error, "a message was not acknowledged");
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
            let _ =
                tokio::time::timeout(PATIENCE, link.connection.close(200, "stopping".into())).await;
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
        let Delivery { properties, data, acker, .. } = delivery;
        let kept = match publish::read(&properties, data.clone()) {
            None => set_aside(link, queue, properties, &data).await,
            Some(message) => match handler(message.clone()).await {
                Ok(()) => Ok(()),
                Err(refusal) => self.keep_for_later(link, queue, message, refusal).await,
            },
        };
        if let Err(error) = kept {
            let _ = acker.nack(BasicNackOptions { requeue: true, multiple: false }).await;
            return Err(error);
        }
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
        let step = match refusal {
            Refusal::Retry(_) => self.steps.after(message.attempt),
            Refusal::Reject(_) => None,
        };
        let (target, why) = match step {
            Some(step) => (topology::delayed(queue.name, step), None),
            None => (topology::dead_letters(queue.name), Some(refusal.to_string())),
        };
        tracing::warn!(queue = queue.name, message = label(&message), %refusal, %target, "refused");
        let next = Message { attempt: message.attempt + 1, ..message };
        let _turn = link.turn.lock().await;
        let sent = publish::send(&link.channel, "", &target, &next, why.as_deref()).await?;
        confirmed(sent.await?)
    }
}

/// Keeps a message that is not one of ours as it is, with the dead letters.
async fn set_aside(
    link: &Link,
    queue: &Queue,
    properties: BasicProperties,
    payload: &[u8],
) -> lapin::Result<()> {
    tracing::error!(queue = queue.name, "a message without our headers was set aside");
    let target = topology::dead_letters(queue.name);
    let options = lapin::options::BasicPublishOptions { mandatory: true, ..Default::default() };
    let _turn = link.turn.lock().await;
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
