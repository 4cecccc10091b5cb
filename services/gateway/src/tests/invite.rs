use api::organisation::v1::CreateInvitationRequest;
use tonic::{Code, Status};

use super::{double::Double, *};

fn refusal(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Status {
    let metadata: Vec<_> =
        metadata.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    service::refusal("organisation.usher", code, reason, "No.", &metadata, None)
}

/// A browser of somebody who has signed in.
async fn visit(router: &Router, path: &str) -> Answer {
    let request = Request::get(path).header("accept", "text/html").header("cookie", COOKIE);
    send(router, request.body(Body::empty()).unwrap()).await
}

async fn send_in(router: &Router, path: &str, form: &str) -> Answer {
    let request = Request::post(path).header("accept", "text/html").header("cookie", COOKIE);
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let request = request.header("sec-fetch-site", "same-origin");
    send(router, request.body(Body::from(form.to_owned())).unwrap()).await
}

const COOKIE: &str = "usher_session=dean";
const FORM: &str = "request_id=4d0c6c24-7c3a-7d6e-9d5c-000000000001&email=+ada%40example.com+\
                    &first_name=Ada&last_name=Lovelace&institution=University&role=teacher\
                    &application=a1&message=Hello%0D%0AAda";

#[tokio::test]
async fn signing_in_keeps_the_session_at_this_browser() {
    let double = Double::start().await;
    let page = browse(&double.gateway, "/sign-in").await;
    page.is_page(StatusCode::OK);
    page.says("autocomplete=\"current-password\"");
    let form = "email=ada%40example.com&password=secret";
    let answer = submit(&double.gateway, "/sign-in", form).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/"));
    let cookie = answer.header("set-cookie");
    assert_eq!(cookie, "usher_session=invitee; Max-Age=600; Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(double.calls(), ["CreateSession ada@example.com"]);
}

#[tokio::test]
async fn who_cannot_sign_in_gets_the_form_again() {
    let double = Double::start().await;
    let answer = submit(&double.gateway, "/sign-in", "email=+&password=").await;
    answer.is_page(StatusCode::UNPROCESSABLE_ENTITY);
    answer.says("Enter your address.");
    answer.says("Enter your password.");
    assert!(double.calls().is_empty());
    let form = "email=ada%40example.com&password=secret";
    double.refuse("CreateSession", refusal(Code::Unauthenticated, "CREDENTIALS_INVALID", &[]));
    let answer = submit(&double.gateway, "/sign-in", form).await;
    answer.is_page(StatusCode::UNPROCESSABLE_ENTITY);
    answer.says("do not belong together");
    answer.says("value=\"ada@example.com\"");
    answer.keeps_silent_about("secret");
    assert_eq!(answer.header("set-cookie"), "");
    let wait = Some(std::time::Duration::from_secs(120));
    let often = service::refusal(
        "identity.usher",
        Code::ResourceExhausted,
        "TOO_MANY_ATTEMPTS",
        "No.",
        &[],
        wait,
    );
    double.refuse("CreateSession", often);
    let answer = submit(&double.gateway, "/sign-in", form).await;
    answer.is_page(StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("retry-after"), "120");
    answer.says("Try again in 2 minutes.");
}

#[tokio::test]
async fn nobody_is_led_to_the_sign_in_page() {
    let double = Double::start().await;
    for path in ["/invite", "/invite/o1"] {
        let answer = browse(&double.gateway, path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(answer.header("location"), "/sign-in");
    }
    let answer = submit(&double.gateway, "/invite/o1", FORM).await;
    assert_eq!(answer.header("location"), "/sign-in");
    assert!(double.calls().is_empty());
    // Whose session is over, too.
    let over = refusal(Code::Unauthenticated, "TOKEN_INVALID", &[]);
    double.refuse("list_organisations", over.clone());
    double.refuse("CreateInvitation", over);
    for answer in [
        visit(&double.gateway, "/invite").await,
        send_in(&double.gateway, "/invite/o1", FORM).await,
    ] {
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(answer.header("location"), "/sign-in");
    }
}

#[tokio::test]
async fn the_form_invites_once_however_often_it_is_sent() {
    let double = Double::start().await;
    let page = visit(&double.gateway, "/invite?query=abc").await;
    page.is_page(StatusCode::OK);
    page.says("<a href=\"/invite/o1\">ABC Holdings</a>");
    page.says("There are more");
    let page = visit(&double.gateway, "/invite/o1").await;
    page.is_page(StatusCode::OK);
    page.says("Invite into ABC Holdings");
    page.says("<option value=\"teacher\">");
    page.says("<option value=\"a1\">");
    let other = visit(&double.gateway, "/invite/o1").await;
    assert_ne!(page.text, other.text, "each form is a request of its own");
    double.calls();

    let page = send_in(&double.gateway, "/invite/o1", FORM).await;
    page.is_page(StatusCode::CREATED);
    page.says("ada@example.com is invited");
    assert_eq!(double.calls(), ["CreateInvitation o1 ada@example.com [teacher] as dean"]);
    let expected = CreateInvitationRequest {
        organisation_id: "o1".to_owned(),
        email: "ada@example.com".to_owned(),
        first_name: "Ada".to_owned(),
        last_name: "Lovelace".to_owned(),
        institution: "University".to_owned(),
        roles: vec!["teacher".to_owned()],
        application_id: "a1".to_owned(),
        personal_message: "Hello\nAda".to_owned(),
        request_id: "4d0c6c24-7c3a-7d6e-9d5c-000000000001".to_owned(),
        ..Default::default()
    };
    assert_eq!(double.asked::<CreateInvitationRequest>(), expected);
}

#[tokio::test]
async fn what_can_be_mended_is_told_at_its_field_and_nothing_typed_is_lost() {
    let double = Double::start().await;
    let page = send_in(&double.gateway, "/invite/o1", "email=+&institution=University").await;
    page.is_page(StatusCode::UNPROCESSABLE_ENTITY);
    for needed in ["address.", "first name.", "last name."] {
        page.says(&format!("Enter the person's {needed}").replace('\'', "&#39;"));
    }
    page.says("value=\"University\"");
    assert!(!double.calls().iter().any(|call| call.starts_with("CreateInvitation")));
    let wrong = {
        let mut fields = kernel::Fields::default();
        for field in ["email", "last_name", "roles[0]", "application_id", "personal_message"] {
            fields.reject(field, "expected another");
        }
        service::invalid(&fields)
    };
    double.refuse("CreateInvitation", wrong);
    let page = send_in(&double.gateway, "/invite/o1", FORM).await;
    page.is_page(StatusCode::UNPROCESSABLE_ENTITY);
    for field in ["email", "last_name", "role", "application", "message"] {
        page.says(&format!("href=\"#{field}\""));
        page.says(&format!("id=\"{field}-error\""));
    }
    for kept in ["value=\"ada@example.com\"", "value=\"Lovelace\"", "Hello\nAda</textarea>"] {
        page.says(kept);
    }
    page.says("<option value=\"teacher\" selected>");
    page.says("<option value=\"a1\" selected>");
    // The next attempt is another request.
    page.keeps_silent_about("000000000001");

    for (code, reason, metadata, told) in [
        (Code::AlreadyExists, "INVITATION_PENDING", ("invitation_id", "i1"), "has been invited"),
        (Code::AlreadyExists, "ALREADY_MEMBER", ("a", "b"), "is a member"),
        (Code::AlreadyExists, "ACCOUNT_EXISTS", ("a", "b"), "There is an account"),
        (Code::FailedPrecondition, "ACCOUNT_UNUSABLE", ("a", "b"), "cannot be used"),
        (Code::FailedPrecondition, "DOMAIN_NOT_ALLOWED", ("domain", "x.org"), "of x.org are not"),
        (Code::ResourceExhausted, "TOO_MANY_INVITATIONS", ("limit", "x"), "too many invitations"),
        (Code::PermissionDenied, "GRANT_CEILING_EXCEEDED", ("role", "owner"), "offer owner"),
        (Code::FailedPrecondition, "APPLICATION_WITHOUT_REDIRECT", ("a", "b"), "takes people"),
    ] {
        double.refuse("CreateInvitation", refusal(code, reason, &[metadata]));
        let page = send_in(&double.gateway, "/invite/o1", FORM).await;
        page.is_page(StatusCode::UNPROCESSABLE_ENTITY);
        page.says(told);
    }
    let missing = refusal(Code::PermissionDenied, "PERMISSION_MISSING", &[]);
    double.refuse("CreateInvitation", missing);
    let page = send_in(&double.gateway, "/invite/o1", FORM).await;
    page.is_page(StatusCode::FORBIDDEN);
    page.keeps_silent_about("<form");
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let double = Double::start().await;
    for path in ["/invite/o1", "/sign-in", "/invitations/t1/enrol"] {
        for site in ["cross-site", "same-site"] {
            let request = Request::post(path).header("accept", "text/html");
            let request = request.header("cookie", COOKIE).header("sec-fetch-site", site);
            let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            let answer = send(&double.gateway, request.body(Body::from(FORM)).unwrap()).await;
            answer.is_page(StatusCode::FORBIDDEN);
        }
    }
    assert!(double.calls().is_empty());
}
