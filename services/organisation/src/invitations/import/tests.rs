use api::organisation::v1::{InvitationState, ListInvitationsRequest};
use db::{inbox, outbox};
use sea_orm::{ConnectionTrait, entity::prelude::*};
use testkit::Bench;
use tonic::Code;

use super::{
    super::tests::{policy, refuse_accounts},
    *,
};
use crate::{
    entity::{audit_record, invitation, membership, membership_role, organisation, person},
    testing::{Stage, Who, reason},
};

testkit::on_both_databases!(
    every_row_is_told_in_its_order_and_once_is_enough,
    thousands_of_rows_outlive_the_deadline_of_a_call_and_can_be_sent_again,
    a_dry_run_tells_all_and_changes_nothing,
    each_row_needs_a_right_of_its_own,
    whoever_may_not_invite_is_refused_at_once,
    there_is_a_most_of_rows,
    whoever_has_no_token_any_more_goes_on_with_another,
    a_new_person_is_invited_once_where_accounts_are_refused,
    what_is_over_a_limit_is_refused_row_by_row_and_comes_in_later,
    many_imports_of_the_same_rows_make_each_once,
);

fn row(number: i32, organisation: &str, email: &str) -> ImportInvitationsRequest {
    let invitation = CreateInvitationRequest {
        organisation_id: organisation.to_owned(),
        email: email.to_owned(),
        ..Default::default()
    };
    ImportInvitationsRequest { dry_run: false, row: number, invitation: Some(invitation) }
}

fn dry(rows: &[ImportInvitationsRequest]) -> Vec<ImportInvitationsRequest> {
    let mut rows = rows.to_vec();
    rows[0].dry_run = true;
    rows
}

/// Every result until the end of the stream, and how it ended.
async fn send(
    who: &Who,
    rows: impl Stream<Item = ImportInvitationsRequest> + Send + 'static,
) -> (Vec<ImportInvitationsResponse>, Result<(), Status>) {
    let mut results = Vec::new();
    let answer = who.invitations().import_invitations(rows).await;
    let mut answer = match answer {
        Ok(answer) => answer.into_inner(),
        Err(refused) => return (results, Err(refused)),
    };
    loop {
        match answer.message().await {
            Ok(Some(result)) => results.push(result),
            Ok(None) => return (results, Ok(())),
            Err(ended) => return (results, Err(ended)),
        }
    }
}

async fn import(who: &Who, rows: Vec<ImportInvitationsRequest>) -> Vec<ImportInvitationsResponse> {
    let (results, ended) = send(who, stream::iter(rows)).await;
    ended.unwrap();
    results
}

fn outcomes(results: &[ImportInvitationsResponse]) -> Vec<(i32, ImportOutcome, &str)> {
    results.iter().map(|it| (it.row, it.outcome(), it.reason.as_str())).collect()
}

