//! `usher templates`: what mails say.

use std::{io::Read as _, path::PathBuf};

use anyhow::Context as _;
use api::notification::v1::{
    DeleteTemplateRequest, GetTemplateRequest, ListTemplatesRequest, Origin,
    PreviewTemplateRequest, Template, UpdateTemplateRequest,
    template_service_client::TemplateServiceClient,
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    Options,
    output::{Out, Output, Table, json, moment, plain, word},
    refusal::told,
    session::Session,
};

/// The longest text that is read; the service takes less.
const MOST_BYTES: u64 = 1 << 20;

#[derive(Subcommand, Debug)]
pub enum TemplatesCommand {
    /// Show for every mail whose text applies at an organisation, and in which languages there is one.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Show the text that applies, or an earlier version of what was saved here.
    ///
    /// It prints the text alone, so that it can be written to a file, changed and set; --output json
    /// tells where it comes from, too.
    Show {
        #[command(flatten)]
        template: Which,
        /// This version of what was saved at this very place.
        #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(i32).range(1..))]
        at_version: Option<i32>,
    },
    /// Override a text with that of a file, for the organisation and all below it.
    ///
    /// Its first line is the subject (`Subject: …`), then comes an empty line, then Markdown with
    /// variables (`{{ organisation_name }}`) and conditions (`{% if inviter_name %}…{% endif %}`). What is
    /// wrong with it is told with its line, and nothing is saved. Every save is a version.
    Set {
        #[command(flatten)]
        template: Which,
        /// The file; - is the standard input.
        file: PathBuf,
        /// Only if the override is still this one, of `show --output json`.
        #[arg(long)]
        etag: Option<String>,
    },
    /// Show what a mail would look like, with a sample for each variable.
    Preview {
        #[command(flatten)]
        template: Which,
        /// A file to be tried before it is set; - is the standard input. None is the text that applies.
        file: Option<PathBuf>,
        /// The HTML instead of the text.
        #[arg(long)]
        html: bool,
    },
    /// Take an override back: what is inherited applies again. Its versions are kept.
    Delete {
        #[command(flatten)]
        template: Which,
        /// Only if the override is still this one, of `show --output json`.
        #[arg(long)]
        etag: Option<String>,
    },
}

/// Where, and in which language.
#[derive(Args, Debug)]
pub struct Place {
    /// At this organisation; 00000000-0000-0000-0000-000000000000 is the platform.
    #[arg(long, value_name = "ID")]
    organisation: String,
    /// Of the mails about this application.
    #[arg(long, value_name = "ID", default_value = "")]
    application: String,
    /// In this language, such as de or de-AT.
    #[arg(long, default_value = "en")]
    language: String,
}

/// Which template, where.
#[derive(Args, Debug)]
pub struct Which {
    /// Its name, from the list, such as invitation-new-user.
    template: String,
    #[command(flatten)]
    place: Place,
}

impl TemplatesCommand {
    pub(crate) async fn run(self, options: &Options, out: Out<'_>) -> anyhow::Result<()> {
        // What cannot be read is told before anybody signs in.
        let source = match &self {
            Self::Set { file, .. } | Self::Preview { file: Some(file), .. } => read(file)?,
            _ => String::new(),
        };
        let mut session = Session::of(options)?;
        let outcome = self.ask(&mut session, source, options.output, out).await;
        session.sign_out().await;
        out.flush()?;
        outcome
    }

    async fn ask(
        self,
        session: &mut Session,
        source: String,
        output: Output,
        out: Out<'_>,
    ) -> anyhow::Result<()> {
        let mut client = TemplateServiceClient::new(session.notification().await?);
        match self {
            Self::List { place: Place { organisation, application, language } } => {
                let request = ListTemplatesRequest {
                    organisation_id: organisation,
                    application_id: application,
                    language,
                };
                let answer = client.list_templates(request).await.map_err(|it| told(&it))?;
                list(answer.into_inner().templates, output, out)
            }
            Self::Show { template: Which { template, place }, at_version } => {
                let request = GetTemplateRequest {
                    organisation_id: place.organisation,
                    application_id: place.application,
                    template,
                    language: place.language,
                    version: at_version.unwrap_or_default(),
                };
                let answer = client.get_template(request).await.map_err(|it| told(&it))?;
                show(answer.into_inner().template.unwrap_or_default(), output, out)
            }
            Self::Set { template: Which { template, place }, file: _, etag } => {
                let request = UpdateTemplateRequest {
                    organisation_id: place.organisation,
                    application_id: place.application,
                    template,
                    language: place.language,
                    source,
                    etag: etag.unwrap_or_default(),
                };
                let answer = client.update_template(request).await.map_err(|it| told(&it))?;
                list(Vec::from_iter(answer.into_inner().template), output, out)
            }
            Self::Preview { template: Which { template, place }, file: _, html } => {
                let request = PreviewTemplateRequest {
                    organisation_id: place.organisation,
                    application_id: place.application,
                    template,
                    language: place.language,
                    source,
                };
                let answer = client.preview_template(request).await.map_err(|it| told(&it))?;
                let mail = answer.into_inner();
                if output == Output::Json {
                    let mail = Mail { subject: mail.subject, text: mail.text, html: mail.html };
                    return Ok(json(out, &mail)?);
                }
                let body = if html { mail.html } else { mail.text };
                writeln!(out, "Subject: {}\n", plain(&mail.subject))?;
                lines(&body, out)
            }
            Self::Delete { template: Which { template, place }, etag } => {
                let request = DeleteTemplateRequest {
                    organisation_id: place.organisation,
                    application_id: place.application,
                    template,
                    language: place.language,
                    etag: etag.unwrap_or_default(),
                };
                client.delete_template(request).await.map_err(|it| told(&it))?;
                Ok(writeln!(out, "what is inherited applies again")?)
            }
        }
    }
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    let reading = || {
        let mut text = String::new();
        if file.as_os_str() == "-" {
            std::io::stdin().lock().take(MOST_BYTES).read_to_string(&mut text)?;
        } else {
            std::fs::File::open(file)?.take(MOST_BYTES).read_to_string(&mut text)?;
        }
        Ok::<_, std::io::Error>(text)
    };
    reading().with_context(|| format!("{} cannot be read", file.display()))
}

