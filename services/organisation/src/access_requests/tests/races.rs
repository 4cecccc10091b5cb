use testkit::Bench;

use super::*;
use crate::testing::reason;

testkit::on_both_databases!(
    of_two_decisions_one_counts,
    a_withdrawn_request_is_not_approved,
    whoever_leaves_is_given_nothing_afterwards,
    whoever_was_demoted_decides_nothing_afterwards,
);

const ROUNDS: usize = 200;

async fn of_two_decisions_one_counts(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let second = stage.member("second@example.com", &root, &["admin"]).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    for round in 0..ROUNDS {
        let asked = ask(&ada, &root, "approver").await.unwrap();
        let answers = testkit::race(2, |index| {
            let who = if index == 0 { owner.clone() } else { second.clone() };
            let request = asked.id.clone();
            async move {
                match index {
                    0 => reason(approve(&who, &request).await),
                    _ => reason(reject(&who, &request).await),
                }
            }
        })
        .await;
        let counted = row(&stage, &asked.id).await;
        let (approved, rejected) = (answers[0] == "OK", answers[1] == "OK");
        assert!(approved != rejected, "{round}: {answers:?}");
        assert!(answers.contains(&"ACCESS_REQUEST_SETTLED".to_owned()), "{round}: {answers:?}");
        assert_eq!(counted.state == access_request::State::Approved, approved);
        let held = roles(&stage, &ada, &root).await.contains(&"approver".to_owned());
        assert_eq!(held, approved, "{round}");
        demote(&stage, &ada, &root).await;
        stage.grant(&ada, id(&root), &["user"]).await;
    }
}

async fn a_withdrawn_request_is_not_approved(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    for round in 0..ROUNDS {
        let asked = ask(&ada, &root, "approver").await.unwrap();
        let answers = testkit::race(2, |index| {
            let who = if index == 0 { owner.clone() } else { ada.clone() };
            let request = asked.id.clone();
            async move {
                match index {
                    0 => reason(approve(&who, &request).await),
                    _ => reason(withdraw(&who, &request).await),
                }
            }
        })
        .await;
        let (approved, withdrawn) = (answers[0] == "OK", answers[1] == "OK");
        assert!(approved != withdrawn, "{round}: {answers:?}");
        let held = roles(&stage, &ada, &root).await.contains(&"approver".to_owned());
        assert_eq!(held, approved, "{round}");
        demote(&stage, &ada, &root).await;
        stage.grant(&ada, id(&root), &["user"]).await;
    }
}

async fn whoever_leaves_is_given_nothing_afterwards(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    for round in 0..ROUNDS {
        let asked = ask(&ada, &root, "approver").await.unwrap();
        let (deciding, leaving) =
            tokio::join!(approve(&owner, &asked.id), leave(&stage, &ada, &root));
        let () = leaving;
        let answer = reason(deciding);
        let known = ["OK", "MEMBER_REQUIRED", "ACCESS_REQUEST_SETTLED"];
        assert!(known.contains(&answer.as_str()), "{round}: {answer}");
        assert!(roles(&stage, &ada, &root).await.is_empty(), "{round}: {answer}");
        let state = row(&stage, &asked.id).await.state;
        assert_ne!(state, access_request::State::Pending, "{round}: {answer}");
        stage.grant(&ada, id(&root), &["user"]).await;
    }
}

async fn whoever_was_demoted_decides_nothing_afterwards(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (_, root) = root_of(&stage, "ABC Holdings").await;
    let decider = stage.member("decider@example.com", &root, &["admin"]).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    for round in 0..ROUNDS {
        let asked = ask(&ada, &root, "approver").await.unwrap();
        // What the demotion sees in its own transaction comes before it.
        let demotion = async {
            let tx = stage.service.database.begin().await.unwrap();
            membership_role::Entity::delete_many()
                .filter(membership_role::Column::SubjectId.eq(decider.id))
                .exec(&*tx)
                .await
                .unwrap();
            let seen = access_request::Entity::find_by_id(id(&asked.id)).one(&*tx).await.unwrap();
            tx.commit().await.unwrap();
            seen.unwrap().state
        };
        let (answer, seen) = tokio::join!(approve(&decider, &asked.id), demotion);
        let state = row(&stage, &asked.id).await.state;
        let answer = reason(answer);
        assert_eq!(state, seen, "{round}: decided after the demotion, {answer}");
        assert_eq!(answer == "OK", state == access_request::State::Approved, "{round}: {answer}");
        if answer != "OK" {
            withdraw(&ada, &asked.id).await.unwrap();
        }
        demote(&stage, &ada, &root).await;
        stage.grant(&ada, id(&root), &["user"]).await;
        stage.grant(&decider, id(&root), &["admin"]).await;
    }
}
