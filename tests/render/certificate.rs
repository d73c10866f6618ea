//! Certificates in a real Nginx: what it refuses, and how another one takes the place of the first.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use stackctl::model::artifact::{Artifact, Content};

use crate::client::ask;
use crate::docker::Container;
use crate::door::{OLD_AND_NEW, judge, open, render};
use crate::sample;

/// A key that is not the certificate's, or no certificate at all, is refused when it is tested, though handshakes are
/// what reads them.
#[test]
fn nginx_rejects_a_pair_that_cannot_serve() {
    let stack = sample::full();
    let files = render(&stack, "1.22", &BTreeMap::new(), "1");
    let other = render(&stack, "1.22", &BTreeMap::new(), "1");
    for path in ["certs/site.pem", "certs/site.key"] {
        let of = |files: &[Artifact]| files.iter().position(|f| f.path == path).unwrap();
        let mut mixed = files.clone();
        mixed[of(&files)] = other[of(&other)].clone();
        let mut nonsense = files.clone();
        nonsense[of(&files)].content = Content::Plain("nonsense".to_owned());
        for tag in OLD_AND_NEW {
            for (files, words) in [(&mixed, "key values mismatch"), (&nonsense, "[emerg]")] {
                let (code, output) = judge(tag, files);
                assert!(code != 0 && output.contains(words), "{path} on {tag}: {output}");
            }
        }
    }
}

/// Each handshake looks where `current` leads: the next one has the new certificate, no handshake gets half of a pair,
/// nothing is reloaded. What lies beside the certificate is not to be had.
#[test]
fn a_certificate_is_switched_by_its_link() {
    for tag in OLD_AND_NEW {
        let (container, stack, ups, _) = open(tag);
        let workers = container.processes();
        let stop = AtomicBool::new(false);
        let handshakes = std::thread::scope(|scope| {
            let visitors: Vec<_> = (0..3).map(|_| scope.spawn(|| handshakes(&container, &stop))).collect();
            let mut before = shown(&container);
            for round in 0..8 {
                container.switch(&format!("r{round}"), &render(&stack, tag, &ups, "7"));
                let now = shown(&container);
                assert!(now.starts_with("sha256 Fingerprint") && now != before, "{tag}: {round}: {now}");
                before = now;
            }
            stop.store(true, Ordering::Relaxed);
            visitors.into_iter().map(|visitor| visitor.join().unwrap()).sum::<u32>()
        });
        assert!(handshakes > 40, "{tag}: {handshakes}");
        assert_eq!(container.processes(), workers, "{tag}: reloaded");
        for site in ["https://sum.example.com", "https://www.sum.example.com", "http://x:8081", "http://x"] {
            for path in
                ["/site.key", "/../site.key", "/%2e%2e/site.key", "/site.pem/../site.key", "/certs/site.key", "/"]
            {
                let answer = ask(&container, &format!("{site}{path}"), &["--path-as-is"]);
                assert!(
                    !answer.is_ok_and(|a| a.body.contains("PRIVATE KEY")),
                    "{tag}: {site}{path} gives the key away"
                );
            }
        }
    }
}

/// The fingerprint of the certificate that is shown.
fn shown(container: &Container) -> String {
    let script = format!(
        "openssl s_client -connect {}:443 -servername sum.example.com </dev/null 2>/dev/null \
         | openssl x509 -noout -fingerprint -sha256",
        container.address()
    );
    let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Shakes hands all the time, anew for each request, and counts; none may fail.
fn handshakes(container: &Container, stop: &AtomicBool) -> u32 {
    let mut count = 0;
    let to = format!("::{}:", container.address());
    while !stop.load(Ordering::Relaxed) {
        let output = Command::new("curl")
            .args(["-skS", "--fail-early", "--max-time", "20", "--connect-to", &to, "-H", "Connection: close"])
            .args(["--http1.1", "--no-sessionid", "-o", "/dev/null", "https://sum.example.com/?[1-20]"])
            .output()
            .expect("curl runs");
        assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), container.logs());
        count += 20;
    }
    count
}
