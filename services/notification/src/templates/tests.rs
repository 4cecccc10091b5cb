//! What an override does for those who write it and for those who get the mail.

use api::notification::v1::*;
use kernel::Uuid;
use testkit::Bench;
use tonic_types::StatusExt as _;

use super::update::MOST;
use crate::{
    domain::template::{Locale, Template as Name},
    entity::template::{Key, Saved, save},
    testing::{Caller, Stage, reason, violations},
};

testkit::on_both_databases!(
    the_nearest_override_counts_and_each_falls_back_to_the_next,
    a_language_goes_before_a_place,
    a_neighbours_override_and_that_of_another_application_count_for_nobody_else,
    every_version_is_kept_up_to_fifty_and_can_be_read_again,
    of_two_who_save_at_once_one_comes_second_and_is_told,
    what_is_wrong_with_an_override_is_told_by_line_and_nothing_is_saved,
    a_preview_shows_what_is_not_saved_or_what_applies,
    a_list_says_where_each_comes_from_to_whom_may_know,
    an_override_that_fails_is_passed_over,
    a_mail_shows_its_link_or_code_whatever_an_override_makes_depend_on_what,
    whoever_may_not_see_learns_nothing_and_whoever_reads_cannot_write,
    an_organisation_overrides_so_many_and_no_more,
    every_change_is_told_with_who_made_it_and_what_is_refused_is_not,
);

const NEW_USER: &str = "invitation-new-user";

/// A template that names itself in its subject.
fn source(subject: &str) -> String {
    format!("Subject: {subject}\n\nHello\n\n[Go]({{{{ link }}}})\n")
}

/// Where an override is.
#[derive(Clone, Copy)]
struct At {
    organisation: Uuid,
    application: Option<Uuid>,
    language: &'static str,
}

impl At {
    fn update(self, source: &str) -> UpdateTemplateRequest {
        UpdateTemplateRequest {
            organisation_id: self.organisation.to_string(),
            application_id: self.application(),
            template: NEW_USER.to_owned(),
            language: self.language.to_owned(),
            source: source.to_owned(),
            ..Default::default()
        }
    }

    fn delete(self) -> DeleteTemplateRequest {
        DeleteTemplateRequest {
            organisation_id: self.organisation.to_string(),
            application_id: self.application(),
            template: NEW_USER.to_owned(),
            language: self.language.to_owned(),
            ..Default::default()
        }
    }

    fn get(self) -> GetTemplateRequest {
        GetTemplateRequest {
            organisation_id: self.organisation.to_string(),
            application_id: self.application(),
            template: NEW_USER.to_owned(),
            language: self.language.to_owned(),
            ..Default::default()
        }
    }

    fn application(self) -> String {
        self.application.map(|id| id.to_string()).unwrap_or_default()
    }
}

fn at(organisation: Uuid) -> At {
    At { organisation, application: None, language: "en" }
}

/// A tree of three, the root first, and an application.
struct Tree {
    path: [Uuid; 3],
    application: Uuid,
    operator: Caller,
}

impl Tree {
    fn grow(stage: &Stage) -> Self {
        let path = [stage.id(), stage.id(), stage.organisation];
        stage.place(&path);
        let operator = stage.account("templates.read templates.update deliveries.write");
        Self { path, application: stage.id(), operator }
    }

    async fn save(&self, at: At, subject: &str) -> Template {
        let answer = self.operator.templates().update_template(at.update(&source(subject))).await;
        answer.unwrap().into_inner().template.unwrap()
    }

    async fn take_back(&self, at: At) {
        self.operator.templates().delete_template(at.delete()).await.unwrap();
    }

    /// The subject of a mail about the last organisation of the tree and an application.
    async fn mailed(&self, locale: &str, application: Option<Uuid>) -> String {
        self.mail(locale, application).await.subject
    }

    async fn mail(&self, locale: &str, application: Option<Uuid>) -> RenderMailResponse {
        let name = Name::InvitationNewUser;
        let variables = name.variables().iter();
        let request = RenderMailRequest {
            template: NEW_USER.to_owned(),
            locale: locale.to_owned(),
            organisation_id: self.path[2].to_string(),
            organisation_path: self.path.iter().map(Uuid::to_string).collect(),
            application_id: application.map(|id| id.to_string()).unwrap_or_default(),
            variables: variables.map(|it| (it.name.to_owned(), it.sample().to_owned())).collect(),
        };
        self.operator.templates().render_mail(request).await.unwrap().into_inner()
    }
}

