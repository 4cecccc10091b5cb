use api::{
    identity::v1::{
        CreateInvitedUserRequest, User, UserStatus, user_service_client::UserServiceClient,
    },
    organisation::v1::{CreateInvitationRequest, CreateInvitationResponse, InvitationCreated},
};
use kernel::{DisplayName, EmailAddress, Fields, Uuid, fold, parse_id};
use sea_orm::{IntoActiveModel as _, entity::prelude::*, sea_query::OnConflict};

use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::{
        invitation::Locale,
        permission::Permission,
        role::{BuiltIn, RoleKey, Roles},
    },
    entity::{invitation, membership, organisation::PLATFORM, person, role},
    error::Error,
    settlement,
};

/// Invites an address into an organisation.
///
/// Needs `invitations.create` there and every permission of the roles offered; a service account
/// offers invitable roles alone. The invitee's account exists from now on, with status `invited` if
/// it is new. Whoever may invite hears of every wrong field at once, unknown roles included. At most one invitation of an address is pending at an organisation, and nobody is
/// invited to what they hold already. Event: `organisation.invitation.created.v1`, which becomes the
/// mail.
pub(crate) async fn create(
    service: &Organisations,
    call: &Call,
    request: CreateInvitationRequest,
) -> Result<CreateInvitationResponse, Error> {
    let CreateInvitationRequest { organisation_id, email, display_name, roles, locale, .. } =
        request;
    let mut fields = Fields::default();
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let email = fields.read("email", EmailAddress::parse(&email));
    let name = fields.read_optional("display_name", &display_name, DisplayName::parse);
    let keys = RoleKey::read_all(&mut fields, "roles", &roles);
    let locale = fields.read("locale", Locale::parse(&locale));
    let Some(organisation) = organisation else { return Err(Error::Invalid(fields)) };
    let rights = service.rights(call, service.database.read(), organisation).await?;
    rights.require(Permission::InvitationsCreate)?;
    if organisation == PLATFORM {
        return Err(Error::OrganisationNotFound);
    }
    let roles = match keys {
        Some(keys) => offered(service, organisation, &keys, &mut fields).await?,
        None => None,
    };
    let (Some(email), Some(name), Some(roles), Some(locale)) = (email, name, roles, locale) else {
        return Err(Error::Invalid(fields));
    };
    rights.require_to_grant(&roles, call.giver())?;
    service.count_invitation(call, organisation, email.as_str()).await?;
    let name = name.map(String::from).unwrap_or_default();
    let invitee = account_of(service, &email, &name).await?;

    let change = service.begin(call).await?;
    let now = change.now;
    let offered = invitation::Model {
        id: service.clock.new_id(),
        organisation_id: organisation,
        email: email.into(),
        // As it was given: what the account is called is not for whoever guesses its address.
        search_name: fold(&name).into_bytes(),
        display_name: name,
        first_name: String::new(),
        last_name: String::new(),
        institution: String::new(),
        application_id: None,
        personal_message: String::new(),
        membership_valid_from: None,
        membership_expires_at: None,
        source_id: String::new(),
        callback_url: String::new(),
        access_request_id: None,
        remind_at: service.remind_at(now, now + service.link_life),
        version: 1,
        roles: roles.to_string(),
        state: invitation::State::Pending,
        locale: locale.into(),
        inviter_id: call.subject,
        inviter_kind: call.giver().into(),
        invitee_id: invitee,
        issue: 1,
        expires_at: now + service.link_life,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    };
    refuse_member(&change, invitee, organisation, &roles).await?;
    insert(&change, &offered).await?;
    // The mail names the inviter.
    person::remember_caller(&*change, call).await?;
    let event = InvitationCreated {
        invitation_id: offered.id.to_string(),
        organisation_id: organisation.to_string(),
        issue: offered.issue,
    };
    let key = "organisation.invitation.created.v1";
    change.publish(key, offered.id, &event).await?;
    let record = Record::of("invitation", offered.id, organisation).invitation(offered.id);
    change.record(record.detail(format!("roles={roles}"))).await?;
    change.commit(CreateInvitationResponse { invitation: Some(offered.seen_at(now)) }).await
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

/// The roles that the keys name; without any, the default role. Unknown ones are violations.
async fn offered(
    service: &Organisations,
    organisation: Uuid,
    keys: &[RoleKey],
    fields: &mut Fields,
) -> Result<Option<Roles>, DbErr> {
    if keys.is_empty() {
        return Ok(Some(BuiltIn::User.into()));
    }
    let among = role::given_at(organisation);
    let found = role::find(service.database.read(), among, "roles", keys).await?;
    Ok(found.map_err(|unknown| fields.append(unknown)).ok())
}

/// An invitation adds something: who holds all the roles already is not invited.
async fn refuse_member(
    change: &Change<'_>,
    subject: Uuid,
    organisation: Uuid,
    roles: &Roles,
) -> Result<(), Error> {
    let held = membership::roles(&**change, subject, organisation).await?;
    if roles.iter().all(|role| held.contains(role.id)) { Err(Error::AlreadyMember) } else { Ok(()) }
}

async fn insert(change: &Change<'_>, offered: &invitation::Model) -> Result<(), Error> {
    let invitation::Model { organisation_id, email, .. } = offered;
    settlement::make_room(change, *organisation_id, email).await?;
    let one_pending = OnConflict::new().do_nothing().to_owned();
    let row = offered.clone().into_active_model();
    let insert = invitation::Entity::insert(row).on_conflict(one_pending);
    if insert.exec_without_returning(&**change).await? == 1 {
        return Ok(());
    }
    let pending = invitation::Entity::find()
        .filter(invitation::Column::OrganisationId.eq(*organisation_id))
        .filter(invitation::Column::Email.eq(email))
        .filter(invitation::Column::State.eq(invitation::State::Pending))
        .one(&**change)
        .await?;
    Err(Error::InvitationPending { id: pending.map_or(Uuid::nil(), |pending| pending.id) })
}
