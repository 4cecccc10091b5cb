use api::organisation::v1::{
    AccessRequestMail, GetAccessRequestMailRequest, GetAccessRequestMailResponse,
};
use db::DbErr;
use kernel::{Fields, Malformed, Time, Uuid, parse_id};
use sea_orm::{ConnectionTrait, EntityTrait as _};

use crate::{
    Organisations,
    call::Call,
    domain::permission::Permission,
    entity::{
        access_request::{self, Model, State},
        application, invitation, membership, organisation, person,
    },
    error::Error,
};

/// What one mail about a request must say. It is superseded, and nothing is to be sent, once the
/// request has moved on: that it was received, that somebody should decide and that they still
/// should is said while it is pending, the outcome once there is one. So is a mail to somebody whose
/// address is not known, to a decider who can no longer decide, or to a requester who is not the
/// requester: what a request says is for nobody else. Its language is that of the newest invitation
/// that the recipient accepted and that named one.
///
/// Needs the scope `access_requests.mail`.
pub(crate) async fn get_mail(
    service: &Organisations,
    call: &Call,
    request: GetAccessRequestMailRequest,
) -> Result<GetAccessRequestMailResponse, Error> {
    let GetAccessRequestMailRequest { access_request_id, recipient_id, mail } = request;
    let mut fields = Fields::default();
    let id = fields.read("access_request_id", parse_id(&access_request_id));
    let recipient = fields.read("recipient_id", parse_id(&recipient_id));
    let mail = fields.read("mail", parse_mail(mail));
    let (Some(id), Some(recipient), Some(mail)) = (id, recipient, mail) else {
        return Err(Error::Invalid(fields));
    };
    if !call.has_scope("access_requests.mail") {
        return Err(Error::ScopeMissing("access_requests.mail"));
    }
    let (database, now) = (service.database.read(), service.clock.now());
    let found = access_request::Entity::find_by_id(id).one(database).await?;
    let found = found.ok_or(Error::AccessRequestNotFound)?;
    let at = organisation::Entity::find_by_id(found.organisation_id).one(database).await?;
    let ids: Vec<_> = [recipient, found.requester_id].into_iter().chain(found.decided_by).collect();
    let people = person::of(database, &ids).await?;
    let to = people.get(&recipient).filter(|person| !person.email.is_empty());
    let is_due = is_due(&found, mail, now) && reads(database, &found, mail, recipient, now).await?;
    let (Some(at), Some(to), true) = (at, to, is_due) else {
        return Ok(GetAccessRequestMailResponse { superseded: true, ..Default::default() });
    };
    let application = match found.application_id {
        Some(id) => application::Entity::find_by_id(id).one(database).await?,
        None => None,
    };
    let locale = invitation::language_of(database, recipient).await?;
    let organisation_path = organisation::path(database, found.organisation_id).await?;
    let decided_by = found.decided_by.and_then(|id| people.get(&id));
    let requester = people.get(&found.requester_id).cloned();
    Ok(GetAccessRequestMailResponse {
        superseded: false,
        organisation_display_name: at.display_name,
        application_display_name: application.map(|it| it.display_name).unwrap_or_default(),
        recipient_email: to.email.clone(),
        recipient_display_name: to.display_name.clone(),
        decided_by_display_name: decided_by.map(|it| it.display_name.clone()).unwrap_or_default(),
        link: format!("{}/access-requests/{id}", service.public_url),
        locale: locale.unwrap_or_default(),
        access_request: Some(found.seen_at(requester, now)),
        organisation_path,
    })
}

fn parse_mail(number: i32) -> Result<AccessRequestMail, Malformed> {
    match AccessRequestMail::try_from(number) {
        Ok(AccessRequestMail::Unspecified) | Err(_) => Err(Malformed("a mail about a request")),
        Ok(mail) => Ok(mail),
    }
}

fn is_due(found: &Model, mail: AccessRequestMail, now: Time) -> bool {
    let is_pending = found.state_at(now) == State::Pending;
    match mail {
        AccessRequestMail::Received | AccessRequestMail::Asked | AccessRequestMail::Reminded => {
            is_pending
        }
        AccessRequestMail::Decided | AccessRequestMail::Settled => !is_pending,
        AccessRequestMail::Unspecified => false,
    }
}

/// Whether the mail is one for this recipient.
async fn reads(
    connection: &impl ConnectionTrait,
    found: &Model,
    mail: AccessRequestMail,
    recipient: Uuid,
    now: Time,
) -> Result<bool, DbErr> {
    if matches!(mail, AccessRequestMail::Received | AccessRequestMail::Decided) {
        return Ok(recipient == found.requester_id);
    }
    let rights = membership::rights(connection, recipient, found.organisation_id, now).await?;
    Ok(rights.allow(Permission::RequestsDecide))
}