const BUILT_IN: &str = "Grace Hopper invites you to ABC Holdings";
const BUILT_IN_GERMAN: &str = "Grace Hopper lädt Sie zu ABC Holdings ein";

async fn the_nearest_override_counts_and_each_falls_back_to_the_next(bench: Bench) {
    let stage = Stage::set(bench).await;
    let tree = Tree::grow(&stage);
    let [root, middle, leaf] = tree.path;
    let application = Some(tree.application);
    let places = [
        (at(Uuid::nil()), "platform"),
        (at(root), "root"),
        (at(middle), "middle"),
        (at(leaf), "leaf"),
        (At { application, ..at(Uuid::nil()) }, "application everywhere"),
        (At { application, ..at(root) }, "application at the root"),
        (At { application, ..at(leaf) }, "application at the leaf"),
    ];
    assert_eq!(tree.mailed("en", application).await, BUILT_IN);
    let mut before = vec![BUILT_IN.to_owned()];
    for (at, name) in places {
        tree.save(at, name).await;
        assert_eq!(tree.mailed("en", application).await, name);
        before.push(name.to_owned());
    }
    assert_eq!(tree.mailed("en", None).await, "leaf", "a mail about no application");
    for (at, name) in places.into_iter().rev() {
        assert_eq!(before.pop().unwrap(), name);
        tree.take_back(at).await;
        assert_eq!(tree.mailed("en", application).await, *before.last().unwrap());
    }
    // What was taken back can be overridden again.
    tree.save(at(middle), "again").await;
    assert_eq!(tree.mailed("en", application).await, "again");
}

async fn a_language_goes_before_a_place(bench: Bench) {
    let stage = Stage::set(bench).await;
    let tree = Tree::grow(&stage);
    let [root, _, leaf] = tree.path;
    let application = Some(tree.application);
    tree.save(at(leaf), "English").await;
    assert_eq!(tree.mailed("fr-CA", application).await, "English");
    assert_eq!(tree.mailed("", application).await, "English");
    // Usher comes with German, for everybody who reads it.
    assert_eq!(tree.mailed("de-AT", application).await, BUILT_IN_GERMAN);
    tree.save(At { language: "de", application, ..at(leaf) }, "Deutsch").await;
    assert_eq!(tree.mailed("de-AT", application).await, "Deutsch");
    tree.save(At { language: "de-AT", ..at(Uuid::nil()) }, "Österreich").await;
    assert_eq!(tree.mailed("de-at", application).await, "Österreich");
    assert_eq!(tree.mailed("de-CH", application).await, "Deutsch");
    tree.save(At { language: "fr", ..at(root) }, "Français").await;
    let mail = tree.mail("fr-CA", application).await;
    assert_eq!(mail.subject, "Français");
    assert!(mail.html.contains("<html lang=\"fr\">"), "{}", mail.html);
    assert_eq!(tree.mailed("en-GB", application).await, "English");
}

async fn a_neighbours_override_and_that_of_another_application_count_for_nobody_else(bench: Bench) {
    let stage = Stage::set(bench).await;
    let tree = Tree::grow(&stage);
    let [root, _, leaf] = tree.path;
    let (sibling, other) = (stage.id(), stage.id());
    stage.place(&[root, sibling]);
    tree.save(at(sibling), "sibling").await;
    tree.save(At { application: Some(other), ..at(leaf) }, "another application").await;
    tree.save(At { application: Some(tree.application), ..at(sibling) }, "elsewhere").await;
    let another = UpdateTemplateRequest {
        template: "invitation-existing-user".to_owned(),
        ..at(leaf).update(&source("another template"))
    };
    tree.operator.templates().update_template(another).await.unwrap();
    assert_eq!(tree.mailed("en", Some(tree.application)).await, BUILT_IN);
    assert_eq!(tree.mailed("en", None).await, BUILT_IN);
}

