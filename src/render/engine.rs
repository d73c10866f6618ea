//! Templates and the formats they are written in.

use std::error::Error as _;
use std::io;

use serde::Serialize;
use tera::{Context, EscapeFn, Tera};

use super::RenderError;
use super::escape::{self, Refused};

/// A template that belongs to this binary: its name and text.
pub(super) struct Builtin {
    pub(super) name: &'static str,
    text: &'static str,
    escape: EscapeFn,
}

macro_rules! builtin {
    ($const:ident, $name:literal, $escape:expr) => {
        pub(super) const $const: Builtin = Builtin {
            name: $name,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $name, ".tera")),
            escape: $escape,
        };
    };
}

builtin!(NGINX_MAIN, "nginx/nginx.conf", escape::nginx);
builtin!(NGINX_HEADERS, "nginx/headers.conf", escape::nginx);
builtin!(NGINX_HIDE, "nginx/hide.conf", escape::nginx);
builtin!(NGINX_ERRORS, "nginx/errors.conf", escape::nginx);
builtin!(NGINX_PROXY, "nginx/proxy.conf", escape::nginx);
builtin!(PROMETHEUS, "prometheus/prometheus.yml", escape::prometheus);
builtin!(PROMETHEUS_RULES, "prometheus/rules.yml", escape::prometheus);
builtin!(COMPOSE, "compose/compose.yaml", escape::compose);
builtin!(SYSTEMD, "systemd/stack.service", escape::systemd);
builtin!(SYSTEMD_RENEW, "systemd/certificates.service", escape::systemd);
builtin!(SYSTEMD_TIMER, "systemd/certificates.timer", escape::systemd);
builtin!(NATIVE_SERVICE, "native/service.service", escape::systemd);
builtin!(NATIVE_PROXY, "native/proxy.service", escape::systemd);
builtin!(NATIVE_TARGET, "native/stack.target", escape::systemd);
builtin!(NATIVE_TIMER, "native/job.timer", escape::systemd);
builtin!(NATIVE_USERS, "native/sysusers.conf", escape::systemd);
builtin!(NATIVE_MODES, "native/tmpfiles.conf", escape::systemd);
builtin!(NATIVE_LOGS, "native/logrotate.conf", escape::systemd);
builtin!(NATIVE_HOSTS, "native/hosts", escape::word);
builtin!(NATIVE_ENVIRONMENT, "native/environment.env", escape::environment);

/// Fills a template in.
pub(super) fn fill(template: &Builtin, values: &impl Serialize) -> Result<String, RenderError> {
    fill_own(template.name, template.text, template.escape, values)
}

/// Fills a template of the user's own in.
pub(super) fn fill_own(
    name: &str,
    text: &str,
    escape: EscapeFn,
    values: &impl Serialize,
) -> Result<String, RenderError> {
    let broken = |error: tera::Error| refused(&error).unwrap_or_else(|| RenderError::Template(error.to_string()));
    let mut tera = Tera::default();
    tera.autoescape_on([""]);
    tera.set_escape_fn(escape);
    tera.add_raw_template(name, text).map_err(broken)?;
    let context = Context::from_serialize(values).map_err(broken)?;
    tera.render(name, &context).map_err(broken)
}

/// The value an escape function refused, if that is what went wrong.
fn refused(error: &tera::Error) -> Option<RenderError> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(Refused { format, value, why }) = refused.downcast_ref()
        {
            return Some(RenderError::Value { format, value: value.clone(), why });
        }
        source = cause.source();
    }
    None
}
