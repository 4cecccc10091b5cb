use api::notification::v1::{RenderMailRequest, RenderMailResponse};
use kernel::Fields;
use service::Caller;

use super::fill;
use crate::{
    Notification,
    domain::{
        place::Place,
        template::{Locale, Template, TemplateKey},
        variable::Variables,
    },
    engine::Rendered,
    entity::template,
    error::Error,
};

const WRITE: &str = "deliveries.write";

/// Fills the template that applies, and says whom the mail comes from.
///
/// Rule: each variable is a plain text, escaped for where it lands. What a template needs and does
/// not get is refused, and so is what it does not know. Every mail asks: it costs one query.
/// Permission: the scope `deliveries.write`. Event: none.
pub(crate) async fn render_mail(
    notification: &Notification,
    caller: &Caller,
    request: RenderMailRequest,
) -> Result<RenderMailResponse, Error> {
    let RenderMailRequest {
        template,
        locale,
        organisation_id,
        variables,
        organisation_path,
        application_id,
    } = request;
    let mut fields = Fields::default();
    let key = fields.read("template", TemplateKey::parse(&template));
    let locale = fields.read("locale", Locale::parse(&locale));
    let place = Place::parse(&mut fields, &organisation_id, &organisation_path, &application_id);
    // The template decides what is needed: of an unknown one nothing is looked at.
    let template = key.as_ref().and_then(Template::find);
    let variables = template.and_then(|it| Variables::parse(&mut fields, it, variables));
    let (Some(locale), Some(place), true) = (locale, place, fields.violations().is_empty()) else {
        return Err(Error::Invalid(fields));
    };
    if !caller.has_scope(WRITE) {
        return Err(Error::ScopeMissing(WRITE));
    }
    let (Some(template), Some(variables)) = (template, variables) else {
        return Err(Error::TemplateNotFound);
    };
    let languages = locale.languages();
    let database = notification.database.read();
    let (found, said) =
        template::applying_with_sender(database, &place, template, &languages).await?;
    let Rendered { subject, text, html } =
        fill(notification, template, &languages, found.as_ref(), &variables)?;
    Ok(RenderMailResponse { subject, text, html, sender: Some(notification.sender(said)) })
}

#[cfg(test)]
mod tests {
    use html5gum::{Token, Tokenizer, emitters::default::DefaultEmitter};
    use testkit::Bench;

    use super::*;
    use crate::{
        domain::variable::{Kind, Variable},
        testing::{Stage, reason, violations},
    };

    testkit::on_both_databases!(
        a_mail_says_everything_that_it_is_given_in_both_its_parts,
        without_the_optional_variables_a_mail_reads_as_well,
        a_quotation_keeps_its_lines_and_is_marked_in_both_parts,
        an_outcome_is_one_of_four_and_each_has_its_words,
        t09_html_in_a_value_stays_text,
        t09_a_value_stays_on_its_line,
        a_locale_falls_back_to_its_language_and_then_to_english,
        every_missing_or_wrong_variable_is_named_at_once,
        strangers_and_unknown_templates_are_refused,
    );

    /// Each template in each language, with every variable.
    fn requests() -> Vec<(Template, RenderMailRequest)> {
        let both = |template| ["en", "de"].map(|locale| (template, request(template, locale)));
        Template::ALL.into_iter().flat_map(both).collect()
    }

    fn request(template: Template, locale: &str) -> RenderMailRequest {
        RenderMailRequest {
            template: template.key().to_owned(),
            locale: locale.to_owned(),
            organisation_id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
            variables: template
                .variables()
                .iter()
                .map(|it| (it.name.to_owned(), it.sample().to_owned()))
                .collect(),
            ..Default::default()
        }
    }

    fn with(request: &RenderMailRequest, name: &str, text: &str) -> RenderMailRequest {
        let mut request = request.clone();
        request.variables.insert(name.to_owned(), text.to_owned());
        request
    }

