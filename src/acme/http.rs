//! The HTTP client authorities are asked with: the public roots, and those the file names. It sees to what a library
//! that reads JSON does not: answers that are none, how long to stay away, what time it is there.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient, Problem};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::error::AcmeError;

/// Longest time for one request. Authorities answer within a second, or are down.
const ONE: Duration = Duration::from_secs(30);

/// More than any answer: a chain of certificates is a few KiB.
const LARGEST: usize = 1 << 20;

struct Client {
    web: reqwest::Client,
    heard: Arc<Heard>,
}

/// What the latest answer said beside its content.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What time it is there, seconds since 1970; 0 where it does not say.
    date: AtomicU64,
    /// For how many seconds it wants to be left alone; 0 where it does not say.
    wait: AtomicU64,
}

impl Heard {
    /// What time it is there, seconds since 1970.
    pub(super) fn date(&self) -> Option<u64> {
        Some(self.date.load(Ordering::Relaxed)).filter(|date| *date > 0)
    }

    /// For how many seconds it wants to be left alone, said with an error.
    pub(super) fn wait(&self) -> Option<u64> {
        Some(self.wait.load(Ordering::Relaxed)).filter(|wait| *wait > 0)
    }

    fn note(&self, status: StatusCode, headers: &HeaderMap) {
        let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
        let moment = |text: &str| {
            let at = httpdate::parse_http_date(text).ok()?;
            at.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs())
        };
        let date = text(DATE).and_then(moment).unwrap_or_default();
        // By its own clock, not by ours.
        let until = |text: &str| moment(text).filter(|_| date > 0).map(|at| at.saturating_sub(date));
        let wait = text(RETRY_AFTER).and_then(|text| text.parse().ok().or_else(|| until(text)));
        self.date.store(date, Ordering::Relaxed);
        let refused = status.is_client_error() || status.is_server_error();
        self.wait.store(wait.filter(|_| refused).unwrap_or_default(), Ordering::Relaxed);
    }
}

/// Makes one; what it hears comes along.
pub(super) fn client(trust: Option<&str>) -> Result<(Box<dyn HttpClient>, Arc<Heard>), AcmeError> {
    let web = web(trust, true).map_err(|why| AcmeError::said("stack.toml", &why))?;
    let heard = Arc::<Heard>::default();
    Ok((Box::new(Client { web, heard: Arc::clone(&heard) }), heard))
}

/// An error that does not come as RFC 8555 wants it: from a proxy or a load balancer in front of the authority.
/// A problem that answers a POST is the library's to read, which sends anew what was too old.
fn refused(method: &Method, status: StatusCode, body: &[u8]) -> Option<Problem> {
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let told = serde_json::from_slice::<Problem>(body).ok().filter(|p| p.r#type.is_some());
    match told {
        Some(_) if *method == Method::POST => None,
        Some(problem) => Some(Problem { status: Some(status.as_u16()), ..problem }),
        None => Some(Problem {
            r#type: None,
            detail: Some(format!("it answers with {status}")),
            status: Some(status.as_u16()),
            subproblems: Vec::new(),
        }),
    }
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
        let (client, heard) = (self.web.clone(), Arc::clone(&self.heard));
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let method = parts.method.clone();
            let body = body.collect().await.map_or_else(|never| match never {}, http_body_util::Collected::to_bytes);
            let other = |error: reqwest::Error| Error::Other(Box::new(error));
            let request = http::Request::from_parts(parts, body).try_into().map_err(other)?;
            let mut response = client.execute(request).await.map_err(other)?;
            heard.note(response.status(), response.headers());
            let mut body = Vec::new();
            while let Some(piece) = response.chunk().await.map_err(other)? {
                body.extend_from_slice(&piece);
                if body.len() > LARGEST {
                    return Err(Error::Str("an answer of less than 1 MiB"));
                }
            }
            if let Some(problem) = refused(&method, response.status(), &body) {
                return Err(Error::Api(problem));
            }
            let (mut parts, ()) = http::Response::new(()).into_parts();
            (parts.status, parts.headers) = (response.status(), response.headers().clone());
            Ok(BytesResponse { parts, body: Box::new(Bytes::from(body)) })
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn what_it_wants_is_heard() {
        let heard = Heard::default();
        let date = "Sun, 29 Nov 2026 14:00:00 GMT";
        let at = 1_795_960_800;
        for (status, date, retry, wait) in [
            (503, Some(date), Some("120"), Some(120)),
            (429, Some(date), Some("Sun, 29 Nov 2026 15:00:00 GMT"), Some(3600)),
            (429, Some(date), Some("Sun, 29 Nov 2026 13:00:00 GMT"), None),
            // Not an error: when to look again, which the library sees to.
            (200, Some(date), Some("3"), None),
            (503, None, Some("Sun, 29 Nov 2026 15:00:00 GMT"), None),
            (503, Some("yesterday"), Some("soon"), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(date.map(|d| (DATE, d.parse().unwrap())));
            headers.extend(retry.map(|r| (RETRY_AFTER, r.parse().unwrap())));
            heard.note(StatusCode::from_u16(status).unwrap(), &headers);
            assert_eq!((heard.date(), heard.wait()), (date.filter(|d| *d != "yesterday").map(|_| at), wait));
        }
    }

    #[test]
    fn an_error_is_one_whoever_gives_it() {
        let problem = br#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}"#;
        let of = |method: Method, status: u16, body: &[u8]| {
            refused(&method, StatusCode::from_u16(status).unwrap(), body).map(|p| p.detail.unwrap_or_default())
        };
        assert_eq!(of(Method::GET, 200, b"<html>"), None);
        assert_eq!(of(Method::GET, 503, b"<html>").as_deref(), Some("it answers with 503 Service Unavailable"));
        assert_eq!(of(Method::POST, 502, b"{}").as_deref(), Some("it answers with 502 Bad Gateway"));
        assert_eq!(of(Method::GET, 429, problem).as_deref(), Some("too many"));
        assert_eq!(of(Method::POST, 429, problem), None, "the library reads it");
    }
}
