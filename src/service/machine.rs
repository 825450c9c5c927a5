//! What the machine already has, read from its files: so that a plan can be made for an image or a folder too.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// What a plan depends on. Plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Where its files are: `/`, or the folder of an image.
    pub root: PathBuf,
    /// Whether no system is there (no users, no groups): a folder whose files will be laid over a machine that is not known yet.
    pub is_bare: bool,
    /// Whether this process may change what belongs to root.
    pub is_root: bool,
    /// Whether systemd runs this machine, and not only lies in the folder.
    pub is_booted: bool,
    /// Whether a kiosk's unit is started at boot.
    pub is_enabled: bool,
    /// The compositor for kiosks, as the machine itself calls it.
    pub cage: Option<PathBuf>,
    /// Whether cage can start an X server. Debian 12's (0.1.4) does not start without one, wanted or not.
    pub has_xwayland: bool,
    /// Whether seatd can give a service the screen and the keyboard.
    pub has_seatd: bool,
    /// What starts a desktop at boot, if something does.
    pub display_manager: Option<String>,
    /// Users, each with the name of its own group.
    pub users: Vec<Account>,
    /// Members of groups, as `(group, user)`.
    pub members: BTreeSet<(String, String)>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its first group.
    pub group: String,
}

/// Where programs are on Debian and its children. Not `$PATH`: under sudo that is another one than the service's.
const PROGRAMS: [&str; 3] = ["usr/bin", "usr/local/bin", "bin"];

/// What `systemctl enable` makes of the unit's `WantedBy=`.
const ENABLED: &str = "etc/systemd/system/multi-user.target.wants/screen-portal.service";

/// Where packages bring units; the same folder since Debian 12.
const UNITS: [&str; 2] = ["usr/lib/systemd/system", "lib/systemd/system"];

impl Machine {
    /// The machine below `root`, or what is to become part of one.
    ///
    /// # Errors
    /// There are users, and they cannot be read.
    pub fn below(root: &Path) -> io::Result<Self> {
        let is_there = |file: &str| root.join(file).symlink_metadata().is_ok();
        if root == Path::new("/") || is_there("etc/passwd") || is_there("etc/group") {
            return Self::look(root);
        }
        Ok(Self {
            root: root.into(),
            is_bare: true,
            is_root: is_root(),
            is_enabled: is_there(ENABLED),
            ..Self::default()
        })
    }

    /// Looks at the machine whose files are below `root`.
    ///
    /// # Errors
    /// The users cannot be read, which each machine has, an image too.
    pub fn look(root: &Path) -> io::Result<Self> {
        let groups = lines(&root.join("etc/group"))?;
        let names: Vec<_> =
            groups.iter().filter_map(|line| Some((field(line, 2)?, field(line, 0)?, field(line, 3)?))).collect();
        let group_of = |id: &str| names.iter().find(|(of, ..)| *of == id).map_or(id, |(_, name, _)| name).to_owned();
        let users = lines(&root.join("etc/passwd"))?;
        let users = users
            .iter()
            .filter_map(|line| Some(Account { name: field(line, 0)?.to_owned(), group: group_of(field(line, 3)?) }));
        let members = names.iter().flat_map(|(_, group, members)| {
            members.split(',').filter(|name| !name.is_empty()).map(|name| (group.to_string(), name.to_owned()))
        });
        let display_manager = std::fs::read_link(root.join("etc/systemd/system/display-manager.service"));
        Ok(Self {
            root: root.into(),
            is_bare: false,
            is_root: is_root(),
            // sd_booted(3)
            is_booted: root == Path::new("/") && Path::new("/run/systemd/system").is_dir(),
            // In an image the link leads to nowhere.
            is_enabled: root.join(ENABLED).symlink_metadata().is_ok(),
            cage: program(root, "cage"),
            has_xwayland: program(root, "Xwayland").is_some(),
            has_seatd: UNITS.iter().any(|folder| root.join(folder).join("seatd.service").is_file()),
            display_manager: display_manager
                .ok()
                .and_then(|target| Some(target.file_name()?.to_string_lossy().into_owned())),
            users: users.collect(),
            members: members.collect(),
        })
    }

    /// The user of this name.
    pub fn user(&self, name: &str) -> Option<&Account> {
        self.users.iter().find(|account| account.name == name)
    }

