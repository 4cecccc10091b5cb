use api::organisation::v1::{CreateOrganisationRequest, CreateOrganisationResponse};
use kernel::{DisplayName, Fields, parse_id};
use sea_orm::{EntityTrait as _, IntoActiveModel as _};
use service::Caller;

use crate::{
    Organisations,
    domain::{
        permission::Permission,
        role::{Role, Roles},
    },
    entity::{
        ancestor, membership,
        organisation::{self, PLATFORM},
        person,
    },
    error::Error,
};

/// Creates a root, or a sub-organisation of a parent.
///
/// Needs `organisations.create` at the parent; for a root at the platform. Whoever creates a root
/// becomes its owner; a sub-organisation has its parent's people from above.
pub(crate) async fn create(
    service: &Organisations,
    caller: &Caller,
    request: CreateOrganisationRequest,
) -> Result<CreateOrganisationResponse, Error> {
    let CreateOrganisationRequest { display_name, parent_id, .. } = request;
    let mut fields = Fields::default();
    let name = fields.read("display_name", DisplayName::parse(&display_name));
    let parent = fields.read_optional("parent_id", &parent_id, parse_id);
    let (Some(name), Some(parent)) = (name, parent) else {
        return Err(Error::Invalid(fields));
    };
    // The platform is no organisation that one could name.
    if parent == Some(PLATFORM) {
        return Err(Error::OrganisationNotFound);
    }
    let is_root = parent.is_none();
    let parent = parent.unwrap_or(PLATFORM);

    let tx = service.database.begin().await?;
    let rights = membership::rights(&*tx, caller.subject, parent).await?;
    match rights.require(Permission::OrganisationsCreate) {
        // That there is a platform is no secret.
        Err(_) if is_root => {
            let missing = crate::domain::rights::Denied::Missing(Permission::OrganisationsCreate);
            return Err(missing.into());
        }
        denied => denied?,
    }
    let above = organisation::Entity::find_by_id(parent).one(&*tx).await?;
    let depth = above.ok_or(Error::OrganisationNotFound)?.depth + 1;
    if depth > service.max_depth {
        return Err(Error::DepthExceeded { max_depth: service.max_depth });
    }
    let now = service.clock.now();
    let created = organisation::Model {
        id: service.clock.new_id(),
        parent_id: Some(parent),
        depth,
        display_name: name.into(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let row = created.clone().into_active_model();
    organisation::Entity::insert(row).exec_without_returning(&*tx).await?;
    ancestor::insert(&*tx, created.id, parent).await?;
    if is_root {
        person::remember_caller(&*tx, caller).await?;
        let owner = Roles::from(Role::Owner);
        let id = service.clock.new_id();
        membership::grant(&*tx, caller.subject, created.id, &owner, id, now).await?;
    }
    tx.commit().await?;
    Ok(CreateOrganisationResponse {
        organisation: Some(created.seen_with(&rights.one_tier_down())),
    })
}
