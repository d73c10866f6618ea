//! `init`

mod draft;

use std::io::Write as _;

use crate::cli::args::{InitArgs, Template};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::ui::error::Failure;
use crate::ui::output::Output;
use crate::ui::prompt;

use draft::{Draft, Source};

/// Runs it.
pub fn run(args: &InitArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let shown = ctx.settings.file.display().to_string();
    if ctx.settings.path.symlink_metadata().is_ok() {
        return Err(Failure::usage(format!("there is a `{shown}` already; it is left as it is"))
            .hint("`stackctl check` says whether it is right; name another file with `--file`")
            .into());
    }
    let text = match args.template {
        Some(Template::Minimal) => include_str!("../../../../templates/init/minimal.toml").to_owned(),
        Some(Template::PythonWeb) => include_str!("../../../../templates/init/python-web.toml").to_owned(),
        None if ctx.out.can_prompt() => ask(ctx)?.text(),
        None => {
            return Err(Failure::refused("nobody can be asked here")
                .hint("pass `--template minimal --yes` or `--template python-web --yes`")
                .into());
        }
    };
    if !args.yes {
        if args.template.is_some() && !ctx.out.can_prompt() {
            return Err(Failure::refused("nobody can be asked here").hint("pass `--yes` to write the file").into());
        }
        ctx.out.say(format!("\n{text}"));
        if !prompt::confirm(ctx.out, &format!("Write this to {shown}?"), true)? {
            return Err(Failure::refused("nothing was written").into());
        }
    }
    write(ctx, &text)?;
    ctx.out.say(format!("wrote {shown}; next: `stackctl check`, then `stackctl up`"));
    Ok(ExitStatus::Done)
}

/// Writes a file that must not be there yet, also if somebody makes it meanwhile.
fn write(ctx: &Context<'_>, text: &str) -> Result<(), Failure> {
    std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(&ctx.settings.path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|e| {
            let failure = Failure::failed(format!("cannot write `{}`", ctx.settings.file.display()));
            let missing = ctx.settings.path.parent().is_some_and(|folder| !folder.exists());
            let failure = if missing { failure.hint("make its folder first") } else { failure };
            failure.because(e)
        })
}

/// The dialogue.
fn ask(ctx: &Context<'_>) -> Result<Draft, Failure> {
    let out = ctx.out;
    out.say("A few questions; Enter takes what stands in brackets, Ctrl-C writes nothing.\n");
    let folder = ctx.settings.path.parent();
    let default = folder.and_then(|f| f.file_name()).map(|n| n.to_string_lossy()).unwrap_or_default();
    let name = prompt::input(out, "Name of the stack", &draft::fit_name(&default), draft::check_name)?;
    let source = source(out, folder.is_some_and(|f| f.join("Dockerfile").is_file()))?;
    let port = prompt::input(out, "Port it listens on", "8000", draft::check_port)?;
    let health = prompt::input(out, "Path that answers when it is ready", "/", draft::check_path)?;
    let postgres = prompt::confirm(out, "Add PostgreSQL?", false)?;
    let redis = prompt::confirm(out, "Add Redis?", false)?;
    let domain = prompt::input(out, "Host name it is reached by", "localhost", draft::check_domain)?;
    Ok(Draft { name, source, port, health, postgres, redis, domain })
}

fn source(out: &Output, dockerfile: bool) -> Result<Source, Failure> {
    let here = if dockerfile { "build the Dockerfile that is here" } else { "build an image from a Dockerfile" };
    match prompt::select(out, "What runs?", &[here, "an image from a registry"])? {
        0 if dockerfile => Ok(Source::Build(".".to_owned())),
        0 => prompt::input(out, "Folder with the Dockerfile", ".", draft::check_text).map(Source::Build),
        _ => prompt::input(out, "Image", "", draft::check_image).map(Source::Image),
    }
}
