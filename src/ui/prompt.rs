//! Questions. Asked on stderr, and only where somebody can answer; otherwise refused, naming the flag to pass.

use dialoguer::theme::{ColorfulTheme, SimpleTheme, Theme};
use dialoguer::{Confirm, Input, Password, Select};

use crate::base::secret::Secret;

use super::error::{Failure, Kind};
use super::output::Output;

/// Asks for consent. `yes` is the flag that gives it beforehand. Refused without a terminal, and when the answer is no.
pub fn consent(out: &Output, question: &str, yes: bool, flag: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !out.can_prompt() {
        return Err(Failure::refused(format!("this needs consent: {question}"))
            .hint(format!("nobody can be asked here; pass `{flag}` if that is what you want")));
    }
    if confirm(out, &format!("{question}. Go on?"), false)? {
        return Ok(());
    }
    Err(Failure::refused("nothing was changed"))
}

/// Asks for a name to be typed, before something is destroyed. `given` is what a flag gave beforehand.
pub fn typed_consent(out: &Output, question: &str, name: &str, given: Option<&str>, flag: &str) -> Result<(), Failure> {
    if let Some(given) = given {
        if given == name {
            return Ok(());
        }
        return Err(Failure::refused(format!("`{given}` is not `{name}`")).hint(format!("pass `{flag} {name}`")));
    }
    if !out.can_prompt() {
        return Err(Failure::refused(format!("this needs consent: {question}"))
            .hint(format!("nobody can be asked here; pass `{flag} {name}` if that is what you want")));
    }
    let answer: String = Input::with_theme(&*theme(out))
        .with_prompt(format!("{question}. Type `{name}` to go on"))
        .allow_empty(true)
        .interact_text()
        .map_err(interrupted)?;
    if answer == name { Ok(()) } else { Err(Failure::refused("nothing was changed")) }
}

/// Yes or no.
pub fn confirm(out: &Output, question: &str, default: bool) -> Result<bool, Failure> {
    Confirm::with_theme(&*theme(out)).with_prompt(question).default(default).interact().map_err(interrupted)
}

/// A line of text that `check` accepts; `check` says in words what is wrong.
pub fn input(
    out: &Output,
    question: &str,
    default: &str,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<String, Failure> {
    let theme = theme(out);
    let mut input = Input::<String>::with_theme(&*theme)
        .with_prompt(question)
        .allow_empty(true)
        .validate_with(|text: &String| check(text));
    if !default.is_empty() {
        input = input.default(default.to_owned());
    }
    input.interact_text().map_err(interrupted)
}

/// A value that must not be seen, typed twice without an echo. Nothing on the terminal shows it, not even its length.
pub fn secret(out: &Output, question: &str) -> Result<Secret, Failure> {
    let theme = theme(out);
    let typed = Password::with_theme(&*theme)
        .with_prompt(question)
        .with_confirmation("Again", "these were not the same")
        .report(false)
        .interact()
        .map_err(interrupted)?;
    Ok(Secret::new(typed))
}

/// One of several; its index.
pub fn select(out: &Output, question: &str, items: &[&str]) -> Result<usize, Failure> {
    Select::with_theme(&*theme(out)).with_prompt(question).items(items).default(0).interact().map_err(interrupted)
}

fn theme(out: &Output) -> Box<dyn Theme> {
    catch_interrupt();
    if out.talk_paint().0 { Box::new(ColorfulTheme::default()) } else { Box::new(SimpleTheme) }
}

/// Makes Ctrl-C end a question with an error instead of the process at once: questions hide the cursor, and a process
/// that is killed does not show it again. What runs inside a runtime goes on to hear of Ctrl-C itself.
fn catch_interrupt() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if tokio::runtime::Handle::try_current().is_ok() {
            let _ = signal(SignalKind::interrupt());
        } else if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            let _inside = runtime.enter();
            // The handler stays for the rest of the process, whatever becomes of the runtime.
            let _ = signal(SignalKind::interrupt());
        }
    }
}

fn interrupted(error: dialoguer::Error) -> Failure {
    let dialoguer::Error::IO(error) = error;
    let _ = dialoguer::console::Term::stderr().show_cursor();
    if error.kind() == std::io::ErrorKind::Interrupted {
        Failure::new(Kind::Interrupted, "interrupted; nothing was changed")
    } else {
        Failure::failed("cannot ask on this terminal").because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::env::Env;
    use crate::ui::output::Manner;

    #[test]
    fn without_a_terminal_the_flag_is_named() {
        let (out, _, _) = Output::buffers(&Env::default(), Manner::default());
        assert!(consent(&out, "Stop the stack?", true, "--yes").is_ok());
        let refused = consent(&out, "Stop the stack?", false, "--yes").err();
        assert!(refused.is_some_and(|f| f.kind == Kind::Refused && f.hints[0].contains("`--yes`")));
        let refused = typed_consent(&out, "Remove?", "sum", Some("som"), "--destroy").err();
        assert!(refused.is_some_and(|f| f.hints == ["pass `--destroy sum`"]));
    }
}
