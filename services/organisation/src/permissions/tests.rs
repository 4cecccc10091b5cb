use std::collections::{HashMap, HashSet};

use api::organisation::v1::*;
use kernel::{Duration, Time, Uuid};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, sea_query::Expr};
use testkit::Bench;

use crate::{
    domain::{
        permission::{CATALOGUE, Permission},
        rights::{Held, Rights},
    },
    entity::{ancestor, membership, membership_role, organisation, role},
    testing::{Stage, Who, reason, violations},
};

testkit::on_both_databases!(
    a_batch_is_answered_in_its_order,
    a_batch_names_what_is_wrong_where,
    the_list_is_what_checks_say_page_by_page,
    an_explanation_names_what_decided_or_came_nearest,
    an_explanation_keeps_what_lies_above_from_those_below,
    what_is_taken_away_is_gone_for_the_very_next_check,
    t13_a_stream_of_checks_answers_as_the_tables_say,
);

fn check(subject: &str, organisation: &str, permission: &str) -> CheckPermissionRequest {
    CheckPermissionRequest {
        subject_id: subject.to_owned(),
        organisation_id: organisation.to_owned(),
        permission: permission.to_owned(),
    }
}

async fn batch(by: &Who, checks: Vec<CheckPermissionRequest>) -> Result<Vec<bool>, tonic::Status> {
    let request = BatchCheckPermissionsRequest { checks };
    Ok(by.permissions().batch_check_permissions(request).await?.into_inner().allowed)
}

async fn a_batch_is_answered_in_its_order(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    let ada = stage.member("ada@example.com", &child, &["approver"]).await;
    let checker = stage.account("checker", "permissions.check");
    let (ada_id, owner_id) = (ada.id.to_string(), owner.id.to_string());
    let nowhere = Uuid::from_u128(7).to_string();
    let asked = [
        (&ada_id, &child, "requests.decide", true),
        (&ada_id, &root, "requests.decide", false),
        (&owner_id, &child, "owners.manage", true),
        (&ada_id, &child, "owners.manage", false),
        (&ada_id, &nowhere, "organisations.read", false),
        (&ada_id, &child, "requests.decide", true),
    ];
    let checks = asked.iter().map(|(of, at, what, _)| check(of, at, what)).collect();
    let expected: Vec<_> = asked.iter().map(|(.., allowed)| *allowed).collect();
    assert_eq!(batch(&checker, checks).await.unwrap(), expected);
    // Everybody about themselves.
    let own = vec![check("", &child, "members.read"), check(&ada_id, &root, "members.read")];
    assert_eq!(batch(&ada, own).await.unwrap(), [true, false]);
    let other = vec![check("", &child, "members.read"), check(&owner_id, &root, "members.read")];
    assert_eq!(reason(batch(&ada, other).await), "SCOPE_MISSING");
}

async fn a_batch_names_what_is_wrong_where(bench: Bench) {
    let stage = Stage::set(bench).await;
    let ada = stage.person("ada@example.com");
    let root = Uuid::from_u128(7).to_string();
    let fine = check("", &root, "members.read");
    let wrong =
        vec![fine.clone(), check("me", &root, "members.eat"), check("", "", "members.read")];
    let named = ["checks[1].subject_id", "checks[1].permission", "checks[2].organisation_id"];
    assert_eq!(violations(batch(&ada, wrong).await), named);
    assert_eq!(violations(batch(&ada, Vec::new()).await), ["checks"]);
    assert_eq!(violations(batch(&ada, vec![fine.clone(); 101]).await), ["checks"]);
    assert_eq!(batch(&ada, vec![fine; 100]).await.unwrap(), [false; 100]);
}

async fn permitted(by: &Who, of: &str, permission: &str, size: i32) -> Vec<String> {
    let mut request = ListPermittedOrganisationsRequest {
        subject_id: of.to_owned(),
        permission: permission.to_owned(),
        page_size: size,
        page_token: String::new(),
    };
    let mut ids = Vec::new();
    loop {
        let answer = by.permissions().list_permitted_organisations(request.clone()).await;
        let answer = answer.unwrap().into_inner();
        assert!(answer.organisation_ids.len() <= usize::try_from(size).unwrap());
        ids.extend(answer.organisation_ids);
        request.page_token = answer.next_page_token;
        if request.page_token.is_empty() {
            return ids;
        }
    }
}

