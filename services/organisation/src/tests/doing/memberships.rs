use api::organisation::v1::{Membership as Proto, *};
use prost_types::FieldMask;

use crate::tests::{
    life::{Disagreement, Life, keys},
    model::Membership,
};

impl Life {
    pub(in crate::tests) async fn add(
        &mut self,
        by: usize,
        node: usize,
        person: usize,
        new: Membership,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_add(by, node, person, &new.roles);
        let request = CreateMembershipRequest {
            organisation_id: self.id(node),
            user_id: self.who(person).id.to_string(),
            roles: keys(&new.roles),
            valid_from: self.time(new.from),
            expires_at: self.time(new.until),
            ..Default::default()
        };
        let answer = self.who(by).memberships().create_membership(request).await;
        let done =
            self.agree(format!("{by} adds {person} to {node}: {new:?}"), expected, answer)?;
        Ok(done.map(|_| self.model.add(person, node, new)).is_some())
    }

    pub(in crate::tests) async fn set_roles(
        &mut self,
        by: usize,
        whose: (usize, usize),
        after: Membership,
    ) -> Result<bool, Disagreement> {
        self.change(by, whose, &["roles"], after).await
    }

    pub(in crate::tests) async fn set_time(
        &mut self,
        by: usize,
        whose: (usize, usize),
        after: Membership,
    ) -> Result<bool, Disagreement> {
        self.change(by, whose, &["valid_from", "expires_at"], after).await
    }

    async fn change(
        &mut self,
        by: usize,
        whose: (usize, usize),
        mask: &[&str],
        after: Membership,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_change(by, whose, &after);
        let (person, node) = whose;
        let membership = Proto {
            organisation_id: self.id(node),
            user_id: self.who(person).id.to_string(),
            roles: keys(&after.roles),
            valid_from: self.time(after.from),
            expires_at: self.time(after.until),
            ..Default::default()
        };
        let request = UpdateMembershipRequest {
            membership: Some(membership),
            update_mask: Some(FieldMask { paths: mask.iter().map(|&it| it.to_owned()).collect() }),
            ..Default::default()
        };
        let answer = self.who(by).memberships().update_membership(request).await;
        let told = format!("{by} changes {mask:?} of {person} at {node}: {after:?}");
        let done = self.agree(told, expected, answer)?;
        Ok(done.map(|_| self.model.memberships.insert(whose, after)).is_some())
    }

    /// Suspends, or resumes.
    pub(in crate::tests) async fn suspend(
        &mut self,
        by: usize,
        whose: (usize, usize),
        after: Membership,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_suspend(by, whose, after.suspended);
        let (person, node) = whose;
        let (organisation_id, user_id) = (self.id(node), self.who(person).id.to_string());
        let (mut client, request_id) = (self.who(by).memberships(), String::new());
        let answer = if after.suspended {
            let request = SuspendMembershipRequest { organisation_id, user_id, request_id };
            client.suspend_membership(request).await.map(|_| ())
        } else {
            let request = ResumeMembershipRequest { organisation_id, user_id, request_id };
            client.resume_membership(request).await.map(|_| ())
        };
        let verb = if after.suspended { "suspends" } else { "resumes" };
        let done = self.agree(format!("{by} {verb} {person} at {node}"), expected, answer)?;
        Ok(done.map(|()| self.model.memberships.insert(whose, after)).is_some())
    }

    pub(in crate::tests) async fn remove(
        &mut self,
        by: usize,
        whose: (usize, usize),
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_remove(by, whose);
        let (person, node) = whose;
        let request = RemoveMembershipRequest {
            organisation_id: self.id(node),
            user_id: self.who(person).id.to_string(),
            ..Default::default()
        };
        let answer = self.who(by).memberships().remove_membership(request).await;
        let done = self.agree(format!("{by} removes {person} from {node}"), expected, answer)?;
        Ok(done.map(|_| self.model.memberships.remove(&whose)).is_some())
    }
}
