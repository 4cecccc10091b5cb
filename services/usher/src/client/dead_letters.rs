//! `usher dead-letters`: what consumers gave up.

use std::collections::BTreeMap;

use api::notification::v1::{
    DeadLetter, DeadLetterState, DiscardDeadLetterRequest, GetDeadLetterRequest,
    ListDeadLettersRequest, ListDeadLettersResponse, ReplayDeadLetterRequest,
    dead_letter_service_client::DeadLetterServiceClient,
};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use serde::Serialize;
use tonic::Code;

use super::{
    Options,
    output::{Out, Output, Table, json, moment, plain, word},
    refusal::{sentence, told},
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
    /// fail, or it comes back here. With --all, what cannot be replayed is passed over; ends with 1 if
    /// anything was.
    Replay(Which),
    /// Give them up for good. They stay readable for 30 days.
    ///
    /// With --all, what somebody else decides about meanwhile is passed over; ends with 1 if anything was.
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
    let (mut letters, mut page_token, mut left) = (Vec::new(), String::new(), limit);
    loop {
        let page = page(session, queue, state, left.min(100), page_token).await?;
        left = left.saturating_sub(u32::try_from(page.dead_letters.len())?);
        letters.extend(page.dead_letters);
        page_token = page.next_page_token;
        if left == 0 || page_token.is_empty() {
            return Ok(letters);
        }
    }
}

