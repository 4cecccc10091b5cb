use api::organisation::v1::{
    ListMembershipsRequest, ListMembershipsResponse, Membership, MembershipState,
};
use db::{DbErr, PageRequest};
use kernel::{Fields, Malformed, Time, Uuid, fold, parse_id};
use sea_orm::{
    Condition, ConnectionTrait, ExprTrait as _, JoinType, QuerySelect as _, QueryTrait as _,
    Select, Value,
    entity::prelude::*,
    sea_query::{Expr, LikeExpr, SimpleExpr},
};

use crate::{
    Organisations,
    call::Call,
    domain::{
        permission::Permission,
        role::{Role, RoleKey},
    },
    entity::{invitation, membership, membership_role, person, role},
    error::Error,
};

/// The members of one organisation, and among them those invited who have not enrolled yet.
///
/// Needs `members.read` there. Two queries have a page's length each, of members and of those
/// invited, in one order; what is shown of the members takes two more. An order has its indexes:
/// `memberships_organisation` and `memberships_name`, `invitations_waiting` and `invitations_name`.
/// A filter that most members pass reads on in the order; those that few pass have their own:
///
/// - the state: `memberships_suspended`, `memberships_bounded` (whoever begins later) and
///   `memberships_due` (whose time is over, until they are removed a second later);
/// - a role: `membership_roles_holders`, when the planner sees that it is rare;
/// - a name: the range of `memberships_name` and `invitations_name`, in the order of names; in the
///   order of joining all of the range is sorted;
/// - an address: `people_search_email`, and for those invited all that wait.
pub(crate) async fn list(
    service: &Organisations,
    call: &Call,
    request: ListMembershipsRequest,
) -> Result<ListMembershipsResponse, Error> {
    let ListMembershipsRequest {
        organisation_id,
        page_size,
        page_token,
        state,
        role,
        query,
        order_by,
    } = request;
    let mut fields = Fields::default();
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let keys = &["display_name"];
    let page = PageRequest::parse_ordered(&mut fields, page_size, &page_token, &order_by, keys);
    let state = MembershipState::try_from(state).map_err(|_| Malformed("a membership's state"));
    let state = fields.read("state", state);
    let key = fields.read_optional("role", &role, RoleKey::parse);
    let Some(organisation) = organisation else { return Err(Error::Invalid(fields)) };
    let database = service.database.read();
    let rights = service.rights(call, database, organisation).await?;
    rights.require(Permission::MembersRead)?;
    let role = match key {
        Some(Some(key)) => known(database, organisation, &key, &mut fields).await?.map(Some),
        key => key.map(|_| None),
    };
    let (Some(page), Some(state), Some(role)) = (page, state, role) else {
        return Err(Error::Invalid(fields));
    };
    let now = service.clock.now();
    let wanted = Wanted { organisation, state, role, query: Query::of(&query), now };
    let rows = wanted.rows(database, &page).await?;
    let page = page.cut_ordered(rows, Row::place);
    let members = page.rows.iter().filter_map(Row::member).cloned().collect();
    let mut members = membership::shown_all(database, members, now).await?.into_iter();
    let shown = page.rows.into_iter().filter_map(|row| match row {
        Row::Member(_) => members.next(),
        Row::Invited(offered) => Some(invited(*offered)),
    });
    Ok(ListMembershipsResponse {
        memberships: shown.collect(),
        next_page_token: page.next_page_token,
    })
}

async fn known(
    connection: &impl ConnectionTrait,
    organisation: Uuid,
    key: &RoleKey,
    fields: &mut Fields,
) -> Result<Option<Role>, DbErr> {
    let found = role::given_at(organisation)
        .filter(role::Column::FoldedKey.eq(key.folded()))
        .one(connection)
        .await?;
    let found = found.map(|row| row.role()).ok_or(Malformed("a role that can be given here"));
    Ok(fields.read("role", found))
}

/// Who is listed.
struct Wanted {
    organisation: Uuid,
    /// Unspecified for any.
    state: MembershipState,
    role: Option<Role>,
    query: Option<Query>,
    now: Time,
}

/// What a name or an address begins with, folded.
enum Query {
    Name(String),
    Address(String),
}

impl Query {
    fn of(text: &str) -> Option<Self> {
        let folded = fold(text);
        match folded.is_empty() {
            true => None,
            false if folded.contains('@') => Some(Self::Address(folded)),
            false => Some(Self::Name(folded)),
        }
    }
}

/// Somebody in the list.
enum Row {
    Member(membership::Model),
    Invited(Box<invitation::Model>),
}

impl Row {
    fn place(&self) -> (Vec<u8>, Uuid) {
        match self {
            Self::Member(row) => (row.search_name.clone(), row.id),
            Self::Invited(row) => (row.search_name.clone(), row.id),
        }
    }

    fn member(&self) -> Option<&membership::Model> {
        match self {
            Self::Member(row) => Some(row),
            Self::Invited(_) => None,
        }
    }
}

