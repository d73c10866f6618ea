//! Runs that are killed by what they say.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{ChildStderr, Stdio};

use super::support::Site;

impl Site {
    /// Kills a run when it has said a line with these words; returns the line. `None` if it came to its end before.
    pub(crate) fn killed_at(&self, args: &[&str], env: &[(&str, &str)], words: &str) -> Option<String> {
        self.killed(args, env, |lines| lines.map_while(Result::ok).find(|line| line.contains(words)))
    }

    /// Kills a run after it has said so many lines; returns the last one. `None` if it came to its end before.
    pub(crate) fn killed_after(&self, args: &[&str], env: &[(&str, &str)], lines: usize) -> Option<String> {
        self.killed(args, env, |said| {
            let said: Vec<String> = said.map_while(Result::ok).take(lines).collect();
            (said.len() == lines).then(|| said.last().cloned().unwrap_or_default())
        })
    }

    fn killed(
        &self,
        args: &[&str],
        env: &[(&str, &str)],
        hear: impl FnOnce(&mut Lines<BufReader<ChildStderr>>) -> Option<String>,
    ) -> Option<String> {
        let mut child = self.command(args, env).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let last = hear(&mut lines);
        let _ = child.kill();
        let ended = child.wait().unwrap();
        last.filter(|_| !ended.success())
    }
}
