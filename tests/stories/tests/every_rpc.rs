//! Every RPC of the descriptor set, called by nobody and by somebody without rights there: refused,
//! except those of the documented lists.

use bytes::Bytes;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use stories::Platform;
use testkit::eventually;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

/// Whoever calls these brings the credential in the request.
const PUBLIC: &[&str] = &[
    "usher.identity.v1.KeyService/GetKeySet",
    "usher.identity.v1.ServiceAccountService/IssueServiceToken",
    "usher.identity.v1.SessionService/CreateSession",
    "usher.identity.v1.SessionService/RefreshSession",
    "usher.identity.v1.UserService/EnrolUser",
    "usher.notification.v1.SuppressionService/Unsubscribe",
    "usher.organisation.v1.InvitationService/InspectInvitationLink",
];

/// Everybody with a token may call these: they answer about the caller alone, or with an empty
/// list.
const ANYBODY: &[&str] = &[
    "usher.identity.v1.SessionService/RevokeCurrentSession",
    "usher.identity.v1.UserService/GetCurrentUser",
    "usher.organisation.v1.AccessRequestService/ListOwnAccessRequests",
    "usher.organisation.v1.InvitationService/ListOwnInvitations",
    "usher.organisation.v1.OrganisationService/ListOrganisations",
    "usher.organisation.v1.PermissionService/CheckPermission",
    "usher.organisation.v1.RoleService/ListPermissions",
];

