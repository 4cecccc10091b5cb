use api::organisation::v1::{Invitation, InvitationDeliveryState, InvitationState};
use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::super::output::{Out, Output, Table, json};

/// Prints one invitation.
pub(super) fn one(invitation: Invitation, output: Output, out: Out<'_>) -> anyhow::Result<()> {
    match output {
        Output::Json => Ok(json(out, &value(&invitation))?),
        Output::Table => many(vec![invitation], output, out),
    }
}

/// Prints invitations.
pub(super) fn many(
    invitations: Vec<Invitation>,
    output: Output,
    out: Out<'_>,
) -> anyhow::Result<()> {
    if output == Output::Json {
        return Ok(json(out, &invitations.iter().map(value).collect::<Vec<_>>())?);
    }
    let mut table = Table::new(["ID", "EMAIL", "NAME", "ROLES", "STATE", "MAIL", "EXPIRES"]);
    for it in &invitations {
        let name = match it.display_name.as_str() {
            "" => format!("{} {}", it.first_name, it.last_name).trim().to_owned(),
            name => name.to_owned(),
        };
        let (roles, expires) = (it.roles.join(" "), moment(it.expires_at.as_ref()));
        table.row([&it.id, &it.email, &name, &roles, state(it), delivery_state(it), &expires]);
    }
    Ok(table.print(out)?)
}

fn value(it: &Invitation) -> Value {
    json!({
        "id": it.id,
        "organisation_id": it.organisation_id,
        "email": it.email,
        "display_name": it.display_name,
        "first_name": it.first_name,
        "last_name": it.last_name,
        "institution": it.institution,
        "roles": it.roles,
        "state": state(it),
        "locale": it.locale,
        "application_id": it.application_id,
        "source_id": it.source_id,
        "inviter_id": it.inviter_id,
        "invitee_id": it.invitee_id,
        "issue": it.issue,
        "delivery_state": delivery_state(it),
        "delivery_reason": it.delivery_reason,
        "created_at": moment(it.created_at.as_ref()),
        "expires_at": moment(it.expires_at.as_ref()),
    })
}

fn state(invitation: &Invitation) -> &'static str {
    match invitation.state() {
        InvitationState::Unspecified => "",
        InvitationState::Pending => "pending",
        InvitationState::Accepted => "accepted",
        InvitationState::Declined => "declined",
        InvitationState::Revoked => "revoked",
        InvitationState::Expired => "expired",
    }
}

/// Empty of an invitation from before that was kept.
fn delivery_state(invitation: &Invitation) -> &'static str {
    match invitation.delivery_state() {
        InvitationDeliveryState::Unspecified => "",
        InvitationDeliveryState::Queued => "queued",
        InvitationDeliveryState::Sent => "sent",
        InvitationDeliveryState::Failed => "failed",
        InvitationDeliveryState::Bounced => "bounced",
        InvitationDeliveryState::Suppressed => "suppressed",
    }
}

fn moment(at: Option<&prost_types::Timestamp>) -> String {
    let at = at.and_then(api::time);
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true)).unwrap_or_default()
}
