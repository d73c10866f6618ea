//! The credential of a database is replaced while it is used: the steps of [`rotation`], each against the real thing.

use std::fmt::Write as _;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use crate::base::name::{SecretName, ServiceName};
use crate::base::scram;
use crate::base::secret::Secret;
use crate::engine::Engine;
use crate::engine::state::secret_file;
use crate::model::container::label;
use crate::model::observed::Observed;
use crate::model::rotation::{self, GONE, Kept, Names, Step};
use crate::model::secrets::{Recipe, SecretSource, SecretValues};
use crate::model::service::{Ask, Preset, Service};
use crate::model::stack::Stack;
use crate::model::state::State;
use crate::probe::{Login, postgres_login, redis_login};

use super::certificates::load_database;
use super::error::ApplyError;
use super::event::{Event, Sink};
use super::past;
use super::prepare::check_stage;
use super::secrets::{made, split_pem};
use super::up::{Terms, take_lock, up};
use super::wanted::Wanted;

/// How long users of the old credential may take to go, after all of them were replaced.
const PATIENCE: Duration = Duration::from_secs(30);

/// The database whose generated password this secret is, if it runs: then it is rotated in steps.
pub fn database<'a>(stack: &'a Stack, observed: &Observed, name: &SecretName) -> Option<&'a Service> {
    let generated = stack.secrets.get(name).is_some_and(|s| matches!(s.source, SecretSource::Generate(_)));
    let service = stack.services.values().find(|s| generated && s.password.as_ref() == Some(name))?;
    running(observed, &service.name).is_some().then_some(service)
}

fn running<'a>(observed: &'a Observed, service: &ServiceName) -> Option<&'a crate::model::observed::ObservedContainer> {
    let own = observed.containers.iter().filter(|c| c.label(label::ROLE) == "service");
    own.filter(|c| c.service() == service.as_str()).find(|c| c.running())
}

/// What will be done, in sentences, before anything is.
pub fn told(stack: &Stack, state: &State, service: &Service, name: &SecretName) -> Vec<String> {
    let users: Vec<&str> = stack.users_of(name).into_iter().map(ServiceName::as_str).collect();
    let users: Vec<&str> = users.into_iter().filter(|u| *u != service.name.as_str()).collect();
    let users = if users.is_empty() { "nobody".to_owned() } else { users.join(", ") };
    let Some(kept) = kept(service, name, &state.secrets) else { return Vec::new() };
    let of = |step: &Step| match step {
        Step::Draw => "draw a new password and keep it".to_owned(),
        Step::Admit => format!("{} lets it in beside the old one, and is asked whether it does", service.name),
        Step::Adopt => "it becomes the one that users get".to_owned(),
        Step::Roll => format!("replace {users}, as in any release; nothing else changes"),
        Step::Revoke => format!("{} refuses the old one, and is asked whether it does", service.name),
        Step::Forget => "forget the old one".to_owned(),
    };
    rotation::steps(&kept).iter().map(of).collect()
}

fn kept(service: &Service, name: &SecretName, values: &SecretValues) -> Option<Kept> {
    Kept::of(name, &Names::of(name)?, owner(service).0, values)
}

/// Role and database of the one who owns it; empty for Redis.
fn owner(service: &Service) -> (&str, &str) {
    match service.health.as_ref().map(|h| &h.ask) {
        Some(Ask::Postgres { user, database }) => (user, database),
        _ => ("", ""),
    }
}

/// Rotates a database's password, or goes on where an earlier run ended.
///
/// # Errors
/// The engine's, the lock's, those of a release; [`ApplyError::Rotation`] where the database does not do what it
/// should. What was done is kept: the next run goes on.
pub async fn rotate(
    engine: &Engine,
    wanted: &Wanted,
    name: &SecretName,
    now: fn() -> u64,
    sink: &mut dyn Sink,
) -> Result<(), ApplyError> {
    let mut steps: Option<Vec<Step>> = None;
    loop {
        let lock = take_lock(engine, wanted, now, sink).await?;
        let observed = engine.observe(&wanted.stack.project, &[]).await?;
        check_stage(&wanted.stack, &observed)?;
        let state = observed.state.clone().unwrap_or_default();
        let work = Work::new(engine, wanted, name, &observed, &state)?;
        let left = steps.get_or_insert_with(|| rotation::steps(&work.kept).to_vec());
        let Some(step) = left.first().copied() else {
            lock.release().await?;
            return Ok(());
        };
        left.remove(0);
        if step == Step::Roll {
            lock.release().await?;
            Box::pin(work.roll(now, sink)).await?;
            continue;
        }
        let done = work.perform(step, &lock, now, sink).await;
        lock.release().await?;
        done?;
    }
}

