use api::{
    notification::v1::{UpdateTemplateRequest, template_service_client::TemplateServiceClient},
    organisation::v1::{
        AuditFilter, ListAuditRecordsRequest, audit_service_client::AuditServiceClient,
    },
};
use testkit::with_token;

use super::OFF;
use crate::{outcome::Outcome, scene::Scene};

/// Lets the organisation service crash each time between the commit of what it has heard and its
/// acknowledgement, so that the event comes again: that the words of a mail were changed, which is to
/// stand in the history.
///
/// Each change stands there once. Without the inbox it would twice. Counted here are records, not mails.
pub async fn hear_twice(changes: usize, off: &str) -> Outcome {
    let mut scene = Scene::set().await;
    for number in 0..changes {
        let crash = [(OFF, off), ("FAULT_ABORT", "before-acknowledgement")];
        scene.restart("organisation", &crash).await;
        change_words(&scene, number).await;
        scene.until_crashed("organisation").await;
        scene.restart("organisation", &[(OFF, off)]).await;
        scene.until_consumed("organisation", 1).await;
        // It is counted a moment before its acknowledgement.
        scene.platform.process("organisation").terminate();
        scene.platform.process("organisation").exit().await;
    }
    scene.restart("organisation", &[]).await;
    let records = records(&scene).await;
    Outcome {
        fault: "change heard of twice".to_owned(),
        times: changes,
        load: format!("{changes} in all"),
        attempted: changes,
        acknowledged: changes,
        delivered: records.min(changes),
        lost: changes.saturating_sub(records),
        duplicates: records.saturating_sub(changes),
        ..Outcome::default()
    }
}

async fn change_words(scene: &Scene, number: usize) {
    let owner = scene.platform.owner().await;
    let request = UpdateTemplateRequest {
        organisation_id: scene.organisation.clone(),
        template: "invitation-new-user".to_owned(),
        source: format!("Subject: Number {number}\n\n[Come in]({{{{ link }}}})\n"),
        ..Default::default()
    };
    let mut client = TemplateServiceClient::new(scene.platform.notification());
    let updated = client.update_template(with_token(owner.token(), request)).await;
    updated.expect("the words are changed");
}

/// How many changes stand in the history.
async fn records(scene: &Scene) -> usize {
    let owner = scene.platform.owner().await;
    let filter = AuditFilter { action: "templates.update".to_owned(), ..Default::default() };
    let request =
        ListAuditRecordsRequest { filter: Some(filter), page_size: 100, ..Default::default() };
    let mut client = AuditServiceClient::new(scene.platform.organisation());
    let listed = client.list_audit_records(with_token(owner.token(), request)).await;
    listed.expect("the history").into_inner().records.len()
}
