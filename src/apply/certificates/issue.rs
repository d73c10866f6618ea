//! One conversation with an authority: account, order, answers, certificate.

use std::path::Path;

use crate::acme::{Answer, Authority, Challenge, Client};
use crate::base::secret::Secret;
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

/// Certificate and key in one text, key first.
pub(super) async fn issue(
    work: &Work<'_>,
    acme: &Acme,
    current: Option<&Facts>,
    sink: &mut dyn Sink,
) -> Result<Secret, Failed> {
    for _ in 1..ORDERS {
        match Box::pin(order(work, acme, current, sink)).await {
            Err(failed) if failed.stale => {}
            done => return done,
        }
    }
    Box::pin(order(work, acme, current, sink)).await
}

async fn order(work: &Work<'_>, acme: &Acme, current: Option<&Facts>, sink: &mut dyn Sink) -> Result<Secret, Failed> {
    let staging = work.asking == Asking::Staging;
    let directory = match (&acme.staging, staging) {
        (_, false) => &acme.directory,
        (Some(staging), true) => staging,
        (None, true) => {
            return Err(Failed {
                why: format!("no other directory of {} is known to try things out with", acme.directory),
                hint: Some("leave `--staging` away".to_owned()),
                ..Failed::default()
            });
        }
    };
    let client = account(work, acme, directory).await?;
    let challenge = if acme.dns.is_empty() { Challenge::Http } else { Challenge::Dns };
    let replaces = current.filter(|_| !staging).and_then(|facts| facts.identifier.as_ref());
    let mut order = client.order(&acme.names, challenge, replaces).await?;
    let answers = order.answers().await?;
    sink.event(Event::Note(format!("answering the authority's questions about {}", acme.names.join(", "))));
    let placed = place(work, acme, &answers).await;
    let looked = match placed {
        Ok(()) => order.look().await.map_err(Failed::from),
        Err(failed) => Err(failed),
    };
    let away = take_away(work, acme, &answers).await;
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
            hint: Some("look at the clock of this machine (`date`), then run it again".to_owned()),
            ..Failed::default()
        });
    }
    Ok(join_pem(&chain, key.expose()))
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

async fn place(work: &Work<'_>, acme: &Acme, answers: &[Answer]) -> Result<(), Failed> {
    if !acme.dns.is_empty() {
        for answer in answers {
            record(work, acme, "set", answer).await?;
        }
        return Ok(());
    }
    let files: Answers = answers.iter().map(|a| (a.token.clone(), a.content.clone())).collect();
    write(work, files).await
}

/// What was asked is nobody's business any more: files cannot be removed through the engine, they become empty.
async fn take_away(work: &Work<'_>, acme: &Acme, answers: &[Answer]) -> Result<(), Failed> {
    if !acme.dns.is_empty() {
        for answer in answers {
            record(work, acme, "unset", answer).await?;
        }
        return Ok(());
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
        ..Failed::default()
    })
}
