use api::organisation::v1::{
    CreateOrganisationRequest, CreateOrganisationResponse, OrganisationChanged,
};
use kernel::{DisplayName, Fields, fold, parse_id};
use sea_orm::{EntityTrait as _, IntoActiveModel as _};

use crate::{
    Organisations,
    call::Call,
    change::Record,
    domain::{permission::Permission, rights::Denied, role::BuiltIn},
    entity::{
        ancestor,
        membership::{self, New, Span},
        organisation::{self, ExistingAccount, PLATFORM},
        organisation_word, person,
    },
    error::Error,
};

/// Creates a root, or a sub-organisation of a parent.
///
/// Needs `organisations.create` at the parent; for a root at the platform. Whoever creates a root
/// becomes its owner; a sub-organisation has its parent's people from above. Event:
/// `organisation.organisation.created.v1`.
pub(crate) async fn create(
    service: &Organisations,
    call: &Call,
    request: CreateOrganisationRequest,
) -> Result<CreateOrganisationResponse, Error> {
    let CreateOrganisationRequest { display_name, parent_id, request_id: _, invitation_policy: _ } =
        request;
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

    let change = service.begin(call).await?;
    organisation::hold_tree(&change, false).await?;
    let rights = service.rights(call, &*change, parent).await?;
    match rights.require(Permission::OrganisationsCreate) {
        // That there is a platform is no secret.
        Err(_) if is_root => return Err(Denied::Missing(Permission::OrganisationsCreate).into()),
        denied => denied?,
    }
    let above = organisation::Entity::find_by_id(parent).one(&*change).await?;
    let depth = above.ok_or(Error::OrganisationNotFound)?.depth + 1;
    if depth > service.max_depth {
        return Err(Error::DepthExceeded { max_depth: service.max_depth });
    }
    let now = change.now;
    let created = organisation::Model {
        id: service.clock.new_id(),
        parent_id: Some(parent),
        depth,
        search_name: fold(name.as_str()).into_bytes(),
        display_name: name.into(),
        archived_by: None,
        allowed_domains: String::new(),
        approval_required: false,
        default_role: String::new(),
        existing_account: ExistingAccount::Inherit,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let row = created.clone().into_active_model();
    organisation::Entity::insert(row).exec_without_returning(&*change).await?;
    ancestor::insert(&*change, created.id, parent).await?;
    organisation_word::write(&*change, created.id, &created.display_name).await?;
    if is_root {
        person::remember_caller(&*change, call).await?;
        let new = New {
            id: service.clock.new_id(),
            is_service_account: !call.is_person(),
            span: Span::default(),
            now,
        };
        membership::grant(&*change, call.subject, created.id, &BuiltIn::Owner.into(), new).await?;
    }
    let event = OrganisationChanged { organisation_id: created.id.to_string() };
    change.announce("organisation.organisation.created.v1", created.id, &event).await?;
    change.record(Record::of("organisation", created.id, created.id)).await?;
    let seen = created.seen_with(&rights.one_tier_down());
    change.commit(CreateOrganisationResponse { organisation: Some(seen) }).await
}