struct Work<'a> {
    engine: &'a Engine,
    wanted: &'a Wanted,
    name: &'a SecretName,
    names: Names,
    service: &'a Service,
    kept: Kept,
    state: &'a State,
    container: String,
    address: SocketAddrV4,
}

fn failed(why: impl Into<String>) -> ApplyError {
    ApplyError::Rotation(why.into())
}

impl<'a> Work<'a> {
    fn new(
        engine: &'a Engine,
        wanted: &'a Wanted,
        name: &'a SecretName,
        observed: &Observed,
        state: &'a State,
    ) -> Result<Self, ApplyError> {
        let service = database(&wanted.stack, observed, name)
            .ok_or_else(|| failed(format!("the database of `{name}` does not run")))?;
        let container = running(observed, &service.name).ok_or_else(|| failed("it does not run"))?;
        let address = container.addresses().into_values().next().zip(service.port);
        let names = Names::of(name).ok_or_else(|| failed(format!("`{name}` is too long a name")))?;
        Ok(Self {
            engine,
            wanted,
            name,
            kept: kept(service, name, &state.secrets).ok_or_else(|| failed(format!("`{name}` has no value yet")))?,
            names,
            service,
            state,
            container: container.name.clone(),
            address: address
                .map(|(ip, port)| SocketAddrV4::new(ip, port))
                .ok_or_else(|| failed("it has no address"))?,
        })
    }

    fn is_postgres(&self) -> bool {
        self.service.preset == Some(Preset::Postgres)
    }

    async fn perform(
        &self,
        step: Step,
        lock: &crate::engine::lock::Lock,
        now: fn() -> u64,
        sink: &mut dyn Sink,
    ) -> Result<(), ApplyError> {
        let keep = |pairs: &[(&SecretName, &str)]| {
            pairs.iter().map(|(name, value)| secret_file(name, &Secret::new(*value))).collect::<Vec<_>>()
        };
        let project = &self.wanted.stack.project;
        match step {
            Step::Draw => {
                let fresh = made(&Recipe::UrlSafe(32), &SecretValues::new()).map_err(failed)?;
                let mut files = keep(&[(&self.names.next, fresh.expose())]);
                if !self.state.secrets.contains_key(&self.names.first) {
                    files.extend(keep(&[(&self.names.first, self.kept.now.password.expose())]));
                }
                self.engine.write_state(project, &files).await?;
            }
            Step::Admit => {
                sink.event(Event::Note(format!("{} lets the new password in, beside the old one", self.service.name)));
                let next = self.kept.next.as_ref().ok_or_else(|| failed("there is no new password"))?;
                if self.is_postgres() {
                    self.admit(next).await?;
                } else {
                    load_database(self.engine, self.wanted, lock, now, &self.service.name, sink).await?;
                }
                match self.login(&self.login_of_next(), next).await? {
                    Login::In => {}
                    Login::Refused(why) => return Err(failed(format!("it does not let the new password in: {why}"))),
                }
            }
            Step::Adopt => {
                let leaving = self.kept.leaving();
                let next = self.kept.next.as_ref().ok_or_else(|| failed("there is no new password"))?;
                let login = self.login_of_next();
                // In this order: whatever of it is there, the next run makes of it what it was to be.
                let files = keep(&[
                    (&self.names.login_before, leaving.login.as_str()),
                    (&self.names.before, leaving.password.expose()),
                    (&self.names.login, login.as_str()),
                    (self.name, next.expose()),
                    (&self.names.next, ""),
                ]);
                self.engine.write_state(project, &files).await?;
            }
            Step::Roll => {}
            Step::Revoke => {
                let Some(before) = &self.kept.before else { return Ok(()) };
                sink.event(Event::Note(format!("{} refuses the old password", self.service.name)));
                if self.is_postgres() {
                    self.until_unused(&before.login).await?;
                    self.revoke(&before.login).await?;
                } else {
                    self.engine.write_state(project, &keep(&[(&self.names.login_before, GONE)])).await?;
                    load_database(self.engine, self.wanted, lock, now, &self.service.name, sink).await?;
                }
                match self.login(&before.login, &before.password).await? {
                    Login::Refused(_) => {}
                    Login::In => return Err(failed("it still lets the old password in")),
                }
                match self.login(&self.kept.now.login, &self.kept.now.password).await? {
                    Login::In => {}
                    Login::Refused(why) => return Err(failed(format!("it refuses the new password: {why}"))),
                }
            }
            Step::Forget => {
                let files = keep(&[(&self.names.before, ""), (&self.names.login_before, "")]);
                self.engine.write_state(project, &files).await?;
            }
        }
        Ok(())
    }

