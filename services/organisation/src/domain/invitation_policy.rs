use kernel::EmailAddress;

/// What a node says about invitations into it and below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Mail domains; none allows all.
    pub allowed_domains: Vec<String>,
    pub approval_required: bool,
    /// Whether an address that has an account is refused.
    pub refuses_accounts: Option<bool>,
}

/// What holds for invitations into an organisation: what it and those above it say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InvitationPolicy(Vec<Said>);

impl InvitationPolicy {
    /// What the nodes say, the nearest first.
    pub(crate) fn of(said: impl IntoIterator<Item = Said>) -> Self {
        Self(said.into_iter().collect())
    }

    /// The domain of an address, if somebody does not allow it. Every node that has a list has its
    /// say, so that nobody below widens what is allowed above; a domain does not stand for those
    /// below it.
    pub(crate) fn refused_domain<'a>(&self, email: &'a EmailAddress) -> Option<&'a str> {
        let domain = email.as_str().rsplit('@').next().unwrap_or_default();
        let allows = |said: &Said| {
            said.allowed_domains.is_empty() || said.allowed_domains.iter().any(|it| it == domain)
        };
        if self.0.iter().all(allows) { None } else { Some(domain) }
    }

    /// Whether an acceptance waits for an approval: if anybody says so.
    pub(crate) fn approval_required(&self) -> bool {
        self.0.iter().any(|said| said.approval_required)
    }

    /// Whether an address that has an account is refused: the nearest that says something decides.
    pub(crate) fn refuses_accounts(&self) -> bool {
        self.0.iter().find_map(|said| said.refuses_accounts).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowing(domains: &[&str]) -> Said {
        let allowed_domains = domains.iter().map(|&it| it.to_owned()).collect();
        Said { allowed_domains, ..Said::default() }
    }

    #[test]
    fn t07_every_list_in_the_chain_has_its_say() {
        let policy = InvitationPolicy::of([
            allowing(&["a.example", "b.example"]),
            allowing(&[]),
            allowing(&["b.example", "c.example"]),
        ]);
        let refused = |email: &str| {
            let email = EmailAddress::parse(email).unwrap();
            policy.refused_domain(&email).map(str::to_owned)
        };
        assert_eq!(refused("ada@B.example"), None);
        for bad in ["a.example", "c.example", "x.b.example", "xb.example", "b.example.com"] {
            assert_eq!(refused(&format!("b.example@{bad}")).as_deref(), Some(bad));
        }
    }

    #[test]
    fn the_nearest_that_says_something_decides_and_an_approval_is_wanted_if_anybody_wants_it() {
        let quiet = Said::default();
        let strict =
            Said { approval_required: true, refuses_accounts: Some(true), ..Said::default() };
        let mild = Said { refuses_accounts: Some(false), ..Said::default() };
        let policy = InvitationPolicy::of([quiet, mild, strict.clone()]);
        assert!(policy.approval_required() && !policy.refuses_accounts());
        assert!(InvitationPolicy::of([strict]).refuses_accounts());
    }
}
