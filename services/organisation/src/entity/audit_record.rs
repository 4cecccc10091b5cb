use api::organisation::v1 as proto;
use kernel::{Duration, Fields, Malformed, Time, parse_id};
use sea_orm::{
    Condition, QuerySelect as _, QueryTrait as _,
    entity::prelude::*,
    sea_query::{ExprTrait as _, LikeExpr},
};

use super::{ancestor, organisation::PLATFORM};
use crate::domain::{
    permission::Permission,
    rights::{Denied, Rights},
};

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
        // Exactly what is in the row, so that the hash is about all of it.
        let details = match self.details.as_str() {
            "" => Vec::new(),
            lines => lines.split('\n').map(str::to_owned).collect(),
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
            details,
            previous_hash: self.previous_hash.unwrap_or_default(),
            hash: self.hash.unwrap_or_default(),
        }
    }
}

/// Which records somebody wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    organisation: Option<Uuid>,
    actor: Option<Uuid>,
    action: Option<String>,
    target: Option<Uuid>,
    invitation: Option<Uuid>,
    access_request: Option<Uuid>,
    from: Option<Time>,
    until: Option<Time>,
    refused: bool,
}

/// A record's identifier tells when it was made, to this precision: it is made a little later than
/// the moment that it tells of, and in no transaction that lasts longer.
const SLACK: Duration = Duration::minutes(2);

impl Filter {
    /// Reads a filter, noting violations.
    pub(crate) fn parse(fields: &mut Fields, filter: Option<proto::AuditFilter>) -> Option<Self> {
        let proto::AuditFilter {
            organisation_id,
            actor_id,
            action,
            target_id,
            invitation_id,
            access_request_id,
            from,
            until,
            refused,
        } = filter.unwrap_or_default();
        let mut id =
            |name: &str, text: &str| fields.read_optional(format!("filter.{name}"), text, parse_id);
        let organisation = id("organisation_id", &organisation_id);
        let actor = id("actor_id", &actor_id);
        let target = id("target_id", &target_id);
        let invitation = id("invitation_id", &invitation_id);
        let access_request = id("access_request_id", &access_request_id);
        let action = fields.read_optional("filter.action", &action, action_or_noun);
        let mut time = |name: &str, at: Option<_>| match at {
            Some(at) => fields.read(name, moment(at)).map(Some),
            None => Some(None),
        };
        let (from, until) = (time("filter.from", from), time("filter.until", until));
        if let (Some(Some(from)), Some(Some(until))) = (from, until)
            && from >= until
        {
            fields.reject("filter.until", Malformed("a moment after filter.from"));
            return None;
        }
        Some(Self {
            organisation: organisation?,
            actor: actor?,
            action: action?,
            target: target?,
            invitation: invitation?,
            access_request: access_request?,
            from: from?,
            until: until?,
            refused,
        })
    }

    /// Where the reader's rights count: at the organisation, or for all records at the platform.
    pub(crate) fn place(&self) -> Uuid {
        self.organisation.unwrap_or(PLATFORM)
    }

    /// Asks for `audit.read` there. That there is a platform is no secret, but it is no organisation
    /// that one could name.
    pub(crate) fn require(&self, rights: &Rights) -> Result<(), Denied> {
        match self.organisation {
            Some(PLATFORM) => Err(Denied::Hidden),
            Some(_) => rights.require(Permission::AuditRead),
            None if rights.allow(Permission::AuditRead) => Ok(()),
            None => Err(Denied::Missing(Permission::AuditRead)),
        }
    }

    /// As the database is asked. What narrows most has an index that ends with the identifier, which
    /// is what lists are in the order of; a span of time is a range of identifiers.
    pub(crate) fn condition(&self) -> Condition {
        let below = |organisation: Uuid| {
            let below = ancestor::Entity::find()
                .select_only()
                .column(ancestor::Column::OrganisationId)
                .filter(ancestor::Column::AncestorId.eq(organisation));
            Column::OrganisationId.in_subquery(below.into_query())
        };
        let from = |at: Time| Column::At.gte(at).and(Column::Id.gte(first_id(at - SLACK)));
        let until = |at: Time| Column::At.lt(at).and(Column::Id.lt(first_id(at + SLACK)));
        Condition::all()
            .add_option(self.organisation.map(below))
            .add_option(self.actor.map(|id| Column::ActorId.eq(id)))
            .add_option(self.action.as_deref().map(is_action))
            .add_option(self.target.map(|id| Column::TargetId.eq(id)))
            .add_option(self.invitation.map(|id| Column::InvitationId.eq(id)))
            .add_option(self.access_request.map(|id| Column::AccessRequestId.eq(id)))
            .add_option(self.from.map(from))
            .add_option(self.until.map(until))
            .add_option(self.refused.then(|| Column::Refusal.ne("")))
    }
}

/// `noun.verb`, or `noun.` for all of its verbs.
fn action_or_noun(text: &str) -> Result<String, Malformed> {
    let is_word = |text: &str| text.chars().all(|it| it.is_ascii_lowercase() || it == '_');
    match text.split_once('.') {
        Some((noun, verb)) if !noun.is_empty() && is_word(noun) && is_word(verb) => {
            Ok(text.to_owned())
        }
        _ => Err(Malformed("an action such as invitations.create, or its noun and a dot")),
    }
}

fn is_action(action: &str) -> Expr {
    if action.ends_with('.') {
        let pattern = action.replace('_', "\\_") + "%";
        Column::Action.like(LikeExpr::new(pattern).escape('\\'))
    } else {
        Column::Action.eq(action)
    }
}

fn moment(at: prost_types::Timestamp) -> Result<Time, Malformed> {
    // What protobuf says a Timestamp is: the years 1 to 9999.
    let years = -62_135_596_800..=253_402_300_799;
    let at = years.contains(&at.seconds).then(|| api::time(&at)).flatten();
    at.ok_or(Malformed("a moment of the years 1 to 9999"))
}

/// The first identifier (UUIDv7) that could have been made at a moment.
fn first_id(at: Time) -> Uuid {
    let milliseconds = u128::try_from(at.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(milliseconds << 80)
}
