//! Files with a sealed plan: written by `plan --out`, read by `up --plan`.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::apply::{Prepared, Wanted};
use crate::plan::Seal;
use crate::plan::seal::SCHEMA;
use crate::ui;
use crate::ui::error::Failure;

/// Writes a plan with its seal. Only its owner may read it: a plan shows the environment of services.
pub fn write(path: &Path, prepared: &Prepared, wanted: &Wanted) -> anyhow::Result<()> {
    let document = json!({ "seal": prepared.seal(wanted), "plan": ui::plan::json(&prepared.plan) });
    let text = serde_json::to_string_pretty(&document)? + "\n";
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    Ok(written.map_err(|e| Failure::failed(format!("cannot write `{}`", path.display())).because(e))?)
}

/// Reads the seal of a plan.
pub fn read(path: &Path) -> Result<Seal, Failure> {
    let shown = path.display();
    let hint = "`stackctl plan --out FILE` makes one";
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::usage(format!("`{shown}` cannot be read")).because(e).hint(hint))?;
    let document: Value = serde_json::from_str(&text)
        .map_err(|e| Failure::usage(format!("`{shown}` is not a plan")).because(e).hint(hint))?;
    let seal = document.get("seal").cloned().unwrap_or_default();
    if seal["schema"] != SCHEMA {
        return Err(
            Failure::refused(format!("`{shown}` is not a plan that this version of stackctl has made")).hint(hint)
        );
    }
    serde_json::from_value(seal)
        .map_err(|e| Failure::usage(format!("the plan in `{shown}` is damaged")).because(e).hint(hint))
}
