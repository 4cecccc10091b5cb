//! `usher deliveries`: what was mailed to whom, and what became of it.

use api::notification::v1::{
    AttemptOutcome, Delivery, DeliveryAttempt, DeliveryState, GetDeliveryRequest,
    ListDeliveriesRequest, ResendDeliveryRequest, delivery_service_client::DeliveryServiceClient,
};
use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::{
    Options,
    output::{Out, Output, Table, json, moment, plain, word},
    refusal::told,
    session::Session,
};

#[derive(Subcommand, Debug)]
pub enum DeliveriesCommand {
    /// Show deliveries, the newest first.
    List {
        /// Only of this organisation; without it those of the whole platform, for who runs it.
        #[arg(long, value_name = "ID")]
        organisation: Option<String>,
        /// Only of this invitation.
        #[arg(long, value_name = "ID")]
        invitation: Option<String>,
        /// Only those in this state.
        #[arg(long, value_enum)]
        state: Option<State>,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show one with all its attempts, and what the mail server said to each.
    Show {
        /// Its identifier, from the list.
        id: String,
    },
    /// Send once more what failed, bounced or was suppressed.
    ///
    /// Mend first what made it fail; an address on the suppression list must come off it.
    Resend {
        /// Their identifiers, from the list.
        #[arg(required = true)]
        ids: Vec<String>,
        /// Also what was sent: the recipient gets a second mail.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// It waits for its next attempt.
    Queued,
    /// A worker holds it.
    Sending,
    /// The mail server took it.
    Sent,
    /// Given up for good.
    Failed,
    /// It came back.
    Bounced,
    /// Not to be sent.
    Suppressed,
}

impl DeliveriesCommand {
    pub(crate) async fn run(self, options: &Options, out: Out<'_>) -> anyhow::Result<()> {
        let mut session = Session::of(options)?;
        let output = options.output;
        let outcome = match self {
            Self::List { organisation, invitation, state, limit } => {
                let wanted = ListDeliveriesRequest {
                    organisation_id: organisation.unwrap_or_default(),
                    invitation_id: invitation.unwrap_or_default(),
                    state: state.map_or(DeliveryState::Unspecified, Into::into).into(),
                    order_by: "created_at desc".to_owned(),
                    ..Default::default()
                };
                match list(&mut session, wanted, limit).await {
                    Ok(deliveries) => print(deliveries, output, out),
                    Err(error) => Err(error),
                }
            }
            Self::Show { id } => show(&mut session, id, output, out).await,
            Self::Resend { ids, force } => resend(&mut session, ids, force, output, out).await,
        };
        session.sign_out().await;
        out.flush()?;
        outcome
    }
}

async fn list(
    session: &mut Session,
    mut wanted: ListDeliveriesRequest,
    limit: u32,
) -> anyhow::Result<Vec<Delivery>> {
    let limit = usize::try_from(limit)?;
    let mut found = Vec::new();
    loop {
        wanted.page_size = i32::try_from((limit - found.len()).min(100))?;
        let mut client = DeliveryServiceClient::new(session.notification().await?);
        let page = client.list_deliveries(wanted.clone()).await;
        let page = page.map_err(|it| told(&it))?.into_inner();
        found.extend(page.deliveries);
        wanted.page_token = page.next_page_token;
        if found.len() >= limit || wanted.page_token.is_empty() {
            return Ok(found);
        }
    }
}

async fn show(
    session: &mut Session,
    id: String,
    output: Output,
    out: Out<'_>,
) -> anyhow::Result<()> {
    let mut client = DeliveryServiceClient::new(session.notification().await?);
    let answer = client.get_delivery(GetDeliveryRequest { id }).await;
    let answer = answer.map_err(|it| told(&it))?.into_inner();
    let attempts = answer.attempts.into_iter().map(Attempt::from).collect();
    let line = Line { attempts, ..Line::from(answer.delivery.unwrap_or_default()) };
    if output == Output::Json {
        return Ok(json(out, &line)?);
    }
    for (name, value) in [
        ("id", &line.id),
        ("event", &line.event_id),
        ("organisation", &line.organisation_id),
        ("invitation", &line.invitation_id),
        ("request", &line.access_request_id),
        ("recipient", &line.recipient),
        ("template", &line.template),
        ("locale", &line.locale),
        ("message id", &line.message_id),
        ("state", &line.state),
        ("reason", &line.reason),
        ("asked for", &line.created_at),
        ("changed", &line.updated_at),
    ] {
        if !value.is_empty() {
            writeln!(out, "{name:<12}  {}", plain(value))?;
        }
    }
    writeln!(out)?;
    let mut table =
        Table::new(["ATTEMPT", "BEGUN", "ENDED", "OUTCOME", "REASON", "REPLY", "WORDS"]);
    for attempt in &line.attempts {
        let Attempt { number, begun_at, ended_at, outcome, reason, reply_code, words, .. } =
            attempt;
        let number = number.to_string();
        let reply = if *reply_code == 0 { String::new() } else { reply_code.to_string() };
        table.row([&number, begun_at, ended_at, outcome, reason, &reply, words]);
    }
    Ok(table.print(out)?)
}

async fn resend(
    session: &mut Session,
    ids: Vec<String>,
    force: bool,
    output: Output,
    out: Out<'_>,
) -> anyhow::Result<()> {
    let mut deliveries = Vec::new();
    for id in ids {
        let mut client = DeliveryServiceClient::new(session.notification().await?);
        let request = ResendDeliveryRequest { id, force };
        let answer = client.resend_delivery(request).await.map_err(|it| told(&it))?;
        deliveries.extend(answer.into_inner().delivery);
    }
    print(deliveries, output, out)
}

#[derive(Serialize)]
struct Line {
    id: String,
    event_id: String,
    organisation_id: String,
    invitation_id: String,
    access_request_id: String,
    issue: i32,
    recipient: String,
    template: String,
    locale: String,
    state: String,
    reason: String,
    attempt_count: i32,
    last_error: String,
    message_id: String,
    generation: i32,
    created_at: String,
    updated_at: String,
    /// Empty in a list.
    attempts: Vec<Attempt>,
}

#[derive(Serialize)]
struct Attempt {
    number: i32,
    generation: i32,
    begun_at: String,
    ended_at: String,
    outcome: String,
    reason: String,
    reply_code: i32,
    enhanced_status: String,
    words: String,
}

impl From<Delivery> for Line {
    fn from(delivery: Delivery) -> Self {
        Self {
            state: word(delivery.state().as_str_name(), "DELIVERY_STATE_"),
            id: delivery.id,
            event_id: delivery.event_id,
            organisation_id: delivery.organisation_id,
            invitation_id: delivery.invitation_id,
            access_request_id: delivery.access_request_id,
            issue: delivery.issue,
            recipient: delivery.recipient,
            template: delivery.template,
            locale: delivery.locale,
            reason: delivery.reason,
            attempt_count: delivery.attempts,
            last_error: delivery.last_error,
            message_id: delivery.message_id,
            generation: delivery.generation,
            created_at: moment(delivery.created_at),
            updated_at: moment(delivery.updated_at),
            attempts: Vec::new(),
        }
    }
}

impl From<DeliveryAttempt> for Attempt {
    fn from(attempt: DeliveryAttempt) -> Self {
        let outcome = match attempt.outcome() {
            AttemptOutcome::Unspecified => "goes on".to_owned(),
            outcome => word(outcome.as_str_name(), "ATTEMPT_OUTCOME_"),
        };
        Self {
            number: attempt.number,
            generation: attempt.generation,
            begun_at: moment(attempt.begun_at),
            ended_at: moment(attempt.ended_at),
            outcome,
            reason: attempt.reason,
            reply_code: attempt.reply_code,
            enhanced_status: attempt.enhanced_status,
            words: attempt.words,
        }
    }
}

impl From<State> for DeliveryState {
    fn from(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Sending => Self::Sending,
            State::Sent => Self::Sent,
            State::Failed => Self::Failed,
            State::Bounced => Self::Bounced,
            State::Suppressed => Self::Suppressed,
        }
    }
}

fn print(deliveries: Vec<Delivery>, output: Output, out: Out<'_>) -> anyhow::Result<()> {
    let lines: Vec<_> = deliveries.into_iter().map(Line::from).collect();
    if output == Output::Json {
        return Ok(json(out, &lines)?);
    }
    let mut table =
        Table::new(["ID", "RECIPIENT", "TEMPLATE", "STATE", "REASON", "ATTEMPTS", "CHANGED"]);
    for Line { id, recipient, template, state, reason, attempt_count, updated_at, .. } in &lines {
        table.row([id, recipient, template, state, reason, &attempt_count.to_string(), updated_at]);
    }
    Ok(table.print(out)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_get_a_table_and_programs_every_field() {
        let delivery = Delivery {
            id: "7".to_owned(),
            recipient: "ada@example.com".to_owned(),
            template: "invitation-new-user".to_owned(),
            state: DeliveryState::Failed.into(),
            reason: "refused".to_owned(),
            attempts: 1,
            last_error: "550 no".to_owned(),
            ..Default::default()
        };
        let printed = |output| {
            let mut out = Vec::new();
            print(vec![delivery.clone()], output, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let expected = "\
ID  RECIPIENT        TEMPLATE             STATE   REASON   ATTEMPTS  CHANGED
7   ada@example.com  invitation-new-user  failed  refused  1
";
        assert_eq!(printed(Output::Table), expected);
        let lines: serde_json::Value = serde_json::from_str(&printed(Output::Json)).unwrap();
        assert_eq!(
            (&lines[0]["state"], &lines[0]["last_error"]),
            (&"failed".into(), &"550 no".into())
        );
    }
}
