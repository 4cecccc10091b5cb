use api::organisation::v1::{DeleteRoleRequest, DeleteRoleResponse, RoleChanged};
use kernel::{Fields, parse_id};
use sea_orm::{QuerySelect as _, entity::prelude::*, sea_query::LockType};

use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::role::{BuiltIn, Role, RoleKey, Roles},
    entity::{
        access_request::{self, Decision, State},
        organisation,
        role::{self, Found},
        role_use,
    },
    error::Error,
};

/// Deletes a role. While it is in use, a replacement must be named: whoever holds it, is offered it
/// by a pending invitation or asks for it gets that instead, and where it is the default, that is.
///
/// In use is a custom role at its root and below it, a role of an application with that. Needs
/// `roles.manage` at the root (`applications.manage` at the application's organisation), and the
/// permissions of the role and of its replacement: the holders lose the one and get the other, and
/// nobody gives or takes what they do not hold; a service account replaces by invitable roles alone.
/// Built-in roles are not deleted, but may be the replacement. Whoever asks for both is asking twice
/// for one, and one request is withdrawn. Events: `organisation.role.deleted.v1`, and
/// `organisation.access_request.withdrawn.v1`; none for each holder.
pub(crate) async fn delete(
    service: &Organisations,
    call: &Call,
    request: DeleteRoleRequest,
) -> Result<DeleteRoleResponse, Error> {
    let DeleteRoleRequest { id, replacement, request_id: _ } = request;
    let mut fields = Fields::default();
    let id = fields.read("id", parse_id(&id));
    let replacement = fields.read_optional("replacement", &replacement, RoleKey::parse);
    let (Some(id), Some(replacement)) = (id, replacement) else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    // Nobody makes it a default meanwhile, and no organisation moves in or out.
    organisation::hold_tree(&change, true).await?;
    // Nobody is given it meanwhile.
    role::Entity::find_by_id(id).lock(LockType::Update).one(&**change.tx()).await?;
    let found = role::seen_by(&*change, id, call, change.now).await?;
    let found = found.ok_or(Error::RoleNotFound)?;
    if BuiltIn::of(id).is_some() {
        return Err(Error::RoleBuiltIn);
    }
    found.require_to_manage()?;
    found.rights.require_to_hold(&Roles::from_iter([found.role.role()]))?;
    let mut record =
        Record::of("role", id, found.organisation).detail(format!("key={}", found.role.key));
    match replacement {
        Some(key) => {
            let new = find_replacement(&change, &found, &key).await?;
            found.rights.require_to_grant(&Roles::from_iter([new.clone()]), call.giver())?;
            record = record.detail(format!("replacement={}", new.key));
            replace(&change, &found, &new).await?;
        }
        None if in_use(&change, &found).await? => return Err(Error::RoleHeld),
        None => {}
    }
    role::Entity::delete_by_id(id).exec(&*change).await?;
    let event = RoleChanged { role_id: id.to_string() };
    change.announce("organisation.role.deleted.v1", id, &event).await?;
    change.record(record).await?;
    change.commit(DeleteRoleResponse {}).await
}

async fn in_use(change: &Change<'_>, found: &Found) -> Result<bool, DbErr> {
    let Found { role, organisation, .. } = found;
    if role.is_application_role {
        return role_use::application_role_in_use(&**change, role, *organisation).await;
    }
    let one = std::slice::from_ref(role);
    Ok(role_use::in_use_below(&**change, one, *organisation).await?.is_some())
}

async fn find_replacement(
    change: &Change<'_>,
    found: &Found,
    key: &RoleKey,
) -> Result<Role, Error> {
    let among = if found.role.is_application_role {
        role::of_application(found.role.owner_id)
    } else {
        role::given_at(found.role.owner_id)
    };
    let new = role::find_one(&**change, among, key).await?;
    new.filter(|new| new.id != found.role.id).ok_or_else(|| {
        let mut fields = Fields::default();
        fields.reject("replacement", "expected another role of the same root or application");
        Error::Invalid(fields)
    })
}

async fn replace(change: &Change<'_>, found: &Found, new: &Role) -> Result<(), DbErr> {
    let Found { role: old, organisation, .. } = found;
    if old.is_application_role {
        let now = change.now;
        return role_use::replace_in_application(&**change, old, new, *organisation, now).await;
    }
    for request in role_use::replace(&**change, old, new, change.now).await? {
        access_request::conclude(change, &request, State::Withdrawn, Decision::default()).await?;
    }
    Ok(())
}
