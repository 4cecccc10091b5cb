use api::notification::v1::{UnsubscribeRequest, UnsubscribeResponse};

use crate::{
    Notification,
    entity::{
        delivery,
        suppression::{self, Reason},
    },
    error::Error,
};

/// Stops the reminders to the address that one went to.
///
/// The token is the credential (RFC 8058): whoever has it can read the address's mails, and it is good
/// for nothing else. It has no end, and is good in every generation of its delivery, for a mail may be
/// read years later.
///
/// Rule: every other mail goes there still. Doing it again changes nothing, and neither does it of an
/// address that is on the list for a stronger reason. What is only validated changes nothing either.
/// Permission: none. Event: none.
pub(crate) async fn unsubscribe(
    notification: &Notification,
    request: UnsubscribeRequest,
) -> Result<UnsubscribeResponse, Error> {
    let UnsubscribeRequest { token, validate_only } = request;
    let sealed = notification.unsubscribe_key.open(&token).ok_or(Error::LinkInvalid)?;
    let row = delivery::find(notification.database.read(), sealed.id).await?;
    let row = row.ok_or(Error::LinkInvalid)?;
    if validate_only {
        return Ok(UnsubscribeResponse {});
    }
    let (id, now) = (notification.clock.new_id(), notification.clock.now());

    let tx = notification.database.begin().await?;
    suppression::of_delivery(&tx, &row, id, Reason::Unsubscribed, now).await?;
    tx.commit().await?;
    Ok(UnsubscribeResponse {})
}

#[cfg(test)]
mod tests {
    use api::notification::v1::{
        ClaimDeliveryRequest, CreateSuppressionRequest, DeleteSuppressionRequest, DeliveryState,
        ListSuppressionsRequest, ReportBounceRequest, ResendDeliveryRequest, Suppression,
        SuppressionReason, suppression_service_client::SuppressionServiceClient,
    };
    use kernel::{SealKey, Sealed, parse_id};
    use testkit::Bench;
    use tonic::transport::Channel;

    use super::*;
    use crate::testing::{Stage, complaint, reason};

    testkit::on_both_databases!(
        whoever_unsubscribes_gets_no_reminder_and_every_other_mail,
        only_a_reminder_that_is_sent_has_a_link,
        what_is_only_validated_and_what_is_no_link_change_nothing,
        a_stronger_reason_takes_its_place_and_never_the_other_way_round,
        a_report_about_a_mail_takes_its_place,
        who_is_taken_off_the_list_gets_reminders_again,
        what_is_no_reminder_can_be_sent_once_more,
    );

    /// A mail of a template to an address.
    fn wanted(stage: &Stage, template: &str, recipient: &str) -> ClaimDeliveryRequest {
        let (template, recipient) = (template.to_owned(), recipient.to_owned());
        ClaimDeliveryRequest { template, recipient, ..stage.wanted() }
    }

    /// The token of a reminder to an address.
    async fn link(stage: &Stage, recipient: &str) -> String {
        let claim = stage.claim(&wanted(stage, "invitation-reminder", recipient)).await;
        let (start, token) = claim.unsubscribe_url.rsplit_once('/').unwrap();
        assert_eq!(start, "http://127.0.0.1:8080/unsubscribe");
        token.to_owned()
    }

    async fn call(stage: &Stage, token: &str, validate_only: bool) -> String {
        ask(stage.nobody(), token, validate_only).await
    }

    async fn ask(nobody: Channel, token: &str, validate_only: bool) -> String {
        let request = UnsubscribeRequest { token: token.to_owned(), validate_only };
        reason(SuppressionServiceClient::new(nobody).unsubscribe(request).await)
    }

    async fn list(stage: &Stage) -> Vec<Suppression> {
        let mut operator = stage.account("operations.manage").suppressions();
        let answer = operator.list_suppressions(ListSuppressionsRequest::default()).await;
        answer.unwrap().into_inner().suppressions
    }

    async fn state(stage: &Stage, template: &str, recipient: &str) -> (DeliveryState, String) {
        let claim = stage.claim(&wanted(stage, template, recipient)).await;
        let delivery = claim.delivery.unwrap();
        (delivery.state(), delivery.reason)
    }

    async fn whoever_unsubscribes_gets_no_reminder_and_every_other_mail(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (ada, eve) = ("ada@example.com", "eve@example.com");
        let token = link(&stage, ada).await;
        // At once, and again: it is done once.
        let answers = testkit::race(5, |_| {
            let (nobody, token) = (stage.nobody(), token.clone());
            async move { ask(nobody, &token, false).await }
        });
        assert_eq!(answers.await, ["OK"; 5]);
        let once = list(&stage).await;
        assert_eq!((once.len(), once[0].email.as_str()), (1, ada));
        assert_eq!(once[0].reason(), SuppressionReason::Unsubscribed);
        let again = link(&stage, eve).await;
        assert_eq!(call(&stage, &token, false).await, "OK");
        assert_eq!(list(&stage).await, once);

        let stopped = (DeliveryState::Suppressed, "unsubscribed".to_owned());
        for template in ["invitation-reminder", "access-request-reminded"] {
            assert_eq!(state(&stage, template, ada).await, stopped);
            assert_eq!(state(&stage, template, eve).await.0, DeliveryState::Sending);
        }
        for template in ["invitation-new-user", "access-request-asked", "verification-code"] {
            assert_eq!(state(&stage, template, ada).await.0, DeliveryState::Sending, "{template}");
        }
        assert_ne!(again, token);
    }

