use sea_orm::DbErr;
use service::Timer;

use crate::{
    Organisations,
    entity::invitation::{self, BATCH, Column},
    settlement,
};

/// Writes down that invitations have run out, at their time. What callers are shown at a moment is
/// right before that, too. Events: those of [`settlement::expire`].
pub(crate) fn timer(service: Organisations) -> Timer {
    Timer::new("organisation.invitations-expire", move || {
        let service = service.clone();
        Box::pin(async move { expire(&service).await })
    })
}

/// One batch of them; answers whether there may be more.
pub(crate) async fn expire(service: &Organisations) -> Result<bool, DbErr> {
    let due = invitation::due(Column::ExpiresAt, service.clock.now());
    // Most runs find nothing: do not take SQLite's write lock for them.
    if due.one(service.database.read()).await?.is_none() {
        return Ok(false);
    }
    let change = service.begin_itself("invitations.expire").await?;
    let over = invitation::claim(&change, Column::ExpiresAt, change.now).await?;
    for invitation in &over {
        settlement::expire(&change, invitation).await?;
    }
    change.commit_itself().await?;
    Ok(over.len() == BATCH)
}

#[cfg(test)]
mod tests {
    use api::organisation::v1::{GetInvitationRequest, InvitationSettled, InvitationState};
    use kernel::Duration;
    use prost::Message as _;
    use testkit::{Bench, eventually};

    use super::*;
    use crate::testing::{Heard, Stage, Who};

    testkit::on_both_databases!(
        many_instances_expire_each_invitation_once,
        what_ran_out_during_a_restart_is_noticed_after_it,
        an_address_can_be_invited_again_at_the_very_end,
    );

    async fn state(who: &Who, id: &str) -> InvitationState {
        let request = GetInvitationRequest { id: id.to_owned() };
        let answer = who.invitations().get_invitation(request).await.unwrap();
        answer.into_inner().invitation.unwrap().state()
    }

    /// The states that an invitation came to, as it was told.
    fn told(heard: &Heard, id: &str) -> Vec<String> {
        let events = heard.events("organisation.invitation.settled.v1", id);
        events.iter().map(|it| InvitationSettled::decode(&**it).unwrap().state).collect()
    }

    async fn many_instances_expire_each_invitation_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC").await;
        let (heard, _another) = (stage.listen(), stage.another().await);
        let mut ids = Vec::new();
        for number in 0..5 {
            ids.push(stage.invite(&owner, &root, &format!("{number}@example.com")).await);
        }
        stage.pass(Duration::hours(48));
        let owner = stage.person(&owner.email);
        // Whether or not the row says so yet.
        assert_eq!(state(&owner, &ids[0]).await, InvitationState::Expired);
        let runs = testkit::race(50, |_| {
            let service = stage.service.clone();
            async move { expire(&service).await.map(|_| ()) }
        });
        assert!(runs.await.into_iter().all(|run| run.is_ok()));
        for id in &ids {
            eventually("it was written down", async || {
                (stage.history("invitations.expire", id).await > 0).then_some(())
            })
            .await;
        }
        stage.relayed().await;
        for id in &ids {
            assert_eq!(stage.history("invitations.expire", id).await, 1);
            assert_eq!(told(&heard, id), ["expired"]);
            assert_eq!(state(&owner, id).await, InvitationState::Expired);
        }
    }

    async fn what_ran_out_during_a_restart_is_noticed_after_it(bench: Bench) {
        let mut stage = Stage::set(bench).await;
        let (owner, root) = stage.root("ABC").await;
        let heard = stage.listen();
        let id = stage.invite(&owner, &root, "ada@example.com").await;
        stage.restart_after(Duration::hours(48)).await;
        eventually("it was told", async || (told(&heard, &id) == ["expired"]).then_some(())).await;
        assert_eq!(stage.history("invitations.expire", &id).await, 1);
    }

    async fn an_address_can_be_invited_again_at_the_very_end(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (mut owner, root) = stage.root("ABC").await;
        let heard = stage.listen();
        for _ in 0..5 {
            let id = stage.invite(&owner, &root, "ada@example.com").await;
            stage.pass(Duration::hours(48));
            owner = stage.person(&owner.email);
            // The timer or the next invitation: whoever comes first writes it down.
            let again = stage.invite(&owner, &root, "ada@example.com").await;
            assert_ne!(id, again);
            stage.relayed().await;
            assert_eq!(told(&heard, &id), ["expired"]);
            assert_eq!(stage.history("invitations.expire", &id).await, 1);
            stage.pass(Duration::hours(48));
            owner = stage.person(&owner.email);
        }
    }
}
