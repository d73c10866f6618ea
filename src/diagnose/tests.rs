use super::*;

/// What real programs and engines say, and the cause it must lead to: exit code, engine, health, log.
type Case = (&'static str, Option<i64>, &'static str, &'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    ("memory", Some(1), "", "", &["Traceback (most recent call last):", "MemoryError"]),
    (
        "memory",
        Some(134),
        "",
        "",
        &["FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"],
    ),
    ("memory", Some(1), "", "", &["FATAL:  could not map anonymous shared memory: Cannot allocate memory"]),
    ("disk-full", None, "write /var/lib/docker/tmp/x: no space left on device", "", &[]),
    (
        "disk-full",
        Some(1),
        "",
        "",
        &["PANIC:  could not write to file \"pg_wal/xlogtemp.30\": No space left on device"],
    ),
    ("architecture", Some(1), "", "", &["exec /usr/local/bin/docker-entrypoint.sh: exec format error"]),
    ("architecture", None, "no matching manifest for linux/arm64/v8 in the manifest list entries", "", &[]),
    (
        "architecture",
        None,
        "The requested image's platform (linux/arm64) does not match the detected host platform (linux/amd64/v3)",
        "",
        &[],
    ),
    ("line-ends", Some(126), "", "", &["/bin/sh: ./start.sh: /bin/bash^M: bad interpreter: No such file or directory"]),
    (
        "not-executable",
        None,
        "OCI runtime create failed: runc create failed: unable to start container process: exec: \"/app/run.sh\": permission denied: unknown",
        "",
        &[],
    ),
    (
        "no-program",
        None,
        "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"gunicorn\": executable file not found in $PATH: unknown",
        "",
        &[],
    ),
    (
        "no-program",
        None,
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: \"/x\": stat /x: no such file or directory: unknown",
        "",
        &[],
    ),
    ("no-program", Some(127), "", "", &["sh: 1: gunicorn: not found"]),
    ("no-program", Some(127), "", "", &["[FATAL tini (7)] exec gunicorn failed: No such file or directory"]),
    ("not-executable", Some(126), "", "", &["[FATAL tini (7)] exec /etc/hostname failed: Permission denied"]),
    ("architecture", Some(126), "", "", &["[FATAL tini (7)] exec /x failed: Exec format error"]),
    (
        "podman",
        None,
        "container create: container-init binary not found on the host: stat /usr/libexec/podman/catatonit: no such file or directory",
        "",
        &[],
    ),
    (
        "podman",
        None,
        "plugin type=\"bridge\" failed (add): cni plugin bridge failed: failed to allocate all requested IPs: 10.211.0.2",
        "",
        &[],
    ),
    ("no-answer", Some(1), "", "", &["dial tcp 10.0.0.9:5432: i/o timeout"]),
    ("subnet", None, "subnet 10.83.0.0/24 is already used on the host or by another config", "", &[]),
    (
        "port-taken",
        None,
        "driver failed programming external connectivity on endpoint x (ab): Bind for 0.0.0.0:80 failed: port is already allocated",
        "",
        &[],
    ),
    (
        "port-taken",
        None,
        "failed to set up container networking: driver failed programming external connectivity on endpoint x: failed to bind host port 0.0.0.0:80/tcp: address already in use",
        "",
        &[],
    ),
    ("subnet", None, "Pool overlaps with other one on this address space", "", &[]),
    (
        "subnet",
        None,
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
        "",
        &[],
    ),
    ("address-taken", None, "Address already in use", "", &[]),
    (
        "image-denied",
        None,
        "pull access denied for acme/app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
        "",
        &[],
    ),
    ("image-denied", None, "Head \"https://r.io/v2/a/manifests/1\": unauthorized: authentication required", "", &[]),
    ("image-missing", None, "manifest for nginx:nope not found: manifest unknown: manifest unknown", "", &[]),
    ("registry-limit", None, "toomanyrequests: You have reached your pull rate limit.", "", &[]),
    ("registry-away", None, "Get \"https://r.io/v2/\": dial tcp: lookup r.io on 127.0.0.53:53: no such host", "", &[]),
    (
        "registry-away",
        None,
        "Get \"https://registry-1.docker.io/v2/\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
        "",
        &[],
    ),
    (
        "clock",
        None,
        "Get \"https://r.io/v2/\": x509: certificate has expired or is not yet valid: current time 2019-01-01T00:00:00Z is before 2024-01-01T00:00:00Z",
        "",
        &[],
    ),
    ("clock", Some(1), "", "", &["jwt.exceptions.ImmatureSignatureError: The token is not yet valid (iat)"]),
    (
        "database-version",
        Some(1),
        "",
        "",
        &[
            "FATAL:  database files are incompatible with server",
            "DETAIL:  The data directory was initialized by PostgreSQL version 15, which is not compatible with this version 17.6.",
        ],
    ),
    (
        "password",
        Some(1),
        "",
        "",
        &["psycopg.OperationalError: connection failed: FATAL:  password authentication failed for user \"app\""],
    ),
    (
        "password",
        Some(1),
        "",
        "",
        &["redis.exceptions.AuthenticationError: WRONGPASS invalid username-password pair or user is disabled."],
    ),
    ("no-database", Some(1), "", "", &["asyncpg.exceptions.InvalidCatalogNameError: database \"shop\" does not exist"]),
    ("schema", Some(1), "", "", &["psycopg.errors.UndefinedTable: relation \"users\" does not exist"]),
    ("database-starting", Some(1), "", "", &["FATAL:  the database system is starting up"]),
    ("database-starting", None, "", "PostgreSQL answered 57P03: the database system is starting up", &[]),
    ("database-starting", None, "", "Redis answered LOADING Redis is loading the dataset in memory", &[]),
    ("names", Some(1), "", "", &["could not translate host name \"postgres\" to address: Name or service not known"]),
    ("names", Some(1), "", "", &["Error: getaddrinfo ENOTFOUND redis"]),
    ("names", Some(1), "", "", &["nginx: [emerg] host not found in upstream \"app\" in /etc/nginx/nginx.conf:9"]),
    ("no-egress", Some(1), "", "", &["OSError: [Errno 101] Network is unreachable"]),
    (
        "loopback",
        None,
        "",
        "Connection refused (os error 111)",
        &["INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)"],
    ),
    ("connection-refused", Some(1), "", "", &["Error: connect ECONNREFUSED 127.0.0.1:5432"]),
    (
        "connection-refused",
        Some(1),
        "",
        "",
        &["    sock.connect(sa)", "OSError: [Errno 99] Cannot assign requested address"],
    ),
    ("low-port", Some(1), "", "", &["nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)"]),
    ("low-port", Some(1), "", "", &["Error: listen EACCES: permission denied 0.0.0.0:80"]),
    (
        "same-port",
        Some(1),
        "",
        "",
        &["[Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use"],
    ),
    ("read-only", Some(1), "", "", &["OSError: [Errno 30] Read-only file system: '/srv/app/cache'"]),
    ("capability", Some(1), "", "", &["chown: changing ownership of '/data': Operation not permitted"]),
    ("capability", Some(1), "", "", &["nginx: [emerg] setgid(101) failed (1: Operation not permitted)"]),
    ("permission", Some(1), "", "", &["PermissionError: [Errno 13] Permission denied: '/app/uploads/x'"]),
    ("permission", Some(1), "", "", &["Error: EACCES: permission denied, mkdir '/data/db'"]),
    ("processes", Some(1), "", "", &["RuntimeError: can't start new thread"]),
    ("files", Some(1), "", "", &["OSError: [Errno 24] Too many open files"]),
    (
        "shared-memory",
        Some(1),
        "",
        "",
        &["ERROR:  could not resize shared memory segment \"/PostgreSQL.1\" to 8388608 bytes"],
    ),
    (
        "certificate",
        Some(1),
        "",
        "",
        &[
            "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate",
        ],
    ),
    ("module", Some(1), "", "", &["ModuleNotFoundError: No module named 'app'"]),
    ("module", Some(1), "", "", &["Error: Cannot find module '/srv/server.js'"]),
    ("setting", Some(1), "", "", &["KeyError: 'SECRET_KEY'"]),
    ("setting", Some(1), "", "", &["Error: Database is uninitialized and superuser password is not specified."]),
    ("health-path", None, "", "GET /health answered 404", &["GET /health 404"]),
    ("health-error", None, "", "GET /health answered 503", &[]),
    ("health-host", None, "", "GET / answered 400", &["Invalid HTTP_HOST header: '10.83.0.2:8000'. DisallowedHost"]),
    ("health-port", None, "", "Connection refused (os error 111)", &["ready"]),
    ("health-slow", None, "", "no answer within 5s", &[]),
    ("crash", Some(139), "", "", &[]),
    ("killed", Some(137), "", "", &["working"]),
    ("ended", Some(0), "", "", &["done"]),
];

