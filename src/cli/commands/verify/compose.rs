//! `verify --compose FILE`: what somebody runs with Docker Compose, judged by general rules. No stack.toml is needed.

use std::path::Path;

use crate::apply::inside::Behind;
use crate::base::env::Env;
use crate::base::name::ProjectName;
use crate::cli::args::VerifyArgs;
use crate::cli::commands::init::compose;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::session;
use crate::engine::Engine;
use crate::probe::{Glanced, Known, Options, Target, composed, site};
use crate::ui::error::Failure;

use super::{Asked, Shown, ask, options, outside};

/// What only a stack.toml could declare, or only stackctl's own containers have.
const NOT_ASKED: [&str; 16] = [
    "HLT-6", "IMG-1", "SEC", "DB-2", "DB-3", "LOG-2", "MON", "ERR", "DRF", "PERF", "RL", "OWN", "ATT", "WVR", "WS",
    "BODY",
];

/// Asks the engine about the containers of a compose project; with `--url`, the site in front of them, too.
pub(super) async fn run(file: &Path, args: &VerifyArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let shown = Shown::all(args, ctx)?;
    let name = file.display().to_string();
    let path = ctx.env.cwd.join(file);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::usage(format!("`{name}` cannot be read")).because(error))?;
    let services = compose::services(&text);
    if services.is_empty() {
        return Err(Failure::usage(format!("`{name}` has no `services:`"))
            .hint("name the compose file, such as `--compose compose.yaml`")
            .into());
    }
    let project = project(&text, &path, ctx.env);
    let engine = connect(ctx).await?;
    let (observed, seen) = tokio::try_join!(engine.observe_composed(&project), engine.inspect_composed(&project))
        .map_err(|e| session::failure(&e.into()))?;
    if observed.containers.is_empty() {
        let none = Failure::failed(format!("Compose has no container of a project `{project}` on this engine"));
        let start = format!("start it: `docker compose -f {name} up -d`");
        return Err(none.hint(start).hint("a project of another name: COMPOSE_PROJECT_NAME=…").into());
    }
    let glanced: Vec<Glanced> = services
        .into_iter()
        .map(|service| Glanced {
            name: service.name,
            line: service.line,
            image: service.image.filter(|_| service.build.is_none()),
            optional: service.optional,
        })
        .collect();
    let own = ProjectName::parse(&project)
        .ok_or_else(|| Failure::usage(format!("`{project}` is a project's name that is too long to be judged")))?;
    let mut stack = composed(own, &glanced, &seen);
    let mut target = Target { http: None, https: None, vantage: "host", http_port: 80, https_port: 443 };
    if let Some(url) = &args.url {
        let place = outside::place(url)?;
        stack.proxy = site(&place).map_err(Failure::usage)?.proxy;
        target = outside::site_at(&place).await?;
    }
    let mut options = Options { site: true, composed: true, ..options(args, ctx)? };
    options.skip.extend(NOT_ASKED.map(str::to_owned));
    let inside = Behind::composed(&engine, &project);
    let known = Known { observed: Some(&observed), inside: Some(&inside), ..Known::default() };
    let asked = Asked { stack: &stack, known: &known, target: &target, options: &options, file: &name };
    Ok(ask(&asked, &shown, ctx).await?.0)
}

async fn connect(ctx: &Context<'_>) -> Result<Engine, Failure> {
    let address = ctx.settings.engine(None, ctx.env).address;
    Engine::connect(address.as_deref(), ctx.env).await.map_err(|error| {
        let mut failure = Failure::failed(error.to_string());
        failure.hints.extend(error.hint());
        failure
    })
}

/// The project's name, as Compose finds it: the variable, `name:` of the file, the folder's name.
fn project(text: &str, file: &Path, env: &Env) -> String {
    let written = || {
        let value = text.lines().find_map(|line| line.strip_prefix("name:"))?;
        let value = value.split(" #").next().unwrap_or(value).trim().trim_matches(['"', '\'']);
        (!value.is_empty() && !value.contains('$')).then(|| value.to_owned())
    };
    let folder = || {
        let folder = file.parent().and_then(|folder| folder.canonicalize().ok())?;
        let name = folder.file_name()?.to_string_lossy().to_lowercase();
        let kept: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
        Some(kept.trim_start_matches(['-', '_']).to_owned())
    };
    let named = env.var("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty()).map(str::to_owned);
    named.or_else(written).or_else(folder).unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_the_name_that_compose_gives_it() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("_My Shop.2");
        std::fs::create_dir(&own).unwrap();
        let file = own.join("compose.yaml");
        let env = |pairs: &[(&str, &str)]| Env {
            vars: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Env::default()
        };
        assert_eq!(project("services:\n", &file, &env(&[])), "myshop2");
        assert_eq!(project("name: \"shop\"   # ours\nservices:\n", &file, &env(&[])), "shop");
        assert_eq!(project("name: shop\n", &file, &env(&[("COMPOSE_PROJECT_NAME", "other")])), "other");
    }
}
