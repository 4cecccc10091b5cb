//! A network between two parties that can be cut.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use testkit::eventually;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It carries what is sent.
    Pass,
    /// Nothing arrives, and nobody is told: a cable is cut.
    Cut,
    /// What the client sends is taken and lost; connections made now are, too.
    Swallow,
    /// Connections are closed, and new ones refused.
    Close,
}

/// A TCP proxy on the loopback interface.
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    counted: Arc<Counted>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Counted {
    open: AtomicU64,
    swallowed: AtomicU64,
    held: AtomicU64,
}

impl Proxy {
    /// A way to a server, at a port of its own.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port for the proxy");
        let address = listener.local_addr().expect("its address");
        let (mode, watched) = watch::channel(Mode::Pass);
        let counted = Arc::<Counted>::default();
        let counting = counted.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let watched = watched.clone();
                if *watched.borrow() == Mode::Close {
                    continue;
                }
                let counted = counting.clone();
                counted.open.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    carry(client, server, watched, &counted).await;
                    counted.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { address, mode, counted, accepting }
    }

    /// A way to the server of a URL, and the URL that leads through it.
    pub async fn before(url: &str) -> (Self, String) {
        let (_, rest) = url.split_once("://").expect("a URL");
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let server = authority.rsplit('@').next().unwrap_or_default();
        let proxy = Self::to(server.parse().expect("an address and a port")).await;
        let url = url.replacen(server, &proxy.address.to_string(), 1);
        (proxy, url)
    }

    /// How many bytes of clients were lost.
    pub fn swallowed(&self) -> u64 {
        self.counted.swallowed.load(Ordering::Relaxed)
    }

    /// How many bytes and new connections a cut has kept from arriving.
    pub fn held(&self) -> u64 {
        self.counted.held.load(Ordering::Relaxed)
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what the network does from now on.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Closes all connections that there are, and carries those that are made from now on.
    pub async fn reset(&self) {
        self.set(Mode::Close);
        let open = || self.counted.open.load(Ordering::Relaxed);
        eventually("all are closed", async || (open() == 0).then_some(())).await;
        self.set(Mode::Pass);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(
    client: TcpStream,
    server: SocketAddr,
    mut mode: watch::Receiver<Mode>,
    counted: &Counted,
) {
    heal(&mut mode, counted, 1).await;
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let closed = async {
        let _ = mode.clone().wait_for(|mode| *mode == Mode::Close).await;
    };
    tokio::select! {
        _ = pump(from_client, to_server, mode.clone(), counted, true) => {}
        _ = pump(from_server, to_client, mode.clone(), counted, false) => {}
        () = closed => {}
    }
}

/// Waits for the end of a cut, if there is one, with what it keeps from arriving.
async fn heal(mode: &mut watch::Receiver<Mode>, counted: &Counted, held: usize) {
    if *mode.borrow() == Mode::Cut {
        counted.held.fetch_add(held as u64, Ordering::Relaxed);
        let _ = mode.wait_for(|mode| *mode != Mode::Cut).await;
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut mode: watch::Receiver<Mode>,
    counted: &Counted,
    is_client: bool,
) -> io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut bytes).await;
        // That a side has gone does not arrive either.
        heal(&mut mode, counted, *read.as_ref().unwrap_or(&0)).await;
        let count = read?;
        if count == 0 {
            return to.shutdown().await;
        }
        let now = *mode.borrow();
        match now {
            Mode::Swallow if is_client => {
                counted.swallowed.fetch_add(count as u64, Ordering::Relaxed);
            }
            Mode::Close => return Ok(()),
            _ => to.write_all(&bytes[..count]).await?,
        }
    }
}
