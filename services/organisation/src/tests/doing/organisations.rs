use api::organisation::v1::*;
use tonic::Status;

use crate::tests::life::{Disagreement, Life};

impl Life {
    pub(in crate::tests) async fn create(
        &mut self,
        by: usize,
        parent: Option<usize>,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_create(by, parent);
        let request = CreateOrganisationRequest {
            display_name: format!("Node {}", self.model.nodes.len()),
            parent_id: parent.map(|parent| self.id(parent)).unwrap_or_default(),
            ..Default::default()
        };
        let answer = self.who(by).organisations().create_organisation(request).await;
        let told = format!("{by} creates {} below {parent:?}", self.model.nodes.len());
        let done = self.agree(told, expected, answer)?;
        let created = done.map(|answer| answer.into_inner().organisation.unwrap());
        Ok(created.map(|it| self.model.create(by, parent, it.id)).is_some())
    }

    pub(in crate::tests) async fn archive(
        &mut self,
        by: usize,
        node: usize,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_archive(by, node);
        let request = ArchiveOrganisationRequest { id: self.id(node), ..Default::default() };
        let answer = self.who(by).organisations().archive_organisation(request).await;
        let done = self.agree(format!("{by} archives {node}"), expected, answer)?;
        self.stage.check_tree().await;
        Ok(done.map(|_| self.model.archive(node)).is_some())
    }

    pub(in crate::tests) async fn restore(
        &mut self,
        by: usize,
        node: usize,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_restore(by, node);
        let request = RestoreOrganisationRequest { id: self.id(node), ..Default::default() };
        let answer = self.who(by).organisations().restore_organisation(request).await;
        let done = self.agree(format!("{by} restores {node}"), expected, answer)?;
        Ok(done.map(|_| self.model.restore(node)).is_some())
    }

    pub(in crate::tests) async fn relocate(
        &mut self,
        by: usize,
        node: usize,
        to: Option<usize>,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_move(by, node, to);
        let answer = self.preview_and_move(by, node, to).await;
        let done = self.agree(format!("{by} moves {node} below {to:?}"), expected, answer)?;
        self.stage.check_tree().await;
        Ok(done.map(|_| self.model.relocate(node, to)).is_some())
    }

    async fn preview_and_move(
        &self,
        by: usize,
        node: usize,
        to: Option<usize>,
    ) -> Result<(), Status> {
        let mut client = self.who(by).organisations();
        let new_parent_id = to.map(|to| self.id(to)).unwrap_or_default();
        let preview = PreviewOrganisationMoveRequest {
            id: self.id(node),
            new_parent_id: new_parent_id.clone(),
            ..Default::default()
        };
        let etag = client.preview_organisation_move(preview).await?.into_inner().etag;
        let request = MoveOrganisationRequest {
            id: self.id(node),
            new_parent_id,
            etag,
            ..Default::default()
        };
        client.move_organisation(request).await.map(|_| ())
    }
}
