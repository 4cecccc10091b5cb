//! The document says what the router does.

use std::collections::BTreeSet;

use serde_json::{Map, json};

use super::{double::Double, mailbox::embedded, *};

/// The document of everything, the mailbox included.
async fn document() -> (Router, Value) {
    let directory = tempfile::tempdir().unwrap();
    let router = crate::build(&embedded(directory.path())).unwrap().http.unwrap();
    let answer = call(&router, "GET", "/api/openapi.json", "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    (router, answer.json())
}

/// Every operation: method, path, and what is said of it.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().unwrap().iter();
        item.map(move |(method, operation)| {
            (method.to_uppercase(), path.clone(), operation.clone())
        })
    });
    operations.collect()
}

/// A path with something in place of its variable parts.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "x1" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

async fn with_header(router: &Router, method: &str, path: &str, header: (&str, &str)) -> Answer {
    let request = Request::builder().method(method).uri(filled(path)).header(header.0, header.1);
    let request =
        request.header("authorization", "Bearer t").header(CONTENT_TYPE, "application/json");
    send(router, request.body(Body::from("{}")).unwrap()).await
}

fn named(answer: &Answer) -> BTreeSet<String> {
    let json = answer.json();
    let errors = json["errors"].as_array().expect("a problem").iter();
    errors.map(|error| error["field"].as_str().unwrap().to_owned()).collect()
}

