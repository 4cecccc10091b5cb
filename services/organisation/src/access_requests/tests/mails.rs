use std::collections::HashSet;

use api::organisation::v1::{AccessRequestMail::*, *};
use testkit::Bench;

use super::*;
use crate::testing::{reason, violations};

testkit::on_both_databases!(
    a_mail_says_what_is_so_and_goes_to_whom_it_concerns,
    a_mail_is_in_the_language_of_the_newest_accepted_invitation_that_named_one,
    only_the_mailer_reads_mails,
    those_who_hear_of_one_request_do_not_wait_for_each_other,
);

fn mail_of(request: &str, to: &Who, mail: AccessRequestMail) -> GetAccessRequestMailRequest {
    GetAccessRequestMailRequest {
        access_request_id: request.to_owned(),
        recipient_id: to.id.to_string(),
        mail: mail.into(),
    }
}

async fn a_mail_says_what_is_so_and_goes_to_whom_it_concerns(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let bob = stage.member("bob@example.com", &root, &["user"]).await;
    let mailer = stage.account("mailer", "access_requests.mail");
    let asked = ask(&ada, &root, "approver").await.unwrap();
    let sent = async |to: &Who, mail| {
        let request = mail_of(&asked.id, to, mail);
        let answer = mailer.access_requests().get_access_request_mail(request).await;
        let answer = answer.unwrap().into_inner();
        (!answer.superseded).then_some(answer)
    };
    let ask_for = sent(&owner, Asked).await.unwrap();
    assert_eq!(ask_for.recipient_email, owner.email);
    assert_eq!(ask_for.organisation_display_name, "ABC Holdings");
    assert_eq!(ask_for.link, format!("http://127.0.0.1:8080/access-requests/{}", asked.id));
    let request = ask_for.access_request.unwrap();
    assert_eq!(
        (request.requester_display_name, request.reason),
        ("ada".to_owned(), asked.reason.clone())
    );
    assert!(sent(&owner, Reminded).await.is_some() && sent(&ada, Received).await.is_some());
    // There is no outcome yet; and what it says is not for those whom it does not concern.
    assert!(sent(&ada, Decided).await.is_none() && sent(&owner, Settled).await.is_none());
    assert!(sent(&bob, Asked).await.is_none() && sent(&bob, Received).await.is_none());
    assert!(sent(&ada, Asked).await.is_none() && sent(&owner, Received).await.is_none());

    reject(&owner, &asked.id).await.unwrap();
    let decided = sent(&ada, Decided).await.unwrap();
    assert_eq!(decided.decided_by_display_name, "abc-holdings-owner");
    assert_eq!(decided.access_request.unwrap().state(), AccessRequestState::Rejected);
    assert!(sent(&owner, Settled).await.is_some());
    for stale in [Asked, Reminded] {
        assert!(sent(&owner, stale).await.is_none(), "{stale:?}");
    }
    assert!(sent(&ada, Received).await.is_none() && sent(&bob, Decided).await.is_none());
    // Whoever was demoted since hears nothing more.
    demote(&stage, &owner, &root).await;
    assert!(sent(&owner, Settled).await.is_none());
}

async fn a_mail_is_in_the_language_of_the_newest_accepted_invitation_that_named_one(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let mailer = stage.account("mailer", "access_requests.mail");
    let asked = ask(&ada, &root, "approver").await.unwrap();
    let language = async |to: &Who, mail| {
        let request = mail_of(&asked.id, to, mail);
        let answer = mailer.access_requests().get_access_request_mail(request).await;
        let answer = answer.unwrap().into_inner();
        assert!(!answer.superseded);
        answer.locale
    };
    assert_eq!(language(&ada, Received).await, "", "nobody has said which");
    // Each is to another organisation, and later than those before.
    for (locale, accepts, expected) in [
        ("de-AT", false, ""),
        ("de", true, "de"),
        ("", true, "de"),
        ("fr", false, "de"),
        ("en", true, "en"),
    ] {
        stage.pass(kernel::Duration::seconds(1));
        let (other, elsewhere) = stage.root(&format!("{locale} {accepts}")).await;
        let request = CreateInvitationRequest {
            organisation_id: elsewhere,
            email: ada.email.clone(),
            locale: locale.to_owned(),
            ..Default::default()
        };
        let made = other.invitations().create_invitation(request).await.unwrap().into_inner();
        let made = made.invitation.unwrap();
        let shown = if locale.is_empty() { "en" } else { locale };
        assert_eq!(made.locale, shown);
        if accepts {
            let request = AcceptInvitationRequest { id: made.id, ..Default::default() };
            ada.invitations().accept_invitation(request).await.unwrap();
        }
        assert_eq!(language(&ada, Received).await, expected, "after {locale:?}, {accepts}");
    }
    assert_eq!(language(&owner, Asked).await, "", "everybody has their own");
}

async fn only_the_mailer_reads_mails(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let asked = ask(&ada, &root, "approver").await.unwrap();
    for who in [&owner, &ada, &stage.account("other", "invitations.mail")] {
        let request = mail_of(&asked.id, &ada, Received);
        let refused = who.access_requests().get_access_request_mail(request).await;
        assert_eq!(reason(refused), "SCOPE_MISSING");
    }
    let mailer = stage.account("mailer", "access_requests.mail");
    let request = mail_of(&asked.id, &ada, Unspecified);
    let refused = mailer.access_requests().get_access_request_mail(request).await;
    assert_eq!(violations(refused), ["mail"]);
    let random = stage.service.clock.new_id().to_string();
    let refused =
        mailer.access_requests().get_access_request_mail(mail_of(&random, &ada, Received)).await;
    assert_eq!(reason(refused), "ACCESS_REQUEST_NOT_FOUND");
}

async fn those_who_hear_of_one_request_do_not_wait_for_each_other(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (_owner, root) = root_of(&stage, "ABC Holdings").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let asked = ask(&ada, &root, "approver").await.unwrap();
    let rows = db::outbox::Entity::find()
        .filter(db::outbox::Column::RoutingKey.eq("organisation.access_request.mail.v1"))
        .all(stage.service.database.read())
        .await
        .unwrap();
    let told = rows.iter().map(|row| AccessRequestMailDue::decode(&*row.payload).unwrap());
    let about: HashSet<_> = told.map(|event| event.access_request_id).collect();
    assert_eq!(about, HashSet::from([asked.id]));
    // The mails of one subject leave one at a time.
    let subjects: HashSet<_> = rows.iter().map(|row| row.subject).collect();
    assert_eq!((rows.len(), subjects.len()), (2, 2));
}