impl Wanted {
    /// A page and one more, in its order: each kind has that many at most.
    async fn rows(
        &self,
        connection: &impl ConnectionTrait,
        page: &PageRequest,
    ) -> Result<Vec<Row>, DbErr> {
        use MembershipState::{Invited, Unspecified};
        let mut rows = Vec::new();
        if self.state != Invited {
            let key = page.key().map(|_| membership::Column::SearchName);
            let members = page.apply(self.members(), key, membership::Column::Id);
            rows.extend(members.all(connection).await?.into_iter().map(Row::Member));
        }
        if [Invited, Unspecified].contains(&self.state) {
            let key = page.key().map(|_| invitation::Column::SearchName);
            let invited = page.apply(self.invited(), key, invitation::Column::Id);
            rows.extend(invited.all(connection).await?.into_iter().map(Box::new).map(Row::Invited));
        }
        let by_key = page.key().is_some();
        rows.sort_by_cached_key(|row| {
            let (key, id) = row.place();
            (if by_key { key } else { Vec::new() }, id)
        });
        if page.descending() {
            rows.reverse();
        }
        Ok(rows)
    }

    fn members(&self) -> Select<membership::Entity> {
        use membership::{Column, Entity};
        let mut rows = Entity::find()
            .filter(Column::OrganisationId.eq(self.organisation))
            .filter(self.in_state());
        if let Some(role) = &self.role {
            let held = Entity::belongs_to(membership_role::Entity)
                .from((Column::SubjectId, Column::OrganisationId))
                .to((membership_role::Column::SubjectId, membership_role::Column::OrganisationId));
            rows = rows
                .join(JoinType::InnerJoin, held.into())
                .filter(membership_role::Column::RoleId.eq(role.id));
        }
        match &self.query {
            None => rows,
            Some(Query::Name(name)) => rows.filter(begins(Column::SearchName, name)),
            Some(Query::Address(address)) => {
                let person = Entity::belongs_to(person::Entity)
                    .from(Column::SubjectId)
                    .to(person::Column::UserId);
                rows.join(JoinType::InnerJoin, person.into())
                    .filter(begins(person::Column::SearchEmail, address))
            }
        }
    }

    /// What an index is restricted to stands there as a constant, so that it can be used.
    fn in_state(&self) -> Condition {
        use membership::{Column, State};
        let now = self.now;
        let active = Condition::all().add(Column::State.eq(State::Active));
        match self.state {
            MembershipState::Unspecified | MembershipState::Invited => Condition::all(),
            MembershipState::Active => membership::counts(now),
            MembershipState::Suspended => {
                Condition::all().add(column(Column::State).eq(constant("suspended")))
            }
            MembershipState::NotYetValid => {
                active.add(Column::NextChangeAt.is_not_null()).add(Column::ValidFrom.gt(now))
            }
            MembershipState::Expired => {
                active.add(Column::NextChangeAt.lte(now)).add(Column::ExpiresAt.lte(now))
            }
        }
    }

    /// Pending invitations of those who are no members.
    fn invited(&self) -> Select<invitation::Entity> {
        use invitation::{Column, Entity};
        let membership = membership::Entity::find()
            .select_only()
            .column(membership::Column::Id)
            .filter(column(membership::Column::SubjectId).eq(column(Column::InviteeId)))
            .filter(membership::Column::OrganisationId.eq(self.organisation))
            .into_query();
        let mut rows = Entity::find()
            .filter(Column::OrganisationId.eq(self.organisation))
            .filter(column(Column::State).eq(constant("pending")))
            .filter(Column::ExpiresAt.gt(self.now))
            .filter(Expr::exists(membership).not());
        if let Some(Role { key, .. }) = &self.role {
            // Keys with spaces between.
            let key_alone = Column::Roles.eq(key.as_str());
            let place = |like: LikeExpr| column(Column::Roles).like(like);
            let key = escaped(key);
            let at_a_place = Condition::any()
                .add(key_alone)
                .add(place(like(format!("{key} %"))))
                .add(place(like(format!("% {key} %"))))
                .add(place(like(format!("% {key}"))));
            rows = rows.filter(at_a_place);
        }
        match &self.query {
            None => rows,
            Some(Query::Name(name)) => rows.filter(begins(Column::SearchName, name)),
            Some(Query::Address(address)) => {
                let address = like(format!("{}%", escaped(address)));
                rows.filter(column(Column::Email).like(address))
            }
        }
    }
}

fn column(column: impl ColumnTrait) -> Expr {
    Expr::col(column.as_column_ref())
}

fn constant(text: &str) -> SimpleExpr {
    SimpleExpr::Constant(Value::from(text))
}

/// The range of texts with this beginning: no byte of UTF-8 is 0xff.
fn begins(column: impl ColumnTrait, text: &str) -> Condition {
    let beyond = [text.as_bytes(), &[0xff]].concat();
    Condition::all().add(column.gte(text.as_bytes().to_vec())).add(column.lt(beyond))
}

fn like(pattern: String) -> LikeExpr {
    LikeExpr::new(pattern).escape('\\')
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// Somebody invited, as a membership to be.
fn invited(offered: invitation::Model) -> Membership {
    let membership::Span { valid_from, expires_at } = offered.span();
    Membership {
        organisation_id: offered.organisation_id.to_string(),
        user_id: offered.invitee_id.to_string(),
        email: offered.email,
        display_name: offered.display_name,
        roles: offered.roles.split_whitespace().map(str::to_owned).collect(),
        created_at: Some(api::timestamp(offered.created_at)),
        state: MembershipState::Invited.into(),
        valid_from: valid_from.map(api::timestamp),
        expires_at: expires_at.map(api::timestamp),
        etag: String::new(),
        invitation_id: offered.id.to_string(),
        is_service_account: false,
    }
}
