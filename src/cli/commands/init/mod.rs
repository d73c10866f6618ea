//! `init`

pub(in crate::cli::commands) mod compose;
mod draft;
mod look;
mod size;

use std::collections::BTreeMap;
use std::io::Write as _;

use crate::cli::args::{InitArgs, Template, Users};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::files;
use crate::ui::error::Failure;
use crate::ui::output::Output;
use crate::ui::prompt;

use draft::{Draft, Source};
use look::Found;

/// Runs it.
pub fn run(args: &InitArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let shown = ctx.settings.file.display().to_string();
    if ctx.settings.path.symlink_metadata().is_ok() {
        return Err(Failure::usage(format!("there is a `{shown}` already; it is left as it is"))
            .hint("`stackctl check` says whether it is right; name another file with `--file`")
            .into());
    }
    let text = match args.template {
        Some(template) => match args.users {
            Some(users) => size::apply(template_text(template), users),
            None => template_text(template).to_owned(),
        },
        None => recognised(args, ctx)?.text(),
    };
    ctx.out.say(format!("\n{text}"));
    if !args.yes {
        if !ctx.out.can_prompt() {
            return Err(Failure::refused("nobody can be asked here").hint("pass `--yes` to write the file").into());
        }
        if !prompt::confirm(ctx.out, &format!("Write this to {shown}?"), true)? {
            return Err(Failure::refused("nothing was written").into());
        }
    }
    write(ctx, &text)?;
    ctx.out.say(format!("wrote {shown}; next: `stackctl check`, then `stackctl up`"));
    Ok(ExitStatus::Done)
}

/// Templates of the guides' systems are the stacks the tests hold against the guides.
fn template_text(template: Template) -> &'static str {
    match template {
        Template::Minimal => include_str!("../../../../templates/init/minimal.toml"),
        Template::PythonWeb => include_str!("../../../../templates/init/python-web.toml"),
        Template::Storm => include_str!("../../../../tests/stacks/storm.toml"),
        Template::Sum => include_str!("../../../../tests/stacks/sum.toml"),
        Template::Aigov => include_str!("../../../../tests/stacks/aigov.toml"),
        Template::AiSearch => include_str!("../../../../tests/stacks/ai-search.toml"),
        Template::ResearchAssistant => include_str!("../../../../tests/stacks/research-assistant.toml"),
    }
}

/// What the folder tells, and what somebody answers about the rest.
fn recognised(args: &InitArgs, ctx: &Context<'_>) -> Result<Draft, Failure> {
    let folder = ctx.settings.path.parent();
    let mut texts = BTreeMap::new();
    for name in look::FILES {
        // A file that cannot be read, or is no text, tells nothing.
        if let Some(Ok(text)) = folder.map(|f| files::read_text(&f.join(name))) {
            texts.insert(*name, text);
        }
    }
    let found = look::look(&texts);
    for reason in &found.reasons {
        ctx.out.say(format!("found {reason}"));
    }
    if found.build.is_none() && found.image.is_none() && !found.reasons.is_empty() {
        ctx.out.warn("there is no Dockerfile here; the file will need one");
    }
    let name = folder.and_then(|f| f.file_name()).map(|n| n.to_string_lossy()).unwrap_or_default().into_owned();
    if args.yes || !ctx.out.can_prompt() {
        if found.reasons.is_empty() {
            return Err(Failure::refused("nothing was recognised in this folder, and nobody can be asked")
                .hint("pass `--template minimal --yes`; others: `stackctl init --help`"));
        }
        return Ok(Draft::of(found, &name, args.users.unwrap_or(Users::Development)));
    }
    ask(ctx, found, &name, args.users)
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

/// The dialogue: what was recognised stands in brackets.
fn ask(ctx: &Context<'_>, found: Found, folder: &str, users: Option<Users>) -> Result<Draft, Failure> {
    let out = ctx.out;
    out.say("A few questions; Enter takes what stands in brackets, Ctrl-C writes nothing.\n");
    let mut draft = Draft::of(found, folder, users.unwrap_or(Users::Development));
    draft.name = prompt::input(out, "Name of the stack", &draft.name, draft::check_name)?;
    if draft.found.build.is_none() && draft.found.image.is_none() {
        draft.source = source(out)?;
    }
    draft.port = prompt::input(out, "Port it listens on", &draft.port, draft::check_port)?;
    draft.health = prompt::input(out, "Path that answers when it is ready", &draft.health, draft::check_path)?;
    for (tag, name, newest) in
        [(&mut draft.found.postgres, "PostgreSQL", look::POSTGRES), (&mut draft.found.redis, "Redis", look::REDIS)]
    {
        let wanted = prompt::confirm(out, &format!("Add {name}?"), tag.is_some())?;
        *tag = wanted.then(|| tag.take().unwrap_or_else(|| newest.to_owned()));
    }
    draft.domain = prompt::input(out, "Host name it is reached by", &draft.domain, draft::check_domain)?;
    if users.is_none() {
        let sizes = [Users::Development, Users::Thousand, Users::TenThousand];
        let words = ["development", "up to 1 000 users", "up to 10 000 users"];
        draft.users = sizes[prompt::select(out, "How large?", &words)?];
    }
    Ok(draft)
}

fn source(out: &Output) -> Result<Source, Failure> {
    match prompt::select(out, "What runs?", &["build an image from a Dockerfile", "an image from a registry"])? {
        0 => prompt::input(out, "Folder with the Dockerfile", ".", draft::check_text).map(Source::Build),
        _ => prompt::input(out, "Image", "", draft::check_image).map(Source::Image),
    }
}
