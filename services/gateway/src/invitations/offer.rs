//! What creating and changing an invitation read alike.

use crate::{input::Object, openapi::Field};

/// The roles offered: `role` as `sources/002` has it (several with a space between), or `roles`.
pub(super) fn roles(body: &mut Object) -> Vec<String> {
    if body.given(&["role", "roles"]).len() == 2 {
        body.fields.reject("role", "expected either role or roles");
    }
    let roles = body.texts("roles");
    let role = body.text("role");
    if roles.is_empty() { role.split_whitespace().map(str::to_owned).collect() } else { roles }
}

/// The members that both take.
pub(super) fn fields() -> [Field; 12] {
    [
        Field::text("role", "The role's key; none means the organisation's default role."),
        Field::texts("roles", "Instead of `role`: the keys of several."),
        Field::text("first_name", "The invitee's."),
        Field::text("last_name", "The invitee's."),
        Field::text("institution", "Where the person works or teaches."),
        Field::id("application_id", "The application that the person is invited for.").nullable(),
        Field::text("locale", "BCP 47: the mail's language; `en` if it is left out."),
        Field::text("personal_message", "At most 1000 characters of plain text."),
        Field::time("membership_valid_from", "From when the membership holds.").nullable(),
        Field::time("membership_expires_at", "From when it no longer holds.").nullable(),
        Field::text(
            "source_id",
            "What the caller knows the invitation by; at most 200 characters.",
        )
        .nullable(),
        Field::text("callback_url", "https, at a host that the application has registered.")
            .nullable(),
    ]
}
