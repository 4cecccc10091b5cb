use std::sync::Arc;

use db::{DbErr, Transaction};
use kernel::{Time, Uuid};
use service::Timer;

use super::publish;
use crate::{
    Notification,
    domain::delivery::{CLAIM_GRACE, CRASH_LOOP, LOST_AFTER, Reason},
    entity::{
        attempt,
        delivery::{self, BATCH, Model, State},
    },
};

/// Looks after deliveries whose message must be gone: a queue was emptied, or a broker was set up anew.
///
/// Rule: a worker's claim lapsed longer ago than a broker waits for it, or the next attempt should have
/// begun an hour ago: what asked for the mail is put on its way again, once. Nobody having begun with
/// that for a day, or what asked for it being unknown, the delivery has failed as lost, and an operator
/// may send it once more. Should the message turn up after all, there is still one mail: whoever claims
/// the delivery first sends it.
/// Event: `notification.delivery.queued.v1`, which becomes the mail, or `….failed.v1`.
pub(crate) fn timer(notification: Arc<Notification>) -> Timer {
    Timer::new("notification.lost-deliveries", move || {
        let notification = notification.clone();
        Box::pin(async move { recover(&notification).await })
    })
}

/// One batch of them; answers whether there may be more.
pub(crate) async fn recover(notification: &Notification) -> Result<bool, DbErr> {
    let now = notification.clock.now();
    let overdue = delivery::overdue(notification.database.read(), now).await?;
    for id in &overdue {
        look_after(notification, *id, now).await?;
    }
    Ok(overdue.len() == BATCH)
}

async fn look_after(notification: &Notification, id: Uuid, now: Time) -> Result<(), DbErr> {
    let tx = notification.database.begin().await?;
    let Some(mut row) = delivery::hold(&tx, id).await? else { return Ok(()) };
    // Another instance was faster, or it goes on by itself.
    if row.state.is_final() || row.overdue_at.is_some_and(|at| at > now) {
        return Ok(());
    }
    let mut has_turned = false;
    let held_until = row.claim_expires_at.map(|at| at + CLAIM_GRACE);
    if let Some(at) = held_until.filter(|at| *at > now) {
        row.overdue_at = Some(at);
    } else if row.overdue_at.is_none() {
        // An older version has written it, and does not say since when it waits.
        row.overdue_at = Some(now + LOST_AFTER);
    } else {
        turn(&tx, &mut row, now).await?;
        publish(&tx, notification, &row).await?;
        tracing::warn!(delivery_id = %row.id, reason = row.reason, "a delivery's message is gone");
        has_turned = true;
    }
    delivery::save(&tx, row.clone()).await?;
    tx.commit().await?;

    if has_turned {
        notification.instruments.delivery(&row);
    }
    Ok(())
}

