//! The credential of a service is replaced while it is used: the steps of [`rotation`], each against the real thing.

mod postgres;

use std::net::{SocketAddr, SocketAddrV4};

use crate::apply::certificates::load_database;
use crate::apply::error::ApplyError;
use crate::apply::event::{Event, Sink};
use crate::apply::past;
use crate::apply::prepare::check_stage;
use crate::apply::secrets::{made, split_pem};
use crate::apply::up::{Terms, take_lock, up};
use crate::apply::wanted::Wanted;
use crate::base::name::{SecretName, ServiceName};
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
use crate::probe::{Login, grafana_login, grafana_password, postgres_login, redis_login};

/// The service whose generated password this secret is, if it runs or a rotation is under way: then it is rotated in
/// steps.
pub fn database<'a>(stack: &'a Stack, observed: &Observed, name: &SecretName) -> Option<&'a Service> {
    let generated = stack.secrets.get(name).is_some_and(|s| matches!(s.source, SecretSource::Generate(_)));
    let service = stack.services.values().find(|s| generated && s.password.as_ref() == Some(name))?;
    let begun = || {
        let kept = kept(service, name, &observed.state.as_ref()?.secrets)?;
        (kept.next.is_some() || kept.before.is_some()).then_some(())
    };
    (running(observed, &service.name).is_some() || begun().is_some()).then_some(service)
}

fn running<'a>(observed: &'a Observed, service: &ServiceName) -> Option<&'a crate::model::observed::ObservedContainer> {
    let own = observed.containers.iter().filter(|c| c.label(label::ROLE) == "service");
    own.filter(|c| c.service() == service.as_str()).find(|c| c.running())
}

/// What will be done, in sentences, before anything is.
pub fn told(stack: &Stack, state: &State, service: &Service, name: &SecretName) -> Vec<String> {
    let users: Vec<&str> = stack.users_of(name).into_iter().map(ServiceName::as_str).collect();
    let alone = service.preset == Some(Preset::Grafana);
    let users: Vec<&str> = users.into_iter().filter(|u| alone || *u != service.name.as_str()).collect();
    let users = if users.is_empty() { "nobody".to_owned() } else { users.join(", ") };
    let Some(kept) = kept(service, name, &state.secrets) else { return Vec::new() };
    let of = |step: &Step| match step {
        Step::Draw => "draw a new password and keep it".to_owned(),
        Step::Admit if alone => format!("{} takes it in place of the old one: its administrator has one", service.name),
        Step::Admit => format!("{} lets it in beside the old one, and is asked whether it does", service.name),
        Step::Adopt => "it becomes the one that users get".to_owned(),
        Step::Roll if alone => format!("replace {users}: {} is away while its container is replaced", service.name),
        Step::Roll => format!("replace {users}, as in any release; nothing else changes"),
        Step::Revoke if alone => format!("ask {} whether it refuses the old one and takes the new one", service.name),
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
        // The run before this one was ended between its old container and its new one.
        if database(&wanted.stack, &observed, name).is_some_and(|service| running(&observed, &service.name).is_none()) {
            lock.release().await?;
            Box::pin(roll(engine, wanted, &state, now, sink)).await?;
            let observed = engine.observe(&wanted.stack.project, &[]).await?;
            if database(&wanted.stack, &observed, name).is_none_or(|s| running(&observed, &s.name).is_none()) {
                return Err(failed(format!("the service of `{name}` does not run")));
            }
            continue;
        }
        let work = Work::new(engine, wanted, name, &observed, &state)?;
        let left = steps.get_or_insert_with(|| rotation::steps(&work.kept).to_vec());
        let Some(step) = left.first().copied() else {
            lock.release().await?;
            return Ok(());
        };
        left.remove(0);
        if step == Step::Roll {
            lock.release().await?;
            Box::pin(roll(engine, wanted, &state, now, sink)).await?;
            continue;
        }
        let done = work.perform(step, &lock, now, sink).await;
        lock.release().await?;
        done?;
    }
}

