//! Containers, networks, events, logs, builds.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bollard::Docker;
use futures_util::StreamExt;
use stackctl::base::secret::Secret;
use stackctl::base::units::{ByteSize, Span};
use stackctl::engine::ErrorKind;
use stackctl::engine::events::Action;
use stackctl::engine::logs::{Wanted, merged};
use stackctl::model::artifact::Artifact;
use stackctl::model::container::{
    Attachment, EngineHealth, EnvValue, Mount, NetworkSpec, Publish, Subnet, VolumeSpec, label,
};
use stackctl::model::runtime::{Device, Logging, Reserve, Runtime, Ulimit};

use crate::support::{Real, SHELL, real, shell_image};

/// A /24 that no other test run has.
fn subnet(test: u8) -> Subnet {
    let [low, high, ..] = std::process::id().to_le_bytes();
    Subnet(Ipv4Addr::new(10, 200 + (high ^ test) % 50, low, 0))
}

async fn networks(t: &Real, specs: &[(&str, Subnet, bool)]) -> Vec<String> {
    let mut names = Vec::new();
    for (key, subnet, internal) in specs {
        let name = format!("{}_{key}", t.project);
        let spec = NetworkSpec { name: name.clone(), subnet: *subnet, internal: *internal, labels: t.labels() };
        t.engine.create_network(&spec).await.unwrap();
        names.push(name);
    }
    names
}

async fn pid(id: &str) -> i64 {
    let docker = Docker::connect_with_unix_defaults().unwrap();
    docker.inspect_container(id, None).await.unwrap().state.unwrap().pid.unwrap()
}

/// Gateway of the default route in a container's network namespace.
async fn default_route(id: &str) -> Option<Ipv4Addr> {
    let routes = std::fs::read_to_string(format!("/proc/{}/net/route", pid(id).await)).unwrap();
    let line = routes.lines().skip(1).find(|l| l.split_whitespace().nth(1) == Some("00000000"))?;
    let gateway = u32::from_str_radix(line.split_whitespace().nth(2)?, 16).ok()?;
    Some(Ipv4Addr::from(gateway.to_le_bytes()))
}

/// Docker before 28 chooses the default gateway by the networks' names; an internal network must not win.
#[tokio::test]
async fn two_networks_with_fixed_addresses_and_a_way_out() {
    let t = real("nets").await;
    shell_image().await;
    let names =
        networks(&t, &[("a-data", subnet(1), true), ("m-front", subnet(2), false), ("z-data", subnet(3), true)]).await;
    for order in [[0, 1, 2], [1, 0, 2], [2, 0, 1]] {
        let mut spec = t.spec("app", "sleep 60");
        spec.networks = order
            .iter()
            .map(|n| Attachment {
                network: names[*n].clone(),
                address: Some(subnet(u8::try_from(*n).unwrap() + 1).host(7)),
                aliases: vec!["app".into()],
            })
            .collect();
        let id = t.engine.create(&spec).await.unwrap();
        t.engine.start(&id).await.unwrap();
        let observed = t.engine.observe(&t.project, &[]).await.unwrap();
        let container = &observed.containers[0];
        for n in order {
            let wanted = subnet(u8::try_from(n).unwrap() + 1).host(7);
            assert_eq!(container.networks[&names[n]], Some(wanted), "{}", names[n]);
        }
        let route = default_route(&id).await;
        println!("networks in order {order:?}: default route {route:?}");
        assert_eq!(route, Some(subnet(2).gateway()), "order {order:?}");
        t.engine.remove(&id, true).await.unwrap();
    }
    let front = t.engine.observe(&t.project, &[]).await.unwrap();
    let front = front.networks.iter().find(|n| n.name == names[1]).unwrap();
    assert_eq!((front.internal, front.subnets.as_slice()), (false, [(subnet(2).host(0), 24)].as_slice()));

    let taken =
        NetworkSpec { name: format!("{}_x", t.project), subnet: subnet(2), internal: false, labels: t.labels() };
    let error = t.engine.create_network(&taken).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AddressTaken, "{error}");
    let mut specs = ["one", "two"].map(|service| t.spec(service, "sleep 60"));
    for spec in &mut specs {
        let address = Some(subnet(2).host(9));
        spec.networks = vec![Attachment { network: names[1].clone(), address, aliases: Vec::new() }];
    }
    t.engine.start(&t.engine.create(&specs[0]).await.unwrap()).await.unwrap();
    let second = t.engine.create(&specs[1]).await.unwrap();
    let error = t.engine.start(&second).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AddressTaken, "{error}");
    for spec in &specs {
        t.engine.remove(&spec.name, true).await.unwrap();
    }
    for name in &names {
        t.engine.remove_network(name).await.unwrap();
        t.engine.remove_network(name).await.unwrap();
    }
}

