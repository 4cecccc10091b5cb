use api::organisation::v1::{Role, RoleChanged, UpdateRoleRequest, UpdateRoleResponse};
use kernel::{DisplayName, Fields, Malformed, parse_id};
use sea_orm::{ExprTrait as _, entity::prelude::*, sea_query::Expr};

use crate::{
    Organisations,
    call::Call,
    change::Record,
    domain::{
        permission::{Permission, Permissions},
        role::{BuiltIn, Roles},
    },
    entity::{
        organisation::etag,
        role::{self, Column, Found},
    },
    error::Error,
};

/// What can be named in the mask.
const PATHS: &[&str] = &["display_name", "permissions", "invitable"];

/// Changes what the mask names of a role: its name, its permissions, or whether a service account may
/// invite into it. Who holds it has the new permissions at once.
///
/// Needs `roles.manage` at its root (of an application's role `applications.manage` at the
/// application's organisation), and every permission that the role has before or after: nobody gives
/// or takes what they do not hold. Built-in roles do not change. Event:
/// `organisation.role.updated.v1`.
pub(crate) async fn update(
    service: &Organisations,
    call: &Call,
    request: UpdateRoleRequest,
) -> Result<UpdateRoleResponse, Error> {
    let UpdateRoleRequest { role, update_mask, request_id: _ } = request;
    // The rest never changes, or is told by Usher alone.
    let Role { id, display_name, permissions, invitable, etag: expected, .. } =
        role.unwrap_or_default();
    let mut fields = Fields::default();
    let id = fields.read("role.id", parse_id(&id));
    let mask = update_mask.unwrap_or_default().paths;
    if mask.is_empty() || mask.iter().any(|path| !PATHS.contains(&path.as_str())) {
        fields.reject("update_mask", Malformed("display_name, permissions or invitable"));
    }
    let named = |path: &str| mask.iter().any(|named| named == path);
    let name = named("display_name")
        .then(|| fields.read("role.display_name", DisplayName::parse(&display_name)))
        .flatten();
    let permissions = named("permissions")
        .then(|| Permission::read_all(&mut fields, "role.permissions", &permissions))
        .flatten();
    let (Some(id), true) = (id, fields.violations().is_empty()) else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    let found = role::seen_by(&*change, id, call, change.now).await?;
    let found = found.ok_or(Error::RoleNotFound)?;
    if BuiltIn::of(id).is_some() {
        return Err(Error::RoleBuiltIn);
    }
    found.require_to_manage()?;
    require_ceiling(&found, permissions)?;
    let before = found.role.version;
    if !expected.is_empty() && expected != etag(before) {
        return Err(Error::EtagMismatch);
    }
    let mut update = role::Entity::update_many()
        .col_expr(Column::UpdatedAt, Expr::value(change.now))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(id))
        // The ceiling was held against this version, whether or not the caller named it.
        .filter(Column::Version.eq(before));
    if let Some(name) = &name {
        update = update.col_expr(Column::DisplayName, Expr::value(name.as_str()));
    }
    if let Some(permissions) = permissions {
        update = update.col_expr(Column::Permissions, Expr::value(permissions.bits()));
    }
    if named("invitable") {
        update = update.col_expr(Column::Invitable, Expr::value(invitable));
    }
    if update.exec(&*change).await?.rows_affected == 0 {
        return Err(Error::EtagMismatch);
    }
    let changed = role::Entity::find_by_id(id).one(&*change).await?;
    let changed = changed.ok_or(Error::RoleNotFound)?;
    let event = RoleChanged { role_id: id.to_string() };
    change.announce("organisation.role.updated.v1", id, &event).await?;
    change.record(record(&found, &changed)).await?;
    let seen = Found { role: changed, ..found }.seen();
    change.commit(UpdateRoleResponse { role: Some(seen) }).await
}

fn require_ceiling(found: &Found, permissions: Option<Permissions>) -> Result<(), Error> {
    let before = found.role.role();
    let after = permissions.unwrap_or(before.permissions);
    if found.role.is_application_role && after != Permissions::NONE {
        let mut fields = Fields::default();
        let none = Malformed("none: an application's roles hold no permissions");
        fields.reject("role.permissions", none);
        return Err(Error::Invalid(fields));
    }
    let mut both = before;
    both.permissions = both.permissions.union(after);
    Ok(found.rights.require_to_hold(&Roles::from_iter([both]))?)
}

fn record(found: &Found, changed: &role::Model) -> Record {
    let mut record = Record::of("role", changed.id, found.organisation);
    if found.role.display_name != changed.display_name {
        record = record.detail("display_name");
    }
    if found.role.permissions != changed.permissions {
        record = record.detail(format!("permissions={}", changed.role().permissions));
    }
    if found.role.invitable != changed.invitable {
        record = record.detail(format!("invitable={}", changed.invitable));
    }
    record
}
