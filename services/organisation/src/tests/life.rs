use std::collections::BTreeSet;

use kernel::Duration;
use prost_types::Timestamp;
use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use testkit::{Bench, eventually};
use tonic::Status;

use super::{
    model::{Hours, MAX_DEPTH, Membership, Model, OWNER, PEOPLE, Role, Roles},
    steps::{Deed, Step},
};
use crate::{
    domain::role::BuiltIn,
    entity::{invitation, membership},
    invitations::expire::expire,
    memberships::keep_time::keep_time,
    testing::{Stage, Who, reason},
};

/// A tree as the service has it, and as the model has it.
pub(super) struct Life {
    pub stage: Stage,
    pub model: Model,
    people: Vec<Who>,
    /// What was done, to be read when it goes wrong.
    pub story: Vec<String>,
}

/// What does not agree, in words.
pub(super) type Disagreement = String;

impl Life {
    /// Something to begin with: two roots, one with a child and grandchild, and people with roles.
    pub(super) async fn begin(bench: Bench) -> Self {
        let stage = Stage::of_depth(bench, u32::try_from(MAX_DEPTH).unwrap()).await;
        stage.platform_owner().await;
        let people = with_tokens(&stage);
        let mut life = Self { stage, model: Model::default(), people, story: Vec::new() };
        life.set_out().await.unwrap();
        life
    }

    async fn set_out(&mut self) -> Result<(), Disagreement> {
        for parent in [None, Some(0), Some(1), None] {
            self.create(OWNER, parent).await?;
        }
        self.create_role(OWNER, 0, BuiltIn::Admin.permissions()).await?;
        let custom = *self.model.custom.keys().next().unwrap();
        for (person, node, role) in [
            (1, 0, Role::BuiltIn(BuiltIn::Owner)),
            (2, 0, Role::BuiltIn(BuiltIn::Admin)),
            (3, 0, Role::BuiltIn(BuiltIn::Approver)),
            (4, 1, Role::Custom(custom)),
        ] {
            let roles = Roles::from([role]);
            let new = Membership { roles, suspended: false, from: None, until: None };
            self.add(OWNER, node, person, new).await?;
        }
        Ok(())
    }

    /// Lives it; answers what was done. A disagreement comes with the story that led to it.
    pub(super) async fn live(&mut self, steps: &[Step]) -> Result<Vec<(Deed, bool)>, String> {
        let done = self.live_through(steps).await;
        done.map_err(|disagreement| format!("{disagreement}\n{}", self.story.join("\n")))
    }

    async fn live_through(&mut self, steps: &[Step]) -> Result<Vec<(Deed, bool)>, Disagreement> {
        let mut done = Vec::new();
        for step in steps {
            let before = self.story.len();
            let is_done = self.take(step).await?;
            // There may be nothing to do.
            if self.story.len() > before {
                done.push((step.deed, is_done));
                self.compare_checks().await?;
            }
        }
        self.compare_listings().await?;
        Ok(done)
    }

    /// Both must agree on whether something can be done; answers what the service did.
    pub(super) fn agree<T>(
        &mut self,
        what: String,
        expected: bool,
        answer: Result<T, Status>,
    ) -> Result<Option<T>, Disagreement> {
        let (done, answered) = match answer {
            Ok(done) => (Some(done), "done".to_owned()),
            Err(refused) => (None, reason(Err::<(), _>(refused))),
        };
        self.story.push(format!("{what}: {answered}"));
        if done.is_some() == expected {
            return Ok(done);
        }
        Err(format!("the model says {}", if expected { "it is done" } else { "it is refused" }))
    }

    pub(super) async fn pass(&mut self, hours: Hours) {
        self.story.push(format!("{hours} hours pass"));
        self.stage.pass(Duration::hours(hours));
        self.people = with_tokens(&self.stage);
        self.model.pass(hours);
        self.do_what_is_due().await;
    }

    /// What timers do within a second. Theirs may be at it already: what one of them has taken is
    /// waited for.
    async fn do_what_is_due(&self) {
        let (service, now) = (&self.stage.service, self.stage.now());
        while keep_time(service).await.unwrap() {}
        while expire(service).await.unwrap() {}
        let database = service.database.read();
        let over = membership::Entity::find().filter(membership::Column::NextChangeAt.lte(now));
        let out = invitation::due(invitation::Column::ExpiresAt, now);
        eventually("nothing is due", async || {
            let due = over.clone().count(database).await.unwrap();
            (due + out.clone().count(database).await.unwrap() == 0).then_some(())
        })
        .await;
    }

    pub(super) fn who(&self, person: usize) -> &Who {
        &self.people[person]
    }

    pub(super) fn id(&self, node: usize) -> String {
        self.model.nodes[node].id.clone()
    }

    pub(super) fn time(&self, at: Option<Hours>) -> Option<Timestamp> {
        let after = |at| Duration::hours(at - self.model.now);
        at.map(|at| api::timestamp(self.stage.now() + after(at)))
    }
}

/// What panics does not come with the story by itself.
impl Drop for Life {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.story.join("\n"));
        }
    }
}

/// Everybody, with a token that is fresh.
fn with_tokens(stage: &Stage) -> Vec<Who> {
    (0..PEOPLE).map(|person| stage.person(&email(person))).collect()
}

pub(super) fn email(person: usize) -> String {
    match person {
        OWNER => "owner@example.com".to_owned(),
        _ => format!("person-{person}@example.com"),
    }
}

/// In their order.
pub(super) fn keys(roles: &Roles) -> Vec<String> {
    let keys: BTreeSet<_> = roles.iter().map(|role| role.key()).collect();
    keys.into_iter().collect()
}
