//! Values that stand for a secret until somebody puts a real one in, and that are forgotten.

use crate::base::problem::{Problem, Problems};
use crate::config::dotenv::Dotenv;
use crate::config::interpolate::Variables;
use crate::model::secrets::SecretSource;
use crate::model::stack::Stack;

/// Whole values.
const WORDS: &[&str] = &[
    "admin",
    "changeit",
    "changeme",
    "default",
    "dummy",
    "example",
    "fixme",
    "passw0rd",
    "password",
    "placeholder",
    "postgres",
    "root",
    "secret",
    "secure_password",
    "test",
    "todo",
];

/// Whether a value is what documentation prints in a secret's place.
pub fn is_placeholder(value: &str) -> bool {
    let value = value.trim().to_lowercase();
    let words = value.replace(['-', '_', ' '], "");
    WORDS.contains(&value.as_str())
        || words.contains("changeme")
        || words.contains("replaceme")
        || (words.starts_with("your") && words.len() > 6)
        || (value.ends_with("here") && value.contains(['-', '_', ' ']))
        || (value.starts_with('<') && value.ends_with('>'))
        || (value.len() >= 3 && value.bytes().all(|b| b"x.*".contains(&b)))
        || value == "…"
}

/// Secrets from variables that hold a placeholder: at the line of `.env`, or of the file if the environment has it.
pub fn check(stack: &Stack, text: &str, dotenv: &Dotenv, variables: &Variables, problems: &mut Problems) {
    for (name, spec) in &stack.secrets {
        let SecretSource::Env(variable) = &spec.source else { continue };
        let Some(value) = variables.get(variable).filter(|v| is_placeholder(v)) else { continue };
        let problem = Problem::warning(format!("the secret `{name}` is a placeholder, not a value"))
            .rule("secret-placeholder")
            .label(format!("`{variable}` needs a real value"));
        problems.push(match dotenv.place(variable, value) {
            Some(place) => problem.in_env().at(place),
            None => problem.at(line(text, spec.line)).help(format!("it is set in the environment: `{variable}`")),
        });
    }
}

/// A line of the text, from 1, without the blanks around it.
fn line(text: &str, number: u32) -> std::ops::Range<usize> {
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if u32::try_from(index + 1) == Ok(number) {
            let start = at + (line.len() - line.trim_start().len());
            return start..start + line.trim().len();
        }
        at += line.len();
    }
    0..0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_the_guides_and_real_values() {
        for value in [
            "changeme",
            "CHANGE_ME",
            "change-me-please",
            "your-key-here",
            "your_api_key_here",
            "your-secure-password",
            "<generate-with-openssl-rand-hex-32>",
            "secure_password_here",
            "password",
            "xxxx",
            "...",
            "postgres",
        ] {
            assert!(is_placeholder(value), "{value}");
        }
        for value in ["", "x7Gq2", "yourt", "hex", "correct horse battery", "3f9a4c", "there"] {
            assert!(!is_placeholder(value), "{value}");
        }
    }

    #[test]
    fn places_of_lines() {
        assert_eq!(line("a\n  b \nc", 2), 4..5);
        assert_eq!(line("a", 9), 0..0);
    }
}
