use api::organisation::v1::GetAccessRequestRequest;
use axum::{Json, extract::State};

use super::{AccessRequest, shown};
use crate::{bearer::Bearer, clients::Gateway, input::Id, openapi::Operation, problem::Problem};

/// `GET /api/access-requests/{id}` → 200, for the requester and those who may read requests there.
pub(super) async fn get(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
) -> Result<Json<AccessRequest>, Problem> {
    let request = GetAccessRequestRequest { id };
    let answer = gateway.access_requests(bearer.into()).get_access_request(request).await?;
    shown(answer.into_inner().access_request)
}

pub(super) fn about() -> Operation {
    Operation::new("Read an access request", 200)
        .answers::<AccessRequest>()
        .refuses(404, &["ACCESS_REQUEST_NOT_FOUND"])
}
