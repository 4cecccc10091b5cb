//! The services that only have to say what they were asked, and answer something.

use api::organisation::v1::{
    access_request_service_server::AccessRequestService,
    application_service_server::ApplicationService, audit_service_server::AuditService,
    membership_service_server::MembershipService, organisation_service_server::OrganisationService,
    permission_service_server::PermissionService, role_service_server::RoleService, *,
};
use tonic::{Request, Response, Status};

use super::World;

/// A service each of whose methods keeps its request and answers a fixed response.
macro_rules! answering {
    ($service:ident { $($method:ident($request:ident) -> $response:ident = $answer:expr;)* }) => {
        #[tonic::async_trait]
        impl $service for World {
            $(async fn $method(
                &self,
                request: Request<$request>,
            ) -> Result<Response<$response>, Status> {
                self.keep(stringify!($method), request)?;
                Ok(Response::new($answer))
            })*
        }
    };
}

fn organisation() -> Option<Organisation> {
    Some(Organisation {
        id: "o1".to_owned(),
        display_name: "ABC Holdings".to_owned(),
        etag: "3".to_owned(),
        ..Organisation::default()
    })
}

fn membership() -> Option<Membership> {
    Some(Membership {
        organisation_id: "o1".to_owned(),
        user_id: "u1".to_owned(),
        roles: vec!["user".to_owned()],
        state: MembershipState::Suspended.into(),
        etag: "3".to_owned(),
        ..Membership::default()
    })
}

fn role() -> Option<Role> {
    Some(Role {
        id: "r1".to_owned(),
        key: "teacher".to_owned(),
        etag: "3".to_owned(),
        ..Role::default()
    })
}

fn access_request() -> Option<AccessRequest> {
    let state = AccessRequestState::Approved.into();
    Some(AccessRequest { id: "q1".to_owned(), state, ..AccessRequest::default() })
}

fn application() -> Option<Application> {
    Some(Application { id: "a1".to_owned(), etag: "3".to_owned(), ..Application::default() })
}

fn access() -> Option<ApplicationAccess> {
    Some(ApplicationAccess { application_id: "a1".to_owned(), ..ApplicationAccess::default() })
}

fn next() -> String {
    "next".to_owned()
}

answering!(OrganisationService {
    create_organisation(CreateOrganisationRequest) -> CreateOrganisationResponse =
        CreateOrganisationResponse { organisation: organisation() };
    get_organisation(GetOrganisationRequest) -> GetOrganisationResponse =
        GetOrganisationResponse { organisation: organisation() };
    list_organisations(ListOrganisationsRequest) -> ListOrganisationsResponse =
        ListOrganisationsResponse {
            organisations: organisation().into_iter().collect(),
            next_page_token: next(),
        };
    update_organisation(UpdateOrganisationRequest) -> UpdateOrganisationResponse =
        UpdateOrganisationResponse { organisation: organisation() };
    archive_organisation(ArchiveOrganisationRequest) -> ArchiveOrganisationResponse =
        ArchiveOrganisationResponse { organisation: organisation() };
    restore_organisation(RestoreOrganisationRequest) -> RestoreOrganisationResponse =
        RestoreOrganisationResponse { organisation: organisation() };
    preview_organisation_move(PreviewOrganisationMoveRequest) -> PreviewOrganisationMoveResponse =
        PreviewOrganisationMoveResponse {
            changes: vec![AccessChange { gains: true, ..AccessChange::default() }],
            etag: "7".to_owned(),
            ..Default::default()
        };
    move_organisation(MoveOrganisationRequest) -> MoveOrganisationResponse =
        MoveOrganisationResponse { organisation: organisation() };
});

answering!(MembershipService {
    create_membership(CreateMembershipRequest) -> CreateMembershipResponse =
        CreateMembershipResponse { membership: membership() };
    get_membership(GetMembershipRequest) -> GetMembershipResponse =
        GetMembershipResponse { membership: membership() };
    list_memberships(ListMembershipsRequest) -> ListMembershipsResponse =
        ListMembershipsResponse {
            memberships: membership().into_iter().collect(),
            next_page_token: next(),
        };
    list_subject_memberships(ListSubjectMembershipsRequest) -> ListSubjectMembershipsResponse =
        ListSubjectMembershipsResponse {
            memberships: membership().into_iter().collect(),
            next_page_token: next(),
        };
    update_membership(UpdateMembershipRequest) -> UpdateMembershipResponse =
        UpdateMembershipResponse { membership: membership() };
    suspend_membership(SuspendMembershipRequest) -> SuspendMembershipResponse =
        SuspendMembershipResponse { membership: membership() };
    resume_membership(ResumeMembershipRequest) -> ResumeMembershipResponse =
        ResumeMembershipResponse { membership: membership() };
    remove_membership(RemoveMembershipRequest) -> RemoveMembershipResponse =
        RemoveMembershipResponse {};
});