async fn every_version_is_kept_up_to_fifty_and_can_be_read_again(bench: Bench) {
    let stage = Stage::set(bench).await;
    let tree = Tree::grow(&stage);
    let leaf = at(tree.path[2]);
    for number in 1..=2 {
        let saved = tree.save(leaf, &format!("version {number}")).await;
        assert_eq!((saved.version, saved.etag), (number, format!("v{number}")));
    }
    tree.take_back(leaf).await;
    for number in 4..=53 {
        tree.save(leaf, &format!("version {number}")).await;
    }
    let mut request = ListTemplateVersionsRequest {
        organisation_id: leaf.organisation.to_string(),
        template: NEW_USER.to_owned(),
        page_size: 30,
        order_by: "created_at desc".to_owned(),
        ..Default::default()
    };
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let page = tree.operator.templates().list_template_versions(request.clone()).await;
        let page = page.unwrap().into_inner();
        numbers.extend(page.versions.iter().map(|it| it.version));
        request.page_token = page.next_page_token;
    }
    assert_eq!(request.page_token, "");
    assert_eq!(numbers, (4..=53).rev().collect::<Vec<_>>());

    let read = async |version| {
        let request = GetTemplateRequest { version, ..leaf.get() };
        tree.operator.templates().get_template(request).await
    };
    let old = read(7).await.unwrap().into_inner().template.unwrap();
    assert!(old.source.starts_with("Subject: version 7\n"), "{}", old.source);
    assert_eq!(reason(read(3).await), "TEMPLATE_NOT_FOUND");
    assert_eq!(reason(read(54).await), "TEMPLATE_NOT_FOUND");
    assert_eq!(violations(read(-1).await), ["version"]);

    tree.take_back(leaf).await;
    request.page_size = 1;
    let page = tree.operator.templates().list_template_versions(request).await.unwrap();
    let last = &page.into_inner().versions[0];
    assert_eq!((last.version, last.deleted), (54, true));
    assert!(!last.created_by.is_empty());
    let again = tree.operator.templates().delete_template(leaf.delete()).await;
    assert_eq!(reason(again), "TEMPLATE_NOT_FOUND");
}

async fn of_two_who_save_at_once_one_comes_second_and_is_told(bench: Bench) {
    let stage = Stage::set(bench).await;
    let tree = Tree::grow(&stage);
    let leaf = at(tree.path[2]);
    let none_yet = UpdateTemplateRequest { etag: "v1".to_owned(), ..leaf.update(&source("x")) };
    let answer = tree.operator.templates().update_template(none_yet).await;
    assert_eq!(reason(answer), "ETAG_MISMATCH");
    let mut etag = tree.save(leaf, "first").await.etag;
    for _ in 0..10 {
        let (mut one, mut two) = (tree.operator.templates(), tree.operator.templates());
        let update =
            |name: &str| UpdateTemplateRequest { etag: etag.clone(), ..leaf.update(&source(name)) };
        let answers =
            tokio::join!(one.update_template(update("one")), two.update_template(update("two")),);
        let mut reasons = [reason(answers.0), reason(answers.1)];
        reasons.sort_unstable();
        assert_eq!(reasons, ["ETAG_MISMATCH", "OK"]);
        let current = tree.operator.templates().get_template(leaf.get()).await.unwrap();
        etag = current.into_inner().template.unwrap().etag;
    }
    assert_eq!(etag, "v11");
    let stale = DeleteTemplateRequest { etag: "v1".to_owned(), ..leaf.delete() };
    let answer = tree.operator.templates().delete_template(stale).await;
    assert_eq!(reason(answer), "ETAG_MISMATCH");
}

