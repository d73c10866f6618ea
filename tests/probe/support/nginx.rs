//! A private Nginx: own prefix, own ports, gone with its handle.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) struct Nginx {
    child: Child,
    pub(crate) folder: TempDir,
}

/// Free ports of the loopback interface; they stay free unless somebody is very quick.
pub(crate) fn ports<const N: usize>() -> [u16; N] {
    let listeners: Vec<TcpListener> = (0..N).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    std::array::from_fn(|i| listeners[i].local_addr().unwrap().port())
}

impl Nginx {
    /// Starts Nginx with this `http` block; `files` are put into its folder first.
    pub(crate) fn start(http: &str, files: &[(&str, &str)], port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        fs::create_dir(folder.path().join("www")).unwrap();
        fs::write(folder.path().join("www/ok.txt"), "ok\n").unwrap();
        // The real one's temporary folders belong to root; without a master there is one process to end.
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {}/{what};\n", folder.path().display()))
            .concat();
        let root = if is_root() { "user root;" } else { "" };
        let text = format!(
            "{root} daemon off; master_process off; pid {0}/pid; error_log {0}/error.log warn;\n\
             events {{ worker_connections 1024; }}\nhttp {{ access_log off; {temporary} root {0}/www;\n{http}\n}}\n",
            folder.path().display()
        );
        fs::write(folder.path().join("nginx.conf"), text).unwrap();
        let child = Command::new("nginx")
            .args(["-p", &folder.path().display().to_string(), "-c", "nginx.conf", "-e", "error.log"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx must be installed (apt-get install nginx)");
        let mut nginx = Self { child, folder };
        nginx.wait(port);
        nginx
    }

    fn wait(&mut self, port: u16) {
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default();
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("nginx ended with {status}: {}", log());
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "nginx does not listen: {}", log());
            sleep(Duration::from_millis(20));
        }
    }
}

fn is_root() -> bool {
    Path::new("/proc/self/status").exists()
        && fs::read_to_string("/proc/self/status").unwrap_or_default().contains("Uid:\t0\t")
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
