//! Where to connect and what to ask; connections and TLS.

use std::cell::Cell;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::cli::{Load, Mode};
use crate::stats::{Class, Failure};

/// The time limit of a request, and of making a connection.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// What every connection of a run needs to know.
pub(crate) struct Plan {
    address: SocketAddr,
    tls: Option<(TlsConnector, TlsConnector, ServerName<'static>)>,
    /// For the Host header and `:authority`.
    pub(crate) authority: String,
    paths: Vec<String>,
    turn: Cell<usize>,
    pub(crate) post: Option<usize>,
    pub(crate) count_header: Option<String>,
    pub(crate) in_flight: usize,
}

impl Plan {
    pub(crate) fn new(args: &Load) -> anyhow::Result<Self> {
        ensure!(args.connections > 0 && args.streams > 0, "--connections and --streams must be at least 1");
        let urls = args
            .urls
            .iter()
            .map(|url| url.parse::<http::Uri>().with_context(|| format!("--url {url}")))
            .collect::<Result<Vec<_>, _>>()?;
        let first = urls.first().context("--url is missing")?;
        let origin = |uri: &http::Uri| (uri.scheme().cloned(), uri.authority().cloned());
        ensure!(urls.iter().all(|u| origin(u) == origin(first)), "all --url must have the same origin");
        let https = match first.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => bail!("--url must start with http:// or https://"),
        };
        ensure!(https || matches!(args.mode, Mode::Keepalive | Mode::Close), "HTTP/2 needs an https:// URL");
        let host = first.host().context("--url has no host")?;
        let port = first.port_u16().unwrap_or(if https { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = (bare, port).to_socket_addrs()?.next().context("the host has no address")?;
        let name = args.host.as_deref().unwrap_or(bare);
        let tls = if https {
            let server = ServerName::try_from(name.to_owned()).with_context(|| format!("--host {name}"))?;
            Some((connector(args.insecure, b"http/1.1")?, connector(args.insecure, b"h2")?, server))
        } else {
            None
        };
        let authority =
            args.host.clone().unwrap_or_else(|| first.authority().map(ToString::to_string).unwrap_or_default());
        let paths = urls.iter().map(|u| u.path_and_query().map_or("/".to_owned(), ToString::to_string)).collect();
        let count_header = args.count_header.as_deref().map(str::to_ascii_lowercase);
        let in_flight = args.in_flight.max(1);
        Ok(Self { address, tls, authority, paths, turn: Cell::new(0), post: args.post, count_header, in_flight })
    }

    /// The next path, in turn over all connections.
    pub(crate) fn path(&self) -> &str {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        self.paths.get(turn % self.paths.len()).map_or("/", String::as_str)
    }

    /// A new connection, its TLS handshake done.
    pub(crate) async fn connect(&self, h2: bool) -> Result<Stream, Failure> {
        match tokio::time::timeout(LIMIT, self.connect_inner(h2)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(Class::Timeout, "no connection within the time limit")),
        }
    }

    async fn connect_inner(&self, h2: bool) -> Result<Stream, Failure> {
        let refused = |e: std::io::Error| Failure::new(Class::Connect, format!("connecting: {e}"));
        let tcp = TcpStream::connect(self.address).await.map_err(refused)?;
        tcp.set_nodelay(true).map_err(refused)?;
        let Some((h1_tls, h2_tls, name)) = &self.tls else {
            return Ok(Stream::Plain(tcp));
        };
        let tls = if h2 { h2_tls } else { h1_tls };
        let stream = tls
            .connect(name.clone(), tcp)
            .await
            .map_err(|e| Failure::new(Class::Tls, format!("TLS handshake: {e}")))?;
        if h2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(Failure::new(Class::Tls, "the server does not speak HTTP/2"));
        }
        Ok(Stream::Tls(Box::new(stream)))
    }
}

fn connector(insecure: bool, alpn: &[u8]) -> anyhow::Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let mut config = if insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))).with_no_client_auth()
    } else {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        builder.with_root_certificates(roots).with_no_client_auth()
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// `--insecure`: whatever certificate the server shows will do; that it holds the key is still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection with or without TLS.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// A second handle on the socket, to ask the kernel itself what has arrived: the runtime's own idea
    /// of readiness is as old as its last poll.
    pub(crate) fn socket(&self) -> std::io::Result<std::net::TcpStream> {
        let tcp = match self {
            Stream::Plain(s) => s,
            Stream::Tls(s) => s.get_ref().0,
        };
        Ok(tcp.as_fd().try_clone_to_owned()?.into())
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Tls(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_flush(cx),
            Stream::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
