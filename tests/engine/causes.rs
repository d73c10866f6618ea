//! What an engine says when a deploy fails for a reason that no test can bring about on a machine that others use, in
//! the words of Docker 20.10 and of 28 (moby: daemon/errors.go, libnetwork, distribution/errors.go, runc): `up` names
//! the cause and the next step. What exactly is said is in `snapshots`.

use std::collections::BTreeMap;

use stackctl::diagnose::CAUSES;

use super::model::{Refusal, World};
use super::run::How;
use super::sweep::{Site, UP, apart, bridge};

const PULL: &str = "POST /images/create";
const START: &str = "POST /containers/{}/start";
const NETWORK: &str = "POST /networks/create";
const ARCHIVE: &str = "PUT /containers/{}/archive";

/// The cause, a name for its snapshot, what is refused and how.
const CASES: &[(&str, &str, Refusal)] = &[
    (
        "port-taken",
        "port-taken-20",
        (
            START,
            "-1/start",
            500,
            "driver failed programming external connectivity on endpoint shop-proxy-1 (0a1b2c3d4e5f): Error starting userland proxy: listen tcp4 127.0.0.1:18080: bind: address already in use",
        ),
    ),
    (
        "port-taken",
        "port-taken-28",
        (
            START,
            "-1/start",
            500,
            "failed to set up container networking: driver failed programming external connectivity on endpoint shop-proxy-1 (0a1b2c3d4e5f): failed to bind host port 127.0.0.1:18080/tcp: address already in use",
        ),
    ),
    ("subnet", "subnet-20", (NETWORK, "", 403, "Pool overlaps with other one on this address space")),
    (
        "subnet",
        "subnet-28",
        (NETWORK, "", 400, "invalid pool request: Pool overlaps with other one on this address space"),
    ),
    ("address-taken", "address-taken-20", (START, "-1/start", 403, "Address already in use")),
    (
        "address-taken",
        "address-taken-28",
        (START, "-1/start", 403, "failed to set up container networking: Address already in use"),
    ),
    (
        "image-denied",
        "image-denied-20",
        (
            PULL,
            "acme/app",
            404,
            "pull access denied for acme/app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
        ),
    ),
    (
        "image-denied",
        "image-denied-28",
        (PULL, "acme/app", 500, "Error response from daemon: error from registry: denied"),
    ),
    (
        "image-missing",
        "image-missing-20",
        (PULL, "acme/app", 404, "manifest for acme/app:1 not found: manifest unknown: manifest unknown"),
    ),
    (
        "image-missing",
        "image-missing-28",
        (PULL, "acme/app", 404, "manifest unknown: The named manifest is not known to the registry."),
    ),
    (
        "registry-limit",
        "registry-limit",
        (
            PULL,
            "nginx",
            500,
            "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit",
        ),
    ),
    (
        "registry-away",
        "registry-away-20",
        (
            PULL,
            "nginx",
            500,
            "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io on 127.0.0.53:53: no such host",
        ),
    ),
    (
        "registry-away",
        "registry-away-28",
        (
            PULL,
            "nginx",
            500,
            "failed to resolve reference \"docker.io/library/nginx:1.30\": failed to do request: Head \"https://registry-1.docker.io/v2/library/nginx/manifests/1.30\": dial tcp 192.0.2.7:443: connect: connection refused",
        ),
    ),
    (
        "architecture",
        "architecture-20",
        (PULL, "acme/app", 404, "no matching manifest for linux/arm64/v8 in the manifest list entries"),
    ),
    ("architecture", "architecture-28", (PULL, "acme/app", 404, "no match for platform in manifest: not found")),
    (
        "disk-full",
        "disk-full-pull",
        (PULL, "nginx", 500, "write /var/lib/docker/tmp/GetImageBlob123: no space left on device"),
    ),
];

/// More, of which only the cause and the step are held.
const MORE: &[(&str, &str, Refusal)] = &[
    (
        "disk-full",
        "disk-full-files",
        (ARCHIVE, "/v", 500, "Error processing tar file(exit status 1): write /v/nginx.conf: no space left on device"),
    ),
    (
        "clock",
        "clock",
        (
            PULL,
            "nginx",
            500,
            "Get \"https://registry-1.docker.io/v2/\": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2019-03-01T00:00:00Z is before 2026-01-01T00:00:00Z",
        ),
    ),
    (
        "certificate",
        "certificate",
        (
            PULL,
            "acme/app",
            500,
            "Get \"https://registry.acme.test/v2/\": x509: certificate signed by unknown authority",
        ),
    ),
    (
        "no-program",
        "no-program-20",
        (
            START,
            "-1/start",
            400,
            "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"serve\": executable file not found in $PATH: unknown",
        ),
    ),
    (
        "no-program",
        "no-program-28",
        (
            START,
            "-1/start",
            400,
            "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: \"serve\": executable file not found in $PATH",
        ),
    ),
    (
        "not-executable",
        "not-executable",
        (
            START,
            "-1/start",
            400,
            "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: \"/app/run.sh\": permission denied",
        ),
    ),
];

#[test]
fn what_an_engine_says_has_a_cause_and_a_next_step() {
    if !apart("causes::what_an_engine_says_has_a_cause_and_a_next_step") {
        return;
    }
    let site = Site::new(80);
    // Our own image is there, and nothing else.
    let nothing = World {
        networks: BTreeMap::from([("bridge".to_owned(), bridge())]),
        images: BTreeMap::from([("stackctl/holder:2".to_owned(), format!("sha256:{:064}", 1))]),
        ..World::default()
    };
    for (at, (id, name, refusal)) in CASES.iter().chain(MORE).enumerate() {
        let said = site.run(&nothing, UP, "1", &How { refusal: Some(*refusal), ..How::default() }).unwrap();
        let cause = CAUSES.iter().find(|cause| cause.id == *id).expect("a cause");
        let flat = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(said.code, Some(1), "{name}: {}", said.err);
        assert!(flat.contains(cause.title) && flat.contains(cause.step), "{name}: {}", said.err);
        if at >= CASES.len() {
            continue;
        }
        let error = said.err.find("error: ").map_or("", |at| &said.err[at..]);
        insta::with_settings!({ omit_expression => true, filters => vec![(r"shop-[a-z]+-1\b", "shop-[SERVICE]-1")] }, {
            insta::assert_snapshot!(*name, error);
        });
    }
    println!("sweep: {} causes in an engine's words", CASES.len() + MORE.len());
}
