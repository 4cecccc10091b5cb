use api::{
    identity::v1::{
        CreateInvitedUserRequest, User, UserStatus, user_service_client::UserServiceClient,
    },
    organisation::v1::{CreateInvitationRequest, CreateInvitationResponse, InvitationCreated},
};
use db::Transaction;
use kernel::{DisplayName, EmailAddress, Fields, Uuid, parse_id};
use sea_orm::{IntoActiveModel as _, entity::prelude::*, sea_query::OnConflict};
use service::Caller;

use crate::{
    Organisations,
    domain::{invitation::Locale, permission::Permission, role::Roles},
    entity::{
        invitation::{self, giver},
        membership, membership_role,
        organisation::PLATFORM,
        person,
    },
    error::Error,
};

/// Invites an address into an organisation.
///
/// Needs `invitations.create` there and every permission of the roles offered; a service account
/// offers invitable roles alone. The invitee's account exists from now on, with status `invited` if
/// it is new. At most one invitation of an address is pending at an organisation, and nobody is
/// invited to what they hold already. Event: `organisation.invitation.created.v1`, which becomes the
/// mail.
pub(crate) async fn create(
    service: &Organisations,
    caller: &Caller,
    request: CreateInvitationRequest,
) -> Result<CreateInvitationResponse, Error> {
    let CreateInvitationRequest { organisation_id, email, display_name, roles, locale, .. } =
        request;
    let mut fields = Fields::default();
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let email = fields.read("email", EmailAddress::parse(&email));
    let name = fields.read_optional("display_name", &display_name, DisplayName::parse);
    let roles = Roles::read(&mut fields, &roles);
    let locale = fields.read("locale", Locale::parse(&locale));
    let (Some(organisation), Some(email), Some(name), Some(roles), Some(locale)) =
        (organisation, email, name, roles, locale)
    else {
        return Err(Error::Invalid(fields));
    };
    let rights = membership::rights(service.database.read(), caller.subject, organisation).await?;
    rights.require(Permission::InvitationsCreate)?;
    if organisation == PLATFORM {
        return Err(Error::OrganisationNotFound);
    }
    rights.require_to_grant(&roles, giver(caller))?;
    let name = name.map(String::from).unwrap_or_default();
    let invitee = account_of(service, &email, &name).await?;

    let now = service.clock.now();
    let offered = invitation::Model {
        id: service.clock.new_id(),
        organisation_id: organisation,
        email: email.into(),
        // As it was given: what the account is called is not for whoever guesses its address.
        display_name: name,
        roles: roles.to_string(),
        state: invitation::State::Pending,
        locale: locale.into(),
        inviter_id: caller.subject,
        inviter_kind: giver(caller).into(),
        invitee_id: invitee,
        issue: 1,
        expires_at: now + service.link_life,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    };
    let tx = service.database.begin().await?;
    refuse_member(&tx, invitee, organisation, &roles).await?;
    insert(&tx, &offered).await?;
    // The mail names the inviter.
    person::remember_caller(&*tx, caller).await?;
    let event = InvitationCreated {
        invitation_id: offered.id.to_string(),
        organisation_id: organisation.to_string(),
        issue: offered.issue,
    };
    let key = "organisation.invitation.created.v1";
    service::publish(&tx, &service.clock, key, offered.id, &event).await?;
    tx.commit().await?;
    Ok(CreateInvitationResponse { invitation: Some(offered.seen_at(now)) })
}

/// The invitee's account, from the identity service; made there if there is none.
async fn account_of(
    service: &Organisations,
    email: &EmailAddress,
    name: &str,
) -> Result<Uuid, Error> {
    let peer = |status| Error::Peer(Box::new(status));
    let auth = service.peers.own().await.map_err(peer)?;
    let mut client = UserServiceClient::new(service.peers.identity(auth));
    let request = CreateInvitedUserRequest {
        email: email.to_string(),
        display_name: name.to_owned(),
        ..Default::default()
    };
    let answer = client.create_invited_user(request).await.map_err(peer)?.into_inner();
    let user: User = answer.user.unwrap_or_default();
    match user.status() {
        UserStatus::Invited | UserStatus::Active => {
            parse_id(&user.id).map_err(|error| Error::Internal(error.to_string()))
        }
        UserStatus::Suspended | UserStatus::Disposed => Err(Error::AccountUnusable),
        UserStatus::Unspecified => Err(Error::Internal("a user without a status".to_owned())),
    }
}

/// An invitation adds something: who holds all the roles already is not invited.
async fn refuse_member(
    tx: &Transaction,
    subject: Uuid,
    organisation: Uuid,
    roles: &Roles,
) -> Result<(), Error> {
    let held = membership_role::Entity::find()
        .filter(membership_role::Column::SubjectId.eq(subject))
        .filter(membership_role::Column::OrganisationId.eq(organisation))
        .all(&**tx)
        .await?;
    let holds = |role: &str| held.iter().any(|row| row.role == role);
    if roles.iter().all(|role| holds(role.as_str())) { Err(Error::AlreadyMember) } else { Ok(()) }
}

async fn insert(tx: &Transaction, offered: &invitation::Model) -> Result<(), Error> {
    let invitation::Model { organisation_id, email, created_at, .. } = offered;
    invitation::settle_expired(&**tx, *organisation_id, email, *created_at).await?;
    let one_pending = OnConflict::new().do_nothing().to_owned();
    let row = offered.clone().into_active_model();
    let insert = invitation::Entity::insert(row).on_conflict(one_pending);
    if insert.exec_without_returning(&**tx).await? == 1 {
        return Ok(());
    }
    let pending = invitation::Entity::find()
        .filter(invitation::Column::OrganisationId.eq(*organisation_id))
        .filter(invitation::Column::Email.eq(email))
        .filter(invitation::Column::State.eq(invitation::State::Pending))
        .one(&**tx)
        .await?;
    Err(Error::InvitationPending { id: pending.map_or(Uuid::nil(), |pending| pending.id) })
}
