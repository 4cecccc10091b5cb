use std::collections::{HashMap, hash_map::Entry};

use api::{
    identity::v1::{
        BatchCreateInvitedUsersRequest, CreateInvitedUserRequest, User,
        user_service_client::UserServiceClient,
    },
    organisation::v1::{CreateInvitationRequest, Invitation},
};
use db::DbErr;
use kernel::{DisplayName, Duration, EmailAddress, Fields, Malformed, Time, Uuid, parse_id};
use service::Peer;
use tonic::Status;

use crate::{
    Organisations,
    call::Call,
    domain::{
        invitation::parse_life,
        invitation_policy::InvitationPolicy,
        permission::Permission,
        rights::{Giver, Rights},
        role::Roles,
    },
    entity::{
        invitation::{self, DeliveryState, State},
        membership, organisation,
        organisation::PLATFORM,
        person,
    },
    error::Error,
    offer::{Found, Offer},
};

/// An invitation that may be made: read, and allowed. What is left is to ask for the invitee's
/// account, and to make it.
pub(crate) struct Prepared {
    pub organisation: Uuid,
    email: EmailAddress,
    display_name: String,
    offer: Offer,
    pub roles: Roles,
    /// What the organisation says of an invitee who has an account.
    pub refuses_accounts: bool,
    life: Duration,
    inviter: (Uuid, Giver),
}

/// The syntax of a request.
struct Syntax {
    fields: Fields,
    organisation: Option<Uuid>,
    email: Option<EmailAddress>,
    display_name: Option<String>,
    offer: Offer,
    life: Option<Duration>,
}

/// What a caller may do at an organisation, and what it says of inviting.
struct Ground {
    rights: Rights,
    policy: InvitationPolicy,
}

/// The organisations that a call invites into: each is looked at once.
#[derive(Default)]
pub(crate) struct Grounds(HashMap<Uuid, Ground>);

impl Grounds {
    async fn of(
        &mut self,
        service: &Organisations,
        call: &Call,
        organisation: Uuid,
    ) -> Result<&Ground, DbErr> {
        call.note(organisation);
        match self.0.entry(organisation) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let database = service.database.read();
                let rights = service.rights(call, database, organisation).await?;
                let policy = match rights.allow(Permission::InvitationsCreate) {
                    true => organisation::invitation_policy(database, organisation).await?,
                    false => InvitationPolicy::default(),
                };
                Ok(new.insert(Ground { rights, policy }))
            }
        }
    }
}

impl Prepared {
    /// Reads a request. Needs `invitations.create` and the ceiling; a service account offers
    /// invitable roles alone, also if that is the default role. Whoever may invite hears of every
    /// wrong field at once.
    pub(crate) async fn read(
        service: &Organisations,
        call: &Call,
        grounds: &mut Grounds,
        request: CreateInvitationRequest,
    ) -> Result<Self, Error> {
        let Syntax { mut fields, organisation, email, display_name, offer, life } =
            syntax(service, request);
        let Some(organisation) = organisation else { return Err(Error::Invalid(fields)) };
        let Ground { rights, policy } = grounds.of(service, call, organisation).await?;
        rights.require(Permission::InvitationsCreate)?;
        if organisation == PLATFORM {
            return Err(Error::OrganisationNotFound);
        }
        let found = offer.look_up(service.database.read(), organisation, &mut fields, "").await?;
        let (Some(email), Some(display_name), Some(life), true) =
            (email, display_name, life, fields.violations().is_empty())
        else {
            return Err(Error::Invalid(fields));
        };
        rights.require_to_grant(&found.roles, call.giver())?;
        offer.require_registered(&found)?;
        if let Some(domain) = policy.refused_domain(&email) {
            return Err(Error::DomainNotAllowed { domain: domain.to_owned() });
        }
        let (inviter, refuses_accounts) = ((call.subject, call.giver()), policy.refuses_accounts());
        let Found { roles, application: _ } = found;
        Ok(Self {
            organisation,
            email,
            display_name,
            offer,
            roles,
            refuses_accounts,
            life,
            inviter,
        })
    }

    /// Of each whether the invitee still lacks what is offered, as far as is known here: nobody is
    /// asked, and nothing is written. An account that has never been seen here is not known of.
    pub(crate) async fn news(
        service: &Organisations,
        all: &[Self],
    ) -> Result<Vec<Result<(), Error>>, DbErr> {
        let (database, now) = (service.database.read(), service.clock.now());
        let places: Vec<_> = all.iter().map(|it| (it.organisation, it.email.as_str())).collect();
        let pending = invitation::pending_at(database, &places, now).await?;
        let emails: Vec<_> = all.iter().map(|it| it.email.as_str()).collect();
        let known = person::of_emails(database, &emails).await?;
        let who = |it: &Self| Some((*known.get(it.email.as_str())?, it.organisation));
        let pairs: Vec<_> = all.iter().filter_map(who).collect();
        let held = membership::lasting_roles(database, &pairs, now).await?;
        let news = |it: &Self| {
            if let Some(id) = pending.get(&(it.organisation, it.email.to_string())) {
                return Err(Error::InvitationPending { id: *id });
            }
            let Some(known) = who(it) else { return Ok(()) };
            if it.roles.are_among(held.get(&known)) {
                return Err(Error::AlreadyMember);
            }
            if it.refuses_accounts { Err(Error::AccountExists) } else { Ok(()) }
        };
        Ok(all.iter().map(news).collect())
    }