#[tokio::test]
async fn a_hardened_container_has_what_it_was_given_and_no_more() {
    let t = real("hard").await;
    shell_image().await;
    let volume = format!("{}_data", t.project);
    t.engine.create_volume(&VolumeSpec { name: volume.clone(), labels: t.labels() }).await.unwrap();
    let mut spec = t.spec("app", "trap 'echo hup; echo $PASSWORD > /tmp/got' HUP; while :; do sleep 0.1; done");
    spec.env = BTreeMap::from([
        ("PATH".to_owned(), EnvValue::Plain("/bin".into())),
        ("PASSWORD".to_owned(), EnvValue::Secret(Secret::new("pw"))),
    ]);
    spec.tmpfs = BTreeMap::from([("/tmp".to_owned(), "size=1m,mode=1777".to_owned())]);
    spec.mounts = vec![Mount { volume, subpath: None, target: "/data".into(), read_only: false, no_copy: true }];
    spec.cap_add = vec!["NET_BIND_SERVICE".into()];
    (spec.memory, spec.cpus, spec.pids) = (Some(ByteSize(64 << 20)), Some(0.5), Some(20));
    (spec.init, spec.user) = (true, Some("1234:1234".into()));
    let id = t.engine.create(&spec).await.unwrap();
    t.engine.start(&id).await.unwrap();

    let docker = Docker::connect_with_unix_defaults().unwrap();
    let info = docker.inspect_container(&id, None).await.unwrap();
    let host = info.host_config.unwrap();
    assert_eq!((host.memory, host.nano_cpus, host.pids_limit), (Some(64 << 20), Some(500_000_000), Some(20)));
    assert_eq!((host.readonly_rootfs, host.network_mode.as_deref()), (Some(true), Some("none")));
    assert_eq!(host.log_config.unwrap().config.unwrap()["max-size"], "10m");
    let status = std::fs::read_to_string(format!("/proc/{}/status", info.state.unwrap().pid.unwrap())).unwrap();
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!((field("CapBnd:").as_str(), field("NoNewPrivs:").as_str()), ("0000000000000400", "1"));

    let sh = |script: &str| ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let (code, output) = t.engine.exec(&id, &sh("echo out; echo err >&2; echo x > /nope; exit 7")).await.unwrap();
    assert_eq!(code, 7);
    assert!(output.contains("out\n") && output.contains("err\n") && output.contains("Read-only"), "{output}");
    let (code, output) = t.engine.exec(&id, &sh("while :; do echo 0123456789; done | { i=0; while [ $i -lt 9999 ]; do read l; echo $l; i=$((i+1)); done; }")).await.unwrap();
    assert_eq!((code, output.len()), (0, 64 << 10), "capped");
    let error = t.engine.exec(&id, &["/no/such".to_owned()]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSuchCommand, "{error}");

    t.engine.kill(&id, "HUP").await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(t.engine.exec(&id, &sh("cat /tmp/got")).await.unwrap(), (0, "pw\n".to_owned()));
    assert_eq!(t.engine.logs_tail(&id, 5).await.unwrap(), ["hup"]);
    t.engine.rename(&id, &format!("{}-other-1", t.project)).await.unwrap();
    let begin = Instant::now();
    t.engine.stop(&id, Span::seconds(5)).await.unwrap();
    println!("stopped in {:?}", begin.elapsed());
    t.engine.stop(&id, Span::seconds(5)).await.unwrap();
    let exit = t.engine.inspect_exit(&id).await.unwrap();
    assert!(!exit.running && exit.exit_code != 0 && !exit.oom_killed, "{exit:?}");
    t.engine.remove(&id, false).await.unwrap();
    t.engine.remove(&id, false).await.unwrap();
    t.engine.stop(&id, Span::seconds(5)).await.unwrap();
    assert_eq!(t.engine.inspect_exit(&id).await.unwrap_err().kind, ErrorKind::NotFound);
}

