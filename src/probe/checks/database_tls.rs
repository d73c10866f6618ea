//! Databases that shall encrypt: nobody gets in without, and the certificate is theirs.

use std::net::SocketAddrV4;

use crate::base::date::Date;
use crate::model::certificate::Facts;
use crate::model::finding::Finding;
use crate::model::service::{Ask, Service};

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::net::client::within;
use super::super::net::error::ProbeError;
use super::super::ready::{exchange, postgres_hello};
use super::super::tls::certificate::now;
use super::super::tls::session;
use super::none_apply;
use super::stores::{PATIENCE, socket};

use Judged::{Fail, Pass, Unsure, Warn};

pub(in crate::probe) const DB_4: Check = Check {
    id: "DB-4",
    family: Family::Databases,
    title: "encrypts where it shall",
    question: "Is a plain connection refused, and does the server of a `postgres` with `tls` show a certificate for its \
               name, by its own authority, that holds? A start-up message in the clear, then TLS.",
    pass: "refused without TLS; with it, rustls believes the certificate, of whose lifetime more than a third is left \
           (less is a warning)",
    source: "postgresql.org ssl-tcp, auth-pg-hba-conf (`hostssl`), libpq-ssl (`verify-full`)",
    severity: Severity::High,
    remedy: "`stackctl cert renew` makes a certificate that is due and loads it; `stackctl up` writes the rules again",
};

pub(super) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let services: Vec<&Service> =
        context.stack.services.values().filter(|s| s.replicas > 0 && s.tls.is_some()).collect();
    if services.is_empty() {
        let why = "no database of the stack has `tls`";
        return none_apply(&[&DB_4], context.stack.project.as_str(), None, why);
    }
    let mut findings = Vec::new();
    for service in services {
        let question = DB_4.about(service.name.as_str()).line(service.line).from("engine network");
        findings.push(question.judged(encrypts(context, service).await));
    }
    findings
}

async fn encrypts(context: &Context<'_>, service: &Service) -> Judged {
    let at = match socket(context, service) {
        Ok(at) => at,
        Err(why) => return why,
    };
    let Some((Ask::Postgres { user, database }, tls)) =
        service.health.as_ref().map(|h| &h.ask).zip(service.tls.as_ref())
    else {
        return Unsure("its health check names no role and database".to_owned());
    };
    let hello = postgres_hello(user, database);
    match within(PATIENCE, exchange(at, &hello, 2048, |bytes| bytes.len() >= 9)).await {
        Ok(answer) if answer.first() == Some(&b'R') => return Fail("it lets plain connections in".to_owned()),
        Ok(answer) if answer.first() == Some(&b'E') => {}
        Ok(_) => return Unsure("it does not answer like PostgreSQL".to_owned()),
        Err(error) => return Unsure(error.to_string()),
    }
    let Some(authority) = context.known.values.and_then(|values| values.get(&tls.authority)) else {
        return Unsure("its authority is not known here".to_owned());
    };
    match shown(at, service.name.as_str(), authority.expose()).await {
        Ok(leaf) => lifetime(&leaf, now()),
        Err(ProbeError::Tls(why)) => Fail(why),
        Err(error) => Unsure(error.to_string()),
    }
}

/// The certificate that is shown, if these authorities stand behind it for the name and for now.
async fn shown(at: SocketAddrV4, name: &str, authorities: &str) -> Result<Facts, ProbeError> {
    within(PATIENCE, async {
        let stream = session::postgres(at.into(), name, session::believing(authorities)?).await?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(|c| c.first());
        let leaf = leaf.ok_or_else(|| ProbeError::Tls("no certificate was shown".to_owned()))?;
        Facts::of(leaf).map_err(ProbeError::Tls)
    })
    .await
}

fn lifetime(leaf: &Facts, now: u64) -> Judged {
    let until = Date::of_seconds(leaf.not_after);
    if now >= leaf.due() {
        return Warn(format!("plain refused, TLS with a certificate that ends on {until} and should be renewed"));
    }
    Pass(format!("plain refused, TLS with a certificate until {until}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_third_is_told() {
        let leaf = Facts {
            names: Vec::new(),
            not_before: 0,
            not_after: 300,
            subject: String::new(),
            issuer: String::new(),
            identifier: None,
            print: String::new(),
        };
        assert!(matches!(lifetime(&leaf, 199), Pass(_)));
        assert!(matches!(lifetime(&leaf, 200), Warn(_)));
    }
}
