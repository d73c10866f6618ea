//! TLS as a prober needs it.
//!
//! rustls speaks only what is good (1.2 and 1.3, AEAD suites), and OpenSSL at its default security level hides what a
//! server would accept from others. So offers are written and answers read byte by byte ([`hello`], [`scan`]); rustls
//! is used where a real session is needed ([`session`]), with a verifier that takes everything, because certificates
//! are judged afterwards ([`certificate`]).

pub(super) mod certificate;
pub(super) mod hello;
pub(super) mod ocsp;
pub(super) mod scan;
pub(super) mod session;
pub(super) mod suites;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// ring, said explicitly: nothing here depends on a process-wide default.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
