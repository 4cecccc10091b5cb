//! What is read, and which of it.

use api::organisation::v1::*;
use prost_types::Timestamp;

use super::{double::Double, *};

#[tokio::test]
async fn a_list_passes_on_every_filter() {
    let double = Double::start().await;
    let get = async |path: &str| {
        let answer = call(&double.gateway, "GET", path, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json()["next_page_token"], "next");
        answer.json()
    };
    let page = "page_size=2&page_token=p&order_by=created_at";
    let (page_size, page_token, order_by) = (2, "p".to_owned(), "created_at".to_owned());

    let path = "/api/organisations?parent_id=o1&recursive=true&query=abc&show_archived=true";
    assert_eq!(get(&format!("{path}&{page}")).await["organisations"][0]["id"], "o1");
    let expected = ListOrganisationsRequest {
        parent_id: "o1".to_owned(),
        page_size,
        page_token: page_token.clone(),
        recursive: true,
        query: "abc".to_owned(),
        order_by: order_by.clone(),
        show_archived: true,
    };
    assert_eq!(double.asked::<ListOrganisationsRequest>(), expected);

    let path = "/api/permitted-organisations?permission=members.read&subject_id=u2";
    let shown = get(&format!("{path}&page_size=2&page_token=p")).await;
    assert_eq!(shown["organisation_ids"][0], "o1");
    let expected = ListPermittedOrganisationsRequest {
        subject_id: "u2".to_owned(),
        permission: "members.read".to_owned(),
        page_size,
        page_token: page_token.clone(),
    };
    assert_eq!(double.asked::<ListPermittedOrganisationsRequest>(), expected);

    let path = "/api/organisations/o1/members?status=not_yet_valid&role=user&query=ada";
    assert_eq!(get(&format!("{path}&{page}")).await["members"][0]["status"], "suspended");
    let expected = ListMembershipsRequest {
        organisation_id: "o1".to_owned(),
        page_size,
        page_token: page_token.clone(),
        state: MembershipState::NotYetValid.into(),
        role: "user".to_owned(),
        query: "ada".to_owned(),
        order_by: order_by.clone(),
    };
    assert_eq!(double.asked::<ListMembershipsRequest>(), expected);

    let path = "/api/organisation-invitations?organisation_id=o1&status=expired&recursive=true&\
                inviter_id=u2&email=a@b.example&application_id=a1&source_id=s1&\
                delivery_state=bounced";
    assert_eq!(get(&format!("{path}&{page}")).await["invitations"][0]["id"], "i1");
    let expected = ListInvitationsRequest {
        organisation_id: "o1".to_owned(),
        state: InvitationState::Expired.into(),
        page_size,
        page_token: page_token.clone(),
        recursive: true,
        inviter_id: "u2".to_owned(),
        email: "a@b.example".to_owned(),
        application_id: "a1".to_owned(),
        source_id: "s1".to_owned(),
        order_by: order_by.clone(),
        delivery_state: InvitationDeliveryState::Bounced.into(),
    };
    assert_eq!(double.asked::<ListInvitationsRequest>(), expected);

    let path = "/api/access-requests?organisation_id=o1&status=rejected&overdue=true&\
                no_approvers=true&application_id=a1";
    assert_eq!(get(&format!("{path}&{page}")).await["access_requests"][0]["status"], "approved");
    let expected = ListAccessRequestsRequest {
        organisation_id: "o1".to_owned(),
        state: AccessRequestState::Rejected.into(),
        overdue: true,
        no_approvers: true,
        application_id: "a1".to_owned(),
        order_by: order_by.clone(),
        page_size,
        page_token: page_token.clone(),
    };
    assert_eq!(double.asked::<ListAccessRequestsRequest>(), expected);

    let path = "/api/organisations/o1/audit-records?actor_id=u2&action=invitations.&target_id=t&\
                invitation_id=i1&access_request_id=q1&from=1970-01-01T01:00:00%2B01:00&\
                until=1970-01-01T00:01:00Z&refused=true";
    let record = get(&format!("{path}&{page}")).await["records"][0].clone();
    assert_eq!((&record["actor_kind"], &record["hash"]), (&"usher".into(), &"AAEC".into()));
    assert_eq!((&record["sequence"], &record["refusal"]), (&Value::Null, &Value::Null));
    let filter = AuditFilter {
        organisation_id: "o1".to_owned(),
        actor_id: "u2".to_owned(),
        action: "invitations.".to_owned(),
        target_id: "t".to_owned(),
        invitation_id: "i1".to_owned(),
        access_request_id: "q1".to_owned(),
        from: Some(Timestamp { seconds: 0, nanos: 0 }),
        until: Some(Timestamp { seconds: 60, nanos: 0 }),
        refused: true,
    };
    let expected =
        ListAuditRecordsRequest { filter: Some(filter), order_by, page_size, page_token };
    assert_eq!(double.asked::<ListAuditRecordsRequest>(), expected);
}

