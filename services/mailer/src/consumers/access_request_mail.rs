//! `organisation.access_request.mail.v1`: somebody is to hear of an access request, so one mail goes
//! out.

use std::sync::Arc;

use api::{
    notification::v1::WithdrawalReason,
    organisation::v1::{
        AccessRequest, AccessRequestMail, AccessRequestMailDue, AccessRequestState,
        GetAccessRequestMailRequest, GetAccessRequestMailResponse,
        access_request_service_client::AccessRequestServiceClient,
    },
};
use bus::Queue;
use kernel::{EmailAddress, parse_id};
use prost::Message as _;
use service::{Auth, Consumer, Message, Refusal};

use crate::{
    Mailer,
    attempt::{About, Due, deliver, withdraw},
    lanes::SLOTS,
    peers::{incomplete, moment, no_token, open_account, refusal},
};

/// The events that become a mail.
pub(super) const KEYS: &[&str] = &["organisation.access_request.mail.v1"];

const QUEUE: Queue = Queue { name: "mailer.access-requests", bindings: KEYS, concurrency: SLOTS };

/// The call that tells what a mail must say.
const CALL: &str = "GetAccessRequestMail";

/// The consumer.
pub(crate) fn consumer(mailer: Arc<Mailer>) -> Consumer {
    Consumer::patient(QUEUE, move |message| {
        let mailer = mailer.clone();
        async move { access_request_mail(&mailer, message).await }
    })
}

/// Rule: one event sends one mail to one person, whatever crashes. What the request has left behind,
/// and what would reach a closed account, sends none. The mail is in the recipient's language as far as
/// the organisation service knows it, else in the platform's default.
/// Event: `organisation.access_request.mail.v1`.
async fn access_request_mail(mailer: &Mailer, message: Message) -> Result<(), Refusal> {
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
    let (event, template) = decode(message)?;
    let mail = request_mail(mailer, auth.clone(), &event).await?;
    if mail.superseded {
        return withdraw(mailer, auth, message, WithdrawalReason::Superseded).await;
    }
    let recipient = EmailAddress::parse(&mail.recipient_email)
        .map_err(|_| Refusal::Reject("the recipient's address is none".to_owned()))?;
    if only_to.is_some_and(|only| only != recipient.as_str()) {
        return withdraw(mailer, auth, message, WithdrawalReason::RecipientChanged).await;
    }
    let Some(user) = open_account(mailer, auth.clone(), &event.recipient_id).await? else {
        return withdraw(mailer, auth, message, WithdrawalReason::AccountClosed).await;
    };
    let name = match user.display_name {
        name if name.is_empty() => mail.recipient_display_name.clone(),
        name => name,
    };
    let request = mail.access_request.as_ref().ok_or_else(|| incomplete(CALL))?;
    let mut variables = about_request(event.mail(), &mail, request)?;
    variables.push(("recipient_name", name.clone()));
    let due = Due {
        cause: message,
        organisation_id: request.organisation_id.clone(),
        organisation_path: mail.organisation_path.clone(),
        application_id: request.application_id.clone(),
        about: About::AccessRequest(request.id.clone()),
        recipient,
        name,
        template,
        locale: mail.locale,
        variables,
    };
    deliver(mailer, auth, due).await
}

/// The event, and the template that it asks for.
fn decode(message: &Message) -> Result<(AccessRequestMailDue, &'static str), Refusal> {
    let broken = || Refusal::Reject("the event cannot be read".to_owned());
    let event = AccessRequestMailDue::decode(message.payload.as_slice()).map_err(|_| broken())?;
    for id in [&event.access_request_id, &event.recipient_id] {
        parse_id(id).map_err(|_| broken())?;
    }
    let template = match event.mail() {
        AccessRequestMail::Received => "access-request-received",
        AccessRequestMail::Asked => "access-request-asked",
        AccessRequestMail::Reminded => "access-request-reminded",
        AccessRequestMail::Decided => "access-request-decided",
        AccessRequestMail::Settled => "access-request-settled",
        AccessRequestMail::Unspecified => return Err(broken()),
    };
    Ok((event, template))
}

async fn request_mail(
    mailer: &Mailer,
    auth: Auth,
    event: &AccessRequestMailDue,
) -> Result<GetAccessRequestMailResponse, Refusal> {
    let request = GetAccessRequestMailRequest {
        access_request_id: event.access_request_id.clone(),
        recipient_id: event.recipient_id.clone(),
        mail: event.mail,
    };
    let mut client = AccessRequestServiceClient::new(mailer.peers.organisation(auth));
    let answer = client.get_access_request_mail(request).await;
    Ok(answer.map_err(|status| refusal(CALL, &status))?.into_inner())
}

