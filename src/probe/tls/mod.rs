//! TLS as a prober needs it.
