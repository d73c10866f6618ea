//! Certificates: asked for, kept with the stack, loaded by the front door. Whatever goes wrong, what serves goes on
//! serving.

mod database;
mod issue;
mod load;

use std::collections::BTreeMap;

use crate::base::date::Date;
use crate::base::name::SecretName;
use crate::base::secret::Secret;
use crate::engine::Engine;
use crate::engine::lock::Lock;
use crate::engine::state::{attempts_file, secret_file};
use crate::model::certificate::{self, Attempts, Decision, Facts};
use crate::model::proxy::{Acme, Proxy, Tls};
use crate::model::secrets::{Recipe, SecretSource};
use crate::model::state::{AuditEntry, State};

use super::error::ApplyError;
use super::event::{Event, Sink};
use super::prepare::check_stage;
use super::secrets::{join_pem, made};
use super::up::take_lock;
use super::wanted::Wanted;

pub(in crate::apply) use database::load_database;
pub use database::renew_databases;

pub use super::held::{Database, authority, configured, databases, facts, kept, lacking};

/// How a certificate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// If one is due, and not too soon after a failure: what a timer does.
    WhenDue,
    /// If one is due, however the last attempt ended: a person does, who has mended something.
    Now,
    /// Also where the one there is good: its key may have been seen.
    Anew,
    /// Only to see whether it would work, with the authority's directory for that; nothing is kept.
    Staging,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Good until it is due then, seconds since 1970.
    Kept(u64),
    /// One is needed, and nobody asks before then: the last attempt failed, for this reason.
    Waiting(u64, String),
    /// It would work.
    Tried,
    /// There is a new one, and the front door serves it.
    Renewed(Box<Facts>),
}

/// Asks for a certificate if one is due, and has the front door serve it.
///
/// # Errors
/// The engine's, the lock's, [`ApplyError::Certificate`] where there is none to be had.
pub async fn renew(
    engine: &Engine,
    wanted: &Wanted,
    asking: Asking,
    now: fn() -> u64,
    sink: &mut dyn Sink,
) -> Result<Outcome, ApplyError> {
    let Some(proxy) = &wanted.stack.proxy else { return Err(nothing("there is no front door")) };
    let (lock, state) = open(engine, wanted, now, sink).await?;
    let work = Work { engine, wanted, lock: &lock, state: &state, asking, now };
    let result = match &proxy.tls {
        Tls::Off => Err(nothing("`tls` is off")),
        Tls::Files { .. } => Err(nothing("the certificate is your own: renew it in its files, then run `stackctl up`")),
        Tls::SelfSigned(name) => work.trial(name, sink).await,
        Tls::Acme(acme) => work.acme(acme, sink).await,
    };
    // Asking takes seconds: a new one and a failure are worth a line, that there was nothing to do is not.
    if matches!(result, Err(_) | Ok(Outcome::Renewed(_))) && asking != Asking::Staging {
        let entry = AuditEntry {
            at: now(),
            by: wanted.by.clone(),
            what: "renew the certificate".to_owned(),
            result: if result.is_ok() { "done" } else { "failed" }.to_owned(),
            error: result.as_ref().err().map(ToString::to_string),
            ..AuditEntry::default()
        };
        if let Err(error) = engine.write_audit(&wanted.stack.project, &entry).await {
            sink.event(Event::Note(format!("the audit log could not be written: {error}")));
        }
    }
    lock.release().await?;
    result
}

/// Takes a certificate over that was issued elsewhere, and has the front door serve it.
///
/// # Errors
/// [`ApplyError::Secrets`] for one that cannot serve; as [`renew`].
pub async fn import(
    engine: &Engine,
    wanted: &Wanted,
    chain: &str,
    key: &Secret,
    now: fn() -> u64,
    sink: &mut dyn Sink,
) -> Result<Outcome, ApplyError> {
    let Some(Proxy { tls: Tls::Acme(acme), .. }) = &wanted.stack.proxy else {
        return Err(nothing("only a stack with `tls = { acme = … }` takes one over; name your own in `tls.files`"));
    };
    let problems = certificate::judge(chain, key, &acme.names, now());
    if !problems.is_empty() {
        let told = problems.into_iter().map(|why| format!("the certificate cannot serve: {why}"));
        return Err(ApplyError::Secrets(told.collect()));
    }
    let (lock, state) = open(engine, wanted, now, sink).await?;
    let work = Work { engine, wanted, lock: &lock, state: &state, asking: Asking::Anew, now };
    let result = work.serve(&acme.issued, &join_pem(chain, key.expose()), sink).await;
    lock.release().await?;
    result
}

fn nothing(why: &str) -> ApplyError {
    ApplyError::Certificate {
        why: format!("there is no certificate to ask for: {why}"),
        serves: "nothing was changed".to_owned(),
        hint: None,
    }
}

async fn open(
    engine: &Engine,
    wanted: &Wanted,
    now: fn() -> u64,
    sink: &mut dyn Sink,
) -> Result<(Lock, State), ApplyError> {
    let project = &wanted.stack.project;
    engine.ensure_holder().await?;
    let lock = take_lock(engine, wanted, now, sink).await?;
    let observed = engine.observe(project, &[]).await?;
    check_stage(&wanted.stack, &observed)?;
    match observed.state {
        Some(state) if state.current().is_some() => Ok((lock, state)),
        _ => {
            lock.release().await?;
            Err(ApplyError::Certificate {
                why: format!("{project} is not deployed there"),
                serves: "nothing was changed".to_owned(),
                hint: Some("`stackctl up` brings it up, and asks for the certificate".to_owned()),
            })
        }
    }
}

