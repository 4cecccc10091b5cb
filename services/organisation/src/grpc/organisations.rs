use api::organisation::v1::{organisation_service_server::OrganisationService, *};
use tonic::Request;

use super::Answer;
use crate::{Organisations, call::Call, organisations as slices};

#[tonic::async_trait]
impl OrganisationService for Organisations {
    async fn create_organisation(
        &self,
        request: Request<CreateOrganisationRequest>,
    ) -> Answer<CreateOrganisationResponse> {
        let (call, request) = Call::change(request, "organisations.create", |it| &it.request_id)?;
        self.answer(&call, slices::create::create(self, &call, request)).await
    }

    async fn get_organisation_path(
        &self,
        request: Request<GetOrganisationPathRequest>,
    ) -> Answer<GetOrganisationPathResponse> {
        let (call, request) = Call::read(request, "organisations.get_path")?;
        self.answer(&call, slices::get_path::get_path(self, &call, request)).await
    }

    async fn get_organisation(
        &self,
        request: Request<GetOrganisationRequest>,
    ) -> Answer<GetOrganisationResponse> {
        let (call, request) = Call::read(request, "organisations.get")?;
        self.answer(&call, slices::get::get(self, &call, request)).await
    }

    async fn list_organisations(
        &self,
        request: Request<ListOrganisationsRequest>,
    ) -> Answer<ListOrganisationsResponse> {
        let (call, request) = Call::read(request, "organisations.list")?;
        self.answer(&call, slices::list::list(self, &call, request)).await
    }

    async fn update_organisation(
        &self,
        request: Request<UpdateOrganisationRequest>,
    ) -> Answer<UpdateOrganisationResponse> {
        let (call, request) = Call::change(request, "organisations.update", |it| &it.request_id)?;
        self.answer(&call, slices::update::update(self, &call, request)).await
    }

    async fn archive_organisation(
        &self,
        request: Request<ArchiveOrganisationRequest>,
    ) -> Answer<ArchiveOrganisationResponse> {
        let (call, request) = Call::change(request, "organisations.archive", |it| &it.request_id)?;
        self.answer(&call, slices::archive::archive(self, &call, request)).await
    }

    async fn restore_organisation(
        &self,
        request: Request<RestoreOrganisationRequest>,
    ) -> Answer<RestoreOrganisationResponse> {
        let (call, request) = Call::change(request, "organisations.restore", |it| &it.request_id)?;
        self.answer(&call, slices::restore::restore(self, &call, request)).await
    }

    async fn preview_organisation_move(
        &self,
        request: Request<PreviewOrganisationMoveRequest>,
    ) -> Answer<PreviewOrganisationMoveResponse> {
        let (call, request) = Call::read(request, "organisations.preview_move")?;
        self.answer(&call, slices::preview_move::preview_move(self, &call, request)).await
    }

    async fn move_organisation(
        &self,
        request: Request<MoveOrganisationRequest>,
    ) -> Answer<MoveOrganisationResponse> {
        let (call, request) = Call::change(request, "organisations.move", |it| &it.request_id)?;
        self.answer(&call, slices::relocate::relocate(self, &call, request)).await
    }
}