/// What becomes of a delivery whose message is gone.
async fn turn(tx: &Transaction, row: &mut Model, now: Time) -> Result<(), DbErr> {
    let was_recovered = row.reason == Reason::Recovered.as_str();
    if row.state == State::Sending {
        attempt::lose(tx, row, now).await?;
        row.claim_id = None;
        row.losses += 1;
    }
    if row.losses >= CRASH_LOOP {
        row.turn(State::Failed, Reason::CrashLoop, now);
    } else if was_recovered || row.cause_payload.is_none() {
        row.turn(State::Failed, Reason::Lost, now);
    } else {
        row.turn(State::Queued, Reason::Recovered, now);
        row.overdue_at = Some(now + LOST_AFTER);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use api::notification::v1::{
        AttemptOutcome, ClaimDeliveryRequest, DeliveryState, ResendDeliveryRequest,
    };
    use kernel::Duration;
    use sea_orm::{ActiveValue::Set, ConnectionTrait as _, EntityTrait as _, QueryTrait as _};
    use testkit::Bench;

    use super::*;
    use crate::{
        domain::delivery::{CLAIM_LIFETIME, QUEUE_GRACE},
        testing::{Stage, record_of},
    };

    testkit::on_both_databases!(
        what_a_worker_left_behind_is_put_on_its_way_again_once,
        what_was_delayed_has_until_an_hour_after_its_next_attempt,
        what_was_sent_once_more_and_got_lost_is_found,
        what_nobody_begins_with_again_is_lost_and_told_and_still_one_mail_when_it_turns_up,
        what_cannot_be_put_on_its_way_is_lost_at_once,
        what_makes_every_worker_crash_ends_as_such,
        what_an_older_version_wrote_gets_its_time,
        what_is_held_or_over_is_left_alone,
        the_states_stand_in_the_query_as_they_do_in_its_index,
    );

    const SECOND: Duration = Duration::seconds(1);

    fn pair(state: &str, reason: &str) -> (String, String) {
        (state.to_owned(), reason.to_owned())
    }

    /// What is told of a delivery one second before a time has passed, and when it has.
    async fn around(stage: &Stage, id: &str, time: Duration) -> [Vec<(String, String)>; 2] {
        stage.pass(time - SECOND);
        recover(&stage.notification).await.unwrap();
        let before = stage.told(id).await;
        stage.pass(SECOND);
        recover(&stage.notification).await.unwrap();
        [before, stage.told(id).await]
    }

    async fn what_a_worker_left_behind_is_put_on_its_way_again_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        let claim = stage.claim(&wanted).await;
        let id = claim.delivery.as_ref().unwrap().id.clone();
        stage.pass(CLAIM_LIFETIME + CLAIM_GRACE - SECOND);
        recover(&stage.notification).await.unwrap();
        assert_eq!(stage.told(&id).await, []);
        stage.pass(SECOND);
        let runs = testkit::race(20, |_| {
            let notification = stage.notification.clone();
            async move { recover(&notification).await }
        });
        assert!(runs.await.into_iter().all(|run| run.is_ok()));
        assert_eq!(stage.told(&id).await, [pair("queued", "recovered")]);
        let found = stage.look_at(&id).await;
        assert_eq!(found.attempts[0].outcome(), AttemptOutcome::Lost);
        assert_eq!(found.delivery.unwrap().state(), DeliveryState::Queued);
        // Its record comes too late.
        let mut mailer = stage.account("deliveries.write").deliveries();
        let late = mailer.record_attempt(record_of(&claim, AttemptOutcome::Sent, "")).await;
        assert_eq!(crate::testing::reason(late), "CLAIM_LOST");
        let sent = stage.attempt(&wanted, AttemptOutcome::Sent, "").await;
        assert_eq!((sent.id.as_str(), sent.generation), (id.as_str(), 1), "the same mail");
    }

    async fn what_was_delayed_has_until_an_hour_after_its_next_attempt(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        for step in [5, 60, 300, 1_800, 7_200, 18_000, 36_000] {
            let delayed = stage.attempt(&wanted, AttemptOutcome::Delayed, "delayed").await;
            let told = stage.told(&delayed.id).await;
            let wait = Duration::seconds(step) + QUEUE_GRACE;
            let [before, after] = around(&stage, &delayed.id, wait).await;
            assert_eq!(before, told, "after a step of {step} s");
            assert_eq!(after.len(), told.len() + 1, "after a step of {step} s");
            assert_eq!(after.last(), Some(&pair("queued", "recovered")));
        }
    }

    async fn what_was_sent_once_more_and_got_lost_is_found(bench: Bench) {
        let stage = Stage::set(bench).await;
        let failed = stage.attempt(&stage.wanted(), AttemptOutcome::Failed, "refused").await;
        let request = ResendDeliveryRequest { id: failed.id.clone(), force: false };
        let mut operator = stage.account("deliveries.resend").deliveries();
        operator.resend_delivery(request).await.unwrap();
        let [before, after] = around(&stage, &failed.id, QUEUE_GRACE).await;
        assert_eq!(before, [pair("failed", "refused"), pair("queued", "resent")]);
        assert_eq!(after[2..], [pair("queued", "recovered")]);
    }

    async fn what_nobody_begins_with_again_is_lost_and_told_and_still_one_mail_when_it_turns_up(
        bench: Bench,
    ) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        let delivery = stage.claim(&wanted).await.delivery.unwrap();
        stage.pass(CLAIM_LIFETIME + CLAIM_GRACE);
        recover(&stage.notification).await.unwrap();
        let [before, after] = around(&stage, &delivery.id, LOST_AFTER).await;
        assert_eq!(before, [pair("queued", "recovered")]);
        assert_eq!(after, [pair("queued", "recovered"), pair("failed", "lost")]);

        // Its queue was not empty after all.
        let sent = stage.attempt(&wanted, AttemptOutcome::Sent, "").await;
        assert_eq!(sent.state(), DeliveryState::Sent);
        assert_eq!(sent.message_id, delivery.message_id, "a server may know the mail");
        assert_eq!(stage.claim(&wanted).await.claim_id, "");
    }

    async fn what_cannot_be_put_on_its_way_is_lost_at_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        let untold = ClaimDeliveryRequest { cause_routing_key: String::new(), ..stage.wanted() };
        let id = stage.claim(&untold).await.delivery.unwrap().id;
        let [before, after] = around(&stage, &id, CLAIM_LIFETIME + CLAIM_GRACE).await;
        assert_eq!((before, after), (vec![], vec![pair("failed", "lost")]));
    }

    async fn what_makes_every_worker_crash_ends_as_such(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        let mut id = String::new();
        for _ in 0..CRASH_LOOP {
            id = stage.claim(&wanted).await.delivery.unwrap().id;
            stage.pass(CLAIM_LIFETIME + CLAIM_GRACE);
            recover(&stage.notification).await.unwrap();
        }
        assert_eq!(stage.told(&id).await.last(), Some(&pair("failed", "crash_loop")));
        assert_eq!(stage.claim(&wanted).await.claim_id, "");
    }

    async fn what_an_older_version_wrote_gets_its_time(bench: Bench) {
        let stage = Stage::set(bench).await;
        let delivery = stage.claim(&stage.wanted()).await.delivery.unwrap();
        let older = delivery::ActiveModel {
            id: Set(delivery.id.parse().unwrap()),
            overdue_at: Set(None),
            // Its claim has lapsed as long ago: whoever looks first, the service's own timer or this
            // test, looks after it.
            claim_expires_at: Set(Some(stage.bench.infra.clock.now() - CLAIM_GRACE)),
            ..Default::default()
        };
        let database = stage.notification.database.read();
        delivery::Entity::update(older).exec(database).await.unwrap();
        recover(&stage.notification).await.unwrap();
        let [before, after] = around(&stage, &delivery.id, LOST_AFTER).await;
        assert_eq!((before, after), (vec![], vec![pair("queued", "recovered")]));
    }

    async fn what_is_held_or_over_is_left_alone(bench: Bench) {
        let stage = Stage::set(bench).await;
        let sent = stage.attempt(&stage.wanted(), AttemptOutcome::Sent, "").await;
        let failed = stage.attempt(&stage.wanted(), AttemptOutcome::Failed, "refused").await;
        let held = stage.claim(&stage.wanted()).await.delivery.unwrap();
        // A claim that was made longer holds longer.
        let until = stage.bench.infra.clock.now() + Duration::hours(3);
        let longer = delivery::ActiveModel {
            id: Set(held.id.parse().unwrap()),
            claim_expires_at: Set(Some(until)),
            ..Default::default()
        };
        let database = stage.notification.database.read();
        delivery::Entity::update(longer).exec(database).await.unwrap();
        let [before, after] = around(&stage, &held.id, Duration::hours(3) + CLAIM_GRACE).await;
        assert_eq!((before, after), (vec![], vec![pair("queued", "recovered")]));
        assert_eq!(stage.told(&sent.id).await, [pair("sent", "")]);
        assert_eq!(stage.told(&failed.id).await, [pair("failed", "refused")]);
    }

    /// As parameters they would be no reason for a planner to use the index (seen on SQLite).
    async fn the_states_stand_in_the_query_as_they_do_in_its_index(bench: Bench) {
        let stage = Stage::set(bench).await;
        let tx = stage.notification.database.begin().await.unwrap();
        let query = delivery::overdue_rows(stage.bench.infra.clock.now());
        let sql = query.build(tx.get_database_backend()).sql;
        assert!(sql.contains("IN ('queued', 'sending')"), "{sql}");
    }
}