/// The release that runs, once more: who uses the credential gets the new one, and nothing else changes, whatever
/// stack.toml says by now.
async fn roll(
    engine: &Engine,
    wanted: &Wanted,
    state: &State,
    now: fn() -> u64,
    sink: &mut dyn Sink,
) -> Result<(), ApplyError> {
    let record = match state.current() {
        Some(release) => engine.read_release(&wanted.stack.project, release).await?,
        None => None,
    };
    let record = record.ok_or_else(|| failed("the record of the release that runs is gone; `stackctl up` first"))?;
    let running = past::back_to(&record, wanted);
    let terms = Terms { consent: true, ..Terms::default() };
    up(engine, &running, terms, now, std::future::pending(), sink).await.map(drop)
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
                // Only PostgreSQL's container has a file with the password that it was made with.
                let made_with = self.service.preset == Some(Preset::Postgres);
                if made_with && !self.state.secrets.contains_key(&self.names.first) {
                    files.extend(keep(&[(&self.names.first, self.kept.now.password.expose())]));
                }
                self.engine.write_state(project, &files).await?;
            }
            Step::Admit => {
                let next = self.kept.next.as_ref().ok_or_else(|| failed("there is no new password"))?;
                let beside = |sink: &mut dyn Sink| {
                    let text = format!("{} lets the new password in, beside the old one", self.service.name);
                    sink.event(Event::Note(text));
                };
                match self.service.preset {
                    Some(Preset::Grafana) => {
                        sink.event(Event::Note(format!("{} takes the new password", self.service.name)));
                        self.replace(next).await?;
                    }
                    Some(Preset::Postgres) => {
                        beside(sink);
                        self.admit(next).await?;
                    }
                    _ => {
                        beside(sink);
                        load_database(self.engine, self.wanted, lock, now, &self.service.name, sink).await?;
                    }
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
                match self.service.preset {
                    // It refuses it since it took the new one.
                    Some(Preset::Grafana) => {}
                    Some(Preset::Postgres) => {
                        self.until_unused(&before.login).await?;
                        self.revoke(&before.login).await?;
                    }
                    _ => {
                        self.engine.write_state(project, &keep(&[(&self.names.login_before, GONE)])).await?;
                        load_database(self.engine, self.wanted, lock, now, &self.service.name, sink).await?;
                    }
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

    /// PostgreSQL has one password a role: two roles take turns, and the second acts as the first.
    fn login_of_next(&self) -> String {
        let (owner, _) = owner(self.service);
        if owner.is_empty() {
            return String::new();
        }
        rotation::other(owner, &postgres::second(owner), &self.kept.leaving().login).to_owned()
    }

    /// Grafana's only password becomes another. It is asked with the old one first: it counts who comes with a wrong
    /// one, and after five of them lets nobody in for a while.
    async fn replace(&self, next: &Secret) -> Result<(), ApplyError> {
        let user = self.administrator();
        let old = &self.kept.now.password;
        let at = self.engine.reach(self.address).await?;
        let Login::Refused(why) = grafana_login(at, &user, old).await.map_err(failed)? else {
            return grafana_password(at, &user, old, next).await.map_err(failed);
        };
        match grafana_login(at, &user, next).await.map_err(failed)? {
            // An earlier run came as far as this.
            Login::In => Ok(()),
            Login::Refused(_) => Err(failed(format!(
                "it refuses the password that is kept ({why}): was it changed in Grafana? Set it back there to what \
                 `stackctl secrets get {} --reveal` shows",
                self.name
            ))),
        }
    }

    fn administrator(&self) -> String {
        let user = self.service.environment.get("GF_SECURITY_ADMIN_USER");
        user.map_or_else(|| "admin".to_owned(), |user| user.fill(&self.state.secrets).expose().to_owned())
    }

    async fn login(&self, login: &str, password: &Secret) -> Result<Login, ApplyError> {
        let at = self.engine.reach(self.address).await?;
        match self.service.preset {
            Some(Preset::Postgres) => {}
            Some(Preset::Grafana) => return grafana_login(at, &self.administrator(), password).await.map_err(failed),
            _ => return redis_login(at, password).await.map_err(failed),
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