/// What the template of a mail wants to know, and no more: a template refuses what it does not know.
fn about_request(
    kind: AccessRequestMail,
    mail: &GetAccessRequestMailResponse,
    request: &AccessRequest,
) -> Result<Vec<(&'static str, String)>, Refusal> {
    use AccessRequestMail::{Asked, Decided, Received, Reminded, Settled, Unspecified};
    let mut variables = vec![
        ("organisation_name", mail.organisation_display_name.clone()),
        ("wanted", wanted(mail, request)?),
        ("link", mail.link.clone()),
    ];
    if let Asked | Reminded | Settled = kind {
        let name = match request.requester_display_name.as_str() {
            "" => &request.requester_email,
            _ => &request.requester_display_name,
        };
        variables.push(("requester_name", name.clone()));
    }
    match kind {
        Received => variables.extend([
            ("reason", request.reason.clone()),
            ("expires_at", moment(request.expires_at).unwrap_or_default()),
        ]),
        Asked | Reminded => variables.extend([
            ("reason", request.reason.clone()),
            ("due_at", moment(request.due_at).unwrap_or_default()),
        ]),
        Decided | Settled => variables.extend([
            ("outcome", outcome(request)?.to_owned()),
            ("decided_by", mail.decided_by_display_name.clone()),
            ("decision_reason", request.decision_reason.clone()),
        ]),
        Unspecified => {}
    }
    Ok(variables)
}

/// What was asked for: roles of the organisation, or an application and roles of it.
fn wanted(mail: &GetAccessRequestMailResponse, request: &AccessRequest) -> Result<String, Refusal> {
    let (application, roles) = (&mail.application_display_name, request.roles.join(", "));
    match (application.as_str(), roles.as_str()) {
        ("", "") => Err(incomplete(CALL)),
        ("", _) => Ok(roles),
        (_, "") => Ok(application.clone()),
        _ => Ok(format!("{application} ({roles})")),
    }
}

