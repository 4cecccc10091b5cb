use api::notification::v1::DeliveryChanged;
use bus::Queue;
use kernel::{Uuid, parse_id};
use prost::Message as _;
use sea_orm::DbErr;
use service::{Consumer, Message, Refusal};

use crate::{
    Organisations,
    entity::invitation::{self, DeliveryState, News},
};

const QUEUE: Queue = Queue {
    name: "organisation.deliveries",
    bindings: &[
        "notification.delivery.queued.v1",
        "notification.delivery.sent.v1",
        "notification.delivery.failed.v1",
        "notification.delivery.bounced.v1",
        "notification.delivery.suppressed.v1",
    ],
    concurrency: 8,
};

/// Keeps how the newest mail about an invitation fares.
///
/// Events come late, twice and in any order: one that is about an earlier issue of the invitation, or
/// older than what was heard before, changes nothing. Mails about anything else are passed over.
pub(crate) fn consumer(service: Organisations) -> Consumer {
    Consumer::new(QUEUE, move |message| {
        let service = service.clone();
        async move { handle(&service, message).await }
    })
}

async fn handle(service: &Organisations, message: Message) -> Result<(), Refusal> {
    let event = DeliveryChanged::decode(message.payload.as_slice());
    let event = event.map_err(|error| Refusal::Reject(error.to_string()))?;
    if event.invitation_id.is_empty() {
        return Ok(());
    }
    let id = parse_id(&event.invitation_id).map_err(|error| Refusal::Reject(error.to_string()))?;
    let broken = || Refusal::Reject("the event cannot be read".to_owned());
    let news = news(event).ok_or_else(broken)?;
    let heard = hear(service, message.id, id, news).await;
    heard.map_err(|error| Refusal::Retry(error.to_string()))
}

fn news(event: DeliveryChanged) -> Option<News> {
    // Longer than any word.
    if event.reason.len() > 64 {
        return None;
    }
    Some(News {
        // Without a delivery and an issue, its event could not be read.
        issue: Some(event.issue).filter(|issue| *issue != 0 || !event.delivery_id.is_empty()),
        state: DeliveryState::told(event.state())?,
        changed_at: event.changed_at.as_ref().and_then(api::time)?,
        version: event.version,
        reason: event.reason,
    })
}

