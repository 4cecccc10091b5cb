use api::organisation::v1::*;
use testkit::Bench;

use super::{deep, preview, relocate};
use crate::testing::reason;

testkit::on_both_databases!(
    of_two_moves_that_would_make_a_circle_one_is_made,
    a_move_and_what_is_created_below_it_keep_the_tree_in_order,
);

const ROUNDS: usize = 200;

async fn of_two_moves_that_would_make_a_circle_one_is_made(bench: Bench) {
    let (stage, platform, north, _) = deep(bench).await;
    let pair = [
        stage.organisation(&platform, "A", &north).await,
        stage.organisation(&platform, "B", &north).await,
    ];
    for round in 0..ROUNDS {
        let mut moves = Vec::new();
        for (id, to) in [(0, 1), (1, 0)] {
            let etag = preview(&platform, &pair[id], &pair[to]).await.unwrap().etag;
            moves.push((pair[id].clone(), pair[to].clone(), etag));
        }
        let answers = testkit::race(2, |index| {
            let (who, (id, to, etag)) = (platform.clone(), moves[index].clone());
            async move { reason(relocate(&who, &id, &to, &etag).await) }
        })
        .await;
        let mut sorted = answers.clone();
        sorted.sort();
        assert_eq!(sorted, ["MOVE_POINTLESS", "OK"], "round {round}");
        stage.check_tree().await;
        let (id, ..) = &moves[answers.iter().position(|answer| answer == "OK").unwrap()];
        let back = preview(&platform, id, &north).await.unwrap().etag;
        relocate(&platform, id, &north, &back).await.unwrap();
    }
}

async fn a_move_and_what_is_created_below_it_keep_the_tree_in_order(bench: Bench) {
    let (stage, platform, north, south) = deep(bench).await;
    let trust = stage.organisation(&platform, "Trust", &north).await;
    let school = stage.organisation(&platform, "School", &trust).await;
    let (mut at, mut other) = (north, south);
    let mut moved = 0;
    for round in 0..ROUNDS {
        let etag = preview(&platform, &trust, &other).await.unwrap().etag;
        let answers = testkit::race(2, |index| {
            let (who, trust, school) = (platform.clone(), trust.clone(), school.clone());
            let (other, etag) = (other.clone(), etag.clone());
            async move {
                if index == 0 {
                    return reason(relocate(&who, &trust, &other, &etag).await);
                }
                let request = CreateOrganisationRequest {
                    display_name: format!("Class {round}"),
                    parent_id: school,
                    ..Default::default()
                };
                reason(who.organisations().create_organisation(request).await)
            }
        })
        .await;
        assert_eq!(answers[1], "OK", "round {round}");
        match answers[0].as_str() {
            "OK" => {
                moved += 1;
                std::mem::swap(&mut at, &mut other);
            }
            // What is created first is no part of what the preview has shown.
            refused => assert_eq!(refused, "ETAG_MISMATCH", "round {round}"),
        }
        stage.check_tree().await;
    }
    assert!(moved > 0, "no move was first in {ROUNDS} rounds");
}
