//! Source 004, "Specification User Invitation", walked through command by command on real servers.

use api::organisation::v1::{
    application_service_client::ApplicationServiceClient,
    invitation_service_client::InvitationServiceClient,
    organisation_service_client::OrganisationServiceClient, role_service_client::RoleServiceClient,
    *,
};
use stories::{Client, PASSWORD, Platform};
use testkit::with_token;
use tonic::Status;
use tonic_types::StatusExt as _;

/// Where the application sends people on.
const REDIRECT: &str = "https://studio.example/welcome";

/// A university with the roles of the document, its policy and its application.
struct Scene {
    platform: Platform,
    owner: Client,
    university: String,
    application: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn source_004_user_invitation() {
    let scene = Scene::set().await;
    let dean = scene
        .platform
        .member(&scene.owner, &scene.university, "dean@example.com", "inviteUsers")
        .await;
    only_with_the_permission(&scene).await;
    incomplete_or_invalid_parameters_end_with_an_error(&scene, &dean).await;
    an_existing_account_ends_with_an_error(&scene, &dean).await;
    let invitation = the_account_exists_at_once_and_is_unusable(&scene, &dean).await;
    the_person_enrols_is_signed_in_and_redirected(&scene, &invitation).await;
    a_privileged_person_enters_an_invitation_in_a_form(&scene).await;
}

impl Scene {
    async fn set() -> Self {
        // "An expiration date by a given offset (in days) that it reads from the settings."
        let settings = [("USHER_INVITATION_LIFE", "3d")];
        let platform = Platform::on_real_servers_with(&settings).await;
        let owner = platform.owner().await;
        let token = owner.token().to_owned();
        let channel = platform.organisation();
        let request = CreateOrganisationRequest {
            display_name: "University".to_owned(),
            invitation_policy: Some(InvitationPolicy {
                existing_account: ExistingAccountPolicy::Refuse.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut organisations = OrganisationServiceClient::new(channel.clone());
        let created = organisations.create_organisation(with_token(&token, request)).await;
        let university = created.expect("created").into_inner().organisation.expect("it").id;
        let mut roles = RoleServiceClient::new(channel.clone());
        // "A role `inviteUsers` that permits to send invitations"; personas `team` and `teacher`
        // (`admin` is built in).
        let reading = ["organisations.read", "members.read"];
        for (key, permissions) in [
            ("inviteUsers", vec!["organisations.read", "members.read", "invitations.create"]),
            ("team", reading.to_vec()),
            ("teacher", reading.to_vec()),
        ] {
            let role = CreateRoleRequest {
                organisation_id: university.clone(),
                key: key.to_owned(),
                permissions: permissions.into_iter().map(str::to_owned).collect(),
                ..Default::default()
            };
            roles.create_role(with_token(&token, role)).await.expect("a role");
        }
        let application = CreateApplicationRequest {
            organisation_id: university.clone(),
            display_name: "Studio".to_owned(),
            redirect_urls: vec![REDIRECT.to_owned()],
            assign_on_invite: true,
            ..Default::default()
        };
        let mut applications = ApplicationServiceClient::new(channel);
        let created = applications.create_application(with_token(&token, application)).await;
        let application = created.expect("created").into_inner().application.expect("it").id;
        Self { platform, owner, university, application }
    }

    /// "`email`, `firstName`, `lastName`, `role`, `institution` and (optional) `application`."
    fn request(&self, email: &str, role: &str) -> CreateInvitationRequest {
        CreateInvitationRequest {
            organisation_id: self.university.clone(),
            email: email.to_owned(),
            first_name: "Emmy".to_owned(),
            last_name: "Noether".to_owned(),
            roles: vec![role.to_owned()],
            institution: "Göttingen".to_owned(),
            application_id: self.application.clone(),
            ..Default::default()
        }
    }

    async fn invite(
        &self,
        who: &Client,
        request: CreateInvitationRequest,
    ) -> Result<Invitation, Status> {
        let mut invitations = InvitationServiceClient::new(self.platform.organisation());
        let answer = invitations.create_invitation(with_token(who.token(), request)).await?;
        Ok(answer.into_inner().invitation.expect("an invitation"))
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// "There needs to be a role `inviteUsers` that permits to send invitations to users."
async fn only_with_the_permission(scene: &Scene) {
    let (platform, owner) = (&scene.platform, &scene.owner);
    let other = owner.create_organisation("Elsewhere", None).await;
    platform.member(owner, &other, "emil@example.com", "admin").await;
    let emil = platform.anonymous().sign_in("emil@example.com", PASSWORD).await;
    let refused = scene.invite(&emil, scene.request("x@example.com", "teacher")).await;
    assert_eq!(reason(&refused.expect_err("refused")), "ORGANISATION_NOT_FOUND");
}

/// "If the parameters schema is incomplete or invalid, end by throwing an error": all at once.
async fn incomplete_or_invalid_parameters_end_with_an_error(scene: &Scene, dean: &Client) {
    let mut request = scene.request("nobody", "emperor");
    request.first_name = "\u{202e}".to_owned();
    request.application_id = "7".to_owned();
    let refused = scene.invite(dean, request).await.expect_err("refused");
    let violations = refused.get_details_bad_request().expect("a list of fields").field_violations;
    let mut fields: Vec<_> = violations.iter().map(|it| it.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["application_id", "email", "first_name", "roles[0]"]);
    // Nobody gives what they do not hold.
    let refused = scene.invite(dean, scene.request("emmy@example.com", "admin")).await;
    assert_eq!(reason(&refused.expect_err("refused")), "GRANT_CEILING_EXCEEDED");
}

/// "If an account exists by given `email`, end by throwing an error": the organisation's policy.
async fn an_existing_account_ends_with_an_error(scene: &Scene, dean: &Client) {
    let refused = scene.invite(dean, scene.request("EMIL@example.com", "teacher")).await;
    assert_eq!(reason(&refused.expect_err("refused")), "ACCOUNT_EXISTS");
}

/// "The server creates a new user account with given credentials plus a random password", "assigns
/// the given role to the new user account but keeps the account in an ‘invalid’ status".
async fn the_account_exists_at_once_and_is_unusable(scene: &Scene, dean: &Client) -> Invitation {
    let request = scene.request("emmy@example.com", "teacher");
    let invitation = scene.invite(dean, request).await.expect("invited");
    assert_eq!(invitation.display_name, "Emmy Noether");
    assert_eq!(invitation.roles, ["teacher"]);
    let seconds = |at: &Option<prost_types::Timestamp>| at.as_ref().expect("a moment").seconds;
    let life = seconds(&invitation.expires_at) - seconds(&invitation.created_at);
    assert_eq!(life, 3 * 24 * 60 * 60, "the offset of the settings");
    assert!(!invitation.invitee_id.is_empty(), "the account exists");
    let sign_in = scene.platform.anonymous().try_sign_in("emmy@example.com", PASSWORD).await;
    assert_eq!(sign_in.status, 401);
    // A second invitation finds the account.
    let again = scene.invite(dean, scene.request("emmy@example.com", "team")).await;
    assert_eq!(reason(&again.expect_err("refused")), "INVITATION_PENDING");
    invitation
}

/// "The user opens the enrolment link and gets directed to the enrolment page", "is asked to change
/// her password", "on successful password update the user is automatically logged in", "optionally,
/// the user is redirected to the defined application's redirect url".
async fn the_person_enrols_is_signed_in_and_redirected(scene: &Scene, invitation: &Invitation) {
    let link = scene.platform.link_mailed_to("emmy@example.com").await;
    let visitor = scene.platform.anonymous();
    let (status, page) = visitor.open(&link).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("password") && page.contains("Studio"), "{page}");
    let went = visitor.submit_form(&link, "Emmy Noether").await;
    assert_eq!((went.status, went.location.as_deref()), (303, Some(REDIRECT)));
    let cookie = went.cookie.expect("signed in");
    let home = visitor.open_with_cookie("/", &cookie).await;
    assert!(home.contains("Emmy Noether"), "{home}");

    assert_eq!(scene.owner.state_of(&invitation.id).await, "accepted");
    let emmy = visitor.sign_in("emmy@example.com", PASSWORD).await;
    assert!(scene.platform.allows(&emmy, &scene.university, "members.read").await);
    assert!(!scene.platform.allows(&emmy, &scene.university, "invitations.create").await);
    let request = ListApplicationAccessRequest {
        application_id: scene.application.clone(),
        organisation_id: scene.university.clone(),
        ..Default::default()
    };
    let mut applications = ApplicationServiceClient::new(scene.platform.organisation());
    let access =
        applications.list_application_access(with_token(scene.owner.token(), request)).await;
    let access = access.expect("a list").into_inner().access;
    assert_eq!(access.len(), 1, "this application assigns itself on invitation");
}

/// "Form entry (a privileged user enters the invitation credentials manually via a form)."
async fn a_privileged_person_enters_an_invitation_in_a_form(scene: &Scene) {
    let dean = scene.platform.anonymous();
    let cookie = dean.sign_in_at_the_page("dean@example.com", PASSWORD).await;
    let page = dean.open_with_cookie("/invite", &cookie).await;
    let path = format!("/invite/{}", scene.university);
    assert!(page.contains(&path) && !page.contains("Elsewhere"), "{page}");
    let page = dean.open_with_cookie(&path, &cookie).await;
    let request_id = page.split("name=\"request_id\" value=\"").nth(1).expect("a form");
    let request_id = request_id.split('"').next().expect("an id");
    let mut form = vec![
        ("request_id", request_id),
        ("first_name", "Hilbert"),
        ("last_name", "David"),
        ("institution", "Göttingen"),
        ("role", "teacher"),
        ("application", &scene.application),
    ];
    let incomplete = dean.submit_with_cookie(&dean.url(&path), &form, &cookie).await;
    assert_eq!(incomplete.status, 422, "{}", incomplete.page);
    assert!(incomplete.page.contains("href=\"#email\""), "{}", incomplete.page);
    form.push(("email", "david@example.com"));
    // Sent twice, it invites once.
    for _ in 0..2 {
        let invited = dean.submit_with_cookie(&dean.url(&path), &form, &cookie).await;
        assert_eq!(invited.status, 201, "{}", invited.page);
        assert!(invited.page.contains("david@example.com is invited"), "{}", invited.page);
    }
    scene.platform.link_mailed_to("david@example.com").await;
}