    /// Whether it is the machine that this process runs on.
    pub fn is_this(&self) -> bool {
        self.root == Path::new("/")
    }

    /// A path of the machine, as it is reached from here.
    pub fn at(&self, path: &Path) -> PathBuf {
        inside(&self.root, path)
    }
}

/// The place below `root` that the machine itself calls `path`. Links on the way are followed as that machine would follow them, as after
/// chroot(2): those of an image must not lead to files of the machine that it lies on. What the path names in the end is not followed.
pub(super) fn inside(root: &Path, path: &Path) -> PathBuf {
    let mut left = names(path);
    let mut reached = PathBuf::new();
    // As many as the kernel follows: path_resolution(7).
    let mut links = 40;
    while let Some(name) = left.pop() {
        if name == ".." {
            reached.pop();
            continue;
        }
        let target = if left.is_empty() { None } else { std::fs::read_link(root.join(&reached).join(&name)).ok() };
        match target.filter(|_| links > 0) {
            None => reached.push(name),
            Some(target) => {
                links -= 1;
                if target.is_absolute() {
                    reached.clear();
                }
                left.extend(names(&target));
            }
        }
    }
    root.join(reached)
}

/// What a path is made of, the last first.
fn names(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    let mut names: Vec<_> = names.collect();
    names.reverse();
    names
}

/// Where a program is, as the machine itself calls the place.
pub fn program(root: &Path, name: &str) -> Option<PathBuf> {
    let folder = PROGRAMS.iter().find(|folder| root.join(folder).join(name).is_file())?;
    Some(Path::new("/").join(folder).join(name))
}

fn is_root() -> bool {
    // SAFETY: geteuid has no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

fn lines(path: &Path) -> io::Result<Vec<String>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn field(line: &str, number: usize) -> Option<&str> {
    line.split(':').nth(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_read_without_running_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert!(Machine::look(root).unwrap_err().to_string().contains("etc/group"));
        for folder in ["etc/systemd/system", "usr/bin", "usr/lib/systemd/system"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\npi:x:1000:1001::/home/pi:/bin/sh\nbad\n")
            .unwrap();
        std::fs::write(root.join("etc/group"), "root:x:0:\nvideo:x:44:pi,kim\npeople:x:1001:\n").unwrap();
        let bare = Machine::look(root).unwrap();
        assert_eq!(bare.user("pi"), Some(&Account { name: "pi".into(), group: "people".into() }));
        assert!(bare.user("kim").is_none() && bare.user("bad").is_none());
        assert!(bare.members.contains(&("video".into(), "pi".into())) && bare.members.len() == 2);
        assert!(!bare.is_booted && bare.cage.is_none() && !bare.has_seatd && bare.display_manager.is_none());

        std::fs::write(root.join("usr/bin/cage"), "").unwrap();
        std::fs::write(root.join("usr/lib/systemd/system/seatd.service"), "").unwrap();
        std::os::unix::fs::symlink(
            "/lib/systemd/system/lightdm.service",
            root.join("etc/systemd/system/display-manager.service"),
        )
        .unwrap();
        let full = Machine::look(root).unwrap();
        assert_eq!(full.cage, Some("/usr/bin/cage".into()));
        assert!(full.has_seatd);
        assert_eq!(full.display_manager.as_deref(), Some("lightdm.service"));
        assert_eq!(full.at(Path::new("/etc/x")), root.join("etc/x"));
    }
    #[test]
    fn links_of_an_image_stay_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("usr/etc/x")).unwrap();
        for (target, link) in [
            ("/usr/etc", "etc"),
            ("usr/etc", "relative"),
            ("../../../../../../usr", "above"),
            ("/loop", "loop"),
            ("/elsewhere", "usr/etc/x/file"),
        ] {
            std::os::unix::fs::symlink(target, root.join(link)).unwrap();
        }
        for (path, place) in [
            ("/etc/x/file", "usr/etc/x/file"),
            ("/relative/y/z", "usr/etc/y/z"),
            ("/above/etc/x", "usr/etc/x"),
            ("/etc/../y", "usr/y"),
            ("/../../etc", "etc"),
            ("/loop/x", "loop/x"),
            ("/not/there", "not/there"),
            ("/", ""),
        ] {
            assert_eq!(inside(root, Path::new(path)), root.join(place), "{path}");
        }
    }
}
