//! `usher dead-letters`: what consumers gave up.

use api::notification::v1::{
    DeadLetter, DeadLetterState, DiscardDeadLetterRequest, GetDeadLetterRequest,
    ListDeadLettersRequest, ReplayDeadLetterRequest,
    dead_letter_service_client::DeadLetterServiceClient,
};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::{
    Options,
    output::{Out, Output, Table, json, moment, plain, word},
    refusal::told,
    session::Session,
};

#[derive(Subcommand, Debug)]
pub enum DeadLettersCommand {
    /// Show dead letters, the oldest first.
    List {
        /// Only of this queue, such as mailer.invitations.
        #[arg(long)]
        queue: Option<String>,
        /// In which state.
        #[arg(long, value_enum, default_value_t = State::Waiting)]
        state: State,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show one with all that is known about it, and the event itself in hexadecimal.
    Show {
        /// Its identifier, from the list.
        id: String,
    },
    /// Hand them again to the queue that gave them up, and to no other.
    ///
    /// Whoever has handled an event meanwhile knows it: nothing happens twice. Mend first what made it
    /// fail, or it comes back here.
    Replay(Which),
    /// Give them up for good. They stay readable for 30 days.
    Discard(Which),
}

/// Which of those that wait for a decision.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("which").required(true).args(["ids", "all"]))]
pub struct Which {
    /// Their identifiers, from the list.
    ids: Vec<String>,
    /// All that wait.
    #[arg(long)]
    all: bool,
    /// With --all: only those of this queue.
    #[arg(long, requires = "all")]
    queue: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// Nobody has decided yet.
    Waiting,
    /// Handed out again.
    Replayed,
    /// Given up for good.
    Discarded,
}

#[derive(Clone, Copy)]
enum Decision {
    Replay,
    Discard,
}

impl DeadLettersCommand {
    pub(crate) async fn run(self, options: &Options, out: Out<'_>) -> anyhow::Result<()> {
        let mut session = Session::of(options)?;
        let output = options.output;
        let outcome = match self {
            Self::List { queue, state, limit } => {
                let queue = queue.unwrap_or_default();
                match list(&mut session, &queue, state, limit).await {
                    Ok(letters) => print(letters, output, out),
                    Err(error) => Err(error),
                }
            }
            Self::Show { id } => show(&mut session, id, output, out).await,
            Self::Replay(which) => decide(&mut session, which, Decision::Replay, out).await,
            Self::Discard(which) => decide(&mut session, which, Decision::Discard, out).await,
        };
        session.sign_out().await;
        out.flush()?;
        outcome
    }
}

async fn list(
    session: &mut Session,
    queue: &str,
    state: State,
    limit: u32,
) -> anyhow::Result<Vec<DeadLetter>> {
    let state = match state {
        State::Waiting => DeadLetterState::Waiting,
        State::Replayed => DeadLetterState::Replayed,
        State::Discarded => DeadLetterState::Discarded,
    };
    let (mut letters, mut page_token, mut left) = (Vec::new(), String::new(), limit);
    loop {
        let request = ListDeadLettersRequest {
            queue: queue.to_owned(),
            state: state.into(),
            page_size: i32::try_from(left.min(100))?,
            page_token,
        };
        let mut client = DeadLetterServiceClient::new(session.notification().await?);
        let page = client.list_dead_letters(request).await.map_err(|it| told(&it))?.into_inner();
        left = left.saturating_sub(u32::try_from(page.dead_letters.len())?);
        letters.extend(page.dead_letters);
        page_token = page.next_page_token;
        if left == 0 || page_token.is_empty() {
            return Ok(letters);
        }
    }
}

async fn show(
    session: &mut Session,
    id: String,
    output: Output,
    out: Out<'_>,
) -> anyhow::Result<()> {
    let mut client = DeadLetterServiceClient::new(session.notification().await?);
    let answer = client.get_dead_letter(GetDeadLetterRequest { id }).await;
    let letter = answer.map_err(|it| told(&it))?.into_inner().dead_letter.unwrap_or_default();
    let line = Line::from(letter);
    if output == Output::Json {
        return Ok(json(out, &line)?);
    }
    let attempts = line.attempts.to_string();
    for (name, value) in [
        ("id", &line.id),
        ("event", &line.event_id),
        ("type", &line.kind),
        ("source", &line.source),
        ("subject", &line.subject),
        ("happened", &line.time),
        ("queue", &line.queue),
        ("ground", &line.ground),
        ("error", &line.error),
        ("attempts", &attempts),
        ("state", &line.state),
        ("given up", &line.created_at),
        ("changed", &line.updated_at),
        ("decided by", &line.decided_by),
        ("payload", &line.payload),
    ] {
        writeln!(out, "{name:<10}  {}", plain(value))?;
    }
    Ok(())
}

async fn decide(
    session: &mut Session,
    which: Which,
    decision: Decision,
    out: Out<'_>,
) -> anyhow::Result<()> {
    let Which { ids, all, queue } = which;
    let mut decided = 0;
    let queue = queue.unwrap_or_default();
    let mut ids = ids;
    loop {
        if all {
            let page = list(session, &queue, State::Waiting, 100).await?;
            ids = page.into_iter().map(|letter| letter.id).collect();
        }
        let before = decided;
        for id in &ids {
            let mut client = DeadLetterServiceClient::new(session.notification().await?);
            let id = id.clone();
            let outcome = match decision {
                Decision::Replay => {
                    client.replay_dead_letter(ReplayDeadLetterRequest { id }).await.map(|_| ())
                }
                Decision::Discard => {
                    client.discard_dead_letter(DiscardDeadLetterRequest { id }).await.map(|_| ())
                }
            };
            match outcome {
                Ok(()) => decided += 1,
                // Of all, somebody else decides about some, and what is not ours cannot be replayed.
                Err(status) if all && status.code() == tonic::Code::FailedPrecondition => {}
                Err(status) => return Err(told(&status)),
            }
        }
        // The next hundred, unless nothing of these moved.
        if !all || ids.len() < 100 || decided == before {
            break;
        }
    }
    let done = match decision {
        Decision::Replay => "replayed",
        Decision::Discard => "discarded",
    };
    Ok(writeln!(out, "{decided} {done}")?)
}

#[derive(Serialize)]
struct Line {
    id: String,
    event_id: String,
    #[serde(rename = "type")]
    kind: String,
    source: String,
    subject: String,
    time: String,
    queue: String,
    ground: String,
    error: String,
    attempts: i32,
    state: String,
    created_at: String,
    updated_at: String,
    decided_by: String,
    /// Hexadecimal; empty in a list.
    payload: String,
}

impl From<DeadLetter> for Line {
    fn from(letter: DeadLetter) -> Self {
        let payload = letter.payload.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            ground: word(letter.ground().as_str_name(), "DEAD_LETTER_GROUND_"),
            state: word(letter.state().as_str_name(), "DEAD_LETTER_STATE_"),
            id: letter.id,
            event_id: letter.event_id,
            kind: letter.r#type,
            source: letter.source,
            subject: letter.subject,
            time: moment(letter.time),
            queue: letter.queue,
            error: letter.error,
            attempts: letter.attempts,
            created_at: moment(letter.created_at),
            updated_at: moment(letter.updated_at),
            decided_by: letter.decided_by,
            payload,
        }
    }
}

