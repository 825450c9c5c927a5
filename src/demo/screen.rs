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
