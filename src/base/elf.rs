//! Programs of ours that are a few hundred bytes, as Linux loads them.

/// `e_machine` of the ELF header: x86-64.
pub const EM_X86_64: u16 = 62;

/// `e_machine` of the ELF header: aarch64.
pub const EM_AARCH64: u16 = 183;

/// A static ELF executable: header, one loadable segment that is the whole file, code.
pub fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + code.len() as u64;
    let mut out = Vec::new();
    out.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"); // 64 bits, little-endian, version 1, System V
    out.extend(2u16.to_le_bytes()); // executable
    out.extend(machine.to_le_bytes());
    out.extend(1u32.to_le_bytes()); // version
    out.extend((BASE + HEADERS).to_le_bytes()); // entry point
    out.extend(64u64.to_le_bytes()); // program headers
    out.extend(0u64.to_le_bytes()); // no section headers
    out.extend(0u32.to_le_bytes()); // flags
    for half in [64u16, 56, 1, 0, 0, 0] {
        out.extend(half.to_le_bytes()); // sizes and counts of the headers
    }
    out.extend(1u32.to_le_bytes()); // PT_LOAD
    out.extend(5u32.to_le_bytes()); // readable, executable
    for word in [0, BASE, BASE, size, size, 0x1_0000] {
        out.extend(u64::to_le_bytes(word)); // offset, addresses, sizes, alignment (64 KiB pages exist on arm64)
    }
    out.extend(code);
    out
}

/// The program for an engine's architecture, by any of the names that engines have for it, out of the code for each.
/// `None` for others.
pub fn for_arch(arch: &str, x86_64: &[u8], aarch64: &[u8]) -> Option<Vec<u8>> {
    match arch {
        "amd64" | "x86_64" => Some(elf(EM_X86_64, x86_64)),
        "arm64" | "aarch64" => Some(elf(EM_AARCH64, aarch64)),
        _ => None,
    }
}

/// What tests of such programs share.
#[cfg(test)]
pub(crate) mod machine {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::Command;

    fn ok<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
        result.unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// The code that a source below the project becomes. The C compiler that builds this crate brings an assembler for
    /// its own machine; others are used if they are there: else `None`.
    pub(crate) fn assembled(arch: &str, source: &str) -> Option<Vec<u8>> {
        let folder = ok(tempfile::tempdir());
        let own = std::env::consts::ARCH == arch;
        let tool = |name: &str| if own { name.to_owned() } else { format!("{arch}-linux-gnu-{name}") };
        let (object, binary) = (folder.path().join("o"), folder.path().join("b"));
        let source = format!("{}/{source}", env!("CARGO_MANIFEST_DIR"));
        let Ok(status) = Command::new(tool("as")).arg(source).arg("-o").arg(&object).status() else {
            assert!(!own, "there is no assembler");
            return None;
        };
        assert!(status.success(), "{arch}");
        let copy = ["-O", "binary", "-j", ".text"];
        assert!(ok(Command::new(tool("objcopy")).args(copy).arg(&object).arg(&binary).status()).success());
        Some(ok(std::fs::read(&binary)))
    }

    /// Each architecture's program as something to run here: natively, or by QEMU, if that is there.
    pub(crate) fn runnable(folder: &Path, program: impl Fn(&str) -> Vec<u8>) -> Vec<Vec<String>> {
        let mut out = Vec::new();
        for arch in ["x86_64", "aarch64"] {
            let path = folder.join(arch);
            ok(std::fs::write(&path, program(arch)));
            ok(std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)));
            let path = path.to_string_lossy().into_owned();
            // By its path: a program may be started with another PATH.
            let qemu = format!("/usr/bin/qemu-{arch}-static");
            if std::env::consts::ARCH == arch {
                out.push(vec![path]);
            } else if Command::new(&qemu).arg("--version").output().is_ok() {
                out.push(vec![qemu, path]);
            }
        }
        assert!(!out.is_empty(), "no program for this machine");
        out
    }
}
