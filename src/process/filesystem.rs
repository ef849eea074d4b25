//! Which kind of file system a path is on, as statfs(2) tells.

use std::io;
use std::path::Path;

/// The kind of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// What it is called, such as `ext4`; a number where it is not known here.
    pub name: String,
    /// Where its files are.
    pub reach: Reach,
}

/// Where the files of a file system are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// On this machine.
    Local,
    /// In this machine's memory: gone after a reboot.
    Memory,
    /// On another machine, or shared with one: whether locks and renames hold there is its server's choice.
    Network,
    /// A program serves them, from wherever it likes.
    Program,
    /// On this machine, in a form without the permissions and links that git and ralph need.
    Foreign,
    /// It cannot be told.
    Unknown,
}

/// From linux/magic.h and the file systems' own sources.
const KNOWN: [(u32, &str, Reach); 42] = [
    (0xef53, "ext4", Reach::Local),
    (0x5846_5342, "xfs", Reach::Local),
    (0x9123_683e, "btrfs", Reach::Local),
    (0x794c_7630, "overlay", Reach::Local),
    (0x2fc1_2fc1, "zfs", Reach::Local),
    (0xf2f5_2010, "f2fs", Reach::Local),
    (0xca45_1a4e, "bcachefs", Reach::Local),
    (0x3153_464a, "jfs", Reach::Local),
    (0x5265_4973, "reiserfs", Reach::Local),
    (0x3434, "nilfs2", Reach::Local),
    (0x0001_1954, "ufs", Reach::Local),
    (0x482b, "hfsplus", Reach::Local),
    (0xf15f, "ecryptfs", Reach::Local),
    (0x6175_6673, "aufs", Reach::Local),
    (0x2405_1905, "ubifs", Reach::Local),
    (0x7371_7368, "squashfs", Reach::Local),
    (0xe0f5_e1e2, "erofs", Reach::Local),
    (0x9660, "iso9660", Reach::Local),
    (0x0102_1994, "tmpfs", Reach::Memory),
    (0x8584_58f6, "ramfs", Reach::Memory),
    (0x6969, "nfs", Reach::Network),
    (0x517b, "smb", Reach::Network),
    (0xff53_4d42, "cifs", Reach::Network),
    (0xfe53_4d42, "smb2", Reach::Network),
    (0x0102_1997, "9p", Reach::Network),
    (0x5346_414f, "afs", Reach::Network),
    (0x6b41_4653, "afs", Reach::Network),
    (0x7375_7245, "coda", Reach::Network),
    (0x00c3_6400, "ceph", Reach::Network),
    (0x0bd0_0bd0, "lustre", Reach::Network),
    (0x4750_4653, "gpfs", Reach::Network),
    (0x1983_0326, "beegfs", Reach::Network),
    (0x2003_0528, "orangefs", Reach::Network),
    (0x0116_1970, "gfs2", Reach::Network),
    (0x7461_636f, "ocfs2", Reach::Network),
    (0x786f_4256, "vboxsf", Reach::Network),
    (0xbacb_acbc, "vmhgfs", Reach::Network),
    (0x6573_5546, "fuse", Reach::Program),
    (0x4d44, "vfat", Reach::Foreign),
    (0x2011_bab0, "exfat", Reach::Foreign),
    (0x5346_544e, "ntfs", Reach::Foreign),
    (0x7366_746e, "ntfs3", Reach::Foreign),
];

impl FileSystem {
    /// The kind with this number in statfs(2).
    pub fn of_magic(magic: u32) -> Self {
        match KNOWN.iter().find(|(known, _, _)| *known == magic) {
            Some((_, name, reach)) => Self { name: (*name).to_owned(), reach: *reach },
            None => Self { name: format!("{magic:#x}"), reach: Reach::Unknown },
        }
    }

    /// The kind that `path` is on.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = rustix::fs::statfs(path)?;
        // All of these numbers have 32 bits; some systems extend their sign.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "only the low 32 bits count"
        )]
        Ok(Self::of_magic(found.f_type as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_on_a_file_system() {
        assert!(FileSystem::of(Path::new("/")).is_ok());
        assert!(FileSystem::of(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn a_number_stands_once_in_the_table() {
        for (at, (magic, name, _)) in KNOWN.iter().enumerate() {
            assert!(KNOWN.iter().skip(at + 1).all(|(other, _, _)| other != magic), "{name}");
        }
    }

    #[test]
    fn a_file_system_that_is_not_known_is_shown_by_its_number() {
        let unknown = FileSystem::of_magic(0x1234);
        assert_eq!(unknown, FileSystem { name: "0x1234".to_owned(), reach: Reach::Unknown });
        assert_eq!(FileSystem::of_magic(0x6969).reach, Reach::Network);
    }
}
