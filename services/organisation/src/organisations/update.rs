use api::organisation::v1::{
    Organisation, OrganisationChanged, UpdateOrganisationRequest, UpdateOrganisationResponse,
};
use kernel::{DisplayName, Fields, Malformed, Uuid, fold, parse_id};
use sea_orm::{ExprTrait as _, entity::prelude::*, sea_query::Expr};

use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::permission::Permission,
    entity::{
        invitation_policy::{Stated, add_unknown_role, default_role},
        organisation::{self, Column, PLATFORM, etag},
        organisation_word,
    },
    error::Error,
};

const POLICY: &str = "organisation.invitation_policy";

/// What can be named in the mask.
const PATHS: &[&str] = &[
    "display_name",
    "invitation_policy",
    "invitation_policy.allowed_domains",
    "invitation_policy.approval_required",
    "invitation_policy.default_role",
    "invitation_policy.existing_account",
];

/// Changes what the mask names: the name, the invitation policy or a field of it; a non-empty etag
/// must be the current one (AIP-134, AIP-154).
///
/// Needs `organisations.update` there. A default role is one that the organisation can give; who
/// invites without naming a role must still be entitled to offer it. Event:
/// `organisation.organisation.updated.v1`.
pub(crate) async fn update(
    service: &Organisations,
    call: &Call,
    request: UpdateOrganisationRequest,
) -> Result<UpdateOrganisationResponse, Error> {
    let UpdateOrganisationRequest { organisation, update_mask, request_id: _ } = request;
    // The rest is told by Usher alone.
    let Organisation { id, display_name, etag: expected, invitation_policy, .. } =
        organisation.unwrap_or_default();
    let mut fields = Fields::default();
    let id = fields.read("organisation.id", parse_id(&id));
    let mask = update_mask.unwrap_or_default().paths;
    if mask.is_empty() || mask.iter().any(|path| !PATHS.contains(&path.as_str())) {
        fields.reject("update_mask", Malformed("display_name, invitation_policy or a field of it"));
    }
    let named = |path: &str| mask.iter().any(|named| named == path);
    let name = named("display_name")
        .then(|| fields.read("organisation.display_name", DisplayName::parse(&display_name)))
        .flatten();
    let policy =
        Stated::read(&mut fields, POLICY, invitation_policy.unwrap_or_default(), |field| {
            named("invitation_policy") || named(&format!("invitation_policy.{field}"))
        });
    let Some(id) = id else { return Err(Error::Invalid(fields)) };
    if id == PLATFORM {
        return Err(Error::OrganisationNotFound);
    }
    if !fields.violations().is_empty() {
        add_unknown_role(service, call, &mut fields, id, &policy, POLICY).await?;
        return Err(Error::Invalid(fields));
    }

    let change = service.begin(call).await?;
    if policy.default_role.is_some() {
        // Until this is committed, nobody deletes the role or moves the organisation away from it.
        organisation::hold_tree(&change, false).await?;
    }
    let rights = service.rights(call, &*change, id).await?;
    rights.require(Permission::OrganisationsUpdate)?;
    let found = organisation::Entity::find_by_id(id).one(&*change).await?;
    let found = found.ok_or(Error::OrganisationNotFound)?;
    if !expected.is_empty() && expected != etag(found.version) {
        return Err(Error::EtagMismatch);
    }
    let only_this = (!expected.is_empty()).then_some(found.version);
    let changed = write(&change, id, only_this, name, policy).await?;
    let event = OrganisationChanged { organisation_id: id.to_string() };
    change.announce("organisation.organisation.updated.v1", id, &event).await?;
    change.record(Record::of("organisation", id, id).detail(mask.join(" "))).await?;
    let seen = changed.seen_with(&rights);
    change.commit(UpdateOrganisationResponse { organisation: Some(seen) }).await
}

async fn write(
    change: &Change<'_>,
    id: Uuid,
    only_this: Option<i32>,
    name: Option<DisplayName>,
    policy: Stated,
) -> Result<organisation::Model, Error> {
    let mut update = organisation::Entity::update_many()
        .col_expr(Column::UpdatedAt, Expr::value(change.now))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(id));
    if let Some(version) = only_this {
        update = update.filter(Column::Version.eq(version));
    }
    if let Some(name) = &name {
        let folded = fold(name.as_str()).into_bytes();
        update = update
            .col_expr(Column::DisplayName, Expr::value(name.as_str()))
            .col_expr(Column::SearchName, Expr::value(folded));
    }
    if policy.default_role.is_some() {
        let key = default_role(&**change, id, &policy, POLICY).await?.map_err(Error::Invalid)?;
        update = update.col_expr(Column::DefaultRole, Expr::value(key));
    }
    let Stated { allowed_domains, approval_required, default_role: _, existing_account } = policy;
    if let Some(domains) = allowed_domains {
        update = update.col_expr(Column::AllowedDomains, Expr::value(domains));
    }
    if let Some(required) = approval_required {
        update = update.col_expr(Column::ApprovalRequired, Expr::value(required));
    }
    if let Some(existing) = existing_account {
        update = update.col_expr(Column::ExistingAccount, Expr::value(existing));
    }
    if update.exec(&**change).await?.rows_affected == 0 {
        return Err(Error::EtagMismatch);
    }
    if let Some(name) = &name {
        organisation_word::write(&**change, id, name.as_str()).await?;
    }
    let changed = organisation::Entity::find_by_id(id).one(&**change).await?;
    changed.ok_or(Error::OrganisationNotFound)
}
