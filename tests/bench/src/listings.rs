//! The lists that are measured, each in the name of somebody.

use api::organisation::v1::{
    InvitationState, ListInvitationsRequest, ListMembershipsRequest, ListOrganisationsRequest,
    ListPermittedOrganisationsRequest, MembershipState,
};

use crate::{
    population::{APPLICATION, INVITER, Population, SOURCE},
    question::Question,
    stage::Asker,
};

/// A list and who asks for it.
pub struct Listing {
    pub what: &'static str,
    pub asker: Asker,
    pub question: Question,
}

/// All lists of a population, in the same order for each.
pub fn listings(population: &Population) -> Vec<Listing> {
    let mut all = members(population);
    all.extend(invitations(population));
    all.extend(organisations(population));
    all
}

fn members(population: &Population) -> Vec<Listing> {
    use MembershipState::{Active, Invited, Suspended, Unspecified};
    let name = "display_name";
    [
        ("members", Unspecified, "", "", ""),
        ("members, latest first", Unspecified, "", "", "created_at desc"),
        ("members, by name", Unspecified, "", "", name),
        ("members, by name backwards", Unspecified, "", "", "display_name desc"),
        ("members active", Active, "", "", ""),
        ("members suspended (0.1 %)", Suspended, "", "", ""),
        ("members suspended, by name", Suspended, "", "", name),
        ("members invited", Invited, "", "", ""),
        ("members with role user", Unspecified, "user", "", ""),
        ("members with role admin (0.1 %)", Unspecified, "admin", "", ""),
        ("members with role admin, by name", Unspecified, "admin", "", name),
        ("members c4c…, by name", Unspecified, "", "c4c", name),
        ("members c4c…", Unspecified, "", "c4c", ""),
        ("members c… (6 %), by name", Unspecified, "", "c", name),
        ("members c… (6 %)", Unspecified, "", "c", ""),
        ("member p70-…@…", Unspecified, "", "p70-", ""),
    ]
    .map(|(what, state, role, query, order)| {
        let query = match query.strip_suffix('-') {
            Some(begin) => format!("{begin}-{}@", population.tag),
            None => query.to_owned(),
        };
        let request = ListMembershipsRequest {
            organisation_id: population.root.clone(),
            state: state.into(),
            role: role.to_owned(),
            query,
            order_by: order.to_owned(),
            ..Default::default()
        };
        Listing { what, asker: Asker::Owner, question: Question::Members(request) }
    })
    .into()
}

fn invitations(population: &Population) -> Vec<Listing> {
    use Asker::{Approver, Owner};
    let all = || ListInvitationsRequest {
        organisation_id: population.root.clone(),
        ..Default::default()
    };
    let in_state = |state: InvitationState| ListInvitationsRequest { state: state.into(), ..all() };
    let source = |text: &str| ListInvitationsRequest { source_id: text.to_owned(), ..all() };
    let application = ListInvitationsRequest { application_id: APPLICATION.to_owned(), ..all() };
    let inviter = ListInvitationsRequest { inviter_id: INVITER.to_owned(), ..all() };
    let email = ListInvitationsRequest { email: "i200@example.com".to_owned(), ..all() };
    let latest = ListInvitationsRequest { order_by: "created_at desc".to_owned(), ..all() };
    let below = |request| ListInvitationsRequest { recursive: true, ..request };
    [
        ("invitations", Owner, all()),
        ("invitations, latest first", Owner, latest.clone()),
        ("invitations pending (10 %)", Owner, in_state(InvitationState::Pending)),
        ("invitations revoked (0.1 %)", Owner, in_state(InvitationState::Revoked)),
        ("invitations expired (10 %)", Owner, in_state(InvitationState::Expired)),
        ("invitations of a source (10 %)", Owner, source(SOURCE)),
        ("invitation of its source", Owner, source("order 77")),
        ("invitations for an application (5 %)", Owner, application.clone()),
        ("invitations of an inviter (10 %)", Owner, inviter.clone()),
        ("invitation to an address", Owner, email.clone()),
        ("invitations of the subtree", Owner, below(all())),
        ("invitations of the subtree, for whom archives are hidden", Approver, below(all())),
        ("invitations of the subtree, latest first", Owner, below(latest)),
        ("invitations of the subtree, revoked", Owner, below(in_state(InvitationState::Revoked))),
        ("invitations of the subtree, of a source", Owner, below(source(SOURCE))),
        ("invitations of the subtree, for an application", Owner, below(application)),
        ("invitations of the subtree, of an inviter", Owner, below(inviter)),
        ("invitations of the subtree, to an address", Owner, below(email)),
    ]
    .map(|(what, asker, request)| Listing { what, asker, question: Question::Invitations(request) })
    .into()
}

fn organisations(population: &Population) -> Vec<Listing> {
    use Asker::{Approver, Everywhere, Owner};
    let root = &population.root;
    let mut all: Vec<Listing> = [
        ("organisations below", Owner, root.as_str(), false, "", ""),
        ("organisations below, by name", Owner, root, false, "", "display_name"),
        ("organisations of the subtree", Owner, root, true, "", ""),
        ("organisations of the subtree, by name", Owner, root, true, "", "display_name"),
        ("organisations of the subtree, school…", Owner, root, true, "school", ""),
        ("organisations of the subtree, c4…", Owner, root, true, "c4", ""),
        ("own organisations", Everywhere, "", false, "", ""),
        ("own organisations, by name", Everywhere, "", false, "", "display_name"),
        ("organisations seen", Everywhere, "", true, "", ""),
    ]
    .map(|(what, asker, parent, recursive, query, order)| {
        let request = ListOrganisationsRequest {
            parent_id: parent.to_owned(),
            recursive,
            query: query.to_owned(),
            order_by: order.to_owned(),
            ..Default::default()
        };
        Listing { what, asker, question: Question::Organisations(request) }
    })
    .into();
    let permitted = |what, asker| {
        let permission = "organisations.read".to_owned();
        let request = ListPermittedOrganisationsRequest { permission, ..Default::default() };
        Listing { what, asker, question: Question::Permitted(request) }
    };
    all.push(permitted("permitted by a role at the root", Approver));
    all.push(permitted("permitted by a role at each", Everywhere));
    let (what, asker) = ("own memberships", Everywhere);
    all.push(Listing { what, asker, question: Question::OwnMemberships });
    all
}
