//! The table of causes. Order matters: the first whose sign is there wins, so what is special comes before what is
//! general. Texts are those of Docker 20.10 to 29, runc, glibc and musl, and of the programs people run.

use super::Cause;
use super::Sign::{Anywhere, Both, Engine, Exit, Health, Log, OutOfMemory};

/// All causes.
pub const CAUSES: &[Cause] = &[
    Cause {
        id: "memory",
        title: "it needed more memory than it may use",
        step: "give it more `memory`, or make it use less (fewer workers, a smaller cache); `stackctl stats` shows what \
               it uses",
        signs: &[
            OutOfMemory,
            Anywhere("cannot allocate memory"),
            Log("MemoryError"),
            Log("JavaScript heap out of memory"),
            Log("java.lang.OutOfMemoryError"),
            Log("fatal error: runtime: out of memory"),
            Log("could not map anonymous shared memory"),
        ],
    },
    Cause {
        id: "disk-full",
        title: "the disk of the engine's host is full",
        step: "free space there: `docker system df` shows what uses it, `stackctl prune` removes what is ours and unused, \
               and look at logs and database volumes",
        signs: &[
            Anywhere("no space left on device"),
            Anywhere("disk quota exceeded"),
            Log("ENOSPC"),
            Log("could not extend file"),
            Log("No space left on device"),
        ],
    },
    Cause {
        id: "architecture",
        title: "the image is for another kind of processor",
        step: "build or pull it for the engine's: `docker version` names it (amd64, arm64), `FROM --platform=…` of a Dockerfile asks for one",
        signs: &[
            Anywhere("exec format error"),
            Engine("no matching manifest"),
            Engine("no match for platform in manifest"),
            Engine("does not match the detected host platform"),
            Engine("does not match the specified platform"),
        ],
    },
    Cause {
        id: "line-ends",
        title: "its start script has the line ends of another system, or names an interpreter that is not there",
        step: "save the script with line feeds alone (`sed -i 's/\\r$//' FILE`; `* text eol=lf` in .gitattributes), and \
               check its first line",
        signs: &[Anywhere("bad interpreter"), Anywhere("^M"), Log("\\r': command not found")],
    },
    Cause {
        id: "not-executable",
        title: "the program may not be executed",
        step: "make it executable in the image (`RUN chmod +x FILE`, or `git update-index --chmod=+x FILE` before the \
               build), and check that `command` names a program and no folder",
        signs: &[
            Both(&Engine("exec:"), &Engine("permission denied")),
            Both(&Engine("unable to start container process"), &Engine("is a directory")),
            Both(&Log("[FATAL tini"), &Log("failed: Permission denied")),
            Exit(126),
        ],
    },
    Cause {
        id: "no-program",
        title: "the program to run is not in the image",
        step: "check `command`, `entrypoint` and the image: `docker run --rm --entrypoint sh IMAGE -c 'command -v PROGRAM'` \
               tells; it may be in another folder, or belong to another stage of the Dockerfile",
        signs: &[
            Engine("executable file not found"),
            Engine("no such file or directory: unknown"),
            Both(&Engine("exec:"), &Engine("no such file or directory")),
            Both(&Log("[FATAL tini"), &Log("failed: No such file or directory")),
            Both(&Exit(127), &Log("not found")),
            Exit(127),
        ],
    },
    Cause {
        id: "podman",
        title: "this Podman lacks a part of its own",
        step: "install `catatonit` (it starts programs), `netavark` and `aardvark-dns` (networks with fixed addresses; \
               `network_backend = \"netavark\"` in containers.conf, then `podman system reset`) on the engine's host",
        signs: &[
            Engine("container-init binary not found"),
            Engine("failed to allocate all requested IPs"),
            Engine("cni plugin bridge failed"),
        ],
    },
    Cause {
        id: "port-taken",
        title: "another program of the host has the port",
        step: "`ss -ltnp` on the host names it: stop it, or choose other ports with `http_port` and `https_port`",
        signs: &[
            Engine("port is already allocated"),
            Engine("ports are not available"),
            Engine("failed to bind host port"),
            Engine("bind: address already in use"),
            Engine("listen tcp"),
        ],
    },
    Cause {
        id: "subnet",
        title: "another network has those addresses",
        step: "`docker network ls` and `ip route` show which: remove it if it is not needed, or choose another `pool`",
        signs: &[
            Engine("pool overlaps with other one"),
            Engine("could not find an available, non-overlapping"),
            Engine("all predefined address pools have been fully subnetted"),
            Engine("conflicts with network"),
            Engine("is already used on the host or by another config"),
        ],
    },
    Cause {
        id: "address-taken",
        title: "another container has the address",
        step: "something was attached to the stack's network by hand: `docker network inspect NETWORK` names it; \
               disconnect it",
        signs: &[Engine("address already in use"), Engine("address is already in use")],
    },
    Cause {
        id: "image-denied",
        title: "the registry does not give the image to us, or has none of that name",
        step: "check the spelling; if it is private, `docker login` to its registry on this machine: stackctl uses that \
               login",
        signs: &[
            Engine("pull access denied"),
            Engine("unauthorized"),
            Engine("authentication required"),
            Engine("no basic auth credentials"),
            Engine("denied: requested access"),
            Engine("error from registry: denied"),
            Engine("insufficient_scope"),
        ],
    },
    Cause {
        id: "image-missing",
        title: "there is no such image",
        step: "check its name and tag in the registry; what is built here needs `build` instead of `image`",
        signs: &[
            Engine("manifest unknown"),
            Engine("no such image"),
            Engine("repository name not known to registry"),
            Both(&Engine("manifest for "), &Engine("not found")),
        ],
    },
    Cause {
        id: "registry-limit",
        title: "the registry allows no more pulls for now",
        step: "`docker login` (logged-in users may pull more), wait, or use a mirror (STACKCTL_REGISTRY_MIRROR)",
        signs: &[Engine("toomanyrequests"), Engine("too many requests"), Engine("pull rate limit")],
    },
    Cause {
        id: "registry-away",
        title: "the engine does not reach the registry",
        step: "the engine's host, not this one, has to reach it: try `docker pull IMAGE` there, and look at its DNS, \
               proxy and firewall",
        signs: &[
            Both(&Engine("lookup "), &Engine("no such host")),
            Both(&Engine("get \"http"), &Engine("connection refused")),
            Both(&Engine("get \"http"), &Engine("timeout")),
            Both(&Engine("head \"http"), &Engine("connection refused")),
            Both(&Engine("head \"http"), &Engine("timeout")),
            Engine("Client.Timeout exceeded"),
            Engine("server misbehaving"),
            Engine("TLS handshake timeout"),
        ],
    },
    Cause {
        id: "clock",
        title: "a clock is wrong: this machine's, the host's or the other side's",
        step: "`timedatectl` on the host shows whether its clock is synchronised; containers have the host's clock",
        signs: &[
            Anywhere("not yet valid"),
            Anywhere("certificate has expired or is not yet valid"),
            Log("RequestTimeTooSkewed"),
            Log("clock skew"),
            Log("token used before issued"),
            Log("token is not yet valid"),
            Log("issued in the future"),
        ],
    },
    Cause {
        id: "database-version",
        title: "the data on the volume is of another major version of the database",
        step: "go back to the version that wrote it, dump, and load the dump into the new version; never start the new \
               one on old files",
        signs: &[
            Log("database files are incompatible with server"),
            Log("initialized by PostgreSQL version"),
            Log("Can't handle RDB format version"),
        ],
    },
    Cause {
        id: "password",
        title: "the other side refuses the user or the password",
        step: "a database keeps the password it was set up with, whatever the file says later: use the stack's own \
               reference (`${postgres.url}`), or change the password in the database too",
        signs: &[
            Log("password authentication failed"),
            Log("28P01"),
            Log("WRONGPASS"),
            Log("NOAUTH"),
            Log("invalid username-password pair"),
            Log("Access denied for user"),
            Log("SASL authentication failed"),
            Log("no password supplied"),
            Log("Authentication failed."),
        ],
    },
    Cause {
        id: "no-database",
        title: "the database it wants is not there",
        step: "databases are made when the volume is empty; add this one by hand (`stackctl exec postgres createdb …`), \
               or name the one that is there",
        signs: &[Both(&Log("database \""), &Log("\" does not exist")), Log("3D000"), Log("Unknown database")],
    },
    Cause {
        id: "schema",
        title: "its tables are not there",
        step: "run the migrations before the program: `pre_deploy = [\"…\"]` does it once per release",
        signs: &[
            Both(&Log("relation \""), &Log("\" does not exist")),
            Log("42P01"),
            Log("UndefinedTable"),
            Log("no such table"),
            Log("doesn't exist, table"),
        ],
    },
    Cause {
        id: "database-starting",
        title: "the database was not ready yet",
        step: "name it in `depends_on`: stackctl then waits for it; the program should try again, too, for databases \
               restart",
        signs: &[
            Anywhere("the database system is starting up"),
            Log("57P03"),
            Health("57P03"),
            Log("LOADING Redis is loading"),
            Health("LOADING"),
            Log("the database system is in recovery mode"),
        ],
    },
    Cause {
        id: "names",
        title: "a name cannot be resolved",
        step: "inside the stack services are found by their names in stack.toml, if this one depends on them (or shares \
               their network); outside it needs `egress` and a working DNS of the host",
        signs: &[
            Log("could not translate host name"),
            Log("Name or service not known"),
            Log("Temporary failure in name resolution"),
            Log("getaddrinfo ENOTFOUND"),
            Log("getaddrinfo EAI_AGAIN"),
            Log("no such host"),
            Log("host not found in upstream"),
            Log("UnknownHostException"),
            Log("Could not resolve host"),
            Log("bad address '"),
            Log("php_network_getaddresses"),
        ],
    },
    Cause {
        id: "no-egress",
        title: "it has no way to the outside",
        step: "if it shall have one, remove `egress = false`; if it has one, look at the firewall of the engine's host",
        signs: &[Log("Network is unreachable"), Log("ENETUNREACH"), Log("No route to host")],
    },
    Cause {
        id: "no-answer",
        title: "something it connects to does not answer",
        step: "a firewall swallows what is sent, or the address is nobody's; a service with `egress = false` reaches nothing \
               outside the stack, and some engines let it wait instead of refusing",
        signs: &[
            Log("TimeoutError: timed out"),
            Log("Connection timed out"),
            Log("ETIMEDOUT"),
            Log("i/o timeout"),
            Log("connect timed out"),
        ],
    },
    Cause {
        id: "loopback",
        title: "it listens on its own loopback only",
        step: "let it listen on all addresses (`--host 0.0.0.0`, `--bind 0.0.0.0:PORT`, `HOST=0.0.0.0`): inside a container \
               127.0.0.1 is the container itself; only the front door is published",
        signs: &[
            Both(&Health("refused"), &Log("http://127.0.0.1:")),
            Both(&Health("refused"), &Log("http://localhost:")),
            Both(&Health("refused"), &Log("listening on 127.0.0.1")),
            Both(&Health("refused"), &Log("Listening at: http://127.0.0.1")),
            Both(&Health("closed"), &Log("http://127.0.0.1:")),
            Both(&Health("closed"), &Log("http://localhost:")),
        ],
    },
    Cause {
        id: "connection-refused",
        title: "something it needs does not accept connections",
        step: "name what it needs in `depends_on`, and check host and port: inside a container `localhost` is the \
               container itself, so use the service's name",
        signs: &[
            Log("ECONNREFUSED"),
            Both(&Log("connection refused"), &Log("5432")),
            Both(&Log("connection refused"), &Log("6379")),
            Log("Connection refused"),
            // Python tells what the first address of a name said, and `localhost` is `::1` first.
            Both(&Log("Cannot assign requested address"), &Log("connect")),
        ],
    },
    Cause {
        id: "low-port",
        title: "it may not listen on a port below 1024",
        step: "let it listen on a port from 1024 (and set `port`); or `cap_add = [\"NET_BIND_SERVICE\"]`",
        signs: &[
            Both(&Log("bind()"), &Log("Permission denied")),
            Both(&Log("bind"), &Log("permission denied")),
            Both(&Log("listen EACCES"), &Log("permission denied")),
        ],
    },
    Cause {
        id: "same-port",
        title: "its port is taken inside its own container",
        step: "it starts two servers on one port: check `command` and the image's own start script",
        signs: &[Log("EADDRINUSE"), Log("Address already in use"), Log("address already in use")],
    },
    Cause {
        id: "read-only",
        title: "it writes where nothing can be written",
        step: "give it a folder to write to: `tmpfs` for what may be lost, `volumes` for what must stay; or remove \
               `read_only`",
        signs: &[Anywhere("Read-only file system"), Log("EROFS")],
    },
    Cause {
        id: "capability",
        title: "it wants to do what it has no right to, such as changing owners or users",
        step: "run it as the user the files belong to (`user`), or give it the right it names with `cap_add` (CHOWN, SETUID \
               and SETGID for images that start as root and change to a user)",
        signs: &[
            Both(&Log("chown"), &Log("Operation not permitted")),
            Log("setgid("),
            Log("setuid("),
            Log("setgroups"),
            Log("cannot set groups"),
            Log("error: failed switching to"),
            Log("Operation not permitted"),
        ],
    },
    Cause {
        id: "permission",
        title: "it may not read or write a file",
        step: "files of a volume belong to whoever made them: with `user` set, they have to be that user's (make the folder \
               in the image with `RUN mkdir … && chown …`, a new volume takes that over)",
        signs: &[
            Log("Permission denied"),
            Log("EACCES"),
            Log("AccessDeniedException"),
            Log("could not open file"),
            Log("data directory \""),
        ],
    },
    Cause {
        id: "processes",
        title: "it may not start as many processes or threads",
        step: "raise `pids`, or let it start fewer workers",
        signs: &[
            Anywhere("Resource temporarily unavailable"),
            Log("can't start new thread"),
            Log("unable to create native thread"),
            Log("fork: retry"),
        ],
    },
    Cause {
        id: "files",
        title: "it has too many files or connections open",
        step: "look for a leak (`stackctl exec SERVICE ls /proc/1/fd`); the limit is the engine's default for containers",
        signs: &[Anywhere("Too many open files"), Log("EMFILE")],
    },
    Cause {
        id: "shared-memory",
        title: "it has too little shared memory",
        step: "give it `tmpfs = [\"/dev/shm:size=256m\"]`, or let it use less",
        signs: &[Log("could not resize shared memory segment"), Log("/dev/shm")],
    },
    Cause {
        id: "certificate",
        title: "it does not trust the other side's certificate",
        step: "the image may have no list of authorities (Debian: `apt-get install ca-certificates`), or the other side has \
               one of its own making",
        signs: &[
            Log("certificate verify failed"),
            Log("unable to get local issuer certificate"),
            Anywhere("certificate signed by unknown authority"),
            Log("self-signed certificate"),
            Log("PKIX path building failed"),
        ],
    },
    Cause {
        id: "module",
        title: "a part of the program is not in the image",
        step: "it is not installed, or not copied: check the Dockerfile (`pip install -r …`, `npm ci`, `COPY`), \
               .dockerignore and the working folder",
        signs: &[
            Log("ModuleNotFoundError"),
            Log("No module named"),
            Log("Cannot find module"),
            Log("cannot open shared object file"),
            Log("ClassNotFoundException"),
            Log("Error loading ASGI app"),
            Log("Failed to find attribute"),
            Log("can't open file"),
        ],
    },
    Cause {
        id: "setting",
        title: "a setting is missing",
        step: "add it to `environment` of the service: `NAME = \"value\"`, or `NAME_FILE = \"${secrets.x.file}\"` for \
               a secret",
        signs: &[
            Log("KeyError: '"),
            Log("environment variable not set"),
            Log("environment variable is not set"),
            Log("missing required environment"),
            Log("must be set"),
            Log("is not specified"),
            Log("Field required"),
            Log("ImproperlyConfigured"),
        ],
    },
    Cause {
        id: "health-path",
        title: "there is nothing at the path of its health check",
        step: "check `healthcheck`: the program has to answer that path with 2xx or 3xx, without a login",
        signs: &[Health("answered 404"), Health("answered 401"), Health("answered 403"), Health("answered 405")],
    },
    Cause {
        id: "health-error",
        title: "its health check answers with an error of the program",
        step: "the program's log says why; often it is what the check itself asks (a database, a cache)",
        signs: &[Health("answered 500"), Health("answered 502"), Health("answered 503"), Health("answered 504")],
    },
    Cause {
        id: "health-host",
        title: "the program refuses requests under this host's name",
        step: "allow the name in the program's own settings (`ALLOWED_HOSTS`, trusted hosts), the health check's included",
        signs: &[Both(&Health("answered 400"), &Log("Host")), Log("DisallowedHost"), Log("Invalid host header")],
    },
    Cause {
        id: "health-port",
        title: "nothing listens on its port",
        step: "check `port`: it is the one the program listens on inside the container",
        signs: &[Health("refused"), Health("closed the connection"), Health("closed without an answer")],
    },
    Cause {
        id: "health-slow",
        title: "its health check does not answer in time",
        step: "the program is busy or stuck: give it more `cpus`, a longer `healthcheck.timeout`, or let the check do less",
        signs: &[Health("timed out"), Health("no answer within"), Health("no answer in")],
    },
    Cause {
        id: "crash",
        title: "it crashed",
        step: "a fault of the program or of a library for another C library (Alpine's musl against Debian's glibc): try \
               the other base image, and look for a newer version",
        signs: &[Exit(139), Exit(134), Exit(132)],
    },
    Cause {
        id: "killed",
        title: "it was killed",
        step: "by hand, or because it did not end within `stop_grace_period`, or by the host for want of memory \
               (`dmesg` there tells)",
        signs: &[Exit(137)],
    },
    Cause {
        id: "ended",
        title: "it ended by itself",
        step: "a service has to stay in the foreground: remove options such as `--daemon`, and do not end a start script \
               before the program (`exec PROGRAM`)",
        signs: &[Exit(0)],
    },
];