async fn hear(service: &Organisations, event: Uuid, id: Uuid, news: News) -> Result<(), DbErr> {
    let tx = service.database.begin().await?;
    if db::inbox::claim(&tx, QUEUE.name, event, service.clock.now()).await? {
        invitation::hear(&tx, id, news).await?;
    }
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use api::{
        notification::v1::DeliveryState as Told,
        organisation::v1::{
            GetInvitationRequest, Invitation, InvitationDeliveryState, ListInvitationsRequest,
            ReissueInvitationRequest,
        },
    };
    use kernel::Duration;
    use testkit::Bench;

    use super::*;
    use crate::testing::{Stage, Who, violations};

    testkit::on_both_databases!(
        a_new_invitation_waits_for_its_mail_and_then_says_what_became_of_it,
        whatever_the_order_the_newest_holds,
        what_happened_at_the_same_time_is_told_apart_by_its_version,
        only_the_current_issue_counts,
        what_is_heard_leaves_the_invitation_as_it_is,
        an_event_that_nobody_could_read_is_of_the_issue_that_nothing_was_heard_of,
        those_that_reached_nobody_are_found,
        mails_about_something_else_are_passed_over,
        an_event_that_cannot_be_read_is_set_aside,
    );

    /// A stage with an invitation.
    struct Scene {
        stage: Stage,
        owner: Who,
        root: String,
        invitation: String,
    }

    impl Scene {
        async fn set(bench: Bench) -> Self {
            let stage = Stage::set(bench).await;
            let (owner, root) = stage.root("ABC").await;
            let invitation = stage.invite(&owner, &root, "ada@example.com").await;
            Self { stage, owner, root, invitation }
        }

        /// What is told of a mail, so many seconds after noon.
        fn change(&self, state: Told, second: i64, version: i32) -> DeliveryChanged {
            let noon = self.stage.now();
            DeliveryChanged {
                delivery_id: self.invitation.clone(),
                invitation_id: self.invitation.clone(),
                state: state.into(),
                reason: "other".to_owned(),
                issue: 1,
                changed_at: Some(api::timestamp(noon + Duration::seconds(second))),
                version,
                ..Default::default()
            }
        }

        async fn tell(&self, change: &DeliveryChanged) -> Result<(), Refusal> {
            self.tell_as(self.stage.service.clock.new_id(), change.encode_to_vec()).await
        }

        async fn tell_as(&self, id: Uuid, payload: Vec<u8>) -> Result<(), Refusal> {
            let message = Message {
                id,
                routing_key: "notification.delivery.sent.v1".to_owned(),
                source: "usher/notification".to_owned(),
                subject: Uuid::nil(),
                time: self.stage.now(),
                payload,
                traceparent: None,
                must_arrive: true,
                attempt: 1,
                queue: None,
                redelivered: false,
            };
            handle(&self.stage.service, message).await
        }

        async fn seen(&self) -> Invitation {
            let request = GetInvitationRequest { id: self.invitation.clone() };
            let answer = self.owner.invitations().get_invitation(request).await;
            answer.unwrap().into_inner().invitation.unwrap()
        }

        async fn state(&self) -> InvitationDeliveryState {
            self.seen().await.delivery_state()
        }

        async fn reissue(&self) -> Invitation {
            let request =
                ReissueInvitationRequest { id: self.invitation.clone(), ..Default::default() };
            let answer = self.owner.invitations().reissue_invitation(request).await;
            answer.unwrap().into_inner().invitation.unwrap()
        }
    }

    async fn a_new_invitation_waits_for_its_mail_and_then_says_what_became_of_it(bench: Bench) {
        let scene = Scene::set(bench).await;
        assert_eq!(scene.state().await, InvitationDeliveryState::Queued);
        for (version, (told, shown)) in [
            (Told::Sent, InvitationDeliveryState::Sent),
            (Told::Bounced, InvitationDeliveryState::Bounced),
            (Told::Queued, InvitationDeliveryState::Queued),
            (Told::Failed, InvitationDeliveryState::Failed),
            (Told::Suppressed, InvitationDeliveryState::Suppressed),
        ]
        .into_iter()
        .enumerate()
        {
            let version = i32::try_from(version).unwrap() + 1;
            scene.tell(&scene.change(told, i64::from(version), version)).await.unwrap();
            let seen = scene.seen().await;
            assert_eq!((seen.delivery_state(), seen.delivery_reason.as_str()), (shown, "other"));
        }
    }

    async fn whatever_the_order_the_newest_holds(bench: Bench) {
        let scene = Scene::set(bench).await;
        let noon = scene.stage.now();
        // The mail is sent, comes back and is sent once more; meanwhile there was a reminder.
        let story = [
            scene.change(Told::Sent, 1, 2),
            scene.change(Told::Bounced, 2, 3),
            scene.change(Told::Queued, 3, 4),
            scene.change(Told::Sent, 4, 1),
            scene.change(Told::Failed, 5, 6),
        ];
        for order in
            [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 0, 4, 2, 3], [4, 0, 1, 2, 3], [2, 4, 0, 3, 1]]
        {
            let id = scene.reissue().await.issue;
            assert_eq!(scene.state().await, InvitationDeliveryState::Queued);
            let mut newest = 0;
            for index in order {
                let change = DeliveryChanged { issue: id, ..story[index].clone() };
                scene.tell(&change).await.unwrap();
                newest = newest.max(index);
                let expected = DeliveryState::told(story[newest].state());
                assert_eq!(scene.state().await, DeliveryState::shown(expected), "{order:?}");
            }
        }
        assert_eq!(scene.stage.now(), noon);
    }

    async fn what_happened_at_the_same_time_is_told_apart_by_its_version(bench: Bench) {
        let scene = Scene::set(bench).await;
        scene.tell(&scene.change(Told::Bounced, 1, 3)).await.unwrap();
        scene.tell(&scene.change(Told::Sent, 1, 2)).await.unwrap();
        assert_eq!(scene.state().await, InvitationDeliveryState::Bounced);
        scene.tell(&scene.change(Told::Queued, 1, 4)).await.unwrap();
        assert_eq!(scene.state().await, InvitationDeliveryState::Queued);
        // The same event again, when something newer has been heard.
        let (id, change) = (scene.stage.service.clock.new_id(), scene.change(Told::Failed, 1, 5));
        for _ in 0..2 {
            scene.tell_as(id, change.encode_to_vec()).await.unwrap();
        }
        assert_eq!(scene.state().await, InvitationDeliveryState::Failed);
    }

    async fn only_the_current_issue_counts(bench: Bench) {
        let scene = Scene::set(bench).await;
        scene.tell(&scene.change(Told::Failed, 1, 1)).await.unwrap();
        assert_eq!(scene.reissue().await.delivery_state(), InvitationDeliveryState::Queued);
        assert_eq!(scene.seen().await.delivery_reason, "");
        // Of the first issue, of one that there is not yet, and of one that nobody knows.
        for issue in [1, 3, 0] {
            let late = DeliveryChanged { issue, ..scene.change(Told::Bounced, 9, 9) };
            scene.tell(&late).await.unwrap();
            assert_eq!(scene.state().await, InvitationDeliveryState::Queued, "{issue}");
        }
        // Although it happened before what the first issue is told.
        let current = DeliveryChanged { issue: 2, ..scene.change(Told::Sent, 0, 1) };
        scene.tell(&current).await.unwrap();
        assert_eq!(scene.state().await, InvitationDeliveryState::Sent);
    }

    async fn what_is_heard_leaves_the_invitation_as_it_is(bench: Bench) {
        let scene = Scene::set(bench).await;
        let before = scene.seen().await;
        scene.stage.pass(Duration::seconds(5));
        scene.tell(&scene.change(Told::Sent, 1, 1)).await.unwrap();
        let after = scene.seen().await;
        assert_eq!((after.etag, after.updated_at), (before.etag, before.updated_at));
    }

    async fn an_event_that_nobody_could_read_is_of_the_issue_that_nothing_was_heard_of(
        bench: Bench,
    ) {
        let scene = Scene::set(bench).await;
        let unread = DeliveryChanged {
            delivery_id: String::new(),
            issue: 0,
            version: 0,
            ..scene.change(Told::Failed, 5, 0)
        };
        scene.tell(&unread).await.unwrap();
        assert_eq!(scene.state().await, InvitationDeliveryState::Failed);
        // The message is replayed, and goes out.
        scene.tell(&scene.change(Told::Sent, 6, 1)).await.unwrap();
        assert_eq!(scene.state().await, InvitationDeliveryState::Sent);
        let late =
            DeliveryChanged { changed_at: scene.change(Told::Sent, 9, 1).changed_at, ..unread };
        scene.tell(&late).await.unwrap();
        assert_eq!(scene.state().await, InvitationDeliveryState::Sent);
    }

    async fn those_that_reached_nobody_are_found(bench: Bench) {
        let scene = Scene::set(bench).await;
        let waiting = scene.stage.invite(&scene.owner, &scene.root, "eve@example.com").await;
        scene.tell(&scene.change(Told::Bounced, 1, 1)).await.unwrap();
        let listed = async |state: i32| {
            let request = ListInvitationsRequest {
                organisation_id: scene.root.clone(),
                delivery_state: state,
                ..Default::default()
            };
            let answer = scene.owner.invitations().list_invitations(request).await?;
            let found = answer.into_inner().invitations.into_iter().map(|it| it.id);
            Ok::<Vec<_>, tonic::Status>(found.collect())
        };
        use InvitationDeliveryState::{Bounced, Failed, Queued, Sent, Suppressed, Unspecified};
        let both = vec![scene.invitation.clone(), waiting.clone()];
        for (state, found) in [
            (Unspecified, both),
            (Bounced, vec![scene.invitation.clone()]),
            (Queued, vec![waiting]),
            (Failed, vec![]),
            (Suppressed, vec![]),
            (Sent, vec![]),
        ] {
            assert_eq!(listed(state.into()).await.unwrap(), found, "{state:?}");
        }
        assert_eq!(violations(listed(99).await), ["delivery_state"]);
    }

    async fn mails_about_something_else_are_passed_over(bench: Bench) {
        let scene = Scene::set(bench).await;
        let request = DeliveryChanged {
            invitation_id: String::new(),
            access_request_id: scene.invitation.clone(),
            ..scene.change(Told::Failed, 1, 1)
        };
        scene.tell(&request).await.unwrap();
        let unknown = DeliveryChanged {
            invitation_id: scene.root.clone(),
            ..scene.change(Told::Failed, 1, 1)
        };
        scene.tell(&unknown).await.unwrap();
        assert_eq!(scene.state().await, InvitationDeliveryState::Queued);
    }

    async fn an_event_that_cannot_be_read_is_set_aside(bench: Bench) {
        let scene = Scene::set(bench).await;
        let change = scene.change(Told::Sent, 1, 1);
        for broken in [
            DeliveryChanged { invitation_id: "7".to_owned(), ..change.clone() },
            DeliveryChanged { state: Told::Sending.into(), ..change.clone() },
            DeliveryChanged { state: 99, ..change.clone() },
            DeliveryChanged { changed_at: None, ..change.clone() },
            DeliveryChanged { reason: "x".repeat(65), ..change },
        ] {
            let refusal = scene.tell(&broken).await.unwrap_err();
            assert!(matches!(refusal, Refusal::Reject(_)), "{broken:?}");
        }
        let refusal = scene.tell_as(Uuid::nil(), b"\xff\xff".to_vec()).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Reject(_)));
    }
}
