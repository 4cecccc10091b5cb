//! What the tests of memberships share.

mod adding;
mod changing;
mod last_owner;
mod listing;
mod threats;
mod time;

use api::organisation::v1::*;
use prost_types::{FieldMask, Timestamp};
use tonic::Status;

use crate::testing::Who;

async fn create(
    by: &Who,
    organisation: &str,
    whom: &Who,
    roles: &[&str],
) -> Result<Membership, Status> {
    let request = CreateMembershipRequest {
        organisation_id: organisation.to_owned(),
        user_id: whom.id.to_string(),
        roles: keys(roles),
        is_service_account: whom.email.is_empty(),
        ..Default::default()
    };
    let answer = by.memberships().create_membership(request).await?;
    Ok(answer.into_inner().membership.unwrap())
}

async fn get(by: &Who, organisation: &str, whom: &Who) -> Result<Membership, Status> {
    let request = GetMembershipRequest {
        organisation_id: organisation.to_owned(),
        user_id: whom.id.to_string(),
    };
    Ok(by.memberships().get_membership(request).await?.into_inner().membership.unwrap())
}

/// Changes what the mask names.
async fn update(
    by: &Who,
    organisation: &str,
    whom: &Who,
    membership: Membership,
    mask: &[&str],
) -> Result<Membership, Status> {
    let membership = Membership {
        organisation_id: organisation.to_owned(),
        user_id: whom.id.to_string(),
        ..membership
    };
    let request = UpdateMembershipRequest {
        membership: Some(membership),
        update_mask: Some(FieldMask { paths: keys(mask) }),
        request_id: String::new(),
    };
    Ok(by.memberships().update_membership(request).await?.into_inner().membership.unwrap())
}

async fn set_roles(
    by: &Who,
    organisation: &str,
    whom: &Who,
    roles: &[&str],
) -> Result<Membership, Status> {
    let membership = Membership { roles: keys(roles), ..Default::default() };
    update(by, organisation, whom, membership, &["roles"]).await
}

async fn set_end(
    by: &Who,
    organisation: &str,
    whom: &Who,
    expires_at: Option<Timestamp>,
) -> Result<Membership, Status> {
    let membership = Membership { expires_at, ..Default::default() };
    update(by, organisation, whom, membership, &["expires_at"]).await
}

async fn suspend(by: &Who, organisation: &str, whom: &Who) -> Result<Membership, Status> {
    let request = SuspendMembershipRequest {
        organisation_id: organisation.to_owned(),
        user_id: whom.id.to_string(),
        request_id: String::new(),
    };
    Ok(by.memberships().suspend_membership(request).await?.into_inner().membership.unwrap())
}

async fn resume(by: &Who, organisation: &str, whom: &Who) -> Result<Membership, Status> {
    let request = ResumeMembershipRequest {
        organisation_id: organisation.to_owned(),
        user_id: whom.id.to_string(),
        request_id: String::new(),
    };
    Ok(by.memberships().resume_membership(request).await?.into_inner().membership.unwrap())
}

async fn remove(by: &Who, organisation: &str, whom: &Who) -> Result<(), Status> {
    let request = RemoveMembershipRequest {
        organisation_id: organisation.to_owned(),
        user_id: whom.id.to_string(),
        request_id: String::new(),
    };
    by.memberships().remove_membership(request).await.map(|_| ())
}

async fn list(by: &Who, request: ListMembershipsRequest) -> Result<Vec<Membership>, Status> {
    Ok(by.memberships().list_memberships(request).await?.into_inner().memberships)
}

fn keys(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