async fn page(
    session: &mut Session,
    queue: &str,
    state: State,
    size: u32,
    page_token: String,
) -> anyhow::Result<ListDeadLettersResponse> {
    let state = match state {
        State::Waiting => DeadLetterState::Waiting,
        State::Replayed => DeadLetterState::Replayed,
        State::Discarded => DeadLetterState::Discarded,
    };
    let request = ListDeadLettersRequest {
        queue: queue.to_owned(),
        state: state.into(),
        page_size: i32::try_from(size)?,
        page_token,
    };
    let mut client = DeadLetterServiceClient::new(session.notification().await?);
    Ok(client.list_dead_letters(request).await.map_err(|it| told(&it))?.into_inner())
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

/// What became of the letters that were to be decided about.
#[derive(Default)]
struct Tally {
    decided: u64,
    /// How many were passed over, by why.
    passed_over: BTreeMap<String, u64>,
}

async fn decide(
    session: &mut Session,
    which: Which,
    decision: Decision,
    out: Out<'_>,
) -> anyhow::Result<()> {
    let mut tally = Tally::default();
    let outcome = decide_each(session, which, decision, &mut tally).await;
    let Tally { decided, passed_over } = tally;
    let done = match decision {
        Decision::Replay => "replayed",
        Decision::Discard => "discarded",
    };
    // Also of a walk that broke off, for what is decided stays so.
    writeln!(out, "{decided} {done}")?;
    for (why, count) in &passed_over {
        writeln!(out, "{count} passed over: {why}")?;
    }
    outcome?;
    let passed_over: u64 = passed_over.values().sum();
    let all = decided + passed_over;
    anyhow::ensure!(passed_over == 0, "{passed_over} of {all} were passed over");
    Ok(())
}

/// Of all, each is met once: a page begins behind the last letter of the one before, whatever has become
/// of that, and a letter that is given up again meanwhile keeps its place behind us.
async fn decide_each(
    session: &mut Session,
    which: Which,
    decision: Decision,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let Which { mut ids, all, queue } = which;
    let (queue, mut page_token) = (queue.unwrap_or_default(), String::new());
    loop {
        if all {
            let page = page(session, &queue, State::Waiting, 100, page_token).await?;
            ids = page.dead_letters.into_iter().map(|letter| letter.id).collect();
            page_token = page.next_page_token;
        }
        for id in ids.drain(..) {
            let mut client = DeadLetterServiceClient::new(session.notification().await?);
            let outcome = match decision {
                Decision::Replay => {
                    client.replay_dead_letter(ReplayDeadLetterRequest { id }).await.map(|_| ())
                }
                Decision::Discard => {
                    client.discard_dead_letter(DiscardDeadLetterRequest { id }).await.map(|_| ())
                }
            };
            match outcome {
                Ok(()) => tally.decided += 1,
                // Of all, somebody else decides about some, what is not ours cannot be replayed, and an
                // event that two queues gave up goes to one after the other.
                Err(status)
                    if all && matches!(status.code(), Code::FailedPrecondition | Code::Aborted) =>
                {
                    *tally.passed_over.entry(sentence(&status)).or_default() += 1;
                }
                Err(status) => return Err(told(&status)),
            }
        }
        if page_token.is_empty() {
            return Ok(());
        }
    }
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
    use std::sync::{Arc, Mutex};

    use api::notification::v1::{
        DeadLetterGround, ReplayDeadLetterResponse,
        dead_letter_service_server::{DeadLetterService, DeadLetterServiceServer},
    };
    use service::Module;
    use testkit::Bench;
    use tonic::{Request, Response, Status, service::Routes};

    use super::{super::credentials::Credentials, *};

    /// A service with letters that wait, and what it answers to the replay of each.
    #[derive(Clone)]
    struct Double(Arc<Mutex<BTreeMap<String, Result<(), Status>>>>);

    #[tonic::async_trait]
    impl DeadLetterService for Double {
        async fn list_dead_letters(
            &self,
            request: Request<ListDeadLettersRequest>,
        ) -> Result<Response<ListDeadLettersResponse>, Status> {
            let ListDeadLettersRequest { page_size, page_token, .. } = request.into_inner();
            let waiting = self.0.lock().unwrap();
            let mut ids = waiting.keys().filter(|id| **id > page_token).cloned();
            let page = ids.by_ref().take(page_size.try_into().unwrap());
            let dead_letters: Vec<_> =
                page.map(|id| DeadLetter { id, ..Default::default() }).collect();
            let next = dead_letters.last().filter(|_| ids.next().is_some());
            let next_page_token = next.map(|last| last.id.clone()).unwrap_or_default();
            Ok(Response::new(ListDeadLettersResponse { dead_letters, next_page_token }))
        }

        async fn replay_dead_letter(
            &self,
            request: Request<ReplayDeadLetterRequest>,
        ) -> Result<Response<ReplayDeadLetterResponse>, Status> {
            let id = request.into_inner().id;
            let mut waiting = self.0.lock().unwrap();
            waiting[&id].clone()?;
            waiting.remove(&id);
            Ok(Response::new(ReplayDeadLetterResponse::default()))
        }
    }

    /// Replays all; what was printed, how it ended, and how many wait still.
    async fn replay_all(
        letters: impl Iterator<Item = Result<(), Status>>,
    ) -> (String, Result<(), String>, usize) {
        let letters = letters.enumerate().map(|(n, answer)| (format!("{n:03}"), answer));
        let double = Double(Arc::new(Mutex::new(letters.collect())));
        let bench = Bench::sqlite().await;
        let routes = Routes::new(DeadLetterServiceServer::new(double.clone()));
        let module = Module { grpc: Some(routes), ..Module::new("notification") };
        let served = bench.serve(module).await;
        let token = Credentials::Token(bench.service_token("").into());
        let mut session = Session::new([&served.url; 3], token).unwrap();
        let all = Which { ids: Vec::new(), all: true, queue: None };
        let mut out = Vec::new();
        let outcome = decide(&mut session, all, Decision::Replay, &mut out).await;
        let left = double.0.lock().unwrap().len();
        (String::from_utf8(out).unwrap(), outcome.map_err(|error| error.to_string()), left)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn letters_that_cannot_be_replayed_hide_none_behind_them() {
        let code = Code::FailedPrecondition;
        let (reason, what) = ("DEAD_LETTER_UNREADABLE", "it can only be discarded");
        let unreadable = service::refusal("notification.usher", code, reason, what, &[], None);
        // Those behind are more than a page, and leave the list while it is walked.
        let letters = (0..250).map(|n| match n {
            0..100 => Err(unreadable.clone()),
            100 => Err(Status::aborted("it is still on its way")),
            _ => Ok(()),
        });
        let (told, outcome, left) = replay_all(letters).await;
        let expected = "149 replayed\n\
                        1 passed over: Aborted: it is still on its way\n\
                        100 passed over: DEAD_LETTER_UNREADABLE: it can only be discarded\n";
        assert_eq!((told.as_str(), left), (expected, 101));
        // What ends the command with 1.
        assert_eq!(outcome, Err("101 of 250 were passed over".to_owned()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_walk_that_breaks_off_tells_how_far_it_came() {
        let letters = [Ok(()), Err(service::unavailable("a test")), Ok(())];
        let (told, outcome, left) = replay_all(letters.into_iter()).await;
        assert_eq!((told.as_str(), left), ("1 replayed\n", 2));
        assert_eq!(outcome, Err("Unavailable: try again in a moment".to_owned()));
    }

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
