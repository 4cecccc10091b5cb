//! Limits on inviting: by an inviter, into an organisation, and to an address.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kernel::{Uuid, sha256};
use service::Settings;

use crate::{Organisations, call::Call, error::Error};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// How many invitations and reissues are let through in a window of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// By one inviter within an hour.
    inviter: u64,
    /// Of one organisation within a day.
    organisation: u64,
    /// To one address within a day, by whomever: nobody's mailbox is flooded by many organisations.
    recipient: u64,
}

impl Limits {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            inviter: settings.invitations_per_inviter_hour,
            organisation: settings.invitations_per_organisation_day,
            recipient: settings.mails_per_recipient_day,
        }
    }
}

/// What one limit counts.
struct Counted {
    limit: &'static str,
    key: String,
    window: Duration,
    most: u64,
}

impl Counted {
    fn new(limit: &'static str, whose: &str, window: Duration, most: u64) -> Self {
        Self { limit, key: format!("usher:invitations:{limit}:{whose}"), window, most }
    }
}

impl Organisations {
    /// Counts an invitation or a reissue that the caller is entitled to, before anything is written.
    ///
    /// A window begins with what is counted first in it. What is refused later, or is a repetition,
    /// stays counted: the limits are there against floods, and far from what people do. Refused as
    /// [`Error::TooManyInvitations`], with the time until the window ends.
    pub(crate) async fn count_invitation(
        &self,
        call: &Call,
        organisation: Uuid,
        email: &str,
    ) -> Result<(), Error> {
        // No address stands in the cache.
        let recipient = URL_SAFE_NO_PAD.encode(sha256(email.as_bytes()));
        let (inviter, limits) = (call.subject, self.limits);
        let counted = [
            Counted::new("inviter", &inviter.to_string(), HOUR, limits.inviter),
            Counted::new("organisation", &organisation.to_string(), DAY, limits.organisation),
            Counted::new("recipient", &recipient, DAY, limits.recipient),
        ];
        match self.first_over(&counted).await {
            Ok(None) => Ok(()),
            Ok(Some((limit, retry_after))) => Err(Error::TooManyInvitations { limit, retry_after }),
            // The cache is no part that must not fail: without it nobody could invite at all.
            Err(error) => {
                tracing::warn!(%error, "invitations are not counted");
                Ok(())
            }
        }
    }