fn parameters(operation: &Value, place: &str) -> BTreeSet<String> {
    let listed = operation["parameters"].as_array().into_iter().flatten();
    let of_place = listed.filter(|parameter| parameter["in"] == place);
    of_place.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_document_is_complete() {
    let (_, document) = document().await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let operations = operations(&document);
    assert!(operations.len() > 45, "{}", operations.len());
    for (method, path, operation) in &operations {
        let name = format!("{method} {path}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{name}");
        assert!(!operation["tags"][0].as_str().unwrap().is_empty(), "{name}");
        assert_eq!(operation["security"].as_array().unwrap().len(), 1, "{name}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name}");
        for (status, response) in responses {
            let is_success = status.starts_with('2');
            let Some(contents) = response["content"].as_object() else {
                assert_eq!(status, "204", "{name}");
                continue;
            };
            for (kind, content) in contents {
                assert_eq!(kind == "application/problem+json", !is_success, "{name} {status}");
                assert!(!content["example"].is_null(), "{name} {status}");
            }
        }
        let body = operation["requestBody"]["content"].as_object();
        for content in body.into_iter().flat_map(Map::values) {
            assert!(content["example"].is_object(), "{name}");
        }
    }
}

#[tokio::test]
async fn the_example_of_an_invitation_is_that_of_the_source() {
    let (_, document) = document().await;
    let create = &document["paths"]["/api/organisation-invitations"]["post"];
    let asked = &create["requestBody"]["content"]["application/json"]["example"];
    let source = json!({
        "organisation_id": "2e8ccd2b-f83f-4fe8-b845-c54ab7808715",
        "email": "invitee@example.com",
        "role": "user"
    });
    assert_eq!(*asked, source);
    let answered = json!({
        "id": "4703c390-b36e-433a-95b1-d794b9f59b9c",
        "organisation_id": "2e8ccd2b-f83f-4fe8-b845-c54ab7808715",
        "email": "invitee@example.com",
        "role": "user",
        "status": "pending",
        "created_at": "2024-05-28T16:12:10.831Z",
        "updated_at": "2024-05-28T16:12:10.831Z",
        "deleted_at": "2024-05-28T16:12:10.831Z"
    });
    let response = &create["responses"]["201"];
    assert_eq!(response["content"]["application/json"]["example"], answered);
}

/// Where not all members go together, an example has to be given.
#[tokio::test]
async fn every_example_of_a_body_works() {
    let double = Double::start().await;
    let (_, document) = document().await;
    for (method, path, operation) in operations(&document) {
        let body = &operation["requestBody"]["content"]["application/json"]["example"];
        if body.is_null() || path == "/api/sessions/refresh" {
            continue;
        }
        let answer = call(&double.gateway, &method, &filled(&path), &body.to_string()).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_is_answered_is_what_is_described() {
    let double = Double::start().await;
    let (_, document) = document().await;
    let schemas = &document["components"]["schemas"];
    for (method, path, operation) in operations(&document) {
        let response = &operation["responses"]["200"]["content"]["application/json"];
        let Some(component) = response["schema"]["$ref"].as_str() else { continue };
        if method != "GET" || path == "/api/me" {
            continue;
        }
        let answer = call(&double.gateway, &method, &filled(&path), "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        let schema = &schemas[component.rsplit('/').next().unwrap()];
        let answered: BTreeSet<_> = answer.json().as_object().unwrap().keys().cloned().collect();
        let example: BTreeSet<_> =
            response["example"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(answered, example, "{path}");
        if let Some(required) = schema["required"].as_array() {
            assert_eq!(required.len(), answered.len(), "{path}");
        }
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let (_, document) = document().await;
    let text = document.to_string();
    let mut references = text.split("\"$ref\":\"#/components/schemas/").skip(1).peekable();
    assert!(references.peek().is_some());
    for reference in references {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn every_operation_of_the_document_has_a_route() {
    let (router, document) = document().await;
    for (method, path, operation) in operations(&document) {
        let request = Request::builder().method(&*method).uri(filled(&path));
        let answer = send(&router, request.body(Body::empty()).unwrap()).await;
        // Without a token nobody is asked; what needs none says something else than that.
        let needs_token = operation["security"][0].as_object().is_some_and(|one| !one.is_empty());
        let refused = answer.status == StatusCode::UNAUTHORIZED;
        assert_eq!(refused, needs_token, "{method} {path}: {}", answer.text);
        assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert_ne!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
    }
}

/// A route for programs that is not given with its description would not be in the document.
#[test]
fn every_route_for_programs_is_given_with_its_description() {
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let code = source.split("#[cfg(test)]").next().unwrap();
            for route in code.split(".route(").skip(1) {
                let first = route.trim_start();
                let is_for_programs =
                    ["\"/api", "\"/.well-known"].iter().any(|p| first.starts_with(p));
                let is_the_document = first.starts_with("\"/api/openapi.json\"");
                assert!(!is_for_programs || is_the_document, "{}: {first:.60}", path.display());
            }
        }
    }
}

#[tokio::test]
async fn every_parameter_and_member_that_is_described_is_read() {
    let double = Double::start().await;
    let (_, document) = document().await;
    for (method, path, operation) in operations(&document) {
        let name = format!("{method} {path}");
        let query = parameters(&operation, "query");
        // Given twice, each is a violation if anybody reads it.
        let pairs: Vec<_> =
            query.iter().flat_map(|name| [format!("{name}=x"), format!("{name}=y")]).collect();
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let members: BTreeSet<String> =
            schema["properties"].as_object().into_iter().flat_map(Map::keys).cloned().collect();
        if path == "/api/mailbox" || (query.is_empty() && members.is_empty()) {
            continue;
        }
        // What stands alone is looked at alone; the rest is of a wrong type.
        let (alone, rest): (Vec<_>, Vec<_>) = members.iter().partition(|member| {
            method == "PATCH" && ["status", "archived"].contains(&member.as_str())
        });
        for chosen in [rest, alone] {
            let body: Map<_, _> =
                chosen.iter().map(|member| ((*member).clone(), json!({"wrong": {}}))).collect();
            if body.is_empty() && !members.is_empty() {
                continue;
            }
            let uri = format!("{}?{}", filled(&path), pairs.join("&"));
            let answer =
                call(&double.gateway, &method, &uri, &Value::Object(body).to_string()).await;
            answer.is_problem(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT");
            let named = named(&answer);
            for expected in chosen.into_iter().chain(&query) {
                // An object with nothing of ours in it is no wrong object.
                let is_nested = schema["properties"][expected]["properties"].is_object();
                assert!(is_nested || named.contains(expected), "{name}: {expected} of {named:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_change_takes_a_key_and_no_condition_that_it_would_ignore() {
    let double = Double::start().await;
    let (_, document) = document().await;
    for (method, path, operation) in operations(&document) {
        let unchanging = ["/api/sessions", "/api/permission-checks"];
        if method == "GET" || unchanging.iter().any(|start| path.starts_with(start)) {
            continue;
        }
        let headers = parameters(&operation, "header");
        assert!(headers.contains("Idempotency-Key"), "{method} {path}");
        let answer = with_header(&double.gateway, &method, &path, ("idempotency-key", "7")).await;
        answer.is_problem(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT");
        assert!(named(&answer).contains("Idempotency-Key"), "{method} {path}");

        let malformed = with_header(&double.gateway, &method, &path, ("if-match", "3")).await;
        assert!(named(&malformed).contains("If-Match"), "{method} {path}");
        if !headers.contains("If-Match") {
            let answer = with_header(&double.gateway, &method, &path, ("if-match", "\"3\"")).await;
            answer.is_problem(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT");
            assert!(named(&answer).contains("If-Match"), "{method} {path}");
        }
    }
}
