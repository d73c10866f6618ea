//! `secrets edit` and `secrets recipients`: files encrypted with age.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::base::secret::Secret;
use crate::cli::args::{EditArgs, RecipientsArgs};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load::Source;
use crate::cli::session;
use crate::files;
use crate::files::encrypted::{self, Entries, Keyring};
use crate::model::artifact::Artifact;
use crate::model::secrets::SecretSource;
use crate::ui::error::Failure;
use crate::ui::prompt;
use crate::ui::text::count;

/// What a new file begins with, for the one who opens it.
const NEW: &str = "# name = \"value\", a line for each secret that says `age = …` in stack.toml\n";

/// The encrypted file that is meant: the one that was named, or the only one of the stack.
fn file(named: Option<&PathBuf>, source: &Source, ctx: &Context<'_>) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return Ok(ctx.env.cwd.join(path));
    }
    let mut paths: Vec<&String> = source
        .stack
        .secrets
        .values()
        .filter_map(|spec| if let SecretSource::Age(path) = &spec.source { Some(path) } else { None })
        .collect();
    paths.sort();
    paths.dedup();
    match paths.as_slice() {
        [one] => Ok(source.folder.join(one)),
        [] => Err(Failure::usage("no secret of stack.toml comes from an encrypted file")
            .hint("say so first: `[secrets]`, `smtp = { age = \"secrets.age\" }`")),
        several => {
            let list: Vec<String> = several.iter().map(|p| format!("`{p}`")).collect();
            Err(Failure::usage(format!("which one? stack.toml names {}", list.join(", "))))
        }
    }
}

/// Who a file is for: its list, or, for a new file, the person who makes it.
fn readers(path: &Path, keyring: &Keyring) -> Result<Vec<String>, Failure> {
    let listed = encrypted::recipients_of(path).map_err(Failure::usage)?;
    if !listed.is_empty() {
        return Ok(listed);
    }
    let own = keyring.recipients().map_err(Failure::usage)?;
    if own.is_empty() {
        return Err(Failure::usage(format!("nobody could open {}", path.display())).hint(
            "make an identity with `age-keygen -o ~/.config/stackctl/identity.txt`, or name readers with \
             `stackctl secrets recipients --add age1…` (a public SSH key is one, too)",
        ));
    }
    Ok(own)
}

/// Writes a text for these readers, and the list of them beside it: both or none.
fn write(path: &Path, text: &Secret, readers: &[String]) -> Result<(), Failure> {
    let sealed = encrypted::seal(text, readers).map_err(Failure::usage)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let list =
        format!("# Who can open {}. Changed by `stackctl secrets recipients`.\n{}\n", name(path), readers.join("\n"));
    let public = |path: &Path, text: String| Artifact { mode: 0o644, ..Artifact::plain(name(path), text) };
    let files = [public(path, sealed), public(&encrypted::recipients_file(path), list)];
    files::write_all(folder, &files).map_err(|e| Failure::failed(e.to_string()))
}

/// Opens a file, or begins one; changes its entries; writes it.
pub(super) fn change(path: &Path, ctx: &Context<'_>, change: impl FnOnce(&mut Entries)) -> Result<(), Failure> {
    let keyring = session::keyring(ctx);
    let mut entries =
        if path.exists() { encrypted::open(path, &keyring).map_err(Failure::usage)? } else { Entries::new() };
    let readers = readers(path, &keyring)?;
    change(&mut entries);
    write(path, &encrypted::text_of(&entries), &readers)
}

