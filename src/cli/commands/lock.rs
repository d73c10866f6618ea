//! `lock`

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::json;

use crate::base::suggest::{nearest, one_of};
use crate::cli::args::LockArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load::{self, Source};
use crate::cli::session;
use crate::config::Source as Text;
use crate::config::lock::{self as file, References};
use crate::files;
use crate::model::artifact::Artifact;
use crate::model::lock::{Change, Lock};
use crate::plan::image::mirrored;
use crate::ui::error::Failure;
use crate::ui::text::count;

/// Looks up what tags mean and writes it down.
pub async fn run(args: &LockArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let References { images: wanted, unread } = references(&source, ctx);
    known(&args.services, &wanted)?;
    let before = source.lock.clone().unwrap_or_default();
    let upgraded = |services: &BTreeSet<String>| {
        args.upgrade && (args.services.is_empty() || args.services.iter().any(|s| services.contains(s)))
    };
    let (asked, kept): (Vec<_>, Vec<_>) =
        wanted.iter().partition(|(image, services)| upgraded(services) || !before.images.contains_key(*image));
    let mut after = if unread.is_empty() { Lock::default() } else { before.clone() };
    after.images.extend(kept.iter().filter_map(|(image, _)| before.images.get_key_value(*image)).map(owned));
    if !asked.is_empty() {
        let images: Vec<&String> = asked.iter().map(|(image, _)| *image).collect();
        after.images.extend(digests(&images, &source, ctx).await?);
    }
    let changes = before.changes_to(&after);
    let path = ctx.settings.path.with_extension("lock");
    let shown = ctx.settings.file.with_extension("lock").display().to_string();
    tell(&changes, &after, &shown, ctx)?;
    if changes.is_empty() {
        let what = match after.images.len() {
            0 => "nothing to lock: every image is built here or named by its digest".to_owned(),
            n => format!("{shown} is complete: {}", count(n, "image")),
        };
        ctx.out.say(what);
        return Ok(ExitStatus::Done);
    }
    if args.check {
        let how = if args.upgrade { "stackctl lock --upgrade" } else { "stackctl lock" };
        ctx.out.say(format!("{shown} would change; `{how}` writes it"));
        return Ok(ExitStatus::Changes);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let artifact = Artifact { mode: 0o644, ..Artifact::plain(name, file::print(&after)) };
    files::write_all(&source.folder, &[artifact]).map_err(|e| Failure::failed(e.to_string()))?;
    ctx.out
        .say(format!("wrote {shown}: {}; `stackctl plan` shows what that changes", count(after.images.len(), "image")));
    Ok(ExitStatus::Done)
}

fn owned((image, digest): (&String, &String)) -> (String, String) {
    (image.clone(), digest.clone())
}

/// The images of every stage, with the services that run them. What is locked for a stage that needs variables that are
/// not set here stays.
fn references(source: &Source, ctx: &Context<'_>) -> References {
    let beside = files::Folder(source.folder.clone());
    let wanted = file::references(Text { text: &source.text, beside: &beside }, &source.stack, &source.variables);
    for stage in &wanted.unread {
        let name = stage.as_ref().map_or("the default stage".to_owned(), |s| format!("stage {s}"));
        ctx.out.warn(format!("{name} cannot be read here; what is locked for it stays"));
    }
    wanted
}

fn known(services: &[String], wanted: &BTreeMap<String, BTreeSet<String>>) -> Result<(), Failure> {
    let all: BTreeSet<&str> = wanted.values().flatten().map(String::as_str).collect();
    let Some(wrong) = services.iter().find(|s| !all.contains(s.as_str())) else { return Ok(()) };
    let failure = Failure::usage(format!("`{wrong}` runs no image that can be locked"));
    Err(match nearest(wrong, all.iter().copied()) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint(format!("those that do: {}", one_of(all))),
    })
}

/// What the registries say, all at once; if one of them does not answer, nothing is written.
async fn digests(images: &[&String], source: &Source, ctx: &Context<'_>) -> anyhow::Result<BTreeMap<String, String>> {
    let engine = session::connect(ctx, source).await?;
    let mirror = session::wanted(ctx, source).mirror;
    let ask = async |image: &String| engine.registry_digest(&mirrored(image, mirror.as_deref())).await;
    let answers = join_all(images.iter().map(|image| ask(image))).await;
    let mut out = BTreeMap::new();
    let mut wrong: Option<Failure> = None;
    for (image, answer) in images.iter().zip(answers) {
        match answer {
            Ok(digest) => drop(out.insert((*image).clone(), digest)),
            Err(error) => {
                let mut failure = wrong.take().unwrap_or_else(|| Failure::failed(String::new()));
                if !failure.message.is_empty() {
                    failure.message.push('\n');
                }
                failure.message.push_str(&error.to_string());
                failure.hints.extend(error.hint().filter(|hint| !failure.hints.contains(hint)));
                wrong = Some(failure);
            }
        }
    }
    match wrong {
        Some(failure) => Err(failure.hint("the lock stays as it is").into()),
        None => Ok(out),
    }
}

fn tell(changes: &[Change], after: &Lock, shown: &str, ctx: &Context<'_>) -> anyhow::Result<()> {
    if ctx.out.is_json() {
        let changes: Vec<_> = changes.iter().map(|c| json!({ "image": c.image, "from": c.from, "to": c.to })).collect();
        ctx.out.json(&json!({
            "schema": "stackctl.lock/1", "file": shown, "changes": changes, "images": after.images,
        }))?;
        return Ok(());
    }
    let paint = ctx.out.data_paint();
    let short = |digest: &str| digest.chars().take("sha256:".len() + 12).collect::<String>();
    for change in changes {
        let image = &change.image;
        ctx.out.line(match (&change.from, &change.to) {
            (None, Some(to)) => paint.green(format!("+ {image} {}", short(to))),
            (Some(from), Some(to)) => paint.yellow(format!("~ {image} {} → {}", short(from), short(to))),
            (_, None) => paint.red(format!("- {image}: nothing runs it")),
        })?;
    }
    Ok(())
}
