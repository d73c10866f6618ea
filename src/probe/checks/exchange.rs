//! Suites and key exchange groups of TLS 1.3.

use crate::model::finding::Finding;
use crate::model::proxy::Tls;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::tls::scan;
use super::super::tls::suites::{GOOD_GROUPS, NEW, OTHER_GROUPS};
use super::{NO_PROXY, all_are, none_apply};

use Judged::{Pass, Skip, Unsure, Warn};

pub(in crate::probe) const TLS_4: Check = Check {
    id: "TLS-4",
    family: Family::Tls,
    title: "suites and groups of TLS 1.3",
    question: "Which suites and which key exchange groups does the server agree to with TLS 1.3? An offer without a key \
               makes it name its choice; that is taken out of the next offer until it refuses.",
    pass: "suites AES-GCM and ChaCha20-Poly1305; groups X25519MLKEM768, x25519, P-256 and P-384. Others are a warning; \
           they are not weak",
    source: "Mozilla TLS guidelines 6.0",
    severity: Severity::Low,
    remedy: "set `ssl_ecdh_curve X25519:prime256v1:secp384r1;`, and leave the suites as OpenSSL has them",
};

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&[&TLS_4], context.stack.project.as_str(), None, NO_PROXY);
    };
    let subject = context.authority(proxy.canonical(), true);
    if proxy.tls == Tls::Off {
        return none_apply(&[&TLS_4], &subject, Some(proxy.tls_line), "TLS is off in stack.toml");
    }
    let Some(address) = context.target.https else {
        let why = Unsure("HTTPS cannot be reached from here".to_owned());
        return all_are(&[&TLS_4], &subject, Some(proxy.tls_line), &why);
    };
    let question = TLS_4.about(&subject).line(proxy.tls_line);
    let all: Vec<(u16, &str)> = [GOOD_GROUPS, OTHER_GROUPS].concat();
    let numbers: Vec<u16> = all.iter().map(|(number, _)| *number).collect();
    let name = proxy.canonical();
    let (suites, groups) =
        tokio::join!(scan::suites_13(address, NEW, &numbers, name), scan::groups(address, &all, name));
    vec![question.judged(judge(suites, groups))]
}

fn judge(suites: Result<Vec<u16>, String>, groups: Result<Vec<u16>, String>) -> Judged {
    let (suites, groups) = match (suites, groups) {
        (Ok(suites), Ok(groups)) => (suites, groups),
        (Err(why), _) | (_, Err(why)) => return Unsure(why),
    };
    if suites.is_empty() || groups.is_empty() {
        return Skip("TLS 1.3 is not spoken".to_owned());
    }
    let named = |numbers: &[u16], names: &[(u16, &str)]| {
        let found = names.iter().filter(|(number, _)| numbers.contains(number)).map(|(_, name)| *name);
        found.collect::<Vec<_>>().join(", ")
    };
    let odd = [named(&suites, &NEW[3..]), named(&groups, OTHER_GROUPS)];
    let odd: Vec<&String> = odd.iter().filter(|list| !list.is_empty()).collect();
    if odd.is_empty() {
        Pass(format!("{} suites; {}", suites.len(), named(&groups, GOOD_GROUPS)))
    } else {
        Warn(odd.into_iter().cloned().collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_no_profile_is_a_warning() {
        assert_eq!(judge(Ok(vec![0x1302, 0x1301]), Ok(vec![0x1d, 0x17])), Pass("2 suites; x25519, P-256".into()));
        assert_eq!(judge(Ok(vec![0x1301]), Ok(vec![0x1d, 0x1e])), Warn("x448".into()));
        assert_eq!(judge(Ok(vec![0x1304]), Ok(vec![0x1d])), Warn("TLS_AES_128_CCM_SHA256".into()));
        assert!(matches!(judge(Ok(vec![]), Ok(vec![])), Skip(_)));
        assert!(matches!(judge(Err("x".into()), Ok(vec![])), Unsure(_)));
    }
}
