//! A film from a file, again and again: Y4M, or H.264 as a byte stream (Annex B), at the film's own rate and size.
//!
//! What the file is, is told by its content, not by its name.

use super::y4m;
use super::{Error, Pace, Source};
use crate::codec::decode::Decoder;
use crate::codec::sps::Sps;
use crate::codec::{AccessUnit, nal};
use crate::media::{Frame, Pool, Size};
use bytes::Bytes;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A film, as a source.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    film: Film,
    pace: Pace,
    number: u64,
}

#[derive(Debug)]
enum Film {
    Y4m(Y4m),
    H264(Box<H264>),
}

/// An H.264 file is held in memory; this is an hour at 1 Mb/s.
const H264_BYTES: u64 = 512 * 1024 * 1024;

impl File {
    /// Opens a film. `fps` is the rate of films that do not say their own.
    pub fn open(path: &Path, fps: u32) -> Result<Self, Error> {
        let fail = |problem: String| Error::File { path: path.to_owned(), problem };
        let mut file = std::fs::File::open(path).map_err(|error| fail(format!("cannot be opened: {error}")))?;
        let mut begin = [0; 16];
        let length = read_up_to(&mut file, &mut begin)
            .and_then(|length| file.rewind().map(|()| length))
            .map_err(|error| fail(format!("cannot be read: {error}")))?;
        let begin = &begin[..length];
        let (film, period) = if begin.starts_with(y4m::MAGIC) {
            let (film, period) = Y4m::open(file).map_err(|error| fail(error.to_string()))?;
            (Film::Y4m(film), period)
        } else if begin.starts_with(&[0, 0, 1]) || begin.starts_with(&[0, 0, 0, 1]) {
            let film = H264::open(file).map_err(fail)?;
            let period = film.sps.frame_rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
            (Film::H264(Box::new(film)), period)
        } else {
            let name = path.display();
            return Err(fail(format!(
                "is neither Y4M nor an H.264 byte stream; convert it: ffmpeg -i {name} -an -pix_fmt yuv420p film.y4m"
            )));
        };
        let pace = period.map_or_else(|| Pace::per_second(fps), Pace::new);
        Ok(Self { path: path.to_owned(), film, pace, number: 0 })
    }

    fn size(&self) -> Size {
        match &self.film {
            Film::Y4m(film) => film.header.format.size,
            Film::H264(film) => film.sps.size,
        }
    }
}

impl Source for File {
    fn next_frame(&mut self, pool: &mut Pool) -> Result<Arc<Frame>, Error> {
        let fail = |problem: String| Error::File { path: self.path.clone(), problem };
        // Read and decoded before it is due: the film's picture is "taken" at the moment it is given out.
        let picture = match &mut self.film {
            Film::Y4m(film) => film.next(pool, fail),
            Film::H264(film) => film.next(pool, fail),
        };
        // Also after an error, so that nobody who asks again at once keeps a core busy.
        let captured = self.pace.wait();
        self.number += 1;
        let stamp = |frame: &mut Frame| {
            frame.number = self.number;
            frame.captured = Some(captured);
        };
        pool.amend(picture?, stamp).ok_or(Error::Exhausted(crate::media::Exhausted))
    }

    fn describe(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let kind = match &self.film {
            Film::Y4m(_) => "Y4M",
            Film::H264(_) => "H.264",
        };
        let fps = 1.0 / self.pace.period().as_secs_f64();
        format!("{name}, {} {kind} at {} fps", self.size(), (fps * 100.0).round() / 100.0)
    }

    fn period(&self) -> Option<Duration> {
        Some(self.pace.period())
    }
}

