use api::organisation::v1::{
    Application, ApplicationChanged, UpdateApplicationRequest, UpdateApplicationResponse,
};
use kernel::{DisplayName, Fields, Malformed, Uuid, parse_id};
use sea_orm::{ConnectionTrait, ExprTrait as _, entity::prelude::*, sea_query::Expr};

use super::{managed, read_callback_hosts, read_redirect_urls};
use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::role::RoleKey,
    entity::{
        application::{self, Column},
        organisation::etag,
        role,
    },
    error::Error,
};

/// What of an application can be changed.
const CHANGEABLE: [&str; 5] =
    ["display_name", "redirect_urls", "callback_hosts", "default_role", "assign_on_invite"];

/// Changes what the mask names; a non-empty etag must be the current one (AIP-134, AIP-154). The
/// default role is one that the application has.
///
/// Needs `applications.manage` at its organisation. Event: `organisation.application.updated.v1`.
pub(crate) async fn update(
    service: &Organisations,
    call: &Call,
    request: UpdateApplicationRequest,
) -> Result<UpdateApplicationResponse, Error> {
    let UpdateApplicationRequest { application, update_mask, request_id: _ } = request;
    let mut fields = Fields::default();
    let application = application.unwrap_or_default();
    let id = fields.read("application.id", parse_id(&application.id));
    let mask = update_mask.unwrap_or_default().paths;
    let new = New::read(&mut fields, application, &mask);
    let (Some(id), true) = (id, fields.violations().is_empty()) else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    let found = managed(&change, call, id).await?;
    if !new.etag.is_empty() && new.etag != etag(found.version) {
        return Err(Error::EtagMismatch);
    }
    write(&change, &found, new).await?;
    let changed = application::Entity::find_by_id(id).one(&*change).await?;
    let changed = changed.ok_or(Error::ApplicationNotFound)?;
    let event = ApplicationChanged {
        application_id: id.to_string(),
        organisation_id: changed.organisation_id.to_string(),
    };
    change.announce("organisation.application.updated.v1", id, &event).await?;
    let record = Record::of("application", id, changed.organisation_id);
    change.record(record.detail(mask.join(" "))).await?;
    let default = role::by_id(&*change, [changed.default_role_id]).await?.to_string();
    change.commit(UpdateApplicationResponse { application: Some(changed.seen(default)) }).await
}

/// What the mask names, and the etag.
#[derive(Default)]
struct New {
    display_name: Option<String>,
    redirect_urls: Option<String>,
    callback_hosts: Option<String>,
    default_role: Option<RoleKey>,
    assign_on_invite: Option<bool>,
    etag: String,
}

impl New {
    fn read(fields: &mut Fields, application: Application, mask: &[String]) -> Self {
        let Application {
            id: _,
            organisation_id: _,
            display_name,
            redirect_urls,
            callback_hosts,
            default_role,
            assign_on_invite,
            created_at: _,
            updated_at: _,
            etag,
        } = application;
        if mask.is_empty() || mask.iter().any(|path| !CHANGEABLE.contains(&path.as_str())) {
            let expected = Malformed(
                "display_name, redirect_urls, callback_hosts, default_role or assign_on_invite",
            );
            fields.reject("update_mask", expected);
        }
        let names = |path: &str| mask.iter().any(|named| named == path);
        let mut new = Self { etag, ..Self::default() };
        if names("display_name") {
            let name = fields.read("application.display_name", DisplayName::parse(&display_name));
            new.display_name = name.map(String::from);
        }
        if names("redirect_urls") {
            let urls = read_redirect_urls(fields, "application.redirect_urls", &redirect_urls);
            new.redirect_urls = urls.map(|urls| urls.join("\n"));
        }
        if names("callback_hosts") {
            let hosts = read_callback_hosts(fields, "application.callback_hosts", &callback_hosts);
            new.callback_hosts = hosts.map(|hosts| hosts.join("\n"));
        }
        if names("default_role") {
            let key = fields.read("application.default_role", RoleKey::parse(&default_role));
            new.default_role = key;
        }
        new.assign_on_invite = names("assign_on_invite").then_some(assign_on_invite);
        new
    }
}

async fn write(change: &Change<'_>, found: &application::Model, new: New) -> Result<(), Error> {
    let default = new_default(&**change, found, new.default_role.as_ref()).await?;
    let mut update = application::Entity::update_many()
        .col_expr(Column::UpdatedAt, Expr::value(change.now))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .col_expr(Column::DefaultRoleId, Expr::value(default))
        .filter(Column::Id.eq(found.id));
    for (column, value) in [
        (Column::DisplayName, new.display_name.map(Expr::value)),
        (Column::RedirectUrls, new.redirect_urls.map(Expr::value)),
        (Column::CallbackHosts, new.callback_hosts.map(Expr::value)),
        (Column::AssignOnInvite, new.assign_on_invite.map(Expr::value)),
    ] {
        if let Some(value) = value {
            update = update.col_expr(column, value);
        }
    }
    if !new.etag.is_empty() {
        update = update.filter(Column::Version.eq(found.version));
    }
    let written = update.exec(&**change).await?.rows_affected == 1;
    if written { Ok(()) } else { Err(Error::EtagMismatch) }
}

async fn new_default(
    connection: &impl ConnectionTrait,
    found: &application::Model,
    key: Option<&RoleKey>,
) -> Result<Uuid, Error> {
    let Some(key) = key else { return Ok(found.default_role_id) };
    let among = role::of_application(found.id);
    let role = role::find_one(connection, among, key).await?;
    role.map(|role| role.id).ok_or_else(|| {
        let mut fields = Fields::default();
        fields.reject("application.default_role", Malformed("a role of the application"));
        Error::Invalid(fields)
    })
}
