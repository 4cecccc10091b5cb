use api::organisation::v1 as proto;
use sea_orm::entity::prelude::*;

/// One thing that happened, or was refused. It names people by identifier alone.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_records")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Its place in the chain, from 1; nothing while it waits for it.
    pub sequence: Option<i64>,
    pub at: DateTimeUtc,
    /// Nobody where Usher acts by itself, at a time.
    pub actor_id: Option<Uuid>,
    pub actor_kind: ActorKind,
    pub on_behalf_of: Option<Uuid>,
    /// `noun.verb`.
    pub action: String,
    /// Why it was refused; empty if it was done.
    pub refusal: String,
    pub organisation_id: Option<Uuid>,
    pub target_kind: String,
    pub target_id: Option<Uuid>,
    pub invitation_id: Option<Uuid>,
    pub access_request_id: Option<Uuid>,
    /// What changed, a line each.
    pub details: String,
    pub previous_hash: Option<Vec<u8>>,
    pub hash: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub(crate) enum ActorKind {
    Person,
    ServiceAccount,
    Usher,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// As callers see it, and as it is hashed.
    pub(crate) fn seen(self) -> proto::AuditRecord {
        let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        let actor_kind = match self.actor_kind {
            ActorKind::Person => proto::ActorKind::Person,
            ActorKind::ServiceAccount => proto::ActorKind::ServiceAccount,
            ActorKind::Usher => proto::ActorKind::Usher,
        };
        proto::AuditRecord {
            sequence: self.sequence.unwrap_or_default(),
            id: self.id.to_string(),
            at: Some(api::timestamp(self.at)),
            actor_id: id(self.actor_id),
            actor_kind: actor_kind.into(),
            on_behalf_of_id: id(self.on_behalf_of),
            action: self.action,
            refusal: self.refusal,
            organisation_id: id(self.organisation_id),
            target_kind: self.target_kind,
            target_id: id(self.target_id),
            invitation_id: id(self.invitation_id),
            access_request_id: id(self.access_request_id),
            details: self.details.lines().map(str::to_owned).collect(),
            previous_hash: self.previous_hash.unwrap_or_default(),
            hash: self.hash.unwrap_or_default(),
        }
    }
}
