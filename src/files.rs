//! Files that are whole or not there at all, even if the power is cut at any moment.
//!
//! What is to be kept is written into a temporary file in the same folder and waited for until it is on the disk (fsync(2)); then it
//! takes its name in one step (rename(2) or link(2)), and the folder is waited for too. Who reads the name finds the old contents or the
//! new ones, never a part.
//!
//! What others name is read by [`read`], which waits for nobody: a pipe or a device under a file's name holds up no thread.

use std::ffi::OsString;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A temporary file of this age belongs to nobody any more: its writer lost power between writing and naming.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Gives the file these contents and these permissions (such as 0o600: never more than that, not even for a moment), whether there
/// is one already or not.
///
/// # Errors
/// The system's own: a full or read-only disk, a folder that is not there. What was there before is then untouched.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write(path, bytes, mode, |temporary| fs::rename(temporary, path))
}

/// Like [`replace`], but never takes the place of what is there: `AlreadyExists` then. Of two who create at once one succeeds.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write(path, bytes, mode, |temporary| fs::hard_link(temporary, path))
}

/// Longer files hold no certificates: a whole system's have 0.3 MB.
pub const LARGEST_PEM: u64 = 4 * 1024 * 1024;

/// All that is in a regular file of at most `most_bytes`. Everything that is read because somebody named it goes this way: configuration,
/// keys, certificates.
///
/// # Errors
/// The system's own; `InvalidInput` for what is no regular file, `FileTooLarge` for what is longer. Each in words that follow "cannot be
/// read: ".
pub fn read(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if open(path)?.take(most_bytes.saturating_add(1)).read_to_end(&mut bytes)? as u64 > most_bytes {
        let problem = format!("it is too large, for more than {most_bytes} bytes are not expected in it");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// The same of a file that is text.
///
/// # Errors
/// As [`read`], and `InvalidData` for what is not UTF-8.
pub fn read_text(path: &Path, most_bytes: u64) -> io::Result<String> {
    String::from_utf8(read(path, most_bytes)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8"))
}

/// A regular file, to be read by whoever wants not all of it.
///
/// # Errors
/// The system's own; `InvalidInput` for what is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK the open of a FIFO waits for somebody who writes (fifo(7)), and with O_NOCTTY a terminal does not become ours.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        // A socket, or a device whose driver is not there: the system's own words name neither (open(2)).
        Some(libc::ENXIO) => fs::metadata(path).map_or(error, |found| not_regular(found.file_type())),
        _ => error,
    })?;
    regular(file)
}

/// The file, if it is a regular one. To be asked of what was opened (without waiting: O_NONBLOCK), for its name may mean something else by
/// now.
///
/// # Errors
/// `InvalidInput` if not.
pub fn regular(file: File) -> io::Result<File> {
    let found = file.metadata()?;
    if found.is_file() { Ok(file) } else { Err(not_regular(found.file_type())) }
}

fn not_regular(kind: FileType) -> io::Error {
    let what = match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a pipe (FIFO)",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, and should be a regular file"))
}

