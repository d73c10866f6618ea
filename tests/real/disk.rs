//! An engine whose disk is nearly full.

use std::fs;

use super::second::{Engine, as_root};
use super::support::{Site, turn};

#[test]
fn a_disk_that_is_nearly_full_is_left_alone() {
    let turn = turn();
    let mut engine = Engine::new();
    let data = engine.at("docker").display().to_string();
    fs::create_dir(&data).unwrap();
    assert!(as_root("mount", &["-t", "tmpfs", "-o", "size=150m", "tmpfs", &data]).status().unwrap().success());
    engine.start();
    let stack =
        "name = \"t-disk\"\n\n[services.app]\nimage = \"127.0.0.1:9/acme/app:1\"\ncommand = [\"sleep\", \"9\"]\n";
    let site = Site::on(Some(engine.elsewhere()), Some(turn), stack, "t-disk", 0);
    let up = || site.run(&["up", "--yes", "--no-verify"], &[]);
    up().ends(1)
        .says("the engine's disk has 14")
        .says("MiB free of 150 MiB; a pull wants 256 MiB at least")
        .says("`stackctl prune` removes this stack's old images and volumes");
    let left = site.docker(&["images", "--format", "{{.Repository}}"]);
    assert!(!left.contains("acme"), "{left}");
    // A build is sent its context, which is unpacked beside the layers it becomes.
    fs::write(site.folder().join("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
    fs::write(site.folder().join("large"), vec![b'x'; 100 << 20]).unwrap();
    site.write(&stack.replace("image = \"127.0.0.1:9/acme/app:1\"", "build = \".\""));
    assert!(as_root("mount", &["-o", "remount,size=400m", &data]).status().unwrap().success());
    up().ends(1).says("what is built here wants 456 MiB at least");
    // With room, it goes on.
    site.write(stack);
    up().ends(1).says("could not pull 127.0.0.1:9/acme/app:1");
}
