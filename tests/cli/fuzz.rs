//! Any bytes: reading a file neither panics nor hangs. Files we have are cut up, mixed and broken; what once went wrong
//! is kept in `tests/cli/corpus` and tried first, always.
//!
//! `SOAK=1` goes on for a tenth of `SOAK_BUDGET` seconds from `SOAK_SEED`; otherwise a second from a fixed seed.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use stackctl::base::fix;
use stackctl::base::problem::{Problems, line_column};
use stackctl::config::{self, dotenv, explain};

use crate::harness::root;
use crate::{identity, wrong};

/// Longest time for one file of a few kilobytes, also on a busy machine.
const LONGEST: Duration = Duration::from_secs(5);

/// xorshift64*: repeatable, and good enough to break files.
pub struct Dice(pub u64);

impl Dice {
    /// A number below this one.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(bits).unwrap_or(0) % sides.max(1)
    }
}

/// Pieces that mean something to us.
const WORDS: &[&str] = &[
    "${",
    "}",
    "$${",
    "${secrets.",
    "${A:-",
    "[services.app]",
    "[stages.x]",
    "like = \"app\"\n",
    "preset = \"postgres\"\n",
    "\"/\" = ",
    "\u{feff}",
    "\r\n",
    "é",
    "'''",
    "\"\"\"",
    "= {",
    "[[",
    "]]",
    "-1",
    "1e999",
    "0x7f",
    "inf",
    "2026-01-01",
    "environment = { A = \"",
    "postgresql://a:b@c/d?pool_size=1",
    "://:@",
    "\0",
    "\u{202e}",
    "depends_on = [\"app\"]\n",
];

fn broken(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seeds[dice.roll(seeds.len())].clone();
    for _ in 0..=dice.roll(6) {
        let at = dice.roll(bytes.len() + 1);
        let end = (at + dice.roll(40)).min(bytes.len());
        match dice.roll(6) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.splice(at..at, WORDS[dice.roll(WORDS.len())].bytes()).for_each(drop),
            2 => {
                let copy = bytes[at..end].to_vec();
                let to = dice.roll(bytes.len() + 1);
                bytes.splice(to..to, copy).for_each(drop);
            }
            3 if at < bytes.len() => bytes[at] = u8::try_from(dice.roll(256)).unwrap_or(0),
            4 => {
                let other = &seeds[dice.roll(seeds.len())];
                let from = dice.roll(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => bytes.truncate(bytes.len().max(1) - 1),
        }
    }
    bytes
}

/// Everything that is done with a file before anything is done with an engine.
fn read(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(printed) = identity::printed(&text) {
        assert_eq!(identity::printed(&printed).as_ref(), Some(&printed), "what is printed is read as the same");
    }
    let mut problems = Problems::default();
    let env = dotenv::parse(&text, &mut problems);
    for stage in [None, Some("staging")] {
        let loaded = config::load(&text, stage, &env.variables);
        assert!(loaded.stack.is_none() || !loaded.problems.has_errors());
        for problem in loaded.problems.sorted() {
            if let Some(edit) = fix::edit(&text, &problem) {
                edit.apply(&text);
            }
            if let Some(span) = problem.span {
                line_column(&text, span.start);
            }
        }
        for path in ["services.app.memory", "routes./.limit", "services.app", "\"", "services..", "stages.x"] {
            let _ = explain::locate(&text, stage, path);
        }
    }
}

fn survives(bytes: &[u8]) -> bool {
    let start = Instant::now();
    catch_unwind(AssertUnwindSafe(|| read(bytes))).is_ok() && start.elapsed() < LONGEST
}

#[test]
#[expect(clippy::print_stdout, reason = "whoever soaks wants the figure")]
fn no_bytes_are_too_much() {
    let corpus = root().join("tests/cli/corpus");
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for path in fs::read_dir(&corpus).expect("the corpus").flatten().map(|e| e.path()) {
        let bytes = fs::read(&path).expect("a file");
        assert!(survives(&bytes), "{}", path.display());
        // Large ones would be most of what is read.
        seeds.extend(Some(bytes).filter(|bytes| bytes.len() < 4096));
    }
    assert!(seeds.len() > 5, "the corpus is kept: {}", seeds.len());
    seeds.extend(wrong::all().into_iter().map(|w| w.text.into_bytes()));
    for folder in ["tests/stacks", "templates/init"] {
        let files = fs::read_dir(root().join(folder)).expect("a folder").flatten();
        seeds.extend(files.map(|e| fs::read(e.path()).expect("a file")));
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let soak = std::env::var_os("SOAK").is_some();
    let seed = number("SOAK_SEED").filter(|_| soak).unwrap_or(1).max(1);
    let budget = if soak { number("SOAK_BUDGET").unwrap_or(600) / 10 } else { 1 };
    let mut dice = Dice(seed);
    let (start, mut files) = (Instant::now(), 0_u64);
    while start.elapsed() < Duration::from_secs(budget) {
        let bytes = broken(&seeds, &mut dice);
        files += 1;
        if !survives(&bytes) {
            let path = corpus.join(format!("{seed}-{files}.toml"));
            fs::create_dir_all(&corpus).and_then(|()| fs::write(&path, &bytes)).expect("the corpus can be written");
            unreachable!("seed {seed}, file {files}: a panic, or longer than {LONGEST:?}; kept as {}", path.display());
        }
    }
    assert!(files > 20, "only {files} files in {budget} s");
    println!("{files} files read in {budget} s from seed {seed}");
}
