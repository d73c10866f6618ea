//! Help: the commands in groups, with examples. One place, so that `--help`, manual pages, completions and
//! `docs/commands.md` say the same.

use clap::{Command, CommandFactory as _};

use super::args::Cli;

/// The commands in the order people need them.
pub const GROUPS: &[(&str, &[&str])] = &[
    ("Start", &["init", "check", "render"]),
    ("Deploy", &["plan", "up", "verify"]),
    ("Run", &["status", "logs", "down"]),
    ("Set up", &["schema", "completions", "man"]),
];

const EXAMPLES: &[(&str, &str)] = &[
    ("init", "stackctl init\nstackctl init --template python-web --yes"),
    ("check", "stackctl check\nstackctl check --stage staging --json"),
    ("render", "stackctl render out/\nstackctl render --no-secrets out/"),
    ("plan", "stackctl plan\nstackctl plan --exit-code     # 3 if there are changes, for CI"),
    ("up", "stackctl up\nstackctl up --stage production --yes"),
    ("verify", "stackctl verify\nstackctl verify --only TLS --format junit > report.xml"),
    ("status", "stackctl status\nstackctl status --json"),
    ("logs", "stackctl logs -f app\nstackctl logs --since 10m --tail all"),
    ("down", "stackctl down\nstackctl down --volumes       # data too; asks for the project's name"),
    ("schema", "stackctl schema > stack.schema.json"),
    ("completions", "stackctl completions bash > /etc/bash_completion.d/stackctl"),
    ("man", "stackctl man /usr/local/share/man/man1"),
];

const TEMPLATE: &str = "{about}\n\n{usage-heading} {usage}\n\n{before-help}Global options:\n{options}{after-help}";

const MORE: &str = "\
`stackctl COMMAND --help` tells more about a command. Global options may stand
before or after it, and each has a variable: STACKCTL_FILE, STACKCTL_STAGE,
STACKCTL_HOST, STACKCTL_JSON, STACKCTL_QUIET, STACKCTL_VERBOSE, STACKCTL_COLOR.";

/// The whole command line, ready to parse or to describe.
pub fn command() -> Command {
    let mut command = Cli::command();
    for (name, examples) in EXAMPLES {
        command = command.mut_subcommand(name, |sub| sub.after_help(block("Examples", examples)));
    }
    let groups = groups(&command);
    command.override_usage("stackctl [OPTIONS] COMMAND").help_template(TEMPLATE).before_help(groups).after_help(MORE)
}

fn block(title: &str, lines: &str) -> String {
    let indented: Vec<String> = lines.lines().map(|l| format!("  {l}")).collect();
    format!("{title}:\n{}", indented.join("\n"))
}

fn groups(command: &Command) -> String {
    let about = |name: &str| {
        command.find_subcommand(name).and_then(|c| c.get_about()).map(ToString::to_string).unwrap_or_default()
    };
    GROUPS.iter().fold(String::new(), |mut out, (title, names)| {
        let lines: Vec<String> = names.iter().map(|name| format!("{name:<12} {}", about(name))).collect();
        out.push_str(&block(title, &lines.join("\n")));
        out.push_str("\n\n");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_variable_is_told() {
        for (variable, _) in crate::cli::settings::VARIABLES {
            assert!(MORE.contains(variable), "{variable}");
        }
    }

    #[test]
    fn every_command_has_a_group_and_an_example() {
        let command = command();
        let mut all: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut shown: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
        all.sort_unstable();
        grouped.sort_unstable();
        shown.sort_unstable();
        assert_eq!(all, grouped);
        assert_eq!(all, shown);
    }
}
