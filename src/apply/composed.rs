//! The containers of somebody who uses Docker Compose, as the checks ask them.

use crate::engine::Engine;
use crate::model::history::History;
use crate::model::inspected::{FileMode, Inspected};
use crate::probe::{Answer, Inside};

use super::inside::host_file;

/// What is behind the published ports of a compose project.
pub struct Composed<'a> {
    engine: &'a Engine,
    project: &'a str,
}

impl<'a> Composed<'a> {
    /// Of a project, as Compose names it.
    pub fn new(engine: &'a Engine, project: &'a str) -> Self {
        Self { engine, project }
    }
}

impl Inside for Composed<'_> {
    fn containers(&self) -> Answer<'_, Vec<Inspected>> {
        Box::pin(async { self.engine.inspect_composed(self.project).await.map_err(|e| e.to_string()) })
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
        Box::pin(std::future::ready(Ok(History::None)))
    }
}
