use api::organisation::v1::InvitationReminded;
use kernel::Time;
use sea_orm::{entity::prelude::*, sea_query::Expr};
use service::Timer;

use crate::{
    Organisations,
    change::{Change, Record},
    entity::invitation::{self, BATCH, Column, Entity, Model, State},
};

/// Reminds invitees who have not answered, once for each issue, at the configured time before their
/// invitation runs out. Event: `organisation.invitation.reminded.v1`, which becomes the mail.
pub(crate) fn timer(service: Organisations) -> Timer {
    Timer::new("organisation.invitations-remind", move || {
        let service = service.clone();
        Box::pin(async move { remind(&service).await })
    })
}

/// One batch of them; answers whether there may be more.
async fn remind(service: &Organisations) -> Result<bool, DbErr> {
    let due = invitation::due(Column::RemindAt, service.clock.now());
    // Most runs find nothing: do not take SQLite's write lock for them.
    if due.one(service.database.read()).await?.is_none() {
        return Ok(false);
    }
    let change = service.begin_itself("invitations.remind").await?;
    let waiting = invitation::claim(&change, Column::RemindAt, change.now).await?;
    for invitation in &waiting {
        remind_of(&change, invitation).await?;
    }
    change.commit_itself().await?;
    Ok(waiting.len() == BATCH)
}

async fn remind_of(change: &Change<'_>, invitation: &Model) -> Result<(), DbErr> {
    // The version stays: an editor's copy is no less current for it.
    let claimed = Entity::update_many()
        .col_expr(Column::RemindAt, Expr::value(None::<Time>))
        .filter(Column::Id.eq(invitation.id))
        .filter(Column::State.eq(State::Pending))
        .filter(Column::RemindAt.eq(invitation.remind_at))
        .filter(Column::Issue.eq(invitation.issue))
        .exec(&**change)
        .await?;
    // Where nobody looked for so long, there is nothing left to remind of: it expires.
    if claimed.rows_affected == 0 || invitation.expires_at <= change.now {
        return Ok(());
    }
    let event = InvitationReminded {
        invitation_id: invitation.id.to_string(),
        organisation_id: invitation.organisation_id.to_string(),
        issue: invitation.issue,
    };
    change.publish("organisation.invitation.reminded.v1", invitation.id, &event).await?;
    let record = Record::of("invitation", invitation.id, invitation.organisation_id);
    change.record(record.invitation(invitation.id)).await
}

#[cfg(test)]
mod tests {
    use api::organisation::v1::ReissueInvitationRequest;
    use kernel::Duration;
    use prost::Message as _;
    use testkit::{Bench, eventually};

    use super::*;
    use crate::testing::{Heard, Stage};

    testkit::on_both_databases!(
        many_instances_remind_once_for_each_issue,
        a_reminder_that_fell_into_a_restart_goes_out_after_it,
        who_has_answered_is_not_reminded,
    );

    /// The issues that were reminded of.
    fn reminded(heard: &Heard, id: &str) -> Vec<i32> {
        let events = heard.events("organisation.invitation.reminded.v1", id);
        events.iter().map(|it| InvitationReminded::decode(&**it).unwrap().issue).collect()
    }

    async fn many_instances_remind_once_for_each_issue(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC").await;
        let (heard, _another) = (stage.listen(), stage.another().await);
        let id = stage.invite(&owner, &root, "ada@example.com").await;
        stage.pass(Duration::hours(24) - Duration::seconds(1));
        remind(&stage.service).await.unwrap();
        assert_eq!(stage.history("invitations.remind", &id).await, 0);
        stage.pass(Duration::seconds(1));
        let runs = testkit::race(50, |_| {
            let service = stage.service.clone();
            async move { remind(&service).await.map(|_| ()) }
        });
        assert!(runs.await.into_iter().all(|run| run.is_ok()));
        eventually("a reminder", async || (!reminded(&heard, &id).is_empty()).then_some(())).await;

        let owner = stage.person(&owner.email);
        let request = ReissueInvitationRequest { id: id.clone(), ..Default::default() };
        owner.invitations().reissue_invitation(request).await.unwrap();
        stage.pass(Duration::hours(24));
        eventually("another", async || (reminded(&heard, &id).len() > 1).then_some(())).await;
        stage.relayed().await;
        assert_eq!(reminded(&heard, &id), [1, 2]);
        assert_eq!(stage.history("invitations.remind", &id).await, 2);
    }

    async fn a_reminder_that_fell_into_a_restart_goes_out_after_it(bench: Bench) {
        let mut stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC").await;
        let heard = stage.listen();
        let id = stage.invite(&owner, &root, "ada@example.com").await;
        stage.restart_after(Duration::hours(30)).await;
        eventually("a reminder", async || (reminded(&heard, &id) == [1]).then_some(())).await;
    }

    async fn who_has_answered_is_not_reminded(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC").await;
        let heard = stage.listen();
        let id = stage.invite(&owner, &root, "ada@example.com").await;
        let waits = stage.invite(&owner, &root, "eve@example.com").await;
        let ada = stage.person("ada@example.com");
        let request =
            api::organisation::v1::AcceptInvitationRequest { id: id.clone(), ..Default::default() };
        ada.invitations().accept_invitation(request).await.unwrap();
        stage.pass(Duration::hours(24));
        eventually("a reminder", async || (reminded(&heard, &waits) == [1]).then_some(())).await;
        stage.relayed().await;
        assert!(reminded(&heard, &id).is_empty());
    }
}
