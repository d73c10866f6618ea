//! The engine and the folder of stack.toml, as the checks ask them; and what somebody runs with Docker Compose.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::name::ProjectName;
use crate::engine::Engine;
use crate::files;
use crate::model::history::History;
use crate::model::inspected::{FileMode, Inspected};
use crate::model::proxy::{Proxy, Tls};
use crate::model::secrets::SecretValues;
use crate::probe::{Answer, Inside};

use super::prepare::Prepared;
use super::wanted::Wanted;

/// Longest search of a repository.
const SEARCH: Duration = Duration::from_secs(20);

/// Configuration files of a host are small.
const LARGEST: u64 = 1 << 20;

/// What is behind the front door of a stack, or behind the published ports of a compose project.
pub struct Behind<'a> {
    engine: &'a Engine,
    whose: Whose<'a>,
}

enum Whose<'a> {
    Stack {
        project: &'a ProjectName,
        /// Secrets that nobody may find; a certificate is none.
        secrets: SecretValues,
        folder: PathBuf,
    },
    /// A project as Compose names it.
    Compose(&'a str),
}

impl<'a> Behind<'a> {
    /// Of a stack that was prepared.
    pub fn new(engine: &'a Engine, wanted: &'a Wanted, prepared: &Prepared) -> Self {
        let mut secrets = prepared.values.clone();
        if let Some(Proxy { tls: Tls::Files { cert, .. }, .. }) = &wanted.stack.proxy {
            secrets.remove(cert);
        }
        let whose = Whose::Stack { project: &wanted.stack.project, secrets, folder: wanted.folder.clone() };
        Self { engine, whose }
    }

    /// Of a project, as Compose names it.
    pub fn composed(engine: &'a Engine, project: &'a str) -> Self {
        Self { engine, whose: Whose::Compose(project) }
    }
}

impl Inside for Behind<'_> {
    fn containers(&self) -> Answer<'_, Vec<Inspected>> {
        Box::pin(async {
            let seen = match &self.whose {
                Whose::Stack { project, secrets, .. } => self.engine.inspect_all(project, secrets).await,
                Whose::Compose(project) => self.engine.inspect_composed(project).await,
            };
            seen.map_err(|e| e.to_string())
        })
    }

    fn run(&self, container: &str, argv: &[&str]) -> Answer<'_, (i64, String)> {
        let container = container.to_owned();
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        Box::pin(async move { self.engine.exec(&container, &argv).await.map_err(|e| e.to_string()) })
    }

    fn files(&self, container: &str, folder: &str) -> Answer<'_, Vec<FileMode>> {
        let (container, folder) = (container.to_owned(), folder.to_owned());
        Box::pin(async move { self.engine.modes(&container, &folder).await.map_err(|e| e.to_string()) })
    }

    fn log(&self, container: &str, lines: usize) -> Answer<'_, Vec<String>> {
        let container = container.to_owned();
        Box::pin(async move { self.engine.logs_tail(&container, lines).await.map_err(|e| e.to_string()) })
    }

    fn clock(&self) -> Answer<'_, u64> {
        Box::pin(async {
            let clock = self.engine.clock().await.map_err(|e| e.to_string())?;
            clock.ok_or_else(|| "the engine does not tell its time".to_owned())
        })
    }

    fn host_file(&self, path: &str) -> Answer<'_, Option<String>> {
        Box::pin(std::future::ready(host_file(self.engine, path)))
    }

    fn history(&self) -> Answer<'_, History> {
        let Whose::Stack { secrets, folder, .. } = &self.whose else {
            return Box::pin(std::future::ready(Ok(History::None)));
        };
        let (folder, secrets) = (folder.clone(), secrets.clone());
        Box::pin(async move {
            let search = tokio::task::spawn_blocking(move || files::history::history(&folder, &secrets, SEARCH));
            search.await.unwrap_or_else(|_| Err("the search broke off".to_owned()))
        })
    }
}

/// A file of the engine's host; `None` if it is not there, an error if that host is another machine.
fn host_file(engine: &Engine, path: &str) -> Result<Option<String>, String> {
    if !engine.facts().local {
        return Err("the engine's host is another machine".to_owned());
    }
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > LARGEST => Err(format!("{path} is larger than 1 MiB")),
        Ok(_) => std::fs::read_to_string(path).map(Some).map_err(|e| format!("{path}: {e}")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{path}: {error}")),
    }
}
