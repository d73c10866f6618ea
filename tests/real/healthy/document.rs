//! `docs/healthy.md`: the variants, and which warnings are right.

use std::fmt::Write as _;

use super::super::support::root;
use super::{Explained, Table};

const HEAD: &str = "\
# Healthy stacks

<!-- Made from tests/real/healthy by `UPDATE_DOCS=1 cargo test --test real healthy::the_document`. -->

The other side of [the seeded faults](faults.md): stacks that are as declared. `stackctl verify` fails nothing of them,
leaves nothing open, and warns of nothing but what stands here. `make soak` deploys each and runs the whole checklist,
`make test` those with a dot, with `--quick`. The engine of the tests is an old one (20.10).

| | healthy stack | warnings, and why they are right |
|---|---|---|
";

fn reasons(warns: &[Explained]) -> String {
    if warns.is_empty() {
        return "none".to_owned();
    }
    warns.iter().map(|warn| format!("**{}**: {}", warn.check, warn.why)).collect::<Vec<_>>().join("; ")
}

fn text(table: &Table) -> String {
    let mut out = HEAD.to_owned();
    for variant in &table.variants {
        let mark = if variant.often { "•" } else { "" };
        let asks = if variant.asks.is_empty() { String::new() } else { format!(" (`{}`)", variant.asks.join(" ")) };
        let asks = asks.replace(":SECURE", "");
        let _ = writeln!(out, "| {mark} | {}{asks} | {} |", variant.what, reasons(&variant.warns));
    }
    let _ = writeln!(out, "\n{} stacks. Of the machine, in any of them:\n", table.variants.len());
    for explained in &table.machine {
        let _ = writeln!(out, "- **{}**: {}", explained.check, explained.why);
    }
    out
}

pub(super) fn compare(table: &Table) {
    let (path, wanted) = (root().join("docs/healthy.md"), text(table));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "UPDATE_DOCS=1 writes it anew");
}