/// A text of several lines, none of which steers the terminal. Tabs are part of it.
fn lines(text: &str, out: Out<'_>) -> anyhow::Result<()> {
    for line in text.lines() {
        let parts: Vec<_> = line.split('\t').map(plain).collect();
        writeln!(out, "{}", parts.join("\t"))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Mail {
    subject: String,
    text: String,
    html: String,
}

#[derive(Serialize)]
struct Line {
    template: String,
    language: String,
    origin: String,
    organisation_id: String,
    application_id: String,
    version: i32,
    etag: String,
    created_at: String,
    /// Told in a list.
    languages: Vec<String>,
    /// Empty in a list.
    source: String,
}

impl From<Template> for Line {
    fn from(template: Template) -> Self {
        Self {
            origin: origin(template.origin()),
            template: template.template,
            language: template.language,
            organisation_id: template.organisation_id,
            application_id: template.application_id,
            version: template.version,
            etag: template.etag,
            created_at: moment(template.created_at),
            languages: template.languages,
            source: template.source,
        }
    }
}

/// Where something that is inherited comes from, in a word.
pub(super) fn origin(origin: Origin) -> String {
    word(origin.as_str_name(), "ORIGIN_").replace('_', "-")
}

fn list(templates: Vec<Template>, output: Output, out: Out<'_>) -> anyhow::Result<()> {
    let lines: Vec<_> = templates.into_iter().map(Line::from).collect();
    if output == Output::Json {
        return Ok(json(out, &lines)?);
    }
    let mut table =
        Table::new(["TEMPLATE", "LANGUAGE", "FROM", "VERSION", "ORGANISATION", "LANGUAGES"]);
    for line in &lines {
        let version = if line.version == 0 { String::new() } else { line.version.to_string() };
        let Line { template, language, origin, organisation_id, .. } = line;
        let languages = line.languages.join(" ");
        table.row([template, language, origin, &version, organisation_id, &languages]);
    }
    Ok(table.print(out)?)
}

fn show(template: Template, output: Output, out: Out<'_>) -> anyhow::Result<()> {
    if output == Output::Json {
        return Ok(json(out, &Line::from(template))?);
    }
    lines(&template.source, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(print: impl FnOnce(Out<'_>) -> anyhow::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn template() -> Template {
        Template {
            template: "invitation-new-user".to_owned(),
            language: "de".to_owned(),
            source: "Subject: Willkommen\n\n[Los]({{ link }})\t\u{1b}[2J\n".to_owned(),
            origin: Origin::BuiltIn.into(),
            languages: vec!["de".to_owned(), "en".to_owned()],
            ..Default::default()
        }
    }

    #[test]
    fn a_list_says_where_each_text_comes_from() {
        let expected = "\
TEMPLATE             LANGUAGE  FROM      VERSION  ORGANISATION  LANGUAGES
invitation-new-user  de        built-in                         de en
";
        assert_eq!(printed(|out| list(vec![template()], Output::Table, out)), expected);
    }

    #[test]
    fn a_text_is_shown_as_it_can_be_set_again_and_steers_no_terminal() {
        let expected = "Subject: Willkommen\n\n[Los]({{ link }})\t\u{fffd}[2J\n";
        assert_eq!(printed(|out| show(template(), Output::Table, out)), expected);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read(&PathBuf::from("/nowhere/at-all.md")).unwrap_err();
        assert_eq!(error.to_string(), "/nowhere/at-all.md cannot be read");
    }
}
