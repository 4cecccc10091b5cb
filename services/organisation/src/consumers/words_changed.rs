use api::notification::v1::{SenderChanged, TemplateChanged};
use bus::Queue;
use kernel::{Malformed, Uuid, parse_id};
use prost::Message as _;
use sea_orm::DbErr;
use service::{Consumer, Message, Refusal};

use crate::{
    Organisations,
    change::{Told, record_told},
    entity::audit_record::ActorKind,
};

const TEMPLATE_UPDATED: &str = "notification.template.updated.v1";
const TEMPLATE_DELETED: &str = "notification.template.deleted.v1";
const SENDER_UPDATED: &str = "notification.sender.updated.v1";
const SENDER_DELETED: &str = "notification.sender.deleted.v1";

const QUEUE: Queue = Queue {
    name: "organisation.history",
    bindings: &[TEMPLATE_UPDATED, TEMPLATE_DELETED, SENDER_UPDATED, SENDER_DELETED],
    concurrency: 4,
};

/// Writes into the history who changed what mails say, or whom they come from, and where: the
/// notification service has no history of its own. It happened when the event says.
pub(crate) fn consumer(service: Organisations) -> Consumer {
    Consumer::new(QUEUE, move |message| {
        let service = service.clone();
        async move { handle(&service, message).await }
    })
}

async fn handle(service: &Organisations, message: Message) -> Result<(), Refusal> {
    let told = decode(&message).ok_or_else(|| {
        let broken = "the event cannot be read".to_owned();
        Refusal::Reject(broken)
    })?;
    let written = write(service, message.id, told).await;
    written.map_err(|error| Refusal::Retry(error.to_string()))
}

async fn write(service: &Organisations, event: Uuid, told: Told) -> Result<(), DbErr> {
    let tx = service.database.begin().await?;
    if db::inbox::claim(&tx, QUEUE.name, event, service.clock.now()).await? {
        record_told(service, &tx, told).await?;
    }
    tx.commit().await
}

fn decode(message: &Message) -> Option<Told> {
    match message.routing_key.as_str() {
        TEMPLATE_UPDATED => template("templates.update", message),
        TEMPLATE_DELETED => template("templates.delete", message),
        SENDER_UPDATED => sender("senders.update", message),
        SENDER_DELETED => sender("senders.delete", message),
        _ => None,
    }
}

fn template(action: &'static str, message: &Message) -> Option<Told> {
    let TemplateChanged {
        organisation_id,
        application_id,
        template,
        language,
        version,
        actor_id,
        by_service_account,
    } = TemplateChanged::decode(message.payload.as_slice()).ok()?;
    if !is_word(&template) || !is_word(&language) {
        return None;
    }
    let mut details = vec![
        format!("template={template}"),
        format!("language={language}"),
        format!("version={version}"),
    ];
    if !application_id.is_empty() {
        details.push(format!("application={}", parse_id(&application_id).ok()?));
    }
    let (organisation, actor) = ids(&organisation_id, &actor_id).ok()?;
    let (actor, at) = ((actor, kind(by_service_account)), message.time);
    Some(Told { actor, action, at, organisation, target_kind: "template", details })
}

fn sender(action: &'static str, message: &Message) -> Option<Told> {
    let SenderChanged { organisation_id, version, actor_id, by_service_account } =
        SenderChanged::decode(message.payload.as_slice()).ok()?;
    let details = vec![format!("version={version}")];
    let (organisation, actor) = ids(&organisation_id, &actor_id).ok()?;
    let (actor, at) = ((actor, kind(by_service_account)), message.time);
    Some(Told { actor, action, at, organisation, target_kind: "sender", details })
}

fn ids(organisation: &str, actor: &str) -> Result<(Uuid, Uuid), Malformed> {
    Ok((parse_id(organisation)?, parse_id(actor)?))
}

fn kind(by_service_account: bool) -> ActorKind {
    if by_service_account { ActorKind::ServiceAccount } else { ActorKind::Person }
}

/// The keys of templates and the tags of languages are such.
fn is_word(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(is_fine)
}

#[cfg(test)]
mod tests {
    use api::organisation::v1::{AuditFilter, AuditRecord, ListAuditRecordsRequest};
    use kernel::Duration;
    use testkit::Bench;

    use super::*;
    use crate::testing::{Stage, Who};