    async fn render(stage: &Stage, request: RenderMailRequest) -> RenderMailResponse {
        let mut mailer = stage.account("deliveries.write").templates();
        mailer.render_mail(request).await.unwrap().into_inner()
    }

    async fn refused(stage: &Stage, request: RenderMailRequest) -> Vec<String> {
        let mut mailer = stage.account("deliveries.write").templates();
        violations(mailer.render_mail(request).await)
    }

    /// A page as a browser reads it: its tags, what it shows, and where its links lead.
    #[derive(Default)]
    struct Page {
        tags: Vec<String>,
        text: String,
        links: Vec<String>,
    }

    fn read(html: &str) -> Page {
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let mut page = Page::default();
        let words = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        for token in Tokenizer::new_with_emitter(html, emitter) {
            match token.unwrap() {
                Token::StartTag(tag) => {
                    let mut read = words(&tag.name);
                    for (name, value) in tag.attributes {
                        let (name, value) = (words(&name), words(&value.value));
                        match name.as_str() {
                            "href" => page.links.push(value),
                            _ => read += &format!(" {name}={value}"),
                        }
                    }
                    page.tags.push(read);
                }
                Token::EndTag(tag) => page.tags.push(format!("/{}", words(&tag.name))),
                Token::String(text) => page.text += &words(&text.value),
                Token::Doctype(_) => {}
                other => panic!("neither tag nor text: {other:?}"),
            }
        }
        page
    }

    async fn a_mail_says_everything_that_it_is_given_in_both_its_parts(bench: Bench) {
        let stage = Stage::set(bench).await;
        for (template, request) in requests() {
            let locale = request.locale.clone();
            let RenderMailResponse { subject, text, html, .. } = render(&stage, request).await;
            assert!(!subject.is_empty());
            let page = read(&html);
            assert!(page.tags.contains(&format!("html lang={locale}")), "{html}");
            let links = template.variables().iter().filter(|it| it.kind == Kind::Link);
            let links: Vec<_> = links.map(Variable::sample).collect();
            assert_eq!(page.links, links, "a button");
            for link in links {
                assert!(text.lines().any(|line| line == link), "a line of its own: {text}");
            }
            for variable in template.variables() {
                let shown = match (variable.name, locale.as_str()) {
                    ("expires_at", "en") => "3 June 2026, 12:00 UTC",
                    ("expires_at", _) => "03.06.2026, 12:00 Uhr (UTC)",
                    ("due_at", "en") => "4 June 2026, 12:00 UTC",
                    ("due_at", _) => "04.06.2026, 12:00 Uhr (UTC)",
                    ("changed_at", "en") => "1 June 2026, 12:00 UTC",
                    ("changed_at", _) => "01.06.2026, 12:00 Uhr (UTC)",
                    ("outcome", "en") => "rejected",
                    ("outcome", _) => "abgelehnt",
                    _ => variable.sample(),
                };
                for line in shown.lines() {
                    assert!(text.contains(line), "{line:?} is not in {text}");
                    assert!(page.text.contains(line), "{line:?} is not in {html}");
                }
            }
        }
    }

    async fn without_the_optional_variables_a_mail_reads_as_well(bench: Bench) {
        let stage = Stage::set(bench).await;
        for (template, mut request) in requests() {
            for variable in template.variables().iter().filter(|variable| !variable.is_needed) {
                request.variables.insert(variable.name.to_owned(), " ".to_owned());
            }
            let empty = render(&stage, request.clone()).await;
            let is_needed = |name: &String| {
                template.variables().iter().any(|it| it.is_needed && it.name == *name)
            };
            request.variables.retain(|name, _| is_needed(name));
            assert_eq!(render(&stage, request).await, empty);
            let shown = read(&empty.html).text;
            for gap in ["  ", " ,", " .", ": \n", "\n\n\n", ">", "{", "}"] {
                assert!(!empty.text.contains(gap), "{gap:?} is in {}", empty.text);
            }
            for gap in ["  ", " ,", " .", "{", "}"] {
                assert!(!shown.contains(gap), "{gap:?} is in {shown}");
            }
        }
        let mut request = request(Template::InvitationNewUser, "en");
        request.variables.retain(|name, _| {
            ["organisation_name", "roles", "link", "expires_at"].contains(&name.as_str())
        });
        let mail = render(&stage, request).await;
        assert_eq!(mail.subject, "You are invited to ABC Holdings");
        let begins = "You are invited to ABC Holdings\n\nHello,\n\nYou are invited to join ABC Holdings.\n\
             Your role: user, teacher\n\nTo accept, open this link.";
        assert!(mail.text.starts_with(begins), "{}", mail.text);
    }

