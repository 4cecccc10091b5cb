use super::{double::Double, *};

/// Every endpoint that needs a token, with a body that would be right.
const GUARDED: [(&str, &str, &str); 46] = [
    ("DELETE", "/api/sessions/current", ""),
    ("GET", "/api/me", ""),
    ("GET", "/api/me/memberships", ""),
    ("GET", "/api/me/invitations", ""),
    ("GET", "/api/me/access-requests", ""),
    ("POST", "/api/organisations", r#"{"display_name":"ABC Holdings"}"#),
    ("GET", "/api/organisations", ""),
    ("GET", "/api/organisations/1", ""),
    ("PATCH", "/api/organisations/1", r#"{"display_name":"ABC"}"#),
    ("PATCH", "/api/organisations/1", r#"{"archived":true}"#),
    ("GET", "/api/organisations/1/move-preview", ""),
    ("POST", "/api/organisations/1/move", r#"{"etag":"7"}"#),
    ("GET", "/api/organisations/1/members", ""),
    ("POST", "/api/organisations/1/members", r#"{"user_id":"2"}"#),
    ("GET", "/api/organisations/1/members/2", ""),
    ("PATCH", "/api/organisations/1/members/2", r#"{"roles":["user"]}"#),
    ("PATCH", "/api/organisations/1/members/2", r#"{"status":"suspended"}"#),
    ("DELETE", "/api/organisations/1/members/2", ""),
    ("GET", "/api/permissions", ""),
    ("GET", "/api/organisations/1/roles", ""),
    ("POST", "/api/organisations/1/roles", r#"{"key":"teacher"}"#),
    ("GET", "/api/applications/1/roles", ""),
    ("POST", "/api/applications/1/roles", r#"{"key":"teacher"}"#),
    ("GET", "/api/roles/1", ""),
    ("PATCH", "/api/roles/1", r#"{"invitable":true}"#),
    ("DELETE", "/api/roles/1", ""),
    ("POST", "/api/permission-checks", r#"{"checks":[]}"#),
    ("GET", "/api/permission-explanation", ""),
    ("POST", "/api/organisation-invitations", r#"{"email":"a@example.com"}"#),
    ("GET", "/api/organisation-invitations", ""),
    ("GET", "/api/organisation-invitations/1", ""),
    ("PATCH", "/api/organisation-invitations/1", r#"{"status":"accepted"}"#),
    ("PATCH", "/api/organisation-invitations/1", r#"{"status":"declined"}"#),
    ("PATCH", "/api/organisation-invitations/1", r#"{"status":"revoked"}"#),
    ("PATCH", "/api/organisation-invitations/1", r#"{"locale":"de"}"#),
    ("POST", "/api/organisation-invitations/1/reissue", ""),
    ("POST", "/api/access-requests", r#"{"role":"approver"}"#),
    ("GET", "/api/access-requests", ""),
    ("GET", "/api/access-requests/1", ""),
    ("PATCH", "/api/access-requests/1", r#"{"status":"approved"}"#),
    ("POST", "/api/organisations/1/applications", r#"{"display_name":"Timetable"}"#),
    ("PATCH", "/api/applications/1", r#"{"assign_on_invite":true}"#),
    ("POST", "/api/applications/1/callback-secret", ""),
    ("GET", "/api/organisations/1/applications/2/access", ""),
    ("PUT", "/api/organisations/1/applications/2/access/3", r#"{"roles":["user"]}"#),
    ("GET", "/api/organisations/1/audit-records", ""),
];

#[tokio::test]
async fn without_a_token_nobody_is_asked() {
    // The peers are away: asking them would be a 503.
    let gateway = gateway(&[]);
    for (method, path, body) in GUARDED {
        for header in [None, Some("Basic YTpi"), Some("Bearer"), Some("Bearer a b")] {
            let mut request = Request::builder().method(method).uri(path);
            request = request.header("content-type", "application/json");
            if let Some(value) = header {
                request = request.header("authorization", value);
            }
            let answer = send(&gateway, request.body(Body::from(body)).unwrap()).await;
            answer.is_problem(StatusCode::UNAUTHORIZED, "TOKEN_INVALID");
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn with_a_token_the_owner_of_the_data_is_asked() {
    let gateway = gateway(&[]);
    for (method, path, body) in GUARDED {
        let answer = call(&gateway, method, path, body).await;
        answer.is_problem(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE");
        assert_eq!(answer.header("retry-after"), "1", "{method} {path}");
        answer.keeps_silent_about("127.0.0.1");
    }
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_problems() {
    let gateway = gateway(&[]);
    for path in ["/api", "/api/nothing", "/api/mailbox", "/api/organisations/1/", "/%ff", "/x"] {
        let answer = call(&gateway, "GET", path, "").await;
        answer.is_problem(StatusCode::NOT_FOUND, "PATH_UNKNOWN");
    }
    let answer = call(&gateway, "PUT", "/api/organisations/1", "{}").await;
    answer.is_problem(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED");
    assert_eq!(answer.header("allow"), "GET,HEAD,PATCH");
    let answer = call(&gateway, "GET", "/api/organisations/%ff", "").await;
    answer.is_problem(StatusCode::NOT_FOUND, "PATH_UNKNOWN");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_a_problem() {
    let gateway = gateway(&[("body_bytes", "1024")]);
    for bad in ["", "{", "[]", "7", "{\"email\":", "{\"email\":\"\u{0}\"}"] {
        let answer = call(&gateway, "POST", "/api/sessions", bad).await;
        answer.is_problem(StatusCode::BAD_REQUEST, "BODY_MALFORMED");
    }
    let large = format!("{{\"email\":\"{}\"}}", "a".repeat(1_024));
    let answer = call(&gateway, "POST", "/api/sessions", &large).await;
    answer.is_problem(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE");
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""]
    {
        let request = Request::post("/api/sessions").header(CONTENT_TYPE, content_type);
        let answer = send(&gateway, request.body(Body::from("{}")).unwrap()).await;
        answer.is_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "CONTENT_TYPE_UNSUPPORTED");
    }
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let gateway = gateway(&[]);
    let path = "/api/organisation-invitations?organisation_id=1";
    let body = r#"{"organisation_id":"2","email":7,"role":["user"]}"#;
    let answer = call(&gateway, "POST", path, body).await;
    answer.is_problem(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT");
    let errors = answer.json()["errors"].clone();
    let mut fields: Vec<_> =
        errors.as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["email", "organisation_id", "role"]);

    let path = "/api/organisation-invitations?status=lost&page_size=many&status=pending";
    let answer = call(&gateway, "GET", path, "").await;
    answer.is_problem(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT");
    answer.says("page_size");
    answer.says("\"status\"");

    let path = "/api/organisation-invitations/1";
    let answer = call(&gateway, "PATCH", path, r#"{"status":"lost"}"#).await;
    answer.is_problem(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT");
    answer.says("expected one of accepted, declined, revoked");
}

#[tokio::test]
async fn an_invitation_is_made_in_the_callers_name_and_answered_as_in_the_source() {
    let double = Double::start().await;
    let path = "/api/organisation-invitations?organisation_id=o1";
    let body = r#"{"organisation_id":"o1","email":"ada@example.com","role":"user","more":[1]}"#;
    let answer = call(&double.gateway, "POST", path, body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert_eq!(double.calls(), ["CreateInvitation o1 ada@example.com [user] as t"]);
    assert_eq!(answer.header("location"), "/api/organisation-invitations/i1");
    assert_eq!(answer.header("cache-control"), "no-store");
    let invitation = answer.json();
    let mut members: Vec<_> = invitation.as_object().unwrap().keys().cloned().collect();
    members.sort_unstable();
    let source = [
        "created_at",
        "deleted_at",
        "email",
        "id",
        "organisation_id",
        "role",
        "status",
        "updated_at",
    ];
    assert_eq!(members, source);
}

#[tokio::test]
async fn a_refusal_keeps_its_reason_and_its_fields() {
    let double = Double::start().await;
    let mut fields = kernel::Fields::default();
    fields.reject("email", "expected a mail address");
    fields.reject("roles[0]", "unknown");
    double.refuse("CreateInvitation", service::invalid(&fields));
    let answer = call(&double.gateway, "POST", "/api/organisation-invitations", "{}").await;
    answer.is_problem(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT");
    let expected = serde_json::json!([
        {"field": "email", "message": "expected a mail address"},
        {"field": "role", "message": "unknown"},
    ]);
    assert_eq!(answer.json()["errors"], expected);

    let refusal = |code, reason, after| {
        let metadata = [("permission", "invitations.create".to_owned())];
        service::refusal("organisation.usher", code, reason, "No.", &metadata, after)
    };
    let denied = refusal(tonic::Code::PermissionDenied, "PERMISSION_MISSING", None);
    double.refuse("CreateInvitation", denied);
    let answer = call(&double.gateway, "POST", "/api/organisation-invitations", "{}").await;
    answer.is_problem(StatusCode::FORBIDDEN, "PERMISSION_MISSING");
    assert_eq!(answer.json()["title"], "Permission missing");
    assert_eq!(answer.json()["metadata"]["permission"], "invitations.create");

    let after = Some(std::time::Duration::from_millis(89_500));
    let later = refusal(tonic::Code::ResourceExhausted, "TOO_MANY_ATTEMPTS", after);
    double.refuse("CreateSession", later);
    let answer = call(&double.gateway, "POST", "/api/sessions", "{}").await;
    answer.is_problem(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_ATTEMPTS");
    assert_eq!(answer.header("retry-after"), "90");
}

#[tokio::test]
async fn the_cause_of_a_failure_stays_inside() {
    let double = Double::start().await;
    double.refuse("CreateSession", tonic::Status::internal("relation \"users\" does not exist"));
    let answer = call(&double.gateway, "POST", "/api/sessions", "{}").await;
    answer.is_problem(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL");
    answer.keeps_silent_about("relation");
}
