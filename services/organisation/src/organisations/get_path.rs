use api::organisation::v1::{GetOrganisationPathRequest, GetOrganisationPathResponse};
use kernel::{Fields, parse_id};

use crate::{Organisations, call::Call, entity::organisation, error::Error};

/// The organisations from the root down to one, for services that keep what is inherited down the
/// tree. It tells of organisations whatever anybody sees, so no person may ask.
///
/// Needs the scope `permissions.check`.
pub(crate) async fn get_path(
    service: &Organisations,
    call: &Call,
    request: GetOrganisationPathRequest,
) -> Result<GetOrganisationPathResponse, Error> {
    let GetOrganisationPathRequest { id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    if !call.has_scope("permissions.check") {
        return Err(Error::ScopeMissing("permissions.check"));
    }
    let ids = organisation::path(service.database.read(), id).await?;
    if ids.is_empty() {
        return Err(Error::OrganisationNotFound);
    }
    Ok(GetOrganisationPathResponse { ids })
}

#[cfg(test)]
mod tests {
    use testkit::Bench;

    use super::*;
    use crate::testing::{Stage, reason};

    testkit::on_both_databases!(a_path_goes_from_the_root_down_and_is_for_services_alone);

    async fn a_path_goes_from_the_root_down_and_is_for_services_alone(bench: Bench) {
        let stage = Stage::of_depth(bench, 3).await;
        let (owner, root) = stage.root("ABC Holdings").await;
        let child = stage.organisation(&owner, "Child", &root).await;
        let grandchild = stage.organisation(&owner, "Grandchild", &child).await;
        let service = stage.account("notification", "permissions.check");
        let ask = |id: &str| GetOrganisationPathRequest { id: id.to_owned() };
        let path = service.organisations().get_organisation_path(ask(&grandchild)).await.unwrap();
        assert_eq!(path.into_inner().ids, [root.clone(), child, grandchild]);
        let path = service.organisations().get_organisation_path(ask(&root)).await.unwrap();
        assert_eq!(path.into_inner().ids, std::slice::from_ref(&root));

        for nowhere in ["01890a5d-ac96-774b-bcce-b302099a8057", &kernel::Uuid::nil().to_string()] {
            let answer = service.organisations().get_organisation_path(ask(nowhere)).await;
            assert_eq!(reason(answer), "ORGANISATION_NOT_FOUND");
        }
        for stranger in [&owner, &stage.account("another", "users.read")] {
            let answer = stranger.organisations().get_organisation_path(ask(&root)).await;
            assert_eq!(reason(answer), "SCOPE_MISSING");
        }
    }
}
