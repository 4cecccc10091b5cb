//! Source 000, "Invite users to schools' DfE Sign-in via Manage School Dashboard", walked through
//! command by command on real servers.
//!
//! Manage School Experience is a service account that invites through the API. What the document
//! calls a security protocol is Usher's grant ceiling for programs: they invite into roles marked
//! invitable alone, and assign no application.

use api::organisation::v1::{
    access_request_service_client::AccessRequestServiceClient,
    application_service_client::ApplicationServiceClient,
    invitation_service_client::InvitationServiceClient,
    membership_service_client::MembershipServiceClient,
    organisation_service_client::OrganisationServiceClient, role_service_client::RoleServiceClient,
    *,
};
use prost_types::FieldMask;
use stories::{Client, PASSWORD, Platform};
use testkit::with_token;
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt as _;

/// The platform, its owner, a school with its application, and the program that invites.
struct Scene {
    platform: Platform,
    owner: Client,
    school: String,
    service: String,
    program: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn source_000_invite_users_to_schools() {
    let scene = Scene::set().await;
    let teacher = users_invite_new_users_as_end_users(&scene).await;
    the_api_grants_neither_approver_nor_a_service(&scene).await;
    let approver = approver_level_comes_by_request_to_support(&scene, &teacher).await;
    current_approvers_give_access_to_the_service(&scene, &approver).await;
    leavers_are_removed(&scene, &approver).await;
}

impl Scene {
    /// Department → school. `End-user` is configured: the default role, and the one that programs
    /// may invite into.
    async fn set() -> Self {
        let platform = Platform::on_real_servers().await;
        let owner = platform.owner().await;
        let department = owner.create_organisation("Department for Education", None).await;
        let school = owner.create_organisation("Hillside School", Some(&department)).await;
        let channel = platform.organisation();
        let mut roles = RoleServiceClient::new(channel.clone());
        for (key, invitable, permissions) in [
            ("End-user", true, vec!["organisations.read"]),
            ("inviter", false, vec!["organisations.read", "invitations.create"]),
        ] {
            let role = CreateRoleRequest {
                organisation_id: department.clone(),
                key: key.to_owned(),
                permissions: permissions.into_iter().map(str::to_owned).collect(),
                invitable,
                ..Default::default()
            };
            roles.create_role(with_token(owner.token(), role)).await.expect("a role");
        }
        let policy = UpdateOrganisationRequest {
            organisation: Some(Organisation {
                id: department.clone(),
                invitation_policy: Some(InvitationPolicy {
                    default_role: "End-user".to_owned(),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            update_mask: Some(FieldMask { paths: vec!["invitation_policy.default_role".into()] }),
            ..Default::default()
        };
        let mut organisations = OrganisationServiceClient::new(channel.clone());
        organisations.update_organisation(with_token(owner.token(), policy)).await.expect("set");
        let application = CreateApplicationRequest {
            organisation_id: department.clone(),
            display_name: "Manage School Experience".to_owned(),
            redirect_urls: vec!["https://school-experience.example/".to_owned()],
            ..Default::default()
        };
        let mut applications = ApplicationServiceClient::new(channel.clone());
        let created = applications.create_application(with_token(owner.token(), application)).await;
        let service = created.expect("an application").into_inner().application.expect("it").id;

        let (account, program) = platform.service_account("manage-school", &[]).await;
        let membership = CreateMembershipRequest {
            organisation_id: department,
            user_id: account,
            roles: vec!["inviter".to_owned()],
            is_service_account: true,
            ..Default::default()
        };
        let mut memberships = MembershipServiceClient::new(channel);
        let added = memberships.create_membership(with_token(owner.token(), membership)).await;
        added.expect("the program is a member");
        Self { platform, owner, school, service, program }
    }

    fn channel(&self) -> Channel {
        self.platform.organisation()
    }

    async fn invite_by_api(
        &self,
        email: &str,
        roles: &[&str],
        application: &str,
    ) -> Result<Invitation, Status> {
        let request = CreateInvitationRequest {
            organisation_id: self.school.clone(),
            email: email.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            application_id: application.to_owned(),
            ..Default::default()
        };
        let mut invitations = InvitationServiceClient::new(self.channel());
        let answer = invitations.create_invitation(with_token(&self.program, request)).await?;
        Ok(answer.into_inner().invitation.expect("an invitation"))
    }

    async fn enrol(&self, email: &str) -> Client {
        let link = self.platform.link_mailed_to(email).await;
        let visitor = self.platform.anonymous();
        visitor.submit_form(&link, "Somebody of the school").await;
        visitor.sign_in(email, PASSWORD).await
    }

    async fn ask(&self, who: &Client, role: &str, application: &str) -> AccessRequest {
        let request = CreateAccessRequestRequest {
            organisation_id: self.school.clone(),
            role: role.to_owned(),
            application_id: application.to_owned(),
            reason: "I run the placements.".to_owned(),
            ..Default::default()
        };
        let mut requests = AccessRequestServiceClient::new(self.channel());
        let answer = requests.create_access_request(with_token(who.token(), request)).await;
        answer.expect("a request").into_inner().access_request.expect("it")
    }

    async fn approve(
        &self,
        who: &Client,
        request: &AccessRequest,
    ) -> Result<AccessRequest, Status> {
        let request = ApproveAccessRequestRequest { id: request.id.clone(), ..Default::default() };
        let mut requests = AccessRequestServiceClient::new(self.channel());
        let answer = requests.approve_access_request(with_token(who.token(), request)).await?;
        Ok(answer.into_inner().access_request.expect("it"))
    }

    async fn to_decide(&self, who: &Client) -> Vec<String> {
        let request = ListAccessRequestsRequest {
            state: AccessRequestState::Pending.into(),
            ..Default::default()
        };
        let mut requests = AccessRequestServiceClient::new(self.channel());
        let answer = requests.list_access_requests(with_token(who.token(), request)).await;
        let listed = answer.expect("a list").into_inner().access_requests;
        listed.into_iter().map(|request| request.id).collect()
    }

    async fn access(&self) -> Vec<ApplicationAccess> {
        let request = ListApplicationAccessRequest {
            application_id: self.service.clone(),
            organisation_id: self.school.clone(),
            ..Default::default()
        };
        let mut applications = ApplicationServiceClient::new(self.channel());
        let token = self.owner.token();
        let answer = applications.list_application_access(with_token(token, request)).await;
        answer.expect("a list").into_inner().access
    }

    async fn members(&self) -> Vec<Membership> {
        let request =
            ListMembershipsRequest { organisation_id: self.school.clone(), ..Default::default() };
        let mut memberships = MembershipServiceClient::new(self.channel());
        let answer = memberships.list_memberships(with_token(self.owner.token(), request)).await;
        answer.expect("a list").into_inner().memberships
    }

    async fn roles_of(&self, email: &str) -> Vec<String> {
        let members = self.members().await;
        let found = members.into_iter().find(|member| member.email == email);
        found.map(|member| member.roles).unwrap_or_default()
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// "Users can invite users to the schools they are signed in to." "The new users will be assigned an
/// organisation they have been invited to manage and will be assigned an ‘End-user’ role by default."
async fn users_invite_new_users_as_end_users(scene: &Scene) -> Client {
    let invitation = scene.invite_by_api("teacher@example.com", &[], "").await.expect("invited");
    assert_eq!(invitation.roles, ["End-user"]);
    let invited = scene.members().await;
    let invited = invited.iter().find(|member| member.email == "teacher@example.com");
    assert_eq!(invited.map(Membership::state), Some(MembershipState::Invited));
    let teacher = scene.enrol("teacher@example.com").await;
    assert_eq!(scene.roles_of("teacher@example.com").await, ["End-user"]);
    teacher
}

/// "DSI only assigns an ‘end-user’ role via public API - security protocol." "DSI also does not
/// assign service by default via public API - security protocol."
async fn the_api_grants_neither_approver_nor_a_service(scene: &Scene) {
    let refused = scene.invite_by_api("boss@example.com", &["approver"], "").await;
    assert_eq!(reason(&refused.expect_err("refused")), "ROLE_NOT_INVITABLE");
    let refused = scene.invite_by_api("boss@example.com", &["Approver"], "").await;
    assert_eq!(reason(&refused.expect_err("refused")), "ROLE_NOT_INVITABLE");
    scene.invite_by_api("clerk@example.com", &[], &scene.service).await.expect("invited");
    let clerk = scene.enrol("clerk@example.com").await;
    assert!(scene.platform.allows(&clerk, &scene.school, "organisations.read").await);
    assert!(scene.access().await.is_empty(), "an invitation by itself opens no service");
}

/// "If the users need to get ‘Approver’ level access, they can reach out to DSI support for their
/// request." The school has no approver yet: the request goes up the tree, and support sees it too.
async fn approver_level_comes_by_request_to_support(scene: &Scene, teacher: &Client) -> Client {
    let platform = &scene.platform;
    let helpdesk = scene.owner.create_organisation("Helpdesk", None).await;
    let support = platform.member(&scene.owner, &helpdesk, "support@example.com", "user").await;
    let support_id =
        support.get("/api/me").await.expect(200)["id"].as_str().expect("id").to_owned();
    let membership = CreateMembershipRequest {
        // The platform itself: what is held there holds everywhere.
        organisation_id: "00000000-0000-0000-0000-000000000000".to_owned(),
        user_id: support_id,
        roles: vec!["support".to_owned()],
        ..Default::default()
    };
    let mut memberships = MembershipServiceClient::new(scene.channel());
    let token = scene.owner.token();
    memberships.create_membership(with_token(token, membership)).await.expect("support");

    let asked = scene.ask(teacher, "approver", "").await;
    assert_eq!(asked.state(), AccessRequestState::Pending);
    let own = scene.approve(teacher, &asked).await.expect_err("four eyes");
    assert!(["OWN_REQUEST", "PERMISSION_MISSING"].contains(&reason(&own).as_str()), "{own:?}");
    // The next holder up the tree is asked by mail; support finds it without belonging to the school.
    platform.nth_mail_to("owner@example.com", 1).await;
    assert_eq!(scene.to_decide(&support).await, [asked.id.as_str()]);
    let decided = scene.approve(&support, &asked).await.expect("decided");
    assert_eq!(decided.state(), AccessRequestState::Approved);
    let again = scene.approve(&support, &asked).await.expect_err("once");
    assert_eq!(reason(&again), "ACCESS_REQUEST_SETTLED");
    assert_eq!(scene.roles_of("teacher@example.com").await, ["approver", "End-user"]);
    // Received and decided, after the invitation.
    platform.nth_mail_to("teacher@example.com", 3).await;
    // Support acts within its own ceiling.
    let too_much = scene.ask(teacher, "admin", "").await;
    let refused = scene.approve(&support, &too_much).await.expect_err("above the ceiling");
    assert_eq!(reason(&refused), "GRANT_CEILING_EXCEEDED");
    platform.anonymous().sign_in("teacher@example.com", PASSWORD).await
}

/// "They will also be able to ask current approvers to give them access to the service."
async fn current_approvers_give_access_to_the_service(scene: &Scene, approver: &Client) {
    let clerk = scene.platform.anonymous().sign_in("clerk@example.com", PASSWORD).await;
    let asked = scene.ask(&clerk, "", &scene.service).await;
    assert!(!asked.no_approvers, "{asked:?}");
    // The mail about the clerk's request comes after those about the approver's own.
    scene.platform.nth_mail_to("teacher@example.com", 5).await;
    scene.approve(approver, &asked).await.expect("decided");
    let access = scene.access().await;
    let emails: Vec<_> = access.iter().map(|access| access.email.as_str()).collect();
    assert_eq!(emails, ["clerk@example.com"]);
}

/// "… and remove them when they are no longer in the role or organisation."
async fn leavers_are_removed(scene: &Scene, approver: &Client) {
    let clerk = scene.platform.anonymous().sign_in("clerk@example.com", PASSWORD).await;
    let clerk_id = clerk.get("/api/me").await.expect(200)["id"].as_str().expect("id").to_owned();
    let request = RemoveMembershipRequest {
        organisation_id: scene.school.clone(),
        user_id: clerk_id,
        ..Default::default()
    };
    let mut memberships = MembershipServiceClient::new(scene.channel());
    memberships.remove_membership(with_token(approver.token(), request)).await.expect("removed");
    assert!(!scene.platform.allows(&clerk, &scene.school, "organisations.read").await);
    assert!(scene.access().await.is_empty(), "whoever leaves the school leaves the service");
    clerk.get("/api/me").await.expect(200);
}