/// Everything a service can say about how it runs, in one container: as the engine has it, and as it is inside.
#[tokio::test]
async fn a_container_runs_as_it_was_asked_to() {
    let t = real("runs").await;
    shell_image().await;
    let volume = format!("{}_files", t.project);
    t.engine.create_volume(&VolumeSpec { name: volume.clone(), labels: t.labels() }).await.unwrap();
    let script = Artifact { mode: 0o555, ..Artifact::plain(".files/1/run", "#!/bin/sh\necho ran\n") };
    let files = [Artifact::plain(".files/0", "level = 1\n"), script, Artifact::plain(".files/1/deep/er", "x")];
    t.engine.write_files(&volume, &files, &[]).await.unwrap();
    let mut spec = t.spec("app", "while :; do sleep 0.1; done");
    let part = |part: &str, target: &str| Mount {
        volume: volume.clone(),
        subpath: Some(part.into()),
        target: target.into(),
        read_only: true,
        no_copy: true,
    };
    spec.mounts = vec![part(".files/0", "/etc/app.toml"), part(".files/1", "/etc/app")];
    // A mount point cannot be made in a read-only root; the engine makes it in the layer before.
    spec.read_only = true;
    spec.runtime = Runtime {
        working_dir: Some("/etc/app".into()),
        shm_size: Some(ByteSize(8 << 20)),
        reserve: Reserve { cpus: Some(0.25), memory: Some(ByteSize(32 << 20)) },
        ulimits: [
            ("nofile".to_owned(), Ulimit { soft: 100, hard: 200 }),
            ("core".to_owned(), Ulimit { soft: 0, hard: 0 }),
        ]
        .into(),
        devices: vec![Device { host: "/dev/null".into(), container: "/dev/nothing".into(), permissions: "rw".into() }],
        extra_hosts: [("legacy".to_owned(), "10.9.8.7".to_owned())].into(),
        dns: vec!["10.9.8.53".parse().unwrap()],
        labels: [("org.example/team".to_owned(), "web".to_owned()), (label::PROJECT.to_owned(), "not ours".to_owned())]
            .into(),
        logging: Some(Logging { driver: "local".into(), options: [("max-size".to_owned(), "5m".to_owned())].into() }),
    };
    let id = t.engine.create(&spec).await.unwrap();
    t.engine.start(&id).await.unwrap();

    let docker = Docker::connect_with_unix_defaults().unwrap();
    let info = docker.inspect_container(&id, None).await.unwrap();
    let host = info.host_config.unwrap();
    assert_eq!((host.memory_reservation, host.cpu_shares, host.shm_size), (Some(32 << 20), Some(256), Some(8 << 20)));
    let log = host.log_config.unwrap();
    assert_eq!((log.typ.as_deref(), log.config.unwrap()["max-size"].as_str()), (Some("local"), "5m"));
    assert_eq!(host.dns.as_deref(), Some(["10.9.8.53".to_owned()].as_slice()));
    let limits = host.ulimits.unwrap().into_iter();
    let limits: Vec<_> = limits.map(|l| (l.name.unwrap(), l.soft.unwrap(), l.hard.unwrap())).collect();
    assert!(limits.contains(&("nofile".to_owned(), 100, 200)), "{limits:?}");
    let config = info.config.unwrap();
    let labels = config.labels.unwrap();
    assert_eq!(labels["org.example/team"], "web");
    assert_eq!(labels[label::PROJECT], t.project.to_string(), "ours win");

    let sh = |script: &str| ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    for (script, seen) in [
        ("pwd", "/etc/app\n"),
        ("./run; cat deep/er; cat /etc/app.toml", "ran\nxlevel = 1\n"),
        // The soft limit of files is the engine's word above: runc 1.1 now and then gives commands the hard one.
        ("ulimit -Hn; ulimit -c", "200\n0\n"),
        ("cat </dev/nothing; echo x >/dev/nothing && echo gone", "gone\n"),
        ("while read a b; do case $b in legacy) echo $a;; esac; done </etc/hosts", "10.9.8.7\n"),
        (
            "while read a b c; do case $b in /dev/shm) echo $c;; esac; done </proc/mounts",
            "tmpfs rw,nosuid,nodev,noexec,relatime,size=8192k 0 0\n",
        ),
    ] {
        assert_eq!(t.engine.exec(&id, &sh(script)).await.unwrap(), (0, seen.to_owned()), "{script}");
    }
    for script in ["echo x >/etc/app.toml", "echo x >/etc/app/new"] {
        let (code, output) = t.engine.exec(&id, &sh(script)).await.unwrap();
        assert!(code != 0 && output.contains("Read-only"), "{script}: {output}");
    }
    // A part that is not there is an error, never an empty folder made by the engine.
    spec.name = format!("{}-other-1", t.project);
    spec.mounts = vec![part(".files/7", "/etc/app.toml")];
    let error = t.engine.create(&spec).await.unwrap_err();
    assert!(error.message.contains("does not exist"), "{error}");
}

