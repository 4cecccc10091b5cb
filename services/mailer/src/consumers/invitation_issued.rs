//! `organisation.invitation.created.v1`, `….reissued.v1`, `….reminded.v1` and `….expired.v1`: an
//! invitation has a new link, still waits, or has run out, so one mail goes out.

use std::sync::Arc;

use api::{
    identity::v1::UserStatus,
    notification::v1::WithdrawalReason,
    organisation::v1::{
        GetInvitationMailRequest, GetInvitationMailResponse, InvitationCreated, InvitationExpired,
        InvitationReissued, InvitationReminded, invitation_service_client::InvitationServiceClient,
    },
};
use bus::Queue;
use kernel::{EmailAddress, Uuid, parse_id};
use prost::Message as _;
use service::{Auth, Consumer, Message, Refusal};

use crate::{
    Mailer,
    attempt::{About, Due, deliver, withdraw},
    lanes::SLOTS,
    peers::{incomplete, moment, no_token, open_account, refusal},
};

const CREATED: &str = "organisation.invitation.created.v1";
const REISSUED: &str = "organisation.invitation.reissued.v1";
const REMINDED: &str = "organisation.invitation.reminded.v1";
const EXPIRED: &str = "organisation.invitation.expired.v1";

/// The events that become a mail.
pub(super) const KEYS: &[&str] = &[CREATED, REISSUED, REMINDED, EXPIRED];

const QUEUE: Queue = Queue { name: "mailer.invitations", bindings: KEYS, concurrency: SLOTS };

/// The consumer.
pub(crate) fn consumer(mailer: Arc<Mailer>) -> Consumer {
    Consumer::patient(QUEUE, move |message| {
        let mailer = mailer.clone();
        async move { invitation_issued(&mailer, message).await }
    })
}

/// Rule: one event sends one mail to the invitee, whatever crashes; to an account that exists
/// another one than to a new one, except for a reminder and for the last word, that it has expired.
/// What has been overtaken by another issue, or by the invitation's end, and what would reach a closed
/// account, sends none.
/// Event: `organisation.invitation.created.v1`, `….reissued.v1`, `….reminded.v1`, `….expired.v1`.
async fn invitation_issued(mailer: &Mailer, message: Message) -> Result<(), Refusal> {
    let auth = mailer.peers.own().await.map_err(|status| no_token(&status))?;
    send(mailer, auth, &message, None).await
}

/// The same, and only to an address if one is given.
pub(super) async fn send(
    mailer: &Mailer,
    auth: Auth,
    message: &Message,
    only_to: Option<&str>,
) -> Result<(), Refusal> {
    let Issued { invitation_id, issue, kind } = decode(message)?;
    let request = GetInvitationMailRequest {
        invitation_id: invitation_id.to_string(),
        issue,
        expired: kind == Kind::Expired,
    };
    let mail = invitation_mail(mailer, auth.clone(), request).await?;
    if mail.superseded {
        return withdraw(mailer, auth, message, WithdrawalReason::Superseded).await;
    }
    let invitation = mail.invitation.ok_or_else(|| incomplete("GetInvitationMail"))?;
    let recipient = EmailAddress::parse(&invitation.email)
        .map_err(|_| Refusal::Reject("the invitation's address is none".to_owned()))?;
    let expires_at = moment(invitation.expires_at);
    let expires_at = expires_at.ok_or_else(|| incomplete("GetInvitationMail"))?;

    if only_to.is_some_and(|only| only != recipient.as_str()) {
        return withdraw(mailer, auth, message, WithdrawalReason::RecipientChanged).await;
    }
    let Some(user) = open_account(mailer, auth.clone(), &invitation.invitee_id).await? else {
        return withdraw(mailer, auth, message, WithdrawalReason::AccountClosed).await;
    };
    let template = match (kind, user.status()) {
        (Kind::Expired, _) => "invitation-expired",
        (Kind::Reminder, _) => "invitation-reminder",
        (Kind::Link, UserStatus::Active) => "invitation-existing-user",
        (Kind::Link, _) => "invitation-new-user",
    };
    let name =
        if user.display_name.is_empty() { invitation.display_name } else { user.display_name };
    let mut variables = vec![
        ("recipient_name", name.clone()),
        ("organisation_name", mail.organisation_display_name),
        ("inviter_name", mail.inviter_display_name),
        ("application_name", mail.application_display_name),
        ("expires_at", expires_at),
    ];
    if kind != Kind::Expired {
        variables.extend([
            ("personal_message", invitation.personal_message),
            ("roles", invitation.roles.join(", ")),
            ("link", mail.link),
        ]);
    }
    let due = Due {
        cause: message,
        organisation_id: invitation.organisation_id,
        organisation_path: mail.organisation_path,
        application_id: invitation.application_id,
        about: About::Invitation(invitation.id, issue),
        recipient,
        name,
        template,
        locale: invitation.locale,
        variables,
    };
    deliver(mailer, auth, due).await
}