async fn archive(stage: &Stage, ids: &[&String], by: Option<&String>) {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.parse().unwrap()).collect();
    let by: Option<Uuid> = by.map(|by| by.parse().unwrap());
    organisation::Entity::update_many()
        .col_expr(organisation::Column::ArchivedBy, Expr::value(by))
        .filter(organisation::Column::Id.is_in(ids))
        .exec(stage.service.database.read())
        .await
        .unwrap();
}

async fn the_list_is_what_checks_say_page_by_page(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, first) = stage.root("First").await;
    let (_, second) = stage.root("Second").await;
    let a = stage.organisation(&owner, "A", &first).await;
    let b = stage.organisation(&owner, "B", &first).await;
    let platform = stage.platform_owner().await;
    let c = stage.organisation(&platform, "C", &second).await;
    // At a node and below it, twice the same; admin at one, approver at another.
    let ada = stage.member("ada@example.com", &first, &["approver"]).await;
    stage.grant(&ada, a.parse().unwrap(), &["admin", "approver"]).await;
    stage.grant(&ada, c.parse().unwrap(), &["user"]).await;
    archive(&stage, &[&a, &b], Some(&a)).await;
    let every = [&first, &second, &a, &b, &c];
    let (of_ada, of_owner) = (ada.id.to_string(), platform.id.to_string());
    let checker = stage.account("checker", "permissions.check");
    for (who, of) in [(&ada, &of_ada), (&platform, &of_owner)] {
        for (_, permission, _) in CATALOGUE {
            let mut expected = Vec::new();
            for id in every {
                if stage.allows(who, id, permission).await {
                    expected.push(id.clone());
                }
            }
            expected.sort();
            for size in [1, 1000] {
                assert_eq!(permitted(&checker, of, permission, size).await, expected);
                assert_eq!(permitted(who, "", permission, size).await, expected, "{permission}");
            }
        }
    }
    let request = ListPermittedOrganisationsRequest {
        permission: "members.eat".to_owned(),
        page_size: 1001,
        ..Default::default()
    };
    let answer = ada.permissions().list_permitted_organisations(request).await;
    assert_eq!(violations(answer), ["permission", "page_size"]);
}

async fn explain(
    by: &Who,
    of: &Who,
    organisation: &str,
    permission: &str,
) -> (bool, Missing, Option<Grounds>) {
    let request = ExplainPermissionRequest {
        subject_id: of.id.to_string(),
        organisation_id: organisation.to_owned(),
        permission: permission.to_owned(),
    };
    let answer = by.permissions().explain_permission(request).await.unwrap().into_inner();
    (answer.allowed, answer.missing(), answer.grounds)
}

fn grounds(organisation: &str, distance: i32, role: &str) -> Option<Grounds> {
    let (organisation_id, role) = (organisation.to_owned(), role.to_owned());
    Some(Grounds { organisation_id, distance, role })
}

async fn set(stage: &Stage, who: &Who, organisation: &str, change: membership::ActiveModel) {
    let (subject, organisation) = (who.id, organisation.parse::<Uuid>().unwrap());
    membership::Entity::update_many()
        .set(change)
        .filter(membership::Column::SubjectId.eq(subject))
        .filter(membership::Column::OrganisationId.eq(organisation))
        .exec(stage.service.database.read())
        .await
        .unwrap();
}

