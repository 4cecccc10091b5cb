use serde::Serialize;
use utoipa::ToSchema;

use super::Invitation;
use crate::timestamp::{Stamp, stamp_of};

/// All that Usher tells of an invitation.
#[derive(Serialize, ToSchema)]
pub(super) struct FullInvitation {
    #[serde(flatten)]
    invitation: Invitation,
    /// The roles offered, sorted.
    roles: Vec<String>,
    /// How the person is addressed.
    display_name: String,
    first_name: String,
    last_name: String,
    /// Where the person works or teaches, in the inviter's words.
    institution: String,
    /// The application that the person is invited for.
    application_id: Option<String>,
    personal_message: String,
    /// BCP 47: the mail's language.
    locale: String,
    inviter_id: String,
    invitee_id: String,
    /// The membership's time, if it is limited.
    membership_valid_from: Option<Stamp>,
    membership_expires_at: Option<Stamp>,
    /// Until when the link works.
    expires_at: Option<Stamp>,
    /// What the calling application knows the invitation by.
    source_id: Option<String>,
    /// Where the outcome is told.
    callback_url: Option<String>,
    /// The access request that decides, where an acceptance waits for an approval.
    access_request_id: Option<String>,
    /// Counts the links issued, from 1.
    issue: i32,
    etag: String,
}

impl From<api::organisation::v1::Invitation> for FullInvitation {
    fn from(invitation: api::organisation::v1::Invitation) -> Self {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Self {
            invitation: Invitation::from(&invitation),
            roles: invitation.roles,
            display_name: invitation.display_name,
            first_name: invitation.first_name,
            last_name: invitation.last_name,
            institution: invitation.institution,
            application_id: given(invitation.application_id),
            personal_message: invitation.personal_message,
            locale: invitation.locale,
            inviter_id: invitation.inviter_id,
            invitee_id: invitation.invitee_id,
            membership_valid_from: stamp_of(invitation.membership_valid_from),
            membership_expires_at: stamp_of(invitation.membership_expires_at),
            expires_at: stamp_of(invitation.expires_at),
            source_id: given(invitation.source_id),
            callback_url: given(invitation.callback_url),
            access_request_id: given(invitation.access_request_id),
            issue: invitation.issue,
            etag: invitation.etag,
        }
    }
}
