use api::organisation::v1::*;

use crate::tests::{
    life::{Disagreement, Life, email, keys},
    model::{Roles, Stands},
};

impl Life {
    pub(in crate::tests) async fn invite(
        &mut self,
        by: usize,
        node: usize,
        person: usize,
        roles: Roles,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_invite(by, node, person, &roles);
        let request = CreateInvitationRequest {
            organisation_id: self.id(node),
            email: email(person),
            roles: keys(&roles),
            ..Default::default()
        };
        let answer = self.who(by).invitations().create_invitation(request).await;
        let told = format!("{by} invites {person} to {node} as {:?}", keys(&roles));
        let Some(answer) = self.agree(told, expected, answer)? else { return Ok(false) };
        let id = answer.into_inner().invitation.unwrap().id;
        self.model.invite(by, node, person, roles, id);
        Ok(true)
    }

    pub(in crate::tests) async fn accept(
        &mut self,
        by: usize,
        index: usize,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_accept(by, index);
        let request = AcceptInvitationRequest { id: self.invitation(index), ..Default::default() };
        let answer = self.who(by).invitations().accept_invitation(request).await;
        let done = self.agree(self.tells(by, "accepts", index), expected, answer)?;
        Ok(done.map(|_| self.model.accept(index)).is_some())
    }

    pub(in crate::tests) async fn decline(
        &mut self,
        by: usize,
        index: usize,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_decline(by, index);
        let request = DeclineInvitationRequest { id: self.invitation(index), ..Default::default() };
        let answer = self.who(by).invitations().decline_invitation(request).await;
        let done = self.agree(self.tells(by, "declines", index), expected, answer)?;
        Ok(done.map(|_| self.model.invitations[index].stands = Stands::Declined).is_some())
    }

    pub(in crate::tests) async fn revoke(
        &mut self,
        by: usize,
        index: usize,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_revoke(by, index);
        let request = RevokeInvitationRequest { id: self.invitation(index), ..Default::default() };
        let answer = self.who(by).invitations().revoke_invitation(request).await;
        let done = self.agree(self.tells(by, "revokes", index), expected, answer)?;
        Ok(done.map(|_| self.model.invitations[index].stands = Stands::Revoked).is_some())
    }

    pub(in crate::tests) async fn reissue(
        &mut self,
        by: usize,
        index: usize,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_reissue(by, index);
        let request = ReissueInvitationRequest { id: self.invitation(index), ..Default::default() };
        let answer = self.who(by).invitations().reissue_invitation(request).await;
        let done = self.agree(self.tells(by, "reissues", index), expected, answer)?;
        Ok(done.map(|_| self.model.reissue(by, index)).is_some())
    }

    fn invitation(&self, index: usize) -> String {
        self.model.invitations[index].id.clone()
    }

    fn tells(&self, by: usize, verb: &str, index: usize) -> String {
        let it = &self.model.invitations[index];
        let (person, node, stands) = (it.person, it.node, it.stands);
        format!("{by} {verb} invitation {index}, of {person} to {node} ({stands:?})")
    }
}
