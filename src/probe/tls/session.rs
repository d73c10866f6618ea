//! Real TLS sessions by rustls, which take any certificate: it is judged afterwards, with all its faults at once.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::net::client::within;
use super::super::net::error::ProbeError;
use super::super::net::http::PATIENCE;
use super::super::text::clean;
use super::provider;

/// What a handshake showed.
#[derive(Debug, Clone)]
pub(in crate::probe) struct Session {
    /// Certificates as served, leaf first.
    pub(in crate::probe) chain: Vec<CertificateDer<'static>>,
    /// Protocol chosen by ALPN.
    pub(in crate::probe) alpn: Option<Vec<u8>>,
}

/// Takes every certificate, and keeps what is stapled to it (RFC 6066 §8).
#[derive(Debug)]
struct KeepStaple(TakeAll, Mutex<Vec<u8>>);

impl ServerCertVerifier for KeepStaple {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Ok(mut kept) = self.1.lock() {
            *kept = stapled.to_vec();
        }
        self.0.verify_server_cert(leaf, rest, name, stapled, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Shakes hands: the certificates, leaf first, and what is stapled to the leaf; empty for nothing.
pub(in crate::probe) async fn staple(
    address: SocketAddr,
    name: &str,
) -> Result<(Vec<CertificateDer<'static>>, Vec<u8>), ProbeError> {
    let verifier = Arc::new(KeepStaple(TakeAll(provider()), Mutex::new(Vec::new())));
    let config = built(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)?;
    let session = shake(address, name, Arc::new(config)).await?;
    let stapled = verifier.1.lock().map(|kept| kept.clone()).unwrap_or_default();
    Ok((session.chain, stapled))
}

fn built(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, ProbeError> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| ProbeError::Tls(clean(error.to_string())))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// Takes every certificate and every signature. Nothing secret is ever sent through such a session.
#[derive(Debug)]
struct TakeAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TakeAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A configuration that takes any certificate. `name` sends the server name; `alpn` offers protocols.
pub(in crate::probe) fn config(name: bool, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, ProbeError> {
    let mut config = built(Arc::new(TakeAll(provider())))?;
    config.enable_sni = name;
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    Ok(Arc::new(config))
}

/// A session with a PostgreSQL server, which is asked for it in the clear first (PostgreSQL manual, 55.2.11).
///
/// # Errors
/// [`ProbeError::Tls`] where it has none, or `config` refuses what it shows.
pub(in crate::probe) async fn postgres(
    address: SocketAddr,
    name: &str,
    config: Arc<ClientConfig>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ProbeError> {
    const REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    let server = ServerName::try_from(name.to_owned()).map_err(|_| ProbeError::Unaskable(clean(name)))?;
    let mut tcp = TcpStream::connect(address).await?;
    tcp.write_all(&REQUEST).await?;
    match tcp.read_u8().await? {
        b'S' => Ok(TlsConnector::from(config).connect(server, tcp).await?),
        b'N' => Err(ProbeError::Tls("the server has no TLS".to_owned())),
        _ => Err(ProbeError::Tls("the server does not answer like PostgreSQL".to_owned())),
    }
}

/// A configuration that believes these authorities (PEM) and nobody else.
pub(in crate::probe) fn believing(authorities: &str) -> Result<Arc<ClientConfig>, ProbeError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(super::certificate::from_pem(authorities));
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| ProbeError::Tls(clean(error.to_string())))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Shakes hands and leaves.
pub(in crate::probe) async fn shake(
    address: SocketAddr,
    name: &str,
    config: Arc<ClientConfig>,
) -> Result<Session, ProbeError> {
    within(PATIENCE, async {
        let server = ServerName::try_from(name.to_owned()).map_err(|_| ProbeError::Unaskable(clean(name)))?;
        let tcp = TcpStream::connect(address).await?;
        let stream = TlsConnector::from(config).connect(server, tcp).await?;
        let (_, connection) = stream.get_ref();
        Ok(Session {
            chain: connection.peer_certificates().unwrap_or_default().iter().map(|c| c.clone().into_owned()).collect(),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
        })
    })
    .await
}
