//! What all checks share: the stack, where to connect, and a count of what was asked.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, OnceCell as Once, watch};

use crate::model::finding::Finding;
use crate::model::inspected::Inspected;
use crate::model::limit::Limit;
use crate::model::observed::Observed;
use crate::model::proxy::Proxy;
use crate::model::stack::Stack;

use super::check::Check;
use super::judged::Unseen;
use super::net::client::{Door, Request};
use super::net::error::ProbeError;
use super::net::http::Response;
use super::timings::{Timings, Waits};
use super::tls::session;
use super::{Inside, Known, Options, Target};

/// The limit of a route, as something that is waited for.
pub(super) fn awaited(route: &str) -> String {
    format!("the limit of {route}")
}

/// Longest Retry-After that is waited for, in seconds: one a minute, and its rounding, is not.
const MOST_PATIENT: u64 = 15;
/// The same with `--quick`.
const LEAST_PATIENT: u64 = 1;

/// One run of the checklist.
pub(super) struct Context<'a> {
    pub(super) stack: &'a Stack,
    pub(super) known: &'a Known<'a>,
    pub(super) observed: Option<&'a Observed>,
    pub(super) target: &'a Target,
    pub(super) options: &'a Options,
    /// When the run began: health has until `options.deadline` from here.
    pub(super) started: Instant,
    /// Requests sent to the front door so far, by what declares the limit of their route: they are in its bucket.
    sent: RefCell<BTreeMap<String, usize>>,
    /// Pages that several checks look at, each asked for once: a tight limit has room for few requests.
    pages: RefCell<BTreeMap<(SocketAddr, String, String), Page>>,
    /// One volley at a time: two at once would be load, and disturb each other.
    pub(super) volley: Mutex<()>,
    /// What was waited for.
    pub(super) waits: Waits,
    /// What was asked together, and how long it took.
    groups: RefCell<Vec<(Vec<&'static str>, Duration)>>,
    /// Health is settled: what asks for pages waits for it, so that a slow start is told once and not by every check.
    settled: watch::Sender<bool>,
    https: OnceCell<Arc<rustls::ClientConfig>>,
    /// The containers in detail, looked at once.
    containers: Once<Result<Vec<Inspected>, String>>,
}

/// A page on its way, or there.
type Page = Rc<Once<Result<Response, ProbeError>>>;

/// What most checks of containers need.
const NO_ENGINE: &str = "not visible from here: it needs the engine";

impl<'a> Context<'a> {
    pub(super) fn new(stack: &'a Stack, known: &'a Known<'a>, target: &'a Target, options: &'a Options) -> Self {
        let started = Instant::now();
        Self {
            stack,
            known,
            observed: known.observed,
            target,
            options,
            started,
            sent: RefCell::default(),
            pages: RefCell::default(),
            volley: Mutex::new(()),
            waits: Waits::new(started),
            groups: RefCell::default(),
            settled: watch::Sender::new(false),
            https: OnceCell::new(),
            containers: Once::new(),
        }
    }

