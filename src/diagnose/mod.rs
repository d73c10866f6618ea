//! Why something does not run, in words, with the next step: a pure function over what the engine, the container's end,
//! its log and its health check say. The table is [`causes`]; `docs/troubleshooting.md` is made from it.

mod causes;
mod document;
mod repeats;

pub use causes::CAUSES;
pub use document::document;
pub use repeats::without_repeats;

/// What is known of a failure.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// How its process ended; `None` while it runs.
    pub exit_code: Option<i64>,
    /// The kernel ended it for want of memory.
    pub oom_killed: bool,
    /// The engine's own words.
    pub engine: &'a str,
    /// What asking for its health brought.
    pub health: &'a str,
    /// The last lines of its log.
    pub log: &'a [String],
}

/// Where a sign is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The kernel ended it for want of memory.
    OutOfMemory,
    /// It ended with this code.
    Exit(i64),
    /// The engine says this.
    Engine(&'static str),
    /// Its log says this.
    Log(&'static str),
    /// Its health check says this.
    Health(&'static str),
    /// Its log says this, or the engine.
    Anywhere(&'static str),
    /// Both.
    Both(&'static Sign, &'static Sign),
}

/// A cause with its next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// Short name, for tests and links.
    pub id: &'static str,
    /// What happened, as the rest of "could not …: it ended: …".
    pub title: &'static str,
    /// What to do next, one or two sentences.
    pub step: &'static str,
    /// How it shows. Any of them is enough.
    pub signs: &'static [Sign],
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The cause.
    pub cause: &'static Cause,
    /// The words it was told by; empty where a number told it.
    pub evidence: String,
}

/// The first cause of the table whose sign is there.
pub fn diagnose(facts: &Facts<'_>) -> Option<Diagnosis> {
    CAUSES.iter().find_map(|cause| {
        let evidence = cause.signs.iter().find_map(|sign| seen(sign, facts))?;
        Some(Diagnosis { cause, evidence })
    })
}

/// The cause behind words of the engine alone.
pub fn of_engine(text: &str) -> Option<Diagnosis> {
    diagnose(&Facts { engine: text, ..Facts::default() })
}

fn seen(sign: &Sign, facts: &Facts<'_>) -> Option<String> {
    let within = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
    // The last line that says it: programs tell the story first and the reason last.
    let log = |part: &str| facts.log.iter().rev().find(|line| within(line, part)).map(|line| line.trim().to_owned());
    let engine = |part: &str| within(facts.engine, part).then(|| facts.engine.trim().to_owned());
    match sign {
        Sign::OutOfMemory => facts.oom_killed.then(String::new),
        Sign::Exit(code) => (facts.exit_code == Some(*code)).then(String::new),
        Sign::Engine(part) => engine(part),
        Sign::Log(part) => log(part),
        Sign::Health(part) => within(facts.health, part).then(|| facts.health.trim().to_owned()),
        Sign::Anywhere(part) => engine(part).or_else(|| log(part)),
        Sign::Both(first, second) => {
            let (first, second) = (seen(first, facts)?, seen(second, facts)?);
            Some(if first.is_empty() { second } else { first })
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
