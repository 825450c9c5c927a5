//! A screen in memory for machines without one (Xvfb), and pictures of what is on a screen.

use super::Error;
use super::child::Child;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long Xvfb may take to start.
const START_LIMIT: Duration = Duration::from_secs(15);

/// An X server without hardware, of this process's own.
#[derive(Debug)]
pub struct Screen {
    server: Child,
    display: String,
}

impl Screen {
    /// Starts a server with one screen of this size in pixels; its log goes into `folder`. With `framebuffer`, its pixels can be read
    /// from the file `Xvfb_screen0` in that folder (XWD format).
    pub fn start(width: u32, height: u32, folder: &Path, framebuffer: Option<&Path>) -> Result<Self, Error> {
        let mut command = Command::new("Xvfb");
        // It chooses a free display number itself and prints it.
        command.args(["-displayfd", "1", "-screen", "0", &format!("{width}x{height}x24")]);
        command.args(["-nolisten", "tcp", "-noreset", "-dpi", "96"]);
        if let Some(framebuffer) = framebuffer {
            command.arg("-fbdir").arg(framebuffer);
        }
        command.stdout(Stdio::piped());
        // SIGTERM, so that it removes its lock file.
        let mut server = match Child::start("Xvfb", command, &folder.join("xvfb.log"), libc::SIGTERM) {
            Err(Error::Start { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoXvfb);
            }
            started => started?,
        };
        let output = server.take_output();
        let (number, started) = mpsc::channel();
        // Reading has no time limit, so it gets a thread; the thread ends with the server.
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = output.map(|output| BufReader::new(output).read_line(&mut line));
            if let Some(Ok(1..)) = read {
                let _ = number.send(line.trim().to_string());
            }
        });
        match started.recv_timeout(START_LIMIT) {
            Ok(number) => Ok(Self { server, display: format!(":{number}") }),
            Err(_) => Err(Error::XvfbSilent { log: server.log_tail() }),
        }
    }

    /// What to put into `DISPLAY`.
    pub fn display(&self) -> &str {
        &self.display
    }

    /// An error if the server has ended.
    pub fn check(&mut self) -> Result<(), Error> {
        self.server.check()
    }
}

/// Part of a screen, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// From the left.
    pub x: u32,
    /// From the top.
    pub y: u32,
    /// Size.
    pub width: u32,
    /// Size.
    pub height: u32,
}