async fn an_explanation_names_what_decided_or_came_nearest(bench: Bench) {
    use sea_orm::ActiveValue::Set;
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    let ada = stage.member("ada@example.com", &child, &["admin", "user"]).await;
    stage.grant(&ada, root.parse().unwrap(), &["approver"]).await;
    let of_ada = async |at: &str, what| explain(&ada, &ada, at, what).await;
    let update = "organisations.update";
    // The nearest that has it.
    let here = grounds(&child, 0, "admin");
    assert_eq!(of_ada(&child, update).await, (true, Missing::Unspecified, here.clone()));
    let above = grounds(&root, 1, "approver");
    assert_eq!(of_ada(&child, "owners.manage").await, (false, Missing::Permission, here.clone()));
    assert_eq!(of_ada(&root, update).await, (false, Missing::Below, grounds(&child, -1, "admin")));
    let now = stage.now();
    let (past, ahead) = (now - Duration::hours(1), now + Duration::hours(1));
    for (state, valid_from, expires_at, missing) in [
        (membership::State::Suspended, None, None, Missing::Suspended),
        (membership::State::Active, Some(ahead), None, Missing::NotYetValid),
        (membership::State::Active, None, Some(past), Missing::Expired),
    ] {
        let change = membership::ActiveModel {
            state: Set(state),
            valid_from: Set(valid_from),
            expires_at: Set(expires_at),
            ..Default::default()
        };
        set(&stage, &ada, &child, change).await;
        assert_eq!(of_ada(&child, update).await, (false, missing, here.clone()));
        let decided = of_ada(&child, "requests.decide").await;
        assert_eq!(decided, (true, Missing::Unspecified, above.clone()));
    }
    archive(&stage, &[&child], Some(&child)).await;
    // Its holders never had what archived organisations are looked at with.
    let sees = of_ada(&child, "applications.grant").await;
    assert_eq!(sees, (false, Missing::Expired, here));
    let eve = stage.member("eve@example.com", &root, &["approver"]).await;
    let answer = explain(&eve, &eve, &child, "requests.decide").await;
    assert_eq!(answer, (false, Missing::Archived, above));
    let nowhere = Uuid::from_u128(7).to_string();
    assert_eq!(of_ada(&nowhere, update).await, (false, Missing::Membership, None));
}

async fn an_explanation_keeps_what_lies_above_from_those_below(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    let admin = stage.member("admin@example.com", &child, &["admin"]).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let read = "organisations.read";
    // That it is allowed is no secret to who reads members; by what is.
    let hidden = Some(Grounds::default());
    assert_eq!(explain(&admin, &ada, &child, read).await, (true, Missing::Unspecified, hidden));
    let nothing = (false, Missing::Membership, None);
    assert_eq!(explain(&admin, &ada, &child, "members.read").await, nothing);
    let seen = grounds(&root, 1, "user");
    assert_eq!(
        explain(&owner, &ada, &child, read).await,
        (true, Missing::Unspecified, seen.clone())
    );
    let checker = stage.account("checker", "permissions.check");
    assert_eq!(explain(&checker, &ada, &child, read).await, (true, Missing::Unspecified, seen));
    // Who reads no members asks about themselves alone.
    let request = ExplainPermissionRequest {
        subject_id: owner.id.to_string(),
        organisation_id: child.clone(),
        permission: read.to_owned(),
    };
    let answer = ada.permissions().explain_permission(request.clone()).await;
    assert_eq!(reason(answer), "PERMISSION_MISSING");
    let stranger = stage.person("eve@example.com");
    let answer = stranger.permissions().explain_permission(request).await;
    assert_eq!(reason(answer), "ORGANISATION_NOT_FOUND");
}

async fn what_is_taken_away_is_gone_for_the_very_next_check(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    for _ in 0..20 {
        let ada = stage.member("ada@example.com", &root, &["admin"]).await;
        assert!(stage.allows(&ada, &child, "members.read").await);
        let request = RemoveMembershipRequest {
            organisation_id: root.clone(),
            user_id: ada.id.to_string(),
            request_id: String::new(),
        };
        owner.memberships().remove_membership(request).await.unwrap();
        assert!(!stage.allows(&ada, &child, "members.read").await);
        assert_eq!(permitted(&ada, "", "members.read", 10).await, [""; 0]);
    }
}

/// A small generator of numbers, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.roll(among.len())]
    }
}

/// Every row of every table that rights come from.
struct Tables {
    memberships: Vec<membership::Model>,
    roles: Vec<membership_role::Model>,
    catalogue: HashMap<Uuid, role::Model>,
    ancestors: Vec<ancestor::Model>,
    archived: HashSet<Uuid>,
}

impl Tables {
    async fn read(stage: &Stage) -> Self {
        let database = stage.service.database.read();
        let catalogue = role::Entity::find().all(database).await.unwrap();
        let organisations = organisation::Entity::find().all(database).await.unwrap();
        let archived = organisations.into_iter().filter(|it| it.archived_by.is_some());
        Self {
            memberships: membership::Entity::find().all(database).await.unwrap(),
            roles: membership_role::Entity::find().all(database).await.unwrap(),
            catalogue: catalogue.into_iter().map(|role| (role.id, role)).collect(),
            ancestors: ancestor::Entity::find().all(database).await.unwrap(),
            archived: archived.map(|it| it.id).collect(),
        }
    }