/// How it ended. A mail that tells of the end of a request that still waits is none.
fn outcome(request: &AccessRequest) -> Result<&'static str, Refusal> {
    match request.state() {
        AccessRequestState::Approved => Ok("approved"),
        AccessRequestState::Rejected => Ok("rejected"),
        AccessRequestState::Withdrawn => Ok("withdrawn"),
        AccessRequestState::Expired => Ok("expired"),
        AccessRequestState::Pending | AccessRequestState::Unspecified => Err(incomplete(CALL)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use AccessRequestMail::{Asked, Decided, Received, Reminded, Settled};
    use api::{identity::v1::UserStatus, notification::v1::RenderMailResponse};
    use tonic::Code;

    use super::*;
    use crate::testing::{ATTACKS, Stage, World, assert_is_one_clean_mail};

    const EVERY: [AccessRequestMail; 5] = [Received, Asked, Reminded, Decided, Settled];

    #[tokio::test(flavor = "multi_thread")]
    async fn one_event_is_one_mail_about_the_request_however_often_it_arrives() {
        let stage = Stage::set(World::default()).await;
        for mail in EVERY {
            let event = stage.request(mail);
            for _ in 0..3 {
                assert_eq!(stage.hear(event.clone()).await, Ok(()));
            }
        }
        assert_eq!(stage.sink.mails().len(), 5);
        assert!(stage.sink.mails().iter().all(|mail| mail.recipient == "ada@example.com"));
        let world = stage.world();
        assert_eq!(world.asked, EVERY.map(|mail| [mail; 3]).concat());
        assert_eq!(world.deliveries.len(), 5);
        for (delivery, _) in world.deliveries.values() {
            let request = "00000000-0000-0000-0000-000000000004";
            assert_eq!(
                (delivery.access_request_id.as_str(), delivery.invitation_id.as_str()),
                (request, ""),
            );
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_template_gets_what_it_knows_and_nothing_else() {
        let stage = Stage::set(World::default()).await;
        for mail in EVERY {
            stage.hear(stage.request(mail)).await.unwrap();
        }
        let every = [
            ("recipient_name", "Ada Lovelace"),
            ("organisation_name", "ABC Holdings"),
            ("wanted", "approver"),
            ("link", "https://usher.example/requests/4"),
        ];
        let requester = ("requester_name", "Mary Somerville");
        let (reason, due_at) = (("reason", "I keep the books."), "2026-06-03T12:00:00Z");
        let end = [
            ("outcome", "rejected"),
            ("decided_by", "Emmy Noether"),
            ("decision_reason", "Not yet."),
        ];
        let expected = [
            ("access-request-received", vec![reason, ("expires_at", "2026-06-04T12:00:00Z")]),
            ("access-request-asked", vec![requester, reason, ("due_at", due_at)]),
            ("access-request-reminded", vec![requester, reason, ("due_at", due_at)]),
            ("access-request-decided", end.to_vec()),
            ("access-request-settled", [&[requester], end.as_slice()].concat()),
        ];
        let filled = stage.world().filled.clone();
        assert_eq!(filled.len(), 5);
        for (mail, (template, own)) in filled.iter().zip(expected) {
            let given: BTreeMap<_, _> =
                mail.variables.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            assert_eq!((mail.template.as_str(), mail.locale.as_str()), (template, "de-AT"));
            assert_eq!(given, every.into_iter().chain(own).collect());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_application_its_roles_and_every_end_have_their_words() {
        let stage = Stage::set(World::default()).await;
        stage.world().request.application_display_name = "Payroll".to_owned();
        stage.hear(stage.request(Asked)).await.unwrap();
        let change = |how: fn(&mut AccessRequest)| {
            how(stage.world().request.access_request.as_mut().unwrap());
        };
        change(|request| request.roles.clear());
        change(|request| request.requester_display_name.clear());
        stage.hear(stage.request(Asked)).await.unwrap();
        for state in [
            AccessRequestState::Approved,
            AccessRequestState::Withdrawn,
            AccessRequestState::Expired,
        ] {
            stage.world().request.access_request.as_mut().unwrap().state = state.into();
            stage.hear(stage.request(Decided)).await.unwrap();
        }
        let filled = stage.world().filled.clone();
        assert_eq!(filled[0].variables["wanted"], "Payroll (approver)");
        assert_eq!(filled[1].variables["wanted"], "Payroll");
        assert_eq!(filled[1].variables["requester_name"], "mary@example.com");
        let outcomes: Vec<_> =
            filled[2..].iter().map(|mail| mail.variables["outcome"].as_str()).collect();
        assert_eq!(outcomes, ["approved", "withdrawn", "expired"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_overtaken_and_who_is_closed_get_no_mail() {
        let stage = Stage::set(World::default()).await;
        stage.world().request.superseded = true;
        assert_eq!(stage.hear(stage.request(Asked)).await, Ok(()));
        stage.world().request.superseded = false;
        for status in [UserStatus::Suspended, UserStatus::Disposed] {
            stage.world().user.status = status.into();
            assert_eq!(stage.hear(stage.request(Asked)).await, Ok(()));
        }
        assert!(stage.sink.commands().is_empty());
        assert!(stage.world().deliveries.is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_missing_or_refused_is_asked_for_again_or_set_aside() {
        let stage = Stage::set(World::default()).await;
        for (call, code, retried) in [
            ("GetAccessRequestMail", Code::Unavailable, true),
            ("GetAccessRequestMail", Code::Unimplemented, true),
            ("GetAccessRequestMail", Code::NotFound, false),
            ("GetUser", Code::NotFound, false),
            ("ClaimDelivery", Code::Unavailable, true),
        ] {
            stage.world().failures.insert(call, VecDeque::from([code]));
            let why = format!("{call}: {code:?}");
            let expected = if retried { Refusal::Retry(why) } else { Refusal::Reject(why) };
            assert_eq!(stage.hear(stage.request(Asked)).await, Err(expected));
        }
        stage.world().request.access_request.as_mut().unwrap().state =
            AccessRequestState::Pending.into();
        let incomplete =
            Refusal::Retry("GetAccessRequestMail: the answer is incomplete".to_owned());
        assert_eq!(stage.hear(stage.request(Decided)).await, Err(incomplete));
        let broken = Refusal::Reject("the event cannot be read".to_owned());
        for payload in [b"\xff\xff".to_vec(), Vec::new()] {
            let event = Message { payload, ..stage.request(Asked) };
            assert_eq!(stage.hear(event).await, Err(broken.clone()));
        }
        let nothing = stage.request(AccessRequestMail::Unspecified);
        assert_eq!(stage.hear(nothing).await, Err(broken));
        assert!(stage.sink.commands().is_empty());
    }

    /// Everything that a person can type, with everything that could end a line or a mail.
    #[tokio::test(flavor = "multi_thread")]
    async fn t09_nothing_that_is_given_reaches_the_headers_or_the_smtp_conversation() {
        for attack in ATTACKS {
            let mut world = World::default();
            let text = format!("before{attack}after");
            world.user.display_name = text.clone();
            world.rendered = RenderMailResponse {
                subject: text.clone(),
                text: text.clone(),
                html: format!("<p>{text}</p>"),
                sender: None,
            };
            let stage = Stage::set(world).await;
            assert_eq!(stage.hear(stage.request(Asked)).await, Ok(()), "{attack:?}");
            assert_is_one_clean_mail(&stage, attack);
        }
    }
}
