//! A mail server that keeps every byte it is sent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// A mail server that keeps what it is sent.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(super) address: String,
    heard: Arc<Mutex<Heard>>,
}

/// What a mail server heard and what it answers.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    /// Every command line, with its end.
    pub commands: Vec<String>,
    /// The bytes of every DATA, before dots are removed, without the final dot.
    pub mails: Vec<Vec<u8>>,
    /// What it answers to the next mails; then `250 taken`.
    pub answers: VecDeque<&'static str>,
}

impl Sink {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink =
            Self { address: listener.local_addr().unwrap().to_string(), heard: Arc::default() };
        let this = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let this = this.clone();
                tokio::spawn(async move { this.converse(stream).await });
            }
        });
        sink
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }

    /// The mails as a reader gets them: without the dots that SMTP adds.
    pub(crate) fn mails(&self) -> Vec<Vec<u8>> {
        let unstuff = |raw: &Vec<u8>| {
            let text = String::from_utf8(raw.clone()).unwrap();
            let lines = text.split("\r\n").map(|line| line.strip_prefix('.').unwrap_or(line));
            lines.collect::<Vec<_>>().join("\r\n").into_bytes()
        };
        self.heard().mails.iter().map(unstuff).collect()
    }

    async fn converse(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 sink\r\n").await.ok()?;
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
                return None;
            }
            let line = String::from_utf8_lossy(&line).into_owned();
            let answer = match line.get(..4) {
                Some("EHLO") => "250-sink\r\n250 8BITMIME".to_owned(),
                Some("DATA") => {
                    stream.write_all(b"354 go on\r\n").await.ok()?;
                    let mut mail = Vec::new();
                    while !mail.ends_with(b"\r\n.\r\n") {
                        mail.push(stream.read_u8().await.ok()?);
                    }
                    mail.truncate(mail.len() - b".\r\n".len());
                    let mut heard = self.heard();
                    heard.mails.push(mail);
                    heard.answers.pop_front().unwrap_or("250 taken").to_owned()
                }
                _ => "250 well".to_owned(),
            };
            self.heard().commands.push(line);
            stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        }
    }
}
