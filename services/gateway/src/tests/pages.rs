use std::time::Duration;

use api::{identity::v1::UserStatus, organisation::v1::InvitationState};
use tonic::{Code, Status};

use super::{
    double::{Double, Link},
    *,
};
use crate::headers::POLICY;

const PASSWORD: &str = "a+quiet+morning+by+the+sea";

fn refusal(code: Code, reason: &str) -> Status {
    service::refusal("identity.usher", code, reason, "No.", &[], None)
}

fn enrolment() -> String {
    format!("display_name=Ada+L&password={PASSWORD}&password_again={PASSWORD}")
}

#[tokio::test]
async fn a_link_tells_what_is_offered_and_changes_nothing() {
    let double = Double::start().await;
    let page = browse(&double.gateway, "/invitations/t1").await;
    page.is_page(StatusCode::OK);
    assert_eq!(page.header("content-security-policy"), POLICY);
    for told in
        ["ABC Holdings", "approver, user", "ada@example.com", "Thursday 28 May 2026, 16:12 UTC"]
    {
        page.says(told);
    }
    page.says("<title>Join ABC Holdings");
    page.says("action=\"/invitations/t1/enrol\"");
    page.says("value=\"Ada\" autocomplete=\"name\"");
    page.says("autocomplete=\"new-password\"");
    page.says("value=\"ada@example.com\" autocomplete=\"username\" readonly");
    assert_eq!(double.calls(), ["InspectInvitationLink t1", "GetUser u1 as own"]);

    double.invitee_is(UserStatus::Active);
    let page = browse(&double.gateway, "/invitations/t1").await;
    page.is_page(StatusCode::OK);
    page.says("action=\"/invitations/t1/accept\"");
    page.says("autocomplete=\"current-password\"");
    page.keeps_silent_about("new-password");
}

#[tokio::test]
async fn a_link_that_cannot_be_used_says_why_before_anyone_types() {
    let double = Double::start().await;
    for (state, told) in [
        (InvitationState::Accepted, "This invitation has been accepted"),
        (InvitationState::Expired, "This invitation has expired"),
        (InvitationState::Revoked, "This invitation was taken back"),
        (InvitationState::Declined, "This invitation was declined"),
    ] {
        double.invitation_is(state);
        let get = browse(&double.gateway, "/invitations/t1").await;
        let enrol = submit(&double.gateway, "/invitations/t1/enrol", &enrolment()).await;
        let accept = submit(&double.gateway, "/invitations/t1/accept", "password=x").await;
        for page in [get, enrol, accept] {
            page.is_page(StatusCode::GONE);
            page.says(&format!("<h1>{told}</h1>"));
            page.says(&format!("<title>{told}"));
            page.keeps_silent_about("<form");
        }
        assert!(double.calls().iter().all(|call| call == "InspectInvitationLink t1"));
    }
    double.refuse("InspectInvitationLink", refusal(Code::NotFound, "LINK_INVALID"));
    for token in ["t1", "%ff", "%3Cscript%3E"] {
        let page = browse(&double.gateway, &format!("/invitations/{token}")).await;
        page.is_page(StatusCode::NOT_FOUND);
        page.says("This link is not valid");
    }
}

#[tokio::test]
async fn an_account_that_is_locked_does_not_get_a_form() {
    let double = Double::start().await;
    double.invitee_is(UserStatus::Suspended);
    let page = browse(&double.gateway, "/invitations/t1").await;
    page.is_page(StatusCode::FORBIDDEN);
    page.keeps_silent_about("<form");
}

#[tokio::test]
async fn names_are_shown_and_never_obeyed() {
    let double = Double::start().await;
    let name = "<script>alert(1)</script>\" autofocus x=\"";
    double.names_are(name, name);
    let page = browse(&double.gateway, "/invitations/t1").await;
    page.is_page(StatusCode::OK);
    page.says("&#60;script&#62;");
    page.keeps_silent_about("\" autofocus x=\"");
    let form = "display_name=%3Cscript%3Ealert(2)%3C/script%3E";
    let page = submit(&double.gateway, "/invitations/t1/enrol", form).await;
    page.is_page(StatusCode::UNPROCESSABLE_ENTITY);
    page.says("&#60;script&#62;alert(2)");
}

