//! Whom mails come from.

use api::notification::v1::*;
use kernel::Uuid;
use testkit::Bench;

use crate::{
    domain::template::Template as Name,
    testing::{Caller, Stage, reason, violations},
};

testkit::on_both_databases!(
    the_nearest_that_says_something_counts_as_a_whole,
    an_address_is_of_a_domain_that_is_ours_to_send_from,
    an_address_is_lent_by_the_platform_and_kept_or_given_back_by_who_has_it,
    of_two_who_change_it_at_once_one_comes_second_and_is_told,
    whoever_may_not_see_learns_nothing_and_whoever_reads_cannot_write,
    every_change_is_told_with_who_made_it_and_what_is_refused_is_not,
);

fn sender(name: &str, reply_to: &str, from: &str) -> Sender {
    Sender {
        display_name: name.to_owned(),
        reply_to: reply_to.to_owned(),
        from_address: from.to_owned(),
    }
}

fn update(organisation: Uuid, sender: Sender) -> UpdateSenderRequest {
    UpdateSenderRequest {
        organisation_id: organisation.to_string(),
        sender: Some(sender),
        etag: String::new(),
    }
}

fn delete(organisation: Uuid) -> DeleteSenderRequest {
    DeleteSenderRequest { organisation_id: organisation.to_string(), etag: String::new() }
}

async fn get(who: &Caller, organisation: Uuid) -> GetSenderResponse {
    let request = GetSenderRequest { organisation_id: organisation.to_string() };
    who.senders().get_sender(request).await.unwrap().into_inner()
}

/// The sender of a mail.
async fn mailed(who: &Caller, path: &[Uuid]) -> Sender {
    let template = Name::PasswordChanged;
    let variables = template.variables().iter();
    let request = RenderMailRequest {
        template: template.key().to_owned(),
        organisation_id: path.last().unwrap().to_string(),
        organisation_path: path.iter().map(Uuid::to_string).collect(),
        variables: variables.map(|it| (it.name.to_owned(), it.sample().to_owned())).collect(),
        ..Default::default()
    };
    who.templates().render_mail(request).await.unwrap().into_inner().sender.unwrap()
}

async fn the_nearest_that_says_something_counts_as_a_whole(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (root, leaf) = (stage.id(), stage.organisation);
    let path = [root, leaf];
    stage.place(&path);
    let operator = stage.account("templates.read templates.update deliveries.write");
    let usher = sender("Usher", "", "");
    assert_eq!(mailed(&operator, &path).await, usher);
    assert_eq!(get(&operator, leaf).await.origin(), Origin::BuiltIn);

    let said = [
        (Uuid::nil(), sender("The platform", "help@platform.example", "")),
        (root, sender("ABC Holdings", "", "")),
        (leaf, sender("Child", "child@abc.example", "")),
    ];
    for (organisation, sender) in &said {
        let answer = operator.senders().update_sender(update(*organisation, sender.clone())).await;
        assert_eq!(answer.unwrap().into_inner().etag, "v1");
        assert_eq!(mailed(&operator, &path).await, *sender);
        let got = get(&operator, leaf).await;
        assert_eq!(got.sender.as_ref(), Some(sender));
        assert_eq!(got.etag.is_empty(), *organisation != leaf);
    }
    assert_eq!(get(&operator, root).await.sender.unwrap().display_name, "ABC Holdings");
    for (index, (organisation, _)) in said.iter().enumerate().rev() {
        operator.senders().delete_sender(delete(*organisation)).await.unwrap();
        let left = index.checked_sub(1).map_or(&usher, |index| &said[index].1);
        assert_eq!(mailed(&operator, &path).await, *left);
        let again = operator.senders().delete_sender(delete(*organisation)).await;
        assert_eq!(reason(again), "SENDER_NOT_FOUND");
    }
}

async fn an_address_is_of_a_domain_that_is_ours_to_send_from(bench: Bench) {
    let mut stage = Stage::set(bench).await;
    stage.restart_with_domains(&["abc.example", "xyz.example"]).await;
    let operator = stage.account("templates.read templates.update deliveries.write");
    let leaf = stage.organisation;
    let wrong = sender("a\r\nBcc: eve@evil.example", "nobody", "people@evil.example");
    let request = UpdateSenderRequest { organisation_id: "7".to_owned(), ..update(leaf, wrong) };
    assert_eq!(
        violations(operator.senders().update_sender(request).await),
        ["organisation_id", "sender.display_name", "sender.reply_to", "sender.from_address"],
    );
    for near in ["people@sub.abc.example", "people@abc.example.evil.example", "x@y@evil.example"] {
        let request = update(leaf, sender("ABC", "", near));
        let answer = operator.senders().update_sender(request).await;
        assert_eq!(violations(answer), ["sender.from_address"], "{near}");
    }
    let request = update(leaf, sender(" ABC ", "Help@ABC.example", "People@ABC.example"));
    operator.senders().update_sender(request).await.unwrap();
    let ours = sender("ABC", "help@abc.example", "people@abc.example");
    assert_eq!(mailed(&operator, &[leaf]).await, ours);

    // What is no longer ours is the platform's again.
    stage.restart_with_domains(&["xyz.example"]).await;
    let operator = stage.account("deliveries.write");
    let theirs = sender("ABC", "help@abc.example", "");
    assert_eq!(mailed(&operator, &[leaf]).await, theirs);
}

