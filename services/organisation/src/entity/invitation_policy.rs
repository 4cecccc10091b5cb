use api::organisation::v1 as proto;
use kernel::{Fields, MailDomain, Malformed, Uuid};
use sea_orm::{ConnectionTrait, DbErr};

use super::{organisation::ExistingAccount, role};
use crate::{
    Organisations,
    call::Call,
    domain::{permission::Permission, role::RoleKey},
};

/// How many domains one organisation may name: they are read with every invitation below it.
const MOST_DOMAINS: usize = 50;

/// What a request states of an organisation's invitation policy: nothing of a field that it does
/// not name, or that is malformed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stated {
    /// Normalised, with spaces between, as rows keep them.
    pub allowed_domains: Option<String>,
    pub approval_required: Option<bool>,
    /// Without a key it is inherited.
    pub default_role: Option<Option<RoleKey>>,
    pub existing_account: Option<ExistingAccount>,
}

impl Stated {
    /// Reads the fields that are named, noting violations below `path`.
    pub(crate) fn read(
        fields: &mut Fields,
        path: &str,
        policy: proto::InvitationPolicy,
        named: impl Fn(&str) -> bool,
    ) -> Self {
        let existing = policy.existing_account();
        let proto::InvitationPolicy {
            allowed_domains,
            approval_required,
            default_role,
            existing_account,
        } = policy;
        let mut stated = Self::default();
        if named("allowed_domains") {
            let path = format!("{path}.allowed_domains");
            stated.allowed_domains = read_domains(fields, &path, &allowed_domains);
        }
        if named("approval_required") {
            stated.approval_required = Some(approval_required);
        }
        if named("default_role") {
            let path = format!("{path}.default_role");
            stated.default_role = fields.read_optional(path, &default_role, RoleKey::parse);
        }
        if named("existing_account") {
            let known = proto::ExistingAccountPolicy::try_from(existing_account)
                .map_err(|_| Malformed("an ExistingAccountPolicy"));
            stated.existing_account =
                fields.read(format!("{path}.existing_account"), known).map(|_| existing.into());
        }
        stated
    }
}

impl From<proto::ExistingAccountPolicy> for ExistingAccount {
    fn from(policy: proto::ExistingAccountPolicy) -> Self {
        match policy {
            proto::ExistingAccountPolicy::Unspecified => Self::Inherit,
            proto::ExistingAccountPolicy::Associate => Self::Associate,
            proto::ExistingAccountPolicy::Refuse => Self::Refuse,
        }
    }
}

fn read_domains(fields: &mut Fields, path: &str, texts: &[String]) -> Option<String> {
    if texts.len() > MOST_DOMAINS {
        fields.reject(path, Malformed("at most 50 mail domains"));
        return None;
    }
    let read = |(index, text): (usize, &String)| {
        fields.read(format!("{path}[{index}]"), MailDomain::parse(text))
    };
    let domains: Vec<_> = texts.iter().enumerate().map(read).collect();
    let mut domains: Vec<_> = domains.into_iter().collect::<Option<_>>()?;
    domains.sort();
    domains.dedup();
    let texts: Vec<_> = domains.iter().map(MailDomain::as_str).collect();
    Some(texts.join(" "))
}

/// The stated default role's key as rows keep it: that of a role which an organisation can give, or
/// which one made below it could; empty inherits. An unknown one is a violation below `path`.
pub(crate) async fn default_role(
    connection: &impl ConnectionTrait,
    organisation: Uuid,
    policy: &Stated,
    path: &str,
) -> Result<Result<String, Fields>, DbErr> {
    let Some(key) = policy.default_role.as_ref().and_then(Option::as_ref) else {
        return Ok(Ok(String::new()));
    };
    let found = role::find_one(connection, role::given_below(organisation), key).await?;
    Ok(found.map(|role| role.key).ok_or_else(|| {
        let mut fields = Fields::default();
        fields.reject(format!("{path}.default_role"), "expected a role that can be given here");
        fields
    }))
}

/// Adds an unknown default role to whatever else is wrong, for whom reads the organisation.
pub(crate) async fn add_unknown_role(
    service: &Organisations,
    call: &Call,
    fields: &mut Fields,
    organisation: Uuid,
    policy: &Stated,
    path: &str,
) -> Result<(), DbErr> {
    let database = service.database.read();
    let rights = service.rights(call, database, organisation).await?;
    if rights.allow(Permission::OrganisationsRead)
        && let Err(unknown) = default_role(database, organisation, policy, path).await?
    {
        fields.append(unknown);
    }
    Ok(())
}