answering!(RoleService {
    list_permissions(ListPermissionsRequest) -> ListPermissionsResponse =
        ListPermissionsResponse {
            permissions: vec![Permission { key: "roles.manage".to_owned(), ..Default::default() }],
        };
    create_role(CreateRoleRequest) -> CreateRoleResponse = CreateRoleResponse { role: role() };
    get_role(GetRoleRequest) -> GetRoleResponse = GetRoleResponse { role: role() };
    list_roles(ListRolesRequest) -> ListRolesResponse =
        ListRolesResponse { roles: role().into_iter().collect(), next_page_token: next() };
    update_role(UpdateRoleRequest) -> UpdateRoleResponse = UpdateRoleResponse { role: role() };
    delete_role(DeleteRoleRequest) -> DeleteRoleResponse = DeleteRoleResponse {};
});

answering!(PermissionService {
    batch_check_permissions(BatchCheckPermissionsRequest) -> BatchCheckPermissionsResponse =
        BatchCheckPermissionsResponse { allowed: vec![true, false] };
    list_permitted_organisations(ListPermittedOrganisationsRequest)
        -> ListPermittedOrganisationsResponse = ListPermittedOrganisationsResponse {
            organisation_ids: vec!["o1".to_owned()],
            next_page_token: next(),
        };
    explain_permission(ExplainPermissionRequest) -> ExplainPermissionResponse =
        ExplainPermissionResponse {
            grounds: Some(Grounds { role: "user".to_owned(), distance: 1, ..Grounds::default() }),
            missing: Missing::Permission.into(),
            ..Default::default()
        };
});

answering!(AccessRequestService {
    create_access_request(CreateAccessRequestRequest) -> CreateAccessRequestResponse =
        CreateAccessRequestResponse { access_request: access_request() };
    get_access_request(GetAccessRequestRequest) -> GetAccessRequestResponse =
        GetAccessRequestResponse { access_request: access_request() };
    list_access_requests(ListAccessRequestsRequest) -> ListAccessRequestsResponse =
        ListAccessRequestsResponse {
            access_requests: access_request().into_iter().collect(),
            next_page_token: next(),
        };
    list_own_access_requests(ListOwnAccessRequestsRequest) -> ListOwnAccessRequestsResponse =
        ListOwnAccessRequestsResponse {
            access_requests: access_request().into_iter().collect(),
            next_page_token: next(),
        };
    approve_access_request(ApproveAccessRequestRequest) -> ApproveAccessRequestResponse =
        ApproveAccessRequestResponse { access_request: access_request() };
    reject_access_request(RejectAccessRequestRequest) -> RejectAccessRequestResponse =
        RejectAccessRequestResponse { access_request: access_request() };
    withdraw_access_request(WithdrawAccessRequestRequest) -> WithdrawAccessRequestResponse =
        WithdrawAccessRequestResponse { access_request: access_request() };
});

answering!(ApplicationService {
    create_application(CreateApplicationRequest) -> CreateApplicationResponse =
        CreateApplicationResponse {
            application: application(),
            callback_secret: "whsec_x".to_owned(),
        };
    get_application(GetApplicationRequest) -> GetApplicationResponse =
        GetApplicationResponse { application: application() };
    list_applications(ListApplicationsRequest) -> ListApplicationsResponse =
        ListApplicationsResponse {
            applications: application().into_iter().collect(),
            next_page_token: next(),
        };
    update_application(UpdateApplicationRequest) -> UpdateApplicationResponse =
        UpdateApplicationResponse { application: application() };
    remove_application(RemoveApplicationRequest) -> RemoveApplicationResponse =
        RemoveApplicationResponse {};
    rotate_callback_secret(RotateCallbackSecretRequest) -> RotateCallbackSecretResponse =
        RotateCallbackSecretResponse { callback_secret: "whsec_y".to_owned() };
    grant_application_access(GrantApplicationAccessRequest) -> GrantApplicationAccessResponse =
        GrantApplicationAccessResponse { access: access() };
    withdraw_application_access(WithdrawApplicationAccessRequest) ->
        WithdrawApplicationAccessResponse = WithdrawApplicationAccessResponse {};
    list_application_access(ListApplicationAccessRequest) -> ListApplicationAccessResponse =
        ListApplicationAccessResponse {
            access: access().into_iter().collect(),
            next_page_token: next(),
        };
});

#[tonic::async_trait]
impl AuditService for World {
    async fn list_audit_records(
        &self,
        request: Request<ListAuditRecordsRequest>,
    ) -> Result<Response<ListAuditRecordsResponse>, Status> {
        self.keep("list_audit_records", request)?;
        let record = AuditRecord {
            id: "h1".to_owned(),
            actor_kind: ActorKind::Usher.into(),
            hash: vec![0, 1, 2],
            ..AuditRecord::default()
        };
        let next_page_token = next();
        Ok(Response::new(ListAuditRecordsResponse { records: vec![record], next_page_token }))
    }
}