struct Issued {
    invitation_id: Uuid,
    issue: i32,
    kind: Kind,
}

/// What the mail is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Link,
    Reminder,
    Expired,
}

fn decode(message: &Message) -> Result<Issued, Refusal> {
    let broken = || Refusal::Reject("the event cannot be read".to_owned());
    let payload = message.payload.as_slice();
    let (invitation_id, issue, kind) = match message.routing_key.as_str() {
        CREATED => {
            let event = InvitationCreated::decode(payload).map_err(|_| broken())?;
            (event.invitation_id, event.issue, Kind::Link)
        }
        REISSUED => {
            let event = InvitationReissued::decode(payload).map_err(|_| broken())?;
            (event.invitation_id, event.issue, Kind::Link)
        }
        REMINDED => {
            let event = InvitationReminded::decode(payload).map_err(|_| broken())?;
            (event.invitation_id, event.issue, Kind::Reminder)
        }
        EXPIRED => {
            let event = InvitationExpired::decode(payload).map_err(|_| broken())?;
            (event.invitation_id, event.issue, Kind::Expired)
        }
        _ => return Err(broken()),
    };
    let invitation_id = parse_id(&invitation_id).map_err(|_| broken())?;
    Ok(Issued { invitation_id, issue, kind })
}

async fn invitation_mail(
    mailer: &Mailer,
    auth: Auth,
    request: GetInvitationMailRequest,
) -> Result<GetInvitationMailResponse, Refusal> {
    let mut client = InvitationServiceClient::new(mailer.peers.organisation(auth));
    let answer = client.get_invitation_mail(request).await;
    Ok(answer.map_err(|status| refusal("GetInvitationMail", &status))?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, time::Duration};

    use api::{
        identity::v1::User,
        notification::v1::{AttemptOutcome, RenderMailResponse, Sender},
        organisation::v1::AccessRequestMail,
    };
    use mail_parser::MessageParser;
    use testkit::Reply;
    use tonic::Code;

    use super::*;
    use crate::testing::{ATTACKS, Stage, World, assert_is_one_clean_mail};

    #[tokio::test(flavor = "multi_thread")]
    async fn the_invitee_gets_one_mail_however_often_the_event_arrives() {
        let stage = Stage::set(World::default()).await;
        let event = stage.event();
        for _ in 0..3 {
            assert_eq!(stage.hear(event.clone()).await, Ok(()));
        }
        let mails = stage.sink.mails();
        assert_eq!(mails.len(), 1);
        assert_eq!(stage.world().recorded, [(AttemptOutcome::Sent, String::new())]);
        let raw = String::from_utf8(mails[0].raw.clone()).unwrap();
        assert_eq!(raw.matches("Content-Transfer-Encoding: quoted-printable\r\n").count(), 2);

        let mail = MessageParser::default().parse(&mails[0].raw).unwrap();
        let to = mail.to().and_then(|to| to.first()).unwrap();
        assert_eq!((to.name(), to.address()), (Some("Ada Lovelace"), Some("ada@example.com")));
        let from = mail.from().and_then(|from| from.first()).unwrap();
        assert_eq!((from.name(), from.address()), (Some("Usher"), Some("usher@platform.example")));
        assert_eq!(mail.subject(), Some("Grace Hopper invites you"));
        let text = "Hello Ada,\n\nopen https://usher.example/invitations/token";
        assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n").trim_end(), text);
        assert_eq!(mail.body_html(0).unwrap().trim_end(), "<p>Hello Ada</p>");
        assert_eq!(mail.date().unwrap().to_rfc3339(), "2026-06-01T12:00:00Z");
        assert_eq!(mail.message_id(), Some(format!("delivery-{}@usher", event.id).as_str()));
        assert_eq!(mail.header_raw("Auto-Submitted").map(str::trim), Some("auto-generated"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_template_gets_what_the_invitation_says() {
        let stage = Stage::set(World::default()).await;
        stage.hear(stage.event()).await.unwrap();
        stage.world().user = User {
            status: UserStatus::Active.into(),
            display_name: "Ada".to_owned(),
            ..Default::default()
        };
        stage.hear(stage.event()).await.unwrap();
        let filled = stage.world().filled.clone();
        let said = |index: usize, name: &str| filled[index].variables[name].clone();
        assert_eq!(filled[0].template, "invitation-new-user");
        assert_eq!(filled[1].template, "invitation-existing-user");
        assert_eq!(filled[0].locale, "de-AT");
        assert_eq!(said(0, "recipient_name"), "Ada Lovelace");
        assert_eq!(said(1, "recipient_name"), "Ada");
        assert_eq!(said(0, "organisation_name"), "ABC Holdings");
        assert_eq!(said(0, "inviter_name"), "Grace Hopper");
        assert_eq!(said(0, "roles"), "approver, user");
        assert_eq!(said(0, "link"), "https://usher.example/invitations/token");
        assert_eq!(said(0, "expires_at"), "2026-06-03T12:00:00Z");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_application_and_a_message_are_passed_on_if_there_are_any() {
        let stage = Stage::set(World::default()).await;
        stage.hear(stage.event()).await.unwrap();
        {
            let mut world = stage.world();
            world.mail.application_display_name = "Payroll".to_owned();
            let invitation = world.mail.invitation.as_mut().unwrap();
            invitation.personal_message = "Welcome aboard.\nUntil Monday!".to_owned();
        }
        stage.hear(stage.event()).await.unwrap();
        let filled = stage.world().filled.clone();
        for name in ["application_name", "personal_message"] {
            assert!(!filled[0].variables.contains_key(name), "{name}");
        }
        assert_eq!(filled[1].variables["application_name"], "Payroll");
        assert_eq!(filled[1].variables["personal_message"], "Welcome aboard.\nUntil Monday!");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reminder_is_the_same_mail_to_whomever_and_goes_out_once() {
        let stage = Stage::set(World::default()).await;
        for status in [UserStatus::Invited, UserStatus::Active] {
            stage.world().user.status = status.into();
            let event = stage.reminder();
            for _ in 0..2 {
                assert_eq!(stage.hear(event.clone()).await, Ok(()));
            }
        }
        assert_eq!(stage.sink.mails().len(), 2);
        let filled = stage.world().filled.clone();
        assert_eq!(filled.len(), 2);
        for mail in filled {
            assert_eq!(mail.template, "invitation-reminder");
            assert_eq!(mail.variables["link"], "https://usher.example/invitations/token");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_a_reminder_says_how_to_stop_reminders() {
        let stage = Stage::set(World::default()).await;
        let asked = stage.request(AccessRequestMail::Asked);
        let reminded = stage.request(AccessRequestMail::Reminded);
        for event in [stage.event(), stage.expired(), asked, stage.reminder(), reminded] {
            assert_eq!(stage.hear(event).await, Ok(()));
        }
        let mails = stage.sink.mails();
        let heads = mails.iter().map(|mail| String::from_utf8(mail.raw.clone()).unwrap());
        // As it goes over the wire: each in one piece.
        let heads: Vec<_> = heads.map(|raw| format!("\r\n{raw}")).collect();
        let token = "t".repeat(70);
        let link = format!("\r\nList-Unsubscribe: <https://usher.example/unsubscribe/{token}>\r\n");
        let post = "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n";
        for (head, is_reminder) in heads.iter().zip([false, false, false, true, true]) {
            assert_eq!(head.matches(&link).count(), usize::from(is_reminder), "{head}");
            assert_eq!(head.matches(post).count(), usize::from(is_reminder), "{head}");
            assert_eq!(head.contains("List-Unsubscribe"), is_reminder, "{head}");
        }
        assert_eq!(heads.len(), 5);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_stands_in_a_link_stays_in_its_header() {
        for attack in ATTACKS {
            let unsubscribe_url = format!("https://usher.example/before{attack}after");
            let stage = Stage::set(World { unsubscribe_url, ..World::default() }).await;
            assert_eq!(stage.hear(stage.reminder()).await, Ok(()), "{attack:?}");
            let commands = stage.sink.commands();
            let verbs: Vec<_> = commands.iter().map(|line| line.get(..4).unwrap()).collect();
            assert_eq!(verbs, ["EHLO", "MAIL", "RCPT", "DATA"], "{attack:?}");
            let raw = String::from_utf8(stage.sink.mails()[0].raw.clone()).unwrap();
            for line in raw.split("\r\n") {
                assert!(!line.contains(['\r', '\n', '\0']), "{attack:?}: {line:?}");
                assert!(!line.starts_with("Bcc:"), "{attack:?}: {line:?}");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn that_an_invitation_has_expired_is_told_once_and_without_a_link() {
        let stage = Stage::set(World::default()).await;
        stage.world().mail.link = String::new();
        let event = stage.expired();
        for _ in 0..2 {
            assert_eq!(stage.hear(event.clone()).await, Ok(()));
        }
        assert_eq!(stage.sink.mails().len(), 1);
        let filled = stage.world().filled.clone();
        assert_eq!(filled[0].template, "invitation-expired");
        let mut names: Vec<_> = filled[0].variables.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["expires_at", "inviter_name", "organisation_name", "recipient_name"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_template_and_the_sender_are_those_of_the_place_that_the_mail_is_about() {
        let stage = Stage::set(World::default()).await;
        let (root, child) = (Uuid::from_u128(7).to_string(), Uuid::from_u128(2).to_string());
        let application = Uuid::from_u128(8).to_string();
        {
            let mut world = stage.world();
            world.mail.organisation_path = vec![root.clone(), child.clone()];
            world.mail.invitation.as_mut().unwrap().application_id = application.clone();
            world.request.organisation_path = vec![root.clone()];
            let request = world.request.access_request.as_mut().unwrap();
            request.application_id = application.clone();
            world.rendered.sender = Some(Sender {
                display_name: "ABC Holdings".to_owned(),
                reply_to: "help@abc.example".to_owned(),
                from_address: "people@abc.example".to_owned(),
            });
        }
        stage.hear(stage.event()).await.unwrap();
        stage.hear(stage.request(AccessRequestMail::Asked)).await.unwrap();
        let filled = stage.world().filled.clone();
        assert_eq!(filled[0].organisation_path, [root.clone(), child]);
        assert_eq!(filled[1].organisation_path, [root]);
        assert!(filled.iter().all(|it| it.application_id == application));

        for mail in stage.sink.mails() {
            let mail = MessageParser::default().parse(&mail.raw).unwrap();
            let from = mail.from().and_then(|from| from.first()).unwrap();
            assert_eq!(
                (from.name(), from.address()),
                (Some("ABC Holdings"), Some("people@abc.example"))
            );
            let reply_to = mail.reply_to().and_then(|to| to.first()).unwrap();
            assert_eq!(reply_to.address(), Some("help@abc.example"));
        }
        let senders = stage.sink.commands().into_iter().filter(|line| line.starts_with("MAIL"));
        assert!(senders.into_iter().all(|line| line.contains("<people@abc.example>")));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_overtaken_and_who_is_closed_get_no_mail() {
        let stage = Stage::set(World::default()).await;
        for event in [stage.event(), stage.reminder()] {
            stage.world().mail.superseded = true;
            assert_eq!(stage.hear(event.clone()).await, Ok(()));
            stage.world().mail.superseded = false;
            for status in [UserStatus::Suspended, UserStatus::Disposed] {
                stage.world().user.status = status.into();
                assert_eq!(stage.hear(event.clone()).await, Ok(()));
            }
            // Nobody is to wait for it.
            let withdrawn = std::mem::take(&mut stage.world().withdrawn);
            let reasons = [
                WithdrawalReason::Superseded,
                WithdrawalReason::AccountClosed,
                WithdrawalReason::AccountClosed,
            ];
            assert_eq!(withdrawn, reasons.map(|reason| (event.id.to_string(), reason)));
        }
        assert!(stage.sink.commands().is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_withdrawn_yet_is_tried_again() {
        let stage = Stage::set(World::default()).await;
        stage.world().mail.superseded = true;
        stage.world().failures.insert("WithdrawDelivery", VecDeque::from([Code::Aborted]));
        let event = stage.event();
        let refusal =
            Refusal::Later(Duration::from_secs(5), "WithdrawDelivery: Aborted".to_owned());
        assert_eq!(stage.hear(event.clone()).await, Err(refusal));
        assert_eq!(stage.hear(event).await, Ok(()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_given_up_is_set_aside_whenever_that_is_learnt() {
        let stage = Stage::set(World::default()).await;
        let event = stage.event();
        stage.sink.reply(&[Reply::Delay, Reply::Delay]);
        assert!(matches!(stage.hear(event.clone()).await, Err(Refusal::Retry(_))));
        // At the record of the last attempt, and when the event comes again after it.
        for (attempt, call, why) in
            [(2, "RecordAttempt", "exhausted"), (3, "ClaimDelivery", "crash_loop")]
        {
            stage.world().gives_up = Some((call, why));
            let set_aside = Refusal::Reject(format!("the delivery was given up: {why}"));
            let event = Message { attempt, ..event.clone() };
            assert_eq!(stage.hear(event).await, Err(set_aside));
        }
        // What a mail server has refused is done with.
        stage.world().gives_up = Some(("ClaimDelivery", "refused"));
        assert_eq!(stage.hear(stage.event()).await, Ok(()));
        assert_eq!(stage.sink.mails().len(), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_claim_tells_what_asked_for_the_mail() {
        let stage = Stage::set(World::default()).await;
        let event = stage.event();
        stage.hear(event.clone()).await.unwrap();
        let claims = stage.world().claims.clone();
        assert_eq!(claims[0].issue, 1);
        assert_eq!(claims[0].event_time, Some(api::timestamp(event.time)));
        assert_eq!(claims[0].cause_routing_key, event.routing_key);
        assert_eq!(claims[0].cause_payload, event.payload);
        assert!(!claims[0].replayed);

        let queue = Some(QUEUE.name.to_owned());
        stage.hear(Message { queue, ..event }).await.unwrap();
        assert!(stage.world().claims[1].replayed);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_record_tells_why_in_a_word_and_what_the_server_answered() {
        let stage = Stage::set(World::default()).await;
        stage.sink.reply(&[
            Reply::Line("451 4.7.1 ask ada@example.com again later"),
            Reply::Line("550 5.1.1 no such user"),
            Reply::Line("550 never"),
        ]);
        for _ in 0..3 {
            let _ = stage.hear(stage.event()).await;
        }
        let replies = stage.world().replies.clone();
        let expected = [("delayed", 451, "4.7.1"), ("refused", 550, "5.1.1"), ("refused", 550, "")];
        let expected = expected.map(|(why, code, status)| (why.into(), code, status.into()));
        assert_eq!(replies, expected);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_mail_server_that_asks_for_patience_gets_the_same_mail_again() {
        let stage = Stage::set(World::default()).await;
        stage.sink.reply(&[Reply::Line("451 ask ada@example.com again later")]);
        let event = stage.event();
        let refusal = stage.hear(event.clone()).await.unwrap_err();
        assert!(matches!(&refusal, Refusal::Retry(why) if !why.contains("ada")), "{refusal}");
        assert_eq!(stage.hear(event).await, Ok(()));

        let ids: Vec<_> =
            stage.sink.offered().iter().map(|mail| mail.header("Message-ID").unwrap()).collect();
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[0], ids[1]);
        let recorded = stage.world().recorded.clone();
        assert_eq!(recorded[0].0, AttemptOutcome::Delayed);
        assert!(recorded[0].1.contains("ask ada@example.com again later"));
        assert_eq!(recorded[1].0, AttemptOutcome::Sent);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_refused_for_good_is_recorded_and_not_tried_again() {
        let stage = Stage::set(World::default()).await;
        stage.sink.reply(&[Reply::Line("550 no such user")]);
        let event = stage.event();
        assert_eq!(stage.hear(event.clone()).await, Ok(()));
        assert_eq!(stage.hear(event).await, Ok(()));
        assert_eq!(stage.sink.offered().len(), 1);
        let recorded = stage.world().recorded.clone();
        assert_eq!(recorded.len(), 1);
        assert_eq!(recorded[0].0, AttemptOutcome::Failed);
        assert!(recorded[0].1.contains("no such user"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_sent_mail_is_recorded_even_if_that_takes_several_tries() {
        let stage = Stage::set(World::default()).await;
        let codes = VecDeque::from([Code::Unavailable, Code::DeadlineExceeded]);
        stage.world().failures.insert("RecordAttempt", codes);
        let event = stage.event();
        assert_eq!(stage.hear(event.clone()).await, Ok(()));
        assert_eq!(stage.hear(event).await, Ok(()));
        assert_eq!(stage.sink.mails().len(), 1);
        assert_eq!(stage.world().recorded, [(AttemptOutcome::Sent, String::new())]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_peers_refusal_decides_whether_to_try_again_and_is_not_repeated() {
        let stage = Stage::set(World::default()).await;
        for (call, code, retried) in [
            ("IssueServiceToken", Code::Unavailable, true),
            ("IssueServiceToken", Code::NotFound, true),
            ("GetInvitationMail", Code::Unavailable, true),
            ("GetInvitationMail", Code::NotFound, false),
            ("GetInvitationMail", Code::PermissionDenied, true),
            ("GetUser", Code::DeadlineExceeded, true),
            ("GetUser", Code::NotFound, false),
            ("ClaimDelivery", Code::Unavailable, true),
            ("ClaimDelivery", Code::InvalidArgument, false),
        ] {
            stage.world().failures.insert(call, VecDeque::from([code]));
            let why = format!("{call}: {code:?}");
            let expected = if retried { Refusal::Retry(why) } else { Refusal::Reject(why) };
            assert_eq!(stage.hear(stage.event()).await, Err(expected));
        }
        assert!(stage.sink.commands().is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_template_that_cannot_be_filled_ends_the_attempt() {
        let stage = Stage::set(World::default()).await;
        let codes = VecDeque::from([Code::Unavailable, Code::InvalidArgument]);
        stage.world().failures.insert("RenderMail", codes);
        let event = stage.event();
        let delayed = Refusal::Retry("the template cannot be filled".to_owned());
        assert_eq!(stage.hear(event.clone()).await, Err(delayed));
        assert_eq!(stage.hear(event).await, Ok(()));
        let recorded = stage.world().recorded.clone();
        let words = |code: &str| format!("RenderMail: {code}");
        assert_eq!(recorded[0], (AttemptOutcome::Delayed, words("Unavailable")));
        assert_eq!(recorded[1], (AttemptOutcome::Failed, words("InvalidArgument")));
        assert!(stage.sink.commands().is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_event_that_cannot_be_read_is_set_aside() {
        let stage = Stage::set(World::default()).await;
        let nameless = InvitationCreated { invitation_id: "7".to_owned(), ..Default::default() };
        for payload in [b"\xff\xff".to_vec(), Vec::new(), nameless.encode_to_vec()] {
            let refusal = stage.hear(Message { payload, ..stage.event() }).await.unwrap_err();
            assert_eq!(refusal, Refusal::Reject("the event cannot be read".to_owned()));
        }
    }

    /// Everything that a person can type, with everything that could end a line or a mail.
    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_that_is_given_reaches_the_smtp_conversation() {
        for attack in ATTACKS {
            for long in ["", &"x".repeat(1_500)] {
                let mut world = World::default();
                let text = format!("before{attack}after{long}");
                let invitation = world.mail.invitation.as_mut().unwrap();
                invitation.display_name = text.clone();
                world.mail.organisation_display_name = text.clone();
                world.rendered = RenderMailResponse {
                    subject: text.clone(),
                    text: text.clone(),
                    html: format!("<p>{text}</p>"),
                    sender: Some(Sender {
                        display_name: text.clone(),
                        reply_to: format!("{text}@abc.example"),
                        from_address: format!("{text}@abc.example"),
                    }),
                };
                let stage = Stage::set(world).await;
                assert_eq!(stage.hear(stage.event()).await, Ok(()), "{attack:?}");
                assert_is_one_clean_mail(&stage, attack);
            }
        }
    }
}
