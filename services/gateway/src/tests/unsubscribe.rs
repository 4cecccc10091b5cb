use tonic::{Code, Status};

use super::{double::Double, *};

/// What a mail provider sends for its reader (RFC 8058): no cookie, no origin, and either kind of form.
async fn one_click(router: &Router, path: &str, kind: &str, form: &'static str) -> Answer {
    let request = Request::post(path).header(CONTENT_TYPE, kind).body(Body::from(form)).unwrap();
    send(router, request).await
}

#[tokio::test]
async fn opening_the_link_changes_nothing_and_the_button_stops_reminders() {
    let double = Double::start().await;
    let page = browse(&double.gateway, "/unsubscribe/t1").await;
    page.is_page(StatusCode::OK);
    page.says("<h1>Stop reminders</h1>");
    page.says("<form method=\"post\">");
    page.says("Every other mail still reaches you");
    page.keeps_silent_about("@");
    assert_eq!(double.calls(), ["Unsubscribe t1 may"]);

    let page = submit(&double.gateway, "/unsubscribe/t1", "").await;
    page.is_page(StatusCode::OK);
    page.says("<h1>No more reminders</h1>");
    assert_eq!(double.calls(), ["Unsubscribe t1 does"]);
}

#[tokio::test]
async fn one_click_in_a_mail_program_stops_them_wherever_it_comes_from() {
    let double = Double::start().await;
    let click = "List-Unsubscribe=One-Click";
    let parts = "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n";
    for (kind, form) in
        [("application/x-www-form-urlencoded", click), ("multipart/form-data; boundary=b", parts)]
    {
        let answer = one_click(&double.gateway, "/unsubscribe/t1", kind, form).await;
        answer.is_page(StatusCode::OK);
        assert_eq!(double.calls(), ["Unsubscribe t1 does"]);
    }
    // A provider's own page, as a browser tells; every other form is refused then.
    for (path, status) in
        [("/unsubscribe/t1", StatusCode::OK), ("/invitations/t1/decline", StatusCode::FORBIDDEN)]
    {
        let request = Request::post(path).header("sec-fetch-site", "cross-site");
        let request = request.header("origin", "https://mail.example");
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = send(&double.gateway, request.body(Body::from(click)).unwrap()).await;
        assert_eq!(answer.status, status, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_link_answers_a_page_that_says_so() {
    let double = Double::start().await;
    let wrong =
        service::refusal("notification.usher", Code::NotFound, "LINK_INVALID", "No.", &[], None);
    double.refuse("Unsubscribe", wrong);
    for token in ["t1", "%ff", "%3Cscript%3E"] {
        let path = format!("/unsubscribe/{token}");
        for page in [browse(&double.gateway, &path).await, submit(&double.gateway, &path, "").await]
        {
            page.is_page(StatusCode::NOT_FOUND);
            page.says("This link is not valid.");
            page.keeps_silent_about("<form");
        }
    }
    let answer = one_click(&double.gateway, "/unsubscribe/t1", "text/plain", "").await;
    answer.is_problem(StatusCode::NOT_FOUND, "LINK_INVALID");
    double.refuse("Unsubscribe", Status::unavailable("away"));
    let page = browse(&double.gateway, "/unsubscribe/t1").await;
    page.is_page(StatusCode::SERVICE_UNAVAILABLE);
}