#[tokio::test]
async fn enrolling_joins_and_keeps_the_session_at_this_browser() {
    let double = Double::start().await;
    let page = submit(&double.gateway, "/invitations/t1/enrol", &enrolment()).await;
    page.is_page(StatusCode::OK);
    page.says("Welcome to ABC Holdings");
    assert_eq!(
        double.calls(),
        [
            "InspectInvitationLink t1",
            "GetUser u1 as own",
            "EnrolUser t1 Ada L",
            "AcceptInvitation i1 as invitee",
        ]
    );
}

#[tokio::test]
async fn a_form_comes_back_with_every_error_and_without_the_passwords() {
    let double = Double::start().await;
    let form = "display_name=Ada+L&password=short-secret&password_again=another";
    let page = submit(&double.gateway, "/invitations/t1/enrol", form).await;
    page.is_page(StatusCode::UNPROCESSABLE_ENTITY);
    page.says("<title>Error: ");
    page.says("<a href=\"#password\">Choose a password of at least 15 characters.</a>");
    page.says("<a href=\"#password_again\">Enter the same password twice.</a>");
    page.says("aria-describedby=\"password-hint password-error\"");
    page.says("value=\"Ada L\"");
    page.keeps_silent_about("short-secret");
    page.keeps_silent_about("another");
    assert!(!double.calls().iter().any(|call| call.starts_with("EnrolUser")));

    let page = submit(&double.gateway, "/invitations/t1/enrol", "").await;
    page.is_page(StatusCode::UNPROCESSABLE_ENTITY);
    page.says("Enter your name.");
    page.says("Choose a password.");

    let mut fields = kernel::Fields::default();
    fields.reject("password", "it is one of the most common");
    double.refuse("EnrolUser", service::invalid(&fields));
    let page = submit(&double.gateway, "/invitations/t1/enrol", &enrolment()).await;
    page.is_page(StatusCode::UNPROCESSABLE_ENTITY);
    page.says("Choose another password: it is one of the most common.");
    page.says("value=\"Ada L\"");
    page.keeps_silent_about("a quiet morning");
}

#[tokio::test]
async fn who_has_enrolled_before_signs_in_instead() {
    let double = Double::start().await;
    double.refuse("EnrolUser", refusal(Code::FailedPrecondition, "ALREADY_ENROLLED"));
    let page = submit(&double.gateway, "/invitations/t1/enrol", &enrolment()).await;
    page.is_page(StatusCode::CONFLICT);
    page.says("You have an account already.");
    page.says("action=\"/invitations/t1/accept\"");
}

#[tokio::test]
async fn an_invitation_that_ends_meanwhile_is_told_and_the_session_ends_all_the_same() {
    let double = Double::start().await;
    for (reason, told) in [
        ("INVITATION_REVOKED", "This invitation was taken back"),
        ("INVITATION_EXPIRED", "This invitation has expired"),
        ("INVITER_LOST_RIGHT", "This invitation can no longer be accepted"),
        ("ORGANISATION_ARCHIVED", "The organisation has closed"),
    ] {
        double.refuse("AcceptInvitation", refusal(Code::FailedPrecondition, reason));
        let page = submit(&double.gateway, "/invitations/t1/enrol", &enrolment()).await;
        page.is_page(StatusCode::GONE);
        page.says(told);
        assert_eq!(double.calls().last().unwrap(), "RevokeCurrentSession as invitee");
    }
    double.refuse("AcceptInvitation", Status::unavailable("tcp connect error"));
    let page = submit(&double.gateway, "/invitations/t1/enrol", &enrolment()).await;
    page.is_page(StatusCode::SERVICE_UNAVAILABLE);
    page.says("Your password is set");
    assert_eq!(page.header("retry-after"), "1");
    assert_eq!(double.calls().last().unwrap(), "RevokeCurrentSession as invitee");
}

