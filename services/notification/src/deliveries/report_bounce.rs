use api::notification::v1::{ReportBounceRequest, ReportBounceResponse};
use kernel::Fields;
use service::Caller;

use super::WRITE;
use crate::{Notification, bouncing, error::Error, report::MOST_BYTES};

/// Takes in a report about a mail that came back, or that its recipient complained of.
///
/// Rule: see [`bouncing::take_in`]; what is no report is answered as such.
/// Permission: the scope `deliveries.write`. Event: `notification.delivery.bounced.v1`.
pub(crate) async fn report_bounce(
    notification: &Notification,
    caller: &Caller,
    request: ReportBounceRequest,
) -> Result<ReportBounceResponse, Error> {
    let ReportBounceRequest { raw } = request;
    if raw.len() > MOST_BYTES {
        let mut fields = Fields::default();
        fields.reject("raw", "expected at most 1 MiB");
        return Err(Error::Invalid(fields));
    }
    if !caller.has_scope(WRITE) {
        return Err(Error::ScopeMissing(WRITE));
    }
    let (outcome, delivery) = bouncing::take_in(notification, &raw).await?;
    let delivery_id = delivery.map(|id| id.to_string()).unwrap_or_default();
    Ok(ReportBounceResponse { outcome: outcome.into(), delivery_id })
}

#[cfg(test)]
mod tests {
    use api::notification::v1::{
        AttemptOutcome, BounceOutcome, Delivery, DeliveryState, GetDeliveryRequest,
        ListDeliveriesRequest, ListSuppressionsRequest, RecordAttemptRequest,
        ResendDeliveryRequest, Suppression, SuppressionReason,
    };
    use testkit::Bench;

    use super::*;
    use crate::testing::{Caller, Stage, complaint, dsn, reason, record_of};

    testkit::on_both_databases!(
        a_mail_that_came_back_has_bounced_and_its_address_gets_no_more,
        a_full_mailbox_and_a_policy_suppress_nothing,
        what_is_delayed_or_arrived_after_all_is_noted_alone,
        forged_and_unknown_reports_change_nothing,
        what_an_admin_is_told_of_a_delivery_makes_no_report_that_counts,
        a_report_about_an_earlier_mail_is_overtaken,
        a_complaint_suppresses_the_address_and_leaves_the_delivery,
        a_mail_that_comes_back_before_its_record_has_bounced,
        a_record_and_a_report_meet_in_any_order,
        a_resend_and_a_report_meet_in_any_order,
        the_largest_report_is_taken_in_and_strangers_are_refused,
    );

    async fn report(stage: &Stage, raw: String) -> BounceOutcome {
        let mut mailer = stage.account("deliveries.write").deliveries();
        let request = ReportBounceRequest { raw: raw.into_bytes() };
        mailer.report_bounce(request).await.unwrap().into_inner().outcome()
    }

    async fn sent(stage: &Stage) -> Delivery {
        stage.attempt(&stage.wanted(), AttemptOutcome::Sent, "").await
    }

    async fn suppressions(stage: &Stage) -> Vec<Suppression> {
        let mut operator = stage.account("operations.manage").suppressions();
        let answer = operator.list_suppressions(ListSuppressionsRequest::default()).await;
        answer.unwrap().into_inner().suppressions
    }

    async fn now(stage: &Stage, delivery: &Delivery) -> (DeliveryState, String) {
        let found = stage.look_at(&delivery.id).await.delivery.unwrap();
        (found.state(), found.reason)
    }

