//! Templates and the formats they are written in.

use std::error::Error as _;
use std::io;
use std::sync::LazyLock;

use serde::Serialize;
use tera::{Context, EscapeFn, Tera};

use super::RenderError;
use super::escape::{self, Refused};

/// A template that belongs to this binary: its name, and what it was read to when it was first needed. Reading costs
/// more than filling in, and most are filled in more than once.
pub(super) struct Builtin {
    pub(super) name: &'static str,
    read: LazyLock<Result<Tera, String>>,
}

macro_rules! builtin {
    ($const:ident, $name:literal, $escape:expr) => {
        pub(super) static $const: Builtin = Builtin {
            name: $name,
            read: LazyLock::new(|| {
                let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $name, ".tera"));
                read($name, text, $escape).map_err(|error| error.to_string())
            }),
        };
    };
}

builtin!(NGINX_MAIN, "nginx/nginx.conf", escape::nginx);
builtin!(NGINX_HEADERS, "nginx/headers.conf", escape::nginx);
builtin!(NGINX_HIDE, "nginx/hide.conf", escape::nginx);
builtin!(NGINX_ERRORS, "nginx/errors.conf", escape::nginx);
builtin!(NGINX_PAGES, "nginx/pages.conf", escape::nginx_value);
builtin!(NGINX_PROXY, "nginx/proxy.conf", escape::nginx);
builtin!(PROMETHEUS, "prometheus/prometheus.yml", escape::prometheus);
builtin!(PROMETHEUS_RULES, "prometheus/rules.yml", escape::prometheus);
builtin!(ALERTMANAGER, "alertmanager/alertmanager.yml", escape::yaml);
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
    let tera = template.read.as_ref().map_err(|error| RenderError::Template(error.clone()))?;
    filled(tera, template.name, values).map_err(|error| broken(&error))
}

/// Fills a template of the user's own in.
pub(super) fn fill_own(
    name: &str,
    text: &str,
    escape: EscapeFn,
    values: &impl Serialize,
) -> Result<String, RenderError> {
    let filled = read(name, text, escape).and_then(|tera| filled(&tera, name, values));
    filled.map_err(|error| broken(&error))
}

fn read(name: &str, text: &str, escape: EscapeFn) -> tera::TeraResult<Tera> {
    let mut tera = Tera::default();
    tera.autoescape_on([""]);
    tera.set_escape_fn(escape);
    tera.add_raw_template(name, text)?;
    Ok(tera)
}

fn filled(tera: &Tera, name: &str, values: &impl Serialize) -> tera::TeraResult<String> {
    tera.render(name, &Context::from_serialize(values)?)
}

fn broken(error: &tera::Error) -> RenderError {
    refused(error).unwrap_or_else(|| RenderError::Template(error.to_string()))
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
