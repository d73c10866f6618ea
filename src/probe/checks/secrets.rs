//! What must not be seen, and whether it can be guessed.

use crate::base::name::SecretName;
use crate::model::finding::Finding;
use crate::model::history::History;
use crate::model::inspected::{FileMode, Inspected};
use crate::model::placeholder::is_placeholder;
use crate::model::proxy::{Proxy, Tls};
use crate::model::secrets::{SECRETS_FOLDER, SecretSource, SecretValues, Template};
use crate::model::service::Service;
use crate::model::stack::Stack;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;

use Judged::{Fail, Pass, Skip, Unsure, Warn};

pub(in crate::probe) const SEC_1: Check = Check {
    id: "SEC-1",
    family: Family::Secrets,
    title: "not in the repository",
    question: "Does the git repository around stack.toml hold the value of a secret, in any version of any file? The \
               values themselves are looked for, not patterns.",
    pass: "none is found in files of up to 4 MiB; short values (under 12 characters) are not looked for",
    source: "OWASP secrets management; what gitleaks does with patterns",
    severity: Severity::Critical,
    remedy: "make a new secret: what was pushed once is known. Then rewrite the history (`git filter-repo`)",
};

pub(in crate::probe) const SEC_2: Check = Check {
    id: "SEC-2",
    family: Family::Secrets,
    title: "not shown by the engine",
    question: "Does the engine show the value of a secret to whoever may ask it, in environment, command or labels of \
               a container?",
    pass: "none; one that stack.toml puts into `environment` itself is a warning",
    source: "CIS Docker 1.6 (docker-bench-security 4.10)",
    severity: Severity::High,
    remedy: "give it as a file: `NAME_FILE = \"${secrets.name.file}\"`",
};

pub(in crate::probe) const SEC_3: Check = Check {
    id: "SEC-3",
    family: Family::Secrets,
    title: "secret files closed",
    question: "Who may read the files below /run/secrets in each container? Their modes and owners are read through \
               the engine.",
    pass: "only the service's user (mode 0400); readable by all in the container is a warning where the user is not known",
    source: "stack.toml: secret files belong to the user of their service",
    severity: Severity::High,
    remedy: "name the user by number, `user = \"10001\"`, and run `stackctl up`",
};

pub(in crate::probe) const SEC_4: Check = Check {
    id: "SEC-4",
    family: Family::Secrets,
    title: "not guessable",
    question: "Is any secret that was not made by stackctl a word everybody tries first, or short, or of one character?",
    pass: "at least 16 characters and 6 different ones; under 8 characters, or a default, fails",
    source: "NIST SP 800-63B §5.1.1 (at least 8); 16 is stackctl's own for machines",
    severity: Severity::High,
    remedy: "let stackctl make it: `{ generate = \"hex:32\" }`; or make it with `openssl rand -hex 32`",
};

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if context.wants(&SEC_1) {
        findings.push(repository(context).await);
    }
    match context.containers().await {
        Ok(seen) => {
            findings.push(super::of_containers(context, &SEC_2, seen.iter(), |c| shown(context.stack, c)));
            findings.extend(files(context, seen).await);
        }
        Err(why) => {
            findings.extend(super::all_are(&[&SEC_2, &SEC_3], context.stack.project.as_str(), None, &why.into()));
        }
    }
    findings.extend(guessable(context));
    findings
}

async fn repository(context: &Context<'_>) -> Finding {
    let question = SEC_1.about("the repository around stack.toml").from("folder");
    if context.options.quick {
        return question.not_applicable("left out by --quick: it reads the whole history");
    }
    let history = match context.inside() {
        Ok(inside) => inside.history().await,
        Err(_) => return question.not_applicable("not visible from here: it needs the values of the secrets"),
    };
    question.judged(match history {
        Err(why) => Unsure(why),
        Ok(History::None) => Skip("stack.toml is in no git repository".to_owned()),
        Ok(History::Searched { files, too_large, found }) => in_history(files, too_large, &found),
    })
}

fn in_history(files: usize, too_large: usize, found: &[(SecretName, String)]) -> Judged {
    if !found.is_empty() {
        let list: Vec<String> = found.iter().map(|(name, commit)| format!("{name} ({commit})")).collect();
        return Fail(list.join(", "));
    }
    let rest = if too_large > 0 { format!(", {too_large} larger than 4 MiB not") } else { String::new() };
    Pass(format!("{files} versions of files searched{rest}"))
}