fn write(path: &Path, bytes: &[u8], mode: u32, name: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let file_name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut prefix = OsString::from(".");
    prefix.push(file_name);
    prefix.push(".");
    sweep(folder, &prefix);
    prefix.push(format!("{:016x}", rand::random::<u64>()));
    let temporary = folder.join(prefix);
    let named = write_new(&temporary, bytes, mode).and_then(|()| name(&temporary));
    // Renamed it is gone already. At worst a leftover without meaning, as secret as the file itself.
    let _ = fs::remove_file(&temporary);
    named?;
    File::open(folder)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Takes away what earlier writers of the same file left behind when the power went, so that it cannot fill the disk over the years.
fn sweep(folder: &Path, prefix: &OsString) {
    // Tidying up must not keep anybody from writing: what cannot be read or removed stays.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
        let ours = ours.is_some_and(|rest| rest.len() == 16 && rest.iter().all(u8::is_ascii_hexdigit));
        let written = || entry.metadata().and_then(|metadata| metadata.modified());
        // From the future: the clock was wrong then. It is not being written now either, for that takes moments.
        let age = || written().ok().map(|at| SystemTime::now().duration_since(at).unwrap_or_else(|at| at.duration()));
        if ours && age().is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_the_whole_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        replace(&path, b"first, and long", 0o600).unwrap();
        replace(&path, b"second", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["settings.toml"]);
    }

    #[test]
    fn creates_only_what_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.pem");
        create(&path, b"first", 0o600).unwrap();
        assert_eq!(create(&path, b"second", 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["identity.pem"]);
    }

    /// Whoever reads while others write sees one of the contents, whole.
    #[test]
    fn readers_never_see_a_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let contents = |n: u8| vec![n; 100_000];
        replace(&path, &contents(0), 0o600).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let path = &path;
                scope.spawn(move || (0..10).for_each(|n| replace(path, &contents(writer * 10 + n), 0o600).unwrap()));
            }
            for _ in 0..200 {
                let read = fs::read(&path).unwrap();
                assert!(read.len() == 100_000 && read.iter().all(|byte| *byte == read[0]));
            }
        });
        assert_eq!(names(folder.path()), ["file"]);
    }

    /// A pipe that nobody writes to, a socket, a device, a folder: said at once, whatever would be waited for.
    #[test]
    fn only_regular_files_are_read_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status();
        assert!(made.is_ok_and(|status| status.success()));
        std::os::unix::fs::symlink(at("pipe"), at("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        fs::write(at("text"), "words").unwrap();
        fs::write(at("bytes"), b"\xff\xfe").unwrap();
        let named = ["pipe", "link", "socket", "text", "bytes", "missing"].map(&at);
        let others = ["/dev/zero", "/dev/ptmx", "/"].map(std::path::PathBuf::from);
        let (said, answers) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for path in named.into_iter().chain(others) {
                let _ = said.send(read_text(&path, 5).map_err(|error| error.to_string()));
            }
        });
        for expected in [
            Err("a pipe (FIFO), and should be a regular file"),
            Err("a pipe (FIFO)"),
            Err("a socket"),
            Ok("words"),
            Err("not text"),
            Err("No such file"),
            Err("a device"),
            Err("a device"),
            Err("a folder"),
        ] {
            let answer = answers.recv_timeout(Duration::from_secs(5)).expect("an answer at once");
            match (&answer, expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text, expected),
                (Err(said), Err(words)) => assert!(said.contains(words), "{said}"),
                other => panic!("{other:?}"),
            }
        }
        let long = read(&at("text"), 4).unwrap_err();
        assert!(long.kind() == io::ErrorKind::FileTooLarge && long.to_string().contains("too large"), "{long}");
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(replace(&folder.path().join("missing/file"), b"x", 0o600).is_err());
        assert!(replace(Path::new("/"), b"x", 0o600).is_err());
        // A folder in its place: there is a temporary file by then, and it goes again.
        fs::create_dir(folder.path().join("file")).unwrap();
        assert!(replace(&folder.path().join("file"), b"x", 0o600).is_err());
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn leftovers_of_a_power_cut_are_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * ABANDONED;
        for name in [".file.0123456789abcdef", ".file.note", ".other.0123456789abcdef"] {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(old).unwrap();
        }
        // Somebody is writing this one now.
        File::create(folder.path().join(".file.fedcba9876543210")).unwrap();
        replace(&folder.path().join("file"), b"x", 0o644).unwrap();
        let left = [".file.fedcba9876543210", ".file.note", ".other.0123456789abcdef", "file"];
        assert_eq!(names(folder.path()), left);
        let mode = fs::metadata(folder.path().join("file")).unwrap().permissions().mode();
        assert_eq!(mode & !0o644 & 0o777, 0, "never more than asked for");
    }
}
