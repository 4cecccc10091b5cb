use api::organisation::v1::{
    ApplicationChanged, CreateApplicationRequest, CreateApplicationResponse,
};
use kernel::{DisplayName, Fields, Time, Uuid, parse_id};
use sea_orm::{EntityTrait as _, IntoActiveModel as _};

use super::{read_callback_hosts, read_redirect_urls};
use crate::{
    Organisations,
    call::Call,
    change::Record,
    domain::{
        permission::{Permission, Permissions},
        role::{BuiltIn, RoleKey},
    },
    entity::{application, organisation::PLATFORM, role},
    error::Error,
};

/// Creates an application with its default role, which allows nothing at the organisation and which
/// no service account gives until somebody marks it invitable (source 000: no service by default
/// over the API).
///
/// Needs `applications.manage` at the organisation. The callback secret is answered once: it is not
/// stored, and a repetition of the request comes without it. Event:
/// `organisation.application.created.v1`.
pub(crate) async fn create(
    service: &Organisations,
    call: &Call,
    request: CreateApplicationRequest,
) -> Result<CreateApplicationResponse, Error> {
    let CreateApplicationRequest {
        organisation_id,
        display_name,
        redirect_urls,
        callback_hosts,
        default_role,
        assign_on_invite,
        request_id: _,
    } = request;
    let mut fields = Fields::default();
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let name = fields.read("display_name", DisplayName::parse(&display_name));
    let urls = read_redirect_urls(&mut fields, "redirect_urls", &redirect_urls);
    let hosts = read_callback_hosts(&mut fields, "callback_hosts", &callback_hosts);
    let key = fields.read_optional("default_role", &default_role, RoleKey::parse);
    let (Some(organisation), Some(name), Some(urls), Some(hosts), Some(key)) =
        (organisation, name, urls, hosts, key)
    else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    let rights = service.rights(call, &*change, organisation).await?;
    rights.require(Permission::ApplicationsManage)?;
    if organisation == PLATFORM {
        return Err(Error::OrganisationNotFound);
    }
    let (id, now) = (service.clock.new_id(), change.now);
    let default = default_role_of(service.clock.new_id(), id, key.as_ref(), now);
    let created = application::Model {
        id,
        organisation_id: organisation,
        display_name: name.into(),
        redirect_urls: urls.join("\n"),
        callback_hosts: hosts.join("\n"),
        default_role_id: default.id,
        assign_on_invite,
        secret_generation: 1,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let key = default.key.clone();
    let insert = role::Entity::insert(default.into_active_model());
    insert.exec_without_returning(&*change).await?;
    let insert = application::Entity::insert(created.clone().into_active_model());
    insert.exec_without_returning(&*change).await?;
    let event = ApplicationChanged {
        application_id: id.to_string(),
        organisation_id: organisation.to_string(),
    };
    change.announce("organisation.application.created.v1", id, &event).await?;
    change.record(Record::of("application", id, organisation)).await?;
    let secret = created.callback_secret(&service.callback_key);
    let answer = CreateApplicationResponse {
        application: Some(created.seen(key)),
        // What a repetition is answered is stored; a secret is not.
        callback_secret: String::new(),
    };
    let answer = change.commit(answer).await?;
    Ok(CreateApplicationResponse { callback_secret: secret, ..answer })
}

fn default_role_of(id: Uuid, application: Uuid, key: Option<&RoleKey>, now: Time) -> role::Model {
    let default = BuiltIn::User.key();
    let (text, folded) = key.map_or((default.to_owned(), default.to_owned()), |it| {
        (it.as_str().to_owned(), it.folded())
    });
    role::Model {
        id,
        owner_id: application,
        is_application_role: true,
        display_name: text.clone(),
        key: text,
        folded_key: folded,
        permissions: Permissions::NONE.bits(),
        invitable: false,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}