async fn what_is_wrong_with_an_override_is_told_by_line_and_nothing_is_saved(bench: Bench) {
    let stage = Stage::set(bench).await;
    let tree = Tree::grow(&stage);
    let leaf = at(tree.path[2]);
    let wrong = "Subject: {{ nobody }}\r\n\r\n<b>\r\n\r\n[x](javascript:y)\r\n";
    let update = tree.operator.templates().update_template(leaf.update(wrong)).await;
    let preview = PreviewTemplateRequest {
        organisation_id: leaf.organisation.to_string(),
        template: NEW_USER.to_owned(),
        source: wrong.to_owned(),
        ..Default::default()
    };
    let preview = tree.operator.templates().preview_template(preview).await;
    for refused in [update.map(|_| ()), preview.map(|_| ())] {
        let status = refused.unwrap_err();
        let told = status.get_details_bad_request().unwrap().field_violations;
        assert!(told.iter().all(|it| it.field == "source"));
        let lines: Vec<_> =
            told.iter().map(|it| it.description.split(": ").next().unwrap()).collect();
        assert_eq!(lines, ["line 1", "line 3", "line 5"], "{told:?}");
    }
    assert_eq!(tree.mailed("en", None).await, BUILT_IN);

    let nothing = UpdateTemplateRequest::default();
    let answer = tree.operator.templates().update_template(nothing).await;
    assert_eq!(violations(answer), ["organisation_id", "template"]);
    let unknown = UpdateTemplateRequest {
        template: "lottery".to_owned(),
        application_id: "7".to_owned(),
        language: "de_AT".to_owned(),
        ..leaf.update(&source("x"))
    };
    let answer = tree.operator.templates().update_template(unknown).await;
    assert_eq!(violations(answer), ["application_id", "template", "language"]);
}

async fn a_preview_shows_what_is_not_saved_or_what_applies(bench: Bench) {
    let stage = Stage::set(bench).await;
    let tree = Tree::grow(&stage);
    let preview = async |template: &str, language: &str, source: &str| {
        let request = PreviewTemplateRequest {
            organisation_id: tree.path[2].to_string(),
            template: template.to_owned(),
            language: language.to_owned(),
            source: source.to_owned(),
            ..Default::default()
        };
        tree.operator.templates().preview_template(request).await.unwrap().into_inner()
    };
    let shown =
        preview(NEW_USER, "en", "Subject: Dear {{ recipient_name }}\n\n[Go]({{ link }})").await;
    assert_eq!(shown.subject, "Dear Ada Lovelace");
    assert!(shown.text.starts_with("Go:\nhttps://"), "{}", shown.text);
    assert!(shown.html.contains(">Go</a>"), "{}", shown.html);
    assert_eq!(preview(NEW_USER, "de-AT", "").await.subject, BUILT_IN_GERMAN);
    tree.save(at(tree.path[0]), "of the root").await;
    assert_eq!(preview(NEW_USER, "en", "").await.subject, "of the root");
    for template in Name::ALL {
        assert!(!preview(template.key(), "de", "").await.text.is_empty());
    }
}

async fn a_list_says_where_each_comes_from_to_whom_may_know(bench: Bench) {
    let stage = Stage::set(bench).await;
    let tree = Tree::grow(&stage);
    let [root, _, leaf] = tree.path;
    tree.save(At { language: "fr", ..at(root) }, "of the root").await;
    tree.save(at(root), "of the root").await;
    tree.save(At { application: Some(tree.application), ..at(leaf) }, "of the leaf").await;
    let list = async |who: &Caller, application: Option<Uuid>| {
        let request = ListTemplatesRequest {
            organisation_id: leaf.to_string(),
            application_id: application.map(|id| id.to_string()).unwrap_or_default(),
            ..Default::default()
        };
        who.templates().list_templates(request).await.unwrap().into_inner().templates
    };
    let person = stage.person();
    let templates = list(&person, None).await;
    let names: Vec<_> = templates.iter().map(|it| it.template.as_str()).collect();
    assert_eq!(names, Name::ALL.map(Name::key));
    let first = &templates[0];
    assert_eq!((first.origin(), first.version), (Origin::Organisation, 1));
    assert_eq!(
        (first.organisation_id.as_str(), first.etag.as_str()),
        ("", ""),
        "not theirs to see"
    );
    assert_eq!(first.languages, ["de", "en", "fr"]);
    assert_eq!(templates[1].origin(), Origin::BuiltIn);
    assert!(templates.iter().all(|it| it.source.is_empty()));

    let got = person.templates().get_template(at(leaf).get()).await.unwrap().into_inner();
    assert_eq!(got.template.unwrap().organisation_id, "");

    stage.allow("templates.read", root);
    let first = list(&person, None).await.remove(0);
    assert_eq!((first.organisation_id, first.etag), (root.to_string(), String::new()));
    let first = list(&person, Some(tree.application)).await.remove(0);
    assert_eq!((first.origin(), first.etag.as_str()), (Origin::Application, "v1"));
    assert_eq!(first.application_id, tree.application.to_string());

    // One by itself says the same, with its text.
    let got = person.templates().get_template(at(leaf).get()).await.unwrap();
    let got = got.into_inner().template.unwrap();
    assert_eq!((got.origin(), got.organisation_id), (Origin::Organisation, root.to_string()));
    assert_eq!(got.source, source("of the root"));
    let german = At { language: "de-AT", ..at(leaf) };
    let got = person.templates().get_template(german.get()).await.unwrap().into_inner();
    let got = got.template.unwrap();
    assert_eq!((got.origin(), got.language.as_str()), (Origin::BuiltIn, "de"));
    assert!(got.source.starts_with("Subject: "));
}

