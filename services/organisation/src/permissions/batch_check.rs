use api::organisation::v1::{
    BatchCheckPermissionsRequest, BatchCheckPermissionsResponse, CheckPermissionRequest,
};
use kernel::{Fields, Malformed, Uuid, parse_id};

use crate::{
    Organisations, call::Call, domain::permission::Permission, entity::membership, error::Error,
};

/// Up to 100 checks at once, answered in their order as each alone would be, of one moment and by
/// one query.
///
/// Everybody may ask about themselves; about others a service account with the scope
/// `permissions.check`.
pub(crate) async fn batch_check(
    service: &Organisations,
    call: &Call,
    request: BatchCheckPermissionsRequest,
) -> Result<BatchCheckPermissionsResponse, Error> {
    let BatchCheckPermissionsRequest { checks } = request;
    let mut fields = Fields::default();
    if !(1..=100).contains(&checks.len()) {
        fields.reject("checks", Malformed("1 to 100 checks"));
        return Err(Error::Invalid(fields));
    }
    let checks: Vec<_> = checks
        .into_iter()
        .enumerate()
        .map(|(index, check)| read(&mut fields, index, check, call.subject))
        .collect();
    let Some(checks) = checks.into_iter().collect::<Option<Vec<_>>>() else {
        return Err(Error::Invalid(fields));
    };
    let about_others = checks.iter().any(|check| check.subject != call.subject);
    if about_others && !call.has_scope("permissions.check") {
        return Err(Error::ScopeMissing("permissions.check"));
    }
    let pairs: Vec<_> = checks.iter().map(|it| (it.subject, it.organisation)).collect();
    let (database, now) = (service.database.read(), service.clock.now());
    let rights = membership::rights_of_all(database, &pairs, now).await?;
    let allows = |check: &Check| {
        let rights = rights.get(&(check.subject, check.organisation));
        rights.is_some_and(|rights| rights.allow(check.permission))
    };
    Ok(BatchCheckPermissionsResponse { allowed: checks.iter().map(allows).collect() })
}

struct Check {
    subject: Uuid,
    organisation: Uuid,
    permission: Permission,
}

fn read(
    fields: &mut Fields,
    index: usize,
    check: CheckPermissionRequest,
    caller: Uuid,
) -> Option<Check> {
    let CheckPermissionRequest { subject_id, organisation_id, permission } = check;
    let name = |field| format!("checks[{index}].{field}");
    let subject = fields.read_optional(name("subject_id"), &subject_id, parse_id);
    let organisation = fields.read(name("organisation_id"), parse_id(&organisation_id));
    let permission = fields.read(name("permission"), Permission::parse(&permission));
    Some(Check {
        subject: subject?.unwrap_or(caller),
        organisation: organisation?,
        permission: permission?,
    })
}
