//! Where the front door's certificates come from, and what that needs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::base::hash;
use crate::base::name::{DomainName, SecretName};
use crate::base::problem::{Problem, Problems};
use crate::base::units::Span;
use crate::config::decode::At;
use crate::config::keys::tls::{AcmeKeys, DIRECTORIES, TlsFiles, TlsKey};
use crate::model::proxy::{Acme, Tls};
use crate::model::secrets::{Recipe, SecretSource, SecretSpec};

use super::Input;

/// Longest time the program that changes the DNS may take, where nothing is said.
const DNS_TIMEOUT: Span = Span::seconds(300);

/// What is known where `tls` is read.
pub(super) struct Lowering<'a> {
    pub(super) domains: &'a [DomainName],
    /// Line of `tls`, or of the proxy.
    pub(super) line: u32,
    pub(super) http_port: u16,
    pub(super) secrets: &'a mut BTreeMap<SecretName, SecretSpec>,
    pub(super) input: &'a Input<'a>,
    pub(super) problems: &'a mut Problems,
}

impl Lowering<'_> {
    pub(super) fn lower(mut self, key: Option<&At<TlsKey>>) -> Tls {
        let span = key.map_or(0..0, |k| k.span.clone());
        match key.map(|k| &k.value) {
            Some(TlsKey::Off) => Tls::Off,
            None | Some(TlsKey::SelfSigned) => self.trial().map_or(Tls::Off, Tls::SelfSigned),
            Some(TlsKey::Files(files)) => self.files(files, span),
            Some(TlsKey::Acme(keys)) => {
                self.judge(keys, &span);
                self.acme(keys).map_or(Tls::Off, |acme| Tls::Acme(Box::new(acme)))
            }
        }
    }

    fn secret(&mut self, name: &str, source: SecretSource, optional: bool) -> Option<SecretName> {
        let name = SecretName::parse(name)?;
        let spec = SecretSpec { optional, ..SecretSpec::required(self.line, source) };
        self.secrets.insert(name.clone(), spec);
        Some(name)
    }

    /// A trial certificate and its authority. The names are part of the secrets' own: other domains are another
    /// certificate, and another authority, since that can sign for nothing else.
    fn trial(&mut self) -> Option<SecretName> {
        let names: Vec<String> = self.domains.iter().map(ToString::to_string).collect();
        let mut id = hash::sha256(names.join(",").as_bytes());
        id.truncate(8);
        let authority = SecretSource::Generate(Recipe::Authority(names.clone()));
        let authority = self.secret(&format!("proxy.authority.{id}"), authority, false)?;
        let recipe = SecretSource::Generate(Recipe::Trial { names, authority });
        self.secret(&format!("proxy.tls.{id}"), recipe, false)
    }

    fn files(&mut self, files: &TlsFiles, span: std::ops::Range<usize>) -> Tls {
        let (Some(cert), Some(key)) = (&files.cert, &files.key) else {
            self.problems.push(
                Problem::error("own certificates need both `cert` and `key`")
                    .at(span)
                    .fix("tls = { files = { cert = \"certs/site.pem\", key = \"certs/site.key\" } }"),
            );
            return Tls::Off;
        };
        let cert = self.secret("proxy.cert", SecretSource::File(cert.value.0.clone()), false);
        let key = self.secret("proxy.key", SecretSource::File(key.value.0.clone()), false);
        match (cert, key) {
            (Some(cert), Some(key)) => Tls::Files { cert, key },
            _ => Tls::Off,
        }
    }

    fn acme(&mut self, keys: &AcmeKeys) -> Option<Acme> {
        let (_, letsencrypt, _) = DIRECTORIES[0];
        let directory = keys.directory.as_ref().map_or(letsencrypt, |d| d.value.0.as_str()).to_owned();
        let email = keys.email.as_ref().map(|e| e.value.0.clone());
        let names = match &keys.names {
            Some(names) => names.value.iter().map(|n| n.value.0.clone()).collect(),
            None => self.domains.iter().map(ToString::to_string).collect(),
        };
        let external = keys.eab_kid.as_ref().zip(keys.eab_key.as_ref());
        Some(Acme {
            // Without the names: until one for other names is there, this one serves on.
            issued: self.secret("proxy.certificate", SecretSource::Issued, true)?,
            trial: self.trial()?,
            staging: keys.staging.as_ref().map(|s| s.value.0.clone()).or_else(|| {
                let known = DIRECTORIES.iter().find(|(_, url, _)| *url == directory);
                known.and_then(|(.., staging)| staging.map(str::to_owned))
            }),
            directory,
            email,
            names,
            dns: keys.dns.as_ref().map(|c| c.value.0.clone()).unwrap_or_default(),
            dns_timeout: keys.timeout.as_ref().map_or(DNS_TIMEOUT, |t| t.value),
            external: external.map(|(kid, key)| (kid.value.0.clone(), key.value.clone())),
            trust: keys.trust.as_ref().map(|t| t.value.0.clone()),
        })
    }

    /// What the authority would refuse, said before it is asked.
    fn judge(&mut self, keys: &AcmeKeys, span: &std::ops::Range<usize>) {
        let directory = keys.directory.as_ref().map(|d| d.value.0.as_str());
        let known = directory.is_none_or(|url| DIRECTORIES.iter().any(|(_, known, _)| *known == url));
        let named: Vec<(&str, std::ops::Range<usize>)> = match &keys.names {
            Some(names) => names.value.iter().map(|n| (n.value.0.as_str(), n.span.clone())).collect(),
            None => self.domains.iter().map(|d| (d.as_str(), span.clone())).collect(),
        };
        if named.is_empty() {
            self.problems.push(
                Problem::error("a certificate for no name at all")
                    .at(span.clone())
                    .help("leave `names` away: the certificate is for `domains` then"),
            );
        }
        for (name, at) in named {
            let private = !name.contains('.')
                || name.parse::<IpAddr>().is_ok()
                || [".local", ".localhost", ".internal", ".test", ".invalid", ".example"]
                    .iter()
                    .any(|end| name.ends_with(end));
            if known && private {
                self.problems.push(
                    Problem::error(format!("no public authority gives a certificate for `{name}`"))
                        .rule("acme-private-name")
                        .at(at)
                        .help("name the site by a domain that is yours, in `domains`; for trials, `tls = \"self-signed\"`"),
                );
            } else if name.starts_with("*.") && keys.dns.is_none() {
                self.problems.push(
                    Problem::error(format!("the authority asks the DNS before it gives a certificate for `{name}`"))
                        .rule("acme-wildcard")
                        .at(at)
                        .help("name the program that changes it: `dns = [\"./dns\"]`"),
                );
            }
        }
        if let Some(names) = &keys.names {
            let covered = |domain: &DomainName| {
                let wild = domain.as_str().split_once('.').map(|(_, rest)| format!("*.{rest}"));
                names.value.iter().any(|n| n.value.0 == domain.as_str() || Some(&n.value.0) == wild.as_ref())
            };
            for domain in self.domains.iter().filter(|domain| !covered(domain)) {
                self.problems.push(
                    Problem::error(format!("the certificate would not be for `{domain}`, which is in `domains`"))
                        .rule("acme-name-missing")
                        .at(names.span.clone())
                        .help("name it here, too, or leave `names` away"),
                );
            }
        }
        if known && keys.dns.is_none() && self.http_port != 80 {
            self.problems.push(
                Problem::warning(format!(
                    "the authority asks at port 80, and the front door is published at {}",
                    self.http_port
                ))
                .rule("acme-port")
                .at(span.clone())
                .help("leave `http_port` at 80, or see to it that port 80 of the domains leads there"),
            );
        }
        if let (Some(timeout), None) = (&keys.timeout, &keys.dns) {
            self.problems.push(Problem::error("`timeout` belongs to `dns`").at(timeout.span.clone()));
        }
        let (_, letsencrypt, _) = DIRECTORIES[0];
        if let Some(staging) = &keys.staging
            && staging.value.0 == directory.unwrap_or(letsencrypt)
        {
            self.problems.push(
                Problem::error("`staging` is the directory itself: trying out there counts")
                    .at(staging.span.clone())
                    .help("leave it away, or name the authority's other directory"),
            );
        }
        self.judge_account(keys, directory, span);
    }

    fn judge_account(&mut self, keys: &AcmeKeys, directory: Option<&str>, span: &std::ops::Range<usize>) {
        let pair = "`eab_kid` and `eab_key` go together: the ID of a key, and the secret that is the key";
        match (&keys.eab_kid, &keys.eab_key) {
            (Some(kid), None) => self.problems.push(Problem::error(pair).at(kid.span.clone())),
            (None, Some(key)) => self.problems.push(Problem::error(pair).at(key.span.clone())),
            (None, None) if directory == Some(DIRECTORIES[1].1) => self.problems.push(
                Problem::error("ZeroSSL gives certificates to its customers: it wants `eab_kid` and `eab_key`")
                    .rule("acme-external-account")
                    .at(span.clone())
                    .help("make a pair at app.zerossl.com, Developer, EAB Credentials; the key is a secret"),
            ),
            (Some(_), Some(key)) if !self.input.secrets.iter().any(|name| name == key.value.as_str()) => {
                self.problems.push(
                    Problem::error(format!("there is no secret `{}`", key.value))
                        .rule("unknown-secret")
                        .at(key.span.clone())
                        .help(format!("declare it: `{} = {{ env = \"EAB_KEY\" }}` in `[secrets]`", key.value)),
                );
            }
            _ => {}
        }
    }
}
