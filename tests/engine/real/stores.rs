//! What is kept on the engine: state, files, and the program that carries them.

use std::collections::BTreeMap;
use std::time::Instant;

use bollard::Docker;
use stackctl::base::name::SecretName;
use stackctl::base::secret::Secret;
use stackctl::engine::state::{carrier_name, file, secret_file, volume_name};
use stackctl::model::artifact::Artifact;
use stackctl::model::container::{Mount, VolumeSpec, label};
use stackctl::model::state::{AuditEntry, Record, Release, with_release};

use crate::support::{real, shell_image};

#[tokio::test]
async fn the_holder_runs_and_ends_with_its_input() {
    let t = real("holder").await;
    t.engine.ensure_holder().await.unwrap();
    let mut spec = t.spec("h", "");
    spec.image = "stackctl/holder:2".into();
    (spec.entrypoint, spec.command) = (Some(vec!["/holder".into()]), None);
    let id = t.engine.create(&spec).await.unwrap();
    t.engine.start(&id).await.unwrap();
    assert_eq!(t.engine.wait_exit(&id).await.unwrap(), 0, "no input: it ends at once, and well");
}

#[tokio::test]
async fn state_is_kept_and_secrets_are_for_their_owner() {
    let t = real("state").await;
    assert!(t.engine.read_state(&t.project).await.unwrap().is_none());
    let mut labels = t.labels();
    labels.insert(label::COMPOSE_PROJECT.into(), t.project.to_string());
    let begin = Instant::now();
    let made = t.engine.create_state(&t.project, "staging", labels.clone()).await.unwrap();
    println!("state made in {:?}", begin.elapsed());
    assert_eq!((made.key.len(), made.stage.as_str()), (32, "staging"));

    let name = SecretName::parse("pg_password").unwrap();
    let files = [secret_file(&name, &Secret::new("p/w\n")), Artifact::plain(format!("{}/proxy", file::APPLIED), "abc")];
    t.engine.write_state(&t.project, &files).await.unwrap();
    let again = t.engine.create_state(&t.project, "other", labels).await.unwrap();
    assert_eq!((again.key, again.stage), (made.key.clone(), made.stage), "what exists stays");
    assert_eq!(again.secrets[&name].expose(), "p/w\n");
    assert_eq!(again.applied["proxy"], "abc");
    assert!(again.releases.is_empty());

    let raw = t.engine.read_files(&volume_name(&t.project), "").await.unwrap();
    for (path, entry) in &raw {
        let wanted = if path.starts_with("now/applied/") { 0o444 } else { 0o600 };
        assert_eq!((entry.mode, entry.uid), (wanted, 0), "{path}");
    }

    let docker = Docker::connect_with_unix_defaults().unwrap();
    let carrier = docker.inspect_container(&carrier_name(&t.project), None).await.unwrap();
    assert_eq!(carrier.state.and_then(|s| s.running), Some(true));
    let labels = carrier.config.unwrap().labels.unwrap();
    assert!(!labels.keys().any(|l| l.starts_with("com.docker.compose")), "{labels:?}");

    t.engine.remove_state_files(&t.project, &["secrets/pg_password".into()]).await.unwrap();
    let begin = Instant::now();
    t.engine.stop(&carrier_name(&t.project), stackctl::base::units::Span::seconds(10)).await.unwrap();
    assert!(begin.elapsed().as_secs() < 3, "its stop signal is one it obeys");
    let state = t.engine.read_state(&t.project).await.unwrap().expect("readable while the carrier is stopped");
    assert!(state.secrets.is_empty(), "forgotten");
    t.engine.remove(&carrier_name(&t.project), true).await.unwrap();
    let state = t.engine.read_state(&t.project).await.unwrap().expect("readable without the carrier");
    assert_eq!(state.key, made.key);
    let back = t.engine.create_state(&t.project, "", BTreeMap::new()).await.unwrap();
    assert_eq!(back.key, made.key, "a new carrier finds the old key");
}

