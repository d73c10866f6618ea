//! Colour: decided once, applied by word. Everything reads the same without it.

use crate::base::env::Env;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColourChoice {
    /// Where the stream is a terminal that can show it.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColourChoice {
    /// Whether a stream gets colour: the flag, then `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR=0`, then the terminal.
    pub fn decide(self, env: &Env, tty: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if env.var("NO_COLOR").is_some() => false,
            Self::Auto if env.var("CLICOLOR_FORCE").is_some_and(|v| v != "0") => true,
            Self::Auto => tty && env.var("CLICOLOR") != Some("0") && env.var("TERM").is_some_and(|t| t != "dumb"),
        }
    }
}

/// Puts colour around text, or nothing.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub bool);

macro_rules! inks {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(self, text: impl AsRef<str>) -> String {
                self.wrap($code, text.as_ref())
            }
        )*
    };
}

impl Paint {
    inks! {
        /// What matters.
        bold = "1";
        /// What can be skipped.
        dim = "2";
        /// Wrong, destroyed.
        red = "31";
        /// Right, made.
        green = "32";
        /// Changed, to be careful about.
        yellow = "33";
        /// A step to take.
        cyan = "36";
        /// A headline of something wrong.
        bold_red = "1;31";
    }

    /// One of several, told apart by colour: twelve of them, then again.
    pub fn nth(self, number: usize, text: impl AsRef<str>) -> String {
        const CODES: [&str; 12] = ["36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1", "31", "31;1"];
        self.wrap(CODES[number % CODES.len()], text.as_ref())
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_then_the_variables_then_the_terminal() {
        let env = |pairs: &[(&str, &str)]| {
            let mut vars: std::collections::BTreeMap<String, String> =
                pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            vars.entry("TERM".into()).or_insert_with(|| "xterm".into());
            Env { vars, ..Env::default() }
        };
        let auto = ColourChoice::Auto;
        assert!(auto.decide(&env(&[]), true));
        assert!(!auto.decide(&env(&[]), false));
        assert!(!auto.decide(&env(&[("TERM", "dumb")]), true));
        assert!(!auto.decide(&env(&[("CLICOLOR", "0")]), true));
        assert!(!auto.decide(&env(&[("NO_COLOR", "1")]), true));
        assert!(auto.decide(&env(&[("NO_COLOR", "")]), true));
        assert!(auto.decide(&env(&[("CLICOLOR_FORCE", "1")]), false));
        assert!(!auto.decide(&env(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), false));
        assert!(ColourChoice::Always.decide(&env(&[("NO_COLOR", "1")]), false));
        assert!(!ColourChoice::Never.decide(&env(&[("CLICOLOR_FORCE", "1")]), true));
    }
}