    /// The rule, said once more in the simplest way.
    fn allow(&self, subject: Uuid, organisation: Uuid, what: Permission, now: Time) -> bool {
        let mut held = Vec::new();
        for above in self.ancestors.iter().filter(|row| row.organisation_id == organisation) {
            for membership in &self.memberships {
                let here = membership.subject_id == subject
                    && membership.organisation_id == above.ancestor_id;
                let begun = membership.valid_from.is_none_or(|from| from <= now);
                let goes_on = membership.expires_at.is_none_or(|until| until > now);
                if !here || !begun || !goes_on || membership.state != membership::State::Active {
                    continue;
                }
                let roles = self.roles.iter().filter(|row| {
                    row.subject_id == subject && row.organisation_id == above.ancestor_id
                });
                held.extend(roles.map(|row| Held {
                    distance: above.distance,
                    role: row.role_id,
                    permissions: self.catalogue[&row.role_id].role().permissions,
                }));
            }
        }
        let archived = self.archived.contains(&organisation);
        Rights { held, archived }.allow(what)
    }
}

/// There is no cache. Should there ever be one, this is what it has to answer.
async fn t13_a_stream_of_checks_answers_as_the_tables_say(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, first) = stage.root("First").await;
    let (_, second) = stage.root("Second").await;
    let mut organisations = vec![first.clone(), second.clone()];
    for name in ["A", "B"] {
        organisations.push(stage.organisation(&owner, name, &first).await);
    }
    let people: Vec<_> = (0..3).map(|n| format!("{n}@example.com")).collect();
    let mut dice = Dice(42);
    for step in 0..150 {
        let (email, at) = (dice.pick(&people).clone(), dice.pick(&organisations).clone());
        let who = stage.person(&email);
        disturb(&stage, &mut dice, &who, &at, &organisations).await;
        let tables = Tables::read(&stage).await;
        // Time may have passed: a token does not last that long.
        let (who, now) = (stage.person(&email), stage.now());
        let mut checks = Vec::new();
        for _ in 0..10 {
            let (at, (_, permission, _)) = (dice.pick(&organisations), dice.pick(CATALOGUE));
            checks.push(check("", at, permission));
        }
        let batched = batch(&who, checks.clone()).await.unwrap();
        for (check, batched) in checks.into_iter().zip(batched) {
            let permission = Permission::parse(&check.permission).unwrap();
            let organisation = check.organisation_id.parse().unwrap();
            let expected = tables.allow(who.id, organisation, permission, now);
            let alone = stage.allows(&who, &check.organisation_id, &check.permission).await;
            assert_eq!((alone, batched), (expected, expected), "step {step}: {check:?}");
        }
    }
}

/// Grants, takes away, sets aside, bounds in time, archives, or lets time pass.
async fn disturb(stage: &Stage, dice: &mut Dice, who: &Who, at: &str, organisations: &[String]) {
    use sea_orm::ActiveValue::Set;
    let id: Uuid = at.parse().unwrap();
    let within = |hours: usize| stage.now() + Duration::hours(i64::try_from(hours).unwrap());
    let database = stage.service.database.read();
    match dice.roll(8) {
        0..=2 => stage.grant(who, id, &[*dice.pick(&["owner", "admin", "approver", "user"])]).await,
        3 => {
            membership::Entity::delete_by_id((who.id, id)).exec(database).await.unwrap();
        }
        4 => {
            let states = [membership::State::Active, membership::State::Suspended];
            let state = Set(*dice.pick(&states));
            set(stage, who, at, membership::ActiveModel { state, ..Default::default() }).await;
        }
        5 => {
            let from = within(dice.roll(3));
            let until = from + Duration::hours(1);
            let change = membership::ActiveModel {
                valid_from: Set(Some(from)),
                expires_at: Set(Some(until)),
                ..Default::default()
            };
            set(stage, who, at, change).await;
        }
        6 => {
            let archived = dice.pick(organisations).clone();
            let by = (dice.roll(2) == 0).then_some(&archived);
            archive(stage, &[&archived], by).await;
        }
        _ => stage.pass(Duration::minutes(30)),
    }
}