    /// Counts one of each; answers the first that is one too many, and how long to wait.
    async fn first_over(
        &self,
        counted: &[Counted; 3],
    ) -> Result<Option<(&'static str, Duration)>, cache::Unavailable> {
        let counts = self.cache.count_each(counted.each_ref().map(|it| (&*it.key, it.window)));
        let mut over = counted.iter().zip(counts.await?).filter(|(it, count)| *count > it.most);
        let Some((over, _)) = over.next() else { return Ok(None) };
        let left = self.cache.remaining(&over.key).await?;
        Ok(Some((over.limit, left.max(Duration::from_secs(1)))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::organisation::v1::{
        CreateInvitationRequest, Invitation, ReissueInvitationRequest, RevokeInvitationRequest,
    };
    use cache::{Cache, CacheUrl};
    use testkit::Bench;
    use tonic::{Code, Status};
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::testing::{Stage, Who, reason};

    testkit::on_both_databases!(
        of_a_hundred_at_once_ten_pass_a_limit_of_ten,
        an_address_gets_so_many_mails_from_all_organisations_together,
        an_organisation_sends_so_many,
        who_may_not_invite_uses_nothing_up,
        without_a_cache_people_are_invited_all_the_same,
    );

    async fn stage(mut bench: Bench, set: impl FnOnce(&mut Settings)) -> Stage {
        set(Arc::make_mut(&mut bench.infra.settings));
        Stage::set(bench).await
    }

    async fn invite(by: &Who, organisation: &str, email: &str) -> Result<Invitation, Status> {
        let request = CreateInvitationRequest {
            organisation_id: organisation.to_owned(),
            email: email.to_owned(),
            ..Default::default()
        };
        let answer = by.invitations().create_invitation(request).await?;
        Ok(answer.into_inner().invitation.unwrap())
    }

    /// Which limit was met, by a refusal that tells when to come again.
    fn limit(status: &Status) -> String {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
        assert!(wait > Duration::ZERO && wait <= DAY, "{wait:?}");
        status.get_details_error_info().unwrap().metadata["limit"].clone()
    }

    async fn of_a_hundred_at_once_ten_pass_a_limit_of_ten(bench: Bench) {
        let stage = stage(bench, |settings| settings.invitations_per_inviter_hour = 10).await;
        let (owner, root) = stage.root("ABC").await;
        let answers = testkit::race(100, |number| {
            let (owner, root) = (owner.clone(), root.clone());
            async move { invite(&owner, &root, &format!("{number}@example.com")).await }
        });
        let (made, refused): (Vec<_>, Vec<_>) =
            answers.await.into_iter().partition(|it| it.is_ok());
        assert_eq!((made.len(), refused.len()), (10, 90));
        for answer in refused {
            assert_eq!(limit(&answer.unwrap_err()), "inviter");
        }
        // Others still may.
        let other = stage.member("admin@example.com", &root, &["admin"]).await;
        invite(&other, &root, "ada@example.com").await.unwrap();
    }

    async fn an_address_gets_so_many_mails_from_all_organisations_together(bench: Bench) {
        let stage = stage(bench, |settings| settings.mails_per_recipient_day = 3).await;
        let (owner, root) = stage.root("ABC").await;
        let (other, elsewhere) = stage.root("XYZ").await;
        let id = invite(&owner, &root, "ada@example.com").await.unwrap().id;
        let reissue = || async {
            let request = ReissueInvitationRequest { id: id.clone(), ..Default::default() };
            owner.invitations().reissue_invitation(request).await
        };
        reissue().await.unwrap();
        invite(&other, &elsewhere, "ADA@Example.com").await.unwrap();
        assert_eq!(limit(&reissue().await.unwrap_err()), "recipient");
        let request = RevokeInvitationRequest { id: id.clone(), ..Default::default() };
        owner.invitations().revoke_invitation(request).await.unwrap();
        let refused = invite(&owner, &root, "ada@example.com").await.unwrap_err();
        assert_eq!(limit(&refused), "recipient");
        invite(&owner, &root, "eve@example.com").await.unwrap();
    }

    async fn an_organisation_sends_so_many(bench: Bench) {
        let stage = stage(bench, |settings| settings.invitations_per_organisation_day = 2).await;
        let (owner, root) = stage.root("ABC").await;
        let admin = stage.member("admin@example.com", &root, &["admin"]).await;
        invite(&owner, &root, "ada@example.com").await.unwrap();
        invite(&admin, &root, "eve@example.com").await.unwrap();
        let refused = invite(&admin, &root, "joe@example.com").await.unwrap_err();
        assert_eq!(limit(&refused), "organisation");
    }

    async fn who_may_not_invite_uses_nothing_up(bench: Bench) {
        let stage = stage(bench, |settings| settings.invitations_per_organisation_day = 1).await;
        let (owner, root) = stage.root("ABC").await;
        let member = stage.member("member@example.com", &root, &["user"]).await;
        for _ in 0..3 {
            let refused = invite(&member, &root, "ada@example.com").await;
            assert_eq!(reason(refused), "PERMISSION_MISSING");
        }
        invite(&owner, &root, "ada@example.com").await.unwrap();
    }

    async fn without_a_cache_people_are_invited_all_the_same(mut bench: Bench) {
        // Nobody listens there.
        bench.infra.cache = Cache::open(&CacheUrl::Redis("redis://127.0.0.1:1".into())).unwrap();
        let stage = stage(bench, |settings| settings.invitations_per_inviter_hour = 1).await;
        let (owner, root) = stage.root("ABC").await;
        for email in ["ada@example.com", "eve@example.com"] {
            invite(&owner, &root, email).await.unwrap();
        }
    }
}
