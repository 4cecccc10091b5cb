use api::{
    identity::v1::{
        GetServiceAccountRequest, GetUserRequest, UserStatus,
        service_account_service_client::ServiceAccountServiceClient,
        user_service_client::UserServiceClient,
    },
    organisation::v1::{CreateMembershipRequest, CreateMembershipResponse},
};
use kernel::{Fields, Uuid, parse_id};
use sea_orm::EntityTrait as _;
use tonic::{Code, Status};

use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::{
        permission::Permission,
        rights::Denied,
        role::{RoleKey, Roles},
    },
    entity::{
        invitation,
        membership::{self, New, Span, changing},
        person, role,
    },
    error::Error,
};

/// Adds a user or service account that exists.
///
/// Needs `members.create` there and every permission of the roles given; a service account gives
/// invitable roles alone, and nobody adds themselves. An account that cannot sign in becomes no
/// member: whoever has not enrolled yet is invited. Whoever is a member gets other roles by an
/// update. A pending invitation that offers nothing more is settled. Event:
/// `organisation.membership.created.v1`.
pub(crate) async fn create(
    service: &Organisations,
    call: &Call,
    request: CreateMembershipRequest,
) -> Result<CreateMembershipResponse, Error> {
    let CreateMembershipRequest {
        organisation_id,
        user_id,
        roles,
        valid_from,
        expires_at,
        request_id: _,
        is_service_account,
    } = request;
    let mut fields = Fields::default();
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let subject = fields.read("user_id", parse_id(&user_id));
    let keys = RoleKey::read_all(&mut fields, "roles", &roles);
    let names = ("valid_from", "expires_at");
    let span = Span::read(&mut fields, names, (valid_from, expires_at), service.clock.now());
    let Some(organisation) = organisation else { return Err(Error::Invalid(fields)) };
    let rights = service.rights(call, service.database.read(), organisation).await?;
    rights.require(Permission::MembersCreate)?;
    let roles = match keys {
        Some(keys) => given(service, organisation, &keys, &mut fields).await?,
        None => None,
    };
    let (Some(subject), Some(roles), Some(span)) = (subject, roles, span) else {
        return Err(Error::Invalid(fields));
    };
    rights.require_to_grant(&roles, call.giver())?;
    if subject == call.subject {
        return Err(Denied::AboveCeiling(roles.to_string()).into());
    }
    let account = account_of(service, subject, is_service_account).await?;

    let change = service.begin(call).await?;
    invitation::hold_offered(&change, subject, organisation).await?;
    let roles = role::by_id(&*change, roles.ids()).await?;
    let rights = service.rights(call, &*change, organisation).await?;
    rights.require(Permission::MembersCreate)?;
    rights.require_to_grant(&roles, call.giver())?;
    person::remember(&*change, subject, &account.email, &account.display_name).await?;
    let new = New { id: service.clock.new_id(), is_service_account, span, now: change.now };
    join(&change, subject, organisation, &roles, new).await?;
    invitation::settle_offered(&change, subject, organisation).await?;
    let key = "organisation.membership.created.v1";
    changing::announce(&change, key, subject, organisation).await?;
    let record = Record::of("membership", subject, organisation);
    change.record(record.detail(format!("roles={roles}"))).await?;
    let membership = membership::shown(&*change, subject, organisation, change.now).await?;
    change.commit(CreateMembershipResponse { membership }).await
}

/// The roles that the keys name; without any, the default role. Unknown ones are violations.
async fn given(
    service: &Organisations,
    organisation: Uuid,
    keys: &[RoleKey],
    fields: &mut Fields,
) -> Result<Option<Roles>, Error> {
    let database = service.database.read();
    if keys.is_empty() {
        return Ok(Some(role::default_role(database, organisation).await?));
    }
    let found = role::find(database, role::given_at(organisation), "roles", keys).await?;
    Ok(found.map_err(|unknown| fields.append(unknown)).ok())
}

/// What lists show of an account.
struct Account {
    email: String,
    display_name: String,
}

/// The account, from the identity service, if it can sign in.
async fn account_of(
    service: &Organisations,
    id: Uuid,
    is_service_account: bool,
) -> Result<Account, Error> {
    let auth = service.peers.own().await.map_err(of_peer)?;
    let channel = service.peers.identity(auth);
    let id = id.to_string();
    if is_service_account {
        let mut client = ServiceAccountServiceClient::new(channel);
        let answer = client.get_service_account(GetServiceAccountRequest { id }).await;
        let account = answer.map_err(of_peer)?.into_inner().service_account.unwrap_or_default();
        return Ok(Account { email: String::new(), display_name: account.name });
    }
    let answer = UserServiceClient::new(channel).get_user(GetUserRequest { id }).await;
    let user = answer.map_err(of_peer)?.into_inner().user.unwrap_or_default();
    match user.status() {
        UserStatus::Active => Ok(Account { email: user.email, display_name: user.display_name }),
        UserStatus::Invited | UserStatus::Suspended | UserStatus::Disposed => {
            Err(Error::AccountUnusable)
        }
        UserStatus::Unspecified => Err(Error::Internal("a user without a status".to_owned())),
    }
}

fn of_peer(status: Status) -> Error {
    match status.code() {
        Code::NotFound => Error::UserNotFound,
        _ => Error::Peer(Box::new(status)),
    }
}

/// Begins the membership; whoever is a member stays what they are.
async fn join(
    change: &Change<'_>,
    subject: Uuid,
    organisation: Uuid,
    roles: &Roles,
    new: New,
) -> Result<(), Error> {
    membership::grant(&**change, subject, organisation, roles, new).await?;
    let member = membership::Entity::find_by_id((subject, organisation)).one(&**change).await?;
    let begun = member.is_some_and(|member| member.id == new.id);
    if begun { Ok(()) } else { Err(Error::AlreadyMember) }
}
