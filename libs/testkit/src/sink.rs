use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mail_parser::MessageParser;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::Instant,
};

use crate::eventually;

/// A mail server over real TCP that keeps what it gets, as it came over the wire: the mails, and
/// the commands around them.
pub struct SmtpSink {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    released: Arc<Notify>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    connections: usize,
    holds_greetings: bool,
    commands: Vec<String>,
    offered: Vec<Mail>,
    taken: Vec<Mail>,
    replies: VecDeque<Reply>,
    rules: Vec<Rule>,
}

/// What is said to the mails of some recipients.
struct Rule {
    /// How their addresses end.
    suffix: String,
    reply: Reply,
    /// How often it is said to each; those that have heard it so often are taken.
    times: usize,
    said: BTreeMap<String, usize>,
}

/// A mail as it arrived.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The envelope's recipient.
    pub recipient: String,
    /// The bytes between DATA and the final dot, dot-stuffing undone.
    pub raw: Vec<u8>,
    /// When the final dot came.
    pub at: Instant,
}

/// What the server says to a mail instead of `250 taken`.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    /// `451`: try again.
    Delay,
    /// `550`: never.
    Refuse,
    /// A line of the test's own, without its end; the mail is taken if it begins with `2`.
    Line(&'static str),
    /// `250 taken`, but only when [`SmtpSink::release`] is called.
    Hold,
    /// Nothing: the connection is closed, and the mail is not taken.
    Cut,
    /// The mail is taken, and the connection is reset behind the answer, which may be lost.
    Reset,
}

