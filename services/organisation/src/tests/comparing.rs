use std::collections::{BTreeMap, BTreeSet};

use api::organisation::v1::*;
use tonic::Status;

use super::{
    life::{Disagreement, Life, email, keys},
    model::{OWNER, PEOPLE, Role, Stands},
};
use crate::{
    domain::permission::{CATALOGUE, Permission},
    testing::reason,
};

/// A page that most lists need several of.
const PAGE: i32 = 3;

impl Life {
    /// Everybody, everywhere: a check answers what the model says. All permissions have their turn.
    pub(super) async fn compare_checks(&self) -> Result<(), Disagreement> {
        let turn = self.story.len() * 3;
        let others = (turn..turn + 3).map(|place| CATALOGUE[place % CATALOGUE.len()].0);
        let asked: Vec<_> = [Permission::OrganisationsRead].into_iter().chain(others).collect();
        let nodes = 0..self.model.nodes.len();
        let places = nodes.flat_map(|node| (0..PEOPLE).map(move |person| (person, node)));
        let questions = places.flat_map(|place| asked.iter().map(move |it| (place, *it)));
        let questions: Vec<_> = questions.collect();
        let mut client = self.stage.account("checker", "permissions.check").permissions();
        for questions in questions.chunks(100) {
            let checks = questions.iter().map(|((person, node), it)| CheckPermissionRequest {
                subject_id: self.who(*person).id.to_string(),
                organisation_id: self.id(*node),
                permission: it.as_str().to_owned(),
            });
            let request = BatchCheckPermissionsRequest { checks: checks.collect() };
            let answer = client.batch_check_permissions(request).await.map_err(failed)?;
            for (((person, node), it), allowed) in questions.iter().zip(answer.into_inner().allowed)
            {
                let expected = self.model.rights(*person, *node).contains(*it);
                let what = format!("whether {person} may {} at {node}", it.as_str());
                same(&what, &allowed, &expected)?;
            }
        }
        Ok(())
    }

    pub(super) async fn compare_listings(&self) -> Result<(), Disagreement> {
        for person in 0..PEOPLE {
            self.compare_permitted(person).await?;
            self.compare_organisations(person, None).await?;
            for node in 0..self.model.nodes.len() {
                self.compare_organisations(person, Some(node)).await?;
                self.compare_memberships(person, node).await?;
                self.compare_invitations(person, node).await?;
            }
        }
        for node in 0..self.model.nodes.len() {
            self.compare_roles(node).await?;
        }
        for state in STATES {
            self.compare_invitations_in_state(state).await?;
        }
        Ok(())
    }

