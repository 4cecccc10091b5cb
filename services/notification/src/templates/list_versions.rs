use api::notification::v1::{
    ListTemplateVersionsRequest, ListTemplateVersionsResponse, TemplateVersion,
};
use db::PageRequest;
use kernel::Fields;
use service::Caller;

use super::parse_key;
use crate::{Notification, entity::template, error::Error, rights};

/// The versions of a template that were saved at an organisation or application, in order of
/// creation.
///
/// Rule: of that very place and language, without what is inherited, and without their texts.
/// Permission: `templates.read` at the organisation, or the scope of that name. Event: none.
pub(crate) async fn list_template_versions(
    notification: &Notification,
    caller: &Caller,
    request: ListTemplateVersionsRequest,
) -> Result<ListTemplateVersionsResponse, Error> {
    let ListTemplateVersionsRequest {
        organisation_id,
        application_id,
        template,
        language,
        page_size,
        page_token,
        order_by,
    } = request;
    let mut fields = Fields::default();
    let key = parse_key(&mut fields, &organisation_id, &application_id, &template, &language);
    let page = PageRequest::parse_ordered(&mut fields, page_size, &page_token, &order_by, &[]);
    let (Some((key, _)), Some(page)) = (key, page) else { return Err(Error::Invalid(fields)) };
    rights::require_read(notification, caller, key.organisation_id).await?;
    let rows = template::versions(notification.database.read(), &key, &page).await?;
    let page = page.cut(rows, |row| row.id);
    let versions = page.rows.into_iter().map(|row| TemplateVersion {
        version: row.version,
        deleted: row.is_deletion,
        created_by: row.created_by.to_string(),
        created_at: Some(api::timestamp(row.created_at)),
    });
    Ok(ListTemplateVersionsResponse {
        versions: versions.collect(),
        next_page_token: page.next_page_token,
    })
}
