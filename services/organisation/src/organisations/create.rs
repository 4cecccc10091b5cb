use api::organisation::v1::{
    CreateOrganisationRequest, CreateOrganisationResponse, OrganisationChanged,
};
use kernel::{DisplayName, Fields, Uuid, fold, parse_id};
use sea_orm::{DbErr, EntityTrait as _, IntoActiveModel as _};

use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::{permission::Permission, rights::Denied, role::BuiltIn},
    entity::{
        ancestor,
        invitation_policy::{Stated, add_unknown_role, default_role},
        membership::{self, New, Span},
        organisation::{self, ExistingAccount, PLATFORM},
        organisation_word, person,
    },
    error::Error,
};

const POLICY: &str = "invitation_policy";

/// Creates a root, or a sub-organisation of a parent.
///
/// Needs `organisations.create` at the parent; for a root at the platform. Whoever creates a root
/// becomes its owner; a sub-organisation has its parent's people from above. The default role of its
/// invitation policy is one that it can give: a built-in one, or one of its root. Event:
/// `organisation.organisation.created.v1`.
pub(crate) async fn create(
    service: &Organisations,
    call: &Call,
    request: CreateOrganisationRequest,
) -> Result<CreateOrganisationResponse, Error> {
    let CreateOrganisationRequest { display_name, parent_id, request_id: _, invitation_policy } =
        request;
    let mut fields = Fields::default();
    let name = fields.read("display_name", DisplayName::parse(&display_name));
    let parent = fields.read_optional("parent_id", &parent_id, parse_id);
    let policy = invitation_policy.unwrap_or_default();
    let policy = Stated::read(&mut fields, POLICY, policy, |_| true);
    // The platform is no organisation that one could name.
    if parent == Some(Some(PLATFORM)) {
        return Err(Error::OrganisationNotFound);
    }
    let (Some(name), Some(parent), true) = (name, parent, fields.violations().is_empty()) else {
        if let Some(parent) = parent {
            let parent = parent.unwrap_or(PLATFORM);
            add_unknown_role(service, call, &mut fields, parent, &policy, POLICY).await?;
        }
        return Err(Error::Invalid(fields));
    };
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
    let default_role = default_role(&*change, parent, &policy, POLICY).await?;
    let default_role = default_role.map_err(Error::Invalid)?;
    let now = change.now;
    let created = organisation::Model {
        id: service.clock.new_id(),
        parent_id: Some(parent),
        depth,
        search_name: fold(name.as_str()).into_bytes(),
        display_name: name.into(),
        archived_by: None,
        allowed_domains: policy.allowed_domains.unwrap_or_default(),
        approval_required: policy.approval_required.unwrap_or_default(),
        default_role,
        existing_account: policy.existing_account.unwrap_or(ExistingAccount::Inherit),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let row = created.clone().into_active_model();
    organisation::Entity::insert(row).exec_without_returning(&*change).await?;
    ancestor::insert(&*change, created.id, parent).await?;
    organisation_word::write(&*change, created.id, &created.display_name).await?;
    if is_root {
        make_owner(service, call, &change, created.id).await?;
    }
    let event = OrganisationChanged { organisation_id: created.id.to_string() };
    change.announce("organisation.organisation.created.v1", created.id, &event).await?;
    change.record(Record::of("organisation", created.id, created.id)).await?;
    let seen = created.seen_with(&rights.one_tier_down());
    change.commit(CreateOrganisationResponse { organisation: Some(seen) }).await
}

async fn make_owner(
    service: &Organisations,
    call: &Call,
    change: &Change<'_>,
    root: Uuid,
) -> Result<(), DbErr> {
    person::remember_caller(&**change, call).await?;
    let new = New {
        id: service.clock.new_id(),
        is_service_account: !call.is_person(),
        span: Span::default(),
        now: change.now,
    };
    membership::grant(&**change, call.subject, root, &BuiltIn::Owner.into(), new).await
}
