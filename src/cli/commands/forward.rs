//! `forward`

use std::net::{Ipv4Addr, SocketAddrV4};

use futures_util::StreamExt as _;
use serde_json::json;

use crate::cli::args::ForwardArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::{load, session, target};
use crate::engine::forward::Forward;
use crate::engine::{Engine, EngineError, ErrorKind};
use crate::model::observed::ObservedContainer;
use crate::model::stack::Stack;
use crate::ui::error::Failure;

/// Opens a port here that leads to a service, wherever its engine is, until interrupted.
pub async fn run(args: &ForwardArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::quietly(ctx)?;
    let (service, port) = &args.service;
    let port = port.or_else(|| source.stack.services.values().find(|s| s.name.as_str() == service)?.port);
    let Some(port) = port else {
        return Err(Failure::usage(format!("`{service}` names no port in {}", ctx.settings.file.display()))
            .hint(format!("say which: `stackctl forward {service}:PORT`"))
            .into());
    };
    let engine = session::connect(ctx, &source).await?;
    let failed = |e: EngineError| session::failure(&e.into());
    // Subscribed before anything is listed, so that no release is missed.
    let mut events = engine.subscribe(&source.stack.project).await.map_err(failed)?;
    let (name, mut to) = place(&engine, &source.stack, service, args.index, port).await?;
    let mut forward = open(&engine, to, args.port, port).await.map_err(failed)?;
    let at = forward.address();
    if ctx.out.is_json() {
        let words = engine.rung().await.words();
        ctx.out.json_line(&json!({ "listen": at, "container": name, "port": port, "by": words }))?;
    } else {
        ctx.out.line(format!("{at} leads to {name}:{port}, {}; Ctrl-C ends it", engine.rung().await.words()))?;
    }
    while let Some(event) = events.next().await {
        if event.map_err(failed)?.service != *service {
            continue;
        }
        // A release gives its containers other addresses.
        let Ok((name, now)) = place(&engine, &source.stack, service, args.index, port).await else { continue };
        if now != to {
            to = now;
            drop(forward);
            forward = engine.forward(to, at).await.map_err(failed)?;
            ctx.out.say(format!("it leads to {name} now, of a new release"));
        }
    }
    Ok(ExitStatus::Done)
}

/// The replica to lead to, and where it is.
async fn place(
    engine: &Engine,
    stack: &Stack,
    service: &str,
    index: Option<u32>,
    port: u16,
) -> Result<(String, SocketAddrV4), Failure> {
    let containers = engine.containers(&stack.project).await.map_err(|e| session::failure(&e.into()))?;
    let container: &ObservedContainer = target::one(&containers, service, index)?;
    let address = container.networks.values().flatten().next().copied();
    let address = address.ok_or_else(|| Failure::failed(format!("`{service}` is on no network")))?;
    Ok((target::short_name(container), SocketAddrV4::new(address, port)))
}

/// The port asked for, else the service's own number, else any that is free.
async fn open(engine: &Engine, to: SocketAddrV4, asked: Option<u16>, own: u16) -> Result<Forward, EngineError> {
    let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    match engine.forward(to, at(asked.unwrap_or(own))).await {
        Err(error) if asked.is_none() && error.kind != ErrorKind::NotReachable => engine.forward(to, at(0)).await,
        other => other,
    }
}
