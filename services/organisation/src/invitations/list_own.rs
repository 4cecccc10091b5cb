use std::collections::HashMap;

use api::organisation::v1::{
    InvitationState, ListOwnInvitationsRequest, ListOwnInvitationsResponse, OwnInvitation,
};
use db::PageRequest;
use kernel::{Fields, Malformed, Time, Uuid};
use sea_orm::{ConnectionTrait, entity::prelude::*};

use crate::{
    Organisations,
    call::Call,
    entity::{
        application,
        invitation::{self, Column},
        organisation, person,
    },
    error::Error,
};

/// The invitations to the caller, oldest first, with the names of those who invite.
///
/// They are those of the caller's account, which is the one that their address was invited as: an
/// address that somebody only says is theirs finds nothing (it is the identity service that
/// verifies). A service account is invited to nothing. A page costs three queries at most.
pub(crate) async fn list_own(
    service: &Organisations,
    call: &Call,
    request: ListOwnInvitationsRequest,
) -> Result<ListOwnInvitationsResponse, Error> {
    let ListOwnInvitationsRequest { state, page_size, page_token } = request;
    let mut fields = Fields::default();
    let state = InvitationState::try_from(state).map_err(|_| Malformed("a state of an invitation"));
    let state = fields.read("state", state);
    let page = PageRequest::parse(&mut fields, page_size, &page_token);
    let (Some(state), Some(page)) = (state, page) else { return Err(Error::Invalid(fields)) };
    let (database, now) = (service.database.read(), service.clock.now());
    let rows = invitation::Entity::find()
        .filter(Column::InviteeId.eq(call.subject))
        .filter(invitation::is_in_state(state, now));
    let rows = page.apply(rows, None::<Column>, Column::Id);
    let rows = rows.find_also_related(organisation::Entity).all(database).await?;
    let page = page.cut(rows, |(row, _)| row.id);
    let names = names(database, &page.rows).await?;
    let invitations = page.rows.into_iter().map(|row| seen(row, &names, now)).collect();
    Ok(ListOwnInvitationsResponse { invitations, next_page_token: page.next_page_token })
}

type Row = (invitation::Model, Option<organisation::Model>);

/// The names of inviters and applications, by identifier.
async fn names(
    connection: &impl ConnectionTrait,
    rows: &[Row],
) -> Result<HashMap<Uuid, String>, DbErr> {
    let mut names = HashMap::new();
    if rows.is_empty() {
        return Ok(names);
    }
    let inviters = rows.iter().map(|(row, _)| row.inviter_id);
    let people = person::Entity::find().filter(person::Column::UserId.is_in(inviters));
    let people = people.all(connection).await?;
    names.extend(people.into_iter().map(|person| (person.user_id, person.display_name)));
    let applications: Vec<_> = rows.iter().filter_map(|(row, _)| row.application_id).collect();
    if !applications.is_empty() {
        let named = application::Entity::find().filter(application::Column::Id.is_in(applications));
        let named = named.all(connection).await?;
        names.extend(named.into_iter().map(|it| (it.id, it.display_name)));
    }
    Ok(names)
}

fn seen((row, organisation): Row, names: &HashMap<Uuid, String>, now: Time) -> OwnInvitation {
    let organisation = organisation.map(|it| it.display_name).unwrap_or_default();
    // An application that invites speaks for the organisation.
    let inviter = names.get(&row.inviter_id).unwrap_or(&organisation).clone();
    let application = row.application_id.and_then(|id| names.get(&id)).cloned();
    OwnInvitation {
        invitation: Some(row.seen_at(now)),
        organisation_display_name: organisation,
        inviter_display_name: inviter,
        application_display_name: application.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use api::organisation::v1::{InvitationState, ListOwnInvitationsRequest};
    use testkit::Bench;

    use crate::{
        invitations::tests::{accept, invite},
        testing::{Stage, Who},
    };

    testkit::on_both_databases!(
        one_sees_what_one_is_invited_to_and_nobody_elses,
        pages_follow_one_another,
    );

    async fn own(who: &Who, state: InvitationState) -> Vec<(String, String)> {
        let request = ListOwnInvitationsRequest { state: state.into(), ..Default::default() };
        let answer = who.invitations().list_own_invitations(request).await.unwrap().into_inner();
        let seen = |it: api::organisation::v1::OwnInvitation| {
            (it.organisation_display_name, it.inviter_display_name)
        };
        answer.invitations.into_iter().map(seen).collect()
    }

    async fn one_sees_what_one_is_invited_to_and_nobody_elses(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, abc) = stage.root("ABC Holdings").await;
        let (other, xyz) = stage.root("XYZ").await;
        let first = invite(&owner, &abc, "ada@example.com", &["user"]).await.unwrap().id;
        invite(&other, &xyz, "ada@example.com", &["user"]).await.unwrap();
        invite(&other, &xyz, "bob@example.com", &["user"]).await.unwrap();
        let ada = stage.person("ada@example.com");
        let named = |organisation: &str, inviter: &Who| {
            let name = inviter.email.split('@').next().unwrap().to_owned();
            (organisation.to_owned(), name)
        };
        let both = [named("ABC Holdings", &owner), named("XYZ", &other)];
        assert_eq!(own(&ada, InvitationState::Unspecified).await, both);
        accept(&ada, &first).await.unwrap();
        assert_eq!(own(&ada, InvitationState::Pending).await, both[1..]);
        assert_eq!(own(&ada, InvitationState::Accepted).await, both[..1]);
        assert_eq!(own(&owner, InvitationState::Unspecified).await, []);
    }

    async fn pages_follow_one_another(bench: Bench) {
        let stage = Stage::set(bench).await;
        let platform = stage.platform_owner().await;
        for number in 0..3 {
            let root = stage.organisation(&platform, &format!("Root {number}"), "").await;
            invite(&platform, &root, "ada@example.com", &["user"]).await.unwrap();
        }
        let ada = stage.person("ada@example.com");
        let mut request = ListOwnInvitationsRequest { page_size: 2, ..Default::default() };
        let mut seen = Vec::new();
        loop {
            let answer = ada.invitations().list_own_invitations(request.clone()).await;
            let answer = answer.unwrap().into_inner();
            seen.extend(answer.invitations.into_iter().map(|it| it.organisation_display_name));
            if answer.next_page_token.is_empty() {
                break;
            }
            request.page_token = answer.next_page_token;
        }
        assert_eq!(seen, ["Root 0", "Root 1", "Root 2"]);
    }
}
