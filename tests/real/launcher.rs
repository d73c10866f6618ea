//! Programs that read their secrets from variables, and an engine that does not know them.

use std::process::Command;

use super::support::{Site, Visitor, slim};

const VALUE: &str = "pl4nted value of a variable";

fn stack() -> String {
    slim("t-launch", 18251)
        .replace("replicas    = 3", "replicas    = 2")
        .replace("#EXTRA", "launcher    = true\npre_deploy  = [\"sh\", \"-c\", \"printenv LICENCE | wc -c\"]\n")
        .replace("[proxy]", "LICENCE    = \"${secrets.licence}\"\nSECRET_KEY = \"${secrets.key}\"\n\n[proxy]")
        + "\n[services.worker]\nimage = \"debian:trixie-slim\"\nlauncher = true\nread_only = true\n\
           command = [\"sleep\", \"infinity\"]\nmemory = \"32M\"\n\
           healthcheck = { command = [\"sh\", \"-c\", \"[ \\\"$TOKEN\\\" ]\"], interval = \"1s\" }\n\
           environment = { TOKEN = \"${secrets.key}\" }\n\
           [secrets]\nkey = { generate = \"hex:32\" }\nlicence = { env = \"LICENCE\" }\n"
}

#[test]
fn variables_reach_the_program_and_not_the_engine() {
    let site = Site::new(&stack(), "t-launch", 18251);
    let env = |value: &'static str, version: &'static str| [("LICENCE", value), ("APP_VERSION", version)];
    site.run(&["check"], &env(VALUE, "1")).ends(0).says("is valid");
    site.run(&["up", "--yes", "--no-verify"], &env(VALUE, "1")).ends(0);

    // The process has them, as its own and only there.
    let of = |container: &str, name: &str| {
        let script = format!("tr '\\0' '\\n' < /proc/1/environ | sed -n 's/^{name}=//p'");
        site.docker(&["exec", container, "sh", "-c", &script]).trim().to_owned()
    };
    let program = |container: &str| {
        // Behind the engine's small init, or itself the first.
        let script = "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done";
        site.docker(&["exec", container, "sh", "-c", script])
    };
    assert!(program("t-launch-app-1").lines().any(|l| l.trim() == "python3 -m app"), "{}", program("t-launch-app-1"));
    // The engine's init keeps what it was told to start, and nothing else does.
    let left = program("t-launch-app-1");
    assert!(!left.lines().any(|l| l.starts_with("/run/secrets/.launcher")), "it is gone: {left}");
    let child = "grep -lz '^LICENCE=pl4nted value of a variable$' /proc/[0-9]*/environ | wc -l";
    let found = site.docker(&["exec", "-u", "10001", "t-launch-app-1", "sh", "-c", child]);
    assert!(found.trim().parse::<u32>().unwrap() >= 1, "{found}");
    assert_eq!(of("t-launch-app-1", "APP_VERSION"), "1");
    assert_eq!(of("t-launch-app-1", "LICENCE"), "", "the engine's init does not have it");
    let files = site.docker(&["exec", "t-launch-app-1", "stat", "-c", "%a %u %n", "/run/secrets/.environment"]);
    assert_eq!(files.trim(), "400 10001 /run/secrets/.environment");
    let shell = site.docker(&["exec", "t-launch-app-1", "/run/secrets/.launcher", "sh", "-c", "echo $LICENCE"]);
    assert_eq!(shell.trim(), VALUE, "who asks for them gets them");
    let one_off = site.run(&["run", "--rm", "app", "sh", "-c", "echo $LICENCE"], &env(VALUE, "1")).ends(0);
    assert_eq!(one_off.out.trim(), VALUE);
    site.run(&["run", "--rm", "--entrypoint", "printenv", "app", "LICENCE"], &env(VALUE, "1")).ends(0).says(VALUE);

    // Nobody else: containers, images, the plan, and what is rendered.
    let key = site.docker(&["exec", "t-launch-worker-1", "/run/secrets/.launcher", "printenv", "TOKEN"]);
    let key = key.trim();
    assert_eq!(key.len(), 64);
    for container in site.list("containers") {
        let inspected = site.docker(&["inspect", &container]);
        assert!(!inspected.contains(VALUE) && !inspected.contains(key), "{container} shows it");
    }
    let image = site.docker(&["inspect", "-f", "{{.Image}}", "t-launch-app-1"]);
    let history =
        site.docker(&["image", "inspect", image.trim()]) + &site.docker(&["history", "--no-trunc", image.trim()]);
    assert!(!history.contains(VALUE));
    let plan = site.run(&["--json", "--verbose", "plan"], &env(VALUE, "2")).ends(0);
    assert!(!plan.out.contains(VALUE) && !plan.err.contains(VALUE));
    site.run(&["verify", "--only", "SEC", "--only", "HLT"], &env(VALUE, "1")).ends(0);
    site.run(&["plan", "--exit-code", "--drift"], &env(VALUE, "1")).ends(0);

    // A new value is a release without an interruption; going back brings the old one.
    let visitor = Visitor::of(&site);
    let new = "another planted value";
    site.run(&["plan"], &env(new, "1")).ends(0).says("t-launch-app-1");
    site.run(&["up", "--yes", "--no-verify"], &env(new, "1")).ends(0);
    let now = || site.docker(&["exec", "t-launch-app-1", "/run/secrets/.launcher", "printenv", "LICENCE"]);
    assert_eq!(now().trim(), new);
    site.run(&["rollback", "--yes"], &env(new, "1")).ends(0);
    assert_eq!(now().trim(), VALUE);
    visitor.was_always_served();

    // It stops as the program does: at once, by its own signal, through no shell.
    let began = std::time::Instant::now();
    site.docker(&["stop", "-t", "30", "t-launch-app-2"]);
    assert!(began.elapsed() < std::time::Duration::from_secs(15), "{:?}", began.elapsed());
    let code = site.docker(&["inspect", "-f", "{{.State.ExitCode}}", "t-launch-app-2"]);
    assert_eq!(code.trim(), "0");
}

/// Of each image: who it runs as, whether its root can be written, and whether it has a shell.
#[test]
fn it_needs_nothing_of_the_image() {
    let toml = r#"
name = "t-bare"

[services.one]
build     = "."
launcher  = true
read_only = true
init      = false
memory    = "32M"

[services.one.environment]
TOKEN = "${secrets.key}"

[secrets]
key = { generate = "hex:32" }
"#;
    let site = Site::new(toml, "t-bare", 0);
    // An image with one static program and nothing else, as user 65532.
    let write = |name: &str, text: &str| std::fs::write(site.folder().join(name), text).unwrap();
    write("sleeper.c", "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n");
    let built = Command::new("cc").args(["-static", "-o", "sleeper", "sleeper.c"]).current_dir(site.folder()).status();
    assert!(built.unwrap().success());
    write(
        "Dockerfile",
        "FROM scratch\nCOPY sleeper /bin/\nUSER 65532\nENTRYPOINT [\"sleeper\", \"one\"]\nCMD [\"two\", \"t h r e e\"]\n",
    );
    site.run(&["up", "--yes", "--no-verify"], &[]).ends(0);
    let format = "{{.State.Running}} {{json .Config.Entrypoint}} {{json .Config.Cmd}}";
    let told = site.docker(&["inspect", "-f", format, "t-bare-one-1"]);
    assert!(
        told.starts_with("true [\"/run/secrets/.launcher\"] [\"sleeper\",\"one\",\"two\",\"t h r e e\"]"),
        "{told}"
    );
    site.run(&["plan", "--exit-code"], &[]).ends(0);
}
