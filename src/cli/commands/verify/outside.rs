//! `verify --outside` and `--url`: what can be seen without an engine, from wherever this runs.

use std::net::SocketAddr;

use crate::cli::args::{Against, VerifyArgs};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::model::proxy::Proxy;
use crate::probe::{Known, Options, Place, Target, site};
use crate::ui::error::Failure;

use super::{Asked, Shown, ask, options};

/// Asks a stack at its address, or a site of anybody's making.
pub(super) async fn run(args: &VerifyArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    if let Some(Against::Release(number)) = args.against {
        let why =
            Failure::usage(format!("what was found of release {number} is kept on the engine, which is not asked"));
        return Err(why
            .hint("compare with a report in a file: `--against before.json`; a file called by a number: `./7`")
            .into());
    }
    let shown = Shown::all(args, ctx)?;
    let place = args.url.as_deref().map(place).transpose()?;
    let options = options(args, ctx)?;
    if args.outside {
        let source = load::stack(ctx)?;
        let Some(proxy) = &source.stack.proxy else {
            let none = Failure::usage("the stack has no routes, so nothing of it can be seen from outside");
            return Err(none.hint("without --outside, its containers are asked").into());
        };
        let target = stack_at(proxy, place.as_ref()).await?;
        let file = ctx.settings.file.display().to_string();
        let known = Known::default();
        let asked = Asked { stack: &source.stack, known: &known, target: &target, options: &options, file: &file };
        return Ok(ask(&asked, &shown, ctx).await?.0);
    }
    let Some(place) = place else { return Err(Failure::usage("--url names no site").into()) };
    let stack = site(&place).map_err(Failure::usage)?;
    let target = site_at(&place).await?;
    let options = Options { site: true, ..options };
    let url = place.to_string();
    let known = Known::default();
    let asked = Asked { stack: &stack, known: &known, target: &target, options: &options, file: &url };
    Ok(ask(&asked, &shown, ctx).await?.0)
}

pub(super) fn place(url: &str) -> Result<Place, Failure> {
    Place::parse(url).map_err(|why| {
        Failure::usage(format!("`{url}` is not the URL of a site: {why}"))
            .hint("write https://example.com, with a port or a path where it has one")
    })
}

/// An address of a name: an IPv4 one if there is any, as most visitors meet it.
async fn resolve(host: &str, port: u16) -> Result<SocketAddr, Failure> {
    let bare = host.trim_matches(['[', ']']);
    let found = tokio::net::lookup_host((bare, port))
        .await
        .map_err(|error| Failure::failed(format!("no address of `{host}` is known here")).because(error))?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().ok_or_else(|| Failure::failed(format!("`{host}` has no address")))
}

/// From where is asked, by where it is: this machine's own addresses are not outside.
fn vantage(address: SocketAddr) -> &'static str {
    if address.ip().is_loopback() { "host" } else { "outside" }
}

async fn stack_at(proxy: &Proxy, place: Option<&Place>) -> Result<Target, Failure> {
    let host = place.map_or(proxy.canonical(), |place| place.host.as_str());
    let mut address = resolve(host, 0).await.map_err(|failure| {
        failure.hint("where the DNS does not lead there yet: `stackctl verify --outside --url https://ADDRESS`")
    })?;
    let mut at = |port: u16| {
        address.set_port(port);
        address
    };
    let given = place.and_then(|place| place.port);
    let (http, https) = if proxy.https() {
        (at(proxy.http_port), Some(at(given.unwrap_or(proxy.https_port))))
    } else {
        (at(given.unwrap_or(proxy.http_port)), None)
    };
    Ok(Target {
        http: Some(http),
        https,
        vantage: vantage(http),
        http_port: proxy.http_port,
        https_port: proxy.https_port,
    })
}

pub(super) async fn site_at(place: &Place) -> Result<Target, Failure> {
    let address = resolve(&place.host, place.port()).await?;
    let mut plain = address;
    plain.set_port(80);
    // A site at a port of its own tells nothing of where its plain HTTP is.
    let (http, https) = match (place.https, place.port()) {
        (true, 443) => (Some(plain), Some(address)),
        (true, _) => (None, Some(address)),
        (false, _) => (Some(address), None),
    };
    let http_port = if place.https { 80 } else { place.port() };
    Ok(Target { http, https, vantage: vantage(address), http_port, https_port: place.port() })
}
