//! What a template is held to, and how one is drawn.

use super::*;
use crate::domain::template::{BUILT_IN, Locale};

const INVITATION: Template = Template::InvitationNewUser;

fn language(tag: &str) -> Language {
    Locale::parse(tag).unwrap().language()
}

fn check_as(template: Template, source: &str) -> Vec<String> {
    let engine = Engine::load().unwrap();
    let violations = engine.check(template, &language("en"), source);
    violations.iter().map(ToString::to_string).collect()
}

/// The body of an invitation, under a subject.
fn check_body(body: &str) -> Vec<String> {
    check_as(INVITATION, &format!("Subject: Hello\n\n{body}\n"))
}

fn draw(body: &str) -> Rendered {
    let engine = Engine::load().unwrap();
    let source = format!("Subject: Hello\n\n{body}\n");
    engine.render(&source, &language("en"), &Variables::samples(INVITATION)).unwrap()
}

#[test]
fn every_template_that_comes_with_usher_may_be_saved() {
    let engine = Engine::load().unwrap();
    for template in Template::ALL {
        for tag in BUILT_IN {
            let source = built_in(template, &language(tag)).unwrap();
            assert_eq!(engine.check(template, &language(tag), source), [], "{tag}: {template:?}");
        }
    }
    assert_eq!(SOURCES.len(), Template::ALL.len() * BUILT_IN.len());
}

#[test]
fn what_is_wrong_with_a_template_is_told_with_its_line() {
    let link = "[Go]({{ link }})";
    for (body, expected) in [
        (
            "Hello {{ recipients_name }}\n\n[Go]({{ link }})",
            "line 3: there is no variable `recipients_name`",
        ),
        (
            "x\n\n[Go]({{ link }})\n{% if nobody %}x{% endif %}",
            "line 6: there is no variable `nobody`",
        ),
        ("x\n\n{{ roles|upper }} [Go]({{ link }})", "line 5: expected the name of a variable"),
        ("x\n\n{{ roles ~ roles }} [Go]({{ link }})", "line 5: expected the name of a variable"),
        ("x {{ roles", "line 3: `{{` is not closed"),
        ("x\n{% if roles == 'x }\n", "line 4: `{%` is not closed"),
        (
            "x\n{% set a = roles %}\n[Go]({{ link }})",
            "line 4: expected `if`, `elif`, `else` or `endif`",
        ),
        (
            "x\n{% for i in roles %}{% endfor %}\n[Go]({{ link }})",
            "line 4: expected `if`, `elif`, `else` or `endif`",
        ),
        (
            "x\n{% raw %}{% endraw %}\n[Go]({{ link }})",
            "line 4: expected `if`, `elif`, `else` or `endif`",
        ),
        (
            "x\n{% include 'layout.html' %}\n[Go]({{ link }})",
            "line 4: expected `if`, `elif`, `else` or `endif`",
        ),
        (
            "x\n{% if roles > 3 %}{% endif %}\n[Go]({{ link }})",
            "line 4: expected a condition of variables",
        ),
        ("x\n{% if roles %}\n[Go]({{ link }})", "line 5: unexpected end of input"),
        ("x\n{% if %}y{% endif %}\n[Go]({{ link }})", "line 4: "),
        ("x <b>bold</b>\n\n[Go]({{ link }})", "line 3: HTML is not allowed"),
        ("x\n\n<div>\n</div>\n\n[Go]({{ link }})", "line 5: HTML is not allowed"),
        ("x\n\n<!-- x -->\n\n[Go]({{ link }})", "line 5: HTML is not allowed"),
        ("x `{{ roles }}`\n\n[Go]({{ link }})", "line 3: code is not allowed"),
        ("x\n\n    y\n\n[Go]({{ link }})", "line 5: code is not allowed"),
        ("x\n\n```\ny\n```\n\n[Go]({{ link }})", "line 5: code is not allowed"),
        (
            "x\n\n![y](https://a.example/x.png)\n\n[Go]({{ link }})",
            "line 5: pictures are not allowed",
        ),
        (
            "x [y](javascript:alert\\(1\\))\n\n[Go]({{ link }})",
            "line 3: expected a destination that begins",
        ),
        ("x [y](JAVASCRIPT:x)\n\n[Go]({{ link }})", "line 3: expected a destination that begins"),
        (
            "x [y](data:text/html,x)\n\n[Go]({{ link }})",
            "line 3: expected a destination that begins",
        ),
        (
            "x [y][z]\n\n[z]: javascript:x\n\n[Go]({{ link }})",
            "line 3: expected a destination that begins",
        ),
        ("x <javascript:x>\n\n[Go]({{ link }})", "line 3: expected a destination that begins"),
        ("x [y](/relative)\n\n[Go]({{ link }})", "line 3: expected a destination that begins"),
        ("x [y]()\n\n[Go]({{ link }})", "line 3: a link needs a destination"),
        (
            "x [y]({{ roles }})\n\n[Go]({{ link }})",
            "line 3: expected a destination that is a variable",
        ),
        (
            "x [y](https://a.example/{{ roles }})\n\n[Go]({{ link }})",
            "line 3: expected a destination that is a variable",
        ),
        (
            "x [y]({{ link }}?x)\n\n[Go]({{ link }})",
            "line 3: expected a destination that is a variable",
        ),
        ("x [y](https://a.example\n\n[Go]({{ link }})", "line 3: a link is not complete"),
        ("x **y\n\n[Go]({{ link }})", "line 3: what begins with `**`"),
        ("x", "line 3: the mail does not show `link`"),
        (
            "x\n\n{% if recipient_name %}[Go]({{ link }}){% endif %}",
            "line 5: the mail does not show `link` without the optional",
        ),
        (&format!("{link}\n\n{}", "> ".repeat(20)), "line 5: expected less nesting"),
        (
            &format!("{link}\n\n{}", "{{roles}}".repeat(6_000)),
            "line 5: expected a template with fewer",
        ),
        (
            &format!("{link}\n\n{}", "{{personal_message}}".repeat(3_000)),
            "line 3: expected a smaller mail",
        ),
        (&format!("{link}\n{}", "x".repeat(65_536)), "line 1: expected at most 65536 bytes"),
        (&format!("{link}\n\nx\u{0}y"), "line 5: expected no control characters"),
    ] {
        let told = check_body(body);
        let is_told = told.iter().any(|violation| violation.starts_with(expected));
        assert!(
            is_told,
            "{expected:?} is not told of {:?}: {told:?}",
            body.get(..200).unwrap_or(body)
        );
    }
    assert_eq!(check_body(link), [""; 0]);
}

