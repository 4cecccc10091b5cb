use api::organisation::v1 as proto;
use kernel::{Fields, Time, Uuid};
use sea_orm::{
    Condition, ConnectionTrait, ExprTrait as _, QuerySelect as _, QueryTrait as _,
    entity::prelude::*, sea_query::Expr,
};

use super::{
    ancestor, application, membership,
    organisation::{self, PLATFORM, etag},
    reach,
};
use crate::{
    call::Call,
    domain::{
        permission::{Permission, Permissions},
        rights::{Denied, Rights},
        role::{BuiltIn, Role, RoleKey, Roles},
    },
};

/// A role: built in (owned by the platform), of a root, or of an application.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "roles")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The platform, a root or an application.
    pub owner_id: Uuid,
    pub is_application_role: bool,
    pub key: String,
    /// The key as it is compared.
    pub folded_key: String,
    pub display_name: String,
    /// A bit set; of a built-in role the code tells.
    pub permissions: i64,
    pub invitable: bool,
    pub version: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What a role allows: a built-in one what this version says, whatever its row says.
pub(crate) fn permissions_of(id: Uuid, bits: i64) -> Permissions {
    BuiltIn::of(id).map_or_else(|| Permissions::from_bits(bits), BuiltIn::permissions)
}

impl Model {
    /// As the rules see it.
    pub(crate) fn role(&self) -> Role {
        Role {
            id: self.id,
            key: self.key.clone(),
            permissions: permissions_of(self.id, self.permissions),
            invitable: self.invitable,
        }
    }

    /// As callers see it.
    pub(crate) fn seen(self) -> proto::Role {
        let permissions = permissions_of(self.id, self.permissions);
        let built_in = BuiltIn::of(self.id).is_some();
        let owner = self.owner_id.to_string();
        let (organisation_id, application_id) = match (built_in, self.is_application_role) {
            (true, _) => (String::new(), String::new()),
            (false, true) => (String::new(), owner),
            (false, false) => (owner, String::new()),
        };
        proto::Role {
            id: self.id.to_string(),
            organisation_id,
            application_id,
            key: self.key,
            display_name: self.display_name,
            permissions: permissions.iter().map(|it| it.as_str().to_owned()).collect(),
            invitable: self.invitable,
            built_in,
            created_at: Some(api::timestamp(self.created_at)),
            updated_at: Some(api::timestamp(self.updated_at)),
            etag: etag(self.version),
        }
    }
}

/// The roles that an organisation can give: the built-in ones and those of its root. `support` is
/// for the platform alone.
pub(crate) fn given_at(organisation: Uuid) -> Select<Entity> {
    let above = ancestor::Entity::find()
        .select_only()
        .column(ancestor::Column::AncestorId)
        .filter(ancestor::Column::OrganisationId.eq(organisation))
        .into_query();
    let roles = Entity::find()
        .filter(Condition::any().add(Column::OwnerId.in_subquery(above)))
        .filter(Column::IsApplicationRole.eq(false));
    if organisation == PLATFORM {
        roles
    } else {
        roles.filter(Column::Id.ne(BuiltIn::Support.id()))
    }
}

/// The roles that an organisation made below another could give; below the platform, a root.
pub(crate) fn given_below(parent: Uuid) -> Select<Entity> {
    given_at(parent).filter(Column::Id.ne(BuiltIn::Support.id()))
}

/// The custom roles of a root.
pub(crate) fn of_root(root: Uuid) -> Select<Entity> {
    Entity::find().filter(Column::OwnerId.eq(root)).filter(Column::IsApplicationRole.eq(false))
}

/// The roles of an application.
pub(crate) fn of_application(application: Uuid) -> Select<Entity> {
    Entity::find()
        .filter(Column::OwnerId.eq(application))
        .filter(Column::IsApplicationRole.eq(true))
}

/// Finds roles by their keys among those of a selection; every unknown one is a violation of
/// `field[index]`.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    among: Select<Entity>,
    field: &str,
    keys: &[RoleKey],
) -> Result<Result<Roles, Fields>, DbErr> {
    let folded: Vec<_> = keys.iter().map(RoleKey::folded).collect();
    if folded.is_empty() {
        return Ok(Ok(Roles::default()));
    }
    let rows = among.filter(Column::FoldedKey.is_in(folded.clone())).all(connection).await?;
    let mut fields = Fields::default();
    for (index, key) in folded.iter().enumerate() {
        if !rows.iter().any(|row| row.folded_key == *key) {
            fields.reject(format!("{field}[{index}]"), "expected a role that can be given here");
        }
    }
    let known = fields.violations().is_empty();
    Ok(if known { Ok(rows.iter().map(Model::role).collect()) } else { Err(fields) })
}

