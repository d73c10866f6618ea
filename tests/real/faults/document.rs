//! `docs/faults.md`: the faults and who finds them.

use std::fmt::Write as _;

use super::super::support::root;
use super::fault::{Family, Fault};

const HEAD: &str = "\
# Seeded faults

<!-- Made from tests/real/faults by `UPDATE_DOCS=1 cargo test --test real faults::the_document`. -->

A healthy stack ([stack.toml](../tests/real/faults/stack.toml)) is broken in one way at a time, and `stackctl verify` is
asked. Each verdict is compared with that of the healthy stack: **exactly** the checks below get worse, the one in bold
comes first in the report, and it names the line of stack.toml that stands here. `make soak` tries all, `make test` those
with a dot.

";

fn text(families: &[Family]) -> String {
    let mut out = HEAD.to_owned();
    for Family { family, faults } in families {
        let _ = writeln!(out, "## {family}\n\n| | fault | made by | found by | line |\n|---|---|---|---|---|");
        for fault in faults {
            let mark = if fault.often { "•" } else { "" };
            let line = fault.line.as_ref().map_or("none".to_owned(), |line| format!("`{}`", line.trim()));
            let _ = writeln!(
                out,
                "| {mark} | {} | {}{} | {} | {line} |",
                fault.what,
                fault.way(),
                fault.asks.words(),
                finders(fault)
            );
        }
        out.push('\n');
    }
    let number: usize = families.iter().map(|family| family.faults.len()).sum();
    let _ = writeln!(out, "{number} faults.");
    out
}

fn finders(fault: &Fault) -> String {
    let mut finds: Vec<(&str, &str)> = fault.finds().into_iter().collect();
    finds.sort_by_key(|(id, _)| *id != fault.cause);
    let one = |(id, verdict): (&str, &str)| {
        let id = if id == fault.cause { format!("**{id}**") } else { id.to_owned() };
        match verdict {
            "warn" => format!("{id} (warns)"),
            "inconclusive" => format!("{id} (cannot be judged)"),
            _ => id,
        }
    };
    finds.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

pub(super) fn compare(families: &[Family]) {
    let (path, wanted) = (root().join("docs/faults.md"), text(families));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "UPDATE_DOCS=1 writes it anew");
}