    /// Counts the invitation against its limits.
    pub(crate) async fn count(&self, service: &Organisations, call: &Call) -> Result<(), Error> {
        service.count_invitation(call, self.organisation, self.email.as_str()).await
    }

    /// The invitee's account, from the identity service; made there if there is none. Asking again
    /// changes nothing, so that it may come before the transaction, and stay if that comes to
    /// nothing.
    pub(crate) async fn account(&self, service: &Organisations) -> Result<User, Error> {
        let answer = identity(service).await?.create_invited_user(self.asking()).await;
        let user = answer.map_err(peer)?.into_inner().user;
        user.ok_or_else(|| Error::Internal("no user in the answer".to_owned()))
    }

    /// The accounts of many, in their order.
    pub(crate) async fn accounts(
        service: &Organisations,
        all: &[Self],
    ) -> Result<Vec<User>, Error> {
        let requests = all.iter().map(Self::asking).collect();
        let request = BatchCreateInvitedUsersRequest { requests };
        let answer = identity(service).await?.batch_create_invited_users(request).await;
        let users = answer.map_err(peer)?.into_inner().users;
        if users.len() != all.len() {
            return Err(Error::Internal("not as many users as were asked for".to_owned()));
        }
        Ok(users)
    }

    fn asking(&self) -> CreateInvitedUserRequest {
        CreateInvitedUserRequest {
            email: self.email.to_string(),
            display_name: self.display_name.clone(),
            // Who refuses existing accounts makes new ones as source 004 has it.
            random_password: self.refuses_accounts,
        }
    }

    /// The invitation of an account, as it is kept.
    pub(crate) fn row(
        self,
        service: &Organisations,
        invitee: Uuid,
        now: Time,
    ) -> invitation::Model {
        let (offer, expires_at) = (self.offer, now + self.life);
        invitation::Model {
            id: service.clock.new_id(),
            organisation_id: self.organisation,
            search_name: invitation::search_name(&self.display_name, self.email.as_str()),
            email: self.email.into(),
            // As it was given: what the account is called is not for whoever guesses its address.
            display_name: self.display_name,
            first_name: offer.first_name,
            last_name: offer.last_name,
            institution: offer.institution,
            roles: self.roles.to_string(),
            application_id: offer.application,
            personal_message: offer.personal_message,
            membership_valid_from: offer.span.valid_from,
            membership_expires_at: offer.span.expires_at,
            source_id: offer.source_id,
            callback_url: offer.callback.map(String::from).unwrap_or_default(),
            state: State::Pending,
            access_request_id: None,
            locale: offer.locale,
            inviter_id: self.inviter.0,
            inviter_kind: self.inviter.1.into(),
            invitee_id: invitee,
            issue: 1,
            expires_at,
            remind_at: service.remind_at(now, expires_at),
            version: 1,
            created_at: now,
            updated_at: now,
            deleted_at: None,
            delivery_state: Some(DeliveryState::Queued),
            delivery_reason: String::new(),
            delivery_changed_at: None,
            delivery_version: 0,
        }
    }
}

fn peer(status: Status) -> Error {
    Error::Peer(Box::new(status))
}

async fn identity(service: &Organisations) -> Result<UserServiceClient<Peer>, Error> {
    let auth = service.peers.own().await.map_err(peer)?;
    Ok(UserServiceClient::new(service.peers.identity(auth)))
}

fn syntax(service: &Organisations, request: CreateInvitationRequest) -> Syntax {
    let CreateInvitationRequest {
        organisation_id,
        email,
        display_name,
        roles,
        locale,
        first_name,
        last_name,
        institution,
        application_id,
        personal_message,
        membership_valid_from,
        membership_expires_at,
        life,
        source_id,
        callback_url,
        request_id: _,
    } = request;
    let mut fields = Fields::default();
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let email = fields.read("email", EmailAddress::parse(&email));
    let wanted = Invitation {
        roles,
        locale,
        first_name,
        last_name,
        institution,
        application_id,
        personal_message,
        membership_valid_from,
        membership_expires_at,
        source_id,
        callback_url,
        ..Default::default()
    };
    let mut offer = Offer::default();
    for field in Offer::FIELDS {
        offer.take(field, &wanted, service.clock.now(), &mut fields, "");
    }
    offer.check(&mut fields, "");
    let name = if display_name.is_empty() { offer.full_name() } else { display_name };
    let name = fields.read_optional("display_name", &name, DisplayName::parse);
    let display_name = name.map(|name| name.map(String::from).unwrap_or_default());
    let life = match life {
        None => Some(service.link_life),
        Some(life) => fields.read("life", read_life(life)),
    };
    Syntax { fields, organisation, email, display_name, offer, life }
}

fn read_life(life: prost_types::Duration) -> Result<Duration, Malformed> {
    let nanos = u32::try_from(life.nanos).ok();
    let life = nanos.and_then(|nanos| Duration::new(life.seconds, nanos / 1_000 * 1_000));
    parse_life(life.unwrap_or_default())
}
