//! HTTP/2 beyond the handshake.

use crate::model::finding::Finding;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::net::client::Door;
use super::super::net::error::ProbeError;
use super::super::net::h2::{self, Reply};
use super::super::tls::session;
use super::{NO_PROXY, none_apply};

use Judged::{Fail, Pass, Skip, Unsure};

pub(in crate::probe) const H2_1: Check = Check {
    id: "H2-1",
    family: Family::Traffic,
    title: "a request over HTTP/2",
    question: "Is a request over HTTP/2 answered? One GET, after the handshake has agreed to `h2`.",
    pass: "response headers come; a reset stream or a closed connection fails",
    source: "RFC 9113",
    severity: Severity::Medium,
    remedy: "look at the front door's log; `http2 on;` belongs to every server that listens at the port",
};

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&[&H2_1], context.stack.project.as_str(), None, NO_PROXY);
    };
    if !proxy.https() {
        return none_apply(&[&H2_1], proxy.canonical(), Some(proxy.tls_line), "TLS is off in stack.toml");
    }
    context.awake().await;
    let question = H2_1.about(context.url(proxy, "/")).line(proxy.line);
    let Some(address) = context.target.https else {
        return vec![question.unsure("HTTPS cannot be reached from here")];
    };
    let name = proxy.canonical();
    let agreed = match session::config(true, &[b"h2", b"http/1.1"]) {
        Ok(config) => session::shake(address, name, config).await.map(|session| session.alpn),
        Err(error) => Err(error),
    };
    let judged = match agreed {
        Ok(Some(alpn)) if alpn == b"h2" => {
            context.count("/", 1);
            let answer = match session::config(true, &[b"h2"]) {
                Ok(config) => h2::ask(&Door::tls(address, &context.authority(name, true), name, config), "/").await,
                Err(error) => Err(error),
            };
            judge(answer)
        }
        Ok(_) => Skip("HTTP/2 is not agreed to: see TLS-13".to_owned()),
        Err(error) => Unsure(error.to_string()),
    };
    vec![question.judged(judged)]
}

fn judge(answer: Result<Reply, ProbeError>) -> Judged {
    match answer {
        Ok(Reply::Headers(Some(status))) => Pass(status.to_string()),
        Ok(Reply::Headers(None)) => Pass("it answers".to_owned()),
        Ok(Reply::Refused(code)) => Fail(format!("refused with error {code}")),
        Err(ProbeError::Closed) => Fail("closed without an answer".to_owned()),
        Err(error) => Unsure(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_headers() {
        assert!(matches!(judge(Ok(Reply::Headers(None))), Pass(_)));
        assert!(matches!(judge(Ok(Reply::Refused(1))), Fail(_)));
        assert!(matches!(judge(Err(ProbeError::Closed)), Fail(_)));
        assert!(matches!(judge(Err(ProbeError::Timeout(10))), Unsure(_)));
    }
}
