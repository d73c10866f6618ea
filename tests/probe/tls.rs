//! Ten servers with one defect each, and one without.

use std::collections::BTreeSet;
use std::time::Instant;

use stackctl::model::finding::{Finding, Verdict};

use crate::support::certs::{Authority, Leaf};
use crate::support::nginx::{Nginx, ports};
use crate::support::{DOMAIN, ask, files, headers, ids, lines, options, route, stack, target};

const GOOD: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
                    ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/// What differs from a right server.
pub(crate) struct Case<'a> {
    pub(crate) name: &'static str,
    fails: &'static [&'static str],
    leaf: Leaf,
    chain: &'a str,
    protocols: &'static str,
    ciphers: String,
    redirect: bool,
    hsts: bool,
    /// Another certificate than the configured one is served.
    stale: Option<String>,
}

impl<'a> Case<'a> {
    fn right(name: &'static str, fails: &'static [&'static str], leaf: Leaf, chain: &'a str) -> Self {
        Self {
            name,
            fails,
            leaf,
            chain,
            protocols: "TLSv1.2 TLSv1.3",
            ciphers: GOOD.into(),
            redirect: true,
            hsts: true,
            stale: None,
        }
    }

    pub(crate) fn config(&self, http: u16, https: u16) -> String {
        let mut sent: String = headers().iter().map(|(k, v)| format!("add_header {k} \"{v}\" always;\n")).collect();
        let plain = sent.clone();
        if self.hsts {
            sent += "add_header Strict-Transport-Security \"max-age=63072000\" always;\n";
        }
        let redirect = if self.redirect {
            format!("return 308 https://$host:{https}$request_uri;")
        } else {
            "location / { return 404; } location = / { return 200 \"plain\"; }".into()
        };
        format!(
            "server_tokens off; ssl_protocols {}; ssl_ciphers {}; ssl_certificate cert.pem; ssl_certificate_key key.pem;
             server {{ listen 127.0.0.1:{http}; server_name {DOMAIN}; {plain} {redirect} }}
             server {{ listen 127.0.0.1:{https} ssl http2 default_server; ssl_reject_handshake on; }}
             server {{ listen 127.0.0.1:{https} ssl http2; server_name {DOMAIN}; {sent}
               location = / {{ return 200 \"hello\"; }}
               location = /health {{ return 200 \"ok\"; }}
               location / {{ return 404; }}
             }}",
            self.protocols, self.ciphers
        )
    }
}

impl Case<'_> {
    /// The server, at these ports.
    pub(crate) fn serve(&self, http: u16, https: u16) -> Nginx {
        let served = format!("{}{}", self.leaf.cert, self.chain);
        let pem = [("cert.pem", served.as_str()), ("key.pem", self.leaf.key.as_str())];
        Nginx::start(&self.config(http, https), &pem, https)
    }

    /// What the prober says of it; `only` names checks, none for all.
    pub(crate) async fn probed(&self, ca: &Authority, http: u16, https: u16, only: &[&str]) -> Vec<Finding> {
        let configured = self.stale.clone().unwrap_or(self.leaf.cert.clone());
        let options = stackctl::probe::Options { trust: Some(ca.root.clone()), ..options(only) };
        let stack = stack(files(), vec![route("/", None)]);
        ask(&stack, &target(http, Some(https)), Some(&configured), &options).await
    }
}

pub(crate) fn cases(ca: &Authority) -> Vec<Case<'_>> {
    let chain = ca.intermediate.as_str();
    let good = |name, fails| Case::right(name, fails, ca.good(DOMAIN), chain);
    let with = |name, fails, leaf| Case::right(name, fails, leaf, chain);
    vec![
        good("right", &[]),
        Case {
            protocols: "TLSv1 TLSv1.2 TLSv1.3",
            ciphers: format!("{GOOD}:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
            // TLS 1.0 has no suites but those with CBC, and TLS 1.2 shares them.
            ..good("TLS 1.0 enabled", &["TLS-1", "TLS-3"])
        },
        Case { ciphers: "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384".into(), ..good("CBC only", &["TLS-3"]) },
        with("expired", &["TLS-7"], ca.expired(DOMAIN)),
        with("wrong name", &["TLS-6"], ca.good("other.test")),
        Case { chain: "", ..good("incomplete chain", &["TLS-5"]) },
        Case { ciphers: format!("{GOOD}:@SECLEVEL=0"), ..with("1024-bit key", &["TLS-9"], ca.weak(DOMAIN)) },
        Case { chain: "", ..with("self-signed", &["TLS-5"], Authority::self_signed(DOMAIN)) },
        Case { redirect: false, ..good("no redirect", &["RED-1"]) },
        Case { hsts: false, ..good("no HSTS", &["HSTS-1"]) },
        Case { stale: Some(ca.good(DOMAIN).cert), ..good("replaced, not reloaded", &["TLS-12"]) },
    ]
}

#[tokio::test]
async fn each_server_fails_exactly_what_is_wrong_with_it() {
    let ca = Authority::new();
    let mut wrong = String::new();
    for case in cases(&ca) {
        let started = Instant::now();
        let [http, https] = ports();
        let nginx = case.serve(http, https);
        let findings = case.probed(&ca, http, https, &[]).await;
        drop(nginx);
        let failed = ids(&findings, Verdict::Fail);
        println!("{:24} {failed:?} {} ms", case.name, started.elapsed().as_millis());
        if failed != case.fails.iter().copied().collect::<BTreeSet<_>>() {
            wrong += &format!("{}: {failed:?} instead of {:?}\n{}", case.name, case.fails, lines(&findings));
        }
        let unsure = ids(&findings, Verdict::Inconclusive);
        if !unsure.is_empty() {
            wrong += &format!("{}: unsure about {unsure:?}\n{}", case.name, lines(&findings));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn a_trial_certificate_is_a_warning_with_the_way_to_a_real_one() {
    let leaf = Authority::self_signed(DOMAIN);
    let [http, https] = ports();
    let case = Case::right("trial", &[], leaf, "");
    let pem = [("cert.pem", case.leaf.cert.as_str()), ("key.pem", case.leaf.key.as_str())];
    let _nginx = Nginx::start(&case.config(http, https), &pem, https);
    let trial = stackctl::model::proxy::Tls::SelfSigned(stackctl::base::name::SecretName::parse("trial").unwrap());
    let stack = stack(trial, vec![route("/", None)]);
    let findings = ask(&stack, &target(http, Some(https)), Some(&case.leaf.cert), &options(&["TLS", "HLT-1"])).await;
    let chain = findings.iter().find(|f| f.id == "TLS-5").unwrap();
    assert_eq!(chain.verdict, Verdict::Warn, "{}", lines(&findings));
    assert!(chain.remedy.as_ref().is_some_and(|r| r.contains("files")), "{:?}", chain.remedy);
    assert!(ids(&findings, Verdict::Fail).is_empty(), "{}", lines(&findings));
    // `only` keeps everything else away.
    let asked: BTreeSet<_> = findings.iter().map(|f| f.id).collect();
    let family = (1..=13).map(|n| format!("TLS-{n}")).chain(["HLT-1".to_owned()]);
    assert_eq!(asked.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), family.collect(), "{}", lines(&findings));
    assert!(findings.iter().all(|f| f.line.is_some()), "{}", lines(&findings));
}

#[tokio::test]
async fn a_modern_profile_is_held_to_tls_1_3() {
    let leaf = Authority::self_signed(DOMAIN);
    for (protocols, verdict) in [("TLSv1.2 TLSv1.3", Verdict::Fail), ("TLSv1.3", Verdict::Pass)] {
        let [http, https] = ports();
        let case = Case { protocols, ..Case::right("modern", &[], Authority::self_signed(DOMAIN), "") };
        let pem = [("cert.pem", leaf.cert.as_str()), ("key.pem", leaf.key.as_str())];
        let _nginx = Nginx::start(&case.config(http, https), &pem, https);
        let mut stack = stack(files(), vec![route("/", None)]);
        stack.proxy.as_mut().unwrap().tls_profile = stackctl::model::proxy::TlsProfile::Modern;
        let findings = ask(&stack, &target(http, Some(https)), None, &options(&["TLS-1"])).await;
        assert_eq!(findings.first().map(|f| (f.id, f.verdict)), Some(("TLS-1", verdict)), "{}", lines(&findings));
    }
}
