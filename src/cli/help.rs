//! Help: the commands in groups, with examples. One place, so that `--help`, manual pages, completions and
//! `docs/commands.md` say the same.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use super::args::Cli;
use super::settings::VARIABLES;

/// The commands in the order people need them.
pub const GROUPS: &[(&str, &[&str])] = &[
    ("Start", &["init", "check", "explain", "render"]),
    ("Deploy", &["plan", "up", "verify", "lock"]),
    ("Go back", &["releases", "diff", "rollback", "audit"]),
    ("Run", &["status", "logs", "stats", "exec", "run", "forward", "restart", "scale", "maintenance", "prune", "down"]),
    ("Keep", &["secrets", "cert"]),
    ("Set up", &["schema", "completions", "man"]),
];

const EXAMPLES: &[(&str, &str)] = &[
    (
        "init",
        "stackctl init                  # asks, and proposes what it recognises\nstackctl init --yes --users 1000\nstackctl init --template python-web --yes",
    ),
    ("check", "stackctl check\nstackctl check --stage staging --format sarif > check.sarif"),
    ("explain", "stackctl explain services.app.memory\nstackctl --stage staging explain proxy.domains"),
    ("render", "stackctl render out/\nstackctl render --no-secrets out/"),
    (
        "plan",
        "stackctl plan\nstackctl plan --exit-code     # 3 if there are changes, for CI\nstackctl plan --out release.plan\nstackctl plan --drift         # files edited in volumes, too",
    ),
    (
        "up",
        "stackctl up\nstackctl up --stage production --yes\nstackctl up --plan release.plan  # exactly that, or nothing",
    ),
    (
        "verify",
        "stackctl verify\nstackctl verify --only TLS --format junit > report.xml\nstackctl verify --outside                # from another machine\nstackctl verify --url https://example.com  # a site of anybody's making",
    ),
    (
        "lock",
        "stackctl lock                     # stack.lock, to commit beside stack.toml\nstackctl lock --check             # 3 if an image is not in it\nstackctl lock --upgrade --check   # what --upgrade would take\nstackctl lock --upgrade postgres",
    ),
    ("releases", "stackctl releases\nstackctl releases 7            # its steps, and the logs of what failed"),
    ("diff", "stackctl diff 6 7\nstackctl diff 6                # with the one that runs"),
    (
        "rollback",
        "stackctl rollback              # the one before\nstackctl rollback 6\nstackctl rollback --check 6    # could it be done?",
    ),
    ("audit", "stackctl audit\nstackctl audit --json --tail 500"),
    ("status", "stackctl status\nstackctl status --json\nstackctl status --drift       # what was changed by hand"),
    ("logs", "stackctl logs -f app worker\nstackctl logs --since 10m --tail all --grep ERROR"),
    ("stats", "stackctl stats\nstackctl stats --no-stream app"),
    (
        "exec",
        "stackctl exec app bash\nstackctl exec --index 2 app ps aux\nstackctl exec -T postgres psql -U app < seed.sql",
    ),
    ("run", "stackctl run --rm app python manage.py shell\nstackctl run --rm -e DEBUG=1 app sh -c 'env | sort'"),
    (
        "forward",
        "stackctl forward postgres            # then: psql -h 127.0.0.1\nstackctl forward prometheus:9090 --port 19090",
    ),
    ("restart", "stackctl restart app\nstackctl restart            # everything, replica by replica"),
    ("scale", "stackctl scale app=5 worker=2"),
    ("prune", "stackctl prune --dry-run\nstackctl prune --yes"),
    ("maintenance", "stackctl maintenance on\nstackctl maintenance          # which it is"),
    ("down", "stackctl down\nstackctl down --volumes       # data too; asks for the project's name"),
    (
        "secrets",
        "stackctl secrets list\npass show smtp | stackctl secrets set smtp\nstackctl secrets check         # 4 if one is weak or in git",
    ),
    (
        "cert",
        "stackctl cert status\nstackctl cert issue --staging   # would it work?\nstackctl cert renew             # every hour, by a timer",
    ),
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

/// `docs/commands.md`
pub fn document() -> String {
    let mut out = String::from(
        "# Commands\n\n<!-- Made from src/cli/args/ by `UPDATE_DOCS=1 cargo test --test cli`. -->\n\n\
         Data goes to stdout, talk to stderr. [Exit codes](exit-codes.md) are part of the interface. \
         [stack.toml](stack-toml.md) has a page of its own.\n\n## Global options\n\n\
         They may stand before or after the command. A flag wins over its variable, the variable over stack.toml.\n\n\
         | option | variable | |\n|---|---|---|\n",
    );
    let command = command();
    for arg in command.get_arguments().filter(|a| a.is_global_set()) {
        let long = format!("--{}", arg.get_long().unwrap_or_default());
        let variable = VARIABLES.iter().find(|(_, flag)| *flag == long).map_or("", |(variable, _)| variable);
        let _ = writeln!(out, "| `{}` | `{variable}` | {} |", usage(arg), help_of(arg));
    }
    out.push_str(
        "\nHonoured too: `DOCKER_HOST` and the current Docker context (where neither `--host` nor stack.toml names an \
         engine), `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`.\n",
    );
    for (group, names) in GROUPS {
        let _ = writeln!(out, "\n## {group}");
        for name in *names {
            if let Some(sub) = command.find_subcommand(name) {
                section(&mut out, name, sub);
                for nested in sub.get_subcommands() {
                    section(&mut out, &format!("{name} {}", nested.get_name()), nested);
                }
            }
        }
    }
    out
}

fn section(out: &mut String, name: &str, sub: &Command) {
    let _ = writeln!(out, "\n### {name}\n\n{}.", sub.get_about().map(ToString::to_string).unwrap_or_default());
    let own: Vec<&Arg> = sub
        .get_arguments()
        .filter(|a| !a.is_global_set() && !a.is_hide_set() && !["help", "version"].contains(&a.get_id().as_str()))
        .collect();
    if !own.is_empty() {
        out.push_str("\n| option | |\n|---|---|\n");
        for arg in own {
            let defaults: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
            // A switch that is off needs no default.
            let default = match defaults.as_slice() {
                [one] if one != "false" => format!(" Default: `{one}`."),
                _ => String::new(),
            };
            let _ = writeln!(out, "| `{}` | {}.{default} |", usage(arg), help_of(arg));
        }
    }
    if let Some((_, examples)) = EXAMPLES.iter().find(|(n, _)| *n == name) {
        let _ = writeln!(out, "\n```sh\n{examples}\n```");
    }
}

/// `-f, --follow`, `--tail N`, `DIR`.
fn usage(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .filter(|_| arg.get_action().takes_values())
        .map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    let flags: Vec<String> = [arg.get_short().map(|s| format!("-{s}")), arg.get_long().map(|l| format!("--{l}"))]
        .into_iter()
        .flatten()
        .collect();
    match (flags.is_empty(), value) {
        (true, value) => value.unwrap_or_default(),
        (false, Some(value)) => format!("{} {value}", flags.join(", ")),
        (false, None) => flags.join(", "),
    }
}

fn help_of(arg: &Arg) -> String {
    arg.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|")
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
