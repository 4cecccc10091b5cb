use api::organisation::v1::{
    ApplicationAccessChanged, WithdrawApplicationAccessRequest, WithdrawApplicationAccessResponse,
};
use kernel::{Fields, parse_id};

use crate::{
    Organisations,
    call::Call,
    change::Record,
    domain::permission::Permission,
    entity::{application, application_access},
    error::Error,
};

/// Takes a member's access to an application away; twice is once. That of an application which the
/// organisation can no longer use, because it moved, goes like any other.
///
/// Needs `applications.grant` at the organisation of the membership. Event:
/// `organisation.application_access.withdrawn.v1`.
pub(crate) async fn withdraw_access(
    service: &Organisations,
    call: &Call,
    request: WithdrawApplicationAccessRequest,
) -> Result<WithdrawApplicationAccessResponse, Error> {
    let WithdrawApplicationAccessRequest {
        application_id,
        organisation_id,
        user_id,
        request_id: _,
    } = request;
    let mut fields = Fields::default();
    let application = fields.read("application_id", parse_id(&application_id));
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let subject = fields.read("user_id", parse_id(&user_id));
    let (Some(application), Some(organisation), Some(subject)) =
        (application, organisation, subject)
    else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    let rights = service.rights(call, &*change, organisation).await?;
    rights.require(Permission::ApplicationsGrant)?;
    if application_access::withdraw(&*change, subject, organisation, application).await? {
        let event = ApplicationAccessChanged {
            application_id: application.to_string(),
            organisation_id: organisation.to_string(),
            subject_id: subject.to_string(),
        };
        let key = "organisation.application_access.withdrawn.v1";
        change.announce(key, application, &event).await?;
        let record = Record::of("application_access", subject, organisation);
        change.record(record.detail(format!("application={application}"))).await?;
    } else {
        let usable = application::find_usable(&*change, application, organisation).await?;
        usable.ok_or(Error::ApplicationNotFound)?;
    }
    change.commit(WithdrawApplicationAccessResponse {}).await
}