#[test]
fn a_subject_is_needed_and_short_whatever_is_given() {
    let long = format!("Subject: {}\n\n[Go]({{{{ link }}}})", "x".repeat(201));
    for (source, expected) in [
        ("", "line 1: expected `Subject: `"),
        ("Hello\n\n[Go]({{ link }})", "line 1: expected `Subject: `"),
        ("Subject:\n\n[Go]({{ link }})", "line 1: expected a subject"),
        ("Subject: Hello\n[Go]({{ link }})", "line 2: expected an empty line"),
        ("Subject: Hello", "line 3: expected a body"),
        ("Subject: {{ nobody }}\n\n[Go]({{ link }})", "line 1: there is no variable `nobody`"),
        (
            "Subject: {% if roles %}\n\n{% endif %}[Go]({{ link }})",
            "line 1: unexpected end of input",
        ),
        (
            "Subject: {{ recipient_name }}\n\n[Go]({{ link }})",
            "line 1: there is no subject without the optional variables",
        ),
        (&long, "line 1: expected a subject of at most 200 characters"),
    ] {
        let told = check_as(INVITATION, source);
        assert!(told.iter().any(|it| it.starts_with(expected)), "{expected:?}: {told:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_lines() {
    let source = "Subject: {{ nobody }}\n\n<b>{{ nothing }}\n\n[x]()\n\n{% set x = 1 %}\n";
    let told = check_as(INVITATION, source);
    let lines: Vec<_> = told.iter().map(|it| it.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["line 1", "line 3", "line 3", "line 5", "line 7"], "{told:?}");
    for wrong in ["{{ nobody }}\n", "<b>", "x](y\n"] {
        assert!(check_body(&wrong.repeat(1_000)).len() <= 50);
    }
    // Nor is more looked for: to tell the line of each takes a look at the whole text.
    for wrong in ["<b>", "<b>\n\n", "x](y\n"] {
        let body = wrong.repeat(10_000);
        let pieces = piece::cut(&body, 3).unwrap();
        assert_eq!(markup::check(&pieces, INVITATION, 3).len(), 50, "{wrong:?}");
    }
}

#[test]
fn a_code_must_be_shown_and_a_link_that_is_optional_need_not() {
    let told = check_as(
        Template::VerificationCode,
        "Subject: Hello\n\nIt works until {{ expires_at }}.\n",
    );
    assert_eq!(told, ["line 3: the mail does not show `code`"]);
    let code = "Subject: Hello\n\nYour code: **{{ code }}**\n";
    assert_eq!(check_as(Template::VerificationCode, code), [""; 0]);
    assert_eq!(check_as(Template::PasswordChanged, "Subject: Hello\n\nIt was.\n"), [""; 0]);
    // Every end of a request is tried.
    let ends =
        "Subject: Hello\n\n{% if outcome == 'withdrawn' %}{% else %}{{ link }}{% endif %} x\n";
    let told = check_as(Template::AccessRequestDecided, ends);
    assert_eq!(told, ["line 3: the mail does not show `link` when `outcome` is withdrawn"]);
}

#[test]
fn a_mail_is_drawn_as_html_and_as_text() {
    let body = "# Title\n\nDear *you* **all** &amp; me,\nnext [page](https://a.example/?a=1&b=2) is\\\ngood.\n\n\
                [Go **now**]({{ link }})\n\n1. one\n2. two\n   - inner\n\n> quoted\n> more\n\n---\n\nsmall <https://b.example>";
    let Rendered { subject, text, html } = draw(body);
    assert_eq!(subject, "Hello");
    assert_eq!(
        text,
        "Title\n\nDear you all & me, next page is\ngood.\nhttps://a.example/?a=1&b=2\n\n\
         Go now:\nhttps://usher.example/links/abc\n\n1. one\n2. two\n   - inner\n\n\
         > quoted more\n\n---\n\nsmall https://b.example\n"
    );
    for part in [
        "<em>you</em> <strong>all</strong> &amp; me,\nnext <a href=\"https:&#x2f;&#x2f;a.example",
        ">page</a> &lt;https:&#x2f;&#x2f;a.example&#x2f;?a=1&amp;b=2&gt; is<br>\ngood.</p>",
        ">https:&#x2f;&#x2f;b.example</a></p>",
        ">Go now</a>",
        "If the button does not work, copy this link into your browser:<br>\n<span",
        "<li style=\"margin:0 0 4px;\">two<ul",
        "font-size:14px; color:#4b5563;\">small ",
    ] {
        assert!(html.contains(part), "{part:?} is not in {html}");
    }
}

#[test]
fn a_link_can_be_copied_from_both_parts_wherever_it_stands() {
    for body in [
        "Open [this]({{ link }}) now.",
        "- Open [*this*]({{ link }})",
        "# [Open]({{ link }})",
        "> [Open]({{ link }})\\\nnow",
        "[Open]({{ link }}) [it](https://a.example)",
        "Open {{ link }} now.",
        "[{{ link }}]({{ link }}) now.",
        "[Open]({{ link }})",
    ] {
        assert_eq!(check_body(body), [""; 0]);
        let Rendered { text, html, .. } = draw(body);
        // What stands in a tag is not shown.
        let shown: String =
            html.split('<').filter_map(|it| it.split_once('>')).map(|it| it.1).collect();
        assert_eq!(text.matches("https://usher.example/links/abc").count(), 1, "{text}");
        let escaped = "https:&#x2f;&#x2f;usher.example&#x2f;links&#x2f;abc";
        assert_eq!(shown.matches(escaped).count(), 1, "{html}");
    }
}

#[test]
fn what_a_template_may_not_say_is_text_if_it_says_it_all_the_same() {
    let mail = draw(
        "<b onclick=x>bold</b> [x](javascript:alert\\(1\\)) `code` ![pic](https://a.example/p.png)\n\n\
         <script>\nalert(1)\n</script>\n\n[y](javascript:alert\\(1\\))",
    );
    for part in ["<b", "<script", "javascript:", "<img", "<code"] {
        let content = mail.html.split("<td style=\"padding:32px").nth(1).unwrap();
        assert!(!content.contains(part), "{part} is in {content}");
    }
    assert!(mail.text.contains("<b onclick=x>bold</b> x code pic"), "{}", mail.text);
}