    /// The release that runs, once more: who uses the credential gets the new one, and nothing else changes, whatever
    /// stack.toml says by now.
    async fn roll(&self, now: fn() -> u64, sink: &mut dyn Sink) -> Result<(), ApplyError> {
        let record = match self.state.current() {
            Some(release) => self.engine.read_release(&self.wanted.stack.project, release).await?,
            None => None,
        };
        let record =
            record.ok_or_else(|| failed("the record of the release that runs is gone; `stackctl up` first"))?;
        let running = past::back_to(&record, self.wanted);
        let terms = Terms { consent: true, ..Terms::default() };
        up(self.engine, &running, terms, now, std::future::pending(), sink).await.map(drop)
    }

    /// PostgreSQL has one password a role: two roles take turns, and the second acts as the first.
    fn login_of_next(&self) -> String {
        let (owner, _) = owner(self.service);
        if owner.is_empty() {
            return String::new();
        }
        rotation::other(owner, &second(owner), &self.kept.leaving().login).to_owned()
    }

    async fn admit(&self, next: &Secret) -> Result<(), ApplyError> {
        let (owner, _) = owner(self.service);
        let login = self.login_of_next();
        let salt = made(&Recipe::UrlSafe(16), &SecretValues::new()).map_err(failed)?;
        let salt: [u8; 16] = salt.expose().as_bytes().try_into().map_err(|_| failed("there are no random numbers"))?;
        // Not the password: what the server makes of it, which opens nothing.
        let verifier = scram::verifier(next.expose(), &salt);
        let mut sql = format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {0}) THEN CREATE ROLE {1}; END IF; END $$; \
             ALTER ROLE {1} LOGIN PASSWORD {2};",
            text(&login),
            word(&login),
            text(&verifier)
        );
        if login != owner {
            let _ = write!(sql, " GRANT {0} TO {1}; ALTER ROLE {1} SET role = {0};", word(owner), word(&login));
        }
        self.sql(&sql).await.map(drop)
    }

    async fn revoke(&self, login: &str) -> Result<(), ApplyError> {
        let (owner, _) = owner(self.service);
        let how = if login == owner { "PASSWORD NULL" } else { "NOLOGIN PASSWORD NULL" };
        let sql = format!(
            "ALTER ROLE {} {how}; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {};",
            word(login),
            sessions_of(login)
        );
        self.sql(&sql).await.map(drop)
    }

    /// Waits until nobody is logged in as this role over the network; those who stay are ended afterwards.
    async fn until_unused(&self, login: &str) -> Result<(), ApplyError> {
        let began = Instant::now();
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE {}", sessions_of(login));
        while self.sql(&count).await?.trim() != "0" && began.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    async fn sql(&self, sql: &str) -> Result<String, ApplyError> {
        let (user, database) = owner(self.service);
        let words =
            ["psql", "-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", database, "-c", sql];
        let (code, said) = self.engine.exec(&self.container, &words.map(str::to_owned)).await?;
        if code == 0 { Ok(said) } else { Err(failed(format!("psql in {} said: {}", self.container, said.trim()))) }
    }

    async fn login(&self, login: &str, password: &Secret) -> Result<Login, ApplyError> {
        let at = self.engine.reach(self.address).await?;
        if !self.is_postgres() {
            return redis_login(at, password).await.map_err(failed);
        }
        let authority = self.service.tls.as_ref().and_then(|tls| self.state.secrets.get(&tls.authority));
        let authority = authority.map(|bundle| split_pem(bundle).0);
        let (_, database) = owner(self.service);
        let host = (self.service.name.as_str(), authority.as_deref());
        match postgres_login(SocketAddr::V4(at), host, (login, database), password).await.map_err(failed)? {
            Login::Refused(why) if !why.starts_with("28") => Err(failed(format!("it said: {why}"))),
            other => Ok(other),
        }
    }
}

/// The role that takes turns with the owner. Names of roles have at most 63 bytes.
fn second(owner: &str) -> String {
    let cut = (0..=owner.len().min(61)).rev().find(|at| owner.is_char_boundary(*at)).unwrap_or(0);
    format!("{}_b", &owner[..cut])
}

fn sessions_of(login: &str) -> String {
    format!("usename = {} AND client_addr IS NOT NULL AND pid <> pg_backend_pid()", text(login))
}

/// A name in SQL.
fn word(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL (`standard_conforming_strings` is on).
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_stay_what_they_are() {
        assert_eq!(word("a\"; DROP"), "\"a\"\"; DROP\"");
        assert_eq!(text("it's"), "'it''s'");
        assert_eq!(second("app"), "app_b");
        assert_eq!(second(&"x".repeat(63)).len(), 63);
    }
}
