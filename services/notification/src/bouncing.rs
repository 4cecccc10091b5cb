//! What a report about a mail leads to, however it came in.

use api::notification::v1::BounceOutcome;
use db::DbErr;
use kernel::Uuid;

use crate::{
    Notification,
    deliveries::publish,
    domain::{
        bounce::Verdict,
        delivery::{bare, delivery_of},
    },
    entity::{
        delivery::{self, Model, State},
        suppression,
    },
    report,
};

/// Takes in a report, as it was received; answers the delivery that it is about, too.
///
/// Rule: reports can be forged, so one changes something only if it names the whole `Message-ID` of a
/// mail that was sent, which its recipient alone has seen, and that recipient. One about an earlier mail
/// of the delivery is overtaken. Taking a report in twice is once. Every report is counted.
/// Event: `notification.delivery.bounced.v1`.
pub(crate) async fn take_in(
    notification: &Notification,
    raw: &[u8],
) -> Result<(BounceOutcome, Option<Uuid>), DbErr> {
    let (outcome, row) = judge(notification, raw).await?;
    let name = outcome.as_str_name().trim_start_matches("BOUNCE_OUTCOME_").to_lowercase();
    notification.instruments.report(name);
    if let (BounceOutcome::Bounced, Some(row)) = (outcome, &row) {
        notification.instruments.delivery(row);
    }
    let id = row.map(|row| row.id);
    // The words of a report are a stranger's: they are in the delivery, and nowhere else.
    tracing::info!(outcome = outcome.as_str_name(), delivery_id = ?id, "a report was taken in");
    Ok((outcome, id))
}

async fn judge(
    notification: &Notification,
    raw: &[u8],
) -> Result<(BounceOutcome, Option<Model>), DbErr> {
    let Some(report) = report::parse(raw) else { return Ok((BounceOutcome::Unreadable, None)) };
    let Some(id) = delivery_of(&report.message_id) else {
        return Ok((BounceOutcome::Unknown, None));
    };
    let now = notification.clock.now();

    let tx = notification.database.begin().await?;
    let Some(mut row) = delivery::hold(&tx, id).await? else {
        return Ok((BounceOutcome::Unknown, None));
    };
    let Some(verdict) = report.verdict(&row.recipient) else {
        return Ok((BounceOutcome::Unknown, None));
    };
    let outcome = weigh(&row, &report.message_id, &verdict);
    let suppresses = match (outcome, verdict) {
        (BounceOutcome::Bounced, Verdict::Bounced { reason, suppresses, words }) => {
            row.turn(State::Bounced, reason, now);
            row.last_error = words;
            delivery::save(&tx, row.clone()).await?;
            publish(&tx, notification, &row).await?;
            suppresses.then_some(suppression::Reason::Bounced)
        }
        (BounceOutcome::Complained, _) => Some(suppression::Reason::Complained),
        _ => None,
    };
    if let Some(reason) = suppresses {
        let id = notification.clock.new_id();
        suppression::of_delivery(&tx, &row, id, reason, now).await?;
    }
    tx.commit().await?;
    Ok((outcome, Some(row)))
}

/// What a report of a mail may lead to, as its delivery stands.
fn weigh(row: &Model, message_id: &str, verdict: &Verdict) -> BounceOutcome {
    if bare(&row.message_id) != bare(message_id) {
        return BounceOutcome::Overtaken;
    }
    match (verdict, row.state) {
        (Verdict::Noted, _) => BounceOutcome::Noted,
        (Verdict::Bounced { .. }, State::Sending | State::Sent) => BounceOutcome::Bounced,
        (Verdict::Bounced { .. }, State::Bounced) => BounceOutcome::Repeated,
        (Verdict::Complained, State::Sending | State::Sent) => BounceOutcome::Complained,
        (_, State::Queued | State::Failed | State::Suppressed | State::Bounced) => {
            BounceOutcome::Overtaken
        }
    }
}
