use kernel::Malformed;

/// What a service account may do on services that know no organisation: the closed list.
pub(crate) const SCOPES: &[&str] = &[
    "users.read",
    "users.invite",
    "invitations.mail",
    "access_requests.mail",
    "deliveries.write",
    "deliveries.read",
    "deliveries.resend",
    "operations.manage",
    "templates.read",
    "templates.update",
    "permissions.check",
];

/// The scopes of the services' own accounts.
pub(crate) fn built_in(account: &str) -> Option<&'static [&'static str]> {
    Some(match account {
        "organisation" => &["users.invite", "users.read"],
        "notification" => &["permissions.check"],
        "mailer" => &["invitations.mail", "access_requests.mail", "users.read", "deliveries.write"],
        "gateway" => &["users.read"],
        _ => return None,
    })
}

/// Finds a scope in the list.
pub(crate) fn parse(text: &str) -> Result<&'static str, Malformed> {
    let found = SCOPES.iter().find(|scope| **scope == text);
    found.copied().ok_or(Malformed("a scope of the list in ServiceAccountService"))
}

/// The name of a service account: 3 to 64 lower-case letters, digits and hyphens.
pub(crate) fn parse_account_name(text: &str) -> Result<String, Malformed> {
    let fits = (3..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Malformed("3 to 64 lower-case letters, digits and hyphens"))
    }
}
