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
}