#[test]
fn what_programs_say_leads_to_the_cause() {
    for (id, exit_code, engine, health, log) in CASES {
        let log: Vec<String> = log.iter().map(|l| (*l).to_owned()).collect();
        let facts = Facts { exit_code: *exit_code, oom_killed: false, engine, health, log: &log };
        let found = diagnose(&facts);
        assert_eq!(found.as_ref().map(|d| d.cause.id), Some(*id), "{engine}{health}{log:?}");
    }
}

#[test]
fn every_cause_has_a_case_and_a_next_step() {
    for cause in CAUSES {
        assert!(CASES.iter().any(|case| case.0 == cause.id), "no case for {}", cause.id);
        assert!(!cause.step.ends_with('.') && !cause.title.ends_with('.') && !cause.signs.is_empty(), "{}", cause.id);
    }
    let mut ids: Vec<_> = CAUSES.iter().map(|c| c.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), CAUSES.len());
}

#[test]
fn the_kernel_knows_best() {
    let log = ["password authentication failed".to_owned()];
    let facts = Facts { oom_killed: true, exit_code: Some(137), log: &log, ..Facts::default() };
    assert_eq!(diagnose(&facts).map(|d| (d.cause.id, d.evidence)), Some(("memory", String::new())));
}

#[test]
fn the_last_line_is_the_evidence() {
    let log = ["KeyError: 'A'", "KeyError: 'B'", "bye"].map(str::to_owned);
    let facts = Facts { exit_code: Some(1), log: &log, ..Facts::default() };
    assert_eq!(diagnose(&facts).map(|d| d.evidence).as_deref(), Some("KeyError: 'B'"));
    let nothing = Facts { exit_code: Some(3), log: &["bye".to_owned()], ..Facts::default() };
    assert_eq!(diagnose(&nothing), None);
}