async fn an_override_that_fails_is_passed_over(bench: Bench) {
    let stage = Stage::set(bench).await;
    let tree = Tree::grow(&stage);
    let key = Key {
        organisation_id: tree.path[2],
        application_id: Uuid::nil(),
        template: Name::InvitationNewUser,
        language: Locale::parse("en").unwrap().language(),
    };
    let database = &stage.notification.database;
    let mut before = None;
    for broken in ["Subject: x\n\n{{ gone }}\n", "no subject", "Subject: x\n\n{% if %}"] {
        let saved = Saved {
            id: stage.id(),
            source: Some(broken.to_owned()),
            by: stage.id(),
            now: kernel::Time::UNIX_EPOCH,
        };
        before = save(database.read(), &key, before.as_ref(), saved).await.unwrap();
        assert!(before.is_some());
        assert_eq!(tree.mailed("en", None).await, BUILT_IN);
    }
}

async fn a_mail_shows_its_link_or_code_whatever_an_override_makes_depend_on_what(bench: Bench) {
    let stage = Stage::set(bench).await;
    let tree = Tree::grow(&stage);
    let here = stage.organisation;
    let cases = [
        (
            Name::InvitationNewUser,
            "{% if inviter_name and not application_name %}x{% else %}[Go]({{ link }}){% endif %}",
            "application_name",
            "https://usher.example/links/abc",
        ),
        (
            Name::VerificationCode,
            "{% if recipient_name and not organisation_name %}x{% else %}{{ code }}{% endif %}",
            "organisation_name",
            "482916",
        ),
    ];
    for (name, body, left_out, needed) in cases {
        let update = UpdateTemplateRequest {
            template: name.key().to_owned(),
            ..at(here).update(&format!("Subject: In our words\n\n{body}\n"))
        };
        tree.operator.templates().update_template(update).await.unwrap();
        let given = name.variables().iter().map(|it| (it.name.to_owned(), it.sample().to_owned()));
        let mut request = RenderMailRequest {
            template: name.key().to_owned(),
            organisation_id: here.to_string(),
            variables: given.collect(),
            ..Default::default()
        };
        let mail = tree.operator.templates().render_mail(request.clone()).await.unwrap();
        assert_eq!(mail.into_inner().subject, "In our words");
        request.variables.remove(left_out);
        let mail = tree.operator.templates().render_mail(request).await.unwrap().into_inner();
        assert_ne!(mail.subject, "In our words");
        assert!(mail.text.contains(needed), "{}", mail.text);
    }
}

/// What every call answers, at one place.
async fn every_call(who: &Caller, at: At) -> Vec<String> {
    let mut templates = who.templates();
    let list =
        ListTemplatesRequest { organisation_id: at.organisation.to_string(), ..Default::default() };
    let versions = ListTemplateVersionsRequest {
        organisation_id: at.organisation.to_string(),
        template: NEW_USER.to_owned(),
        ..Default::default()
    };
    let preview = PreviewTemplateRequest {
        organisation_id: at.organisation.to_string(),
        template: NEW_USER.to_owned(),
        source: source("x"),
        ..Default::default()
    };
    vec![
        reason(templates.list_templates(list).await),
        reason(templates.get_template(at.get()).await),
        reason(templates.list_template_versions(versions).await),
        reason(templates.preview_template(preview).await),
        reason(templates.update_template(at.update("rubbish")).await),
        reason(templates.delete_template(at.delete()).await),
    ]
}

