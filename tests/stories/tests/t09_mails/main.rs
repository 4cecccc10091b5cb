//! Threat t09: what people type reaches a mail as their words, and as nothing else.
//!
//! One story is told many times: somebody who may invite and an invitee who asks for access type an
//! attack into every field that there is, over REST and gRPC. The first time they type plain words.
//! Every mail of the later times must be the mail of the first with the words exchanged: the same
//! headers, the same tags with the same attributes, the same links, the same text around the words, and
//! the words themselves as they were typed.
//!
//! A bare address of the web stays what was typed, in the text and in the HTML, where it is no link.
//! Many mail readers make one of it all the same, and no mail can forbid that. What a mail can promise,
//! and what these tests hold it to, is that it stands only where it was typed, that a message of
//! several lines is marked as somebody's words on each of them, and that no label of ours leads there.

mod reading;
mod refusals;
mod scene;
mod telling;
mod words;

use kernel::Duration;
use stories::OWNER;

use reading::{assert_the_conversation_is_of_these_mails, assert_words_are_all_that_differs};
use scene::Scene;
use telling::Telling;
use words::ATTACKS;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t09_whatever_is_typed_reaches_mails_as_words_on_real_servers() {
    let scene = Scene::on_real_servers().await;
    let told = Telling::tell_all(&scene, &ATTACKS).await;
    assert_words_are_all_that_differs(&scene, &told);
    assert_the_conversation_is_of_these_mails(&scene, &told);
}

/// The mails that only time brings: reminders, and that it is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t09_whatever_is_typed_reaches_reminders_and_last_words_as_words() {
    let scene = Scene::embedded().await;
    let mut told = Telling::tell_all(&scene, &ATTACKS).await;
    scene.pass(Duration::hours(24)).await;
    for telling in &mut told {
        let (to, name) = (telling.bobs(), telling.words.line("bobsname"));
        let says = &["organisationname", "invitername", "bobsname", "changedmessage"];
        telling.hear(&scene, "reminder", &to, &name, says).await;
    }
    scene.pass(Duration::hours(24)).await;
    for telling in &mut told {
        let (to, name) = (telling.bobs(), telling.words.line("bobsname"));
        let says = &["organisationname", "invitername", "bobsname"];
        telling.hear(&scene, "expired", &to, &name, says).await;
    }
    scene.pass(Duration::days(2)).await;
    for telling in &mut told {
        let says = &["organisationname", "requestername", "reason", "invitername"];
        telling.hear_deciders(&scene, "reminded", says).await;
    }
    scene.pass(Duration::days(86)).await;
    for telling in &mut told {
        let (to, name) = (telling.adas(), telling.words.line("requestername"));
        let says = &["organisationname", "requestername"];
        telling.hear(&scene, "request expired", &to, &name, says).await;
        let (to, name) = (telling.mallorys(), telling.words.line("invitername"));
        telling.hear(&scene, "request of another expired", &to, &name, says).await;
        telling.hear(&scene, "request of another expired", OWNER, "Platform owner", says).await;
    }
    assert_words_are_all_that_differs(&scene, &told);
    assert_the_conversation_is_of_these_mails(&scene, &told);
}

/// Words that are an encoded word of a header (RFC 2047) are words, too: decoded they could say what
/// no field takes, such as a line that reads backwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t09_what_looks_like_an_encoded_header_is_not_decoded() {
    let scene = Scene::embedded().await;
    let attack = "=?utf-8?Q?=E2=80=AEeve=0D=0ABcc:_eve@evil.example?=";
    let told = Telling::tell_all(&scene, &[attack]).await;
    assert_words_are_all_that_differs(&scene, &told);
}
