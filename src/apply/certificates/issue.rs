//! One conversation with an authority: account, order, answers, certificate.

use std::path::Path;
use std::time::Duration;

use crate::acme::{Answer, Authority, Challenge, Client};
use crate::base::secret::Secret;
use crate::base::units::Span;
use crate::engine::state::secret_file;
use crate::files::command;
use crate::files::read_text;
use crate::model::artifact::Artifact;
use crate::model::certificate::{self, Facts};
use crate::model::proxy::Acme;
use crate::plan::reconcile::FRONT_DOOR;
use crate::render::CHALLENGES;

use super::{Answers, Asking, Event, Failed, Sink, Work, join_pem};

/// When the authority would like the certificate to be renewed; `None` where it does not say, or cannot be asked:
/// the certificate's own time counts then.
pub(super) async fn window(work: &Work<'_>, acme: &Acme, facts: &Facts) -> Option<(u64, u64)> {
    let kept = work.state.secrets.get(&acme.account(&acme.directory)?)?;
    let trust = trust(work, acme).ok()?;
    let authority =
        Authority { directory: &acme.directory, trust: trust.as_deref(), email: acme.email.as_deref(), external: None };
    let (client, _) = Client::open(&authority, Some(kept)).await.ok()?;
    client.window(facts.identifier.as_ref()?).await
}

fn trust(work: &Work<'_>, acme: &Acme) -> Result<Option<String>, Failed> {
    let Some(path) = &acme.trust else { return Ok(None) };
    let path = work.wanted.folder.join(path);
    let failed =
        |error: crate::files::FilesError| Failed { why: format!("`trust`: {error}"), hint: None, ..Failed::default() };
    read_text(&path).map(Some).map_err(failed)
}

/// How often an order is begun where the authority keeps taking our answers for old ones.
const ORDERS: usize = 3;

/// How far our clock may be from the authority's. Certificates begin up to an hour before they are given.
const CLOCKS: u64 = 3600;

/// Certificate and key in one text, key first.
pub(super) async fn issue(
    work: &Work<'_>,
    acme: &Acme,
    current: Option<&Facts>,
    sink: &mut dyn Sink,
) -> Result<Secret, Failed> {
    match &acme.staging {
        Some(staging) if work.asking == Asking::Staging => ask(work, acme, staging, current, sink).await,
        None if work.asking == Asking::Staging => Err(Failed {
            why: format!("no other directory of {} is known to try things out with", acme.directory),
            hint: Some("name it, as `staging` in `tls.acme`; or leave `--staging` away".to_owned()),
            ..Failed::default()
        }),
        Some(staging) if untried(work, acme, current) => {
            rehearse(work, acme, staging, sink).await?;
            ask(work, acme, &acme.directory, current, sink).await
        }
        _ => ask(work, acme, &acme.directory, current, sink).await,
    }
}

/// Whether it is not known that the authority finds our answers: for names that no certificate was given for yet, and
/// after a failure. Authorities count failures, and let nobody try for long.
fn untried(work: &Work<'_>, acme: &Acme, current: Option<&Facts>) -> bool {
    work.state.attempts.failures > 0 || current.is_none_or(|facts| acme.names.iter().any(|name| !facts.covers(name)))
}

/// All of it with the directory that does not count. Only what the other one would find as well is a reason to stop.
async fn rehearse(work: &Work<'_>, acme: &Acme, staging: &str, sink: &mut dyn Sink) -> Result<(), Failed> {
    sink.event(Event::Note(format!("trying it out first, where it does not count: {staging}")));
    match ask(work, acme, staging, None, sink).await {
        Ok(_) => Ok(()),
        Err(failed) if failed.ours => {
            Err(Failed { why: format!("{} (tried out first, which does not count)", failed.why), ..failed })
        }
        Err(failed) => {
            sink.event(Event::Note(format!(
                "it could not be tried out, and is asked for all the same: {}",
                failed.why
            )));
            Ok(())
        }
    }
}

