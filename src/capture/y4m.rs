//! Y4M: uncompressed film, a line of text in front of the film and of each picture
//! (<https://wiki.multimedia.cx/index.php/YUV4MPEG2>).
//!
//! Our own reader, because it reads straight into a picture's buffer and bounds every length; the format is this small.

use crate::media::{Colour, Format, Frame, Layout, Matrix, Range, Size};
use std::io::{self, BufRead, Read};
use std::time::Duration;

/// What the film's first line says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Header {
    /// Size in the file; may be odd.
    pub size: Size,
    /// What our pictures will be: the same, even.
    pub format: Format,
    /// Time from one picture to the next, if the file says it.
    pub period: Option<Duration>,
}

/// Longest line that is read.
const LINE_BYTES: u64 = 1024;
/// What a film begins with.
pub const MAGIC: &[u8] = b"YUV4MPEG2";

/// Why a film cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading itself failed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The text is not as it should be.
    #[error("is damaged: {0}")]
    Malformed(&'static str),
    /// Another arrangement of samples.
    #[error("holds {0} pictures; make it 8 bit 4:2:0: ffmpeg -i FILE -pix_fmt yuv420p film.y4m")]
    Unsupported(String),
}

/// A line without its end; `None` at the end of the file.
fn line(from: &mut impl BufRead, into: &mut Vec<u8>) -> Result<Option<()>, Error> {
    into.clear();
    from.by_ref().take(LINE_BYTES).read_until(b'\n', into)?;
    match into.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(())),
        Some(_) => Err(Error::Malformed("a line that does not end")),
    }
}

impl Header {
    /// Reads the film's first line.
    pub fn read(from: &mut impl BufRead) -> Result<Self, Error> {
        let mut text = Vec::new();
        line(from, &mut text)?.ok_or(Error::Malformed("it is empty"))?;
        let text = std::str::from_utf8(&text).map_err(|_| Error::Malformed("its first line is no text"))?;
        let mut fields = text.split(' ');
        if fields.next().map(str::as_bytes) != Some(MAGIC) {
            return Err(Error::Malformed("it does not begin with YUV4MPEG2"));
        }
        let (mut width, mut height, mut period, mut range) = (0, 0, None, Range::Limited);
        for field in fields {
            let Some((key, value)) = field.split_at_checked(1) else { continue };
            let side = || value.parse().map_err(|_| Error::Malformed("its size"));
            match key {
                "W" => width = side()?,
                "H" => height = side()?,
                "F" => period = period_of(value),
                "I" if !matches!(value, "p" | "?") => return Err(Error::Unsupported("interlaced".into())),
                // 420, 420jpeg, 420mpeg2, 420paldv differ in where chroma is sampled, by less than a pixel.
                "C" if !matches!(value, "420" | "420jpeg" | "420mpeg2" | "420paldv") => {
                    return Err(Error::Unsupported(value.to_owned()));
                }
                "X" if value == "COLORRANGE=FULL" => range = Range::Full,
                _ => {}
            }
        }
        let (size, even) = (Size::new(width, height), Size::new(width & !1, height & !1));
        if !even.is_valid() || width > Size::MAX_SIDE || height > Size::MAX_SIDE {
            return Err(Error::Malformed("its size, which must be from 2x2 to 4096x4096"));
        }
        // The format has no word for the matrix; players go by the size, and so does ffmpeg when it scales.
        let matrix = if height >= 720 { Matrix::Bt709 } else { Matrix::Bt601 };
        let format = Format { size: even, layout: Layout::I420, colour: Colour { matrix, range } };
        Ok(Self { size, format, period })
    }

