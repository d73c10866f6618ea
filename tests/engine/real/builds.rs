//! Builds: with BuildKit, its caches and its secrets, and with the classic builder's words.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use stackctl::base::name::{SecretName, ServiceName};
use stackctl::base::secret::Secret;
use stackctl::engine::build::{BuildNews, Wanted};
use stackctl::engine::capability::Capability;
use stackctl::engine::{EngineError, ErrorKind};
use stackctl::files::Context;
use stackctl::model::service::Build;

use crate::support::{Real, SHELL, real, shell_image};

const TOKEN: &str = "pl4nted-token-of-a-build";

/// A folder with a Dockerfile, and what it is built with.
struct Project {
    dir: tempfile::TempDir,
    build: Build,
    secrets: BTreeMap<String, Secret>,
    tag: String,
}

impl Project {
    fn new(t: &Real) -> Self {
        let build = Build {
            name: ServiceName::parse("app").unwrap(),
            context: ".".into(),
            dockerfile: "Dockerfile".into(),
            target: None,
            args: BTreeMap::from([("WHO".to_owned(), t.project.to_string())]),
            platform: None,
            secrets: BTreeSet::new(),
        };
        let dir = tempfile::tempdir().unwrap();
        Self { dir, build, secrets: BTreeMap::new(), tag: format!("stackctl-test/{}:1", t.project) }
    }

    async fn build(&self, t: &Real, dockerfile: &str) -> (Result<String, EngineError>, Vec<BuildNews>) {
        fs::write(self.dir.path().join("Dockerfile"), format!("FROM {SHELL}\n{dockerfile}\n")).unwrap();
        let context = Context::scan(self.dir.path(), "Dockerfile").unwrap().tar().unwrap();
        let (labels, mut news) = (t.labels(), Vec::new());
        let wanted = Wanted { build: &self.build, tag: &self.tag, labels: &labels, secrets: &self.secrets };
        let built = t.engine.build(wanted, context, &mut |n| news.push(n)).await;
        (built, news)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "-f", &self.tag]).output();
    }
}

fn line(text: &str) -> BuildNews {
    BuildNews::Line(text.to_owned())
}

#[tokio::test]
async fn images_are_built_from_contexts() {
    let t = real("build").await;
    shell_image().await;
    let mut project = Project::new(&t);
    fs::write(project.dir.path().join("x"), "x").unwrap();
    let (built, news) = project.build(&t, "ARG WHO\nCOPY x /x\nRUN echo built by $WHO").await;
    let id = built.unwrap();
    // Of this run: a step whose text was built before comes from the cache, and says nothing.
    let here = &t.project;
    assert!(news.contains(&line(&format!("built by {here}"))), "{news:?}");
    assert!(news.iter().any(|n| matches!(n, BuildNews::Step(s) if s.contains("RUN echo built by"))), "{news:?}");
    let image = t.engine.image(&project.tag).await.unwrap().unwrap();
    assert_eq!((image.id.as_str(), image.labels), (id.as_str(), t.labels()));

    // Stages and platforms.
    project.build.target = Some("first".to_owned());
    let stages =
        format!("RUN echo early\nFROM {SHELL} AS first\nRUN echo first {here}\nFROM first\nRUN echo last {here}");
    let (built, news) = project.build(&t, &stages).await;
    built.unwrap();
    let said = |words: &str| news.contains(&line(&format!("{words} {here}")));
    assert!(said("first") && !said("last"), "{news:?}");
    project.build.target = None;
    project.build.platform = Some(format!("linux/{}", t.engine.facts().arch));
    project.build(&t, "RUN echo here").await.0.unwrap();

    let (built, _) = project.build(&t, "RUN echo one; echo two >&2; exit 9").await;
    let error = built.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Build, "{error}");
    assert!(error.message.contains("RUN echo one") && error.message.ends_with(": exit code: 9"), "{error}");
    let said: BTreeSet<&str> = error.log.iter().map(String::as_str).collect();
    assert_eq!(said, BTreeSet::from(["one", "two"]));
    let (built, _) = project.build(&t, "COPY nothing /").await;
    assert!(built.unwrap_err().message.contains("nothing"));
}