async fn ask(
    work: &Work<'_>,
    acme: &Acme,
    directory: &str,
    current: Option<&Facts>,
    sink: &mut dyn Sink,
) -> Result<Secret, Failed> {
    for _ in 1..ORDERS {
        match Box::pin(order(work, acme, directory, current, sink)).await {
            Err(failed) if failed.stale => {}
            done => return done,
        }
    }
    Box::pin(order(work, acme, directory, current, sink)).await
}

async fn order(
    work: &Work<'_>,
    acme: &Acme,
    directory: &str,
    current: Option<&Facts>,
    sink: &mut dyn Sink,
) -> Result<Secret, Failed> {
    let staging = directory != acme.directory;
    let client = account(work, acme, directory).await?;
    same_time(client.their_time(), (work.now)())?;
    let challenge = if acme.dns.is_empty() { Challenge::Http } else { Challenge::Dns };
    let replaces = current.filter(|_| !staging).and_then(|facts| facts.identifier.as_ref());
    let mut order = client.order(&acme.names, challenge, replaces).await?;
    let answers = order.answers().await?;
    sink.event(Event::Note(format!("answering the authority's questions about {}", acme.names.join(", "))));
    let (placed, result) = place(work, acme, &answers).await;
    let looked = match result {
        Ok(()) => order.look().await.map_err(Failed::from),
        Err(failed) => Err(failed),
    };
    let away = take_away(work, acme, &answers[..placed]).await;
    looked?;
    if let Err(failed) = away {
        sink.event(Event::Note(format!("the answers stay where they are: {}", failed.why)));
    }
    let (chain, key) = order.finish().await?;
    // What cannot serve must not take the place of what can.
    let problems = certificate::judge(&chain, &key, &acme.names, (work.now)());
    if !staging && !problems.is_empty() {
        return Err(Failed {
            why: format!("what the authority sent cannot serve: {}", problems.join("; ")),
            hint: Some("run `stackctl cert issue`: that begins a new order".to_owned()),
            ..Failed::default()
        });
    }
    Ok(join_pem(&chain, key.expose()))
}

/// Dates of certificates are compared with our clock. With a wrong one, every certificate of the authority is thrown
/// away, and asked for again; so none is asked for.
fn same_time(theirs: Option<u64>, ours: u64) -> Result<(), Failed> {
    let Some(theirs) = theirs.filter(|theirs| theirs.abs_diff(ours) > CLOCKS) else { return Ok(()) };
    let apart = Span(Duration::from_secs(theirs.abs_diff(ours)));
    let how = if ours > theirs { "ahead of" } else { "behind" };
    Err(Failed {
        why: format!("no certificate was asked for: the clock of this machine is {apart} {how} the authority's"),
        hint: Some("set it (`timedatectl set-ntp true` keeps it right), then run it again".to_owned()),
        ours: true,
        ..Failed::default()
    })
}

/// The account that is kept, or a new one, which is kept before anything is done with it.
async fn account(work: &Work<'_>, acme: &Acme, directory: &str) -> Result<Client, Failed> {
    let trust = trust(work, acme)?;
    let external = match &acme.external {
        Some((kid, key)) => {
            let stored = work.state.secrets.get(key).cloned();
            let value = super::super::secrets::find(work.wanted, Some(work.state)).await.values.remove(key).or(stored);
            let Some(value) = value else {
                return Err(Failed {
                    why: format!("the secret `{key}` of `eab_key` has no value"),
                    hint: None,
                    ..Failed::default()
                });
            };
            Some((kid.clone(), value))
        }
        None => None,
    };
    let authority = Authority {
        directory,
        trust: trust.as_deref(),
        email: acme.email.as_deref(),
        external: external.as_ref().map(|(kid, key)| (kid.as_str(), key)),
    };
    let name = acme.account(directory);
    let kept = name.as_ref().and_then(|name| work.state.secrets.get(name));
    let (client, new) = Client::open(&authority, kept).await?;
    let known = if kept.is_some() { client.is_known(authority.email).await } else { Ok(()) };
    let (client, new) = match known {
        Ok(()) => (client, new),
        // An authority that lost its memory, or another one behind the same address.
        Err(error) if error.account_gone => Client::open(&authority, None).await?,
        Err(error) => return Err(error.into()),
    };
    if let (Some(name), Some(credentials)) = (name, new) {
        work.engine.write_state(&work.wanted.stack.project, &[secret_file(&name, &credentials)]).await?;
    }
    Ok(client)
}

