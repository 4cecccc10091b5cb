use api::{
    identity::v1::{GetUserRequest, UserStatus},
    organisation::v1::{InspectInvitationLinkRequest, Invitation, InvitationState},
};
use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use kernel::Time;
use service::Auth;
use tonic::{Code, Status};

use super::stop::{DeadEnd, Stop};
use crate::{
    clients::Gateway,
    headers::POLICY,
    problem::Problem,
    timestamp::{moment, stamp},
};

/// The token at the end of a link, as it came.
pub(super) struct LinkToken(pub String);

impl<S: Send + Sync> FromRequestParts<S> for LinkToken {
    type Rejection = Stop;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Stop> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(token)) => Ok(Self(token)),
            Err(_) => Err(DeadEnd::Invalid.into()),
        }
    }
}

/// A link whose invitation can be accepted: what it stands for.
pub(super) struct Link {
    pub token: String,
    pub invitation: Invitation,
    pub organisation: String,
    /// How the inviter and the application are called; empty if there is none to name.
    pub inviter: String,
    pub application: String,
    /// Where a member goes on: an `http` or `https` address.
    pub redirect_url: Option<String>,
    /// Whether the invitee has a password already.
    pub is_enrolled: bool,
}

impl Link {
    /// Asks what the link stands for; this changes nothing. Whether the invitee's account can sign
    /// in is asked in the gateway's own name: nobody is signed in yet.
    pub async fn read(gateway: &Gateway, LinkToken(token): LinkToken) -> Result<Self, Stop> {
        let request = InspectInvitationLinkRequest { link_token: token.clone() };
        let mut invitations = gateway.invitations(Auth::Anonymous);
        let answer = match invitations.inspect_invitation_link(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::InvalidArgument => {
                return Err(DeadEnd::Invalid.into());
            }
            Err(status) => return Err(status.into()),
        };
        let invitation = answer.invitation.ok_or_else(Problem::internal)?;
        match invitation.state() {
            InvitationState::Pending => {}
            InvitationState::Accepted => return Err(DeadEnd::Used.into()),
            InvitationState::Declined => return Err(DeadEnd::Declined.into()),
            InvitationState::Revoked => return Err(DeadEnd::Revoked.into()),
            InvitationState::Expired => return Err(DeadEnd::Expired.into()),
            InvitationState::Unspecified => return Err(Problem::internal().into()),
        }
        let is_enrolled = match invitee(gateway, &invitation).await.map_err(ours)? {
            UserStatus::Invited => false,
            UserStatus::Active => true,
            UserStatus::Suspended | UserStatus::Disposed | UserStatus::Unspecified => {
                return Err(DeadEnd::AccountUnusable.into());
            }
        };
        let is_for_browsers = |url: &String| scheme(url).is_some();
        Ok(Self {
            token,
            invitation,
            organisation: answer.organisation_display_name,
            inviter: answer.inviter_display_name,
            application: answer.application_display_name,
            redirect_url: Some(answer.redirect_url).filter(is_for_browsers),
            is_enrolled,
        })
    }

    /// The policy for a page whose form may lead to the application. Browsers hold the redirects that
    /// follow a form to its `form-action`, all of them, and an application leads on to wherever it
    /// signs people in: no narrower source than the scheme would let them through.
    pub fn policy(&self) -> Option<String> {
        let scheme = scheme(self.redirect_url.as_ref()?)?;
        Some(POLICY.replace("form-action 'self'", &format!("form-action 'self' {scheme}:")))
    }

    /// `admin, user`.
    pub fn roles(&self) -> String {
        self.invitation.roles.join(", ")
    }

    /// `Thursday 28 May 2026, 16:12 UTC`, and the same for programs.
    pub fn until(&self) -> Option<(String, String)> {
        let until = moment(self.invitation.expires_at)?;
        Some((written(until), stamp(&until)))
    }
}

fn scheme(url: &str) -> Option<&'static str> {
    ["https", "http"]
        .into_iter()
        .find(|scheme| url.strip_prefix(scheme).is_some_and(|rest| rest.starts_with("://")))
}

fn written(time: Time) -> String {
    time.format("%A %-d %B %Y, %H:%M UTC").to_string()
}

async fn invitee(gateway: &Gateway, invitation: &Invitation) -> Result<UserStatus, Status> {
    let own = gateway.peers.own().await?;
    let request = GetUserRequest { id: invitation.invitee_id.clone() };
    let answer = gateway.users(own).get_user(request).await?.into_inner();
    Ok(answer.user.map_or(UserStatus::Unspecified, |user| user.status()))
}

/// A refusal of a call in our own name says nothing about the person in front of the page: unless
/// the peer is merely away, something is configured wrongly.
fn ours(status: Status) -> Problem {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => status.into(),
        code => {
            tracing::error!(?code, "the gateway's own account was refused");
            Problem::internal()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_offer_is_written_for_people() {
        let time = Time::from_timestamp(1_779_984_720, 0).unwrap();
        assert_eq!(written(time), "Thursday 28 May 2026, 16:12 UTC");
    }
}
