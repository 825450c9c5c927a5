//! A log in files of a bounded size: `portal.log`, and before that `portal.log.1`, `portal.log.2` …

use crate::files;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A log has names and addresses: it is for whoever runs the portal, and root.
const MODE: u32 = 0o600;

/// The file that is written, and how many there may be.
#[derive(Debug)]
pub struct Rotation {
    path: PathBuf,
    /// Bytes of one file.
    most_bytes: u64,
    /// Files in all.
    files: u32,
    open: Option<(File, u64)>,
    refused: Arc<Refused>,
}

/// Lines that the disk did not take.
#[derive(Debug, Default)]
pub struct Refused(Mutex<(usize, String)>);

impl Refused {
    fn one(&self, error: &io::Error) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = (refused.0.saturating_add(1), error.to_string());
    }

    /// How many since this was asked last, and why the last one.
    pub fn take(&self) -> Option<(usize, String)> {
        let refused = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (refused.0 > 0).then_some(refused)
    }
}

impl Rotation {
    /// Goes on with the file if it is there.
    ///
    /// # Errors
    /// It cannot be written. Later on a disk that takes nothing costs lines, and is tried again with each.
    pub fn open(path: &Path, most_bytes: u64, files: u32) -> io::Result<Self> {
        let mut rotation = Self { path: path.into(), most_bytes, files, open: None, refused: Arc::default() };
        rotation.open = Some(rotation.current()?);
        Ok(rotation)
    }

    /// Where it is told what the disk does not take.
    pub fn refused(&self) -> Arc<Refused> {
        Arc::clone(&self.refused)
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if self.open.as_ref().is_some_and(|(_, written)| *written > 0 && written + length > self.most_bytes) {
            self.open = None;
            self.rotate()?;
        }
        let (mut file, written) = match self.open.take() {
            Some(open) => open,
            None => self.current()?,
        };
        // On an error it is opened anew with the next line.
        file.write_all(line)?;
        self.open = Some((file, written + length));
        Ok(())
    }

    fn current(&self) -> io::Result<(File, u64)> {
        // What is no file cannot be rotated, and a pipe that nobody reads would be waited for.
        let mut options = OpenOptions::new();
        let options = options.create(true).append(true).mode(MODE).custom_flags(libc::O_NONBLOCK);
        let file = files::regular(options.open(&self.path)?)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    }

    fn aged(&self, age: u32) -> PathBuf {
        aged(&self.path, age)
    }

    /// Gives each file the next one's name; the oldest goes.
    fn rotate(&self) -> io::Result<()> {
        for age in (1..self.files).rev() {
            match fs::rename(self.aged(age - 1), self.aged(age)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.files == 1 {
            fs::remove_file(&self.path)?;
        }
        Ok(())
    }
}

/// The name of the file that is so many files old.
pub fn aged(path: &Path, age: u32) -> PathBuf {
    let mut name = path.to_path_buf().into_os_string();
    if age > 0 {
        name.push(format!(".{age}"));
    }
    name.into()
}

impl Write for Rotation {
    /// Writes a line; of one that a full disk cuts short, the next one follows on the same line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.append(line) {
            Ok(()) => Ok(line.len()),
            Err(error) => {
                self.refused.one(&error);
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_bounded_in_size_and_number_and_the_newest_lines_stay() {
        for files in [1, 2, 3] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("portal.log");
            for start in 0..4 {
                // Started anew, it goes on where it was.
                let mut rotation = Rotation::open(&path, 100, files).unwrap();
                for n in 0..25 {
                    rotation.write_all(format!("line {:03}\n", 25 * start + n).as_bytes()).unwrap();
                }
            }
            let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
            names.sort();
            assert_eq!(names.len(), files as usize, "{names:?}");
            let text: String = names.iter().rev().map(|name| fs::read_to_string(name).unwrap()).collect();
            assert!(names.iter().all(|name| fs::metadata(name).unwrap().len() <= 100));
            let access = |name: &PathBuf| fs::metadata(name).unwrap().permissions().mode() & 0o777;
            assert!(names.iter().all(|name| access(name) == 0o600), "others can read it");
            let lines: Vec<_> = text.lines().collect();
            assert_eq!(lines.last(), Some(&"line 099"));
            let numbers: Vec<u32> = lines.iter().map(|line| line[5..].parse().unwrap()).collect();
            assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
        }
    }

    #[test]
    fn a_folder_that_goes_and_comes_back_costs_lines_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("logs");
        assert!(Rotation::open(&inner.join("portal.log"), 20, 2).is_err());
        fs::create_dir(&inner).unwrap();
        let mut rotation = Rotation::open(&inner.join("portal.log"), 20, 2).unwrap();
        rotation.write_all(b"a first line\n").unwrap();
        fs::remove_dir_all(&inner).unwrap();
        // Into a file that has no name any more, and then nowhere.
        let failed = (0..3).filter(|_| rotation.write_all(b"a line too many\n").is_err()).count();
        let (refused, why) = rotation.refused().take().unwrap();
        assert!(failed > 0 && refused == failed && why.contains("No such file"), "{failed} {refused} {why}");
        assert_eq!(rotation.refused().take(), None);
        fs::create_dir(&inner).unwrap();
        rotation.write_all(b"again\n").unwrap();
        assert_eq!(fs::read_to_string(inner.join("portal.log")).unwrap(), "again\n");
    }
}