/// Opens a file in the person's editor.
pub(super) fn edit(args: &EditArgs, source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let path = file(args.path.as_ref(), source, ctx)?;
    let keyring = session::keyring(ctx);
    let readers = readers(&path, &keyring)?;
    let before =
        if path.exists() { encrypted::open_text(&path, &keyring).map_err(Failure::usage)? } else { Secret::new(NEW) };
    let named = ctx.env.var("VISUAL").or(ctx.env.var("EDITOR"));
    let Some(editor) = named.or(ctx.out.can_prompt().then_some("vi")) else {
        return Err(Failure::usage("there is no terminal, and EDITOR names no editor").into());
    };
    let plain = Plain::new(&before)?;
    let after = loop {
        let after = plain.edited(editor)?;
        match encrypted::parse(&after, &path) {
            Ok(_) => break after,
            Err(why) if ctx.out.can_prompt() => {
                ctx.out.warn(why);
                if !prompt::confirm(ctx.out, "Edit it again?", true)? {
                    return Err(Failure::refused("nothing was changed").into());
                }
            }
            Err(why) => return Err(Failure::usage(why).hint("nothing was changed").into()),
        }
    };
    drop(plain);
    if after == before && path.exists() {
        ctx.out.say("nothing was changed");
        return Ok(ExitStatus::Done);
    }
    write(&path, &after, &readers)?;
    ctx.out.say(format!("{} written for {}", path.display(), count(readers.len(), "reader")));
    Ok(ExitStatus::Done)
}

/// The text while it is edited: in memory where the system has such a folder, for its owner alone, gone afterwards.
struct Plain(PathBuf);

impl Plain {
    fn new(text: &Secret) -> Result<Self, Failure> {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let failed = |e: std::io::Error| Failure::failed("cannot open the file for editing").because(e);
        let path = folder.join(format!("stackctl-{}-{}.toml", std::process::id(), session::now()));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        let plain = Self(path);
        file.write_all(text.expose().as_bytes()).map_err(failed)?;
        Ok(plain)
    }

    fn edited(&self, editor: &str) -> Result<Secret, Failure> {
        let mut words = editor.split_whitespace();
        let program = words.next().unwrap_or("vi");
        let status = Command::new(program).args(words).arg(&self.0).status();
        let status = status.map_err(|e| Failure::failed(format!("cannot run the editor `{program}`")).because(e))?;
        if !status.success() {
            return Err(Failure::failed(format!("`{program}` failed; nothing was changed")));
        }
        files::read_text(&self.0).map(Secret::new).map_err(|e| Failure::failed(e.to_string()))
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Shows who can open a file, or changes that: the file is then encrypted anew, for those who remain.
pub(super) fn recipients(args: &RecipientsArgs, source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let path = file(args.path.as_ref(), source, ctx)?;
    let mut list = encrypted::recipients_of(&path).map_err(Failure::usage)?;
    if !args.add.is_empty() || !args.remove.is_empty() {
        let keyring = session::keyring(ctx);
        for recipient in &args.add {
            encrypted::recipient(recipient).map_err(Failure::usage)?;
            let recipient = recipient.trim().to_owned();
            if !list.contains(&recipient) {
                list.push(recipient);
            }
        }
        for recipient in &args.remove {
            if !list.iter().any(|known| matches(known, recipient)) {
                return Err(Failure::usage(format!("`{recipient}` is not among those who can open it")).into());
            }
            list.retain(|known| !matches(known, recipient));
        }
        let text = if path.exists() {
            encrypted::open_text(&path, &keyring).map_err(Failure::usage)?
        } else {
            Secret::new(NEW)
        };
        write(&path, &text, &list)?;
        if !args.remove.is_empty() {
            ctx.out.warn("whoever was removed may keep old copies: rotate the secrets that are in it");
        }
    }
    if ctx.out.is_json() {
        ctx.out.json(&json!({ "schema": "stackctl.recipients/1", "file": path, "recipients": list }))?;
        return Ok(ExitStatus::Done);
    }
    for recipient in &list {
        ctx.out.line(recipient)?;
    }
    Ok(ExitStatus::Done)
}

/// The whole recipient, or what stands behind an SSH key: `ada@laptop`.
fn matches(known: &str, given: &str) -> bool {
    known == given.trim() || known.split_whitespace().nth(2).is_some_and(|comment| comment == given.trim())
}
