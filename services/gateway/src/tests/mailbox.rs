use service::{Mail, MailUrl};

use super::*;

pub(super) fn embedded(directory: &std::path::Path) -> Infra {
    let mut raw = RawSettings::default();
    let secrets = format!("gateway={SECRET}");
    let smtp_url = format!("mailbox:{}", directory.display());
    for (name, value) in [
        ("environment", "development"),
        ("database_url", "sqlite:/nonexistent"),
        ("bus_url", "memory:"),
        ("cache_url", "memory:"),
        ("smtp_url", &smtp_url),
        ("secret_key", SECRET),
        ("service_secrets", &secrets),
    ] {
        raw.set(name, value);
    }
    let settings = Settings::parse(&raw, Role::AllInOne).unwrap();
    Infra::open(settings, Clock::System).unwrap()
}

const MAIL: &str = "From: usher@example.com\r\nTo: ada@example.com\r\nSubject: <b>Join</b>\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"x\"\r\n\r\n\
    --x\r\nContent-Type: text/plain\r\n\r\nOpen https://usher.example/invitations/abc\r\n\
    --x\r\nContent-Type: text/html\r\n\r\n<p onclick=\"x\">Open</p>\r\n--x--\r\n";

#[tokio::test]
async fn a_mail_can_be_read_and_nothing_in_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let infra = embedded(directory.path());
    assert!(matches!(infra.mail, Some(Mail::Mailbox(_))));
    let id = Clock::System.new_id();
    std::fs::write(directory.path().join(format!("{id}.eml")), MAIL).unwrap();
    let gateway = crate::build(&infra).unwrap().http.unwrap();

    let answer = call(&gateway, "GET", "/api/mailbox?to=Ada@Example.com", "").await;
    let mails = answer.json();
    assert_eq!(mails[0]["id"], id.to_string());
    assert_eq!(mails[0]["to"], "ada@example.com");
    assert!(mails[0]["received_at"].as_str().unwrap().ends_with('Z'));
    let answer = call(&gateway, "GET", "/api/mailbox?to=eve@example.com", "").await;
    assert_eq!(answer.text, "[]");

    let list = browse(&gateway, "/mailbox?to=ada%40example.com").await;
    list.is_page(StatusCode::OK);
    list.says(&format!("/mailbox/{id}"));
    list.keeps_silent_about("<b>Join");
    let mail = browse(&gateway, &format!("/mailbox/{id}")).await;
    mail.is_page(StatusCode::OK);
    mail.says("<a href=\"https://usher.example/invitations/abc\"");
    mail.says("sandbox srcdoc=\"");
    mail.keeps_silent_about("<p onclick");
    mail.keeps_silent_about("<b>Join");
    browse(&gateway, "/").await.says("/mailbox");

    for path in ["/mailbox", "/api/mailbox", &format!("/mailbox/{id}")] {
        let request = Request::get(path).header("host", "evil.example");
        let answer = send(&gateway, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_mail_of_the_mailbox_is_not_found() {
    let directory = tempfile::tempdir().unwrap();
    let gateway = crate::build(&embedded(directory.path())).unwrap().http.unwrap();
    for id in ["1", "..%2F..%2Fetc%2Fpasswd", "01890a5d-ac96-774b-bcce-b302099a8057", "%ff"] {
        let answer = browse(&gateway, &format!("/mailbox/{id}")).await;
        answer.is_page(StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn without_embedded_mail_there_is_no_mailbox() {
    assert!(MailUrl::parse("mailbox:").is_err());
    let gateway = gateway(&[]);
    for path in ["/mailbox", "/mailbox/01890a5d-ac96-774b-bcce-b302099a8057", "/api/mailbox"] {
        assert_eq!(browse(&gateway, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    browse(&gateway, "/").await.keeps_silent_about("mailbox");
}
