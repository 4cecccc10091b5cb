use api::organisation::v1::{CreateRoleRequest, CreateRoleResponse, RoleChanged};
use kernel::{DisplayName, Fields, Malformed, Uuid, parse_id};
use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _, sea_query::OnConflict,
};

use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::{
        permission::{Permission, Permissions},
        rights::{Denied, Rights},
        role::{BuiltIn, RoleKey, Roles},
    },
    entity::{
        application,
        organisation::{self, PLATFORM},
        role,
    },
    error::Error,
};

/// Where a role is made.
#[derive(Clone, Copy)]
enum Owner {
    Root(Uuid),
    Application(Uuid),
}

/// Creates a custom role of a root, or a role of an application's catalogue.
///
/// Needs `roles.manage` at the root and every permission of the role there; or
/// `applications.manage` at the application's organisation: what its roles allow is the
/// application's business, they hold no permissions here. A key is unique in its root, without
/// regard to case, and no built-in role's. Event: `organisation.role.created.v1`.
pub(crate) async fn create(
    service: &Organisations,
    call: &Call,
    request: CreateRoleRequest,
) -> Result<CreateRoleResponse, Error> {
    let CreateRoleRequest {
        organisation_id,
        application_id,
        key,
        display_name,
        permissions,
        invitable,
        request_id: _,
    } = request;
    let mut fields = Fields::default();
    let owner = read_owner(&mut fields, &organisation_id, &application_id);
    let key = fields.read("key", RoleKey::parse(&key));
    let name = fields.read_optional("display_name", &display_name, DisplayName::parse);
    let permissions = Permission::read_all(&mut fields, "permissions", &permissions);
    if matches!(owner, Some(Owner::Application(_))) && permissions != Some(Permissions::NONE) {
        fields.reject("permissions", Malformed("none: an application's roles hold no permissions"));
    }
    let (Some(owner), Some(key), Some(name), Some(permissions), true) =
        (owner, key, name, permissions, fields.violations().is_empty())
    else {
        if let Some(Owner::Root(id)) = owner
            && let Some(rights) = readable(service, call, service.database.read(), id).await?
            && !rights.1
        {
            fields.reject("organisation_id", NO_ROOT);
        }
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    // A root stays one until the role is there.
    organisation::hold_tree(&change, false).await?;
    let (rights, organisation, owner_id) = authorise(service, call, &change, owner).await?;
    let now = change.now;
    let created = role::Model {
        id: service.clock.new_id(),
        owner_id,
        is_application_role: matches!(owner, Owner::Application(_)),
        key: key.as_str().to_owned(),
        folded_key: key.folded(),
        display_name: name.map_or_else(|| key.as_str().to_owned(), String::from),
        permissions: permissions.bits(),
        invitable,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    rights.require_to_hold(&Roles::from_iter([created.role()]))?;
    insert(&change, &created).await?;
    let event = RoleChanged { role_id: created.id.to_string() };
    change.announce("organisation.role.created.v1", created.id, &event).await?;
    let record = Record::of("role", created.id, organisation)
        .detail(format!("key={}", created.key))
        .detail(format!("permissions={permissions}"))
        .detail(format!("invitable={invitable}"));
    change.record(record).await?;
    change.commit(CreateRoleResponse { role: Some(created.seen()) }).await
}

const NO_ROOT: Malformed = Malformed("a root: custom roles belong to roots");

fn read_owner(fields: &mut Fields, organisation: &str, application: &str) -> Option<Owner> {
    let organisation_id = fields.read_optional("organisation_id", organisation, parse_id)?;
    let application_id = fields.read_optional("application_id", application, parse_id)?;
    match (organisation_id, application_id) {
        (Some(root), None) => Some(Owner::Root(root)),
        (None, Some(application)) => Some(Owner::Application(application)),
        _ => {
            fields.reject("organisation_id", Malformed("either this or application_id"));
            None
        }
    }
}

/// The rights at an organisation that the caller reads, and whether it is a root.
async fn readable(
    service: &Organisations,
    call: &Call,
    connection: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<(Rights, bool)>, DbErr> {
    let rights = service.rights(call, connection, id).await?;
    if id == PLATFORM || !rights.allow(Permission::OrganisationsRead) {
        return Ok(None);
    }
    let found = organisation::Entity::find_by_id(id).one(connection).await?;
    Ok(found.map(|found| (rights, found.parent_id == Some(PLATFORM))))
}

/// The caller's rights, the organisation that they are held at, and whose the role will be.
async fn authorise(
    service: &Organisations,
    call: &Call,
    change: &Change<'_>,
    owner: Owner,
) -> Result<(Rights, Uuid, Uuid), Error> {
    match owner {
        Owner::Root(id) => {
            let readable = readable(service, call, &**change, id).await?;
            let (rights, is_root) = readable.ok_or(Error::OrganisationNotFound)?;
            if !is_root {
                let mut fields = Fields::default();
                fields.reject("organisation_id", NO_ROOT);
                return Err(Error::Invalid(fields));
            }
            rights.require(Permission::RolesManage)?;
            Ok((rights, id, id))
        }
        Owner::Application(id) => {
            let seen = application::seen_by(&**change, id, call, change.now).await?;
            let (application, rights) = seen.ok_or(Error::ApplicationNotFound)?;
            let organisation = application.organisation_id;
            require_to_manage(&rights)?;
            Ok((rights, organisation, id))
        }
    }
}

/// Whoever sees the application from below learns no more than that they lack the permission.
fn require_to_manage(rights: &Rights) -> Result<(), Denied> {
    match rights.require(Permission::ApplicationsManage) {
        Err(Denied::Hidden) => Err(Denied::Missing(Permission::ApplicationsManage)),
        answer => answer,
    }
}

async fn insert(change: &Change<'_>, created: &role::Model) -> Result<(), Error> {
    let mut built_in = BuiltIn::ALL.iter().map(|role| role.key());
    if !created.is_application_role && built_in.any(|key| key == created.folded_key) {
        return Err(Error::RoleExists);
    }
    let exists = OnConflict::new().do_nothing().to_owned();
    let insert = role::Entity::insert(created.clone().into_active_model()).on_conflict(exists);
    match insert.exec_without_returning(&**change).await? {
        1 => Ok(()),
        _ => Err(Error::RoleExists),
    }
}
