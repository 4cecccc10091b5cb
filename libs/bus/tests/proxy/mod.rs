//! A way to the broker that a test can cut, stop at a word, and speak on in the broker's name.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::broadcast,
};
use tokio_util::sync::CancellationToken;

/// `Connection.Blocked`: the broker is short of something, here of nothing in particular.
pub const BLOCKED: &[u8] = &[1, 0, 0, 0, 0, 0, 5, 0, 10, 0, 60, 0, 0xCE];
/// `Connection.Unblocked`.
pub const UNBLOCKED: &[u8] = &[1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 61, 0xCE];
/// A frame has its type, its channel and its length before, and one octet behind what is in it.
const HEAD: usize = 7;

pub struct Proxy {
    /// Where clients connect to instead.
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    connections: AtomicUsize,
    cut: Mutex<CancellationToken>,
    stop_at: Mutex<Option<&'static [u8]>>,
    said: broadcast::Sender<&'static [u8]>,
}

impl Proxy {
    pub async fn start(url: &str) -> Self {
        let (credentials, place) = url.rsplit_once('@').expect("credentials");
        let (broker, vhost) = place.split_once('/').expect("a virtual host");
        let broker = broker.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            connections: AtomicUsize::new(0),
            cut: Mutex::default(),
            stop_at: Mutex::default(),
            said: broadcast::Sender::new(4),
        });
        let this = Self { url: format!("{credentials}@{address}/{vhost}"), shared: shared.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let broker = TcpStream::connect(&broker).await.expect("the broker");
                let (shared, cut) = (shared.clone(), shared.cut.lock().unwrap().clone());
                tokio::spawn(async move {
                    let (from_client, to_client) = client.into_split();
                    let (from_broker, to_broker) = broker.into_split();
                    tokio::select! {
                        () = cut.cancelled() => {}
                        _ = shared.pass_on(from_client, to_broker) => {}
                        _ = shared.answer(from_broker, to_client) => {}
                    }
                });
            }
        });
        this
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Breaks every connection that there is.
    pub fn cut(&self) {
        std::mem::take(&mut *self.shared.cut.lock().unwrap()).cancel();
    }

    /// From the next such word on, nothing that its client writes reaches the broker.
    pub fn stop_at(&self, word: &'static [u8]) {
        *self.shared.stop_at.lock().unwrap() = Some(word);
    }

    /// Whether a connection has come to the word.
    pub fn has_stopped(&self) -> bool {
        self.shared.stop_at.lock().unwrap().is_none()
    }

    /// Says something to every client.
    pub fn say(&self, frame: &'static [u8]) {
        self.shared.said.send(frame).expect("a client");
    }
}

impl Shared {
    async fn pass_on(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> std::io::Result<()> {
        // The end of what was passed on may be the beginning of the word.
        let (mut read, mut passed) = (Vec::new(), 0);
        while from.read_buf(&mut read).await? > 0 {
            if let Some(word) = self.position_in(&read) {
                to.write_all(read.get(passed..word).unwrap_or_default()).await?;
                return std::future::pending().await;
            }
            to.write_all(&read[passed..]).await?;
            read.drain(..read.len().saturating_sub(64));
            passed = read.len();
        }
        Ok(())
    }

    /// Where the word begins, for whoever comes to it first.
    fn position_in(&self, read: &[u8]) -> Option<usize> {
        let mut stop_at = self.stop_at.lock().unwrap();
        let word = (*stop_at)?;
        let position = read.windows(word.len()).position(|it| it == word)?;
        *stop_at = None;
        Some(position)
    }

    async fn answer(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
        let (mut said, mut read) = (self.said.subscribe(), Vec::new());
        loop {
            tokio::select! {
                Ok(frame) = said.recv() => to.write_all(frame).await?,
                // Only whole frames, so that something can be said between them.
                count = from.read_buf(&mut read) => {
                    if count? == 0 {
                        return Ok(());
                    }
                    while let Some(length) = read.first_chunk::<HEAD>().map(|head| {
                        HEAD + u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize + 1
                    }) && read.len() >= length
                    {
                        to.write_all(&read[..length]).await?;
                        read.drain(..length);
                    }
                }
            }
        }
    }
}