    async fn a_mail_that_came_back_has_bounced_and_its_address_gets_no_more(bench: Bench) {
        let stage = Stage::set(bench).await;
        let delivery = sent(&stage).await;
        let raw = dsn(&delivery.message_id, "Ada@Example.com", "failed", "5.1.1");
        assert_eq!(report(&stage, raw.clone()).await, BounceOutcome::Bounced);
        assert_eq!(report(&stage, raw).await, BounceOutcome::Repeated);
        let found = stage.look_at(&delivery.id).await.delivery.unwrap();
        assert_eq!((found.state(), found.reason.as_str()), (DeliveryState::Bounced, "address"));
        assert_eq!(found.last_error, "550 5.1.1 what the server said");
        let told = [("sent", ""), ("bounced", "address")];
        let told: Vec<_> = told.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        assert_eq!(stage.told(&delivery.id).await, told);
        let list = suppressions(&stage).await;
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].email, "ada@example.com");
        assert_eq!(list[0].reason(), SuppressionReason::Bounced);
        assert_eq!(list[0].delivery_id, delivery.id);
        let next = stage.claim(&stage.wanted()).await.delivery.unwrap();
        assert_eq!((next.state(), next.reason.as_str()), (DeliveryState::Suppressed, "bounced"));
    }

    async fn a_full_mailbox_and_a_policy_suppress_nothing(bench: Bench) {
        let stage = Stage::set(bench).await;
        for (status, why) in [("5.2.2", "mailbox_full"), ("5.7.1", "policy"), ("4.4.7", "other")] {
            let delivery = sent(&stage).await;
            let raw = dsn(&delivery.message_id, "ada@example.com", "failed", status);
            assert_eq!(report(&stage, raw).await, BounceOutcome::Bounced);
            assert_eq!(now(&stage, &delivery).await, (DeliveryState::Bounced, why.to_owned()));
        }
        assert_eq!(suppressions(&stage).await, []);
    }

    async fn what_is_delayed_or_arrived_after_all_is_noted_alone(bench: Bench) {
        let stage = Stage::set(bench).await;
        let delivery = sent(&stage).await;
        for (action, status) in [("delayed", "4.4.1"), ("delivered", "2.0.0"), ("delayed", "5.1.1")]
        {
            let raw = dsn(&delivery.message_id, "ada@example.com", action, status);
            assert_eq!(report(&stage, raw).await, BounceOutcome::Noted);
        }
        assert_eq!(now(&stage, &delivery).await, (DeliveryState::Sent, String::new()));
        assert_eq!(suppressions(&stage).await, []);
    }

    async fn forged_and_unknown_reports_change_nothing(bench: Bench) {
        let stage = Stage::set(bench).await;
        let delivery = sent(&stage).await;
        let waiting = stage.attempt(&stage.wanted(), AttemptOutcome::Delayed, "timeout").await;
        let (known, id) = (delivery.message_id.as_str(), &delivery.id);
        let unknown = known.replace(id, &delivery.event_id);
        let elsewhere = known.replace('@', "@mx.");
        let later = format!("<{id}.2@usher>");
        let (ada, eve) = ("ada@example.com", "eve@example.com");
        use BounceOutcome::{Overtaken, Unknown, Unreadable};
        for (message_id, recipient, outcome) in [
            (known, eve, Unknown),
            (&unknown, ada, Unknown),
            (&elsewhere, ada, Overtaken),
            ("<hello@usher>", ada, Unknown),
            (&later, ada, Overtaken),
            (&waiting.message_id, ada, Overtaken),
        ] {
            let raw = dsn(message_id, recipient, "failed", "5.1.1");
            assert_eq!(report(&stage, raw).await, outcome, "{message_id}, {recipient}");
            let raw = complaint(message_id, recipient);
            assert_eq!(report(&stage, raw).await, outcome, "{message_id}, {recipient}");
        }
        for raw in [String::new(), "Subject: hello\r\n\r\nhello".to_owned(), "\0".repeat(100)] {
            assert_eq!(report(&stage, raw).await, Unreadable);
        }
        assert_eq!(now(&stage, &delivery).await.0, DeliveryState::Sent);
        assert_eq!(now(&stage, &waiting).await.0, DeliveryState::Queued);
        assert_eq!(suppressions(&stage).await, []);
    }

    async fn what_an_admin_is_told_of_a_delivery_makes_no_report_that_counts(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        let claim = stage.claim(&wanted).await;
        let known = claim.delivery.clone().unwrap().message_id;
        // The mail server names the mail in what it says, before it takes it.
        let mut mailer = stage.account("deliveries.write").deliveries();
        let delayed = RecordAttemptRequest {
            error: format!("451 4.7.1 {known} is to come again"),
            ..record_of(&claim, AttemptOutcome::Delayed, "delayed")
        };
        mailer.record_attempt(delayed).await.unwrap();
        let sent = stage.attempt(&wanted, AttemptOutcome::Sent, "").await;

        let told = async |who: &Caller| {
            let get = GetDeliveryRequest { id: sent.id.clone() };
            let got = who.deliveries().get_delivery(get).await.unwrap().into_inner();
            let organisation_id = stage.organisation.to_string();
            let list = ListDeliveriesRequest { organisation_id, ..Default::default() };
            let listed = who.deliveries().list_deliveries(list).await.unwrap().into_inner();
            format!("{got:?} {listed:?}")
        };
        let admin = stage.person();
        let told_admin = told(&admin).await;
        // Each id that they are told, in each form that a Message-ID has had.
        let is_of_id = |c: char| !(c.is_ascii_alphanumeric() || "-_.@".contains(c));
        let mut tried = 0;
        for word in told_admin.split(is_of_id).filter(|word| word.len() >= 36) {
            let domain = known.trim_end_matches('>').split_once('@').unwrap().1;
            for forged in [
                format!("<{word}>"),
                format!("<{word}@usher>"),
                format!("<{word}.1@usher>"),
                format!("<{word}@{domain}>"),
                format!("<{word}.@{domain}>"),
            ] {
                report(&stage, dsn(&forged, "ada@example.com", "failed", "5.1.1")).await;
                report(&stage, complaint(&forged, "ada@example.com")).await;
                tried += 1;
            }
        }
        assert!(tried >= 20, "{told_admin}");
        assert_eq!(now(&stage, &sent).await.0, DeliveryState::Sent);
        assert_eq!(suppressions(&stage).await, []);

        // Nor is whoever may send once more, and who runs the platform is.
        let resend = ResendDeliveryRequest { id: sent.id.clone(), force: true };
        stage.allow("deliveries.resend", stage.organisation);
        let resent = admin.deliveries().resend_delivery(resend).await.unwrap().into_inner();
        assert_eq!(resent.delivery.unwrap().message_id, "");
        let known = stage.attempt(&wanted, AttemptOutcome::Sent, "").await.message_id;
        let operator = stage.account("deliveries.read operations.manage");
        for (who, is_told) in [(&admin, 0), (&operator, 2)] {
            assert_eq!(told(who).await.matches(&known).count(), is_told);
        }
        stage.allow("operations.manage", kernel::Uuid::nil());
        assert!(told(&admin).await.contains(&known));
        let raw = dsn(&known, "ada@example.com", "failed", "5.1.1");
        assert_eq!(report(&stage, raw).await, BounceOutcome::Bounced);
    }

    async fn a_report_about_an_earlier_mail_is_overtaken(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        let first = stage.attempt(&wanted, AttemptOutcome::Sent, "").await;
        let request = ResendDeliveryRequest { id: first.id.clone(), force: true };
        let mut operator = stage.account("deliveries.resend").deliveries();
        operator.resend_delivery(request).await.unwrap();
        let raw = dsn(&first.message_id, "ada@example.com", "failed", "5.1.1");
        assert_eq!(report(&stage, raw.clone()).await, BounceOutcome::Overtaken);
        let second = stage.attempt(&wanted, AttemptOutcome::Sent, "").await;
        assert_eq!(report(&stage, raw).await, BounceOutcome::Overtaken);
        assert_eq!(now(&stage, &second).await.0, DeliveryState::Sent);
        assert_eq!(suppressions(&stage).await, []);
        let raw = dsn(&second.message_id, "ada@example.com", "failed", "5.1.1");
        assert_eq!(report(&stage, raw).await, BounceOutcome::Bounced);
    }

    async fn a_complaint_suppresses_the_address_and_leaves_the_delivery(bench: Bench) {
        let stage = Stage::set(bench).await;
        let delivery = sent(&stage).await;
        for _ in 0..2 {
            let raw = complaint(&delivery.message_id, "ada@example.com");
            assert_eq!(report(&stage, raw).await, BounceOutcome::Complained);
        }
        assert_eq!(now(&stage, &delivery).await.0, DeliveryState::Sent);
        let list = suppressions(&stage).await;
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].reason(), SuppressionReason::Complained);
    }

    async fn a_mail_that_comes_back_before_its_record_has_bounced(bench: Bench) {
        let stage = Stage::set(bench).await;
        let wanted = stage.wanted();
        let claim = stage.claim(&wanted).await;
        let delivery = claim.delivery.clone().unwrap();
        let raw = dsn(&delivery.message_id, "ada@example.com", "failed", "5.2.2");
        assert_eq!(report(&stage, raw).await, BounceOutcome::Bounced);
        let mut mailer = stage.account("deliveries.write").deliveries();
        let record = record_of(&claim, AttemptOutcome::Sent, "");
        for _ in 0..2 {
            let answer = mailer.record_attempt(record.clone()).await.unwrap().into_inner();
            assert_eq!(answer.delivery.unwrap().state(), DeliveryState::Bounced);
        }
        let attempts = stage.look_at(&delivery.id).await.attempts;
        assert_eq!(attempts[0].outcome(), AttemptOutcome::Sent);
        let told = [("bounced".to_owned(), "mailbox_full".to_owned())];
        assert_eq!(stage.told(&delivery.id).await, told);

        // Sent once more before the record: that comes too late.
        let request = ResendDeliveryRequest { id: delivery.id.clone(), force: false };
        let mut operator = stage.account("deliveries.resend").deliveries();
        operator.resend_delivery(request).await.unwrap();
        assert_eq!(reason(mailer.record_attempt(record).await), "CLAIM_LOST");
    }

    async fn a_record_and_a_report_meet_in_any_order(bench: Bench) {
        let stage = Stage::set(bench).await;
        for _ in 0..20 {
            let claim = stage.claim(&stage.wanted()).await;
            let delivery = claim.delivery.clone().unwrap();
            let raw = dsn(&delivery.message_id, "ada@example.com", "failed", "5.2.2");
            let mut mailer = stage.account("deliveries.write").deliveries();
            let record = record_of(&claim, AttemptOutcome::Sent, "");
            let (recorded, reported) =
                tokio::join!(mailer.record_attempt(record), report(&stage, raw));
            assert_eq!(reason(recorded), "OK");
            assert_eq!(reported, BounceOutcome::Bounced);
            assert_eq!(now(&stage, &delivery).await.0, DeliveryState::Bounced);
            let attempts = stage.look_at(&delivery.id).await.attempts;
            assert_eq!(attempts[0].outcome(), AttemptOutcome::Sent);
            assert_eq!(stage.told(&delivery.id).await.last().unwrap().0, "bounced");
        }
    }

    async fn a_resend_and_a_report_meet_in_any_order(bench: Bench) {
        let stage = Stage::set(bench).await;
        for _ in 0..20 {
            let delivery = sent(&stage).await;
            let raw = dsn(&delivery.message_id, "ada@example.com", "failed", "5.2.2");
            let mut operator = stage.account("deliveries.resend").deliveries();
            let request = ResendDeliveryRequest { id: delivery.id.clone(), force: true };
            let (resent, reported) =
                tokio::join!(operator.resend_delivery(request), report(&stage, raw));
            assert_eq!(reason(resent), "OK");
            // Before it, or too late for it; the mail that goes out now has not bounced.
            let expected = [BounceOutcome::Bounced, BounceOutcome::Overtaken];
            assert!(expected.contains(&reported), "{reported:?}");
            let found = stage.look_at(&delivery.id).await.delivery.unwrap();
            assert_eq!((found.state(), found.generation), (DeliveryState::Queued, 2));
            assert_eq!(stage.told(&delivery.id).await.last().unwrap().0, "queued");
        }
    }

    async fn the_largest_report_is_taken_in_and_strangers_are_refused(bench: Bench) {
        let stage = Stage::set(bench).await;
        let large = ReportBounceRequest { raw: vec![b' '; MOST_BYTES - 1_000] };
        let mut mailer = stage.account("deliveries.write").deliveries();
        let answer = mailer.report_bounce(large).await.unwrap().into_inner();
        assert_eq!(answer.outcome(), BounceOutcome::Unreadable);
        for stranger in [stage.account("deliveries.read"), stage.person()] {
            let refused = stranger.deliveries().report_bounce(ReportBounceRequest::default()).await;
            assert_eq!(reason(refused), "SCOPE_MISSING");
        }
    }
}