async fn whoever_may_not_see_learns_nothing_and_whoever_reads_cannot_write(bench: Bench) {
    let stage = Stage::set(bench).await;
    let tree = Tree::grow(&stage);
    let [root, middle, _] = tree.path;
    tree.save(at(root), "of the root").await;
    stage.allow("templates.read", middle);
    let hidden = vec!["ORGANISATION_NOT_FOUND".to_owned(); 6];
    for stranger in [stage.person(), stage.account("deliveries.write deliveries.read")] {
        for place in [root, stage.id(), Uuid::nil()] {
            assert_eq!(every_call(&stranger, at(place)).await, hidden);
        }
    }
    let refused = ["OK", "OK", "OK", "OK", "PERMISSION_MISSING", "PERMISSION_MISSING"];
    let reader = stage.person();
    assert_eq!(every_call(&reader, at(middle)).await, refused);
    assert_eq!(every_call(&stage.account("templates.read"), at(middle)).await, refused);
    assert_eq!(every_call(&stage.account("templates.update"), at(root)).await[5], "OK");
    let asked = stage.asked();
    assert!(asked.contains(&format!("Bearer {}", reader.token)), "in their own name");
}

async fn an_organisation_overrides_so_many_and_no_more(bench: Bench) {
    let stage = Stage::set(bench).await;
    let tree = Tree::grow(&stage);
    let leaf = tree.path[2];
    let database = &stage.notification.database;
    let tx = database.begin().await.unwrap();
    for number in 0..MOST {
        let key = Key {
            organisation_id: leaf,
            application_id: Uuid::nil(),
            template: Name::InvitationReminder,
            language: Locale::parse(&format!("aa-{number}")).unwrap().language(),
        };
        let (id, by) = (stage.id(), stage.id());
        let saved = Saved { id, source: None, by, now: kernel::Time::UNIX_EPOCH };
        save(&*tx, &key, None, saved).await.unwrap();
    }
    tx.commit().await.unwrap();
    let answer = tree.operator.templates().update_template(at(leaf).update(&source("x"))).await;
    assert_eq!(reason(answer), "TEMPLATE_LIMIT_REACHED");
    // Another one is another's, and what is overridden can be changed.
    tree.save(At { application: Some(tree.application), ..at(leaf) }, "x").await;
    let known = UpdateTemplateRequest {
        template: "invitation-reminder".to_owned(),
        language: "aa-7".to_owned(),
        ..at(leaf).update(&source("x"))
    };
    tree.operator.templates().update_template(known).await.unwrap();
}

async fn every_change_is_told_with_who_made_it_and_what_is_refused_is_not(bench: Bench) {
    let stage = Stage::set(bench).await;
    let tree = Tree::grow(&stage);
    let here = At { application: Some(tree.application), ..at(stage.organisation) };
    let person = stage.person();
    let mut templates = person.templates();
    templates.update_template(here.update(&source("first"))).await.unwrap();
    let stale = UpdateTemplateRequest { etag: "v9".to_owned(), ..here.update(&source("second")) };
    assert_eq!(reason(templates.update_template(stale).await), "ETAG_MISMATCH");
    assert!(templates.update_template(here.update("no template")).await.is_err());
    tree.take_back(here).await;

    let changed = |version, by_service_account| TemplateChanged {
        organisation_id: stage.organisation.to_string(),
        application_id: tree.application.to_string(),
        template: NEW_USER.to_owned(),
        language: "en".to_owned(),
        version,
        actor_id: String::new(),
        by_service_account,
    };
    for (key, expected) in [("updated", changed(1, false)), ("deleted", changed(2, true))] {
        let mut told: Vec<TemplateChanged> =
            stage.heard(&format!("notification.template.{key}.v1")).await;
        for event in &mut told {
            let actor = std::mem::take(&mut event.actor_id);
            assert!(kernel::parse_id(&actor).is_ok(), "{actor}");
        }
        assert_eq!(told, [expected]);
    }
}
