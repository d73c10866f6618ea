//! The HTTP client authorities are asked with: the public roots, and those the file names.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::error::AcmeError;

/// Longest time for one request. Authorities answer within a second, or are down.
const ONE: Duration = Duration::from_secs(30);

struct Client(reqwest::Client);

/// Makes one.
pub(super) fn client(trust: Option<&str>) -> Result<Box<dyn HttpClient>, AcmeError> {
    let client = web(trust, true).map_err(|why| AcmeError::said("stack.toml", &why))?;
    Ok(Box::new(Client(client)))
}

/// A client for the web: the public roots, and those in `trust` (PEM). Proxies of the environment (`HTTPS_PROXY`) are
/// gone through.
///
/// # Errors
/// `trust` holds no authority.
pub fn web(trust: Option<&str>, https_only: bool) -> Result<reqwest::Client, String> {
    let failed = |why: &str| why.to_owned();
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = trust {
        let own: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let own = own.map_err(|_| failed("the file of `trust` is not PEM"))?;
        if roots.add_parsable_certificates(own).0 == 0 {
            return Err(failed("there is no authority in the file of `trust`"));
        }
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).https_only(https_only).timeout(ONE).build();
    client.map_err(|error| error.to_string())
}

impl HttpClient for Client {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_or_else(|never| match never {}, http_body_util::Collected::to_bytes);
            let other = |error: reqwest::Error| Error::Other(Box::new(error));
            let request = http::Request::from_parts(parts, body).try_into().map_err(other)?;
            let response: http::Response<reqwest::Body> = client.execute(request).await.map_err(other)?.into();
            Ok(BytesResponse::from(response))
        })
    }
}