    async fn compare_permitted(&self, person: usize) -> Result<(), Disagreement> {
        for asked in [Permission::OrganisationsRead, Permission::MembersCreate] {
            let may = |node: &usize| self.model.rights(person, *node).contains(asked);
            let expected: BTreeSet<_> = self.ids((0..self.model.nodes.len()).filter(may));
            let (mut ids, mut page_token) = (Vec::new(), String::new());
            loop {
                let request = ListPermittedOrganisationsRequest {
                    permission: asked.as_str().to_owned(),
                    page_size: PAGE,
                    page_token,
                    ..Default::default()
                };
                let mut client = self.who(person).permissions();
                let page = client.list_permitted_organisations(request).await.map_err(failed)?;
                let page = page.into_inner();
                ids.extend(page.organisation_ids);
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            let what = format!("where {person} may {}", asked.as_str());
            same(&what, &ids.len(), &expected.len())?;
            same(&what, &ids.into_iter().collect(), &expected)?;
        }
        Ok(())
    }

    /// The children of a node, or all that somebody sees: what is archived too.
    async fn compare_organisations(
        &self,
        person: usize,
        parent: Option<usize>,
    ) -> Result<(), Disagreement> {
        let reads = |node: usize| self.model.may(person, node, Permission::OrganisationsRead);
        let listed = |node: &usize| {
            reads(*node) && (parent.is_none() || self.model.nodes[*node].parent == parent)
        };
        let expected =
            parent.is_none_or(reads).then(|| self.ids((0..self.model.nodes.len()).filter(listed)));
        let request = ListOrganisationsRequest {
            parent_id: parent.map(|parent| self.id(parent)).unwrap_or_default(),
            recursive: parent.is_none(),
            show_archived: true,
            page_size: 100,
            ..Default::default()
        };
        let answer = self.who(person).organisations().list_organisations(request).await;
        let listed = answer.map(|page| {
            page.into_inner().organisations.into_iter().map(|it| it.id).collect::<BTreeSet<_>>()
        });
        same(&format!("what {person} sees below {parent:?}"), &seen(listed)?, &expected)
    }

    async fn compare_memberships(&self, person: usize, node: usize) -> Result<(), Disagreement> {
        let may = self.model.may(person, node, Permission::MembersRead);
        let request = ListMembershipsRequest {
            organisation_id: self.id(node),
            page_size: 100,
            ..Default::default()
        };
        let answer = self.who(person).memberships().list_memberships(request).await;
        let listed = answer.map(|page| {
            let rows = page.into_inner().memberships.into_iter();
            rows.map(|it| (it.email.clone(), (it.state(), it.roles))).collect()
        });
        let expected = may.then(|| self.belonging(node));
        same(&format!("members of {node} for {person}"), &seen(listed)?, &expected)
    }

    /// Who belongs to a node, by address: those invited among them.
    fn belonging(&self, node: usize) -> BTreeMap<String, (MembershipState, Vec<String>)> {
        let model = &self.model;
        let waiting = model.invitations.iter().filter(|it| it.stands == Stands::Pending);
        let invited = waiting.filter(|it| it.node == node);
        let invited =
            invited.map(|it| (email(it.person), (MembershipState::Invited, keys(&it.roles))));
        let members = model.memberships.iter().filter(|((_, at), _)| *at == node);
        let members = members.map(|((person, _), it)| {
            let state = if it.suspended {
                MembershipState::Suspended
            } else if it.from.is_some_and(|from| from > model.now) {
                MembershipState::NotYetValid
            } else {
                MembershipState::Active
            };
            (email(*person), (state, keys(&it.roles)))
        });
        invited.chain(members).collect()
    }

    async fn compare_roles(&self, node: usize) -> Result<(), Disagreement> {
        let request = ListRolesRequest {
            organisation_id: self.id(node),
            page_size: 100,
            ..Default::default()
        };
        let answer = self.who(OWNER).roles().list_roles(request).await.map_err(failed)?;
        let listed = answer.into_inner().roles.into_iter().map(|role| role.key).collect();
        let given: BTreeSet<_> = self.model.given_at(node).into_iter().map(Role::key).collect();
        same(&format!("roles given at {node}"), &listed, &given)
    }

    async fn compare_invitations(&self, person: usize, node: usize) -> Result<(), Disagreement> {
        let may = self.model.may(person, node, Permission::InvitationsRead);
        let request = ListInvitationsRequest {
            organisation_id: self.id(node),
            page_size: 100,
            ..Default::default()
        };
        let answer = self.who(person).invitations().list_invitations(request).await;
        let listed = answer.map(|page| {
            let rows = page.into_inner().invitations.into_iter();
            rows.map(|it| (it.id.clone(), (it.state(), it.roles))).collect::<BTreeMap<_, _>>()
        });
        let here = self.model.invitations.iter().filter(|it| it.node == node);
        let here = here.map(|it| (it.id.clone(), (state(it.stands), keys(&it.roles))));
        same(
            &format!("invitations to {node} for {person}"),
            &seen(listed)?,
            &may.then(|| here.collect()),
        )
    }

    /// Of each root and all below it, as the platform owner sees it.
    async fn compare_invitations_in_state(&self, stands: Stands) -> Result<(), Disagreement> {
        let mut listed = BTreeSet::new();
        for root in self.model.nodes.iter().filter(|node| node.parent.is_none()) {
            let request = ListInvitationsRequest {
                organisation_id: root.id.clone(),
                state: state(stands).into(),
                recursive: true,
                page_size: 100,
                ..Default::default()
            };
            let answer = self.who(OWNER).invitations().list_invitations(request).await;
            let page = answer.map_err(failed)?.into_inner();
            listed.extend(page.invitations.into_iter().map(|it| it.id));
        }
        let expected = self.model.invitations.iter().filter(|it| it.stands == stands);
        same(&format!("{stands:?}"), &listed, &expected.map(|it| it.id.clone()).collect())
    }

    fn ids(&self, nodes: impl Iterator<Item = usize>) -> BTreeSet<String> {
        nodes.map(|node| self.id(node)).collect()
    }
}

const STATES: [Stands; 5] =
    [Stands::Pending, Stands::Accepted, Stands::Declined, Stands::Revoked, Stands::Expired];

fn state(stands: Stands) -> InvitationState {
    match stands {
        Stands::Pending => InvitationState::Pending,
        Stands::Accepted => InvitationState::Accepted,
        Stands::Declined => InvitationState::Declined,
        Stands::Revoked => InvitationState::Revoked,
        Stands::Expired => InvitationState::Expired,
    }
}

/// What somebody is shown; nothing if they are refused by right.
fn seen<T>(answer: Result<T, Status>) -> Result<Option<T>, Disagreement> {
    match answer {
        Ok(shown) => Ok(Some(shown)),
        Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(status) if status.code() == tonic::Code::PermissionDenied => Ok(None),
        Err(status) => Err(failed(status)),
    }
}

fn failed(status: Status) -> Disagreement {
    reason(Err::<(), _>(status))
}

fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    service: &T,
    model: &T,
) -> Result<(), Disagreement> {
    if service == model {
        return Ok(());
    }
    Err(format!("{what}: the service says {service:?}, the model {model:?}"))
}