/// A service whose code lacks an RPC compiles all the same (`libs/api/build.rs`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_rpc_is_missing_in_its_service() {
    let platform = Platform::on_sqlite().await;
    let service = platform.service_token("powerless", &[]).await;
    for method in methods() {
        let answer = call(&platform, &method, Bytes::new(), Some(&service)).await;
        let code = answer.as_ref().err().map(Status::code);
        assert_ne!(code, Some(Code::Unimplemented), "{}: {answer:?}", name(&method));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_only_the_public_rpcs_answer() {
    let platform = Platform::on_sqlite().await;
    for method in methods() {
        let (name, refused) = (name(&method), call(&platform, &method, Bytes::new(), None).await);
        let code = refused.as_ref().err().map(Status::code);
        if PUBLIC.contains(&name.as_str()) {
            assert_ne!(code, Some(Code::Internal), "{name}: {refused:?}");
            assert_ne!(code, Some(Code::Unknown), "{name}: {refused:?}");
        } else {
            assert_eq!(code, Some(Code::Unauthenticated), "{name}: {refused:?}");
            // Nothing of a stranger's message is read either.
            let rubbish = Bytes::from_static(b"\xff\xff\xff\xff");
            let refused = call(&platform, &method, rubbish, None).await.expect_err(&name);
            assert_eq!(refused.code(), Code::Unauthenticated, "{name}: {refused:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t10_without_rights_at_the_target_every_other_rpc_refuses() {
    let platform = Platform::on_sqlite().await;
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    let other = owner.create_organisation("XYZ", None).await;
    let ada = platform.member(&owner, &other, "ada@example.com", "user").await;
    // All rights, but elsewhere.
    let bob = platform.member(&owner, &other, "bob@example.com", "owner").await;
    let invitation = owner.invite(&root, "eve@example.com", "user").await;
    let service = platform.service_token("powerless", &[]).await;
    for method in methods() {
        let name = name(&method);
        if PUBLIC.contains(&name.as_str()) || ANYBODY.contains(&name.as_str()) {
            continue;
        }
        let request = plausible_request(&method, &root, &invitation);
        for token in [ada.token(), bob.token(), &service] {
            let answer = call(&platform, &method, request.clone(), Some(token)).await;
            let refused = answer.expect_err(&name);
            let expected = [Code::PermissionDenied, Code::NotFound];
            assert!(expected.contains(&refused.code()), "{name}: {refused:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_frames_and_ids_are_typed_errors() {
    let platform = Platform::on_sqlite().await;
    let owner = platform.owner().await;
    // Its request has no field, and its effect would be the caller's sign-out.
    let methods = || methods().into_iter().filter(|it| it.name() != "RevokeCurrentSession");
    for method in methods() {
        let name = name(&method);
        for body in [Bytes::from_static(b"\xff\xff\xff\xff"), malformed_request(&method)] {
            let answer = call(&platform, &method, body, Some(owner.token())).await;
            if let Err(refused) = answer {
                let internal = [Code::Internal, Code::Unknown].contains(&refused.code());
                assert!(!internal, "{name}: {refused:?}");
            }
        }
    }
    let huge = Bytes::from(vec![0; 2 * 1024 * 1024]);
    for method in methods() {
        let refused = call(&platform, &method, huge.clone(), Some(owner.token())).await;
        let code = refused.expect_err(&name(&method)).code();
        assert_eq!(code, Code::OutOfRange, "{}", name(&method));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_tells_its_health_and_its_schema() {
    use tonic_health::pb::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    };
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest,
    };
    let platform = Platform::on_sqlite().await;
    for channel in [platform.identity(), platform.organisation(), platform.notification()] {
        // It follows readiness within a second.
        eventually("it is serving", async || {
            let asking = HealthCheckRequest { service: String::new() };
            let health = HealthClient::new(channel.clone()).check(asking).await;
            let status = health.expect("an answer").into_inner().status();
            (status == ServingStatus::Serving).then_some(())
        })
        .await;

        let asking = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new(channel);
        let answers = client.server_reflection_info(tokio_stream::iter([asking])).await;
        let answer = answers.expect("an answer").into_inner().message().await.expect("an answer");
        let answer = format!("{answer:?}");
        assert!(answer.contains("usher.organisation.v1.InvitationService"), "{answer}");
    }
}

fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(api::DESCRIPTORS).expect("the descriptor set");
    let methods: Vec<_> = pool
        .services()
        .filter(|service| service.full_name().starts_with("usher."))
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect();
    assert!(methods.len() > 20, "the descriptor set holds {} RPCs", methods.len());
    methods
}

fn name(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().full_name(), method.name())
}

/// A request whose fields have the right form and name real things: what is refused is refused for
/// want of rights.
fn plausible_request(method: &MethodDescriptor, organisation: &str, invitation: &str) -> Bytes {
    let id_is_invitation = method.input().full_name().contains("Invitation");
    fill(method, |field| match field {
        "organisation_id" | "parent_id" => organisation,
        "id" if !id_is_invitation => organisation,
        // A mail is about the one or the other.
        "access_request_id" if method.name() == "ClaimDelivery" => "",
        // A role is of the one or the other.
        "application_id" if ["CreateRole", "ListRoles"].contains(&method.name()) => "",
        field if field == "id" || field.ends_with("_id") => invitation,
        "email" | "recipient" => "eve@example.com",
        "name" | "key" | "replacement" => "another",
        "template" => "invitation-new-user",
        "locale" | "language" => "en",
        "reply_to" => "eve@example.com",
        // Only those of the platform's domain are accepted.
        "from_address" => "",
        "enhanced_status" => "5.1.1",
        "role" | "default_role" => "user",
        "permission" => "organisations.read",
        "action" => "invitations.create",
        "order_by" => "created_at",
        _ => "A plausible text",
    })
}

fn malformed_request(method: &MethodDescriptor) -> Bytes {
    fill(method, |_| "\u{0}\r\nnot anything\u{202e}")
}

fn fill<'a>(method: &MethodDescriptor, text: impl Fn(&str) -> &'a str + Copy) -> Bytes {
    use prost::Message as _;
    Bytes::from(message(method.input(), text).encode_to_vec())
}

fn message<'a>(
    descriptor: prost_reflect::MessageDescriptor,
    text: impl Fn(&str) -> &'a str + Copy,
) -> prost_reflect::DynamicMessage {
    use prost_reflect::{DynamicMessage, Kind, Value};
    let mut filled = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let value = match field.kind() {
            _ if field.is_map() => variables(),
            Kind::String if field.name() == "paths" => {
                Value::List(vec![Value::String("display_name".to_owned())])
            }
            // The plausible scopes and roles are none: the defaults.
            Kind::String if field.is_list() => continue,
            Kind::String if field.name() == "page_token" && text("email").contains('@') => continue,
            Kind::String if field.name() == "etag" => continue,
            Kind::String => Value::String(text(field.name()).to_owned()),
            Kind::Enum(_) => Value::EnumNumber(1),
            Kind::Int32 if field.name() == "reply_code" => Value::I32(550),
            Kind::Int32 => Value::I32(1),
            Kind::Message(inner) if !inner.full_name().ends_with("Timestamp") => {
                let one = Value::Message(message(inner, text));
                if field.is_list() { Value::List(vec![one]) } else { one }
            }
            _ => continue,
        };
        filled.set_field(&field, value);
    }
    filled
}

/// What the templates want to know.
fn variables() -> prost_reflect::Value {
    use prost_reflect::{MapKey, Value};
    let known = [
        ("recipient_name", "Eve"),
        ("organisation_name", "ABC Holdings"),
        ("inviter_name", "Ada"),
        ("roles", "user"),
        ("link", "https://usher.example/invitations/x"),
        ("expires_at", "2026-01-31T12:00:00Z"),
    ];
    let known = known.map(|(key, value)| (MapKey::String(key.into()), Value::String(value.into())));
    Value::Map(known.into_iter().collect())
}

async fn call(
    platform: &Platform,
    method: &MethodDescriptor,
    body: Bytes,
    token: Option<&str>,
) -> Result<Bytes, Status> {
    let package = method.parent_service().package_name().to_owned();
    let channel: Channel = match package.as_str() {
        "usher.identity.v1" => platform.identity(),
        "usher.organisation.v1" => platform.organisation(),
        _ => platform.notification(),
    };
    let request = match token {
        Some(token) => testkit::with_token(token, body),
        None => Request::new(body),
    };
    let path = format!("/{}", name(method)).parse().expect("a path");
    let mut client = Grpc::new(channel);
    client.ready().await.expect("a connection");
    Ok(client.unary(request, path, Raw).await?.into_inner())
}

/// A codec that leaves the bytes as they are.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put(to, item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = bytes::Buf::remaining(from);
        Ok(Some(bytes::Buf::copy_to_bytes(from, length)))
    }
}