    /// The way behind the front door.
    pub(super) fn inside(&self) -> Result<&'a dyn Inside, Unseen> {
        self.known.inside.ok_or_else(|| Unseen::FromHere(NO_ENGINE.to_owned()))
    }

    /// The containers in detail.
    pub(super) async fn containers(&self) -> Result<&[Inspected], Unseen> {
        let inside = self.inside()?;
        let looked = self.containers.get_or_init(|| inside.containers()).await;
        looked.as_deref().map_err(|why| Unseen::Broken(why.clone()))
    }

    /// Line of stack.toml that declares a service or the front door.
    pub(super) fn line_of(&self, service: &str) -> u32 {
        let declared = self.stack.services.iter().find(|(name, _)| name.as_str() == service).map(|(_, s)| s.line);
        declared.or(self.stack.proxy.as_ref().map(|p| p.line)).unwrap_or(1)
    }

    /// Whether a check was asked for.
    pub(super) fn wants(&self, check: &Check) -> bool {
        let named = |list: &[String]| list.iter().any(|name| check.is_called(name));
        (self.options.only.is_empty() || named(&self.options.only)) && !named(&self.options.skip)
    }

    /// The configuration for asking over HTTPS.
    pub(super) fn tls_config(&self) -> Result<Arc<rustls::ClientConfig>, ProbeError> {
        if let Some(config) = self.https.get() {
            return Ok(Arc::clone(config));
        }
        let config = session::config(true, &[b"http/1.1"])?;
        Ok(Arc::clone(self.https.get_or_init(|| config)))
    }

    /// A name with the port users write, where it is not the scheme's own.
    pub(super) fn authority(&self, name: &str, https: bool) -> String {
        match (https, if https { self.target.https_port } else { self.target.http_port }) {
            (true, 443) | (false, 80) => name.to_owned(),
            (_, port) => format!("{name}:{port}"),
        }
    }

    /// The door for HTTPS under a name.
    pub(super) fn https_door(&self, name: &str) -> Result<Door, ProbeError> {
        let address = self.target.https.ok_or_else(|| nowhere("HTTPS"))?;
        Ok(Door::tls(address, &self.authority(name, true), name, self.tls_config()?))
    }

    /// The door for plain HTTP under a name.
    pub(super) fn http_door(&self, name: &str) -> Result<Door, ProbeError> {
        let address = self.target.http.ok_or_else(|| nowhere("plain HTTP"))?;
        Ok(Door::plain(address, &self.authority(name, false)))
    }

    /// The front door as users know it: the first name, over HTTPS if the stack has it.
    pub(super) fn front(&self, proxy: &Proxy) -> Result<Door, ProbeError> {
        if proxy.https() { self.https_door(proxy.canonical()) } else { self.http_door(proxy.canonical()) }
    }

    /// The URL of a path at the front door.
    pub(super) fn url(&self, proxy: &Proxy, path: &str) -> String {
        let scheme = if proxy.https() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.authority(proxy.canonical(), proxy.https()))
    }

    /// One GET at a door of the stack, counted. A limit of the stack may reject it: then it comes back when it is told
    /// to, so that a tight limit does not spoil the rest of the checklist.
    pub(super) async fn get(&self, door: &Door, path: &str) -> Result<Response, ProbeError> {
        self.ask(door, &Request::path(path)).await
    }

    /// A GET whose answer may be one that another check has got before in this run: for what a page says, not for
    /// whether it is there now.
    pub(super) async fn page(&self, door: &Door, path: &str) -> Result<Response, ProbeError> {
        let key = (door.address, door.host.clone(), path.to_owned());
        let page = Rc::clone(self.pages.borrow_mut().entry(key).or_default());
        page.get_or_init(|| self.get(door, path)).await.clone()
    }

    /// The status of a page that was asked for already.
    pub(super) fn status_of(&self, door: &Door, path: &str) -> Option<u16> {
        let page = self.pages.borrow().get(&(door.address, door.host.clone(), path.to_owned()))?.clone();
        page.get()?.as_ref().ok().map(|response| response.status)
    }

    /// Like [`Self::get`], for any request. With `--quick`, what stays rejected is an error: it is no answer of the route.
    pub(super) async fn ask(&self, door: &Door, request: &Request<'_>) -> Result<Response, ProbeError> {
        let quick = self.options.quick;
        let most = if quick { LEAST_PATIENT } else { MOST_PATIENT };
        for _ in 0..2 {
            self.count(request.path, 1);
            let response = door.get(request).await?;
            let wait = response.header("retry-after").map_or(Some(1), |value| value.trim().parse().ok());
            match wait {
                _ if response.status != 429 => return Ok(response),
                Some(seconds) if seconds <= most => {
                    self.waits.sleep(&self.limit_of(request.path), Duration::from_secs(seconds)).await;
                }
                _ if quick => return Err(ProbeError::Limited),
                _ => return Ok(response),
            }
        }
        self.count(request.path, 1);
        let response = door.get(request).await?;
        if quick && response.status == 429 { Err(ProbeError::Limited) } else { Ok(response) }
    }

    /// What a rejected request waits for: where a limit is declared, the same as who measures it.
    fn limit_of(&self, path: &str) -> String {
        let route = self.stack.proxy.as_ref().and_then(|proxy| proxy.route_of(path));
        match route.filter(|route| route.limit.is_some()) {
            Some(route) => awaited(&route.path),
            None => format!("{}, until it is admitted again (429)", without_query(path)),
        }
    }

    /// One GET at a door of the stack, counted, whatever comes back.
    pub(super) async fn once(&self, door: &Door, path: &str) -> Result<Response, ProbeError> {
        self.count(path, 1);
        door.get(&Request::path(path)).await
    }

    /// Counts requests to a path of the front door.
    pub(super) fn count(&self, path: &str, requests: usize) {
        let route = self.stack.proxy.as_ref().and_then(|proxy| proxy.route_of(path));
        if let Some(limit) = route.and_then(|route| route.limit.as_ref()) {
            *self.sent.borrow_mut().entry(limit.declared.clone()).or_default() += requests;
        }
    }

    /// Requests sent so far to routes under a limit.
    pub(super) fn sent(&self, limit: &Limit) -> usize {
        self.sent.borrow().get(&limit.declared).copied().unwrap_or_default()
    }

    /// Remembers how long checks took that were asked together.
    pub(super) fn took(&self, findings: &[Finding], time: Duration) {
        let mut ids: Vec<&'static str> = Vec::new();
        for finding in findings {
            if !ids.contains(&finding.id) {
                ids.push(finding.id);
            }
        }
        if !ids.is_empty() {
            self.groups.borrow_mut().push((ids, time));
        }
    }

    /// Where the time went.
    pub(super) fn timings(&self) -> Timings {
        Timings { groups: self.groups.borrow().clone(), waits: self.waits.in_all() }
    }

    /// Health is known now.
    pub(super) fn settle(&self) {
        self.settled.send_replace(true);
    }

    /// Waits until health is known.
    pub(super) async fn awake(&self) {
        // An error would mean that the sender is gone, and it lives as long as this.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }

    /// Any address of the host that is asked.
    pub(super) fn host(&self) -> Option<SocketAddr> {
        self.target.https.or(self.target.http)
    }
}

/// A path as reports name it: queries of ours are random.
fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

fn nowhere(what: &str) -> ProbeError {
    ProbeError::Io(format!("{what} cannot be reached from here"))
}