#[tokio::test]
async fn releases_are_kept_apart_from_what_every_run_reads() {
    let t = real("releases").await;
    t.engine.create_state(&t.project, "", t.labels()).await.unwrap();
    let loaded = stackctl::config::load("name = \"x\"\n[services.app]\nimage = \"a:1\"\n", None, &BTreeMap::new());
    let stack = loaded.stack.unwrap();
    let name = SecretName::parse("token").unwrap();
    let mut all: Vec<Release> = Vec::new();
    for number in 1..=12 {
        let mut release = Release { number, by: "ada@laptop".into(), result: "done".into(), ..Release::default() };
        let (kept, _, slot) = with_release(all, release.clone());
        release.slot = slot;
        let record = Record {
            release,
            stack: stack.clone(),
            text: "x".repeat(100_000),
            mirror: None,
            project_files: BTreeMap::new(),
            contexts: BTreeMap::new(),
            images: BTreeMap::new(),
            parts: BTreeMap::new(),
            steps: vec!["create x: because".into()],
            logs: BTreeMap::from([("x-app-1".into(), vec!["hello".into()])]),
            secrets: BTreeMap::from([(name.clone(), Secret::new(format!("value {number}")))]),
        };
        t.engine.write_release(&t.project, &record, &kept).await.unwrap();
        all = kept;
    }
    let state = t.engine.read_state(&t.project).await.unwrap().unwrap();
    assert_eq!(state.releases, all);
    assert_eq!(state.releases.len(), 10);
    let last = t.engine.read_release(&t.project, &state.releases[9]).await.unwrap().unwrap();
    assert_eq!((last.release.number, last.secrets[&name].expose(), &last.stack), (12, "value 12", &stack));
    let gone = Release { number: 1, slot: all[0].slot, ..Release::default() };
    assert!(t.engine.read_release(&t.project, &gone).await.unwrap().is_none(), "its place is another's now");

    let raw = t.engine.read_files(&volume_name(&t.project), "").await.unwrap();
    let hot: usize = raw.iter().filter(|(p, _)| p.starts_with("now/")).map(|(_, e)| e.content.len()).sum();
    assert!(hot < 4096, "{hot} bytes are read by every run");
    assert!(raw.iter().all(|(path, e)| e.mode == 0o600 || path.starts_with("now/applied/")), "for the owner only");
    let places = raw.keys().filter(|p| p.ends_with("/record.json")).count();
    assert!(places <= 11, "{places}");

    assert!(t.engine.read_audit(&t.project).await.unwrap().is_empty());
    let entry = AuditEntry { at: 5, by: "ada@laptop".into(), what: "up".into(), ..AuditEntry::default() };
    t.engine.write_audit(&t.project, &entry).await.unwrap();
    t.engine.remove(&carrier_name(&t.project), true).await.unwrap();
    assert_eq!(t.engine.read_audit(&t.project).await.unwrap(), [entry], "without the carrier, too");
}

#[tokio::test]
async fn files_arrive_with_owner_mode_and_links() {
    let t = real("files").await;
    let volume = format!("{}_app_files", t.project);
    t.engine.create_volume(&VolumeSpec { name: volume.clone(), labels: t.labels() }).await.unwrap();
    let release = |hash: &str, text: &str| {
        [
            Artifact::plain(format!("releases/{hash}/app.conf"), text),
            Artifact::secret(format!("releases/{hash}/secrets/pw"), Secret::new(text), Some(999)),
        ]
    };
    let link = |hash: &str| [("current".to_owned(), format!("releases/{hash}"))];
    let begin = Instant::now();
    t.engine.write_files(&volume, &release("a", "one"), &link("a")).await.unwrap();
    println!("files written in {:?}", begin.elapsed());
    t.engine.write_files(&volume, &release("b", "two"), &link("b")).await.unwrap();
    let seen = t.engine.read_files(&volume, "").await.unwrap();
    assert_eq!(seen["current"].link.as_deref(), Some("releases/b"));
    assert_eq!(seen["releases/a/app.conf"].content, b"one", "the old release stays");
    let secret = &seen["releases/b/secrets/pw"];
    assert_eq!((secret.mode, secret.uid, secret.content.as_slice()), (0o400, 999, b"two".as_slice()));
    t.engine.write_files(&volume, &[], &link("a")).await.unwrap();
    let back = t.engine.read_files(&volume, "").await.unwrap();
    assert_eq!(back["current"].link.as_deref(), Some("releases/a"), "a roll-back is a flip");
    assert!(t.engine.read_files(&volume, "releases/none").await.is_err());

    let docker = Docker::connect_with_unix_defaults().unwrap();
    let left = docker.inspect_container(&format!("{volume}-stackctl-files"), None).await;
    assert!(left.is_err(), "the carrier is gone");
    t.engine.remove_volume(&volume).await.unwrap();
    t.engine.remove_volume(&volume).await.unwrap();
}

