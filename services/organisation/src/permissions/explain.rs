use api::organisation::v1::{
    ExplainPermissionRequest, ExplainPermissionResponse, Grounds, MembershipState, Missing,
};
use db::DbErr;
use kernel::{Fields, Time, Uuid, parse_id};
use sea_orm::{
    ConnectionTrait, FromQueryResult, JoinType, QueryOrder as _, QuerySelect as _, Select,
    entity::prelude::*,
};

use crate::{
    Organisations,
    call::Call,
    domain::{
        permission::{Permission, Permissions},
        rights::{Held, Rights},
    },
    entity::{
        ancestor,
        membership::{self, Span, State},
        membership_role, organisation, role,
    },
    error::Error,
};

/// Why a check answers as it does: what decided, or what came nearest.
///
/// Everybody may ask about themselves, and a service account with the scope `permissions.check`
/// about others. Without the scope it needs `members.read` at the organisation, and nothing is told
/// of nodes above, as far as the caller does not read members there.
pub(crate) async fn explain(
    service: &Organisations,
    call: &Call,
    request: ExplainPermissionRequest,
) -> Result<ExplainPermissionResponse, Error> {
    let ExplainPermissionRequest { subject_id, organisation_id, permission } = request;
    let mut fields = Fields::default();
    let subject = fields.read_optional("subject_id", &subject_id, parse_id);
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let permission = fields.read("permission", Permission::parse(&permission));
    let (Some(subject), Some(organisation), Some(permission)) = (subject, organisation, permission)
    else {
        return Err(Error::Invalid(fields));
    };
    let subject = subject.unwrap_or(call.subject);
    let (database, now) = (service.database.read(), service.clock.now());
    let sees = if subject == call.subject || call.has_scope("permissions.check") {
        i32::MAX
    } else {
        let rights = service.rights(call, database, organisation).await?;
        rights.require(Permission::MembersRead)?;
        reads_members_up_to(&rights)
    };
    let rows = at_or_above(database, subject, organisation).await?;
    if let Some(row) = decided(&rows, permission, now) {
        let grounds = if row.distance <= sees { row.grounds() } else { Grounds::default() };
        return Ok(ExplainPermissionResponse {
            allowed: true,
            grounds: Some(grounds),
            missing: Missing::Unspecified.into(),
        });
    }
    let seen: Vec<_> = rows.iter().filter(|row| row.distance <= sees).collect();
    let (grounds, missing) = match nearest(&seen, permission, now) {
        Some((row, missing)) => (Some(row.grounds()), missing),
        None => lesser(database, &seen, subject, organisation, permission, now).await?,
    };
    Ok(ExplainPermissionResponse { allowed: false, grounds, missing: missing.into() })
}

/// How far above the node a subject reads members.
fn reads_members_up_to(rights: &Rights) -> i32 {
    let reads = |held: &&Held| held.permissions.contains(Permission::MembersRead);
    rights.held.iter().filter(reads).map(|held| held.distance).max().unwrap_or_default()
}

/// A role that a subject has, whether or not it counts.
#[derive(FromQueryResult)]
struct Row {
    /// How far above the node asked about; below it, negative.
    distance: i32,
    organisation_id: Uuid,
    role_id: Uuid,
    key: String,
    permissions: i64,
    state: State,
    valid_from: Option<DateTimeUtc>,
    expires_at: Option<DateTimeUtc>,
    archived_by: Option<Uuid>,
}

impl Row {
    fn permissions(&self) -> Permissions {
        role::permissions_of(self.role_id, self.permissions)
    }

    fn state_at(&self, now: Time) -> MembershipState {
        let span = Span { valid_from: self.valid_from, expires_at: self.expires_at };
        self.state.at(now, span)
    }

    fn grounds(&self) -> Grounds {
        Grounds {
            organisation_id: self.organisation_id.to_string(),
            distance: self.distance,
            role: self.key.clone(),
        }
    }
}

/// What the subject has at a node and above it, the nearest first.
async fn at_or_above(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    organisation: Uuid,
) -> Result<Vec<Row>, DbErr> {
    let given_at = membership_role::Entity::belongs_to(ancestor::Entity)
        .from(membership_role::Column::OrganisationId)
        .to(ancestor::Column::AncestorId);
    rows(connection, subject, given_at.into())
        .filter(ancestor::Column::OrganisationId.eq(organisation))
        .order_by_asc(ancestor::Column::Distance)
        .order_by_asc(role::Column::FoldedKey)
        .into_model()
        .all(connection)
        .await
}