/// What was on a part of a screen at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// A picture of the given size from red, green and blue bytes, row by row.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        assert_eq!(rgb.len(), width as usize * height as usize * 3, "three bytes a pixel");
        Self { width, height, rgb }
    }

    /// Reads a part of an X server's screen: what a passer-by would see, not what we meant to draw.
    #[cfg(feature = "kiosk")]
    pub fn of_screen(display: &str, region: Region) -> Result<Self, Error> {
        use x11rb::connection::Connection;
        use x11rb::protocol::xproto::{ConnectionExt, ImageFormat};
        let failed = |problem: String| Error::Screenshot(problem);
        let (server, screen) = x11rb::connect(Some(display)).map_err(|error| failed(error.to_string()))?;
        let root = &server.setup().roots[screen];
        let Region { x, y, width, height } = region;
        let reply = server
            .get_image(ImageFormat::Z_PIXMAP, root.root, x as i16, y as i16, width as u16, height as u16, u32::MAX)
            .map_err(|error| failed(error.to_string()))?
            .reply()
            .map_err(|error| failed(error.to_string()))?;
        // With 24 bits of depth a pixel is four bytes: blue, green, red, nothing.
        if reply.data.len() != width as usize * height as usize * 4 {
            return Err(failed(format!("the screen has {} bits of colour, not 24", reply.depth)));
        }
        let rgb = reply.data.chunks_exact(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
        Ok(Self::new(width, height, rgb))
    }

    /// Writes it as a PNG file.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let failed = |problem: String| Error::Write { path: path.into(), problem };
        let file = std::fs::File::create(path).map_err(|error| failed(error.to_string()))?;
        let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(|error| failed(error.to_string()))?;
        writer.write_image_data(&self.rgb).map_err(|error| failed(error.to_string()))?;
        writer.finish().map_err(|error| failed(error.to_string()))
    }

    /// The same in another width, smaller, each pixel the mean of those that it stands for: as it is seen from further away.
    pub fn scaled(&self, width: u32) -> Self {
        let width = width.clamp(1, self.width.max(1));
        let height = (self.height * width / self.width.max(1)).max(1);
        let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
        let part = |n: u32, of: u32, all: u32| (n * all / of) as usize..((n + 1) * all / of) as usize;
        for y in 0..height {
            for x in 0..width {
                let (rows, columns) = (part(y, height, self.height), part(x, width, self.width));
                let mut sums = [0_usize; 3];
                for row in rows.clone() {
                    for column in columns.clone() {
                        let at = 3 * (row * self.width as usize + column);
                        for (sum, colour) in sums.iter_mut().zip(&self.rgb[at..at + 3]) {
                            *sum += usize::from(*colour);
                        }
                    }
                }
                let pixels = (rows.len() * columns.len()).max(1);
                rgb.extend(sums.map(|sum| (sum / pixels) as u8));
            }
        }
        Self::new(width, height, rgb)
    }

    /// Pictures of one size on one sheet, so many beside each other, with thin grey lines between.
    pub fn sheet(pictures: &[Self], columns: usize) -> Option<Self> {
        const LINE: usize = 4;
        let first = pictures.first()?;
        let (across, down) = (first.width as usize, first.height as usize);
        let columns = columns.clamp(1, pictures.len());
        let (width, height) =
            (columns * (across + LINE) + LINE, pictures.len().div_ceil(columns) * (down + LINE) + LINE);
        let mut rgb = vec![96; 3 * width * height];
        for (n, picture) in pictures.iter().enumerate() {
            let (left, top) = (LINE + n % columns * (across + LINE), LINE + n / columns * (down + LINE));
            for (row, from) in picture.rgb.chunks_exact(3 * across).take(down).enumerate() {
                let at = 3 * ((top + row) * width + left);
                rgb[at..at + 3 * across].copy_from_slice(from);
            }
        }
        Some(Self::new(width as u32, height as u32, rgb))
    }

    /// How bright each pixel is, 0 to 255, by the weights of BT.709.
    pub fn luma(&self) -> impl Iterator<Item = u8> {
        self.rgb.chunks_exact(3).map(|rgb| {
            let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
            ((2126 * r + 7152 * g + 722 * b) / 10_000) as u8
        })
    }

    /// How much of it differs visibly from another picture of the same size, from 0 to 1.
    pub fn changed(&self, other: &Picture) -> f64 {
        let visible = |(a, b): (&[u8], &[u8])| a.iter().zip(b).any(|(a, b)| a.abs_diff(*b) > 12);
        let changed = self.rgb.chunks_exact(3).zip(other.rgb.chunks_exact(3)).filter(|&pair| visible(pair)).count();
        changed as f64 / (self.rgb.len() / 3).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_further_away_it_is_the_mean() {
        let rgb = [0, 0, 0, 100, 100, 100, 50, 50, 50, 50, 50, 50].repeat(2);
        let picture = Picture::new(4, 2, rgb);
        assert_eq!(picture.scaled(2), Picture::new(2, 1, vec![50; 6]));
        assert_eq!(picture.scaled(4), picture);
        assert_eq!(picture.luma().collect::<Vec<_>>(), [0, 100, 50, 50, 0, 100, 50, 50]);
        let sheet = Picture::sheet(&[picture.clone(), picture.clone(), picture], 2).unwrap();
        assert_eq!((sheet.width, sheet.height), (2 * 8 + 4, 2 * 6 + 4));
        assert_eq!(Picture::sheet(&[], 2), None);
    }

    #[test]
    fn change_is_a_share_of_the_pixels() {
        let grey = Picture::new(4, 2, vec![100; 24]);
        let mut rgb = vec![100; 24];
        rgb[0..3].fill(130);
        rgb[9] = 110; // less than what a person sees
        assert_eq!(grey.changed(&Picture::new(4, 2, rgb)), 1.0 / 8.0);
        assert_eq!(grey.changed(&grey), 0.0);
    }

    #[test]
    fn a_saved_picture_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.png");
        let rgb: Vec<u8> = (0..2 * 3 * 3).collect();
        Picture::new(2, 3, rgb.clone()).save(&path).unwrap();
        let mut reader =
            png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&path).unwrap())).read_info().unwrap();
        let mut read = vec![0; rgb.len()];
        reader.next_frame(&mut read).unwrap();
        assert_eq!(read, rgb);
    }

    #[test]
    fn a_screen_in_memory_starts_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut screen = match Screen::start(320, 200, folder.path(), Some(folder.path())) {
            Err(Error::NoXvfb) => return println!("skipped: Xvfb is not installed"),
            started => started.unwrap(),
        };
        screen.check().unwrap();
        assert!(folder.path().join("Xvfb_screen0").exists());
        #[cfg(feature = "kiosk")]
        {
            let region = Region { x: 0, y: 0, width: 320, height: 200 };
            let black = Picture::new(320, 200, vec![0; 320 * 200 * 3]);
            assert_eq!(Picture::of_screen(screen.display(), region).unwrap().changed(&black), 0.0);
        }
        let socket = format!("/tmp/.X11-unix/X{}", &screen.display()[1..]);
        assert!(Path::new(&socket).exists());
        drop(screen);
        assert!(!Path::new(&socket).exists(), "the server cleaned up after itself");
    }
}
