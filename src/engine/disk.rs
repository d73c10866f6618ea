//! How much room the engine's disk has, and what could be taken away from it.

use bollard::container::AttachContainerResults;
use bollard::models::HostConfig;
use bollard::query_parameters::{AttachContainerOptions, CreateContainerOptions};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Limited};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::Value;

use crate::base::elf::for_arch;
use crate::base::hash;
use crate::base::units::ByteSize;
use crate::model::container::label;
use crate::model::observed::{Disk, Reclaimable};

use super::capability::Capability;
use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::holder;

/// Its reference. A new program gets a new tag.
const IMAGE: &str = "stackctl/disk:1";

/// The largest answer about sizes that is read, bytes: some hundred for each image.
const ANSWER: usize = 64 << 20;

/// Assembled from `disk/x86_64.s`.
#[rustfmt::skip]
const X86_64: &[u8] = &[
    0x48, 0x81, 0xec, 0x00, 0x01, 0x00, 0x00, 0x66, 0xc7, 0x84, 0x24, 0x80, 0x00, 0x00, 0x00, 0x2f, 0x00, 0x48, 0x8d, 0xbc,
    0x24, 0x80, 0x00, 0x00, 0x00, 0x48, 0x89, 0xe6, 0xb8, 0x89, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x85, 0xc0, 0x75, 0x14, 0xb8,
    0x01, 0x00, 0x00, 0x00, 0xbf, 0x01, 0x00, 0x00, 0x00, 0x48, 0x89, 0xe6, 0xba, 0x78, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xb8,
    0x3c, 0x00, 0x00, 0x00, 0x31, 0xff, 0x0f, 0x05,
];

/// Assembled from `disk/aarch64.s`.
#[rustfmt::skip]
const AARCH64: &[u8] = &[
    0xff, 0x03, 0x04, 0xd1, 0xe9, 0x05, 0x80, 0xd2, 0xe9, 0x43, 0x00, 0xf9, 0xe0, 0x03, 0x02, 0x91, 0xe1, 0x03, 0x00, 0x91,
    0x68, 0x05, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0xc0, 0x00, 0x00, 0xb5, 0x20, 0x00, 0x80, 0xd2, 0xe1, 0x03, 0x00, 0x91,
    0x02, 0x0f, 0x80, 0xd2, 0x08, 0x08, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2,
    0x01, 0x00, 0x00, 0xd4,
];

impl Engine {
    /// The disk that images and containers are on. Where the engine is this host, its folder is asked; elsewhere a
    /// container asks, whose root folder is on that disk.
    pub async fn disk(&self) -> Result<Disk, EngineError> {
        if self.facts().local {
            let info = self.call("ask where the engine keeps images", self.docker.info()).await?;
            let found = info.docker_root_dir.and_then(|root| rustix::fs::statvfs(root).ok());
            if let Some(found) = found {
                let bytes = |blocks: u64| ByteSize(blocks.saturating_mul(found.f_frsize));
                return Ok(Disk { free: bytes(found.f_bavail), total: bytes(found.f_blocks) });
            }
        }
        self.disk_by_container().await
    }

    async fn disk_by_container(&self) -> Result<Disk, EngineError> {
        let doing = "ask how much room the engine's disk has";
        let failed = |message: &str| EngineError::new(ErrorKind::Other, doing, message);
        let mut bytes = [0; 6];
        SystemRandom::new().fill(&mut bytes).map_err(|_| failed("this system gives no random numbers"))?;
        let name = format!("stackctl-disk-{}", hash::hex(&bytes));
        let create = || {
            let options = CreateContainerOptions { name: Some(name.clone()), ..CreateContainerOptions::default() };
            let mut body = holder::body([(label::ROLE.to_owned(), "disk".to_owned())], None);
            body.image = Some(IMAGE.to_owned());
            body.entrypoint = Some(vec!["/disk".to_owned()]);
            body.user = Some("65534:65534".to_owned());
            body.host_config = Some(HostConfig { auto_remove: Some(true), ..body.host_config.unwrap_or_default() });
            self.docker.create_container(Some(options), body)
        };
        let container = match self.call(doing, create()).await {
            Err(error) if error.kind == ErrorKind::ImageNotFound => {
                let program = for_arch(&self.facts().arch, X86_64, AARCH64);
                self.import_program(IMAGE, "disk", program).await?;
                self.call(doing, create()).await?.id
            }
            other => other?.id,
        };
        let read = async {
            let options = AttachContainerOptions { stream: true, stdout: true, ..Default::default() };
            let AttachContainerResults { mut output, input } =
                self.docker.attach_container(&container, Some(options)).await?;
            self.docker.start_container(&container, None).await?;
            let mut all = Vec::new();
            while let Some(part) = output.next().await {
                all.extend_from_slice(&part?.into_bytes());
            }
            drop(input);
            Ok(all)
        };
        match self.call(doing, read).await {
            Ok(answer) => parsed(&answer).ok_or_else(|| failed("the helper's answer makes no sense")),
            Err(error) => {
                let _ = self.discard(&container).await;
                Err(error)
            }
        }
    }

