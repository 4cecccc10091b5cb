use axum::body::Bytes;
use serde_json::Value;
use utoipa::{
    PartialSchema as _, ToSchema as _,
    openapi::{
        ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApiBuilder, Paths,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{Described, example};
use crate::problem::Document;

/// OpenAPI 3.1, as JSON.
pub(super) fn written(operations: Vec<Described>) -> Bytes {
    let mut paths = Paths::new();
    let token = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The `access_token` of `POST /api/sessions`."))
            .build(),
    );
    let mut components = ComponentsBuilder::new()
        .security_scheme("access_token", token)
        .schema(Document::name(), Document::schema())
        .schemas_from_iter({
            let mut nested = Vec::new();
            Document::schemas(&mut nested);
            nested
        });
    for described in operations {
        let Described { path, method, tag, mut operation } = described;
        components = components.schemas_from_iter(operation.take_components());
        paths.add_path_operation(path, vec![method], operation.written(path, tag));
    }
    let info = InfoBuilder::new()
        .title("Usher")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Who exists, where they belong and what they may do. A refusal is an RFC 9457 problem \
             whose `reason` never changes its meaning.",
        ))
        .license(Some(LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).build()))
        .build();
    let document =
        OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).build();
    let mut document = serde_json::to_value(document).unwrap_or_default();
    name_what_is_there(&mut document);
    example::complete(&mut document);
    document.to_string().into()
}

/// What may be `null` is there all the same: nothing that is answered is left out for being empty.
fn name_what_is_there(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object_mut();
    for schema in schemas.into_iter().flat_map(serde_json::Map::values_mut) {
        let Some(properties) = schema["properties"].as_object() else { continue };
        let nullable: Vec<_> = properties
            .iter()
            .filter(|(_, of)| of.to_string().contains("\"null\""))
            .map(|(name, _)| Value::from(name.clone()))
            .collect();
        match &mut schema["required"] {
            Value::Array(required) => required.extend(nullable),
            none => *none = Value::Array(nullable),
        }
    }
}
