//! The lock: one at a time, and free as soon as its holder is dead.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptions;
use stackctl::base::env::Env;
use stackctl::engine::Engine;
use stackctl::engine::holder;
use stackctl::engine::lock::{LockError, lock_name};

use crate::support::{project, real};

#[tokio::test]
async fn one_at_a_time() {
    let t = real("lock").await;
    t.engine.ensure_holder().await.unwrap();
    let begin = Instant::now();
    let lock = t.engine.lock(&t.project, "ada@laptop", 1234).await.unwrap();
    println!("lock taken in {:?}", begin.elapsed());
    assert!(lock.is_open());
    let second = t.engine.lock(&t.project, "bob@ci", 5678).await;
    assert_eq!(second.err(), Some(LockError::Held { by: "ada@laptop".into(), since: 1234 }));
    let begin = Instant::now();
    lock.release().await.unwrap();
    println!("lock released in {:?}", begin.elapsed());
    let again = t.engine.lock(&t.project, "bob@ci", 1).await.unwrap();
    drop(again); // without a release it is free a moment later
    tokio::time::sleep(Duration::from_millis(700)).await;
    t.engine.lock(&t.project, "eve@ci", 1).await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_lock_that_was_taken_away_is_seen() {
    let t = real("taken").await;
    let lock = t.engine.lock(&t.project, "ada@laptop", 1).await.unwrap();
    t.engine.remove(&lock_name(&t.project), true).await.unwrap();
    let begin = Instant::now();
    while lock.is_open() && begin.elapsed() < Duration::from_secs(2) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!lock.is_open());
}

#[tokio::test]
async fn a_killed_holder_frees_it() {
    // The holder is another process: this test once more, told by a variable to take the lock and keep it.
    if let Ok(name) = std::env::var("STACKCTL_TEST_HOLD") {
        let engine = Engine::connect(None, &Env::default()).await.unwrap();
        let _lock = engine.lock(&project(&name), "other", 42).await.unwrap();
        println!("HELD");
        return tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let t = real("killed").await;
    t.engine.ensure_holder().await.unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "real::locks::a_killed_holder_frees_it", "--nocapture"])
        .env("STACKCTL_TEST_HOLD", t.project.as_str())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !lines.next().unwrap().unwrap().contains("HELD") {}
    assert!(matches!(t.engine.lock(&t.project, "me", 1).await, Err(LockError::Held { since: 42, .. })));
    let begin = Instant::now();
    child.kill().unwrap();
    child.wait().unwrap();
    let lock = loop {
        match t.engine.lock(&t.project, "me", 1).await {
            Ok(lock) => break lock,
            Err(LockError::Held { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    };
    println!("free (and taken again) {:?} after the kill", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    lock.release().await.unwrap();
}

#[tokio::test]
async fn a_holder_that_died_before_the_start_does_not_hold_it() {
    let t = real("stale").await;
    t.engine.ensure_holder().await.unwrap();
    let docker = Docker::connect_with_unix_defaults().unwrap();
    let body = ContainerCreateBody {
        image: Some(holder::IMAGE.into()),
        entrypoint: Some(vec!["/holder".into()]),
        ..Default::default()
    };
    let options = CreateContainerOptions { name: Some(lock_name(&t.project)), ..Default::default() };
    docker.create_container(Some(options), body).await.unwrap();
    let begin = Instant::now();
    let lock = t.engine.lock(&t.project, "me", 1).await.unwrap();
    assert!(begin.elapsed() > Duration::from_secs(2), "not at once: its holder may be about to start it");
    lock.release().await.unwrap();
}
