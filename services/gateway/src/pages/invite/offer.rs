use api::organisation::v1::{
    Application, GetOrganisationRequest, ListApplicationsRequest, ListRolesRequest, Organisation,
    Role,
};
use service::Auth;

use super::Stop;
use crate::{clients::Gateway, pages::form::Form};

/// What an organisation has to offer: its roles and the applications that it can use, the first
/// hundred of each.
pub(super) struct Offers {
    pub organisation: Organisation,
    pub roles: Vec<Role>,
    pub applications: Vec<Application>,
}

impl Offers {
    pub async fn of(gateway: &Gateway, person: &Auth, organisation: &str) -> Result<Self, Stop> {
        let organisation_id = organisation.to_owned();
        let (mut organisations, mut roles, mut applications) = (
            gateway.organisations(person.clone()),
            gateway.roles(person.clone()),
            gateway.applications(person.clone()),
        );
        let of_applications = ListApplicationsRequest {
            organisation_id: organisation_id.clone(),
            page_size: 100,
            ..Default::default()
        };
        let of_roles = ListRolesRequest {
            organisation_id: organisation_id.clone(),
            page_size: 100,
            ..Default::default()
        };
        let (organisation, roles, applications) = tokio::try_join!(
            organisations.get_organisation(GetOrganisationRequest { id: organisation_id }),
            roles.list_roles(of_roles),
            applications.list_applications(of_applications),
        )?;
        Ok(Self {
            organisation: organisation.into_inner().organisation.unwrap_or_default(),
            roles: roles.into_inner().roles,
            applications: applications.into_inner().applications,
        })
    }
}

/// What was typed.
#[derive(Default)]
pub(super) struct Typed {
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    pub institution: String,
    /// Empty for the organisation's default role.
    pub role: String,
    /// Empty for none.
    pub application: String,
    pub message: String,
    /// A form that is submitted twice invites once.
    pub request_id: String,
}

impl Typed {
    pub fn read(form: &Form) -> Self {
        let text = |name: &str| form.text(name).trim().to_owned();
        Self {
            email: text("email"),
            first_name: text("first_name"),
            last_name: text("last_name"),
            institution: text("institution"),
            role: text("role"),
            application: text("application"),
            // Browsers end the lines of a form with CR and LF.
            message: text("message").replace("\r\n", "\n"),
            request_id: text("request_id"),
        }
    }
}