    testkit::on_both_databases!(
        whoever_reads_the_history_sees_who_changed_the_words_of_mails_once,
        an_event_that_cannot_be_read_is_set_aside,
    );

    fn message(stage: &Stage, key: &str, payload: Vec<u8>) -> Message {
        Message {
            id: stage.service.clock.new_id(),
            routing_key: key.to_owned(),
            source: "usher/notification".to_owned(),
            subject: Uuid::nil(),
            time: stage.now() - Duration::minutes(1),
            payload,
            traceparent: None,
            must_arrive: true,
            attempt: 1,
            queue: None,
            redelivered: false,
        }
    }

    async fn history(who: &Who, organisation: &str, action: &str) -> Vec<AuditRecord> {
        let filter = AuditFilter {
            organisation_id: organisation.to_owned(),
            action: action.to_owned(),
            ..Default::default()
        };
        let request = ListAuditRecordsRequest { filter: Some(filter), ..Default::default() };
        who.audit().list_audit_records(request).await.unwrap().into_inner().records
    }

    async fn whoever_reads_the_history_sees_who_changed_the_words_of_mails_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC").await;
        let (actor, application) = (Uuid::from_u128(7), Uuid::from_u128(8));
        let template = TemplateChanged {
            organisation_id: root.clone(),
            application_id: application.to_string(),
            template: "invitation-new-user".to_owned(),
            language: "de-at".to_owned(),
            version: 3,
            actor_id: actor.to_string(),
            by_service_account: false,
        };
        let sender = SenderChanged {
            organisation_id: root.clone(),
            version: 2,
            actor_id: actor.to_string(),
            by_service_account: true,
        };
        for (key, action, kind) in [
            (TEMPLATE_UPDATED, "templates.update", "template"),
            (TEMPLATE_DELETED, "templates.delete", "template"),
            (SENDER_UPDATED, "senders.update", "sender"),
            (SENDER_DELETED, "senders.delete", "sender"),
        ] {
            let payload =
                if kind == "sender" { sender.encode_to_vec() } else { template.encode_to_vec() };
            let message = message(&stage, key, payload);
            for _ in 0..2 {
                handle(&stage.service, message.clone()).await.unwrap();
            }
            let found = history(&owner, &root, action).await;
            assert_eq!(found.len(), 1, "{key}");
            let record = &found[0];
            assert_eq!(record.at, Some(api::timestamp(message.time)));
            assert_eq!(
                (record.actor_id.as_str(), record.target_kind.as_str()),
                (actor.to_string().as_str(), kind,)
            );
            let expected = match kind {
                "sender" => vec!["version=2".to_owned()],
                _ => vec![
                    "template=invitation-new-user".to_owned(),
                    "language=de-at".to_owned(),
                    "version=3".to_owned(),
                    format!("application={application}"),
                ],
            };
            assert_eq!(record.details, expected);
            let is_account =
                record.actor_kind() == api::organisation::v1::ActorKind::ServiceAccount;
            assert_eq!(is_account, kind == "sender");
        }
    }

    async fn an_event_that_cannot_be_read_is_set_aside(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (_owner, root) = stage.root("ABC").await;
        let fine = TemplateChanged {
            organisation_id: root,
            template: "invitation-new-user".to_owned(),
            language: "en".to_owned(),
            actor_id: Uuid::from_u128(7).to_string(),
            ..Default::default()
        };
        handle(&stage.service, message(&stage, TEMPLATE_UPDATED, fine.encode_to_vec()))
            .await
            .unwrap();
        let broken = [
            TemplateChanged { organisation_id: "7".to_owned(), ..fine.clone() },
            TemplateChanged { actor_id: String::new(), ..fine.clone() },
            TemplateChanged { application_id: "7".to_owned(), ..fine.clone() },
            TemplateChanged { template: "line\nbreak".to_owned(), ..fine.clone() },
            TemplateChanged { language: "x".repeat(65), ..fine },
        ];
        let broken = broken.iter().map(|event| event.encode_to_vec());
        for payload in broken.chain([b"\xff\xff".to_vec()]) {
            let message = message(&stage, TEMPLATE_UPDATED, payload);
            let refusal = handle(&stage.service, message).await.unwrap_err();
            assert!(matches!(refusal, Refusal::Reject(_)));
        }
    }
}
