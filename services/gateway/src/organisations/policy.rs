use api::organisation::v1::{self as organisation, ExistingAccountPolicy};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    input::{Object, Words},
    openapi::{Field, words},
};

/// What invitations must keep to. It is inherited: every organisation up to the root has its say in
/// domains and approvals, and the nearest that says something in the rest.
#[derive(Serialize, ToSchema)]
pub(super) struct InvitationPolicy {
    /// Mail domains that may be invited, such as `example.com`; none means all.
    allowed_domains: Vec<String>,
    /// Whether an acceptance waits for an approval.
    approval_required: bool,
    /// The role of an invitation that names none; `null` inherits.
    default_role: Option<String>,
    /// What to do with an address that has an account; `inherit` as the organisation above.
    #[schema(schema_with = existing_accounts)]
    existing_account: &'static str,
}

const EXISTING_ACCOUNTS: [(&str, ExistingAccountPolicy); 3] = [
    ("inherit", ExistingAccountPolicy::Unspecified),
    ("associate", ExistingAccountPolicy::Associate),
    ("refuse", ExistingAccountPolicy::Refuse),
];

fn existing_accounts() -> utoipa::openapi::Object {
    words(&EXISTING_ACCOUNTS)
}

impl From<organisation::InvitationPolicy> for InvitationPolicy {
    fn from(policy: organisation::InvitationPolicy) -> Self {
        let existing_account = crate::input::word_of(policy.existing_account(), &EXISTING_ACCOUNTS);
        Self {
            allowed_domains: policy.allowed_domains,
            approval_required: policy.approval_required,
            default_role: Some(policy.default_role).filter(|role| !role.is_empty()),
            existing_account,
        }
    }
}

const MEMBERS: [&str; 4] =
    ["allowed_domains", "approval_required", "default_role", "existing_account"];

/// The policy in a body, and which of its members are there.
pub(super) fn read(body: &mut Object) -> Option<(organisation::InvitationPolicy, Vec<String>)> {
    body.object("invitation_policy", |policy| {
        let given = policy.given(&MEMBERS);
        let existing: &Words<_> = &EXISTING_ACCOUNTS;
        let policy = organisation::InvitationPolicy {
            allowed_domains: policy.texts("allowed_domains"),
            approval_required: policy.flag("approval_required"),
            default_role: policy.text("default_role"),
            existing_account: policy.one_of("existing_account", existing).into(),
        };
        (policy, given)
    })
}

pub(super) fn field() -> Field {
    let members = vec![
        Field::texts("allowed_domains", "Mail domains that may be invited; none means all."),
        Field::flag("approval_required", "Whether an acceptance waits for an approval."),
        Field::text("default_role", "The role of an invitation that names none; null inherits.")
            .nullable(),
        Field::one_of(
            "existing_account",
            &EXISTING_ACCOUNTS,
            "What to do with an address that has an account.",
        ),
    ];
    Field::object("invitation_policy", members, "What invitations must keep to.").nullable()
}