fn shown(stack: &Stack, container: &Inspected) -> Judged {
    if container.visible.is_empty() {
        return Pass("no value of a secret".to_owned());
    }
    let service = stack.services.values().find(|s| s.name.as_str() == container.service);
    // What stack.toml puts there on purpose was warned about when it was read.
    let declared = |place: &str| {
        let name = place.strip_prefix("environment variable ");
        name.zip(service).is_some_and(|(name, s)| s.environment.get(name).is_some_and(Template::is_secret))
    };
    let list = |which: &dyn Fn(&str) -> bool| {
        let some = container.visible.iter().filter(|(_, place)| which(place));
        some.map(|(name, place)| format!("{name} in its {place}")).collect::<Vec<_>>().join(", ")
    };
    let worse = list(&|place| !declared(place));
    if worse.is_empty() { Warn(format!("as stack.toml says: {}", list(&declared))) } else { Fail(worse) }
}

async fn files(context: &Context<'_>, seen: &[Inspected]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in context.stack.services.values().filter(|s| !s.secrets.is_empty() || !s.files.is_empty()) {
        let question = SEC_3.about(service.name.as_str()).line(service.line).from("engine");
        let own = seen.iter().filter(|c| c.service == service.name.as_str() && c.number > 0);
        let Some(container) = own.max_by_key(|c| c.running) else {
            findings.push(question.not_applicable("no container of it is there"));
            continue;
        };
        if !has_files(service, context.known.values) {
            findings.push(question.not_applicable("none of its secrets has a value"));
            continue;
        }
        let listed = match context.inside() {
            Ok(inside) => inside.files(&container.name, SECRETS_FOLDER).await,
            Err(why) => {
                findings.push(question.judged(why));
                continue;
            }
        };
        findings.push(match listed {
            Ok(listed) => question.judged(closed(service, &listed)),
            Err(why) => question.unsure(why),
        });
    }
    if findings.is_empty() {
        findings.push(SEC_3.about(context.stack.project.as_str()).not_applicable("no service has secret files"));
    }
    findings
}

/// Whether anything is to be below its folder: without the values nobody knows, and it is looked at.
fn has_files(service: &Service, values: Option<&SecretValues>) -> bool {
    let set = |name: &SecretName| values.is_none_or(|v| v.get(name).is_some_and(|value| !value.expose().is_empty()));
    !service.files.is_empty() || service.secrets.iter().any(set)
}

fn closed(service: &Service, files: &[FileMode]) -> Judged {
    let missing: Vec<&str> = service
        .secrets
        .iter()
        .map(SecretName::as_str)
        .chain(service.files.keys().map(String::as_str))
        .filter(|name| !files.iter().any(|f| f.path == *name))
        .collect();
    if files.is_empty() {
        return Unsure("there are no files below /run/secrets".to_owned());
    }
    let describe = |f: &FileMode| format!("{} {:04o} of user {}", f.path, f.mode, f.uid);
    let wrong: Vec<String> = files
        .iter()
        .filter(|f| f.mode & 0o022 != 0 || service.uid.is_some_and(|uid| f.uid != uid || f.mode & 0o077 != 0))
        .map(describe)
        .collect();
    let open = files.iter().filter(|f| f.mode & 0o077 != 0).count();
    match (wrong.is_empty(), open) {
        (false, _) => Fail(wrong.join(", ")),
        (true, 0) if missing.is_empty() => Pass(format!("{} files, only for user {}", files.len(), files[0].uid)),
        // An optional secret that is not set has no file.
        (true, 0) => Pass(format!("{} files; not set: {}", files.len(), missing.join(", "))),
        (true, open) => Warn(format!("{open} files are readable by every user in the container")),
    }
}

fn guessable(context: &Context<'_>) -> Vec<Finding> {
    let Some(values) = context.known.values else {
        let why = "not visible from here: it needs the values of the secrets";
        return super::none_apply(&[&SEC_4], context.stack.project.as_str(), None, why);
    };
    let public = match &context.stack.proxy {
        Some(Proxy { tls: Tls::Files { cert, key }, .. }) => vec![cert, key],
        _ => Vec::new(),
    };
    let given = context.stack.secrets.iter().filter(|(name, spec)| {
        let own = matches!(
            spec.source,
            SecretSource::Generate(_) | SecretSource::Derived(_) | SecretSource::PublicOf(_) | SecretSource::Issued
        );
        !own && !public.contains(name)
    });
    let mut findings: Vec<Finding> = given
        .map(|(name, spec)| {
            let question = SEC_4.about(name.as_str()).line(spec.line);
            match values.get(name) {
                Some(value) => question.judged(strong(value.expose())),
                None => question.not_applicable("it is not set"),
            }
        })
        .collect();
    if findings.is_empty() {
        let why = "stackctl made all secrets";
        findings = super::none_apply(&[&SEC_4], context.stack.project.as_str(), None, why);
    }
    findings
}

