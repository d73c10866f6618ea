//! The holder: an image of our own with one tiny program that reads its input until there is none, or renames what it is
//! told to. It keeps the lock and the state volume, and carries files into volumes, before any other image is there: no
//! registry, no shell.

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{CreateContainerOptions, CreateImageOptions};
use bytes::Bytes;
use futures_util::TryStreamExt;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::tarball;
use crate::base::elf::for_arch;
use crate::model::container::label;

/// Its reference. A new program gets a new tag.
pub const IMAGE: &str = "stackctl/holder:2";

/// Where the image has the program.
pub(super) const PROGRAM: &str = "/holder";

/// Assembled from `holder/x86_64.s`.
#[rustfmt::skip]
const X86_64: &[u8] = &[
    0x48, 0x8b, 0x1c, 0x24, 0x48, 0x8d, 0x6c, 0x24, 0x10, 0x48, 0xff, 0xcb, 0x7e, 0x21, 0xb8, 0x52, 0x00, 0x00, 0x00, 0x48,
    0x8b, 0x7d, 0x00, 0x48, 0x8b, 0x75, 0x08, 0x0f, 0x05, 0xf7, 0xd8, 0x89, 0xc7, 0x75, 0x28, 0x48, 0x83, 0xc5, 0x10, 0x48,
    0x83, 0xeb, 0x02, 0x7f, 0xe1, 0xeb, 0x1c, 0x48, 0x81, 0xec, 0x00, 0x10, 0x00, 0x00, 0x31, 0xc0, 0x31, 0xff, 0x48, 0x89,
    0xe6, 0xba, 0x00, 0x10, 0x00, 0x00, 0x0f, 0x05, 0x48, 0x85, 0xc0, 0x7f, 0xed, 0x31, 0xff, 0xb8, 0x3c, 0x00, 0x00, 0x00,
    0x0f, 0x05,
];

/// Assembled from `holder/aarch64.s`.
#[rustfmt::skip]
const AARCH64: &[u8] = &[
    0xf3, 0x03, 0x40, 0xf9, 0xf4, 0x43, 0x00, 0x91, 0x73, 0x06, 0x00, 0xf1, 0xad, 0x01, 0x00, 0x54, 0x60, 0x0c, 0x80, 0x92,
    0x81, 0x02, 0x40, 0xf9, 0x62, 0x0c, 0x80, 0x92, 0x83, 0x06, 0x40, 0xf9, 0xc8, 0x04, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4,
    0xe0, 0x03, 0x00, 0xcb, 0xc0, 0x01, 0x00, 0xb5, 0x94, 0x42, 0x00, 0x91, 0x73, 0x0a, 0x00, 0xf1, 0xcc, 0xfe, 0xff, 0x54,
    0x0a, 0x00, 0x00, 0x14, 0xff, 0x07, 0x40, 0xd1, 0x00, 0x00, 0x80, 0xd2, 0xe1, 0x03, 0x00, 0x91, 0x02, 0x00, 0x82, 0xd2,
    0xe8, 0x07, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0x1f, 0x00, 0x00, 0xf1, 0x4c, 0xff, 0xff, 0x54, 0x00, 0x00, 0x80, 0xd2,
    0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4,
];

/// The program for an engine's architecture.
pub(crate) fn program(arch: &str) -> Option<Vec<u8>> {
    for_arch(arch, X86_64, AARCH64)
}

impl Engine {
    /// Imports the holder image, unless it is there.
    pub async fn ensure_holder(&self) -> Result<(), EngineError> {
        match self.call("look for the holder image", self.docker.inspect_image(IMAGE)).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind == ErrorKind::ImageNotFound || error.kind == ErrorKind::NotFound => {
                self.import_holder().await
            }
            Err(error) => Err(error),
        }
    }

    async fn import_holder(&self) -> Result<(), EngineError> {
        self.import_program(IMAGE, "holder", program(&self.facts().arch)).await
    }

    /// Imports an image that is one program, which `None` means there is none for this engine's architecture.
    pub(super) async fn import_program(
        &self,
        image: &str,
        name: &str,
        program: Option<Vec<u8>>,
    ) -> Result<(), EngineError> {
        let doing = format!("import the {name} image");
        let arch = &self.facts().arch;
        let program = program.ok_or_else(|| {
            EngineError::new(
                ErrorKind::Other,
                &doing,
                format!("the engine's architecture is `{arch}`; the {name} exists for amd64 and arm64"),
            )
        })?;
        let tar = tarball::of_program(name, &program)
            .map_err(|error| EngineError::new(ErrorKind::Other, &doing, error.to_string()))?;
        let options = CreateImageOptions {
            from_src: Some("-".into()),
            // With its tag: Podman 4.3 does not hear one that is told apart.
            repo: Some(image.into()),
            message: Some(format!("stackctl {name}")),
            ..CreateImageOptions::default()
        };
        let import = self
            .docker
            .create_image(Some(options), Some(bollard::body_full(Bytes::from(tar))), None)
            .try_for_each(|_| std::future::ready(Ok(())));
        match self.call(&doing, import).await {
            Ok(()) => Ok(()),
            // The stream's last line can trip the client although the import succeeded: the image itself decides.
            Err(error) => match self.call(&doing, self.docker.inspect_image(image)).await {
                Ok(_) => Ok(()),
                Err(_) => Err(error),
            },
        }
    }

    /// Creates a container of the holder image; imports the image if the engine turns out not to have it.
    pub(super) async fn create_holder(
        &self,
        doing: &str,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<String, EngineError> {
        let create = |body| {
            let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
            self.docker.create_container(Some(options), body)
        };
        match self.call(doing, create(body.clone())).await {
            Err(error) if error.kind == ErrorKind::ImageNotFound => {
                self.import_holder().await?;
                Ok(self.call(doing, create(body)).await?.id)
            }
            other => Ok(other?.id),
        }
    }
}

