//! Real TLS sessions by rustls, which take any certificate: it is judged afterwards, with all its faults at once.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::net::client::within;
use super::super::net::error::ProbeError;
use super::super::net::http::PATIENCE;
use super::super::text::clean;

/// What a handshake showed.
#[derive(Debug, Clone)]
pub(in crate::probe) struct Session {
    /// Certificates as served, leaf first.
    pub(in crate::probe) chain: Vec<CertificateDer<'static>>,
    /// Protocol chosen by ALPN.
    pub(in crate::probe) alpn: Option<Vec<u8>>,
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

/// ring, said explicitly: nothing here depends on a process-wide default.
pub(in crate::probe) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A configuration that takes any certificate. `name` sends the server name; `alpn` offers protocols.
pub(in crate::probe) fn config(name: bool, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, ProbeError> {
    let provider = provider();
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ProbeError::Tls(clean(error.to_string())))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakeAll(provider)))
        .with_no_client_auth();
    config.enable_sni = name;
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    Ok(Arc::new(config))
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