#[tokio::test]
async fn a_cache_lasts_from_build_to_build() {
    let t = real("cache").await;
    shell_image().await;
    let project = Project::new(&t);
    let cache = format!("--mount=type=cache,id={},target=/c", t.project);
    for (round, wanted) in [("one", &["one"][..]), ("two", &["one", "two"])] {
        let (built, news) = project.build(&t, &format!("RUN {cache} echo {round} >> /c/n && cat /c/n")).await;
        built.unwrap();
        let lines: Vec<_> = news.into_iter().filter(|n| *n == line("one") || *n == line("two")).collect();
        assert_eq!(lines, wanted.iter().map(|w| line(w)).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_secret_is_for_its_step_alone() {
    let t = real("secret").await;
    shell_image().await;
    let mut project = Project::new(&t);
    let name = SecretName::parse("npm_token").unwrap();
    project.build.secrets = BTreeSet::from([name.clone()]);
    project.secrets = BTreeMap::from([(name.to_string(), Secret::new(TOKEN))]);
    let read = format!(
        "RUN --mount=type=secret,id=npm_token,required=true read t < /run/secrets/npm_token || true; \
                echo \"it is $t, of ${{#t}}\"; echo {} > /made; cat /run/secrets/*",
        t.project
    );
    let (built, news) = project.build(&t, &read).await;
    built.unwrap();
    assert!(news.contains(&line("it is [secret], of 24")), "the step has it, and nobody sees it: {news:?}");
    assert!(!format!("{news:?}").contains(TOKEN));

    // Not in the history, the configuration, nor any layer.
    let docker = |args: &[&str]| Command::new("docker").args(args).output().unwrap();
    let mut places = docker(&["history", "--no-trunc", "--format", "{{json .}}", &project.tag]).stdout;
    places.extend(docker(&["inspect", &project.tag]).stdout);
    places.extend(docker(&["save", &project.tag]).stdout);
    assert!(places.len() > 1 << 20, "the image was saved");
    assert!(!places.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes()));

    // A step that fails tells its lines, and not the value either.
    let (built, _) = project.build(&t, &format!("{read}; exit 3")).await;
    let error = built.unwrap_err();
    assert!(error.log.contains(&"it is [secret], of 24".to_owned()), "{error:?}");
    assert!(!format!("{error:?}").contains(TOKEN));

    // What is asked for and not given.
    project.secrets.clear();
    let error = project.build(&t, &format!("{read}; true")).await.0.unwrap_err();
    assert!(error.message.contains("npm_token"), "{error}");
}

#[tokio::test]
async fn what_this_engine_s_buildkit_does_not_know_is_refused_before_anything_is_sent() {
    let t = real("newer").await;
    shell_image().await;
    let project = Project::new(&t);
    let (built, news) = project.build(&t, "RUN <<EOF\necho from a document\nEOF").await;
    if t.engine.can(Capability::HereDocuments) {
        built.unwrap();
        assert!(news.contains(&line("from a document")), "{news:?}");
    } else {
        let error = built.unwrap_err();
        let version = &t.engine.facts().version;
        let end = format!("Dockerfile:2: `RUN <<` (a here-document) needs Docker Engine 23.0, and this is {version}");
        assert!(error.message == end && news.is_empty(), "{error} {news:?}");
        assert!(error.hint().unwrap().contains("# syntax=docker/dockerfile:1"));
    }
}

#[tokio::test]
async fn the_disk_s_room_is_the_same_from_here_and_from_a_container() {
    let t = real("disk").await;
    let here = t.engine.disk().await.unwrap();
    assert!(here.total.0 > here.free.0 && here.free.0 > 0, "{here:?}");
    // Through a port the engine is any engine: a container is asked.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut engine = tokio::net::UnixStream::connect("/var/run/docker.sock").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut engine).await;
            });
        }
    });
    let env = stackctl::base::env::Env::default();
    let engine = stackctl::engine::Engine::connect(Some(&address), &env).await.unwrap();
    assert!(!engine.facts().local);
    let there = engine.disk().await.unwrap();
    assert_eq!(there.total, here.total);
    assert!(there.free.0.abs_diff(here.free.0) < 4 << 30, "others write meanwhile: {here:?} {there:?}");
    engine.reclaimable().await.unwrap();

    // A build over TCP, session and all.
    shell_image().await;
    let mut project = Project::new(&t);
    project.secrets = BTreeMap::from([("npm_token".to_owned(), Secret::new(TOKEN))]);
    let over = Real { engine, project: t.project.clone() };
    let mount = "--mount=type=secret,id=npm_token,required=true";
    let step = format!("RUN {mount} cat /run/secrets/npm_token; echo {} over a port", t.project);
    let (built, news) = project.build(&over, &step).await;
    built.unwrap();
    assert!(news.iter().any(|n| matches!(n, BuildNews::Line(l) if l.ends_with("over a port"))), "{news:?}");
}
