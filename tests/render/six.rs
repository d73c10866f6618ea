//! The stacks of the five guides and the example: every file that `render` writes for them, before every program that
//! reads it, old and new.

use std::path::{Path, PathBuf};
use std::process::Command;

use stackctl::model::artifact::Artifact;

use crate::docker::{Container, image};
use crate::door::OLD_AND_NEW;
use crate::native::{here, put_files, stack as on_hosts, units_in, verify};
use crate::readers::{amtool, feed, promtool};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const STACKS: [&str; 6] = [
    "tests/stacks/storm.toml",
    "tests/stacks/sum.toml",
    "tests/stacks/aigov.toml",
    "tests/stacks/ai-search.toml",
    "tests/stacks/research-assistant.toml",
    "stack.example.toml",
];

/// Programs of the guides' commands.
const PROGRAMS: [&str; 3] = ["gunicorn", "uvicorn", "python"];

fn name(file: &str) -> &str {
    Path::new(file).file_stem().unwrap().to_str().unwrap()
}

/// What `render` writes for a stack with this Nginx, or what it has against it.
fn rendered(file: &str, nginx: &str, folder: &Path) -> Result<PathBuf, String> {
    let text = std::fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
    let text = text.replacen("[proxy]\n", &format!("[proxy]\nimage = \"nginx:{nginx}\"\n"), 1);
    assert!(text.contains(nginx), "{file} has a front door");
    let own = folder.join(name(file));
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("stack.toml"), text).unwrap();
    let key = "3f9c1c7a5be84e02a6d1f0b7c8e95d42";
    let output = Command::new(env!("CARGO_BIN_EXE_stackctl"))
        .args(["render", "out"])
        .current_dir(&own)
        .env_clear()
        .envs(["GROQ_API_KEY", "QDRANT_API_KEY", "ANTHROPIC_API_KEY"].map(|variable| (variable, key)))
        .output()
        .unwrap();
    if output.status.success() {
        Ok(own.join("out"))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Every file of a folder, readable for all.
fn files(folder: &Path) -> Vec<Artifact> {
    let mut out = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                out.push(Artifact::plain(name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    out
}

#[test]
fn nginx_takes_every_front_door() {
    let script = "for folder in /run/stackctl/releases/*; do nginx -e stderr -t -c $folder/nginx.conf; done";
    for tag in OLD_AND_NEW {
        // Services have names there that only Compose's network knows.
        let hosts = ["app", "worker", "grafana", "frontend", "backend", "api", "web", "search", "sandbox"];
        let hosts: Vec<String> = hosts.map(|host| format!("--add-host={host}:127.0.0.1")).into();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let image = image(&format!("library/nginx:{tag}"));
        let door = Container::create_with(&image, "101:101", &hosts, &["sh", "-euc", script]);
        let folder = tempfile::tempdir().unwrap();
        let mut number = 0;
        for file in STACKS {
            match rendered(file, tag, folder.path()) {
                Ok(out) => door.put(name(file), &files(&out.join("nginx"))),
                // Quotas need njs, which the stand-in of 1.22 has not.
                Err(why) => {
                    assert!(tag == "1.22" && name(file) == "storm" && why.contains("njs"), "{tag}: {file}: {why}");
                    continue;
                }
            }
            number += 1;
        }
        let (code, output) = door.finish();
        assert!(code == 0 && !output.contains("[warn]"), "{tag}: {output}");
        assert_eq!(output.matches("test is successful").count(), number, "{tag}: {output}");
    }
}

#[test]
fn compose_promtool_and_amtool_take_every_stack() {
    let folder = tempfile::tempdir().unwrap();
    let (mut watched, mut told) = (Vec::new(), Vec::new());
    for file in STACKS {
        let out = rendered(file, "1.30", folder.path()).unwrap_or_else(|why| panic!("{file}: {why}"));
        let text = std::fs::read_to_string(out.join("compose.yaml")).unwrap();
        // Its header names the variables that somebody has to set; of a group, one is enough.
        let others = ["GOOGLE", "OPENAI", "PERPLEXITY"];
        let set = text.lines().filter_map(|line| line.strip_prefix("#     \"")?.strip_suffix('"')).map(|v| (v, "x"));
        let set: Vec<(&str, &str)> = set.filter(|(variable, _)| !others.contains(variable)).collect();
        for version in ["compose-2.26", "compose-2.40"] {
            let program = Path::new(ROOT).join("target/tools").join(version).join("docker-compose");
            let output = Command::new(program).args(["config", "--quiet"]).current_dir(&out).envs(set.clone()).output();
            let output = output.expect("`make tools` gets it");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{file}: {version}: {said}");
        }
        for (service, all) in [("prometheus", &mut watched), ("alertmanager", &mut told)] {
            let own = |f: Artifact| (format!("{}/{}", name(file), f.path), f.content.expose().to_owned());
            if out.join(service).exists() {
                all.extend(files(&out.join(service)).into_iter().map(own));
            }
        }
    }
    let number = watched.iter().filter(|(path, _)| path.ends_with("prometheus.yml")).count();
    assert!(number >= 3, "{number} stacks with a Prometheus");
    let (good, output) =
        promtool(&watched, "for folder in *; do promtool check config $folder/prometheus.yml || exit 1; done");
    assert!(good && output.matches("is valid prometheus config").count() == number, "{output}");
    let (good, output) = amtool(&told, "for file in */alertmanager.yml; do amtool check-config $file || exit 1; done");
    assert!(good && told.len() >= 3 && output.matches("SUCCESS").count() == told.len(), "{output}");
}

/// What the systemd of Debian's next release says in a folder, which has there the path that it has here.
fn newer(folder: &Path, script: &str) -> String {
    let mut tar = tar::Builder::new(Vec::new());
    tar.follow_symlinks(false);
    tar.append_dir_all(".", folder).unwrap();
    let script =
        format!("mkdir -p {0} && cd {0} && tar -x && systemctl --version | head -1\n{script}", folder.display());
    let image = image("test/systemd:257");
    let (good, output) = feed(
        "docker",
        &["run", "--rm", "-i", "--network", "none", "--entrypoint", "sh", &image, "-uc", &script],
        tar.into_inner().unwrap(),
    );
    assert!(good, "{output}");
    let (version, rest) = output.split_once('\n').unwrap();
    assert!(version.starts_with("systemd 257 "), "{version}");
    rest.to_owned()
}

#[test]
fn systemd_old_and_new_takes_every_unit() {
    let folder = tempfile::tempdir().unwrap();
    let mut places = Vec::new();
    let mut add = |place: &str, units: PathBuf| {
        let own = folder.path().join("units").join(place);
        std::fs::create_dir_all(&own).unwrap();
        for unit in units_in(&units) {
            std::fs::copy(&unit, own.join(unit.file_name().unwrap())).unwrap();
        }
        places.push(own);
    };
    for file in STACKS {
        let out = rendered(file, "1.30", folder.path()).unwrap_or_else(|why| panic!("{file}: {why}"));
        // The units of the stack itself, and those of a host without containers.
        let booted: Vec<Artifact> = files(&out.join("systemd"))
            .into_iter()
            .map(|f| Artifact { path: format!("etc/systemd/system/{}", f.path), ..f })
            .collect();
        add(
            &format!("{}-booted", name(file)),
            here(&folder.path().join(format!("{}-1", name(file))), &booted, &PROGRAMS),
        );
        if out.join("native").exists() {
            let own = folder.path().join(format!("{}-2", name(file)));
            add(&format!("{}-native", name(file)), here(&own, &files(&out.join("native")), &PROGRAMS));
        }
    }
    let own = folder.path().join("own");
    add("own-native", here(&own, &crate::native::rendered(&on_hosts()), &[]));
    assert_eq!(places.len(), 10, "six at boot, three guides' and ours without containers: {places:?}");
    for units in &places {
        assert_eq!(verify(units), "", "{}", units.display());
    }
    // What a judge must not let through.
    let broken = folder.path().join("units/broken");
    let good = std::fs::read_to_string(folder.path().join("units/own-native/sum-app.service")).unwrap();
    for (number, (from, to)) in
        [("Type=exec", "Type=fork"), ("ProtectSystem=strict", "ProtectSystem=strictly"), ("ExecStart=", "ExecStrat=")]
            .into_iter()
            .enumerate()
    {
        assert!(good.contains(from), "{from}");
        let unit = format!("sum-app-{number}.service");
        put_files(&broken, &[Artifact::plain(unit, good.replacen(from, to, 1))]);
    }
    let said = newer(
        folder.path(),
        "for unit in units/*/*; do
            SYSTEMD_UNIT_PATH=$PWD/${unit%/*}: systemd-analyze verify --recursive-errors=one --man=no ./$unit >said 2>&1
            echo \"$unit $? $(wc -c <said)\"; sed 's/^/  /' said
            case $unit in
                *-native/*.service) systemd-analyze security --offline=true --no-pager ./$unit | sed -n 's/.*level for [^:]*: /score /p' ;;
            esac
        done",
    );
    let mut seen = (0, 0, 0);
    for line in said.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [unit, code, bytes] if unit.starts_with("units/broken/") => {
                assert!(code != "0" || bytes != "0", "{unit} went through: {said}");
                seen.0 += 1;
            }
            [unit, code, bytes] if unit.starts_with("units/") => {
                assert!(code == "0" && bytes == "0", "{unit}: {said}");
                seen.1 += 1;
            }
            ["score", score, ..] => {
                let score: f64 = score.parse().unwrap();
                assert!(score > 0.0 && score <= 2.0, "{score}: {said}");
                seen.2 += 1;
            }
            _ => assert!(line.starts_with("  "), "{line}"),
        }
    }
    let all: usize = places.iter().map(|units| units_in(units).len()).sum();
    assert!(seen.0 == 3 && seen.1 == all && seen.2 >= 11, "{seen:?} of {all}: {said}");
}