    async fn a_quotation_keeps_its_lines_and_is_marked_in_both_parts(bench: Bench) {
        let stage = Stage::set(bench).await;
        for (template, request) in requests() {
            let quotation = template.variables().iter().find(|it| it.kind == Kind::Quotation);
            let Some(Variable { name, .. }) = quotation else { continue };
            let mail = render(&stage, with(&request, name, "One\r\n& all\r\n\r\n<b>")).await;
            assert!(mail.text.contains("\n\n> One\n> & all\n>\n> <b>\n\n"), "{}", mail.text);
            let quoted =
                ">One<br>\n&amp; all</p>\n<p style=\"margin:0 0 8px;\">&lt;b&gt;</p>\n</block";
            assert!(mail.html.contains(quoted), "{}", mail.html);
            // Empty lines cost no fuel.
            let long = format!("a{}b", "\n".repeat(1_998));
            assert!(render(&stage, with(&request, name, &long)).await.text.contains("\n> b\n"));
        }
    }

    async fn an_outcome_is_one_of_four_and_each_has_its_words(bench: Bench) {
        let stage = Stage::set(bench).await;
        for template in [Template::AccessRequestDecided, Template::AccessRequestSettled] {
            for locale in ["en", "de"] {
                let request = request(template, locale);
                let mut subjects = Vec::new();
                for outcome in ["approved", "rejected", "expired", "withdrawn"] {
                    subjects.push(render(&stage, with(&request, "outcome", outcome)).await.subject);
                }
                subjects.sort_unstable();
                subjects.dedup();
                assert_eq!(subjects.len(), 4, "{subjects:?}");
                let wrong = with(&request, "outcome", "pending");
                assert_eq!(refused(&stage, wrong).await, ["variables[outcome]"]);
            }
        }
    }

    /// The tags are the same whatever the values are: none of them comes from a value.
    async fn t09_html_in_a_value_stays_text(bench: Bench) {
        const ATTACKS: [&str; 20] = [
            r#"</title></p><script>alert(1)</script><a href="https://evil.example">x</a>"#,
            r#"" onclick='y' style="x"#,
            "{{ link }}{% raw %}{# x",
            "</strong></blockquote></td><!-- x",
            "&lt;img src=x onerror=alert(1)&gt;",
            "[x](https://evil.example)",
            "](https://evil.example) [y",
            "![x](https://evil.example/x.png)",
            "<https://evil.example>",
            "<eve@evil.example>",
            "**x** __y__ *z* _z_",
            "**",
            "`x` ```",
            "# x",
            "- x",
            "1. x",
            "2",
            "> x",
            "    x",
            "&#60;b&#62; &copy; \\",
        ];
        let stage = Stage::set(bench).await;
        for (template, request) in requests() {
            let harmless = read(&render(&stage, request.clone()).await.html);
            for variable in template.variables() {
                for attack in ATTACKS {
                    let given = match variable.kind {
                        Kind::Line => attack.to_owned(),
                        Kind::Quotation => format!("{attack}\n{attack}"),
                        Kind::Link => format!("https://a.example/{}", attack.replace(' ', "")),
                        Kind::Moment | Kind::Outcome | Kind::Code => continue,
                    };
                    let mail = render(&stage, with(&request, variable.name, &given)).await;
                    let page = read(&mail.html);
                    assert_eq!(page.tags, harmless.tags, "{}: {}", variable.name, mail.html);
                    match variable.kind {
                        Kind::Link => assert_eq!(page.links, [given.as_str()]),
                        _ => assert_eq!(page.links, harmless.links),
                    }
                    for line in given.lines().map(str::trim) {
                        assert!(page.text.contains(line), "the HTML shows it as it is: {line}");
                        assert!(mail.text.contains(line), "the text shows it as it is: {line}");
                    }
                }
            }
        }
    }