/// What somebody reads is there all the time while it is replaced: links, and files under the name that they have.
#[tokio::test]
async fn what_is_replaced_is_never_away() {
    shell_image().await;
    let t = real("replaced").await;
    let volume = format!("{}_door_files", t.project);
    t.engine.create_volume(&VolumeSpec { name: volume.clone(), labels: t.labels() }).await.unwrap();
    let release = |text: &str, more: &str| {
        [
            Artifact::plain("releases/x/door.conf", "the same"),
            Artifact::secret("releases/x/certs/site.key", Secret::new(text), Some(101)),
            Artifact::plain(format!("releases/x/{more}"), text),
        ]
    };
    let link = |to: &str| BTreeMap::from([("current".to_owned(), format!("releases/{to}"))]);
    t.engine.update_files(&volume, &release("0", "more/0")).await.unwrap();
    t.engine.replace_links(&volume, &link("x")).await.unwrap();
    // It looks as often as it can, and writes down what it misses.
    let mut reader = t.spec(
        "reader",
        "n=0; while [ ! -e /v/stop ]; do n=$((n+1)); [ -e /v/current ] || echo no link; \
         [ -e /v/releases/x/certs/site.key ] || echo no key; done; echo looked $n times",
    );
    reader.user = Some("101".to_owned());
    reader.mounts =
        vec![Mount { volume: volume.clone(), subpath: None, target: "/v".into(), read_only: true, no_copy: true }];
    t.engine.create(&reader).await.unwrap();
    t.engine.start(&reader.name).await.unwrap();
    for round in 1..6 {
        let begin = Instant::now();
        t.engine.update_files(&volume, &release(&round.to_string(), &format!("more/{round}"))).await.unwrap();
        let (written, begin) = (begin.elapsed(), Instant::now());
        t.engine.replace_links(&volume, &link(if round % 2 == 0 { "x" } else { "../releases/x" })).await.unwrap();
        println!("files {written:?}, link {:?}", begin.elapsed());
    }
    let seen = t.engine.read_files(&volume, "").await.unwrap();
    let key = &seen["releases/x/certs/site.key"];
    assert_eq!((key.mode, key.uid, key.content.as_slice()), (0o400, 101, b"5".as_slice()));
    assert_eq!(seen["current"].link.as_deref(), Some("releases/../releases/x"));
    let mut names: Vec<&str> = seen.keys().map(String::as_str).collect();
    names.retain(|name| !name.starts_with("releases/x/more/"));
    assert_eq!(names, ["current", "releases/x/certs/site.key", "releases/x/door.conf"], "nothing else is left");
    t.engine.write_files(&volume, &[Artifact::plain("stop", "")], &[]).await.unwrap();
    t.engine.wait_exit(&reader.name).await.unwrap();
    let said = t.engine.logs_tail(&reader.name, 20).await.unwrap();
    assert!(matches!(said.as_slice(), [one] if one.starts_with("looked ")), "{said:?}");

    // What is refused is said, and changes nothing.
    let folder = BTreeMap::from([("releases".to_owned(), "x".to_owned())]);
    let error = t.engine.replace_links(&volume, &folder).await.unwrap_err();
    assert!(error.message.contains("rename: Is a directory"), "{error:?}");
    assert!(t.engine.read_files(&volume, "releases/x").await.unwrap().contains_key("door.conf"));
    let docker = Docker::connect_with_unix_defaults().unwrap();
    let left = docker.inspect_container(&format!("{volume}-stackctl-files"), None).await;
    assert!(left.is_err(), "the carrier is gone");
}
