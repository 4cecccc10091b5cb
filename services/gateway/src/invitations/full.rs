use api::organisation::v1::InvitationDeliveryState;
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{Object, Type},
};

use super::{DELIVERY_STATES, Invitation};
use crate::{
    input::word_of,
    openapi::words,
    timestamp::{Stamp, stamp_of},
};

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
    /// How the newest mail of this issue fares; null of an invitation from before that was kept.
    #[schema(schema_with = delivery_states)]
    delivery_state: Option<&'static str>,
    /// Why, in one word.
    delivery_reason: Option<String>,
    etag: String,
}

impl From<api::organisation::v1::Invitation> for FullInvitation {
    fn from(invitation: api::organisation::v1::Invitation) -> Self {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        let delivery_state = invitation.delivery_state();
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
            delivery_state: word_of_delivery(delivery_state),
            delivery_reason: given(invitation.delivery_reason),
            etag: invitation.etag,
        }
    }
}

fn word_of_delivery(state: InvitationDeliveryState) -> Option<&'static str> {
    let is_known = state != InvitationDeliveryState::Unspecified;
    is_known.then(|| word_of(state, &DELIVERY_STATES))
}

fn delivery_states() -> Object {
    let mut states = words(&DELIVERY_STATES);
    states.schema_type = [Type::String, Type::Null].into_iter().collect();
    states.enum_values.get_or_insert_default().push(serde_json::Value::Null);
    states
}
