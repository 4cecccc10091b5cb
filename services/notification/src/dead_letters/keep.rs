use api::{
    notification::v1::{DeadLetterKept, DeliveryChanged, DeliveryState},
    organisation::v1::InvitationCreated,
};
use bus::{DeadLetter, Message};
use db::{DbErr, Transaction};
use kernel::{Duration, Time, parse_id};
use prost::Message as _;

use crate::{
    Notification,
    deliveries::publish,
    domain::delivery::Reason,
    entity::{
        attempt,
        dead_letter::{self, Model, State},
        delivery::{self, Model as Delivery, State as DeliveryStands},
    },
};

/// The longest error that is kept, in characters.
const LONGEST: usize = 500;

/// How the queues begin whose messages become mails, and the event of one that is sent once more.
const MAILER: &str = "mailer.";
const QUEUED: &str = "notification.delivery.queued.v1";
/// How the events begin that become mails about invitations.
const INVITATION: &str = "organisation.invitation.";

/// Keeps what a consumer of whichever service gave up, until an operator decides.
///
/// Rule: a message that a queue gave up is kept once, however often it is told; given up again after
/// a replay, it waits again. Nobody waits for the mail that such a message was to become: its delivery
/// has failed as `set_aside` unless somebody is at it, and so has the mail of an invitation that no
/// delivery came of.
/// Event: `notification.dead_letter.kept.v1`; `notification.delivery.failed.v1`.
pub(crate) async fn keep(notification: &Notification, dead: DeadLetter) -> Result<(), String> {
    let DeadLetter { queue, ground, error, message } = dead;
    let now = notification.clock.now();
    let error = error.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    let row = Model {
        id: notification.clock.new_id(),
        event_id: None,
        queue,
        ground: ground.as_str().to_owned(),
        error,
        routing_key: String::new(),
        source: String::new(),
        subject: None,
        time: None,
        payload: Vec::new(),
        traceparent: None,
        attempts: 0,
        state: State::Waiting,
        decided_by: None,
        created_at: now,
        updated_at: now,
    };
    let row = match &message {
        Ok(message) => of_ours(row, message.clone()),
        Err(payload) => Model { payload: payload.clone(), ..row },
    };
    let told = (row.queue.clone(), row.event_id);
    let kept = write(notification, row, message.ok(), now).await;
    let ended = kept.map_err(|error| error.to_string())?;
    tracing::error!(queue = told.0, event_id = ?told.1, ground = ground.as_str(), "a dead letter");
    ended.iter().for_each(|row| notification.instruments.delivery(row));
    Ok(())
}

/// Forgets what was decided 30 days ago.
pub(crate) async fn prune(notification: &Notification) -> Result<(), DbErr> {
    let until = notification.clock.now() - Duration::days(30);
    dead_letter::prune(notification.database.read(), until).await
}

fn of_ours(row: Model, message: Message) -> Model {
    Model {
        event_id: Some(message.id),
        routing_key: message.routing_key,
        source: message.source,
        subject: Some(message.subject),
        time: Some(message.time),
        payload: message.payload,
        traceparent: message.traceparent,
        attempts: i32::try_from(message.attempt).unwrap_or(i32::MAX),
        ..row
    }
}

/// Writes it with what follows from it; answers the deliveries that it ends.
async fn write(
    notification: &Notification,
    row: Model,
    message: Option<Message>,
    now: Time,
) -> Result<Vec<Delivery>, DbErr> {
    let tx = notification.database.begin().await?;
    let kept = DeadLetterKept {
        event_id: row.event_id.map(|id| id.to_string()).unwrap_or_default(),
        queue: row.queue.clone(),
        ground: super::ground(&row.ground).into(),
        r#type: row.routing_key.clone(),
    };
    let (subject, was_for_a_mail) = (row.event_id.unwrap_or(row.id), row.queue.starts_with(MAILER));
    if !dead_letter::keep(&*tx, row).await? {
        return Ok(Vec::new());
    }
    let key = "notification.dead_letter.kept.v1";
    service::announce(&tx, &notification.clock, key, subject, &kept).await?;
    let ended = match message.filter(|_| was_for_a_mail) {
        Some(message) => end(notification, &tx, &message, now).await?,
        None => Vec::new(),
    };
    tx.commit().await?;
    Ok(ended)
}

/// Ends the deliveries that wait for a message. What somebody holds is theirs to record.
async fn end(
    notification: &Notification,
    tx: &Transaction,
    message: &Message,
    now: Time,
) -> Result<Vec<Delivery>, DbErr> {
    let rows = if message.routing_key == QUEUED {
        Vec::from_iter(delivery::hold(tx, message.subject).await?)
    } else {
        delivery::hold_of_event(tx, message.id).await?
    };
    if rows.is_empty() && message.routing_key.starts_with(INVITATION) {
        tell_of_invitation(notification, tx, message, now).await?;
    }
    let mut ended = Vec::new();
    for mut row in rows {
        if row.state.is_final() || row.held_for(now).is_some() {
            continue;
        }
        if row.state == DeliveryStands::Sending {
            attempt::lose(tx, &row, now).await?;
        }
        row.turn(DeliveryStands::Failed, Reason::SetAside, now);
        delivery::save(tx, row.clone()).await?;
        publish(tx, notification, &row).await?;
        ended.push(row);
    }
    Ok(ended)
}

/// The mail about an invitation has failed before there was a delivery. What cannot be read does not
/// say which issue it was about; which invitation, the message says outside.
async fn tell_of_invitation(
    notification: &Notification,
    tx: &Transaction,
    message: &Message,
    now: Time,
) -> Result<(), DbErr> {
    // The events of invitations have the same fields.
    let read = InvitationCreated::decode(message.payload.as_slice()).ok();
    let read = read.filter(|it| parse_id(&it.invitation_id) == Ok(message.subject));
    let InvitationCreated { invitation_id: _, organisation_id, issue } = read.unwrap_or_default();
    let event = DeliveryChanged {
        delivery_id: String::new(),
        event_id: message.id.to_string(),
        organisation_id,
        invitation_id: message.subject.to_string(),
        access_request_id: String::new(),
        state: DeliveryState::Failed.into(),
        reason: Reason::SetAside.as_str().to_owned(),
        issue: issue.max(0),
        changed_at: Some(api::timestamp(now)),
        version: 0,
    };
    let key = "notification.delivery.failed.v1";
    service::publish(tx, &notification.clock, key, message.subject, &event).await
}
