//! What the tests beside the slices have in common: invitations by one call, and what is heard.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use api::organisation::v1::*;
use bus::{Message, Queue};
use db::outbox;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _,
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    domain::role::BuiltIn,
    entity::{
        application, membership, membership_role,
        organisation::{self, ExistingAccount},
        role,
    },
    testing::{Stage, Who},
};

pub(super) async fn invite(
    by: &Who,
    organisation: &str,
    email: &str,
    roles: &[&str],
) -> Result<Invitation, Status> {
    let roles = roles.iter().map(|&role| role.to_owned()).collect();
    invite_with(by, organisation, email, |request| request.roles = roles).await
}

pub(super) async fn invite_with(
    by: &Who,
    organisation: &str,
    email: &str,
    with: impl FnOnce(&mut CreateInvitationRequest),
) -> Result<Invitation, Status> {
    let mut request = CreateInvitationRequest {
        organisation_id: organisation.to_owned(),
        email: email.to_owned(),
        ..Default::default()
    };
    with(&mut request);
    let answer = by.invitations().create_invitation(request).await?.into_inner();
    Ok(answer.invitation.unwrap())
}

pub(super) async fn get(by: &Who, id: &str) -> Invitation {
    let request = GetInvitationRequest { id: id.to_owned() };
    by.invitations().get_invitation(request).await.unwrap().into_inner().invitation.unwrap()
}

pub(super) async fn accept(by: &Who, id: &str) -> Result<Invitation, Status> {
    let request = AcceptInvitationRequest { id: id.to_owned(), ..Default::default() };
    let answer = by.invitations().accept_invitation(request).await?.into_inner();
    Ok(answer.invitation.unwrap())
}

pub(super) async fn decline(by: &Who, id: &str) -> Result<Invitation, Status> {
    let request = DeclineInvitationRequest { id: id.to_owned(), ..Default::default() };
    let answer = by.invitations().decline_invitation(request).await?.into_inner();
    Ok(answer.invitation.unwrap())
}

pub(super) async fn revoke(by: &Who, id: &str) -> Result<Invitation, Status> {
    let request = RevokeInvitationRequest { id: id.to_owned(), ..Default::default() };
    let answer = by.invitations().revoke_invitation(request).await?.into_inner();
    Ok(answer.invitation.unwrap())
}

pub(super) async fn reissue(by: &Who, id: &str) -> Result<Invitation, Status> {
    let request = ReissueInvitationRequest { id: id.to_owned(), ..Default::default() };
    let answer = by.invitations().reissue_invitation(request).await?.into_inner();
    Ok(answer.invitation.unwrap())
}

pub(super) async fn update(
    by: &Who,
    invitation: Invitation,
    mask: &[&str],
) -> Result<Invitation, Status> {
    let paths = mask.iter().map(|&path| path.to_owned()).collect();
    let request = UpdateInvitationRequest {
        invitation: Some(invitation),
        update_mask: Some(prost_types::FieldMask { paths }),
        ..Default::default()
    };
    let answer = by.invitations().update_invitation(request).await?.into_inner();
    Ok(answer.invitation.unwrap())
}