    /// Nothing that a person writes can add a header, or pass for what the mail says.
    async fn t09_a_value_stays_on_its_line(bench: Bench) {
        const ENDS: [&str; 7] = ["\r\n", "\n", "\r", "\0", "\u{85}", "\u{2028}", "\u{2029}"];
        let stage = Stage::set(bench).await;
        for (template, request) in requests() {
            let harmless = render(&stage, request.clone()).await;
            for variable in template.variables() {
                let path = format!("variables[{}]", variable.name);
                for end in ENDS {
                    let given = format!("https://a.example{end}Bcc: eve@evil.example");
                    let hostile = with(&request, variable.name, &given);
                    if variable.kind != Kind::Quotation {
                        assert_eq!(refused(&stage, hostile).await, [path.as_str()], "{end:?}");
                        continue;
                    }
                    let mail = render(&stage, hostile).await;
                    assert_eq!(mail.subject, harmless.subject);
                    let mut lines = mail.text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
                    assert!(lines.all(|line| line.starts_with("> ") || !line.contains("eve@")));
                }
            }
        }
    }

    async fn a_locale_falls_back_to_its_language_and_then_to_english(bench: Bench) {
        let stage = Stage::set(bench).await;
        for (locale, greeting) in
            [("de-AT", "Guten Tag"), ("de", "Guten Tag"), ("fr-CA", "Hello"), ("", "Hello")]
        {
            let mail = render(&stage, request(Template::InvitationNewUser, locale)).await;
            assert!(mail.text.contains(greeting), "{locale}: {}", mail.text);
        }
    }

    async fn every_missing_or_wrong_variable_is_named_at_once(bench: Bench) {
        let stage = Stage::set(bench).await;
        assert_eq!(
            refused(&stage, RenderMailRequest::default()).await,
            ["template", "organisation_id"],
        );
        for (template, request) in requests() {
            let nothing = RenderMailRequest { variables: [].into(), ..request.clone() };
            let needed = template.variables().iter().filter(|variable| variable.is_needed);
            let paths: Vec<_> = needed.map(|it| format!("variables[{}]", it.name)).collect();
            assert_eq!(refused(&stage, nothing).await, paths);
            let unknown = with(&request, "recipients_name", "Ada");
            assert_eq!(refused(&stage, unknown).await, ["variables"]);
        }
        let mut wrong = request(Template::InvitationNewUser, "en");
        for (name, text) in [
            ("link", "javascript:alert(1)"),
            ("expires_at", "tomorrow"),
            ("roles", &"x".repeat(2_001)),
            ("Roles", ""),
        ] {
            wrong = with(&wrong, name, text);
        }
        assert_eq!(
            refused(&stage, wrong).await,
            ["variables[roles]", "variables[link]", "variables[expires_at]", "variables"],
        );
        let mut many = request(Template::InvitationNewUser, "en");
        many.variables.extend((0..25).map(|n| (format!("more_{n}"), String::new())));
        assert_eq!(refused(&stage, many).await, ["variables"]);
    }

    async fn strangers_and_unknown_templates_are_refused(bench: Bench) {
        let stage = Stage::set(bench).await;
        let known = request(Template::InvitationNewUser, "en");
        let unknown = RenderMailRequest { template: "lottery".to_owned(), ..known.clone() };
        let mut mailer = stage.account("deliveries.write").templates();
        assert_eq!(reason(mailer.render_mail(unknown.clone()).await), "TEMPLATE_NOT_FOUND");
        for request in [known, unknown] {
            let stranger = stage.account("deliveries.read").templates().render_mail(request).await;
            assert_eq!(reason(stranger), "SCOPE_MISSING");
        }
    }
}