    async fn only_a_reminder_that_is_sent_has_a_link(bench: Bench) {
        let stage = Stage::set(bench).await;
        for template in crate::domain::template::Template::ALL.map(|it| it.key()) {
            let claim = stage.claim(&wanted(&stage, template, "ada@example.com")).await;
            let is_reminder =
                ["invitation-reminder", "access-request-reminded"].contains(&template);
            assert_eq!(!claim.unsubscribe_url.is_empty(), is_reminder, "{template}");
        }
        let token = link(&stage, "ada@example.com").await;
        assert_eq!(call(&stage, &token, false).await, "OK");
        let claim = stage.claim(&wanted(&stage, "invitation-reminder", "ada@example.com")).await;
        assert_eq!(claim.unsubscribe_url, "");
    }

    async fn what_is_only_validated_and_what_is_no_link_change_nothing(bench: Bench) {
        let stage = Stage::set(bench).await;
        let token = link(&stage, "ada@example.com").await;
        assert_eq!(call(&stage, &token, true).await, "OK");
        let claim = stage.claim(&stage.wanted()).await;
        let sealed = Sealed { id: parse_id(&claim.delivery.unwrap().id).unwrap(), generation: 1 };
        let ours = stage.bench.infra.seal_key("invitation-link").seal(sealed);
        let theirs = SealKey::derive(b"another secret", "unsubscribe").seal(sealed);
        let unknown = Sealed { id: stage.id(), generation: 1 };
        let unknown = stage.bench.infra.seal_key("unsubscribe").seal(unknown);
        let first = if token.starts_with('A') { "B" } else { "A" };
        let changed = format!("{first}{}", token.get(1..).unwrap());
        let long = "A".repeat(100_000);
        for wrong in [&ours, &theirs, &unknown, &changed, &long, ""] {
            assert_eq!(call(&stage, wrong, true).await, "LINK_INVALID");
            assert_eq!(call(&stage, wrong, false).await, "LINK_INVALID");
        }
        assert_eq!(list(&stage).await, []);
    }

    async fn a_stronger_reason_takes_its_place_and_never_the_other_way_round(bench: Bench) {
        let stage = Stage::set(bench).await;
        for turn in 0..10 {
            let email = format!("ada{turn}@example.com");
            let token = link(&stage, &email).await;
            let request = CreateSuppressionRequest { email: email.clone(), note: "no".to_owned() };
            let mut operator = stage.account("operations.manage").suppressions();
            // In both orders, and at once.
            let (created, stopped) = match turn {
                0 => {
                    let created = operator.create_suppression(request).await;
                    (created, call(&stage, &token, false).await)
                }
                1 => {
                    let stopped = call(&stage, &token, false).await;
                    (operator.create_suppression(request).await, stopped)
                }
                _ => {
                    tokio::join!(operator.create_suppression(request), call(&stage, &token, false))
                }
            };
            assert_eq!(stopped, "OK");
            let created = created.unwrap().into_inner().suppression.unwrap();
            assert_eq!(
                (created.reason(), created.note.as_str()),
                (SuppressionReason::Manual, "no")
            );
            assert_eq!(created.delivery_id, "");
            assert!(list(&stage).await.contains(&created), "turn {turn}");
            let stopped = (DeliveryState::Suppressed, "manual".to_owned());
            assert_eq!(state(&stage, "invitation-new-user", &email).await, stopped);
        }
    }

    async fn a_report_about_a_mail_takes_its_place(bench: Bench) {
        let stage = Stage::set(bench).await;
        let email = "ada@example.com";
        let claim = stage.claim(&wanted(&stage, "invitation-reminder", email)).await;
        let token = claim.unsubscribe_url.rsplit('/').next().unwrap();
        for _ in 0..2 {
            assert_eq!(call(&stage, token, false).await, "OK");
            let raw = complaint(&claim.delivery.as_ref().unwrap().message_id, email).into_bytes();
            let mut mailer = stage.account("deliveries.write").deliveries();
            mailer.report_bounce(ReportBounceRequest { raw }).await.unwrap();
            let reasons: Vec<_> = list(&stage).await.iter().map(Suppression::reason).collect();
            assert_eq!(reasons, [SuppressionReason::Complained]);
        }
    }

    async fn who_is_taken_off_the_list_gets_reminders_again(bench: Bench) {
        let stage = Stage::set(bench).await;
        let email = "ada@example.com";
        let token = link(&stage, email).await;
        assert_eq!(call(&stage, &token, false).await, "OK");
        let mut operator = stage.account("operations.manage").suppressions();
        let request = DeleteSuppressionRequest { email: email.to_owned() };
        operator.delete_suppression(request).await.unwrap();
        assert_eq!(state(&stage, "invitation-reminder", email).await.0, DeliveryState::Sending);
    }

    async fn what_is_no_reminder_can_be_sent_once_more(bench: Bench) {
        let stage = Stage::set(bench).await;
        let token = link(&stage, "ada@example.com").await;
        assert_eq!(call(&stage, &token, false).await, "OK");
        let reminder = wanted(&stage, "invitation-reminder", "ada@example.com");
        let reminder = stage.claim(&reminder).await.delivery.unwrap();
        let outcome = api::notification::v1::AttemptOutcome::Failed;
        let other = stage.attempt(&stage.wanted(), outcome, "refused").await;
        let mut operator = stage.account("deliveries.resend").deliveries();
        for (id, expected) in [(reminder.id, "ADDRESS_SUPPRESSED"), (other.id, "OK")] {
            let request = ResendDeliveryRequest { id, force: false };
            assert_eq!(reason(operator.resend_delivery(request).await), expected);
        }
    }
}
