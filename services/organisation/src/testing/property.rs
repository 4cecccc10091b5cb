//! Random lives of a tree, held against the model: after every step each answer to "may they?" is
//! the model's, and in the end each listing is.

use std::collections::{BTreeMap, BTreeSet};

use api::organisation::v1::*;
use kernel::Duration;
use proptest::{prelude::*, test_runner::TestCaseError};
use prost_types::FieldMask;
use testkit::Bench;
use tonic::Status;

use super::{
    Stage, Who,
    model::{
        Hours, Invitation as Offer, MAX_DEPTH, Membership as Belongs, Model, Node, OWNER, PEOPLE,
        RoleName, Stands,
    },
    reason,
};
use crate::domain::{permission::Permission, role::BuiltIn};

/// One step, drawn at random: what is done, and numbers that say by whom, where and to whom.
type Step = (u8, u8, u8, u8, u8);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = 0..=u8::MAX;
    let step = (0..18u8, number.clone(), number.clone(), number.clone(), number);
    prop::collection::vec(step, 1..70)
}

fn run(cases: u32, bench: impl AsyncFn() -> Bench) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let config = ProptestConfig {
        cases,
        max_shrink_iters: 80,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome =
        runner.run(&steps(), |steps| runtime.block_on(async { live(bench().await, steps).await }));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn random_lives_go_as_the_model_says_on_sqlite() {
    run(24, Bench::sqlite);
}

#[test]
fn random_lives_go_as_the_model_says_on_postgres() {
    run(10, Bench::postgres);
}

struct Life {
    stage: Stage,
    model: Model,
    /// What was done, to be read when it went wrong.
    told: Vec<String>,
}

async fn live(mut bench: Bench, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let settings = std::sync::Arc::make_mut(&mut bench.infra.settings);
    settings.organisation_depth = u32::try_from(MAX_DEPTH).expect("a depth");
    let stage = Stage::set(bench).await;
    stage.platform_owner().await;
    let mut life = Life { stage, model: Model::default(), told: Vec::new() };
    // Something to begin with: a root, a child, and people with roles of every kind.
    for step in [(0, 0, 0, 0, 0), (0, 0, 1, 0, 0), (5, 0, 0, 1, 0), (5, 0, 0, 2, 1)] {
        life.step(step).await?;
    }
    for step in steps {
        life.step(step).await?;
        life.compare_checks().await?;
    }
    life.compare_listings().await
}

impl Life {
    fn who(&self, person: usize) -> Who {
        match person {
            OWNER => self.stage.person("owner@example.com"),
            _ => self.stage.person(&email(person)),
        }
    }

    fn node(&self, number: u8) -> usize {
        usize::from(number) % self.model.nodes.len()
    }

    fn id(&self, node: usize) -> String {
        self.model.nodes[node].id.clone()
    }

    /// One of the roles that can be given at a node.
    fn role(&self, node: usize, number: u8) -> RoleName {
        let root = self.model.root_of(node);
        let custom = self.model.custom.keys().filter(|(at, _)| *at == root);
        let custom: Vec<_> = custom.map(|(at, number)| RoleName::Custom(*at, *number)).collect();
        let number = usize::from(number) % (4 + custom.len());
        match number {
            0..4 => RoleName::BuiltIn(u8::try_from(number).expect("a number")),
            _ => custom[number - 4].clone(),
        }
    }

    /// Both must agree on whether it can be done.
    fn agree<T>(
        &mut self,
        what: String,
        expected: bool,
        answer: Result<T, Status>,
    ) -> Result<Option<T>, TestCaseError> {
        let answered = match &answer {
            Ok(_) => "done".to_owned(),
            Err(_) => reason(Err::<(), _>(answer.as_ref().err().expect("an error").clone())),
        };
        self.told.push(format!("{what}: {answered}"));
        prop_assert_eq!(answer.is_ok(), expected, "{}", self.told.join("\n"));
        Ok(answer.ok())
    }

    async fn step(&mut self, (what, a, b, c, d): Step) -> Result<(), TestCaseError> {
        let by = usize::from(a) % PEOPLE;
        if what == 0 || self.model.nodes.is_empty() {
            return self.create(by, b).await;
        }
        let node = self.node(b);
        let person = 1 + usize::from(c) % (PEOPLE - 1);
        match what {
            1 => self.archive(by, node, true).await,
            2 => self.archive(by, node, false).await,
            3 => self.relocate(by, node, c).await,
            4 => self.create_role(by, node, c, d).await,
            5 | 6 => self.add(by, node, person, d).await,
            7 => self.set_roles(by, node, person, d).await,
            8 => self.suspend(by, node, person, true).await,
            9 => self.suspend(by, node, person, false).await,
            10 => self.remove(by, node, person).await,
            11 | 12 => self.invite(by, node, person, d).await,
            13 => self.settle(by, b, "accept").await,
            14 => self.settle(by, b, "decline").await,
            15 => self.settle(by, b, "revoke").await,
            16 => self.change_role(by, c, d).await,
            _ => self.pass(Hours::from(c % 30)).await,
        }
    }

    async fn create(&mut self, by: usize, b: u8) -> Result<(), TestCaseError> {
        let number = usize::from(b) % (self.model.nodes.len() + 1);
        let parent = number.checked_sub(1);
        let deep = parent.map_or(0, |parent| self.model.chain(parent).len()) >= MAX_DEPTH;
        let may = self.model.may_at(by, parent, Permission::OrganisationsCreate);
        let request = CreateOrganisationRequest {
            display_name: format!("Node {}", self.model.nodes.len()),
            parent_id: parent.map(|parent| self.id(parent)).unwrap_or_default(),
            ..Default::default()
        };
        let answer = self.who(by).organisations().create_organisation(request).await;
        let told = format!("{by} creates below {parent:?}");
        if let Some(answer) = self.agree(told, may && !deep, answer)? {
            let id = answer.into_inner().organisation.expect("it").id;
            self.model.nodes.push(Node { id, parent, archived_by: None });
            if parent.is_none() {
                let roles = BTreeSet::from([RoleName::BuiltIn(0)]);
                let owner = Belongs { roles, suspended: false, from: None, until: None };
                self.model.memberships.insert((by, self.model.nodes.len() - 1), owner);
            }
        }
        Ok(())
    }

    async fn archive(&mut self, by: usize, node: usize, on: bool) -> Result<(), TestCaseError> {
        let mut client = self.who(by).organisations();
        let id = self.id(node);
        let may = self.model.may(by, node, Permission::OrganisationsArchive);
        if on {
            let request = ArchiveOrganisationRequest { id, ..Default::default() };
            let answer = client.archive_organisation(request).await;
            if self.agree(format!("{by} archives {node}"), may, answer)?.is_some() {
                for below in self.model.below(node) {
                    self.model.nodes[below].archived_by.get_or_insert(node);
                }
            }
            return Ok(());
        }
        let above = self.model.nodes[node].parent;
        let closed = above.is_some_and(|above| self.model.nodes[above].archived_by.is_some());
        let request = RestoreOrganisationRequest { id, ..Default::default() };
        let answer = client.restore_organisation(request).await;
        if self.agree(format!("{by} restores {node}"), may && !closed, answer)?.is_some() {
            for it in &mut self.model.nodes {
                it.archived_by = it.archived_by.filter(|by| *by != node);
            }
        }
        Ok(())
    }

    async fn relocate(&mut self, by: usize, node: usize, c: u8) -> Result<(), TestCaseError> {
        let to = (usize::from(c) % (self.model.nodes.len() + 1)).checked_sub(1);
        let new_parent_id = to.map(|to| self.id(to)).unwrap_or_default();
        let may = [self.model.nodes[node].parent, to]
            .into_iter()
            .all(|at| self.model.may_at(by, at, Permission::OrganisationsMove));
        let mut client = self.who(by).organisations();
        let preview = PreviewOrganisationMoveRequest {
            id: self.id(node),
            new_parent_id: new_parent_id.clone(),
            ..Default::default()
        };
        let answer = match client.preview_organisation_move(preview).await {
            Ok(preview) => {
                let request = MoveOrganisationRequest {
                    id: self.id(node),
                    new_parent_id,
                    etag: preview.into_inner().etag,
                    ..Default::default()
                };
                client.move_organisation(request).await
            }
            Err(refused) => Err(refused),
        };
        let expected = may && self.model.can_move(node, to);
        if self.agree(format!("{by} moves {node} below {to:?}"), expected, answer)?.is_some() {
            self.model.relocate(node, to);
        }
        Ok(())
    }

    async fn create_role(
        &mut self,
        by: usize,
        node: usize,
        c: u8,
        d: u8,
    ) -> Result<(), TestCaseError> {
        let root = self.model.root_of(node);
        let number = self.model.custom.keys().filter(|(at, _)| *at == root).count();
        let permissions = some_permissions(c, d);
        // A key is not used again, so that a role that was deleted stays gone.
        let number = number + 100 * self.told.len();
        let request = CreateRoleRequest {
            organisation_id: self.id(root),
            key: key_of(&RoleName::Custom(root, number)),
            permissions: permissions.iter().map(|it| it.as_str().to_owned()).collect(),
            ..Default::default()
        };
        let answer = self.who(by).roles().create_role(request).await;
        let expected = self.model.may(by, root, Permission::RolesManage)
            && permissions.is_subset_of(self.model.rights(by, root));
        if self.agree(format!("{by} creates a role at {root}"), expected, answer)?.is_some() {
            self.model.custom.insert((root, number), permissions);
        }
        Ok(())
    }

    async fn change_role(&mut self, by: usize, c: u8, d: u8) -> Result<(), TestCaseError> {
        let count = self.model.custom.len();
        let Some((root, number)) = (count > 0)
            .then(|| self.model.custom.keys().nth(usize::from(d) % count))
            .flatten()
            .copied()
        else {
            return Ok(());
        };
        let before = self.model.custom[&(root, number)];
        let after = some_permissions(c, d);
        let owner = self.who(OWNER);
        let listed = ListRolesRequest {
            organisation_id: self.id(root),
            page_size: 100,
            ..Default::default()
        };
        let listed = owner.roles().list_roles(listed).await;
        let listed = listed.map_err(|status| fail(&self.told, &status))?.into_inner().roles;
        let key = key_of(&RoleName::Custom(root, number));
        let found = listed.into_iter().find(|role| role.key == key);
        prop_assert!(found.is_some(), "{key} is not listed\n{}", self.told.join("\n"));
        let role = Role {
            permissions: after.iter().map(|it| it.as_str().to_owned()).collect(),
            ..found.expect("it")
        };
        let request = UpdateRoleRequest {
            role: Some(role),
            update_mask: Some(FieldMask { paths: vec!["permissions".to_owned()] }),
            ..Default::default()
        };
        let answer = self.who(by).roles().update_role(request).await;
        let rights = self.model.rights(by, root);
        let expected = self.model.may(by, root, Permission::RolesManage)
            && before.union(after).is_subset_of(rights);
        if self.agree(format!("{by} changes {key}"), expected, answer)?.is_some() {
            self.model.custom.insert((root, number), after);
        }
        Ok(())
    }

    async fn add(
        &mut self,
        by: usize,
        node: usize,
        person: usize,
        d: u8,
    ) -> Result<(), TestCaseError> {
        let role = self.role(node, d);
        let from = (d % 5 == 3).then(|| self.model.now + 2);
        let until = (d % 7 == 3).then(|| self.model.now + 9);
        let time = |at: Option<Hours>| at.map(|at| api::timestamp(self.moment(at)));
        let request = CreateMembershipRequest {
            organisation_id: self.id(node),
            user_id: self.who(person).id.to_string(),
            roles: vec![key_of(&role)],
            valid_from: time(from),
            expires_at: time(until),
            ..Default::default()
        };
        let roles = BTreeSet::from([role]);
        let expected = by != person
            && self.model.may(by, node, Permission::MembersCreate)
            && self.model.covers(by, node, &roles)
            && !self.model.memberships.contains_key(&(person, node));
        let answer = self.who(by).memberships().create_membership(request).await;
        let told = format!("{by} adds {person} to {node} as {roles:?} {from:?}..{until:?}");
        if self.agree(told, expected, answer)?.is_some() {
            let new = Belongs { roles, suspended: false, from, until };
            self.model.memberships.insert((person, node), new);
            self.model.settle(person, node);
        }
        Ok(())
    }

    async fn set_roles(
        &mut self,
        by: usize,
        node: usize,
        person: usize,
        d: u8,
    ) -> Result<(), TestCaseError> {
        let role = self.role(node, d);
        let request = UpdateMembershipRequest {
            membership: Some(Membership {
                organisation_id: self.id(node),
                user_id: self.who(person).id.to_string(),
                roles: vec![key_of(&role)],
                ..Default::default()
            }),
            update_mask: Some(FieldMask { paths: vec!["roles".to_owned()] }),
            ..Default::default()
        };
        let roles = BTreeSet::from([role]);
        let had = self.model.memberships.get(&(person, node)).cloned();
        let mut after = self.model.clone();
        if let Some(it) = after.memberships.get_mut(&(person, node)) {
            it.roles.clone_from(&roles);
        }
        let expected = had.is_some_and(|had| {
            self.model.may(by, node, Permission::MembersUpdate)
                && self.model.covers(by, node, &had.roles)
                && self.model.covers(by, node, &roles)
                && (by != person
                    || self.model.all_of(&roles).is_subset_of(self.model.all_of(&had.roles)))
                && !after.orphaned(node, &had)
        });
        let answer = self.who(by).memberships().update_membership(request).await;
        let told = format!("{by} makes {person} at {node} {roles:?}");
        if self.agree(told, expected, answer)?.is_some() {
            self.model = after;
            self.model.settle(person, node);
        }
        Ok(())
    }

    async fn suspend(
        &mut self,
        by: usize,
        node: usize,
        person: usize,
        on: bool,
    ) -> Result<(), TestCaseError> {
        let (organisation_id, user_id) = (self.id(node), self.who(person).id.to_string());
        let had = self.model.memberships.get(&(person, node)).cloned();
        let mut after = self.model.clone();
        if let Some(it) = after.memberships.get_mut(&(person, node)) {
            it.suspended = on;
        }
        let expected = had.is_some_and(|had| {
            self.model.may(by, node, Permission::MembersSuspend)
                && self.model.covers(by, node, &had.roles)
                && (on || by != person || !had.suspended)
                && (!on || had.suspended || !after.orphaned(node, &had))
        });
        let mut client = self.who(by).memberships();
        let answer = if on {
            let request =
                SuspendMembershipRequest { organisation_id, user_id, ..Default::default() };
            client.suspend_membership(request).await.map(|_| ())
        } else {
            let request =
                ResumeMembershipRequest { organisation_id, user_id, ..Default::default() };
            client.resume_membership(request).await.map(|_| ())
        };
        let told = format!("{by} sets {person} at {node} suspended: {on}");
        if self.agree(told, expected, answer)?.is_some() {
            self.model = after;
        }
        Ok(())
    }

    async fn remove(&mut self, by: usize, node: usize, person: usize) -> Result<(), TestCaseError> {
        let request = RemoveMembershipRequest {
            organisation_id: self.id(node),
            user_id: self.who(person).id.to_string(),
            ..Default::default()
        };
        let Some(had) = self.model.memberships.get(&(person, node)).cloned() else {
            // Twice is once for whoever may; what others hear is told elsewhere.
            return Ok(());
        };
        let mut after = self.model.clone();
        after.memberships.remove(&(person, node));
        let may = self.model.may(by, node, Permission::MembersRemove)
            && self.model.covers(by, node, &had.roles);
        let expected = (may || by == person) && !after.orphaned(node, &had);
        let answer = self.who(by).memberships().remove_membership(request).await;
        if self.agree(format!("{by} removes {person} from {node}"), expected, answer)?.is_some() {
            self.model = after;
        }
        Ok(())
    }

    async fn invite(
        &mut self,
        by: usize,
        node: usize,
        person: usize,
        d: u8,
    ) -> Result<(), TestCaseError> {
        let role = self.role(node, d);
        let request = CreateInvitationRequest {
            organisation_id: self.id(node),
            email: email(person),
            roles: vec![key_of(&role)],
            ..Default::default()
        };
        let roles = BTreeSet::from([role.clone()]);
        let held = self.model.memberships.get(&(person, node));
        let holds = held.is_some_and(|it| it.roles.contains(&role));
        let expected = self.model.may(by, node, Permission::InvitationsCreate)
            && self.model.covers(by, node, &roles)
            && !holds
            && !self.model.pending(person, node);
        self.who(person);
        let answer = self.who(by).invitations().create_invitation(request).await;
        let told = format!("{by} invites {person} to {node} as {role:?}");
        if let Some(answer) = self.agree(told, expected, answer)? {
            let id = answer.into_inner().invitation.expect("it").id;
            let (stands, until) = (Stands::Pending, self.model.now + 48);
            let new = Offer { id, node, person, inviter: by, role, stands, until };
            self.model.invitations.push(new);
        }
        Ok(())
    }

    async fn settle(&mut self, by: usize, b: u8, verb: &str) -> Result<(), TestCaseError> {
        if self.model.invitations.is_empty() {
            return Ok(());
        }
        let index = usize::from(b) % self.model.invitations.len();
        let offer = self.model.invitations[index].clone();
        let (id, roles) = (offer.id.clone(), BTreeSet::from([offer.role.clone()]));
        let mut client = self.who(by).invitations();
        let (answer, expected, stands) = match verb {
            "accept" => {
                let request = AcceptInvitationRequest { id, ..Default::default() };
                let offers =
                    self.model.may(offer.inviter, offer.node, Permission::InvitationsCreate)
                        && self.model.covers(offer.inviter, offer.node, &roles);
                let expected = by == offer.person
                    && (offer.stands == Stands::Accepted
                        || (offer.stands == Stands::Pending && offers));
                (client.accept_invitation(request).await.map(|_| ()), expected, Stands::Accepted)
            }
            "decline" => {
                let request = DeclineInvitationRequest { id, ..Default::default() };
                let expected = by == offer.person
                    && [Stands::Pending, Stands::Declined].contains(&offer.stands);
                (client.decline_invitation(request).await.map(|_| ()), expected, Stands::Declined)
            }
            _ => {
                let request = RevokeInvitationRequest { id, ..Default::default() };
                let expected = self.model.may(by, offer.node, Permission::InvitationsRead)
                    && self.model.may(by, offer.node, Permission::InvitationsRevoke)
                    && [Stands::Pending, Stands::Expired, Stands::Revoked].contains(&offer.stands);
                (client.revoke_invitation(request).await.map(|_| ()), expected, Stands::Revoked)
            }
        };
        let told = format!("{by}: {verb} {offer:?}");
        if self.agree(told, expected, answer)?.is_none() || offer.stands == stands {
            return Ok(());
        }
        self.model.invitations[index].stands = stands;
        if stands == Stands::Accepted {
            let new = Belongs { roles: BTreeSet::new(), suspended: false, from: None, until: None };
            let belongs = self.model.memberships.entry((offer.person, offer.node)).or_insert(new);
            belongs.roles.insert(offer.role);
            self.model.settle(offer.person, offer.node);
        }
        Ok(())
    }

    async fn pass(&mut self, hours: Hours) -> Result<(), TestCaseError> {
        self.told.push(format!("{hours} hours pass"));
        self.stage.pass(Duration::hours(hours));
        self.model.pass(hours);
        self.stage.let_time_work().await;
        Ok(())
    }

    fn moment(&self, at: Hours) -> kernel::Time {
        self.stage.now() + Duration::hours(at - self.model.now)
    }

    /// Everybody, everywhere: a check answers what the model says.
    async fn compare_checks(&self) -> Result<(), TestCaseError> {
        let asked = [
            Permission::OrganisationsRead,
            Permission::MembersRead,
            Permission::InvitationsCreate,
            Permission::OwnersManage,
        ];
        for person in 0..PEOPLE {
            let mut client = self.who(person).permissions();
            for nodes in (0..self.model.nodes.len()).collect::<Vec<_>>().chunks(25) {
                let questions = nodes.iter().flat_map(|node| asked.map(|it| (*node, it)));
                let checks = questions.clone().map(|(node, permission)| CheckPermissionRequest {
                    subject_id: String::new(),
                    organisation_id: self.id(node),
                    permission: permission.as_str().to_owned(),
                });
                let request = BatchCheckPermissionsRequest { checks: checks.collect() };
                let answer = client.batch_check_permissions(request).await;
                let allowed =
                    answer.map_err(|status| fail(&self.told, &status))?.into_inner().allowed;
                for ((node, permission), allowed) in questions.zip(allowed) {
                    let expected = self.model.rights(person, node).contains(permission);
                    prop_assert_eq!(
                        allowed,
                        expected,
                        "{} {} at {}\n{}",
                        person,
                        permission.as_str(),
                        node,
                        self.told.join("\n")
                    );
                }
            }
        }
        Ok(())
    }

    async fn compare_listings(&self) -> Result<(), TestCaseError> {
        let model = &self.model;
        for person in 0..PEOPLE {
            let reads =
                |node: &usize| model.rights(person, *node).contains(Permission::OrganisationsRead);
            let expected: BTreeSet<_> =
                (0..model.nodes.len()).filter(reads).map(|node| self.id(node)).collect();
            let permitted = self.permitted(person).await?;
            prop_assert_eq!(&permitted, &expected, "{}\n{}", person, self.told.join("\n"));
        }
        let owner = self.who(OWNER);
        for (index, node) in model.nodes.iter().enumerate() {
            let request = ListMembershipsRequest {
                organisation_id: node.id.clone(),
                page_size: 100,
                ..Default::default()
            };
            let listed = owner.memberships().list_memberships(request).await;
            let listed = listed.map_err(|status| fail(&self.told, &status))?.into_inner();
            let listed: BTreeMap<_, _> = listed
                .memberships
                .into_iter()
                .filter(|it| it.email != "owner@example.com")
                .map(|it| (it.email.clone(), (it.state(), it.roles)))
                .collect();
            prop_assert_eq!(listed, self.belonging(index), "{}\n{}", index, self.told.join("\n"));
        }
        Ok(())
    }

    async fn permitted(&self, person: usize) -> Result<BTreeSet<String>, TestCaseError> {
        let (mut ids, mut page_token) = (BTreeSet::new(), String::new());
        loop {
            let request = ListPermittedOrganisationsRequest {
                permission: "organisations.read".to_owned(),
                page_size: 3,
                page_token,
                ..Default::default()
            };
            let mut client = self.who(person).permissions();
            let page = client.list_permitted_organisations(request).await;
            let page = page.map_err(|status| fail(&self.told, &status))?.into_inner();
            ids.extend(page.organisation_ids);
            if page.next_page_token.is_empty() {
                return Ok(ids);
            }
            page_token = page.next_page_token;
        }
    }

    /// Who belongs to a node, by address: those invited among them.
    fn belonging(&self, node: usize) -> BTreeMap<String, (MembershipState, Vec<String>)> {
        let model = &self.model;
        let mut all = BTreeMap::new();
        for offer in &model.invitations {
            if offer.node == node && offer.stands == Stands::Pending && offer.until > model.now {
                let roles = vec![key_of(&offer.role)];
                all.insert(email(offer.person), (MembershipState::Invited, roles));
            }
        }
        let theirs =
            |((person, at), _): &(&(usize, usize), &Belongs)| *at == node && *person != OWNER;
        for ((person, _), it) in model.memberships.iter().filter(theirs) {
            let state = if it.suspended {
                MembershipState::Suspended
            } else if it.from.is_some_and(|from| from > model.now) {
                MembershipState::NotYetValid
            } else {
                MembershipState::Active
            };
            let mut roles: Vec<_> = it.roles.iter().map(key_of).collect();
            roles.sort();
            all.insert(email(*person), (state, roles));
        }
        all
    }
}

fn email(person: usize) -> String {
    format!("person-{person}@example.com")
}

fn key_of(role: &RoleName) -> String {
    match role {
        RoleName::BuiltIn(number) => BuiltIn::ALL[usize::from(*number)].key().to_owned(),
        RoleName::Custom(root, number) => format!("custom-{root}-{number}"),
    }
}

fn some_permissions(c: u8, d: u8) -> crate::domain::permission::Permissions {
    let bits = i64::from(c) << 8 | i64::from(d) | Permission::OrganisationsRead.bit();
    crate::domain::permission::Permissions::from_bits(bits)
}

fn fail(told: &[String], status: &Status) -> TestCaseError {
    TestCaseError::fail(format!("{status}\n{}", told.join("\n")))
}
