use anyhow::Context as _;
use api::organisation::v1::{ActorKind, AuditRecord};
use chrono::SecondsFormat;
use kernel::Time;
use organisation::audit_chain::{from_hexadecimal, hexadecimal};
use serde::{Deserialize, Serialize};

/// A record as JSON: every field, hashes as hexadecimal digits, so that a record can be made of it
/// again and its hash recomputed. A field that is not known is refused: the hash would be about it
/// too.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) sequence: i64,
    pub(super) id: String,
    pub(super) at: String,
    pub(super) actor_id: String,
    pub(super) actor_kind: String,
    pub(super) on_behalf_of_id: String,
    pub(super) action: String,
    pub(super) refusal: String,
    pub(super) organisation_id: String,
    pub(super) target_kind: String,
    pub(super) target_id: String,
    pub(super) invitation_id: String,
    pub(super) access_request_id: String,
    pub(super) details: Vec<String>,
    pub(super) previous_hash: String,
    pub(super) hash: String,
}

const KINDS: [(ActorKind, &str); 4] = [
    (ActorKind::Unspecified, ""),
    (ActorKind::Person, "person"),
    (ActorKind::ServiceAccount, "service_account"),
    (ActorKind::Usher, "usher"),
];

impl From<AuditRecord> for Line {
    fn from(record: AuditRecord) -> Self {
        let kind = KINDS.iter().find(|(kind, _)| *kind == record.actor_kind());
        let at = record.at.and_then(|at| api::time(&at));
        Self {
            sequence: record.sequence,
            id: record.id,
            at: at.map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true)).unwrap_or_default(),
            actor_id: record.actor_id,
            actor_kind: kind.map_or("", |(_, word)| word).to_owned(),
            on_behalf_of_id: record.on_behalf_of_id,
            action: record.action,
            refusal: record.refusal,
            organisation_id: record.organisation_id,
            target_kind: record.target_kind,
            target_id: record.target_id,
            invitation_id: record.invitation_id,
            access_request_id: record.access_request_id,
            details: record.details,
            previous_hash: hexadecimal(&record.previous_hash),
            hash: hexadecimal(&record.hash),
        }
    }
}

impl TryFrom<Line> for AuditRecord {
    type Error = anyhow::Error;

    fn try_from(line: Line) -> anyhow::Result<Self> {
        let kind = KINDS.iter().find(|(_, word)| *word == line.actor_kind);
        let (kind, _) = kind.context("actor_kind is none that is known")?;
        let at: Time = line.at.parse().context("at is no moment")?;
        let hash = |name: &'static str, text: &str| {
            from_hexadecimal(text).with_context(|| format!("{name} is not hexadecimal"))
        };
        Ok(Self {
            sequence: line.sequence,
            id: line.id,
            at: Some(api::timestamp(at)),
            actor_id: line.actor_id,
            actor_kind: (*kind).into(),
            on_behalf_of_id: line.on_behalf_of_id,
            action: line.action,
            refusal: line.refusal,
            organisation_id: line.organisation_id,
            target_kind: line.target_kind,
            target_id: line.target_id,
            invitation_id: line.invitation_id,
            access_request_id: line.access_request_id,
            details: line.details,
            previous_hash: hash("previous_hash", &line.previous_hash)?,
            hash: hash("hash", &line.hash)?,
        })
    }
}
