use api::organisation::v1::{ListPermissionsRequest, ListPermissionsResponse, Permission};

use crate::{domain::permission::CATALOGUE, error::Error};

/// The catalogue of permissions, whole and in its order. Everybody may read it.
pub(crate) async fn list_permissions(
    request: ListPermissionsRequest,
) -> Result<ListPermissionsResponse, Error> {
    let ListPermissionsRequest {} = request;
    let permissions = CATALOGUE.iter().map(|(_, key, description)| Permission {
        key: (*key).to_owned(),
        description: (*description).to_owned(),
    });
    Ok(ListPermissionsResponse { permissions: permissions.collect() })
}
