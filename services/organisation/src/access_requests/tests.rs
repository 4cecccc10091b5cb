//! What users of access requests count on; by theme.

mod asking;
mod deciding;
mod lists;
mod mails;
mod races;
mod time;

use api::organisation::v1::*;
use kernel::Uuid;
use prost::Message as _;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _,
    QueryOrder as _,
};
use tonic::Status;

use crate::{
    entity::{access_request, membership, membership_role},
    testing::{Stage, Who},
};

fn id(text: &str) -> Uuid {
    text.parse().unwrap()
}

/// A root that somebody new owns alone: without the platform owner who made it.
async fn root_of(stage: &Stage, name: &str) -> (Who, String) {
    let (owner, root) = stage.root(name).await;
    let maker = stage.person("owner@example.com");
    let membership = membership::Entity::delete_by_id((maker.id, id(&root)));
    membership.exec(stage.service.database.read()).await.unwrap();
    (owner, root)
}

fn for_role(organisation: &str, role: &str) -> CreateAccessRequestRequest {
    CreateAccessRequestRequest {
        organisation_id: organisation.to_owned(),
        role: role.to_owned(),
        reason: "I look after the school's requests.".to_owned(),
        ..Default::default()
    }
}

async fn ask(who: &Who, organisation: &str, role: &str) -> Result<AccessRequest, Status> {
    let answer = who.access_requests().create_access_request(for_role(organisation, role)).await;
    Ok(answer?.into_inner().access_request.unwrap())
}

async fn approve(who: &Who, request: &str) -> Result<AccessRequest, Status> {
    let request = ApproveAccessRequestRequest { id: request.to_owned(), ..Default::default() };
    let answer = who.access_requests().approve_access_request(request).await;
    Ok(answer?.into_inner().access_request.unwrap())
}

async fn reject(who: &Who, request: &str) -> Result<AccessRequest, Status> {
    let request = RejectAccessRequestRequest {
        id: request.to_owned(),
        reason: "Ask again in spring.".to_owned(),
        ..Default::default()
    };
    let answer = who.access_requests().reject_access_request(request).await;
    Ok(answer?.into_inner().access_request.unwrap())
}

async fn withdraw(who: &Who, request: &str) -> Result<AccessRequest, Status> {
    let request = WithdrawAccessRequestRequest { id: request.to_owned(), ..Default::default() };
    let answer = who.access_requests().withdraw_access_request(request).await;
    Ok(answer?.into_inner().access_request.unwrap())
}

/// The row of a request as it is now.
async fn row(stage: &Stage, request: &str) -> access_request::Model {
    let row = access_request::Entity::find_by_id(id(request));
    row.one(stage.service.database.read()).await.unwrap().unwrap()
}

/// The mails that were to go out so far, as their kind and whom they go to; `people` are those whom
/// the test knows, by their address.
async fn mails(stage: &Stage, people: &[&Who]) -> Vec<(AccessRequestMail, String)> {
    let rows = db::outbox::Entity::find()
        .filter(db::outbox::Column::RoutingKey.eq("organisation.access_request.mail.v1"))
        .order_by_asc(db::outbox::Column::Id)
        .all(stage.service.database.read())
        .await
        .unwrap();
    let told = rows.into_iter().map(|row| {
        let event = AccessRequestMailDue::decode(row.payload.as_slice()).unwrap();
        let known = people.iter().find(|who| who.id.to_string() == event.recipient_id);
        (event.mail(), known.map_or(event.recipient_id.clone(), |who| who.email.clone()))
    });
    told.collect()
}

/// The roles that somebody holds at exactly an organisation.
async fn roles(stage: &Stage, who: &Who, organisation: &str) -> Vec<String> {
    let database = stage.service.database.read();
    membership::roles(database, who.id, id(organisation)).await.unwrap().keys()
}

/// Takes somebody's roles away, and leaves their membership.
async fn demote(stage: &Stage, who: &Who, organisation: &str) {
    let tx = stage.service.database.begin().await.unwrap();
    membership_role::Entity::delete_many()
        .filter(membership_role::Column::SubjectId.eq(who.id))
        .filter(membership_role::Column::OrganisationId.eq(id(organisation)))
        .exec(&*tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// Takes a membership away with what hangs on it.
async fn leave(stage: &Stage, who: &Who, organisation: &str) {
    let change = stage.service.begin_itself("members.remove").await.unwrap();
    membership::Entity::delete_by_id((who.id, id(organisation))).exec(&*change).await.unwrap();
    access_request::withdraw_left(&change, who.id, id(organisation)).await.unwrap();
    change.commit_itself().await.unwrap();
}

/// Makes a request one for the acceptance of an invitation by this inviter.
async fn for_invitation(stage: &Stage, request: &str, inviter: &Who) {
    let database = stage.service.database.read();
    let asked = row(stage, request).await;
    let invitation = stage.service.clock.new_id();
    let request = CreateInvitationRequest {
        organisation_id: asked.organisation_id.to_string(),
        email: format!("{invitation}@example.com"),
        roles: vec!["approver".to_owned()],
        ..Default::default()
    };
    let invited = inviter.invitations().create_invitation(request).await.unwrap().into_inner();
    let update = access_request::ActiveModel {
        id: Set(asked.id),
        invitation_id: Set(Some(id(&invited.invitation.unwrap().id))),
        ..Default::default()
    };
    update.update(database).await.unwrap();
}