async fn every_row_is_told_in_its_order_and_once_is_enough(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let member = stage.member("member@example.com", &root, &["user"]).await;
    let waits = stage.invite(&owner, &root, "waits@example.com").await;
    let mut rows = vec![
        row(1, &root, "ada@example.com"),
        row(2, &root, "nobody"),
        row(3, &root, "Waits@Example.com"),
        row(4, &root, &member.email),
        row(5, "00000000-0000-7000-8000-000000000000", "eve@example.com"),
        row(6, &root, "ada@example.com"),
        row(7, &root, "joe@example.com"),
    ];
    let both = rows[1].invitation.as_mut().unwrap();
    both.locale = "?".to_owned();
    let first = import(&owner, rows.clone()).await;
    use ImportOutcome::*;
    let expected = |new| {
        [
            (1, new, ""),
            (2, Refused, "INVALID"),
            (3, Exists, ""),
            (4, Exists, ""),
            (5, Refused, "ORGANISATION_NOT_FOUND"),
            (6, Exists, ""),
            (7, new, ""),
        ]
    };
    // Rows are worked on at once: of two of one address either is the first.
    let twins = [first[0].outcome(), first[5].outcome()];
    assert!(twins.contains(&Created) && twins.contains(&Exists), "{twins:?}");
    let others = |results: &[(i32, ImportOutcome, &'static str)]| {
        results.iter().filter(|it| ![1, 6].contains(&it.0)).copied().collect::<Vec<_>>()
    };
    let told: Vec<_> = outcomes(&first).into_iter().filter(|it| ![1, 6].contains(&it.0)).collect();
    assert_eq!(told, others(&expected(Created)));
    assert_eq!(first[2].invitation_id, waits);
    assert_eq!(first[0].invitation_id, first[5].invitation_id);
    for field in ["email", "locale"] {
        assert!(first[1].message.contains(field), "{}", first[1].message);
    }
    let second = import(&owner, rows).await;
    assert_eq!(outcomes(&second), expected(Exists));
    assert_eq!(second[6].invitation_id, first[6].invitation_id);
}

async fn thousands_of_rows_outlive_the_deadline_of_a_call_and_can_be_sent_again(mut bench: Bench) {
    const ROWS: i32 = 1_000;
    const DEADLINE: Duration = Duration::from_secs(5);
    let settings = std::sync::Arc::make_mut(&mut bench.infra.settings);
    settings.rpc_timeout = DEADLINE;
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let email = |number: i32| format!("{number}@example.com");
    let rows: Vec<_> = (0..ROWS).map(|number| row(number, &root, &email(number))).collect();
    // At first the last comes behind the deadline that any other call would have.
    for (outcome, pause) in
        [(ImportOutcome::Created, DEADLINE * 4 / 3), (ImportOutcome::Exists, Duration::ZERO)]
    {
        let (last, others) = rows.split_last().unwrap();
        let (last, late) = (last.clone(), tokio::time::Instant::now() + pause);
        let last = stream::once(async move {
            tokio::time::sleep_until(late).await;
            last
        });
        let (results, ended) = send(&owner, stream::iter(others.to_vec()).chain(last)).await;
        ended.unwrap();
        let told: Vec<_> = results.iter().map(|it| (it.row, it.outcome())).collect();
        assert_eq!(told, (0..ROWS).map(|number| (number, outcome)).collect::<Vec<_>>());
    }
    let made = invitation::Entity::find().count(stage.service.database.read()).await.unwrap();
    assert_eq!(made, u64::try_from(ROWS).unwrap());
}

/// How many rows each table has.
async fn counts(stage: &Stage) -> Vec<u64> {
    async fn of<E: EntityTrait>(connection: &impl ConnectionTrait, _: E) -> u64
    where
        E::Model: Sync,
    {
        E::find().count(connection).await.unwrap()
    }
    stage.relayed().await;
    let database = stage.service.database.read();
    vec![
        of(database, invitation::Entity).await,
        of(database, person::Entity).await,
        of(database, membership::Entity).await,
        of(database, membership_role::Entity).await,
        of(database, organisation::Entity).await,
        of(database, audit_record::Entity).await,
        of(database, outbox::Entity).await,
        of(database, inbox::Entity).await,
        stage.accounts().try_into().unwrap(),
    ]
}

async fn a_dry_run_tells_all_and_changes_nothing(mut bench: Bench) {
    let settings = std::sync::Arc::make_mut(&mut bench.infra.settings);
    settings.invitations_per_inviter_hour = 2;
    let stage = Stage::set(bench).await;
    let _heard = stage.listen();
    let (owner, root) = stage.root("ABC").await;
    let member = stage.member("member@example.com", &root, &["user"]).await;
    stage.invite(&owner, &root, "waits@example.com").await;
    let mut rows: Vec<_> =
        (0..20).map(|number| row(number, &root, &format!("{number}@example.com"))).collect();
    rows.push(row(20, &root, "waits@example.com"));
    rows.push(row(21, &root, &member.email));
    rows.push(row(22, &root, "nobody"));
    rows.push(row(23, "00000000-0000-7000-8000-000000000000", "eve@example.com"));
    let before = counts(&stage).await;
    let told = import(&owner, dry(&rows)).await;
    assert_eq!(counts(&stage).await, before);
    use ImportOutcome::*;
    assert!(told[..20].iter().all(|it| it.outcome() == Created && it.invitation_id.is_empty()));
    let rest: Vec<_> = outcomes(&told[20..]).into_iter().map(|it| (it.1, it.2)).collect();
    let expected =
        [(Exists, ""), (Exists, ""), (Refused, "INVALID"), (Refused, "ORGANISATION_NOT_FOUND")];
    assert_eq!(rest, expected);
    // Nothing was counted either.
    stage.invite(&owner, &root, "ada@example.com").await;
}

async fn each_row_needs_a_right_of_its_own(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let (_, elsewhere) = stage.root("XYZ").await;
    let admin = stage.member("admin@example.com", &root, &["admin"]).await;
    let mut above = row(2, &root, "eve@example.com");
    above.invitation.as_mut().unwrap().roles = vec!["owner".to_owned()];
    let rows = vec![row(1, &root, "ada@example.com"), above, row(3, &elsewhere, "joe@example.com")];
    for rows in [dry(&rows), rows] {
        let results = import(&admin, rows).await;
        use ImportOutcome::*;
        let expected = [
            (1, Created, ""),
            (2, Refused, "GRANT_CEILING_EXCEEDED"),
            (3, Refused, "ORGANISATION_NOT_FOUND"),
        ];
        assert_eq!(outcomes(&results), expected);
    }
    let request = ListInvitationsRequest {
        organisation_id: root.clone(),
        state: InvitationState::Pending.into(),
        ..Default::default()
    };
    let listed = owner.invitations().list_invitations(request).await.unwrap().into_inner();
    let listed: Vec<_> = listed.invitations.into_iter().map(|it| it.email).collect();
    assert_eq!(listed, ["ada@example.com"]);
}

async fn whoever_may_not_invite_is_refused_at_once(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (_, root) = stage.root("ABC").await;
    let member = stage.member("member@example.com", &root, &["user"]).await;
    let stranger = stage.person("stranger@example.com");
    let rows = vec![row(1, &root, "ada@example.com")];
    for (who, expected) in [(&member, "PERMISSION_MISSING"), (&stranger, "ORGANISATION_NOT_FOUND")]
    {
        for rows in [dry(&rows), rows.clone()] {
            let (results, ended) = send(who, stream::iter(rows)).await;
            assert!(results.is_empty());
            assert_eq!(reason(ended), expected);
        }
    }
}

async fn there_is_a_most_of_rows(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    // Malformed rows are quickly done with.
    let rows: Vec<_> = (0..10_001).map(|number| row(number, &root, "nobody")).collect();
    let (results, ended) = send(&owner, stream::iter(rows)).await;
    assert_eq!(results.len(), 10_000);
    let ended = ended.unwrap_err();
    assert_eq!(ended.code(), Code::ResourceExhausted);
    assert!(ended.message().contains("10000"), "{}", ended.message());
}

async fn whoever_has_no_token_any_more_goes_on_with_another(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let rows = stream::unfold(receiver, async |mut it: tokio::sync::mpsc::UnboundedReceiver<_>| {
        it.recv().await.map(|row| (row, it))
    });
    sender.send(row(1, &root, "ada@example.com")).unwrap();
    let answer = owner.invitations().import_invitations(Box::pin(rows)).await;
    let mut answer = answer.unwrap().into_inner();
    assert_eq!(answer.message().await.unwrap().unwrap().outcome(), ImportOutcome::Created);
    stage.pass(kernel::Duration::seconds(599));
    sender.send(row(2, &root, "eve@example.com")).unwrap();
    assert_eq!(answer.message().await.unwrap().unwrap().outcome(), ImportOutcome::Created);
    stage.pass(kernel::Duration::seconds(1));
    sender.send(row(3, &root, "joe@example.com")).unwrap();
    assert_eq!(reason(answer.message().await), "TOKEN_INVALID");
    let made = invitation::Entity::find().count(stage.service.database.read()).await.unwrap();
    assert_eq!(made, 2);
}

/// Two organisations that refuse accounts, and one person: whoever comes first has them.
async fn a_new_person_is_invited_once_where_accounts_are_refused(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    policy(&stage, &root, refuse_accounts).await;
    stage.person("known@example.com");
    let rows = vec![
        row(1, &root, "ada@example.com"),
        row(2, &child, "ada@example.com"),
        row(3, &child, "eve@example.com"),
        row(4, &root, "known@example.com"),
    ];
    let results = import(&owner, rows).await;
    use ImportOutcome::*;
    let expected = [
        (1, Created, ""),
        (2, Refused, "ACCOUNT_EXISTS"),
        (3, Created, ""),
        (4, Refused, "ACCOUNT_EXISTS"),
    ];
    assert_eq!(outcomes(&results), expected);
    let made = invitation::Entity::find().count(stage.service.database.read()).await.unwrap();
    assert_eq!(made, 2, "what is refused leaves nothing behind");
}

async fn what_is_over_a_limit_is_refused_row_by_row_and_comes_in_later(mut bench: Bench) {
    let settings = std::sync::Arc::make_mut(&mut bench.infra.settings);
    settings.invitations_per_inviter_hour = 2;
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let rows: Vec<_> = (0..4).map(|it| row(it, &root, &format!("{it}@example.com"))).collect();
    let results = import(&owner, rows.clone()).await;
    use ImportOutcome::*;
    let over = "TOO_MANY_INVITATIONS";
    let expected = [(0, Created, ""), (1, Created, ""), (2, Refused, over), (3, Refused, over)];
    assert_eq!(outcomes(&results), expected);
    let told = &results[2].message;
    assert!(told.contains("limit=inviter, in ") && told.ends_with(" s)"), "{told}");
    // What exists is not counted again, so that a second import comes further.
    let key = format!("usher:invitations:inviter:{}", owner.id);
    stage.service.cache.clear(&key).await.unwrap();
    let results = import(&owner, rows).await;
    let expected = [(0, Exists, ""), (1, Exists, ""), (2, Created, ""), (3, Created, "")];
    assert_eq!(outcomes(&results), expected);
}

/// In one order or the other, so that each holds what another waits for.
async fn many_imports_of_the_same_rows_make_each_once(bench: Bench) {
    const ROWS: i32 = 64;
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    for round in 0..10 {
        let email = |it: i32| format!("{it}@round-{round}.example.com");
        let results = testkit::race(8, |number| {
            let mut rows: Vec<_> = (0..ROWS).map(|it| row(it, &root, &email(it))).collect();
            if number % 2 == 0 {
                rows.reverse();
            }
            let owner = owner.clone();
            async move { import(&owner, rows).await }
        });
        let results = results.await;
        for row in 0..ROWS {
            let told = results.iter().flatten().filter(|it| it.row == row);
            let told: Vec<_> = told.map(|it| (it.outcome(), it.invitation_id.as_str())).collect();
            let made = told.iter().filter(|(outcome, _)| *outcome == ImportOutcome::Created);
            assert_eq!((made.count(), told.len()), (1, 8), "{round}: {told:?}");
            assert!(told.iter().all(|(_, id)| *id == told[0].1), "{round}: {told:?}");
        }
    }
}