/// Finds one role by its key.
pub(crate) async fn find_one(
    connection: &impl ConnectionTrait,
    among: Select<Entity>,
    key: &RoleKey,
) -> Result<Option<Role>, DbErr> {
    let row = among.filter(Column::FoldedKey.eq(key.folded())).one(connection).await?;
    Ok(row.map(|row| row.role()))
}

/// The roles that allow something.
pub(crate) fn allowing(permission: Permission) -> Condition {
    let built_in = BuiltIn::ALL.into_iter().filter(|role| role.permissions().contains(permission));
    let bits = Expr::col((Entity, Column::Permissions)).bit_and(permission.bit());
    Condition::any().add(Column::Id.is_in(built_in.map(BuiltIn::id))).add(bits.ne(0))
}

/// A role as somebody finds it who may read it.
pub(crate) struct Found {
    pub role: Model,
    /// Its root, or the organisation of its application; of a built-in role the platform.
    pub organisation: Uuid,
    /// The finder's rights there.
    pub rights: Rights,
}

impl Found {
    /// As the finder sees it: a root that they may not see has no name here either.
    pub(crate) fn seen(self) -> proto::Role {
        let shows_root = self.rights.allow(Permission::OrganisationsRead);
        let seen = self.role.seen();
        if shows_root { seen } else { proto::Role { organisation_id: String::new(), ..seen } }
    }

    /// Asks for a permission where the role belongs to; that it is there is no secret any more.
    pub(crate) fn require(&self, permission: Permission) -> Result<(), Denied> {
        match self.rights.require(permission) {
            Err(Denied::Hidden) => Err(Denied::Missing(permission)),
            answer => answer,
        }
    }

    /// Asks for what managing the role takes.
    pub(crate) fn require_to_manage(&self) -> Result<(), Denied> {
        self.require(if self.role.is_application_role {
            Permission::ApplicationsManage
        } else {
            Permission::RolesManage
        })
    }
}

/// A role as a caller finds it, who needs `organisations.read` where it belongs to, or somewhere
/// below. Everybody finds the built-in ones.
pub(crate) async fn seen_by(
    connection: &impl ConnectionTrait,
    id: Uuid,
    call: &Call,
    now: Time,
) -> Result<Option<Found>, DbErr> {
    let Some(role) = Entity::find_by_id(id).one(connection).await? else { return Ok(None) };
    if role.is_application_role {
        let seen = application::seen_by(connection, role.owner_id, call, now).await?;
        return Ok(seen.map(|(application, rights)| Found {
            role,
            organisation: application.organisation_id,
            rights,
        }));
    }
    let (subject, organisation) = (call.subject, role.owner_id);
    call.note(organisation);
    let rights = membership::rights(connection, subject, organisation, now).await?;
    let read = Permission::OrganisationsRead;
    let sees = BuiltIn::of(id).is_some()
        || rights.allow(read)
        || reach::into(connection, subject, read, organisation, now).await?;
    Ok(sees.then_some(Found { role, organisation, rights }))
}

/// Reads back the keys of a row (with spaces between); `None` if one of them is gone.
pub(crate) async fn find_again(
    connection: &impl ConnectionTrait,
    among: Select<Entity>,
    keys: &str,
) -> Result<Option<Roles>, DbErr> {
    let keys: Vec<_> = keys.split_whitespace().filter_map(|key| RoleKey::parse(key).ok()).collect();
    Ok(find(connection, among, "roles", &keys).await?.ok())
}

/// The role of whoever is given none by name: the default role of the nearest organisation that has
/// one, upward from this, else `user`.
pub(crate) async fn default_role(
    connection: &impl ConnectionTrait,
    organisation: Uuid,
) -> Result<Roles, DbErr> {
    let chain = organisation::chain(connection, organisation).await?;
    let keys = chain.into_iter().map(|node| node.default_role);
    let Some(key) = keys.into_iter().find(|key| !key.is_empty()) else {
        return Ok(BuiltIn::User.into());
    };
    // Nobody deletes a role that is a default.
    let found = find_again(connection, given_at(organisation), &key).await?;
    Ok(found.filter(|roles| !roles.is_empty()).unwrap_or_else(|| BuiltIn::User.into()))
}

/// Roles by their identifiers.
pub(crate) async fn by_id(
    connection: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<Roles, DbErr> {
    let rows = Entity::find().filter(Column::Id.is_in(ids)).all(connection).await?;
    Ok(rows.iter().map(Model::role).collect())
}
