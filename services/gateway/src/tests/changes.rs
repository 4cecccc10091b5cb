//! What is changed, and how.

use api::organisation::v1::*;
use prost_types::{FieldMask, Timestamp};
use tonic::Code;

use super::{double::Double, *};

const KEY: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A change with a key, and with a condition if there is one.
async fn change(double: &Double, method: &str, path: &str, etag: &str, body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    request = request.header("authorization", "Bearer t").header("idempotency-key", KEY);
    if !etag.is_empty() {
        request = request.header("if-match", format!("\"{etag}\""));
    }
    let request = request.header(CONTENT_TYPE, "application/json");
    send(&double.gateway, request.body(Body::from(body.to_owned())).unwrap()).await
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

#[tokio::test]
async fn an_organisation_is_created_changed_archived_and_moved() {
    let double = Double::start().await;
    let policy = r#"{"allowed_domains":["example.com"],"approval_required":true,
        "default_role":"user","existing_account":"refuse"}"#;
    let body = format!(r#"{{"display_name":"ABC","parent_id":"o0","invitation_policy":{policy}}}"#);
    let answer = change(&double, "POST", "/api/organisations", "", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert_eq!(answer.header("location"), "/api/organisations/o1");
    assert_eq!(answer.json()["invitation_policy"]["existing_account"], "inherit");
    let policy = InvitationPolicy {
        allowed_domains: vec!["example.com".to_owned()],
        approval_required: true,
        default_role: "user".to_owned(),
        existing_account: ExistingAccountPolicy::Refuse.into(),
    };
    let expected = CreateOrganisationRequest {
        display_name: "ABC".to_owned(),
        parent_id: "o0".to_owned(),
        request_id: KEY.to_owned(),
        invitation_policy: Some(policy.clone()),
    };
    assert_eq!(double.asked::<CreateOrganisationRequest>(), expected);

    let body = r#"{"display_name":"ABC","invitation_policy":{"approval_required":false}}"#;
    let answer = change(&double, "PATCH", "/api/organisations/o1", "3", body).await;
    assert_eq!((answer.status, answer.header("etag")), (StatusCode::OK, "\"3\""));
    let expected = UpdateOrganisationRequest {
        organisation: Some(Organisation {
            id: "o1".to_owned(),
            display_name: "ABC".to_owned(),
            etag: "3".to_owned(),
            invitation_policy: Some(InvitationPolicy::default()),
            ..Organisation::default()
        }),
        update_mask: mask(&["display_name", "invitation_policy.approval_required"]),
        request_id: KEY.to_owned(),
    };
    assert_eq!(double.asked::<UpdateOrganisationRequest>(), expected);
    change(&double, "PATCH", "/api/organisations/o1", "", r#"{"invitation_policy":null}"#).await;
    let asked = double.asked::<UpdateOrganisationRequest>();
    assert_eq!(asked.update_mask, mask(&["invitation_policy"]));

    change(&double, "PATCH", "/api/organisations/o1", "", r#"{"archived":true}"#).await;
    assert_eq!(double.asked::<ArchiveOrganisationRequest>().request_id, KEY);
    change(&double, "PATCH", "/api/organisations/o1", "", r#"{"archived":false}"#).await;
    assert_eq!(double.asked::<RestoreOrganisationRequest>().id, "o1");
    let body = r#"{"new_parent_id":"o2","etag":"7"}"#;
    change(&double, "POST", "/api/organisations/o1/move", "", body).await;
    let expected = MoveOrganisationRequest {
        id: "o1".to_owned(),
        new_parent_id: "o2".to_owned(),
        etag: "7".to_owned(),
        request_id: KEY.to_owned(),
    };
    assert_eq!(double.asked::<MoveOrganisationRequest>(), expected);
}

#[tokio::test]
async fn a_change_of_its_own_stands_alone_and_an_empty_one_is_refused() {
    let double = Double::start().await;
    for (path, body, field) in [
        ("/api/organisations/o1", r#"{"archived":true,"display_name":"ABC"}"#, "archived"),
        ("/api/organisations/o1", r#"{"archived":null}"#, "archived"),
        ("/api/organisations/o1", "{}", "body"),
        ("/api/organisations/o1/members/u1", r#"{"status":"active","roles":[]}"#, "status"),
        ("/api/organisations/o1/members/u1", r#"{"status":null}"#, "status"),
        ("/api/organisations/o1/members/u1", r#"{"status":"invited"}"#, "status"),
        ("/api/organisations/o1/members/u1", r#"{"etag":"3"}"#, "body"),
        ("/api/roles/r1", "{}", "body"),
        ("/api/applications/a1", "{}", "body"),
        ("/api/organisation-invitations/i1", "{}", "body"),
        ("/api/organisation-invitations/i1", r#"{"status":"revoked","locale":"de"}"#, "status"),
        ("/api/organisation-invitations/i1", r#"{"status":null}"#, "status"),
        ("/api/organisation-invitations/i1", r#"{"role":"a","roles":["b"]}"#, "role"),
        ("/api/access-requests/q1", r#"{"reason":"x"}"#, "status"),
        ("/api/access-requests/q1", r#"{"status":"withdrawn","reason":"x"}"#, "reason"),
    ] {
        let answer = call(&double.gateway, "PATCH", path, body).await;
        answer.is_problem(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT");
        let errors = answer.json()["errors"].clone();
        let fields: Vec<_> =
            errors.as_array().unwrap().iter().map(|e| e["field"].clone()).collect();
        assert_eq!(fields, [field], "{path} {body}");
    }
    assert!(double.calls().is_empty(), "nobody was asked");
}

#[tokio::test]
async fn a_member_is_added_changed_suspended_and_removed() {
    let double = Double::start().await;
    let (all, one) = ("/api/organisations/o1/members", "/api/organisations/o1/members/u1");
    let body = r#"{"user_id":"u1","roles":["user"],"valid_from":"1970-01-01T00:00:01Z",
        "expires_at":"1970-01-01T00:00:02.5Z","is_service_account":true}"#;
    let answer = change(&double, "POST", all, "", body).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::CREATED, one));
    let expected = CreateMembershipRequest {
        organisation_id: "o1".to_owned(),
        user_id: "u1".to_owned(),
        roles: vec!["user".to_owned()],
        valid_from: Some(Timestamp { seconds: 1, nanos: 0 }),
        expires_at: Some(Timestamp { seconds: 2, nanos: 500_000_000 }),
        request_id: KEY.to_owned(),
        is_service_account: true,
    };
    assert_eq!(double.asked::<CreateMembershipRequest>(), expected);

    let body = r#"{"roles":["admin"],"expires_at":null,"etag":"3"}"#;
    change(&double, "PATCH", one, "", body).await;
    let asked = double.asked::<UpdateMembershipRequest>();
    assert_eq!(asked.update_mask, mask(&["roles", "expires_at"]));
    let membership = asked.membership.unwrap();
    assert_eq!((membership.roles, membership.expires_at), (vec!["admin".to_owned()], None));
    assert_eq!(membership.etag, "3");
    change(&double, "PATCH", one, "", r#"{"status":"suspended"}"#).await;
    assert_eq!(double.asked::<SuspendMembershipRequest>().user_id, "u1");
    change(&double, "PATCH", one, "", r#"{"status":"active"}"#).await;
    assert_eq!(double.asked::<ResumeMembershipRequest>().request_id, KEY);
    let answer = change(&double, "DELETE", one, "", "").await;
    assert_eq!((answer.status, &*answer.text), (StatusCode::NO_CONTENT, ""));
    assert_eq!(double.asked::<RemoveMembershipRequest>().user_id, "u1");
    change(&double, "DELETE", "/api/organisations/o1/members/me", "", "").await;
    assert_eq!(double.asked::<RemoveMembershipRequest>().user_id, "", "the caller leaves");
}

#[tokio::test]
async fn a_role_is_made_changed_and_deleted() {
    let double = Double::start().await;
    let body = r#"{"key":"teacher","permissions":["members.read"],"invitable":true}"#;
    let answer = change(&double, "POST", "/api/organisations/o1/roles", "", body).await;
    assert_eq!(answer.header("location"), "/api/roles/r1");
    let asked = double.asked::<CreateRoleRequest>();
    assert_eq!((&*asked.organisation_id, &*asked.application_id), ("o1", ""));
    assert_eq!((asked.permissions, asked.invitable), (vec!["members.read".to_owned()], true));
    change(&double, "POST", "/api/applications/a1/roles", "", body).await;
    let asked = double.asked::<CreateRoleRequest>();
    assert_eq!((&*asked.organisation_id, &*asked.application_id), ("", "a1"));
    change(&double, "PATCH", "/api/roles/r1", "3", r#"{"permissions":[],"invitable":false}"#).await;
    let asked = double.asked::<UpdateRoleRequest>();
    assert_eq!(asked.update_mask, mask(&["permissions", "invitable"]));
    assert_eq!(asked.role.unwrap().etag, "3");
    let answer = change(&double, "DELETE", "/api/roles/r1?replacement=user", "", "").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let request_id = KEY.to_owned();
    let expected =
        DeleteRoleRequest { id: "r1".to_owned(), replacement: "user".to_owned(), request_id };
    assert_eq!(double.asked::<DeleteRoleRequest>(), expected);
}

#[tokio::test]
async fn an_invitation_carries_all_that_the_sources_ask_for() {
    let double = Double::start().await;
    let body = r#"{"email":"ada@example.com","roles":["user","teacher"],"display_name":"Ada L.",
        "first_name":"Ada","last_name":"Lovelace","institution":"College","application_id":"a1",
        "locale":"de","personal_message":"Welcome","membership_valid_from":"1970-01-01T00:00:01Z",
        "membership_expires_at":"1970-01-01T00:00:02Z","expires_in":7200,"source_id":"s1",
        "callback_url":"https://example.com/x"}"#;
    let path = "/api/organisation-invitations?organisation_id=o1&view=full";
    let answer = change(&double, "POST", path, "", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert_eq!(answer.json()["issue"], 0);
    // The double's is one from before it was kept how mails fare.
    assert_eq!(answer.json()["delivery_state"], serde_json::Value::Null);
    let expected = CreateInvitationRequest {
        organisation_id: "o1".to_owned(),
        email: "ada@example.com".to_owned(),
        display_name: "Ada L.".to_owned(),
        roles: vec!["user".to_owned(), "teacher".to_owned()],
        locale: "de".to_owned(),
        first_name: "Ada".to_owned(),
        last_name: "Lovelace".to_owned(),
        institution: "College".to_owned(),
        application_id: "a1".to_owned(),
        personal_message: "Welcome".to_owned(),
        membership_valid_from: Some(Timestamp { seconds: 1, nanos: 0 }),
        membership_expires_at: Some(Timestamp { seconds: 2, nanos: 0 }),
        life: Some(prost_types::Duration { seconds: 7_200, nanos: 0 }),
        source_id: "s1".to_owned(),
        callback_url: "https://example.com/x".to_owned(),
        request_id: KEY.to_owned(),
    };
    assert_eq!(double.asked::<CreateInvitationRequest>(), expected);

    let path = "/api/organisation-invitations/i1";
    let body = r#"{"role":"user","personal_message":"Hello","membership_expires_at":null}"#;
    change(&double, "PATCH", path, "3", body).await;
    let asked = double.asked::<UpdateInvitationRequest>();
    let expected = mask(&["roles", "personal_message", "membership_expires_at"]);
    assert_eq!(asked.update_mask, expected);
    let invitation = asked.invitation.unwrap();
    assert_eq!((&*invitation.etag, &*invitation.roles), ("3", &["user".to_owned()][..]));
    change(&double, "PATCH", path, "", r#"{"status":"revoked"}"#).await;
    assert_eq!(double.asked::<RevokeInvitationRequest>().request_id, KEY);
    double.calls();
    change(&double, "PATCH", path, "", r#"{"status":"declined"}"#).await;
    change(&double, "PATCH", path, "", r#"{"status":"accepted"}"#).await;
    assert_eq!(double.calls(), ["DeclineInvitation i1 as t", "AcceptInvitation i1 as t"]);
    change(&double, "POST", &format!("{path}/reissue"), "", "").await;
    assert_eq!(double.asked::<ReissueInvitationRequest>().request_id, KEY);
}

#[tokio::test]
async fn an_access_request_is_made_and_settled() {
    let double = Double::start().await;
    let body = r#"{"role":"approver","application_id":"a1","reason":"I plan."}"#;
    let path = "/api/access-requests?organisation_id=o1";
    let answer = change(&double, "POST", path, "", body).await;
    assert_eq!(answer.header("location"), "/api/access-requests/q1");
    let expected = CreateAccessRequestRequest {
        organisation_id: "o1".to_owned(),
        role: "approver".to_owned(),
        application_id: "a1".to_owned(),
        reason: "I plan.".to_owned(),
        request_id: KEY.to_owned(),
    };
    assert_eq!(double.asked::<CreateAccessRequestRequest>(), expected);
    let path = "/api/access-requests/q1";
    change(&double, "PATCH", path, "", r#"{"status":"approved"}"#).await;
    assert_eq!(double.asked::<ApproveAccessRequestRequest>().id, "q1");
    change(&double, "PATCH", path, "", r#"{"status":"rejected","reason":"No."}"#).await;
    assert_eq!(double.asked::<RejectAccessRequestRequest>().reason, "No.");
    change(&double, "PATCH", path, "", r#"{"status":"withdrawn"}"#).await;
    assert_eq!(double.asked::<WithdrawAccessRequestRequest>().request_id, KEY);
}

#[tokio::test]
async fn an_application_is_made_changed_and_given() {
    let double = Double::start().await;
    let body = r#"{"display_name":"Timetable","redirect_urls":["https://t.example/x"],
        "callback_hosts":["t.example"],"default_role":"reader","assign_on_invite":true}"#;
    let answer = change(&double, "POST", "/api/organisations/o1/applications", "", body).await;
    assert_eq!((answer.status, answer.header("etag")), (StatusCode::CREATED, "\"3\""));
    assert_eq!(answer.json()["callback_secret"], "whsec_x");
    let expected = CreateApplicationRequest {
        organisation_id: "o1".to_owned(),
        display_name: "Timetable".to_owned(),
        redirect_urls: vec!["https://t.example/x".to_owned()],
        callback_hosts: vec!["t.example".to_owned()],
        default_role: "reader".to_owned(),
        assign_on_invite: true,
        request_id: KEY.to_owned(),
    };
    assert_eq!(double.asked::<CreateApplicationRequest>(), expected);
    change(&double, "PATCH", "/api/applications/a1", "3", r#"{"redirect_urls":[]}"#).await;
    let asked = double.asked::<UpdateApplicationRequest>();
    assert_eq!(asked.update_mask, mask(&["redirect_urls"]));
    let answer = change(&double, "POST", "/api/applications/a1/callback-secret", "", "").await;
    assert_eq!(answer.json(), serde_json::json!({"callback_secret": "whsec_y"}));
    let access = "/api/organisations/o1/applications/a1/access/u1";
    change(&double, "PUT", access, "", r#"{"roles":["reader"]}"#).await;
    let asked = double.asked::<GrantApplicationAccessRequest>();
    let named = (&*asked.organisation_id, &*asked.application_id, &*asked.user_id);
    assert_eq!((named, &*asked.roles), (("o1", "a1", "u1"), &["reader".to_owned()][..]));
    let answer = change(&double, "DELETE", access, "", "").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(double.asked::<WithdrawApplicationAccessRequest>().user_id, "u1");
    change(&double, "DELETE", "/api/applications/a1", "", "").await;
    assert_eq!(double.asked::<RemoveApplicationRequest>().request_id, KEY);
}

#[tokio::test]
async fn a_refused_change_says_why_in_the_words_of_http() {
    let double = Double::start().await;
    let refusal = |code, reason, after| {
        service::refusal("organisation.usher", code, reason, "No.", &[], after)
    };
    double.refuse("update_membership", refusal(Code::Aborted, "ETAG_MISMATCH", None));
    let path = "/api/organisations/o1/members/u1";
    let answer = change(&double, "PATCH", path, "3", r#"{"roles":["user"]}"#).await;
    answer.is_problem(StatusCode::PRECONDITION_FAILED, "ETAG_MISMATCH");
    let answer = change(&double, "PATCH", path, "", r#"{"roles":["user"],"etag":"3"}"#).await;
    answer.is_problem(StatusCode::CONFLICT, "ETAG_MISMATCH");

    for (rpc, method, path, body, code, reason, status) in [
        ("get_role", "GET", "/api/roles/r1", "", Code::NotFound, "ROLE_NOT_FOUND", 404),
        ("delete_role", "DELETE", "/api/roles/r1", "", Code::FailedPrecondition, "ROLE_HELD", 409),
        ("remove_membership", "DELETE", path, "", Code::FailedPrecondition, "LAST_OWNER", 409),
        (
            "approve_access_request",
            "PATCH",
            "/api/access-requests/q1",
            r#"{"status":"approved"}"#,
            Code::PermissionDenied,
            "OWN_REQUEST",
            403,
        ),
    ] {
        double.refuse(rpc, refusal(code, reason, None));
        let answer = call(&double.gateway, method, path, body).await;
        answer.is_problem(StatusCode::from_u16(status).unwrap(), reason);
    }
    let after = Some(std::time::Duration::from_secs(3_600));
    double.refuse(
        "CreateInvitation",
        refusal(Code::ResourceExhausted, "TOO_MANY_INVITATIONS", after),
    );
    let answer = call(&double.gateway, "POST", "/api/organisation-invitations", "{}").await;
    answer.is_problem(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_INVITATIONS");
    assert_eq!(answer.header("retry-after"), "3600");

    let mut fields = kernel::Fields::default();
    fields.reject("membership.roles[0]", "unknown");
    fields.reject("organisation_id", "expected a UUID");
    double.refuse("update_membership", service::invalid(&fields));
    let answer =
        change(&double, "PATCH", "/api/organisations/o1/members/u1", "", r#"{"roles":["x"]}"#);
    let errors = answer.await.json()["errors"].clone();
    assert_eq!((&errors[0]["field"], &errors[1]["field"]), (&"roles[0]".into(), &"id".into()));
}
