//! Examples, made from the schemas: they cannot be of another shape.

use serde_json::{Map, Value, json};

/// Gives an example to every content that has none.
pub(super) fn complete(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    let Some(paths) = document["paths"].as_object_mut() else { return };
    let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    for operation in operations {
        fill(&mut operation["requestBody"], &schemas);
        let responses = operation["responses"].as_object_mut();
        for response in responses.into_iter().flat_map(Map::values_mut) {
            fill(response, &schemas);
        }
        if operation["requestBody"].is_null()
            && let Some(operation) = operation.as_object_mut()
        {
            operation.remove("requestBody");
        }
    }
}

fn fill(holder: &mut Value, schemas: &Value) {
    let contents = holder.get_mut("content").and_then(Value::as_object_mut);
    for content in contents.into_iter().flat_map(Map::values_mut) {
        if content.get("example").is_none() {
            content["example"] = example("", &content["schema"], schemas);
        }
    }
}

/// What a value of this schema, under this name, may look like.
fn example(name: &str, schema: &Value, schemas: &Value) -> Value {
    if let Some(path) = schema["$ref"].as_str() {
        let component = path.rsplit('/').next().unwrap_or_default();
        return example(name, &schemas[component], schemas);
    }
    if let Some(given) = schema.get("example") {
        return given.clone();
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.first().cloned().unwrap_or_default();
    }
    if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        // Nothing, or something: something tells more.
        let something = choices.iter().find(|choice| choice["type"] != "null");
        return something.map(|choice| example(name, choice, schemas)).unwrap_or_default();
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().map(|part| example(name, part, schemas));
        let members = parts.filter_map(|part| part.as_object().cloned()).flatten();
        return Value::Object(members.collect());
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("object") => {
            let members = schema["properties"].as_object().into_iter().flatten();
            let members = members.map(|(name, of)| (name.clone(), example(name, of, schemas)));
            Value::Object(members.collect())
        }
        Some("array") => {
            let one = name.strip_suffix('s').unwrap_or(name);
            json!([example(one, &schema["items"], schemas)])
        }
        Some("integer") => json!(1),
        Some("boolean") => json!(false),
        _ if schema["format"] == "date-time" => json!("2024-05-28T16:12:10.831Z"),
        _ => json!(text(name)),
    }
}

fn text(name: &str) -> &'static str {
    match name {
        "organisation_id" => "2e8ccd2b-f83f-4fe8-b845-c54ab7808715",
        "email" | "to" => "invitee@example.com",
        "from" => "usher@example.com",
        "role" | "default_role" | "replacement" => "user",
        "key" => "teacher",
        "permission" => "invitations.create",
        "display_name" | "organisation_display_name" => "ABC Holdings",
        "application_display_name" => "Timetable",
        "first_name" => "Ada",
        "last_name" => "Lovelace",
        "institution" => "Analytical College",
        "personal_message" | "reason" | "decision_reason" => "I plan the timetable.",
        "password" => "a brass difference engine",
        "locale" => "en",
        "etag" => "3",
        "page_token" | "next_page_token" => "",
        "allowed_domain" | "callback_host" => "example.com",
        "redirect_url" => "https://timetable.example.com/welcome",
        "callback_url" => "https://example.com/callback",
        "callback_secret" => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwxxxxxxxxxxx=",
        "action" => "invitations.create",
        "token_type" => "Bearer",
        name if name == "id" || name.ends_with("_id") => "4703c390-b36e-433a-95b1-d794b9f59b9c",
        _ => "text",
    }
}