#[tokio::test]
async fn what_belongs_to_something_is_listed_below_it() {
    let double = Double::start().await;
    let get = async |path: &str| {
        let answer = call(&double.gateway, "GET", path, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()
    };
    assert_eq!(get("/api/organisations/o1/roles").await["roles"][0]["key"], "teacher");
    assert_eq!(double.asked::<ListRolesRequest>().organisation_id, "o1");
    get("/api/applications/a1/roles").await;
    assert_eq!(double.asked::<ListRolesRequest>().application_id, "a1");
    assert_eq!(get("/api/organisations/o1/applications").await["applications"][0]["id"], "a1");
    assert_eq!(double.asked::<ListApplicationsRequest>().organisation_id, "o1");
    get("/api/organisations/o1/applications/a1/access").await;
    let asked = double.asked::<ListApplicationAccessRequest>();
    assert_eq!((&*asked.organisation_id, &*asked.application_id), ("o1", "a1"));
    assert_eq!(get("/api/permissions").await["permissions"][0]["key"], "roles.manage");

    let preview = get("/api/organisations/o1/move-preview?new_parent_id=o2").await;
    assert_eq!((&preview["etag"], &preview["changes"][0]["gains"]), (&"7".into(), &true.into()));
    assert_eq!(double.asked::<PreviewOrganisationMoveRequest>().new_parent_id, "o2");
}

#[tokio::test]
async fn the_caller_sees_what_is_their_own() {
    let double = Double::start().await;
    let get = async |path: &str| call(&double.gateway, "GET", path, "").await.json();
    get("/api/me/memberships").await;
    assert_eq!(double.asked::<ListSubjectMembershipsRequest>().user_id, "");
    let own = get("/api/me/invitations?status=pending").await["invitations"][0].clone();
    assert_eq!(own["organisation_display_name"], "ABC Holdings");
    assert_eq!(
        (&own["id"], &own["roles"]),
        (&"i1".into(), &serde_json::json!(["approver", "user"]))
    );
    let state = i32::from(InvitationState::Pending);
    assert_eq!(double.asked::<ListOwnInvitationsRequest>().state, state);
    get("/api/me/access-requests?status=withdrawn").await;
    let state = i32::from(AccessRequestState::Withdrawn);
    assert_eq!(double.asked::<ListOwnAccessRequestsRequest>().state, state);
    get("/api/organisations/o1/members/me").await;
    assert_eq!(double.asked::<GetMembershipRequest>().user_id, "");
}

#[tokio::test]
async fn one_thing_comes_with_its_version() {
    let double = Double::start().await;
    for (path, etag) in [
        ("/api/organisations/o1", "\"3\""),
        ("/api/organisations/o1/members/u1", "\"3\""),
        ("/api/roles/r1", "\"3\""),
        ("/api/applications/a1", "\"3\""),
        ("/api/organisation-invitations/i1", "\"3\""),
        ("/api/access-requests/q1", ""),
    ] {
        let answer = call(&double.gateway, "GET", path, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.header("etag"), etag, "{path}");
    }
    assert_eq!(double.asked::<GetAccessRequestRequest>().id, "q1");
}

#[tokio::test]
async fn an_invitation_shows_more_only_to_whoever_asks() {
    let double = Double::start().await;
    let path = "/api/organisation-invitations/i1";
    let basic = call(&double.gateway, "GET", path, "").await.json();
    assert_eq!(basic.as_object().unwrap().len(), 8);
    let full = call(&double.gateway, "GET", &format!("{path}?view=full"), "").await.json();
    for (name, value) in basic.as_object().unwrap() {
        assert_eq!(full[name], *value, "{name}");
    }
    assert_eq!(full["roles"], serde_json::json!(["approver", "user"]));
    assert_eq!(full["expires_at"], "2026-05-28T16:12:00.000Z");
    let answer = call(&double.gateway, "GET", &format!("{path}?view=all"), "").await;
    answer.is_problem(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT");
}

#[tokio::test]
async fn a_check_is_answered_and_explained() {
    let double = Double::start().await;
    let body = r#"{"checks":[{"organisation_id":"o1","permission":"members.read"},
        {"subject_id":"u2","organisation_id":"o2","permission":"members.read"}]}"#;
    let answer = call(&double.gateway, "POST", "/api/permission-checks", body).await;
    assert_eq!(answer.json()["allowed"], serde_json::json!([true, false]));
    let asked = double.asked::<BatchCheckPermissionsRequest>();
    assert_eq!((asked.checks.len(), &*asked.checks[1].subject_id), (2, "u2"));

    let wrong = r#"{"checks":[{"organisation_id":"o1","permission":7}]}"#;
    let answer = call(&double.gateway, "POST", "/api/permission-checks", wrong).await;
    answer.is_problem(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT");
    assert_eq!(answer.json()["errors"][0]["field"], "checks[0].permission");

    let path =
        "/api/permission-explanation?subject_id=u2&organisation_id=o1&permission=roles.manage";
    let answer = call(&double.gateway, "GET", path, "").await.json();
    assert_eq!((&answer["allowed"], &answer["missing"]), (&false.into(), &"permission".into()));
    assert_eq!(answer["grounds"]["distance"], 1);
    let asked = double.asked::<ExplainPermissionRequest>();
    assert_eq!((&*asked.subject_id, &*asked.permission), ("u2", "roles.manage"));
}
