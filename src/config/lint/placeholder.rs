//! Secrets whose variable holds a placeholder.

use crate::base::problem::{Problem, Problems};
use crate::config::dotenv::Dotenv;
use crate::config::interpolate::Variables;
use crate::model::placeholder::is_placeholder;
use crate::model::secrets::SecretSource;
use crate::model::stack::Stack;

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
    fn places_of_lines() {
        assert_eq!(line("a\n  b \nc", 2), 4..5);
        assert_eq!(line("a", 9), 0..0);
    }
}