/// A container of the holder image with nothing it does not need.
pub(super) fn body(
    labels: impl IntoIterator<Item = (String, String)>,
    volume: Option<(&str, &str)>,
) -> ContainerCreateBody {
    let mounts = volume.map(|(name, target)| {
        vec![Mount {
            target: Some(target.to_owned()),
            source: Some(name.to_owned()),
            typ: Some(MountType::VOLUME),
            volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
            ..Mount::default()
        }]
    });
    ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        entrypoint: Some(vec![PROGRAM.to_owned()]),
        labels: Some(labels.into_iter().collect()),
        // As the first process of its container it ignores SIGTERM: without this every stop waits ten seconds.
        stop_signal: Some("SIGKILL".to_owned()),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            pids_limit: Some(64),
            memory: Some(64 << 20),
            mounts,
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// The same with a volume to carry files into or out of.
pub(super) fn carrier(volume: &str, at: &str) -> ContainerCreateBody {
    body([(label::ROLE.to_owned(), "files".to_owned())], Some((volume, at)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::base::elf::machine;

    fn ok<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
        result.unwrap_or_else(|error| unreachable!("{error}"))
    }

    #[test]
    fn the_headers_say_what_the_loader_needs() {
        for (arch, machine, code) in [("amd64", 62u8, X86_64), ("arm64", 183, AARCH64)] {
            let file = program(arch).unwrap_or_default();
            assert_eq!(&file[..4], b"\x7fELF");
            assert_eq!(file[18], machine);
            assert_eq!(file.len(), 120 + code.len());
            assert_eq!(&file[24..32], &(0x40_0000u64 + 120).to_le_bytes(), "entry point");
            assert_eq!(&file[96..104], &(file.len() as u64).to_le_bytes(), "size in the file");
        }
        assert!(program("riscv64").is_none());
    }

    #[test]
    fn the_bytes_are_those_of_the_source() {
        for (arch, code) in [("x86_64", X86_64), ("aarch64", AARCH64)] {
            let source = format!("src/engine/holder/{arch}.s");
            assert!(machine::assembled(arch, &source).is_none_or(|made| made == code), "{arch}");
        }
    }

    #[test]
    fn it_renames_pairs_and_says_which_error_it_met() {
        let folder = ok(tempfile::tempdir());
        for start in machine::runnable(folder.path(), |arch| program(arch).unwrap_or_default()) {
            let run = |arguments: &[&str]| {
                let mut command = Command::new(&start[0]);
                ok(command.args(&start[1..]).args(arguments).current_dir(folder.path()).status()).code()
            };
            let at = |name: &str| folder.path().join(name);
            let leads = |name: &str| ok(std::fs::read_link(at(name))).display().to_string();
            for (name, to) in [("one", "old"), ("one.next", "new"), ("two.next", "new")] {
                let _ = std::fs::remove_file(at(name));
                ok(symlink(to, at(name)));
            }
            let _ = std::fs::remove_file(at("two"));
            assert_eq!(run(&["one.next", "one", "two.next", "two"]), Some(0), "{start:?}");
            assert_eq!((leads("one"), leads("two")), ("new".to_owned(), "new".to_owned()), "{start:?}");
            assert!(!at("one.next").is_symlink() && !at("two.next").is_symlink());
            assert_eq!(run(&["gone", "one", "two", "one"]), Some(2), "{start:?}: ENOENT");
            assert!(at("two").is_symlink(), "nothing follows what failed");
            assert_eq!(run(&["one"]), Some(14), "{start:?}: EFAULT");
        }
    }

    #[test]
    fn without_arguments_it_waits_for_the_end_of_its_input() {
        let folder = ok(tempfile::tempdir());
        for start in machine::runnable(folder.path(), |arch| program(arch).unwrap_or_default()) {
            let mut child = ok(Command::new(&start[0]).args(&start[1..]).stdin(Stdio::piped()).spawn());
            std::thread::sleep(std::time::Duration::from_millis(100));
            assert!(ok(child.try_wait()).is_none(), "{start:?}: it has not waited");
            drop(child.stdin.take());
            assert_eq!(ok(child.wait()).code(), Some(0), "{start:?}");
        }
    }
}
