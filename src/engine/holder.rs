//! The holder: an image of our own with one tiny program that reads its input until there is none. It keeps the lock
//! and the state volume, and carries files into volumes, before any other image is there: no registry, no shell.

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{CreateContainerOptions, CreateImageOptions};
use bytes::Bytes;
use futures_util::TryStreamExt;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::tarball;
use crate::base::elf::{EM_AARCH64, EM_X86_64, elf};

/// Its reference. A new program gets a new tag.
pub const IMAGE: &str = "stackctl/holder:1";

/// x86-64, assembled from:
///
/// ```text
/// 48 81 ec 00 10 00 00        sub  rsp, 4096
/// 31 c0                 loop: xor  eax, eax       # read
/// 31 ff                       xor  edi, edi       # standard input
/// 48 89 e6                    mov  rsi, rsp
/// ba 00 10 00 00              mov  edx, 4096
/// 0f 05                       syscall
/// 48 85 c0                    test rax, rax
/// 7f ed                       jg   loop
/// b8 3c 00 00 00              mov  eax, 60        # exit
/// 31 ff                       xor  edi, edi
/// 0f 05                       syscall
/// ```
const X86_64: &[u8] = &[
    0x48, 0x81, 0xec, 0x00, 0x10, 0x00, 0x00, 0x31, 0xc0, 0x31, 0xff, 0x48, 0x89, 0xe6, 0xba, 0x00, 0x10, 0x00, 0x00,
    0x0f, 0x05, 0x48, 0x85, 0xc0, 0x7f, 0xed, 0xb8, 0x3c, 0x00, 0x00, 0x00, 0x31, 0xff, 0x0f, 0x05,
];

/// aarch64, assembled from (each word little-endian):
///
/// ```text
/// d14007ff        sub  sp, sp, #4096
/// d2800000  loop: mov  x0, #0         // standard input
/// 910003e1        mov  x1, sp
/// d2820002        mov  x2, #4096
/// d28007e8        mov  x8, #63        // read
/// d4000001        svc  #0
/// f100001f        cmp  x0, #0
/// 54ffff4c        b.gt loop
/// d2800000        mov  x0, #0
/// d2800ba8        mov  x8, #93        // exit
/// d4000001        svc  #0
/// ```
const AARCH64: &[u8] = &[
    0xff, 0x07, 0x40, 0xd1, 0x00, 0x00, 0x80, 0xd2, 0xe1, 0x03, 0x00, 0x91, 0x02, 0x00, 0x82, 0xd2, 0xe8, 0x07, 0x80,
    0xd2, 0x01, 0x00, 0x00, 0xd4, 0x1f, 0x00, 0x00, 0xf1, 0x4c, 0xff, 0xff, 0x54, 0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b,
    0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4,
];

/// The program for an engine's architecture.
pub(crate) fn program(arch: &str) -> Option<Vec<u8>> {
    match arch {
        "amd64" | "x86_64" => Some(elf(EM_X86_64, X86_64)),
        "arm64" | "aarch64" => Some(elf(EM_AARCH64, AARCH64)),
        _ => None,
    }
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
        entrypoint: Some(vec!["/holder".to_owned()]),
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