/// One run, under the lock.
struct Work<'a> {
    engine: &'a Engine,
    wanted: &'a Wanted,
    lock: &'a Lock,
    state: &'a State,
    asking: Asking,
    now: fn() -> u64,
}

impl Work<'_> {
    async fn trial(&self, name: &SecretName, sink: &mut dyn Sink) -> Result<Outcome, ApplyError> {
        let stack = &self.wanted.stack;
        if self.asking == Asking::Staging {
            return Err(nothing("a trial certificate is made here"));
        }
        let SecretSource::Generate(recipe @ Recipe::Trial { names, .. }) = &stack.secrets[name].source else {
            return Err(nothing("it is not made here"));
        };
        let current = self.state.secrets.get(name).and_then(|b| facts(b).ok()).and_then(|f| f.into_iter().next());
        let current = current.as_ref().filter(|_| self.asking != Asking::Anew);
        match certificate::decide(current, names, None, &Attempts::default(), (self.now)()) {
            Decision::Keep(due) => Ok(Outcome::Kept(due)),
            Decision::Ask(_) | Decision::Wait(..) => {
                let made = made(recipe, &self.state.secrets).map_err(|why| ApplyError::Secrets(vec![why]))?;
                self.serve(name, &made, sink).await
            }
        }
    }

    async fn acme(&self, acme: &Acme, sink: &mut dyn Sink) -> Result<Outcome, ApplyError> {
        let now = (self.now)();
        let current =
            self.state.secrets.get(&acme.issued).and_then(|b| facts(b).ok()).and_then(|f| f.into_iter().next());
        let attempts = &self.state.attempts;
        let decision = match self.asking {
            Asking::Staging | Asking::Anew => Decision::Ask(String::new()),
            asking => {
                let patient = if asking == Asking::WhenDue { attempts.clone() } else { Attempts::default() };
                let plain = certificate::decide(current.as_ref(), &acme.names, None, &patient, now);
                match (plain, &current) {
                    // It is good for now; perhaps the authority wants it replaced all the same.
                    (Decision::Keep(_), Some(facts)) => {
                        let window = issue::window(self, acme, facts).await;
                        certificate::decide(Some(facts), &acme.names, window, &patient, now)
                    }
                    (other, _) => other,
                }
            }
        };
        match decision {
            Decision::Keep(due) => {
                if let Some(facts) = current.as_ref().filter(|facts| now < facts.not_before) {
                    sink.event(Event::Note(format!(
                        "the certificate is valid only from {} on: look at the clock of this machine (`date`)",
                        Date::of_seconds(facts.not_before)
                    )));
                }
                return Ok(Outcome::Kept(due));
            }
            Decision::Wait(until, _) => return Ok(Outcome::Waiting(until, attempts.why.clone())),
            Decision::Ask(why) if why.is_empty() => {}
            Decision::Ask(why) => {
                sink.event(Event::Note(format!("asking for a certificate for {}: {why}", acme.names.join(", "))));
            }
        }
        match issue::issue(self, acme, current.as_ref(), sink).await {
            Ok(_) if self.asking == Asking::Staging => Ok(Outcome::Tried),
            Ok(bundle) => {
                let outcome = self.serve(&acme.issued, &bundle, sink).await?;
                self.write(&[attempts_file(&Attempts::default())]).await?;
                Ok(outcome)
            }
            Err(failed) => {
                if self.asking != Asking::Staging {
                    let kept = attempts.failed(now, failed.why.clone(), failed.wait);
                    self.write(&[attempts_file(&kept)]).await?;
                }
                Err(ApplyError::Certificate {
                    why: failed.why,
                    serves: serves(current.as_ref(), now),
                    hint: failed.hint,
                })
            }
        }
    }

    /// Keeps certificate and key, and has the front door load them.
    async fn serve(&self, name: &SecretName, bundle: &Secret, sink: &mut dyn Sink) -> Result<Outcome, ApplyError> {
        self.write(&[secret_file(name, bundle)]).await?;
        load::load(self, None, sink).await?;
        let leaf = facts(bundle).ok().and_then(|all| all.into_iter().next());
        leaf.map(|leaf| Outcome::Renewed(Box::new(leaf))).ok_or_else(|| nothing("it cannot be read again"))
    }

    async fn write(&self, files: &[crate::model::artifact::Artifact]) -> Result<(), ApplyError> {
        Ok(self.engine.write_state(&self.wanted.stack.project, files).await?)
    }
}

/// What visitors get while there is no new certificate.
fn serves(current: Option<&Facts>, now: u64) -> String {
    match current {
        None => "the trial certificate serves on, which no browser trusts".to_owned(),
        Some(facts) if now < facts.not_after => {
            format!("the old one serves on, until {}", Date::of_seconds(facts.not_after))
        }
        Some(facts) => format!("the old one serves on, and ended on {}", Date::of_seconds(facts.not_after)),
    }
}

/// What went wrong on the way to a certificate, and the next step.
#[derive(Default)]
struct Failed {
    why: String,
    hint: Option<String>,
    /// The authority took our answers for old ones.
    stale: bool,
    /// The cause is here: with another directory of the authority it would be the same.
    ours: bool,
    /// For how many seconds the authority wants to be left alone.
    wait: Option<u64>,
}

impl From<crate::acme::AcmeError> for Failed {
    fn from(error: crate::acme::AcmeError) -> Self {
        Self {
            why: format!("no certificate: {error}"),
            hint: error.hint,
            stale: error.stale,
            ours: error.unanswered,
            wait: error.wait,
        }
    }
}

impl From<crate::engine::EngineError> for Failed {
    fn from(error: crate::engine::EngineError) -> Self {
        Self { why: error.to_string(), hint: error.hint(), ..Self::default() }
    }
}

/// Answers by where they are put.
type Answers = BTreeMap<String, String>;