    /// What nothing uses: images without a container, and the build cache.
    pub async fn reclaimable(&self) -> Result<Reclaimable, EngineError> {
        let doing = "ask what takes room on the engine";
        let kinds = if self.can(Capability::DiskUsageByKind) { "?type=image&type=build-cache" } else { "" };
        let ask = async {
            let response = self.raw(doing, self.request("GET", &format!("/system/df{kinds}")), Bytes::new()).await?;
            let body = Limited::new(response.into_body(), ANSWER).collect().await;
            let body = body.map_err(|error| EngineError::lost(doing, error.as_ref()))?.to_bytes();
            serde_json::from_slice::<Value>(&body).map_err(|error| {
                EngineError::new(ErrorKind::Other, doing, format!("the answer makes no sense: {error}"))
            })
        };
        let answer = tokio::time::timeout(self.time_limit(), ask).await;
        answer
            .map_err(|_| EngineError::new(ErrorKind::Timeout, doing, "the engine did not answer in time"))?
            .map(|a| unused(&a))
    }
}

/// `struct statfs` of 64-bit Linux: `f_bsize`, `f_blocks`, `f_bfree`, `f_bavail` are its words 1 to 4.
fn parsed(answer: &[u8]) -> Option<Disk> {
    let word = |n: usize| Some(u64::from_ne_bytes(answer.get(n * 8..n * 8 + 8)?.try_into().ok()?));
    let (size, blocks, available) = (word(1)?, word(2)?, word(4)?);
    // On an engine of the other byte order this would be a size of 2^44.
    ((512..=1 << 20).contains(&size))
        .then(|| Disk { free: ByteSize(available.saturating_mul(size)), total: ByteSize(blocks.saturating_mul(size)) })
}

/// Engines from 29 on add up themselves; older ones list everything.
fn unused(answer: &Value) -> Reclaimable {
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_i64).unwrap_or(0);
    let bytes = |n: i64| ByteSize(u64::try_from(n).unwrap_or(0));
    let all = |name: &str| answer.get(name).and_then(Value::as_array).into_iter().flatten();
    let given = |name: &str| answer.pointer(&format!("/{name}/Reclaimable")).and_then(Value::as_i64);
    let images = given("ImageUsage").unwrap_or_else(|| {
        let unused = all("Images").filter(|image| number(image, "Containers") == 0);
        // What it shares with others stays with them; -1 is unknown.
        unused.map(|image| number(image, "Size") - number(image, "SharedSize").max(0)).sum()
    });
    let cache = given("BuildCacheUsage").unwrap_or_else(|| {
        let is = |record: &Value, name: &str| record.get(name).and_then(Value::as_bool).unwrap_or(false);
        all("BuildCache").filter(|r| !is(r, "InUse") && !is(r, "Shared")).map(|r| number(r, "Size")).sum()
    });
    Reclaimable { images: bytes(images), cache: bytes(cache) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;
    use crate::base::elf::{EM_AARCH64, EM_X86_64, elf};

    fn ok<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
        result.unwrap_or_else(|error| unreachable!("{error}"))
    }

    #[test]
    fn the_bytes_are_those_of_the_source() {
        let folder = ok(tempfile::tempdir());
        let (object, binary) = (folder.path().join("o"), folder.path().join("b"));
        let (source, code) = match std::env::consts::ARCH {
            "x86_64" => ("x86_64.s", X86_64),
            "aarch64" => ("aarch64.s", AARCH64),
            _ => return,
        };
        let source = format!("{}/src/engine/disk/{source}", env!("CARGO_MANIFEST_DIR"));
        assert!(ok(Command::new("as").arg(source).arg("-o").arg(&object).status()).success());
        let copy = ["-O", "binary", "-j", ".text"];
        assert!(ok(Command::new("objcopy").args(copy).arg(&object).arg(&binary).status()).success());
        assert_eq!(ok(std::fs::read(&binary)), code);
    }

    #[test]
    fn the_program_says_what_the_system_says() {
        let (machine, code) = match std::env::consts::ARCH {
            "x86_64" => (EM_X86_64, X86_64),
            "aarch64" => (EM_AARCH64, AARCH64),
            _ => return,
        };
        let folder = ok(tempfile::tempdir());
        let program = folder.path().join("disk");
        ok(std::fs::write(&program, elf(machine, code)));
        ok(std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)));
        let answer = ok(Command::new(&program).output()).stdout;
        let said = parsed(&answer).unwrap_or_else(|| unreachable!("{answer:?}"));
        let known = ok(rustix::fs::statvfs("/"));
        assert_eq!(said.total, ByteSize(known.f_blocks * known.f_frsize));
        // Others write meanwhile.
        assert!(
            said.free.0.abs_diff(known.f_bavail * known.f_frsize) < 1 << 30,
            "{said:?}, and {} blocks of {}",
            known.f_bavail,
            known.f_frsize
        );
        assert_eq!(parsed(&answer[..39]), None);
        assert_eq!(parsed(&[0; 120]), None);
    }

    #[test]
    fn what_nothing_uses_as_old_and_new_engines_say_it() {
        let old = serde_json::json!({
            "Images": [
                {"Containers": 0, "Size": 1000, "SharedSize": 300}, {"Containers": 2, "Size": 5000, "SharedSize": 0},
                {"Containers": 0, "Size": 10, "SharedSize": -1},
            ],
            "BuildCache": [
                {"Size": 7, "InUse": true, "Shared": false}, {"Size": 8, "InUse": false, "Shared": false},
                {"Size": 9, "InUse": false, "Shared": true},
            ],
        });
        assert_eq!(unused(&old), Reclaimable { images: ByteSize(710), cache: ByteSize(8) });
        let new = serde_json::json!({"ImageUsage": {"Reclaimable": 5}, "BuildCacheUsage": {"Reclaimable": 6}});
        assert_eq!(unused(&new), Reclaimable { images: ByteSize(5), cache: ByteSize(6) });
        assert_eq!(unused(&serde_json::json!([])), Reclaimable::default());
    }
}
