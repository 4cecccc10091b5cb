//! Calls to programs of others: one POST, to a host that was checked, at the address that was checked.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use service::{Environment, Settings};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};
use url::{Host, Url};

use crate::domain::address::is_public;

const CONNECT: Duration = Duration::from_secs(5);
const IN_ALL: Duration = Duration::from_secs(10);

/// Sends POSTs to URLs that others have named. No redirect is followed, no proxy is asked, and
/// nothing of an answer but its status is read.
pub(crate) struct Webhooks {
    tls: TlsConnector,
    /// Whether private and local addresses may be reached.
    private_networks: bool,
    /// Whether this machine is spoken to without TLS.
    plain_here: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing is sent there.
    Forbidden(&'static str),
    /// It may answer another time.
    Unreachable(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl Webhooks {
    /// Trusts what the machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` name more).
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            private_networks: settings.callback_private_networks,
            plain_here: settings.environment == Environment::Development,
        })
    }

    /// Posts JSON; answers the status. At most 5 s to connect and 10 s in all.
    pub(crate) async fn post(
        &self,
        url: &Url,
        headers: [(&'static str, String); 3],
        body: String,
    ) -> Result<StatusCode, Failure> {
        let late = || Err(Failure::Unreachable("it took longer than 10 s".to_owned()));
        timeout(IN_ALL, self.exchange(url, headers, body)).await.unwrap_or_else(|_| late())
    }

    async fn exchange(
        &self,
        url: &Url,
        headers: [(&'static str, String); 3],
        body: String,
    ) -> Result<StatusCode, Failure> {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Failure::Forbidden("the URL has no host"));
        };
        let is_plain = url.scheme() == "http" && self.plain_here && is_here(&host);
        if !is_plain && url.scheme() != "https" {
            return Err(Failure::Forbidden("only https is spoken"));
        }
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::post(target)
            .header(header::HOST, authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "Usher");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(body);
        let request = request.map_err(|error| Failure::Unreachable(error.to_string()))?;
        let late = || Err(Failure::Unreachable("connecting took longer than 5 s".to_owned()));
        let connecting = self.connect(&host, port);
        let stream = timeout(CONNECT, connecting).await.unwrap_or_else(|_| late())?;
        if is_plain {
            return send(stream, request).await;
        }
        let name = host.to_string().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name);
        let name = name.map_err(|_| Failure::Forbidden("no certificate can have this name"))?;
        send(self.tls.connect(name, stream).await?, request).await
    }

    /// Connects to an address that is allowed. The name is not asked for again in between, so that it
    /// cannot stand for another address by then.
    async fn connect(&self, host: &Host<&str>, port: u16) -> Result<TcpStream, Failure> {
        let mut addresses: Vec<SocketAddr> = match host {
            Host::Ipv4(address) => vec![(*address, port).into()],
            Host::Ipv6(address) => vec![(*address, port).into()],
            Host::Domain(name) => tokio::net::lookup_host((*name, port)).await?.collect(),
        };
        addresses.retain(|address| self.private_networks || is_public(address.ip()));
        if addresses.is_empty() {
            return Err(Failure::Forbidden("the address is not one of the open internet"));
        }
        Ok(TcpStream::connect(addresses.as_slice()).await?)
    }
}

fn is_here(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

async fn send<S>(stream: S, request: Request<String>) -> Result<StatusCode, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = http1::Builder::new();
    connection.max_buf_size(16 * 1024);
    let (mut sender, connection) = connection.handshake(TokioIo::new(stream)).await?;
    // It ends when the sender and the answer are dropped.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?.status())
}