async fn an_address_is_lent_by_the_platform_and_kept_or_given_back_by_who_has_it(bench: Bench) {
    let mut stage = Stage::set(bench).await;
    stage.restart_with_domains(&["platform.example", "one.example"]).await;
    let (one, two) = (stage.organisation, stage.id());
    stage.place(&[two]);
    stage.allow("templates.read", two);
    stage.allow("templates.update", two);
    let (operator, admin) = (stage.account("templates.update"), stage.person());
    let says = async |who: &Caller, at: Uuid, name: &str, from: &str| {
        reason(who.senders().update_sender(update(at, sender(name, "help@x.example", from))).await)
    };
    let from = async |at: Uuid| get(&admin, at).await.sender.unwrap().from_address;
    let lent = "people@one.example";
    assert_eq!(says(&admin, one, "One", lent).await, "PERMISSION_MISSING");
    assert_eq!(says(&operator, one, "One", lent).await, "OK");
    // Neither that of a neighbour nor the platform's own.
    for address in [lent, "security@platform.example", "ceo@one.example"] {
        assert_eq!(says(&admin, two, "Two", address).await, "PERMISSION_MISSING", "{address}");
    }
    assert_eq!(says(&admin, one, "One", "ceo@one.example").await, "PERMISSION_MISSING");
    assert_eq!(says(&admin, two, "Two", "").await, "OK");
    assert_eq!((from(one).await.as_str(), from(two).await.as_str()), (lent, ""));

    assert_eq!(says(&admin, one, "One People", "People@ONE.example").await, "OK");
    let kept = sender("One People", "help@x.example", lent);
    assert_eq!(get(&admin, one).await.sender, Some(kept));
    assert_eq!(says(&admin, one, "One", "").await, "OK");
    assert_eq!(says(&admin, one, "One", lent).await, "PERMISSION_MISSING", "it was given back");
    stage.allow("templates.update", Uuid::nil());
    assert_eq!(says(&admin, one, "One", lent).await, "OK");
}

async fn of_two_who_change_it_at_once_one_comes_second_and_is_told(bench: Bench) {
    let stage = Stage::set(bench).await;
    let operator = stage.account("templates.read templates.update");
    let leaf = stage.organisation;
    let change = async |name: &str, etag: &str| {
        let request =
            UpdateSenderRequest { etag: etag.to_owned(), ..update(leaf, sender(name, "", "")) };
        operator.senders().update_sender(request).await
    };
    assert_eq!(reason(change("x", "v1").await), "ETAG_MISMATCH");
    change("x", "").await.unwrap();
    for number in 1..=10 {
        let etag = format!("v{number}");
        let answers = tokio::join!(change("one", &etag), change("two", &etag));
        let mut reasons = [reason(answers.0), reason(answers.1)];
        reasons.sort_unstable();
        assert_eq!(reasons, ["ETAG_MISMATCH", "OK"]);
    }
    let stale = DeleteSenderRequest { etag: "v1".to_owned(), ..delete(leaf) };
    assert_eq!(reason(operator.senders().delete_sender(stale).await), "ETAG_MISMATCH");
    assert_eq!(get(&operator, leaf).await.etag, "v11");
}

async fn whoever_may_not_see_learns_nothing_and_whoever_reads_cannot_write(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (root, other) = (stage.id(), stage.id());
    stage.place(&[root, other]);
    let operator = stage.account("templates.update");
    let said = update(root, sender("ABC", "", ""));
    operator.senders().update_sender(said).await.unwrap();
    let calls = async |who: &Caller, at: Uuid| {
        let ask = GetSenderRequest { organisation_id: at.to_string() };
        [
            reason(who.senders().get_sender(ask).await),
            reason(who.senders().update_sender(update(at, sender("x", "", ""))).await),
            reason(who.senders().delete_sender(delete(at)).await),
        ]
    };
    let person = stage.person();
    for place in [root, stage.id(), Uuid::nil()] {
        assert_eq!(calls(&person, place).await, ["ORGANISATION_NOT_FOUND"; 3]);
    }
    stage.allow("templates.read", other);
    let refused = ["OK", "PERMISSION_MISSING", "PERMISSION_MISSING"];
    assert_eq!(calls(&person, other).await, refused);
    let got = get(&person, other).await;
    assert_eq!((got.origin(), got.organisation_id.as_str()), (Origin::Organisation, ""));
    stage.allow("templates.read", root);
    assert_eq!(get(&person, other).await.organisation_id, root.to_string());
}

async fn every_change_is_told_with_who_made_it_and_what_is_refused_is_not(bench: Bench) {
    let stage = Stage::set(bench).await;
    let here = stage.organisation;
    let account = stage.account("templates.update");
    let words = || sender("ABC People", "", "");
    stage.person().senders().update_sender(update(here, words())).await.unwrap();
    account.senders().update_sender(update(here, words())).await.unwrap();
    let stale = UpdateSenderRequest { etag: "v1".to_owned(), ..update(here, words()) };
    assert_eq!(reason(account.senders().update_sender(stale).await), "ETAG_MISMATCH");
    account.senders().delete_sender(delete(here)).await.unwrap();
    assert_eq!(reason(account.senders().delete_sender(delete(here)).await), "SENDER_NOT_FOUND");

    let told = async |key: &str| {
        let told: Vec<SenderChanged> = stage.heard(&format!("notification.sender.{key}.v1")).await;
        let told = told.into_iter().map(|it| {
            assert_eq!(it.organisation_id, here.to_string());
            assert!(kernel::parse_id(&it.actor_id).is_ok());
            (it.version, it.by_service_account)
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(told("updated").await, [(1, false), (2, true)]);
    assert_eq!(told("deleted").await, [(2, true)]);
}
