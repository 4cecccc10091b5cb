use api::organisation::v1::{Membership, UpdateMembershipRequest, UpdateMembershipResponse};
use kernel::{Fields, Malformed, Time, Uuid, parse_id};
use prost_types::Timestamp;
use sea_orm::{ActiveValue::Set, entity::prelude::*, sea_query::Expr};

use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::{
        permission::Permission,
        rights::Denied,
        role::{Role, RoleKey, Roles},
    },
    entity::{
        membership::{self, AFTER_BEGINNING, Column, Model, Span, changing, read_moment},
        membership_role,
        organisation::etag,
        role,
    },
    error::Error,
};

/// Changes what the mask names of a membership: `roles`, `valid_from`, `expires_at` (AIP-134); a
/// non-empty etag must be the current one (AIP-154).
///
/// Needs `members.update` there and every permission of the roles, before and after; a service
/// account adds invitable roles alone, and nobody gives themselves a permission or longer time. The
/// last owner of a root stays, without end. Event: `organisation.membership.updated.v1`.
pub(crate) async fn update(
    service: &Organisations,
    call: &Call,
    request: UpdateMembershipRequest,
) -> Result<UpdateMembershipResponse, Error> {
    let UpdateMembershipRequest { membership, update_mask, request_id: _ } = request;
    let mut fields = Fields::default();
    let mask = update_mask.unwrap_or_default().paths;
    let membership = membership.unwrap_or_default();
    let Wanted { organisation, subject, keys, valid_from, expires_at, etag: expected } =
        wanted(&mut fields, membership, &mask, service.clock.now());
    let Some(organisation) = organisation else { return Err(Error::Invalid(fields)) };

    let change = service.begin(call).await?;
    let rights = service.rights(call, &*change, organisation).await?;
    rights.require(Permission::MembersUpdate)?;
    let after = match keys {
        Some(keys) => {
            let among = role::given_at(organisation);
            let found = role::find(&*change, among, "membership.roles", &keys).await?;
            found.map_err(|unknown| fields.append(unknown)).ok()
        }
        None => None,
    };
    let (Some(subject), true) = (subject, fields.violations().is_empty()) else {
        return Err(Error::Invalid(fields));
    };
    let held = changing::hold(&change, subject, organisation).await?;
    let (found, before) = held.ok_or(Error::MembershipNotFound)?;
    let after = after.unwrap_or_else(|| before.clone());
    let added: Roles = after.iter().filter(|role| !before.contains(role.id)).cloned().collect();
    rights.require_to_hold(&before)?;
    rights.require_to_grant(&added, call.giver())?;
    if !expected.is_empty() && expected != etag(found.version) {
        return Err(Error::EtagMismatch);
    }
    let span = Span {
        valid_from: valid_from.unwrap_or(found.valid_from),
        expires_at: expires_at.unwrap_or(found.expires_at),
    };
    if !span.ends_after_beginning() {
        fields.reject("membership.expires_at", AFTER_BEGINNING);
        return Err(Error::Invalid(fields));
    }
    let raises = !after.permissions().is_subset_of(before.permissions());
    if subject == call.subject && (raises || lengthens(&found, span, change.now)) {
        return Err(Denied::AboveCeiling(after.to_string()).into());
    }
    set_span(&change, &found, span).await?;
    set_roles(&change, &found, &before, &after).await?;
    if !changing::leaves_owner(&change, &found, &before, change.now).await? {
        return Err(Error::LastOwner);
    }
    let key = "organisation.membership.updated.v1";
    changing::announce(&change, key, subject, organisation).await?;
    let record = Record::of("membership", subject, organisation);
    let record = record.detail(format!("changed={}", mask.join(" ")));
    change
        .record(record.detail(format!("before={before}")).detail(format!("roles={after}")))
        .await?;
    let membership = membership::shown(&*change, subject, organisation, change.now).await?;
    change.commit(UpdateMembershipResponse { membership }).await
}

/// What a request asks for; nothing for what its mask does not name, or what is wrong.
struct Wanted {
    organisation: Option<Uuid>,
    subject: Option<Uuid>,
    keys: Option<Vec<RoleKey>>,
    valid_from: Option<Option<Time>>,
    expires_at: Option<Option<Time>>,
    etag: String,
}

fn wanted(fields: &mut Fields, membership: Membership, mask: &[String], now: Time) -> Wanted {
    let Membership {
        organisation_id,
        user_id,
        email: _,
        display_name: _,
        roles,
        created_at: _,
        state: _,
        valid_from,
        expires_at,
        etag,
        invitation_id: _,
        is_service_account: _,
    } = membership;
    let names = |path: &str| mask.iter().any(|it| it == path);
    let known = |path: &String| ["roles", "valid_from", "expires_at"].contains(&path.as_str());
    if mask.is_empty() || !mask.iter().all(known) {
        fields.reject("update_mask", Malformed("some of roles, valid_from and expires_at"));
    }
    let organisation = fields.read("membership.organisation_id", parse_id(&organisation_id));
    let subject = fields.read("membership.user_id", parse_id(&user_id));
    if names("roles") && roles.is_empty() {
        fields.reject("membership.roles", Malformed("a role at least; who has none is removed"));
    }
    let keys = names("roles").then(|| RoleKey::read_all(fields, "membership.roles", &roles));
    let mut moment = |path: &str, field: &str, at: Option<Timestamp>| {
        names(path).then(|| read_moment(fields, field, at, now)).flatten()
    };
    let valid_from = moment("valid_from", "membership.valid_from", valid_from);
    let expires_at = moment("expires_at", "membership.expires_at", expires_at);
    Wanted { organisation, subject, keys: keys.flatten(), valid_from, expires_at, etag }
}

/// Whether the membership would begin earlier or last longer than it does.
fn lengthens(found: &Model, span: Span, now: Time) -> bool {
    let waits = found.valid_from.filter(|from| *from > now);
    let earlier = waits.is_some_and(|from| span.valid_from.is_none_or(|new| new < from));
    let ends = found.expires_at;
    earlier || ends.is_some_and(|until| span.expires_at.is_none_or(|new| new > until))
}

async fn set_span(change: &Change<'_>, found: &Model, span: Span) -> Result<(), Error> {
    let updated = changing::update(found)
        .col_expr(Column::ValidFrom, Expr::value(span.valid_from))
        .col_expr(Column::ExpiresAt, Expr::value(span.expires_at))
        .col_expr(Column::NextChangeAt, Expr::value(span.next_change(change.now)))
        .exec(&**change)
        .await?;
    if updated.rows_affected == 1 { Ok(()) } else { Err(Error::EtagMismatch) }
}

async fn set_roles(
    change: &Change<'_>,
    found: &Model,
    before: &Roles,
    after: &Roles,
) -> Result<(), DbErr> {
    use membership_role::{ActiveModel, Column, Entity};
    let gone = before.iter().filter(|role| !after.contains(role.id)).map(|role| role.id);
    Entity::delete_many()
        .filter(Column::SubjectId.eq(found.subject_id))
        .filter(Column::OrganisationId.eq(found.organisation_id))
        .filter(Column::RoleId.is_in(gone))
        .exec(&**change)
        .await?;
    let row = |role: &Role| ActiveModel {
        subject_id: Set(found.subject_id),
        organisation_id: Set(found.organisation_id),
        role_id: Set(role.id),
    };
    let added: Vec<_> = after.iter().filter(|role| !before.contains(role.id)).map(row).collect();
    if !added.is_empty() {
        Entity::insert_many(added).exec_without_returning(&**change).await?;
    }
    Ok(())
}
