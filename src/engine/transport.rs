//! Ways to an engine: a socket of this host, TCP, TLS, ssh. Over the latter, connections are kept for the next call:
//! over a network, making one takes longer than most calls.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::errors::Error;
use bollard::{BollardRequest, ClientVersion, Docker};
use futures_util::future::BoxFuture;
use hyper::Uri;
use hyper::rt::ReadBufCursor;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower_service::Service;

use super::address::TlsFiles;
use super::error::{EngineError, ErrorKind};
use super::ssh::Ssh;

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(15);

/// Connections kept for later, and how long. A host's sshd usually allows ten streams on one login (`MaxSessions`).
const KEPT: usize = 4;
const KEEP: Duration = Duration::from_secs(60);

/// Bytes both ways.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A way to an engine.
#[derive(Debug, Clone)]
pub(super) enum Way {
    /// A socket of this host.
    Unix(String),
    /// A TCP connection, encrypted or not.
    Tcp { host: String, port: u16, tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)> },
    /// A stream through a login.
    Ssh(Arc<Ssh>),
}

impl Way {
    pub(super) async fn dial(self) -> io::Result<Box<dyn Duplex>> {
        match self {
            Self::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
            Self::Ssh(ssh) => Ok(Box::new(ssh.dial_engine()?)),
            Self::Tcp { host, port, tls } => {
                let connect = async {
                    let stream = TcpStream::connect((host.as_str(), port)).await?;
                    stream.set_nodelay(true)?;
                    let stream: Box<dyn Duplex> = match tls {
                        None => Box::new(stream),
                        Some((config, name)) => {
                            Box::new(tokio_rustls::TlsConnector::from(config).connect(name, stream).await?)
                        }
                    };
                    Ok(stream)
                };
                tokio::time::timeout(CONNECT, connect).await.unwrap_or_else(|_| {
                    Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", CONNECT.as_secs())))
                })
            }
        }
    }
}

/// A client on this way.
pub(super) fn client(way: Way, timeout: u64, version: &ClientVersion) -> Result<Docker, Error> {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_max_idle_per_host(KEPT).pool_idle_timeout(KEEP);
    let client = builder.build(Connector(way));
    let transport = move |request: BollardRequest| {
        let client = client.clone();
        async move { client.request(request).await.map_err(Error::from) }
    };
    // The name is for the Host header only.
    Docker::connect_with_custom_transport(transport, Some("http://docker"), timeout, version)
}

#[derive(Clone)]
struct Connector(Way);

impl Service<Uri> for Connector {
    type Response = Wire;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Wire>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let way = self.0.clone();
        Box::pin(async move { Ok(Wire(TokioIo::new(way.dial().await?))) })
    }
}

/// A connection as the HTTP client wants it.
struct Wire(TokioIo<Box<dyn Duplex>>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl hyper::rt::Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// The TLS side of a way: our certificate for the engine, its authority for us.
pub(super) fn tls(
    host: &str,
    files: &TlsFiles,
    doing: &str,
) -> Result<(Arc<rustls::ClientConfig>, ServerName<'static>), EngineError> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let wrong = |name: &str, why: String| {
        let path = files.folder.join(name);
        EngineError::new(ErrorKind::Permission, doing, format!("{}: {why}", path.display())).with_hint(
            "the folder of DOCKER_CERT_PATH (or of the Docker context) holds `ca.pem`, `cert.pem` and `key.pem`, \
             as `docker --tlsverify` wants them",
        )
    };
    let chain = |name: &str| -> Result<Vec<CertificateDer<'static>>, EngineError> {
        let all =
            CertificateDer::pem_file_iter(files.folder.join(name)).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let all = all.map_err(|error| wrong(name, error.to_string()))?;
        if all.is_empty() { Err(wrong(name, "there is no certificate in it".to_owned())) } else { Ok(all) }
    };
    let builder = rustls::ClientConfig::builder();
    let builder = if files.unchecked {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anything))
    } else {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in chain("ca.pem")? {
            roots.add(certificate).map_err(|error| wrong("ca.pem", error.to_string()))?;
        }
        builder.with_root_certificates(roots)
    };
    let key = PrivateKeyDer::from_pem_file(files.folder.join("key.pem"));
    let key = key.map_err(|error| wrong("key.pem", error.to_string()))?;
    let config = builder
        .with_client_auth_cert(chain("cert.pem")?, key)
        .map_err(|error| wrong("cert.pem", format!("it does not go with key.pem: {error}")))?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| EngineError::new(ErrorKind::Other, doing, format!("`{host}` is not the name of a host")))?;
    Ok((Arc::new(config), name))
}

/// A first call that failed, with what it usually means.
pub(super) fn explain(mut error: EngineError) -> EngineError {
    let lower = error.message.to_lowercase();
    let Some((_, hint)) = HINTS.iter().find(|(part, _)| lower.contains(part)) else { return error };
    error.kind = ErrorKind::NotReachable;
    error.with_hint(*hint)
}

/// What TCP and TLS say, and what to do.
const HINTS: &[(&str, &str)] = &[
    (
        "http request to an https server",
        "the engine speaks TLS: set DOCKER_CERT_PATH to the folder with `ca.pem`, `cert.pem` and `key.pem`",
    ),
    ("invalidcontenttype", "the engine does not speak TLS there: is the port right (2376 with TLS, 2375 without)?"),
    ("unknownissuer", "`ca.pem` is not the authority that signed the engine's certificate"),
    ("notvalidforname", "the engine's certificate is for another name: use the one it was made for"),
    ("expired", "the engine's certificate is out of date, or the clock of this machine is wrong"),
    ("certificaterequired", CLIENT),
    ("badcertificate", CLIENT),
    ("unknownca", CLIENT),
    ("decrypterror", CLIENT),
    ("failed to lookup address", "check the host's name"),
    ("connection refused", "nothing answers there: does the engine listen on that port (`dockerd -H tcp://…`)?"),
    ("no answer within", "the host does not answer: is it up, and does a firewall let that port through?"),
];

const CLIENT: &str = "the engine refuses our certificate: `cert.pem` has to be signed by the authority the engine \
                      trusts (its `--tlscacert`)";

/// For Docker contexts with `SkipTLSVerify`: whoever made one chose that.
#[derive(Debug)]
struct Anything;

impl rustls::client::danger::ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
