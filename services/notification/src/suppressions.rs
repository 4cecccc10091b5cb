//! Use cases about the suppression list, one a file.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod unsubscribe;

#[cfg(test)]
mod tests {
    use api::notification::v1::{
        CreateSuppressionRequest, DeleteSuppressionRequest, ListSuppressionsRequest, Suppression,
        SuppressionReason, suppression_service_client::SuppressionServiceClient,
    };
    use kernel::Duration;
    use testkit::{Bench, Connection};
    use tonic::Status;

    use crate::{
        rights::PLATFORM,
        testing::{Stage, reason, violations},
    };

    testkit::on_both_databases!(
        the_first_reason_stays_however_it_is_spelled,
        the_list_comes_in_pages_in_the_order_of_its_making,
        what_is_not_there_cannot_be_taken_off,
        whoever_runs_the_platform_may_and_nobody_else,
        every_violation_is_named_at_once,
    );

    type Client = SuppressionServiceClient<Connection>;

    async fn create(client: &mut Client, email: &str, note: &str) -> Result<Suppression, Status> {
        let request = CreateSuppressionRequest { email: email.to_owned(), note: note.to_owned() };
        let answer = client.create_suppression(request).await?;
        Ok(answer.into_inner().suppression.unwrap())
    }

    async fn the_first_reason_stays_however_it_is_spelled(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut operator = stage.account("operations.manage").suppressions();
        let first = create(&mut operator, "Ada@Example.com", "asked for it").await.unwrap();
        assert_eq!(
            (first.email.as_str(), first.note.as_str()),
            ("ada@example.com", "asked for it")
        );
        assert_eq!(first.reason(), SuppressionReason::Manual);
        stage.pass(Duration::minutes(1));
        let creations = testkit::race(10, |_| {
            let mut operator = operator.clone();
            async move { create(&mut operator, " ada@example.com", "again").await }
        });
        for again in creations.await {
            assert_eq!(again.unwrap(), first);
        }
    }

    async fn the_list_comes_in_pages_in_the_order_of_its_making(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut operator = stage.account("operations.manage").suppressions();
        let mut made = Vec::new();
        for name in ["zoe", "ada", "eve"] {
            made.push(create(&mut operator, &format!("{name}@example.com"), "").await.unwrap());
            stage.pass(Duration::seconds(1));
        }
        let mut request = ListSuppressionsRequest { page_size: 2, ..Default::default() };
        let first = operator.list_suppressions(request.clone()).await.unwrap().into_inner();
        assert_eq!(first.suppressions, made[..2]);
        request.page_token = first.next_page_token;
        let second = operator.list_suppressions(request).await.unwrap().into_inner();
        assert_eq!((&second.suppressions[..], second.next_page_token.as_str()), (&made[2..], ""));
        let one = ListSuppressionsRequest { email: "EVE@example.com".into(), ..Default::default() };
        let one = operator.list_suppressions(one).await.unwrap().into_inner();
        assert_eq!(one.suppressions, made[2..]);
    }

    async fn what_is_not_there_cannot_be_taken_off(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut operator = stage.account("operations.manage").suppressions();
        create(&mut operator, "ada@example.com", "").await.unwrap();
        let delete = DeleteSuppressionRequest { email: "ADA@example.com".to_owned() };
        operator.delete_suppression(delete.clone()).await.unwrap();
        assert_eq!(reason(operator.delete_suppression(delete).await), "SUPPRESSION_NOT_FOUND");
    }

    async fn whoever_runs_the_platform_may_and_nobody_else(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (ada, email) = (stage.person(), "eve@example.com".to_owned());
        // At an organisation it says nothing about the platform.
        stage.allow("operations.manage", stage.organisation);
        for stranger in [&ada, &stage.account("deliveries.write deliveries.read deliveries.resend")]
        {
            let mut client = stranger.suppressions();
            let (list, delete) = (
                ListSuppressionsRequest::default(),
                DeleteSuppressionRequest { email: email.clone() },
            );
            let refusals = [
                reason(client.list_suppressions(list).await),
                reason(create(&mut client, &email, "").await),
                reason(client.delete_suppression(delete).await),
            ];
            assert_eq!(refusals, ["PERMISSION_MISSING"; 3]);
        }
        stage.allow("operations.manage", PLATFORM);
        create(&mut ada.suppressions(), &email, "").await.unwrap();
    }

    async fn every_violation_is_named_at_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut operator = stage.account("operations.manage").suppressions();
        for note in ["x".repeat(201), "a\nb".to_owned(), "\u{202e}".to_owned()] {
            let refused = create(&mut operator, "ada", &note).await;
            assert_eq!(violations(refused), ["email", "note"], "{note:?}");
        }
        let list = ListSuppressionsRequest {
            email: "ada".to_owned(),
            page_size: 101,
            page_token: "rubbish!".to_owned(),
        };
        let refused = operator.list_suppressions(list).await;
        assert_eq!(violations(refused), ["email", "page_size", "page_token"]);
        let delete = DeleteSuppressionRequest { email: String::new() };
        assert_eq!(violations(operator.delete_suppression(delete).await), ["email"]);
    }
}
