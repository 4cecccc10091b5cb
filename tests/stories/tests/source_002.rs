//! Source 002, "Two-tier organisations", walked through command by command on real servers: each
//! section of the document is a step here, with the requests as the document writes them.

use serde_json::{Value, json};
use stories::{Client, PASSWORD, Platform};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn source_002_two_tier_organisations() {
    let platform = Platform::on_real_servers().await;
    let owner = platform.owner().await;
    let holdings = owner.create_organisation("ABC Holdings", None).await;
    let child = owner.create_organisation("ABC Holdings - Child 1", Some(&holdings)).await;
    let sibling = owner.create_organisation("ABC Holdings - Child 2", Some(&holdings)).await;
    // Two tiers and no more.
    let deeper = json!({ "display_name": "Too deep", "parent_id": child });
    assert_eq!(owner.post("/api/organisations", &deeper).await.reason(), "DEPTH_EXCEEDED");

    // "An authorised user": a user of the root, and one of a sub-organisation.
    let root_admin = platform.member(&owner, &holdings, "root@example.com", "admin").await;
    let child_admin = platform.member(&owner, &child, "child@example.com", "admin").await;

    let invitation = creating_an_invitation(&root_admin, &child).await;
    invitation_notification(&platform).await;
    user_accepts_invitation(&platform, &root_admin, &child, &invitation).await;
    user_accepts_by_the_endpoint(&platform, &root_admin, &child).await;
    affiliation_assignment(&platform, &child, &holdings, &sibling).await;
    scenario_a(&root_admin, &holdings, &child).await;
    scenario_b(&child_admin, &child, &[&holdings, &sibling]).await;
}

/// "Creating an Invitation": the endpoint, the payload and the response as they stand there.
async fn creating_an_invitation(inviter: &Client, organisation: &str) -> String {
    let answer = inviter
        .post(
            &format!("/api/organisation-invitations?organisation_id={organisation}"),
            &json!({
                "organisation_id": organisation,
                "email": "invitee@example.com",
                "role": "user"
            }),
        )
        .await
        .expect(201);
    let members: Vec<_> = answer.as_object().expect("an object").keys().cloned().collect();
    let mut documented = [
        "id",
        "organisation_id",
        "email",
        "role",
        "status",
        "created_at",
        "updated_at",
        "deleted_at",
    ];
    documented.sort_unstable();
    assert_eq!(members, documented, "{answer}");
    let id = answer["id"].as_str().expect("an id");
    assert_eq!(id.len(), 36);
    let moment = answer["created_at"].as_str().expect("a moment");
    assert!(moment.len() == "2024-05-28T16:12:10.831Z".len() && moment.ends_with('Z'), "{moment}");
    let expected = json!({
        "id": id,
        "organisation_id": organisation,
        "email": "invitee@example.com",
        "role": "user",
        "status": "pending",
        "created_at": moment,
        "updated_at": moment,
        "deleted_at": null
    });
    assert_eq!(answer, expected);
    id.to_owned()
}

/// "The invited user receives an email with a link to join the organisation and is informed of their
/// designated role."
async fn invitation_notification(platform: &Platform) {
    let link = platform.link_mailed_to("invitee@example.com").await;
    let texts = platform.texts_mailed_to("invitee@example.com").await;
    let [text] = texts.as_slice() else { panic!("one mail: {texts:?}") };
    assert!(text.contains("ABC Holdings - Child 1") && text.contains(&link), "{text}");
    assert!(text.contains("Your role: user"), "{text}");
}

/// "Upon clicking the link, the invited user is directed to complete onboarding. The system updates
/// their status as accepted."
async fn user_accepts_invitation(
    platform: &Platform,
    inviter: &Client,
    organisation: &str,
    invitation: &str,
) {
    let link = platform.link_mailed_to("invitee@example.com").await;
    let (status, page) = platform.anonymous().open(&link).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("<form") && page.contains("ABC Holdings - Child 1"), "{page}");
    assert_eq!(inviter.state_of(invitation).await, "pending", "opening consumes nothing");
    let (status, page) = platform.anonymous().enrol(&link, "Invitee", PASSWORD).await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(inviter.state_of(invitation).await, "accepted");
    let members = inviter.get(&format!("/api/organisations/{organisation}/members")).await;
    assert!(members.expect(200).to_string().contains("invitee@example.com"));
}