#[tokio::test]
async fn what_goes_wrong_at_the_start_has_a_kind() {
    let t = real("wrong").await;
    shell_image().await;
    let mut spec = t.spec("cmd", "");
    spec.entrypoint = Some(vec!["no-such-program".into()]);
    let id = t.engine.create(&spec).await.unwrap();
    let error = t.engine.start(&id).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSuchCommand, "{error}");
    assert!(error.hint().is_some());

    let front = networks(&t, &[("front", subnet(4), false)]).await;
    let attach = || vec![Attachment { network: front[0].clone(), address: None, aliases: Vec::new() }];
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host_port = taken.local_addr().unwrap().port();
    let mut spec = t.spec("port", "sleep 60");
    spec.ports = vec![Publish { address: Ipv4Addr::LOCALHOST, host_port, container_port: 80 }];
    spec.networks = attach();
    let id = t.engine.create(&spec).await.unwrap();
    let error = t.engine.start(&id).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PortTaken, "{error}");
    drop(taken);
    t.engine.start(&id).await.unwrap();
    let observed = t.engine.observe(&t.project, &[SHELL.into(), "no/such:1".into()]).await.unwrap();
    let seen = observed.containers.iter().find(|c| c.id == id).unwrap();
    assert_eq!(seen.ports, [("127.0.0.1".to_owned(), host_port, 80)]);
    assert_eq!(observed.images.keys().collect::<Vec<_>>(), [SHELL]);
    spec.name = format!("{}-port-2", t.project);
    let second = t.engine.create(&spec).await.unwrap();
    let error = t.engine.start(&second).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PortTaken, "{error}");

    assert_eq!(t.engine.create(&spec).await.unwrap_err().kind, ErrorKind::Conflict);
    spec.image = "no/such:1".into();
    spec.name = format!("{}-image-1", t.project);
    assert_eq!(t.engine.create(&spec).await.unwrap_err().kind, ErrorKind::ImageNotFound);
    spec.image = SHELL.into();
    spec.ports.clear();
    // Engines differ in when they notice: 20.10 at the start, others at the connect, which leaves no container behind.
    spec.networks.push(Attachment { network: "no-such-network".into(), address: None, aliases: Vec::new() });
    let result = match t.engine.create(&spec).await {
        Ok(id) => t.engine.start(&id).await,
        Err(error) => Err(error),
    };
    assert_eq!(result.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn events_tell_what_happens() {
    let t = real("events").await;
    shell_image().await;
    let mut events = t.engine.subscribe(&t.project).await.unwrap();
    let mut spec = t.spec("app", "sleep 2; exit 3");
    spec.health = Some(EngineHealth {
        command: vec!["/bin/sh".into(), "-c".into(), "echo fine".into()],
        interval: Span(Duration::from_millis(300)),
        timeout: Span::seconds(2),
        retries: 3,
        start_period: Span::seconds(5),
    });
    let id = t.engine.create(&spec).await.unwrap();
    t.engine.start(&id).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let event = tokio::time::timeout(Duration::from_secs(8), events.next()).await.unwrap().unwrap().unwrap();
        assert_eq!((event.container.as_str(), event.service.as_str()), (id.as_str(), "app"));
        if event.action == Action::Health("healthy".into()) {
            let info = t.engine.inspect_exit(&id).await.unwrap();
            assert_eq!((info.health.as_str(), info.health_output.as_str()), ("healthy", "fine"));
        }
        seen.push(event.action);
    }
    assert_eq!(seen, [Action::Start, Action::Health("healthy".into()), Action::Die(3)]);
    assert_eq!(t.engine.wait_exit(&id).await.unwrap(), 3);
    t.engine.remove(&id, false).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().action, Action::Destroy);
}