/// Says nothing of the value but what is wrong with it.
fn strong(value: &str) -> Judged {
    let value = value.trim();
    let length = value.chars().count();
    if value.is_empty() {
        return Skip("it is empty".to_owned());
    }
    if is_placeholder(value) {
        return Fail("a default that everybody tries first".to_owned());
    }
    let mut different: Vec<char> = value.chars().collect();
    different.sort_unstable();
    different.dedup();
    match (length, different.len()) {
        (0..=7, _) => Fail("shorter than 8 characters".to_owned()),
        (_, 0..=5) => Fail("fewer than 6 different characters".to_owned()),
        (8..=15, _) => Warn("shorter than 16 characters".to_owned()),
        _ => Pass("at least 16 characters, no default".to_owned()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::base::name::ServiceName;
    use crate::base::secret::Secret;
    use crate::model::service::Image;

    fn service(uid: Option<u32>) -> Service {
        let mut service = Service::new(ServiceName::parse("app").unwrap(), 3, Image::Pull("x".into()));
        service.uid = uid;
        service.secrets.insert(SecretName::parse("key").unwrap());
        service
    }

    fn file(mode: u32, uid: u32) -> FileMode {
        FileMode { path: "key".into(), mode, uid }
    }

    #[test]
    fn optional_secrets_that_are_not_set_have_no_files() {
        let of = |value: &str| SecretValues::from([(SecretName::parse("key").unwrap(), Secret::new(value))]);
        assert!(has_files(&service(None), None));
        assert!(has_files(&service(None), Some(&of("x"))));
        assert!(!has_files(&service(None), Some(&of(""))));
        assert!(!has_files(&service(None), Some(&SecretValues::new())));
    }

    #[test]
    fn files_are_for_their_user() {
        assert!(matches!(closed(&service(Some(7)), &[file(0o400, 7)]), Pass(_)));
        for bad in [file(0o440, 7), file(0o444, 7), file(0o400, 0), file(0o600 | 0o022, 7)] {
            assert!(matches!(closed(&service(Some(7)), std::slice::from_ref(&bad)), Fail(_)), "{bad:?}");
        }
        assert!(matches!(closed(&service(None), &[file(0o444, 0)]), Warn(_)));
        assert!(matches!(closed(&service(None), &[file(0o666, 0)]), Fail(_)));
        assert!(matches!(closed(&service(None), &[]), Unsure(_)));
    }

    #[test]
    fn guesses() {
        for bad in ["password", "ChangeMe", "short", "aaaaaaaaaaaaaaaaaaaaaaaa", "abababababababab\n"] {
            assert!(matches!(strong(bad), Fail(_)), "{bad}");
        }
        assert!(matches!(strong("tr0ub4dor&3"), Warn(_)));
        assert!(matches!(strong("8f2c0e1d9b7a6543"), Pass(_)));
        assert!(matches!(strong(" "), Skip(_)));
    }

    #[test]
    fn what_the_engine_shows() {
        let name = SecretName::parse("key").unwrap();
        let stack = |declared: bool| {
            let mut service = service(None);
            if declared {
                let piece = crate::model::secrets::Piece::Secret(name.clone());
                service.environment.insert("KEY".into(), crate::model::secrets::Template(vec![piece]));
            }
            Stack {
                project: crate::base::name::ProjectName::parse("p").unwrap(),
                services: [(service.name.clone(), service)].into(),
                ..empty()
            }
        };
        let shows = |place: &str| Inspected {
            service: "app".into(),
            visible: vec![(name.clone(), place.into())],
            ..Inspected::default()
        };
        assert!(matches!(shown(&stack(true), &Inspected::default()), Pass(_)));
        assert!(matches!(shown(&stack(true), &shows("environment variable KEY")), Warn(_)));
        assert!(matches!(shown(&stack(false), &shows("environment variable KEY")), Fail(_)));
        assert!(matches!(shown(&stack(true), &shows("label x")), Fail(_)));
    }

    fn empty() -> Stack {
        Stack {
            project: crate::base::name::ProjectName::parse("p").unwrap(),
            stage: None,
            host: None,
            elsewhere: [].into(),
            services: [].into(),
            secrets: [].into(),
            proxy: None,
            hold_images: 0,
            pool: crate::model::stack::Pool::default(),
            checklist: crate::model::checklist::Checklist::default(),
            monitoring: crate::model::monitoring::Monitoring::default(),
            notify: crate::model::notify::Notify::default(),
        }
    }

    #[test]
    fn history_names_the_secret_and_the_commit() {
        assert!(matches!(in_history(3, 1, &[]), Pass(_)));
        let found = [(SecretName::parse("key").unwrap(), "commit abc".to_owned())];
        assert_eq!(in_history(3, 0, &found), Fail("key (commit abc)".into()));
    }
}
