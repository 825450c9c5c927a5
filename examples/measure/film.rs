//! The film that the portals send: pictures of it as they were before anybody encoded them.

use crate::Trouble;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// A raw 4:2:0 film (Y4M) whose pictures can be read in any order.
pub struct Film {
    file: BufReader<File>,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// How many pictures it has.
    pub pictures: usize,
    header_bytes: u64,
}

/// Each picture begins with this line.
const MARK: &[u8] = b"FRAME\n";

impl Film {
    /// Opens it.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        let damaged = || Trouble::Failed(format!("{} is not a 4:2:0 Y4M file", path.display()));
        let mut file = BufReader::new(File::open(path)?);
        let mut header = String::new();
        file.read_line(&mut header)?;
        let number =
            |key: char| header.split(' ').find_map(|word| word.trim().strip_prefix(key)?.parse::<usize>().ok());
        if !header.starts_with("YUV4MPEG2 ") {
            return Err(damaged());
        }
        let (width, height) = (number('W').ok_or_else(damaged)?, number('H').ok_or_else(damaged)?);
        let bytes = file.get_ref().metadata()?.len() - header.len() as u64;
        let pictures = (bytes / (MARK.len() + width * height * 3 / 2) as u64) as usize;
        Ok(Self { file, width, height, pictures, header_bytes: header.len() as u64 })
    }

    /// The luma plane of one picture.
    pub fn luma(&mut self, picture: usize, into: &mut Vec<u8>) -> Result<(), Trouble> {
        let bytes = (MARK.len() + self.width * self.height * 3 / 2) as u64;
        self.file.seek(SeekFrom::Start(self.header_bytes + picture as u64 * bytes))?;
        let mut mark = [0; 6];
        self.file.read_exact(&mut mark)?;
        if mark != MARK {
            return Err(Trouble::Failed(format!("picture {picture} of the film is damaged")));
        }
        into.resize(self.width * self.height, 0);
        self.file.read_exact(into)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_in_any_order() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = b"YUV4MPEG2 W4 H2 F30:1 Ip C420jpeg\n".to_vec();
        for picture in 0..3_u8 {
            bytes.extend_from_slice(MARK);
            bytes.extend([picture * 10; 8]);
            bytes.extend([128; 4]);
        }
        std::fs::write(file.path(), bytes).unwrap();
        let mut film = Film::open(file.path()).unwrap();
        assert_eq!((film.width, film.height, film.pictures), (4, 2, 3));
        let mut luma = vec![];
        for picture in [2_u8, 0, 1] {
            film.luma(picture.into(), &mut luma).unwrap();
            assert_eq!(luma, [picture * 10; 8]);
        }
        assert!(film.luma(3, &mut luma).is_err());
    }
}