fn read_up_to(from: &mut impl Read, into: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < into.len() {
        match from.read(&mut into[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

#[derive(Debug)]
struct Y4m {
    header: y4m::Header,
    reader: BufReader<std::fs::File>,
    /// Where the first picture begins.
    first: u64,
    text: Vec<u8>,
}

/// Why a buffer was not filled.
enum Lost {
    Exhausted(crate::media::Exhausted),
    Film(y4m::Error),
    End,
}

impl From<crate::media::Exhausted> for Lost {
    fn from(error: crate::media::Exhausted) -> Self {
        Self::Exhausted(error)
    }
}

impl Y4m {
    fn open(file: std::fs::File) -> Result<(Self, Option<Duration>), y4m::Error> {
        let mut reader = BufReader::with_capacity(256 * 1024, file);
        let header = y4m::Header::read(&mut reader)?;
        let first = reader.stream_position()?;
        Ok((Self { header, reader, first, text: Vec::new() }, header.period))
    }

    fn next(&mut self, pool: &mut Pool, fail: impl Fn(String) -> Error) -> Result<Arc<Frame>, Error> {
        for _ in 0..2 {
            let filled = pool.fill(self.header.format, |frame| {
                match self.header.read_picture(&mut self.reader, frame, &mut self.text) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(Lost::End),
                    Err(error) => Err(Lost::Film(error)),
                }
            });
            match filled {
                Ok((frame, ())) => return Ok(frame),
                Err(Lost::Exhausted(error)) => return Err(error.into()),
                Err(Lost::Film(error)) => return Err(fail(error.to_string())),
                Err(Lost::End) => {
                    let rewound = self.reader.seek(SeekFrom::Start(self.first));
                    rewound.map_err(|error| fail(format!("cannot be read: {error}")))?;
                }
            }
        }
        Err(fail("holds no whole picture".into()))
    }
}

#[derive(Debug)]
struct H264 {
    data: Bytes,
    units: Vec<Range<usize>>,
    next: usize,
    decoder: Decoder,
    sps: Sps,
}

impl H264 {
    fn open(file: std::fs::File) -> Result<Self, String> {
        let mut data = Vec::new();
        let read = file.take(H264_BYTES + 1).read_to_end(&mut data);
        read.map_err(|error| format!("cannot be read: {error}"))?;
        if data.len() as u64 > H264_BYTES {
            return Err(format!(
                "is larger than {} MiB; cut it: ffmpeg -i FILE -t 600 -c copy film.h264",
                H264_BYTES >> 20
            ));
        }
        let sps = nal::units(&data).find(|unit| nal::Kind::of(unit) == Some(nal::Kind::Sps));
        let sps = Sps::parse(sps.ok_or("holds no sequence parameter set: it is no H.264 or begins in the middle")?);
        let sps = sps.map_err(|error| error.to_string())?;
        let units = nal::access_units(&data);
        Ok(Self { data: data.into(), units, next: 0, decoder: Decoder::new(), sps })
    }

    fn next(&mut self, pool: &mut Pool, fail: impl Fn(String) -> Error) -> Result<Arc<Frame>, Error> {
        let mut last_error = None;
        // Twice round: the first time may begin behind the last keyframe.
        for _ in 0..2 * self.units.len() {
            let unit = self.units.get(self.next).cloned().unwrap_or(0..0);
            self.next = (self.next + 1) % self.units.len();
            let unit = AccessUnit {
                data: self.data.slice(unit),
                keyframe: false,
                captured: Some(Instant::now()),
                number: 0,
                era: 0,
                dependency: None,
            };
            match self.decoder.decode(&unit, pool) {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(crate::codec::decode::Error::Exhausted(error)) => return Err(error.into()),
                Err(error) => last_error = Some(error),
            }
        }
        Err(fail(match last_error {
            Some(error) => format!("cannot be decoded: {error}"),
            None => "holds no keyframe with its parameter sets".into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode::{Config, Encoder};
    use crate::codec::moving::{Moving, psnr};
    use std::io::Write;

    fn film(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        (folder, path)
    }

    fn y4m(pictures: u8) -> Vec<u8> {
        let mut film = b"YUV4MPEG2 W16 H16 F200:1\n".to_vec();
        for n in 0..pictures {
            film.extend(b"FRAME\n");
            film.extend([n; 16 * 16 * 3 / 2]);
        }
        film
    }

    #[test]
    fn y4m_goes_round_at_its_own_rate() {
        let (_folder, path) = film("no-matter-what.bin", &y4m(3));
        let (mut film, mut pool) = (File::open(&path, 30).unwrap(), Pool::new(3));
        let begin = Instant::now();
        for n in 1..=20u64 {
            let frame = film.next_frame(&mut pool).unwrap();
            assert_eq!((frame.number, u64::from(frame.data()[0])), (n, (n - 1) % 3));
            assert!(frame.captured.is_some_and(|captured| captured <= Instant::now() && captured >= begin));
        }
        // 19 periods of 5 ms.
        assert!(begin.elapsed() >= Duration::from_millis(95), "{:?}", begin.elapsed());
        assert_eq!(film.describe(), "no-matter-what.bin, 16x16 Y4M at 200 fps");
    }

    #[test]
    fn a_picture_for_which_there_is_no_buffer_is_lost_in_its_own_time() {
        let (_folder, path) = film("film.y4m", &y4m(3));
        let (mut film, mut pool) = (File::open(&path, 30).unwrap(), Pool::new(1));
        let held = film.next_frame(&mut pool).unwrap();
        let begin = Instant::now();
        for _ in 0..4 {
            assert!(film.next_frame(&mut pool).unwrap_err().is_passing());
        }
        assert!(begin.elapsed() >= Duration::from_millis(15));
        drop(held);
        assert!(film.next_frame(&mut pool).is_ok());
    }

    #[test]
    fn h264_goes_round_and_is_decoded() {
        let mut source = Moving::new(320, 180);
        let mut encoder = Encoder::new(Config::default(), Size::new(320, 180), 30.0).unwrap();
        let (mut bytes, mut pictures) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let picture = source.next();
            bytes.extend_from_slice(&encoder.encode(&picture, false).unwrap().unwrap().data);
            pictures.push(picture);
        }
        let (_folder, path) = film("film.h264", &bytes);
        let (mut film, mut pool) = (File::open(&path, 60).unwrap(), Pool::new(3));
        for n in 0..10 {
            let frame = film.next_frame(&mut pool).unwrap();
            assert!(psnr(&frame, &pictures[n % 4]) > 30.0, "picture {n}");
            assert_eq!(frame.number, n as u64 + 1);
        }
        assert_eq!(film.describe(), "film.h264, 320x180 H.264 at 60 fps");
    }

    #[test]
    fn files_that_are_no_film_say_what_to_do() {
        let problem = |bytes: &[u8]| {
            let (_folder, path) = film("film.mp4", bytes);
            let next = File::open(&path, 30).and_then(|mut film| film.next_frame(&mut Pool::new(1)));
            next.unwrap_err().to_string()
        };
        assert!(problem(b"\0\0\0\x20ftypisom").contains("ffmpeg -i"));
        assert!(problem(b"").contains("ffmpeg -i"));
        assert!(problem(&y4m(0)).contains("no whole picture"));
        assert!(problem(&[0, 0, 0, 1, 0x41, 0x9a, 1]).contains("begins in the middle"));
        let (_folder, path) = film("film.mp4", b"");
        let missing = File::open(&path.with_extension("gone"), 30).unwrap_err().to_string();
        assert!(missing.contains("film.gone: cannot be opened"), "{missing}");
    }
}
