//! Programs that read their files again while they run: asked whether they would, told to, watched until they have.

use std::net::SocketAddrV4;

use crate::engine::EngineError;
use crate::plan::Step;

use super::error::Failure;
use super::reason::{LAST_LINES, engine_failure};
use super::steps::Effects;
use super::{drain, ready};

impl Effects<'_> {
    pub(super) async fn reload(
        &self,
        step: &Step,
        container: &str,
        hash: &str,
        listener: Option<SocketAddrV4>,
    ) -> Result<(), Failure> {
        let failure = |failure: Failure| Failure { step: step.action.to_string(), ..failure };
        self.load(container, hash, listener).await.map_err(failure)
    }

    /// Has a program read its files again; ends when it serves by them. The failure names no step.
    pub(super) async fn load(
        &self,
        container: &str,
        hash: &str,
        listener: Option<SocketAddrV4>,
    ) -> Result<(), Failure> {
        let failed = |e: EngineError| Failure { cause: e.to_string(), hint: e.hint(), ..Failure::default() };
        let unserved = |cause: String| Failure {
            cause,
            hint: Some("its log tells why (`stackctl logs proxy`); then run `stackctl up` again".to_owned()),
            ..Failure::default()
        };
        let before = drain::workers(self.engine, container).await.map_err(failed)?;
        self.engine.kill(container, "HUP").await.map_err(failed)?;
        match listener {
            Some(listener) => ready::serves_by(self.engine, listener, hash).await.map_err(unserved)?,
            // A program without workers, and one that cannot be asked from here: new workers serve by the new files.
            None if before.is_empty() => return Ok(()),
            None => drain::until_renewed(self.engine, container, &before).await.map_err(unserved)?,
        }
        drain::until_gone(self.engine, container, &before).await;
        Ok(())
    }

    pub(super) async fn reload_by(&self, step: &Step, container: &str, command: &[String]) -> Result<(), Failure> {
        let (code, said) = self.engine.exec(container, command).await.map_err(|e| engine_failure(step, &e))?;
        if code == 0 {
            return Ok(());
        }
        let cause = format!("{container} did not read its files again: {}", said.trim());
        Err(Failure { step: step.action.to_string(), cause, ..Failure::default() })
    }

    /// Asks the running front door whether it would accept a configuration.
    pub(super) async fn test_proxy(&self, step: &Step, container: &str, config: &str) -> Result<(), Failure> {
        let command = ["nginx", "-t", "-q", "-c", config].map(str::to_owned);
        let (code, output) = self.engine.exec(container, &command).await.map_err(|e| engine_failure(step, &e))?;
        if code == 0 {
            return Ok(());
        }
        Err(Failure {
            step: step.action.to_string(),
            cause: refusal(&output).to_owned(),
            hint: Some("the old configuration stays in use; `stackctl render DIR` shows the new one".to_owned()),
            container: Some(container.to_owned()),
            log: output.lines().take(LAST_LINES).map(str::to_owned).collect(),
            ..Failure::default()
        })
    }
}

/// What came of a test that did not end well: what Nginx says has its name in front, what the engine says has not.
fn refusal(output: &str) -> &'static str {
    if output.lines().any(|line| line.starts_with("nginx: ")) {
        "Nginx refuses the new configuration"
    } else {
        "Nginx could not be asked about the new configuration"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_refuses_is_told_apart() {
        for (output, words) in [
            (
                "nginx: [emerg] unknown directive \"x\" in nginx.conf:3\nnginx: configuration file test failed",
                "refuses",
            ),
            ("OCI runtime exec failed: exec failed: unable to start container process", "could not be asked"),
            ("", "could not be asked"),
        ] {
            assert!(refusal(output).contains(words), "{output}");
        }
    }
}
