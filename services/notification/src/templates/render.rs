use api::notification::v1::{RenderMailRequest, RenderMailResponse};
use kernel::{Fields, parse_id};
use service::Caller;

use crate::{
    Notification,
    domain::template::{Locale, Template, TemplateKey, Variables},
    engine::Rendered,
    error::Error,
};

const WRITE: &str = "deliveries.write";

/// Fills a template.
///
/// Rule: each variable is a plain text, escaped for where it lands; what a template needs and does
/// not get is refused, and so is a subject with control characters.
/// Permission: the scope `deliveries.write`. Event: none.
pub(crate) fn render_mail(
    notification: &Notification,
    caller: &Caller,
    request: RenderMailRequest,
) -> Result<RenderMailResponse, Error> {
    let RenderMailRequest { template, locale, organisation_id, variables } = request;
    let mut fields = Fields::default();
    let template = fields.read("template", TemplateKey::parse(&template));
    let locale = fields.read("locale", Locale::parse(&locale));
    // Templates are the same for every organisation as yet.
    let organisation_id = fields.read("organisation_id", parse_id(&organisation_id));
    let variables = Variables::parse(&mut fields, variables);
    let (Some(template), Some(locale), Some(_), Some(variables)) =
        (template, locale, organisation_id, variables)
    else {
        return Err(Error::Invalid(fields));
    };
    if !caller.has_scope(WRITE) {
        return Err(Error::ScopeMissing(WRITE));
    }
    let template = Template::find(&template).ok_or(Error::TemplateNotFound)?;

    let Rendered { subject, text, html } =
        notification.engine.render(template, locale.language(), &variables)?;
    if subject.chars().any(char::is_control) {
        fields.reject("variables", "expected no control characters where the subject shows them");
        return Err(Error::Invalid(fields));
    }
    Ok(RenderMailResponse { subject, text, html })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use testkit::Bench;

    use super::*;
    use crate::testing::{Stage, reason, violations};

    testkit::on_both_databases!(
        a_mail_says_who_where_as_what_until_when_and_with_which_link,
        names_may_be_missing,
        t09_html_in_a_value_stays_text,
        a_locale_falls_back_to_its_language_and_then_to_english,
        every_missing_or_wrong_variable_is_named_at_once,
        a_subject_holds_no_control_characters,
        strangers_and_unknown_templates_are_refused,
    );

    const VARIABLES: [(&str, &str); 6] = [
        ("recipient_name", "Ada Lovelace"),
        ("organisation_name", "ABC Holdings"),
        ("inviter_name", "Grace Hopper"),
        ("roles", "user"),
        ("link", "https://usher.example/invitations/abc"),
        ("expires_at", "2026-06-03T12:00:00Z"),
    ];

    fn request(template: &str, locale: &str) -> RenderMailRequest {
        let text = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
        RenderMailRequest {
            template: template.to_owned(),
            locale: locale.to_owned(),
            organisation_id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
            variables: VARIABLES.map(text).into(),
        }
    }

    async fn render(stage: &Stage, request: RenderMailRequest) -> RenderMailResponse {
        let mut mailer = stage.account("deliveries.write").templates();
        mailer.render_mail(request).await.unwrap().into_inner()
    }

    async fn a_mail_says_who_where_as_what_until_when_and_with_which_link(bench: Bench) {
        let stage = Stage::set(bench).await;
        for template in ["invitation-new-user", "invitation-existing-user"] {
            for (locale, until) in
                [("en", "3 June 2026, 12:00 UTC"), ("de", "03.06.2026, 12:00 Uhr (UTC)")]
            {
                let mail = render(&stage, request(template, locale)).await;
                assert!(mail.subject.contains("ABC Holdings"), "{}", mail.subject);
                let link = "https://usher.example/invitations/abc";
                for part in ["Ada Lovelace", "ABC Holdings", "Grace Hopper", "user", link, until] {
                    assert!(mail.text.contains(part), "{part:?} is not in {}", mail.text);
                    // The engine writes a slash as a character reference.
                    let part = part.replace('/', "&#x2f;");
                    assert!(mail.html.contains(&part), "{part:?} is not in {}", mail.html);
                }
                let link = link.replace('/', "&#x2f;");
                assert!(mail.html.contains(&format!("href=\"{link}\"")), "a button");
                assert!(mail.html.contains(&format!(">{link}<")), "to be copied");
                assert!(mail.html.contains(&format!("<html lang=\"{locale}\">")));
            }
        }
    }

    async fn names_may_be_missing(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut request = request("invitation-new-user", "en");
        request.variables.insert("recipient_name".to_owned(), String::new());
        request.variables.insert("inviter_name".to_owned(), String::new());
        let mail = render(&stage, request).await;
        assert_eq!(mail.subject, "You are invited to ABC Holdings");
        assert!(mail.text.starts_with("Hello,\n\nYou are invited to join ABC Holdings."));
    }

    /// The markup is the same whatever the values are: none of it comes from them.
    async fn t09_html_in_a_value_stays_text(bench: Bench) {
        const HOSTILE: &str = r#"</title></p><script>alert(1)</script><a href="https://evil.example">x</a>" onclick='y' {{ link }}{% raw %}"#;
        let stage = Stage::set(bench).await;
        for template in ["invitation-new-user", "invitation-existing-user"] {
            for locale in ["en", "de"] {
                let harmless = render(&stage, request(template, locale)).await;
                let mut hostile = request(template, locale);
                for (name, text) in &mut hostile.variables {
                    match name.as_str() {
                        "link" => text.push_str(r#""><script>alert(1)</script>"#),
                        "expires_at" => {}
                        _ => *text = HOSTILE.to_owned(),
                    }
                }
                let mail = render(&stage, hostile).await;
                for mark in ['<', '>', '"', '\''] {
                    assert_eq!(
                        mail.html.matches(mark).count(),
                        harmless.html.matches(mark).count(),
                        "{mark} in {}",
                        mail.html,
                    );
                }
                assert!(mail.text.contains(HOSTILE), "the text part shows it as it is");
                assert!(mail.subject.contains(HOSTILE));
            }
        }
    }

    async fn a_locale_falls_back_to_its_language_and_then_to_english(bench: Bench) {
        let stage = Stage::set(bench).await;
        for (locale, greeting) in
            [("de-AT", "Guten Tag"), ("de", "Guten Tag"), ("fr-CA", "Hello"), ("", "Hello")]
        {
            let mail = render(&stage, request("invitation-new-user", locale)).await;
            assert!(mail.text.starts_with(greeting), "{locale}: {}", mail.text);
        }
    }

    async fn every_missing_or_wrong_variable_is_named_at_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").templates();
        assert_eq!(
            violations(mailer.render_mail(RenderMailRequest::default()).await),
            [
                "template",
                "organisation_id",
                "variables[inviter_name]",
                "variables[recipient_name]",
                "variables[organisation_name]",
                "variables[roles]",
                "variables[link]",
                "variables[expires_at]",
            ],
        );
        let mut wrong = request("invitation-new-user", "en");
        wrong.variables.insert("link".to_owned(), "javascript:alert(1)".to_owned());
        wrong.variables.insert("expires_at".to_owned(), "tomorrow".to_owned());
        wrong.variables.insert("roles".to_owned(), "x".repeat(2_001));
        wrong.variables.insert("Roles".to_owned(), String::new());
        assert_eq!(
            violations(mailer.render_mail(wrong).await),
            ["variables", "variables[roles]", "variables[link]", "variables[expires_at]"],
        );
        let mut many = request("invitation-new-user", "en");
        many.variables.extend((0..27).map(|n| (format!("more_{n}"), String::new())));
        assert_eq!(violations(mailer.render_mail(many).await), ["variables"]);
    }

    async fn a_subject_holds_no_control_characters(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").templates();
        for hostile in ["ABC\r\nBcc: eve@example.com", "ABC\nX", "ABC\rX", "ABC\0"] {
            let mut request = request("invitation-new-user", "en");
            request.variables.insert("organisation_name".to_owned(), hostile.to_owned());
            assert_eq!(violations(mailer.render_mail(request).await), ["variables"]);
        }
    }

    async fn strangers_and_unknown_templates_are_refused(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mut mailer = stage.account("deliveries.write").templates();
        let answer = mailer.render_mail(request("lottery", "en")).await;
        assert_eq!(reason(answer), "TEMPLATE_NOT_FOUND");
        let request = RenderMailRequest {
            variables: HashMap::from(VARIABLES.map(|(a, b)| (a.to_owned(), b.to_owned()))),
            ..request("invitation-new-user", "en")
        };
        let stranger = stage.account("deliveries.read").templates().render_mail(request).await;
        assert_eq!(reason(stranger), "SCOPE_MISSING");
    }
}