/// "PATCH {{base_url}}/api/organisation-invitations/:id": by somebody who has an account.
async fn user_accepts_by_the_endpoint(platform: &Platform, inviter: &Client, organisation: &str) {
    let invitation = inviter.invite(organisation, "root-less@example.com", "user").await;
    let link = platform.link_mailed_to("root-less@example.com").await;
    platform.anonymous().enrol(&link, "Rootless", PASSWORD).await;
    let rootless = platform.anonymous().sign_in("root-less@example.com", PASSWORD).await;
    assert_eq!(inviter.state_of(&invitation).await, "accepted");

    let more = inviter.invite(organisation, "root-less@example.com", "approver").await;
    let path = format!("/api/organisation-invitations/{more}");
    let answer = rootless.patch(&path, &json!({ "status": "accepted" })).await.expect(200);
    assert_eq!((&answer["id"], &answer["status"]), (&json!(more), &json!("accepted")));
}

/// "The user is officially affiliated with the organisation and inherits permissions according to
/// their role."
async fn affiliation_assignment(platform: &Platform, child: &str, root: &str, sibling: &str) {
    let invitee = platform.anonymous().sign_in("invitee@example.com", PASSWORD).await;
    assert!(platform.allows(&invitee, child, "organisations.read").await);
    assert!(!platform.allows(&invitee, child, "invitations.create").await);
    for elsewhere in [root, sibling] {
        assert!(!platform.allows(&invitee, elsewhere, "organisations.read").await);
    }
    let own = invitee.get("/api/organisations").await.expect(200);
    assert_eq!(names(&own, "organisations"), ["ABC Holdings - Child 1"]);
}

/// "A user in the root organisation “ABC Holdings” can invite new users to “ABC Holdings” or any
/// sub-organisation, like “ABC Holdings - Child 1.”" And: "They have visibility into users across
/// both root and sub-organisations."
async fn scenario_a(root_admin: &Client, root: &str, child: &str) {
    for (organisation, email) in [(root, "a1@example.com"), (child, "a2@example.com")] {
        root_admin.invite(organisation, email, "user").await;
        let members = root_admin.get(&format!("/api/organisations/{organisation}/members")).await;
        assert!(members.expect(200).to_string().contains("@example.com"));
    }
}

/// "A user in “ABC Holdings - Child 1” is limited to viewing and managing resources only within “ABC
/// Holdings - Child 1.” They cannot see users or resources associated with the root organisation."
async fn scenario_b(child_admin: &Client, child: &str, elsewhere: &[&str]) {
    child_admin.invite(child, "b1@example.com", "user").await;
    let members = child_admin.get(&format!("/api/organisations/{child}/members")).await.expect(200);
    let members = members.to_string();
    assert!(members.contains("invitee@example.com") && !members.contains("root@example.com"));
    let nowhere = "01890a5d-ac96-774b-bcce-b302099a8057";
    for organisation in elsewhere {
        for path in [
            "/api/organisations/{id}",
            "/api/organisations/{id}/members",
            "/api/organisation-invitations?organisation_id={id}",
            "/api/organisations?parent_id={id}",
        ] {
            let hidden = child_admin.get(&path.replace("{id}", organisation)).await;
            let missing = child_admin.get(&path.replace("{id}", nowhere)).await;
            assert_eq!(hidden.status, 404, "{path}");
            assert_eq!(without_id(hidden.body), without_id(missing.body), "{path}");
        }
        let invited = child_admin.try_invite(organisation, "b2@example.com", "user").await;
        assert_eq!(invited.status, 404);
    }
    let own = child_admin.get("/api/organisations").await.expect(200);
    assert_eq!(names(&own, "organisations"), ["ABC Holdings - Child 1"]);
}

fn names(list: &Value, member: &str) -> Vec<String> {
    let rows = list[member].as_array().expect("a list").iter();
    rows.map(|row| row["display_name"].as_str().expect("a name").to_owned()).collect()
}

/// A problem without what tells one request from another.
fn without_id(mut problem: Value) -> Value {
    let members = problem.as_object_mut().expect("a problem");
    members.remove("instance");
    members.remove("trace_id");
    problem
}
