use api::organisation::v1::{
    ApproveAccessRequestRequest, RejectAccessRequestRequest, WithdrawAccessRequestRequest,
};
use axum::{Json, extract::State};

use super::{AccessRequest, shown};
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Id, Object, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

#[derive(Clone, Copy)]
enum Decision {
    Approve,
    Reject,
    Withdraw,
}

const DECISIONS: [(&str, Option<Decision>); 3] = [
    ("approved", Some(Decision::Approve)),
    ("rejected", Some(Decision::Reject)),
    ("withdrawn", Some(Decision::Withdraw)),
];

/// `PATCH /api/access-requests/{id} {"status": "approved" | "rejected" | "withdrawn", "reason"?}` →
/// 200: somebody entitled decides, or the requester withdraws (without a reason).
pub(super) async fn update(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut change: Change,
    mut body: Object,
) -> Result<Json<AccessRequest>, Problem> {
    change.unconditional();
    body.alone("status", &[]);
    let decision = body.one_of("status", &DECISIONS);
    let reason = body.text("reason");
    if matches!(decision, Some(Decision::Withdraw)) && !reason.is_empty() {
        body.fields.reject("reason", "expected to be left out: withdrawing needs none");
    }
    accept([change.fields, body.fields])?;
    let request_id = change.request_id;
    let mut requests = gateway.access_requests(bearer.into());
    shown(match decision.ok_or_else(Problem::internal)? {
        Decision::Approve => {
            let request = ApproveAccessRequestRequest { id, reason, request_id };
            requests.approve_access_request(request).await?.into_inner().access_request
        }
        Decision::Reject => {
            let request = RejectAccessRequestRequest { id, reason, request_id };
            requests.reject_access_request(request).await?.into_inner().access_request
        }
        Decision::Withdraw => {
            let request = WithdrawAccessRequestRequest { id, request_id };
            requests.withdraw_access_request(request).await?.into_inner().access_request
        }
    })
}

pub(super) fn about() -> Operation {
    Operation::new("Approve, reject or withdraw an access request", 200)
        .repeatable()
        .body([
            Field::one_of("status", &DECISIONS, "What becomes of it.").required(),
            Field::text("reason", "Why; needed to reject, at most 1000 characters."),
        ])
        .answers::<AccessRequest>()
        .refuses(403, &["PERMISSION_MISSING", "OWN_REQUEST", "GRANT_CEILING_EXCEEDED"])
        .refuses(403, &["REQUESTER_REQUIRED"])
        .refuses(404, &["ACCESS_REQUEST_NOT_FOUND"])
        .refuses(409, &["ACCESS_REQUEST_SETTLED", "MEMBER_REQUIRED", "ORGANISATION_ARCHIVED"])
}