#[tokio::test]
async fn who_has_an_account_signs_in_with_the_invited_address_and_no_other() {
    let double = Double::start().await;
    double.invitee_is(UserStatus::Active);
    let form = "username=eve%40example.com&password=mine";
    let page = submit(&double.gateway, "/invitations/t1/accept", form).await;
    page.is_page(StatusCode::OK);
    page.says("Welcome to ABC Holdings");
    assert_eq!(
        double.calls()[2..],
        ["CreateSession ada@example.com", "AcceptInvitation i1 as invitee",]
    );
}

/// A link into an application.
const LINK: Link = Link {
    application: "Timetable",
    redirect_url: "https://timetable.example/welcome?from=usher",
    inviter: "Grace Hopper",
};

#[tokio::test]
async fn a_link_tells_who_invites_for_what_and_what_they_say() {
    let double = Double::start().await;
    double.link_tells(LINK);
    double.change(|invitation| {
        invitation.personal_message = "Welcome!\n<b>Bring tea.</b>".to_owned();
    });
    for status in [UserStatus::Invited, UserStatus::Active] {
        double.invitee_is(status);
        let page = browse(&double.gateway, "/invitations/t1").await;
        page.is_page(StatusCode::OK);
        for told in ["Grace Hopper writes", "<dd>Timetable</dd>", "<dd>Grace Hopper</dd>"] {
            page.says(told);
        }
        page.says("Welcome!\n&#60;b&#62;Bring tea.");
        // Browsers hold a redirect after a form to the page's `form-action`.
        let policy = page.header("content-security-policy");
        assert!(policy.contains("form-action 'self' https:;"), "{policy}");
    }
}

#[tokio::test]
async fn a_new_member_is_led_to_the_application_and_nowhere_else() {
    let double = Double::start().await;
    double.link_tells(LINK);
    let form = format!("{}&redirect_url=https%3A%2F%2Fevil.example", enrolment());
    let path = "/invitations/t1/enrol?redirect_url=https%3A%2F%2Fevil.example";
    let answer = submit(&double.gateway, path, &form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.header("location"), LINK.redirect_url);
    assert_eq!(answer.header("referrer-policy"), "no-referrer", "the link's token stays here");
    let cookie = answer.header("set-cookie");
    assert!(cookie.ends_with("; Max-Age=600; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");

    double.invitee_is(UserStatus::Active);
    let answer = submit(&double.gateway, "/invitations/t1/accept", "password=mine").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (StatusCode::SEE_OTHER, LINK.redirect_url)
    );

    for bad in ["javascript:alert(1)", "//evil.example", "https://a.example/\r\nx: y", "httpsx://a"]
    {
        double.link_tells(Link { redirect_url: bad, ..LINK });
        let page = submit(&double.gateway, "/invitations/t1/accept", "password=mine").await;
        page.is_page(StatusCode::OK);
        page.says("Welcome to ABC Holdings");
        assert_eq!(page.header("location"), "", "{bad}");
    }
}

#[tokio::test]
async fn who_waits_for_an_approval_is_told_and_led_nowhere() {
    let double = Double::start().await;
    double.link_tells(LINK);
    double.change(|invitation| invitation.access_request_id = "q1".to_owned());
    let page = submit(&double.gateway, "/invitations/t1/enrol", &enrolment()).await;
    page.is_page(StatusCode::OK);
    page.says("Waiting for approval");
    page.keeps_silent_about("Welcome to");
    assert_eq!(page.header("location"), "");
}

