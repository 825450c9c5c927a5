//! A text as a QR code (ISO/IEC 18004): for a phone, which can pass it on. In soft light, because it stands for hours: dark on a ground that is no
//! brighter than half of full light, which phones and readers take as well as black on white (the tests read it, faded too).

use qrcode::{EcLevel, QrCode};

/// Light around the code, in modules, by which readers find it.
const QUIET: usize = 4;
/// Of the ground and of the modules, as sRGB.
const LIGHT: [u8; 3] = [172, 160, 140];
const DARK: [u8; 3] = [20, 17, 13];

/// A code, module by module, its quiet zone included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qr {
    side: usize,
    dark: Vec<bool>,
}

impl Qr {
    /// The smallest code that holds this text. `None`: it is too long for any (2953 bytes). With the least redundancy: nobody scratches a screen, and
    /// larger modules are read from further away.
    pub fn new(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
        let (inner, side) = (code.width(), code.width() + 2 * QUIET);
        let colours = code.to_colors();
        let module = |at: usize| {
            let (x, y) = ((at % side).checked_sub(QUIET)?, (at / side).checked_sub(QUIET)?);
            (x < inner && y < inner).then(|| colours[y * inner + x] == qrcode::Color::Dark)
        };
        Some(Self { side, dark: (0..side * side).map(|at| module(at).unwrap_or(false)).collect() })
    }

    /// Modules along each side.
    pub fn side(&self) -> u32 {
        self.side as u32
    }

    /// One pixel for each module, row by row: red, green, blue, alpha.
    pub fn rgba(&self) -> Vec<u8> {
        let pixel = |dark: &bool| {
            let [r, g, b] = if *dark { DARK } else { LIGHT };
            [r, g, b, 255]
        };
        self.dark.iter().flat_map(pixel).collect()
    }
}

/// What a reader makes of the luma of a picture.
#[cfg(test)]
pub(super) fn read(width: usize, height: usize, luma: &[u8]) -> Vec<String> {
    let mut reader = quircs::Quirc::default();
    let found: Vec<_> = reader.identify(width, height, luma).flatten().collect();
    let read = found.iter().filter_map(|code| code.decode().ok());
    read.filter_map(|data| String::from_utf8(data.payload).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many pixels a module, with so much of its light.
    fn read_back(qr: &Qr, scale: usize, light: f32) -> Vec<String> {
        let side = qr.side * scale;
        let rgba = qr.rgba();
        let luma = |at: usize| {
            let module = (at / side / scale) * qr.side + (at % side) / scale;
            f32::from(rgba[4 * module + 1]) * light
        };
        let luma: Vec<u8> = (0..side * side).map(|at| luma(at) as u8).collect();
        read(side, side, &luma)
    }

    #[test]
    fn a_reader_reads_what_is_meant_also_when_it_has_faded() {
        let shortest = "screen-portal pair 10-act-act";
        let longest = format!(
            "screen-portal pair 99-{0}-{0} --address [2001:db8:1111:2222:3333:4444:5555:6666]:65535",
            "syllable"
        );
        for text in [shortest, "screen-portal pair 47-harbor-orbit --address 192.168.178.21:7413", &longest] {
            let qr = Qr::new(text).unwrap();
            assert!(qr.side() <= 45, "{text}: {}", qr.side());
            for (scale, light) in [(3, 1.0), (8, 1.0), (8, 0.45), (8, 0.2)] {
                assert_eq!(read_back(&qr, scale, light), [text], "{scale} {light}");
            }
        }
        assert_eq!(Qr::new(&"x".repeat(3000)), None);
    }

    #[test]
    fn it_is_no_bright_area() {
        let luma = |[r, g, b]: [u8; 3]| (2126 * u32::from(r) + 7152 * u32::from(g) + 722 * u32::from(b)) / 10_000;
        assert!(luma(LIGHT) < 170 && luma(DARK) < 20);
    }
}