impl SmtpSink {
    /// Starts on a free port.
    pub async fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into()).await
    }

    /// Starts at an address, as a server that comes back does.
    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port for the mail server");
        let address = listener.local_addr().expect("its address");
        let state = Arc::<Mutex<State>>::default();
        let released = Arc::<Notify>::default();
        let (shared, release) = (state.clone(), released.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone(), release.clone()));
            }
        });
        Self { address, state, released, accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers the next mails so, in this order; those after them are taken.
    pub fn reply(&self, replies: &[Reply]) {
        self.lock().replies.extend(replies);
    }

    /// Answers so to the mails of all recipients whose addresses end so, so many times to each.
    /// Replies that were given for the next mails come first.
    pub fn reply_to(&self, suffix: &str, reply: Reply, times: usize) {
        let rule = Rule { suffix: suffix.to_owned(), reply, times, said: BTreeMap::new() };
        self.lock().rules.push(rule);
    }

    /// Greets nobody until [`SmtpSink::relent`] is called.
    pub fn hold_greetings(&self) {
        self.lock().holds_greetings = true;
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    /// Lets a held mail go on.
    pub fn release(&self) {
        self.released.notify_one();
    }

    /// Ends all rules, and lets all held mails and greetings go on.
    pub fn relent(&self) {
        let mut state = self.lock();
        state.rules.clear();
        state.holds_greetings = false;
        drop(state);
        self.released.notify_waiters();
    }

    /// All that has been taken.
    pub fn mails(&self) -> Vec<Mail> {
        self.lock().taken.clone()
    }

    /// Those of them to an address.
    pub fn mails_to(&self, address: &str) -> Vec<Mail> {
        self.lock().taken.iter().filter(|mail| mail.recipient == address).cloned().collect()
    }

    /// How many have been taken.
    pub fn taken(&self) -> usize {
        self.lock().taken.len()
    }

    /// When the first mail to each recipient came, of all that have been taken.
    pub fn arrivals(&self) -> BTreeMap<String, Instant> {
        let mut arrivals = BTreeMap::new();
        for mail in &self.lock().taken {
            arrivals.entry(mail.recipient.clone()).or_insert(mail.at);
        }
        arrivals
    }

    /// The recipients of all that has been taken, in its order.
    pub fn recipients(&self) -> Vec<String> {
        self.lock().taken.iter().map(|mail| mail.recipient.clone()).collect()
    }

    /// All that has come over the wire, taken or not.
    pub fn offered(&self) -> Vec<Mail> {
        self.lock().offered.clone()
    }

    /// Every command of every connection, as it came, with its end.
    pub fn commands(&self) -> Vec<String> {
        self.lock().commands.clone()
    }

    /// Waits for the first mail to an address.
    pub async fn mail_to(&self, address: &str) -> Mail {
        eventually(&format!("a mail to {address}"), async || {
            self.mails_to(address).into_iter().next()
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Mail {
    /// The plain-text part, decoded.
    pub fn text(&self) -> String {
        let mail = MessageParser::default().parse(&self.raw).expect("a mail that can be parsed");
        mail.body_text(0).expect("a text part").into_owned()
    }

    /// The HTML part, decoded.
    pub fn html(&self) -> String {
        let mail = MessageParser::default().parse(&self.raw).expect("a mail that can be parsed");
        mail.body_html(0).expect("an HTML part").into_owned()
    }

    /// A header's text, decoded.
    pub fn header(&self, name: &str) -> Option<String> {
        let mail = MessageParser::default().parse(&self.raw).expect("a mail that can be parsed");
        mail.header(name.to_owned()).and_then(|value| value.as_text().map(str::to_owned))
    }

    /// The invitation link, taken from the plain text as a person would.
    pub fn link(&self) -> String {
        let text = self.text();
        let mut words = text.split_whitespace();
        words.find(|word| word.contains("/invitations/")).expect("a link in the mail").to_owned()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    stream: TcpStream,
    state: Arc<Mutex<State>>,
    released: Arc<Notify>,
) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    let release = released.notified();
    let is_held = {
        let mut state = lock(&state);
        state.connections += 1;
        state.holds_greetings
    };
    if is_held {
        release.await;
    }
    write.write_all(b"220 sink.example ESMTP\r\n").await?;
    let mut recipient = String::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let command = String::from_utf8_lossy(&line).into_owned();
        lock(&state).commands.push(command.clone());
        let verb = command.get(..4).unwrap_or_default().to_uppercase();
        let said = match verb.as_str() {
            "EHLO" => "250-sink.example\r\n250-8BITMIME\r\n250 SMTPUTF8",
            "RCPT" => {
                recipient = address_in(&command);
                "250 ok"
            }
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                let raw = read_data(&mut lines).await?;
                let mail = Mail { recipient: recipient.clone(), raw, at: Instant::now() };
                // A mail that is held when all are let go hears of it.
                let release = released.notified();
                let reply = offer(&state, mail.clone());
                match reply {
                    Some(Reply::Cut) => return Ok(()),
                    Some(Reply::Hold) => release.await,
                    _ => {}
                }
                let said = answer(&state, mail, reply);
                if matches!(reply, Some(Reply::Reset)) {
                    write.write_all(format!("{said}\r\n").as_bytes()).await?;
                    let stream = write.reunite(lines.into_inner()).map_err(io::Error::other)?;
                    // What was not read yet is thrown away, and the other side gets a reset.
                    stream.set_zero_linger()?;
                    return Ok(());
                }
                said
            }
            "QUIT" => {
                write.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            "HELO" | "MAIL" | "RSET" | "NOOP" => "250 ok",
            _ => "500 what?",
        };
        write.write_all(format!("{said}\r\n").as_bytes()).await?;
    }
}

fn offer(state: &Mutex<State>, mail: Mail) -> Option<Reply> {
    let mut state = lock(state);
    let reply = state.replies.pop_front().or_else(|| {
        let rule = state.rules.iter_mut().find(|it| mail.recipient.ends_with(&it.suffix))?;
        let said = rule.said.entry(mail.recipient.clone()).or_default();
        *said += 1;
        (*said <= rule.times).then_some(rule.reply)
    });
    state.offered.push(mail);
    reply
}

fn answer(state: &Mutex<State>, mail: Mail, reply: Option<Reply>) -> &'static str {
    let answer = match reply {
        None | Some(Reply::Hold | Reply::Reset | Reply::Cut) => "250 taken",
        Some(Reply::Delay) => "451 later",
        Some(Reply::Refuse) => "550 never",
        Some(Reply::Line(line)) => line,
    };
    if answer.starts_with('2') {
        lock(state).taken.push(mail);
    }
    answer
}

async fn read_data(lines: &mut BufReader<tokio::net::tcp::OwnedReadHalf>) -> io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(raw);
        }
        let unstuffed = line.strip_prefix(b".").unwrap_or(&line);
        raw.extend_from_slice(unstuffed);
    }
}

fn address_in(command: &str) -> String {
    let inside = command.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map(|(address, _)| address.to_owned()).unwrap_or_default()
}