/// Puts answers where they are looked for; also says how many may be there now.
async fn place(work: &Work<'_>, acme: &Acme, answers: &[Answer]) -> (usize, Result<(), Failed>) {
    if !acme.dns.is_empty() {
        for (number, answer) in answers.iter().enumerate() {
            if let Err(failed) = record(work, acme, "set", answer).await {
                // One that failed half way may have set it.
                return (number + 1, Err(failed));
            }
        }
        return (answers.len(), Ok(()));
    }
    let files: Answers = answers.iter().map(|a| (a.token.clone(), a.content.clone())).collect();
    (answers.len(), write(work, files).await)
}

/// What was asked is nobody's business any more: files cannot be removed through the engine, they become empty.
async fn take_away(work: &Work<'_>, acme: &Acme, answers: &[Answer]) -> Result<(), Failed> {
    if !acme.dns.is_empty() {
        let mut result = Ok(());
        for answer in answers {
            let unset = record(work, acme, "unset", answer).await;
            result = result.and(unset);
        }
        return result;
    }
    write(work, answers.iter().map(|a| (a.token.clone(), String::new())).collect()).await
}

async fn write(work: &Work<'_>, answers: Answers) -> Result<(), Failed> {
    // A token becomes a file name: base64 for URLs, and nothing else (RFC 8555 §8.3).
    let plain =
        |token: &str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if let Some(token) = answers.keys().find(|token| !plain(token)) {
        return Err(Failed {
            why: format!("the authority's token {token:?} is none"),
            hint: None,
            ..Failed::default()
        });
    }
    if answers.is_empty() {
        return Ok(());
    }
    let volume = work.wanted.stack.volume_name(&format!("{FRONT_DOOR}-files"));
    let files: Vec<Artifact> =
        answers.into_iter().map(|(token, text)| Artifact::plain(format!("{CHALLENGES}/{token}"), text)).collect();
    Ok(work.engine.write_files(&volume, &files, &[]).await?)
}

async fn record(work: &Work<'_>, acme: &Acme, what: &str, answer: &Answer) -> Result<(), Failed> {
    let name = format!("_acme-challenge.{}", answer.name);
    let mut words = acme.dns.clone();
    words.extend([what, &name, &answer.record].map(str::to_owned));
    let folder: &Path = &work.wanted.folder;
    command::run_to_end(&words, folder, acme.dns_timeout.0).await.map_err(|why| Failed {
        why: format!("the record {name} could not be {what}: {why}"),
        hint: Some("run the program of `dns` by hand: `set NAME VALUE`, `unset NAME VALUE`".to_owned()),
        ours: true,
        ..Failed::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_said_before_anything_is_asked_for() {
        let now = 1_795_960_800;
        for (theirs, said) in [
            (None, ""),
            (Some(now), ""),
            (Some(now - 3600), ""),
            (Some(now - 200 * 86_400), "200d ahead of the authority's"),
            (Some(now + 7200), "2h behind the authority's"),
        ] {
            let why = same_time(theirs, now).err().map(|failed| failed.why).unwrap_or_default();
            assert!(why.ends_with(said) && why.is_empty() == said.is_empty(), "{theirs:?}: {why}");
        }
    }
}
