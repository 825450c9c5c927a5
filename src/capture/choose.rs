//! Which of a camera's formats is used.

use crate::media::Size;
use crate::media::convert::Raw;
use crate::media::scale::part_in_shape;
use std::cmp::Reverse;

/// How a camera codes its pictures. Only those that become I420 without RGB on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coding {
    /// 4:2:0, uncompressed: cheapest.
    Nv12,
    /// 4:2:2, uncompressed.
    Yuyv,
    /// JPEG pictures: costs some milliseconds a picture and some quality, but fits through USB 2 at any size.
    Mjpeg,
}

impl Coding {
    /// V4L2's four characters.
    pub const fn fourcc(self) -> [u8; 4] {
        match self {
            Self::Nv12 => *b"NV12",
            Self::Yuyv => *b"YUYV",
            Self::Mjpeg => *b"MJPG",
        }
    }
}

impl std::fmt::Display for Coding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nv12 => "NV12",
            Self::Yuyv => "YUYV",
            Self::Mjpeg => "MJPEG",
        })
    }
}

/// One format that a camera offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CameraFormat {
    /// How pictures are coded.
    pub coding: Coding,
    /// Their width in pixels.
    pub width: u32,
    /// Their height in pixels.
    pub height: u32,
    /// Pictures per second.
    pub fps: u32,
}

impl CameraFormat {
    /// The picture's size.
    pub const fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl std::fmt::Display for CameraFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} at {} fps", self.size(), self.coding, self.fps)
    }
}

/// The best of the listed formats for pictures of size `wanted` at `fps`; `None` if none of them can be used.
///
/// Sharpness and smoothness count alike: a third of the rate costs as much as a third of the detail each way. Detail is what
/// is left once the picture is cropped to the wanted shape, and more than wanted is worth nothing. Among equals: the
/// fewest pixels to move, then the rate nearest to the wanted one, then the cheapest coding.
pub fn choose(formats: &[CameraFormat], wanted: Size, fps: u32) -> Option<CameraFormat> {
    let usable = |format: &&CameraFormat| {
        let sides = [format.width, format.height];
        format.fps > 0 && sides.iter().all(|side| (16..=Size::MAX_SIDE).contains(side))
    };
    let worth = |format: &CameraFormat| {
        let smooth = f64::from(format.fps.min(fps)) / f64::from(fps);
        let shown = part_in_shape(Raw::even(format.size()), wanted).pixels().min(wanted.pixels());
        let sharp = (shown as f64 / wanted.pixels() as f64).sqrt();
        (smooth * sharp * 1e6).round() as u64
    };
    formats.iter().filter(usable).copied().max_by_key(|format| {
        (worth(format), Reverse(format.size().pixels()), Reverse(format.fps.abs_diff(fps)), Reverse(format.coding))
    })
}

#[cfg(test)]
mod tests {
    use super::Coding::{Mjpeg, Nv12, Yuyv};
    use super::*;

    const HD: Size = Size::new(1280, 720);

    fn format(coding: Coding, width: u32, height: u32, fps: u32) -> CameraFormat {
        CameraFormat { coding, width, height, fps }
    }

    #[test]
    fn scenarios() {
        // What it is about, what the camera offers, which of them is chosen (by its place).
        type Scenario = (&'static str, &'static [(Coding, u32, u32, u32)], usize);
        #[rustfmt::skip]
        let table: &[Scenario] = &[
            ("exactly what is wanted", &[(Yuyv, 640, 480, 30), (Yuyv, 1280, 720, 30), (Yuyv, 1920, 1080, 30)], 1),
            ("cheapest coding", &[(Mjpeg, 1280, 720, 30), (Yuyv, 1280, 720, 30), (Nv12, 1280, 720, 30)], 2),
            ("USB 2: YUYV is slow at this size", &[(Yuyv, 1280, 720, 10), (Yuyv, 640, 480, 30), (Mjpeg, 1280, 720, 30)], 2),
            ("smooth and small beats sharp and jerky", &[(Yuyv, 1280, 720, 10), (Yuyv, 640, 480, 30)], 1),
            ("nearly smooth and sharp beats small", &[(Yuyv, 1280, 720, 25), (Yuyv, 640, 480, 30)], 0),
            ("faster is not better", &[(Yuyv, 1280, 720, 60), (Yuyv, 1280, 720, 30), (Yuyv, 1280, 720, 120)], 1),
            ("faster if there is nothing else", &[(Yuyv, 1280, 720, 60), (Yuyv, 1280, 720, 15)], 0),
            ("larger if there is nothing else", &[(Yuyv, 640, 480, 30), (Mjpeg, 1920, 1080, 30)], 1),
            ("the least too large", &[(Mjpeg, 3840, 2160, 30), (Mjpeg, 1280, 960, 30), (Mjpeg, 1920, 1080, 30)], 1),
            ("same detail in the wanted shape, fewer pixels", &[(Yuyv, 640, 480, 30), (Yuyv, 640, 360, 30)], 1),
            ("only tiny ones", &[(Yuyv, 160, 120, 30), (Yuyv, 320, 240, 30)], 1),
            ("odd sizes are usable", &[(Yuyv, 641, 361, 30), (Yuyv, 160, 120, 30)], 0),
            ("a size that cannot be", &[(Yuyv, 100_000, 100_000, 30), (Yuyv, 320, 240, 5)], 1),
            ("no rate at all", &[(Yuyv, 1280, 720, 0), (Yuyv, 160, 120, 1)], 1),
        ];
        for (about, offered, expected) in table {
            let formats: Vec<_> = offered.iter().map(|&(c, w, h, fps)| format(c, w, h, fps)).collect();
            assert_eq!(choose(&formats, HD, 30), Some(formats[*expected]), "{about}");
            let reversed: Vec<_> = formats.iter().rev().copied().collect();
            assert_eq!(choose(&reversed, HD, 30), Some(formats[*expected]), "{about}, listed the other way round");
        }
        assert_eq!(choose(&[], HD, 30), None);
        assert_eq!(choose(&[format(Yuyv, 8, 8, 30)], HD, 30), None);
    }
}