#[tokio::test]
async fn only_the_invitee_signed_in_declines() {
    let double = Double::start().await;
    let page = submit(&double.gateway, "/invitations/t1/decline", "password=mine").await;
    page.is_page(StatusCode::CONFLICT);
    page.says("action=\"/invitations/t1/enrol\"");
    assert!(!double.calls().iter().any(|call| call.starts_with("DeclineInvitation")));

    double.invitee_is(UserStatus::Active);
    let page = browse(&double.gateway, "/invitations/t1").await;
    page.says("formaction=\"/invitations/t1/decline\"");
    double.calls();
    let page = submit(&double.gateway, "/invitations/t1/decline", "").await;
    page.is_page(StatusCode::UNPROCESSABLE_ENTITY);
    page.says("Enter your password.");
    let page = submit(&double.gateway, "/invitations/t1/decline", "password=mine").await;
    page.is_page(StatusCode::OK);
    page.says("You have declined");
    assert_eq!(
        double.calls()[4..],
        [
            "CreateSession ada@example.com",
            "DeclineInvitation i1 as invitee",
            "RevokeCurrentSession as invitee",
        ]
    );
    double.refuse("DeclineInvitation", refusal(Code::FailedPrecondition, "INVITATION_ACCEPTED"));
    let page = submit(&double.gateway, "/invitations/t1/decline", "password=mine").await;
    page.is_page(StatusCode::GONE);
    page.says("This invitation has been accepted");
    assert_eq!(double.calls().last().unwrap(), "RevokeCurrentSession as invitee");
}

#[tokio::test]
async fn a_wrong_password_and_too_many_of_them_are_told() {
    let double = Double::start().await;
    double.invitee_is(UserStatus::Active);
    double.refuse("CreateSession", refusal(Code::Unauthenticated, "CREDENTIALS_INVALID"));
    let page = submit(&double.gateway, "/invitations/t1/accept", "password=wrong-one").await;
    page.is_page(StatusCode::UNPROCESSABLE_ENTITY);
    page.says("This is not the password of this address.");
    page.keeps_silent_about("wrong-one");
    assert_eq!(page.header("www-authenticate"), "", "a page asks by its form");

    let after = Some(Duration::from_secs(90));
    let reason = "TOO_MANY_ATTEMPTS";
    let status =
        service::refusal("identity.usher", Code::ResourceExhausted, reason, "No.", &[], after);
    double.refuse("CreateSession", status);
    let page = submit(&double.gateway, "/invitations/t1/accept", "password=wrong-one").await;
    page.is_page(StatusCode::TOO_MANY_REQUESTS);
    page.says("Try again in 2 minutes.");
    assert_eq!(page.header("retry-after"), "90");
}

#[tokio::test]
async fn a_host_of_the_callers_choice_is_not_repeated() {
    let double = Double::start().await;
    let request = Request::get("/invitations/t1")
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "host=evil.example");
    let page = send(&double.gateway, request.body(Body::empty()).unwrap()).await;
    page.is_page(StatusCode::OK);
    page.keeps_silent_about("evil.example");
}

#[tokio::test]
async fn a_failure_is_a_page_for_people_and_a_problem_for_programs() {
    let gateway = gateway(&[("body_bytes", "1024")]);
    let page = browse(&gateway, "/invitations/t1").await;
    page.is_page(StatusCode::SERVICE_UNAVAILABLE);
    page.says("Try again in a moment");
    assert_eq!(page.header("retry-after"), "1");
    browse(&gateway, "/nothing").await.is_page(StatusCode::NOT_FOUND);
    let large = format!("password={}", "a".repeat(2_000));
    let page = submit(&gateway, "/invitations/t1/accept", &large).await;
    page.is_page(StatusCode::PAYLOAD_TOO_LARGE);

    let request = Request::get("/invitations/t1").body(Body::empty()).unwrap();
    let problem = send(&gateway, request).await;
    problem.is_problem(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE");
    let problem = browse(&gateway, "/api/nothing").await;
    problem.is_problem(StatusCode::NOT_FOUND, "PATH_UNKNOWN");
}

#[tokio::test]
async fn the_start_page_and_the_style_are_there() {
    let gateway = gateway(&[]);
    browse(&gateway, "/").await.is_page(StatusCode::OK);
    let style = browse(&gateway, "/assets/usher.css").await;
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(style.header("cache-control"), "public, max-age=3600");
}