    /// Reads the next picture into `frame`, which has the header's format. `false` at the end of the film; a last picture that
    /// is not whole counts as the end. `text` and `row` are working memory.
    pub fn read_picture(&self, from: &mut impl BufRead, frame: &mut Frame, text: &mut Vec<u8>) -> Result<bool, Error> {
        if line(from, text)?.is_none() {
            return Ok(false);
        }
        if !text.starts_with(b"FRAME") {
            return Err(Error::Malformed("something else than a picture between pictures"));
        }
        let (y, u, v) = frame.i420_mut();
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let planes = [
            (y, width, height),
            (u, width.div_ceil(2), height.div_ceil(2)),
            (v, width.div_ceil(2), height.div_ceil(2)),
        ];
        let even = self.format.size.width as usize;
        for (which, (plane, row_bytes, rows)) in planes.into_iter().enumerate() {
            let ours = if which == 0 { even } else { even / 2 };
            let read = if ours == row_bytes {
                let surplus = row_bytes * rows - plane.len();
                from.read_exact(plane).and_then(|()| skip(from, surplus))
            } else {
                read_rows(from, plane, ours, row_bytes, rows)
            };
            match read {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

/// Rows of which the last sample is left out, and perhaps a last row.
fn read_rows(from: &mut impl BufRead, plane: &mut [u8], ours: usize, theirs: usize, rows: usize) -> io::Result<()> {
    let mut kept = plane.chunks_exact_mut(ours);
    for _ in 0..rows {
        match kept.next() {
            Some(row) => from.read_exact(row).and_then(|()| skip(from, theirs - ours))?,
            None => skip(from, theirs)?,
        }
    }
    Ok(())
}

fn skip(from: &mut impl BufRead, bytes: usize) -> io::Result<()> {
    let skipped = io::copy(&mut from.take(bytes as u64), &mut io::sink())?;
    if skipped == bytes as u64 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// `30000:1001` pictures a second, if that is between 1 and 240.
fn period_of(rate: &str) -> Option<Duration> {
    let (pictures, seconds) = rate.split_once(':')?;
    let (pictures, seconds) = (pictures.parse::<u32>().ok()?, seconds.parse::<u32>().ok()?);
    let rate = f64::from(pictures) / f64::from(seconds);
    (1.0..=240.0).contains(&rate).then(|| Duration::from_secs_f64(1.0 / rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Exhausted, Plane, Pool};
    use proptest::prelude::*;
    use std::io::Cursor;

    fn read(film: &[u8]) -> Result<(Header, Vec<Vec<u8>>), Error> {
        let mut film = Cursor::new(film);
        let header = Header::read(&mut film)?;
        let (mut pool, mut text, mut pictures) = (Pool::new(1), Vec::new(), Vec::new());
        loop {
            let mut more = Ok(false);
            let fill = |frame: &mut Frame| {
                more = header.read_picture(&mut film, frame, &mut text);
                Ok::<_, Exhausted>(())
            };
            let (frame, ()) = pool.fill(header.format, fill).unwrap();
            if !more? {
                return Ok((header, pictures));
            }
            pictures.push([Plane::Y, Plane::U, Plane::V].map(|plane| frame.plane(plane)).concat());
        }
    }

    #[test]
    fn a_film_is_read_and_its_torn_end_left_out() {
        let mut film = b"YUV4MPEG2 W4 H2 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=FULL\n".to_vec();
        for n in 0..3u8 {
            film.extend(b"FRAME X\n");
            film.extend([n; 12]);
        }
        film.truncate(film.len() - 1);
        let (header, pictures) = read(&film).unwrap();
        assert_eq!((header.format.size, header.format.colour), (Size::new(4, 2), Colour::BT601_FULL));
        assert_eq!(header.period, Some(Duration::from_nanos(33_366_667)));
        assert_eq!(pictures, [[0; 12], [1; 12]]);
    }

    #[test]
    fn an_odd_last_column_and_row_are_left_out() {
        let mut film = b"YUV4MPEG2 W5 H3\nFRAME\n".to_vec();
        film.extend([1, 2, 3, 4, 99, 5, 6, 7, 8, 99, 99, 99, 99, 99, 99]);
        film.extend([10, 11, 99, 99, 99, 99, 20, 21, 99, 99, 99, 99]);
        let (header, pictures) = read(&film).unwrap();
        assert_eq!(header.format.size, Size::new(4, 2));
        assert_eq!(pictures, [[1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 20, 21]]);
    }

    #[test]
    fn what_cannot_be_shown_is_named() {
        let problem = |film: &str| read(film.as_bytes()).unwrap_err().to_string();
        assert!(problem("YUV4MPEG2 W4 H2 C422\n").contains("yuv420p"));
        assert!(problem("YUV4MPEG2 W4 H2 It\n").contains("interlaced"));
        assert!(problem("YUV4MPEG2 W5000 H2\n").contains("4096"));
        assert!(problem("YUV4MPEG2 W4\n").contains("size"));
        assert!(problem("RIFF").contains("line"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(film in prop::collection::vec(any::<u8>(), 0..300), fields in "[ WHFICX0-9:pa]{0,40}") {
            let _ = read(&film);
            let _ = read(&[format!("YUV4MPEG2 {fields}\n").as_bytes(), &film].concat());
        }
    }
}