/// What the subject has below a node, the nearest first.
async fn below(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    organisation: Uuid,
) -> Result<Vec<Row>, DbErr> {
    let given_at = membership_role::Entity::belongs_to(ancestor::Entity)
        .from(membership_role::Column::OrganisationId)
        .to(ancestor::Column::OrganisationId);
    rows(connection, subject, given_at.into())
        .filter(ancestor::Column::AncestorId.eq(organisation))
        .filter(ancestor::Column::Distance.gt(0))
        .order_by_asc(ancestor::Column::Distance)
        .order_by_asc(role::Column::FoldedKey)
        .into_model()
        .all(connection)
        .await
}

fn rows(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    given_at: RelationDef,
) -> Select<membership_role::Entity> {
    let to_organisation = ancestor::Entity::belongs_to(organisation::Entity)
        .from(ancestor::Column::OrganisationId)
        .to(organisation::Column::Id);
    let held = membership_role::Entity::find()
        .select_only()
        .column(ancestor::Column::Distance)
        .column(membership_role::Column::OrganisationId)
        .column(membership_role::Column::RoleId)
        .column(role::Column::Key)
        .column(role::Column::Permissions)
        .column(membership::Column::State)
        .column(membership::Column::ValidFrom)
        .column(membership::Column::ExpiresAt)
        .column(organisation::Column::ArchivedBy)
        .join(JoinType::InnerJoin, given_at)
        .join(JoinType::InnerJoin, to_organisation.into())
        .join(JoinType::InnerJoin, membership_role::Relation::Role.def())
        .filter(membership_role::Column::SubjectId.eq(subject));
    membership::with_membership(connection, held)
}

/// What allows it, by the rule that checks follow.
fn decided(rows: &[Row], permission: Permission, now: Time) -> Option<&Row> {
    let counts = |row: &&Row| row.state_at(now) == MembershipState::Active;
    let held = rows.iter().filter(counts).map(|row| Held {
        distance: row.distance,
        role: row.role_id,
        permissions: row.permissions(),
    });
    let archived = rows.iter().any(|row| row.archived_by.is_some());
    let rights = Rights { held: held.collect(), archived };
    let decisive = |row: &&Row| counts(row) && row.permissions().contains(permission);
    rights.allow(permission).then(|| rows.iter().find(decisive)).flatten()
}

/// A role that has the permission, and why it does not count.
fn nearest<'a>(rows: &[&'a Row], permission: Permission, now: Time) -> Option<(&'a Row, Missing)> {
    let in_state = |state| {
        let found = rows
            .iter()
            .find(|row| row.permissions().contains(permission) && row.state_at(now) == state);
        found.copied()
    };
    [
        (MembershipState::Suspended, Missing::Suspended),
        (MembershipState::NotYetValid, Missing::NotYetValid),
        (MembershipState::Expired, Missing::Expired),
        // It counts, and yet it is not allowed.
        (MembershipState::Active, Missing::Archived),
    ]
    .into_iter()
    .find_map(|(state, missing)| Some((in_state(state)?, missing)))
}

/// Where no role at the node or above has the permission.
async fn lesser(
    connection: &impl ConnectionTrait,
    seen: &[&Row],
    subject: Uuid,
    organisation: Uuid,
    permission: Permission,
    now: Time,
) -> Result<(Option<Grounds>, Missing), DbErr> {
    let counts = |row: &&Row| row.state_at(now) == MembershipState::Active;
    let below = below(connection, subject, organisation).await?;
    let has = |row: &&Row| counts(row) && row.permissions().contains(permission);
    if let Some(row) = below.iter().find(has) {
        let grounds = Grounds { distance: -row.distance, ..row.grounds() };
        return Ok((Some(grounds), Missing::Below));
    }
    let nearest = seen.iter().copied().find(counts).or(seen.first().copied());
    Ok(match nearest {
        Some(row) => (Some(row.grounds()), Missing::Permission),
        None => (None, Missing::Membership),
    })
}
