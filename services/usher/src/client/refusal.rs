use std::error::Error as _;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::output::plain;

/// What a service refused, as an error that tells the documented reason, the message and the fields.
pub(super) fn told(status: &Status) -> anyhow::Error {
    anyhow::anyhow!(sentence(status))
}

pub(super) fn sentence(status: &Status) -> String {
    if status.code() == Code::Unavailable
        && let Some(mut cause) = status.source()
    {
        // The innermost says what happened, such as a certificate that nobody vouches for.
        while let Some(within) = cause.source() {
            cause = within;
        }
        return format!(
            "the service cannot be reached: is it running there (--identity, --server, \
             --notification)? {cause}"
        );
    }
    let message = plain(status.message());
    if let Some(info) = status.get_details_error_info() {
        let mut about: Vec<_> =
            info.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
        about.sort_unstable();
        let about =
            if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
        return format!("{}: {message}{}", plain(&info.reason), plain(&about));
    }
    if let Some(fields) = status.get_details_bad_request() {
        let fields = fields.field_violations.iter();
        let fields =
            fields.map(|it| format!("\n  {}: {}", plain(&it.field), plain(&it.description)));
        return format!("invalid request{}", fields.collect::<String>());
    }
    format!("{:?}: {message}", status.code())
}

#[cfg(test)]
mod tests {
    use kernel::Fields;

    use super::*;

    #[test]
    fn a_refusal_is_told_with_its_reason() {
        let metadata = [("permission", "audit.read".to_owned())];
        let refused = service::refusal(
            "organisation.usher",
            Code::PermissionDenied,
            "PERMISSION_MISSING",
            "you lack a permission at this organisation",
            &metadata,
            None,
        );
        let expected = "PERMISSION_MISSING: you lack a permission at this organisation \
                        (permission=audit.read)";
        assert_eq!(sentence(&refused), expected);
    }

    #[test]
    fn every_wrong_field_is_told() {
        let mut fields = Fields::default();
        fields.reject("filter.actor_id", "expected a UUID");
        fields.reject("filter.until", "expected a moment");
        let expected = "invalid request\n  filter.actor_id: expected a UUID\n  filter.until: \
                        expected a moment";
        assert_eq!(sentence(&service::invalid(&fields)), expected);
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_is_told_so() {
        let channel = tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        let mut keys = api::identity::v1::key_service_client::KeyServiceClient::new(channel);
        let refused = keys.get_key_set(api::identity::v1::GetKeySetRequest {}).await.unwrap_err();
        assert!(sentence(&refused).contains("cannot be reached"), "{refused:?}");
    }
}