/// An application, past all rules: it leads to `https://KEY.example.com/start`, and hears callbacks
/// at `KEY.example.com`.
pub(super) async fn application(
    stage: &Stage,
    organisation: &str,
    name: &str,
    assign_on_invite: bool,
) -> String {
    let (id, now) = (stage.service.clock.new_id(), stage.now());
    let host = format!("{}.example.com", name.to_lowercase());
    let role = role::Model {
        id: stage.service.clock.new_id(),
        owner_id: id,
        is_application_role: true,
        key: "customer".to_owned(),
        folded_key: "customer".to_owned(),
        display_name: "Customer".to_owned(),
        permissions: 0,
        invitable: true,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let application = application::Model {
        id,
        organisation_id: organisation.parse().unwrap(),
        display_name: name.to_owned(),
        redirect_urls: format!("https://{host}/start"),
        callback_hosts: host,
        default_role_id: role.id,
        assign_on_invite,
        secret_generation: 1,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let database = stage.service.database.read();
    let role = role::Entity::insert(role.into_active_model());
    role.exec_without_returning(database).await.unwrap();
    let application = application::Entity::insert(application.into_active_model());
    application.exec_without_returning(database).await.unwrap();
    id.to_string()
}

/// Sets what an organisation says about invitations, past all rules.
pub(super) async fn policy(
    stage: &Stage,
    organisation: &str,
    set: impl FnOnce(&mut organisation::Model),
) {
    let database = stage.service.database.read();
    let id: kernel::Uuid = organisation.parse().unwrap();
    let found = organisation::Entity::find_by_id(id).one(database).await.unwrap();
    let mut row = found.unwrap();
    set(&mut row);
    let row = row.into_active_model().reset_all();
    organisation::Entity::update(row).exec(database).await.unwrap();
}

pub(super) fn refuse_accounts(row: &mut organisation::Model) {
    row.existing_account = ExistingAccount::Refuse;
}

/// A membership and its roles' keys, if there is one.
pub(super) async fn membership_of(
    stage: &Stage,
    who: &Who,
    organisation: &str,
) -> Option<(membership::Model, Vec<String>)> {
    let (database, id) = (stage.service.database.read(), organisation.parse().unwrap());
    let found = membership::Entity::find_by_id((who.id, id)).one(database).await.unwrap()?;
    Some((found, membership::roles(database, who.id, id).await.unwrap().keys()))
}

/// Takes the inviter's roles away, past all rules.
pub(super) async fn demote(stage: &Stage, who: &Who, organisation: &str) {
    let id: kernel::Uuid = organisation.parse().unwrap();
    membership_role::Entity::delete_many()
        .filter(membership_role::Column::SubjectId.eq(who.id))
        .filter(membership_role::Column::OrganisationId.eq(id))
        .filter(membership_role::Column::RoleId.ne(BuiltIn::User.id()))
        .exec(stage.service.database.read())
        .await
        .unwrap();
}

/// Hears the events that the service publishes from now on.
pub(super) struct Heard {
    messages: Arc<Mutex<Vec<Message>>>,
    stop: CancellationToken,
}

impl Heard {
    pub(super) fn listen(stage: &Stage) -> Self {
        let queue = Queue {
            name: "test.heard",
            // With those that must arrive: they would keep coming back until somebody takes them.
            bindings: &[
                "organisation.access_request.mail.v1",
                "organisation.invitation.created.v1",
                "organisation.invitation.settled.v1",
                "organisation.invitation.updated.v1",
                "organisation.membership.created.v1",
                "organisation.membership.updated.v1",
                "organisation.application_access.granted.v1",
                "organisation.access_request.created.v1",
            ],
            concurrency: 8,
        };
        let messages = Arc::<Mutex<Vec<Message>>>::default();
        let heard = messages.clone();
        let handler: bus::Handler = Arc::new(move |message| {
            heard.lock().unwrap().push(message);
            Box::pin(async { Ok(()) })
        });
        let stop = CancellationToken::new();
        tokio::spawn(stage.bench.infra.bus.consume(queue, handler, stop.clone()));
        Self { messages, stop }
    }

    /// How many there have been with this routing key, once all of them have left.
    pub(super) async fn count(&self, stage: &Stage, key: &str) -> usize {
        let database = stage.service.database.read();
        testkit::eventually("the events have left", || async {
            let waiting = outbox::Entity::find().filter(outbox::Column::RoutingKey.eq(key));
            waiting.one(database).await.unwrap().is_none().then_some(())
        })
        .await;
        self.messages.lock().unwrap().iter().filter(|it| it.routing_key == key).count()
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// How many of some answers were good.
pub(super) fn good<T, E: Debug>(answers: &[Result<T, E>]) -> usize {
    answers.iter().filter(|answer| answer.is_ok()).count()
}