fn print(letters: Vec<DeadLetter>, output: Output, out: Out<'_>) -> anyhow::Result<()> {
    let lines: Vec<_> = letters.into_iter().map(Line::from).collect();
    if output == Output::Json {
        return Ok(json(out, &lines)?);
    }
    let mut table = Table::new(["ID", "GIVEN UP", "QUEUE", "GROUND", "TYPE", "SUBJECT", "ERROR"]);
    for Line { id, created_at, queue, ground, kind, subject, error, .. } in &lines {
        table.row([id, created_at, queue, ground, kind, subject, error]);
    }
    Ok(table.print(out)?)
}

#[cfg(test)]
mod tests {
    use api::notification::v1::DeadLetterGround;

    use super::*;

    #[test]
    fn people_get_a_table_and_programs_every_field() {
        let letter = DeadLetter {
            id: "7".to_owned(),
            queue: "mailer.invitations".to_owned(),
            ground: DeadLetterGround::Exhausted.into(),
            error: "GetUser: Unavailable".to_owned(),
            r#type: "organisation.invitation.created.v1".to_owned(),
            subject: "s".to_owned(),
            state: DeadLetterState::Waiting.into(),
            payload: vec![0, 0xab],
            ..Default::default()
        };
        let printed = |output| {
            let mut out = Vec::new();
            print(vec![letter.clone()], output, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let expected = "\
ID  GIVEN UP  QUEUE               GROUND     TYPE                                SUBJECT  ERROR
7             mailer.invitations  exhausted  organisation.invitation.created.v1  s        GetUser: Unavailable
";
        assert_eq!(printed(Output::Table), expected);
        let lines: serde_json::Value = serde_json::from_str(&printed(Output::Json)).unwrap();
        assert_eq!(
            (&lines[0]["ground"], &lines[0]["payload"]),
            (&"exhausted".into(), &"00ab".into())
        );
    }
}
