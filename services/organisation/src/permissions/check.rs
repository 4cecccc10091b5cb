use api::organisation::v1::{CheckPermissionRequest, CheckPermissionResponse};
use kernel::{Fields, parse_id};

use crate::{
    Organisations, call::Call, domain::permission::Permission, entity::membership, error::Error,
};

/// Whether a subject holds a permission at an organisation.
///
/// Everybody may ask about themselves; about others a service account with the scope
/// `permissions.check`. It reads the database, so that a change counts from its commit on. An
/// organisation that does not exist answers like one where the subject holds nothing.
pub(crate) async fn check(
    service: &Organisations,
    call: &Call,
    request: CheckPermissionRequest,
) -> Result<CheckPermissionResponse, Error> {
    let CheckPermissionRequest { subject_id, organisation_id, permission } = request;
    let mut fields = Fields::default();
    let subject = fields.read_optional("subject_id", &subject_id, parse_id);
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let permission = fields.read("permission", Permission::parse(&permission));
    let (Some(subject), Some(organisation), Some(permission)) = (subject, organisation, permission)
    else {
        return Err(Error::Invalid(fields));
    };
    let subject = subject.unwrap_or(call.subject);
    if subject != call.subject && !call.has_scope("permissions.check") {
        return Err(Error::ScopeMissing("permissions.check"));
    }
    let (database, now) = (service.database.read(), service.clock.now());
    let rights = membership::rights(database, subject, organisation, now).await?;
    Ok(CheckPermissionResponse { allowed: rights.allow(permission) })
}

#[cfg(test)]
mod tests {
    use testkit::Bench;

    use crate::testing::Stage;

    testkit::on_both_databases!(rights_inherit_downward_only);

    async fn rights_inherit_downward_only(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC Holdings").await;
        let child = stage.organisation(&owner, "Child 1", &root).await;
        let sibling = stage.organisation(&owner, "Child 2", &root).await;
        let ada = stage.member("ada@example.com", &child, &["admin"]).await;
        for (who, organisation, allowed) in [
            (&owner, &root, true),
            (&owner, &child, true),
            (&ada, &child, true),
            (&ada, &root, false),
            (&ada, &sibling, false),
        ] {
            let answer = stage.allows(who, organisation, "members.read").await;
            assert_eq!(answer, allowed, "{organisation}");
        }
    }
}