#[tokio::test]
async fn logs_of_several_containers_come_line_by_line() {
    let t = real("logs").await;
    shell_image().await;
    let mut sources = Vec::new();
    for name in ["a", "b"] {
        let id = t.engine.create(&t.spec(name, "echo one; echo two >&2; sleep 0.3; echo three")).await.unwrap();
        t.engine.start(&id).await.unwrap();
        sources.push((id, format!("{name}-1")));
    }
    let all: Vec<_> = t.engine.follow(&sources[0].0, Wanted::default()).map(|l| l.unwrap()).collect().await;
    let texts: Vec<_> = all.iter().map(|l| (l.text.as_str(), l.error)).collect();
    assert_eq!(texts.last(), Some(&("three", false)));
    assert!(texts.contains(&("one", false)) && texts.contains(&("two", true)), "{texts:?}");
    t.engine.wait_exit(&sources[1].0).await.unwrap();
    let logs = sources.iter().map(|(id, name)| (name.clone(), t.engine.log(id, Wanted::default())));
    let both: Vec<_> = merged(logs.collect()).map(|l| l.unwrap()).collect().await;
    assert_eq!(both.len(), 6);
    assert!(both.is_sorted_by_key(|(_, line)| line.time.clone()), "{both:?}");
    let last: Vec<_> = t.engine.log(&sources[0].0, Wanted { tail: Some(1), since: None }).collect().await;
    assert_eq!(last[0].as_ref().unwrap().text, "three");
}

#[tokio::test]
async fn ten_containers_are_observed_at_once() {
    let t = real("ten").await;
    shell_image().await;
    t.engine.create_state(&t.project, "", t.labels()).await.unwrap();
    for n in 0..10 {
        let id = t.engine.create(&t.spec(&format!("s{n}"), "sleep 60")).await.unwrap();
        t.engine.start(&id).await.unwrap();
    }
    let images = [SHELL.to_owned(), "no/such:1".to_owned()];
    let begin = Instant::now();
    let rounds = 10;
    for _ in 0..rounds {
        let seen = t.engine.observe(&t.project, &images).await.unwrap();
        assert_eq!((seen.containers.len(), seen.volumes.len(), seen.state.is_some()), (11, 1, true));
    }
    println!("observed in {:?} each", begin.elapsed() / rounds);
}

/// An image's `VOLUME` makes a volume at every start that nobody finds again: it goes with its container, and no other.
#[tokio::test]
async fn volumes_of_an_image_go_with_the_container_and_named_ones_stay() {
    let t = real("anon").await;
    shell_image().await;
    let image = format!("{}:anon", t.project);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Dockerfile"), format!("FROM {SHELL}\nVOLUME /cache /data\n")).unwrap();
    let docker = |args: &[&str]| {
        let output = std::process::Command::new("docker").args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    docker(&["build", "-q", "-t", &image, folder.path().to_str().unwrap()]);
    let named = VolumeSpec { name: format!("{}_data", t.project), labels: t.labels() };
    t.engine.create_volume(&named).await.unwrap();
    let mut spec = t.spec("app", "sleep 60");
    spec.image.clone_from(&image);
    spec.mounts = vec![Mount {
        volume: named.name.clone(),
        subpath: None,
        target: "/data".into(),
        read_only: false,
        no_copy: false,
    }];
    let id = t.engine.create(&spec).await.unwrap();
    t.engine.start(&id).await.unwrap();
    let mounts = docker(&["inspect", "-f", "{{range .Mounts}}{{.Name}} {{end}}", &id]);
    let unnamed = mounts.split_whitespace().find(|m| **m != named.name).expect("a volume of the image").to_owned();
    t.engine.remove_with_volumes(&id).await.unwrap();
    t.engine.remove_with_volumes(&id).await.unwrap();
    let left = docker(&["volume", "ls", "-q"]);
    assert!(!left.lines().any(|v| v == unnamed), "{unnamed} is left");
    assert!(left.lines().any(|v| v == named.name), "{} is gone", named.name);
    docker(&["image", "rm", &image]);
}
