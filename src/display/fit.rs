//! Where a picture goes in the window, and which part of it is seen: fit, mirror and rotation as pure geometry.
//!
//! Three spaces: the *picture* in its own pixels, the *canvas* (what a person sees upright), and the *window* (what the monitor
//! scans out). Without rotation canvas and window are the same; turned sideways, width and height change places.

use super::config::{Fit, Rotation};
use crate::media::Size;

/// Width and height in pixels of a window or a canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Extent {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Extent {
    /// An extent of at least one pixel each way.
    pub fn new(width: u32, height: u32) -> Self {
        Self { width: width.max(1), height: height.max(1) }
    }

    /// The canvas of a window, or the window of a canvas.
    pub fn turned(self, rotation: Rotation) -> Self {
        if rotation.is_sideways() { Self { width: self.height, height: self.width } } else { self }
    }

    /// One hundredth of the shorter side, in pixels: the unit that overlays are laid out in.
    pub fn vmin(self) -> f32 {
        self.width.min(self.height) as f32 / 100.0
    }
}

/// A rectangle of whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Area {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Area {
    /// All of it.
    pub fn whole(extent: Extent) -> Self {
        Self { x: 0, y: 0, width: extent.width, height: extent.height }
    }

    /// This area of the canvas, as an area of the window.
    pub fn on_window(self, canvas: Extent, rotation: Rotation) -> Self {
        let right = canvas.width.saturating_sub(self.x + self.width);
        let below = canvas.height.saturating_sub(self.y + self.height);
        let Self { x, y, width, height } = self;
        match rotation {
            Rotation::None => self,
            Rotation::Quarter => Self { x: below, y: x, width: height, height: width },
            Rotation::Half => Self { x: right, y: below, width, height },
            Rotation::ThreeQuarters => Self { x: y, y: right, width: height, height: width },
        }
    }

    /// As much to the right and down of it, as far as it stays within `extent`.
    pub fn shifted(self, (right, down): (i32, i32), extent: Extent) -> Self {
        let x = self.x.saturating_add_signed(right).min(extent.width.saturating_sub(self.width));
        let y = self.y.saturating_add_signed(down).min(extent.height.saturating_sub(self.height));
        Self { x, y, ..self }
    }

    /// The part of it that lies within `extent`; `None` if there is none.
    pub fn clipped(self, extent: Extent) -> Option<Self> {
        let width = self.width.min(extent.width.saturating_sub(self.x));
        let height = self.height.min(extent.height.saturating_sub(self.y));
        (width > 0 && height > 0).then_some(Self { width, height, ..self })
    }
}

/// `x = x[0] * s + x[1] * t + x[2]` and the same for `y`, where s and t run from 0 to 1 over the area on the window, from its left
/// and its top edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Gives the horizontal coordinate.
    pub x: [f32; 3],
    /// Gives the vertical coordinate.
    pub y: [f32; 3],
}

impl Affine {
    /// From the window to the upright canvas, both from 0 to 1.
    pub fn upright(rotation: Rotation) -> Self {
        match rotation {
            Rotation::None => Self { x: [1.0, 0.0, 0.0], y: [0.0, 1.0, 0.0] },
            Rotation::Quarter => Self { x: [0.0, 1.0, 0.0], y: [-1.0, 0.0, 1.0] },
            Rotation::Half => Self { x: [-1.0, 0.0, 1.0], y: [0.0, -1.0, 1.0] },
            Rotation::ThreeQuarters => Self { x: [0.0, -1.0, 1.0], y: [1.0, 0.0, 0.0] },
        }
    }

    /// Then scales and shifts the result.
    fn then(self, scale: [f32; 2], shift: [f32; 2]) -> Self {
        let line = |line: [f32; 3], i: usize| [line[0] * scale[i], line[1] * scale[i], line[2] * scale[i] + shift[i]];
        Self { x: line(self.x, 0), y: line(self.y, 1) }
    }

    /// The transformed point.
    pub fn apply(&self, s: f32, t: f32) -> (f32, f32) {
        let on = |line: [f32; 3]| line[0] * s + line[1] * t + line[2];
        (on(self.x), on(self.y))
    }
}

/// How the samples of a picture become pixels of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// One luma sample is one pixel: read, do not filter.
    Exact,
    /// Bilinear: up to two samples a pixel, or more pixels than samples.
    Smooth,
    /// More than two samples a pixel: four bilinear taps, else fine structures shimmer.
    Shrunk,
}

/// Where on the window a picture goes, and which sample each pixel shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// The area on the window.
    pub area: Area,
    /// From that area to the picture, in luma samples.
    pub samples: Affine,
    /// How to read them.
    pub sampling: Sampling,
}

/// Pixels per sample of a picture in an area of the canvas.
pub fn scale(picture: Size, area: Area, fit: Fit) -> f32 {
    let across = area.width.max(1) as f32 / picture.width as f32;
    let down = area.height.max(1) as f32 / picture.height as f32;
    match fit {
        Fit::Cover => across.max(down),
        Fit::Contain => across.min(down),
    }
}

/// Places a picture in an area of the canvas.
pub fn place(picture: Size, area: Area, canvas: Extent, fit: Fit, rotation: Rotation, mirror: bool) -> Placement {
    let (width, height) = (picture.width as f32, picture.height as f32);
    let (room_x, room_y) = (area.width.max(1) as f32, area.height.max(1) as f32);
    let scale = scale(picture, area, fit);
    // What is shown on the canvas, in whole pixels, and the samples that it shows.
    let shown_x = (width * scale).round().clamp(1.0, room_x);
    let shown_y = (height * scale).round().clamp(1.0, room_y);
    let seen_x = (shown_x / scale).min(width);
    let seen_y = (shown_y / scale).min(height);
    let target = Area {
        x: area.x + ((room_x - shown_x) / 2.0) as u32,
        y: area.y + ((room_y - shown_y) / 2.0) as u32,
        width: shown_x as u32,
        height: shown_y as u32,
    };
    // At 1:1 a crop starts at a whole sample, so that no filter is needed.
    let exact = scale == 1.0;
    let start = |side: f32, seen: f32| if exact { ((side - seen) / 2.0).floor() } else { (side - seen) / 2.0 };
    let (left, top) = (start(width, seen_x), start(height, seen_y));
    let samples = if mirror {
        Affine::upright(rotation).then([-seen_x, seen_y], [width - left, top])
    } else {
        Affine::upright(rotation).then([seen_x, seen_y], [left, top])
    };
    let sampling = match scale {
        _ if exact => Sampling::Exact,
        small if small < 0.5 => Sampling::Shrunk,
        _ => Sampling::Smooth,
    };
    Placement { area: target.on_window(canvas, rotation), samples, sampling }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: Size = Size::new(1280, 720);

    fn whole(picture: Size, window: (u32, u32), fit: Fit, rotation: Rotation, mirror: bool) -> Placement {
        let canvas = Extent::new(window.0, window.1).turned(rotation);
        place(picture, Area::whole(canvas), canvas, fit, rotation, mirror)
    }

    fn area(x: u32, y: u32, width: u32, height: u32) -> Area {
        Area { x, y, width, height }
    }

    #[test]
    fn the_same_size_is_shown_sample_by_sample() {
        for fit in [Fit::Cover, Fit::Contain] {
            let placement = whole(HD, (1280, 720), fit, Rotation::None, false);
            assert_eq!(placement.area, area(0, 0, 1280, 720));
            assert_eq!(placement.sampling, Sampling::Exact);
            assert_eq!(placement.samples.apply(0.5 / 1280.0, 0.5 / 720.0), (0.5, 0.5));
        }
    }

    #[test]
    fn contain_leaves_bars_and_cover_cuts() {
        let contained = whole(HD, (1280, 1024), Fit::Contain, Rotation::None, false);
        assert_eq!(contained.area, area(0, 152, 1280, 720));
        assert_eq!(contained.sampling, Sampling::Exact);
        let covering = whole(HD, (720, 720), Fit::Cover, Rotation::None, false);
        assert_eq!(covering.area, area(0, 0, 720, 720));
        assert_eq!(covering.samples.apply(0.0, 0.0), (280.0, 0.0));
        assert_eq!(covering.samples.apply(1.0, 1.0), (1000.0, 720.0));
    }

    #[test]
    fn corners_go_where_they_belong() {
        // Which corner of the picture is seen in the window's top left, and in its top right.
        let cases = [
            (Rotation::None, false, (0.0, 0.0), (1280.0, 0.0)),
            (Rotation::None, true, (1280.0, 0.0), (0.0, 0.0)),
            (Rotation::Quarter, false, (0.0, 720.0), (0.0, 0.0)),
            (Rotation::Quarter, true, (1280.0, 720.0), (1280.0, 0.0)),
            (Rotation::Half, false, (1280.0, 720.0), (0.0, 720.0)),
            (Rotation::ThreeQuarters, false, (1280.0, 0.0), (1280.0, 720.0)),
        ];
        for (rotation, mirror, top_left, top_right) in cases {
            let window = if rotation.is_sideways() { (720, 1280) } else { (1280, 720) };
            let placement = whole(HD, window, Fit::Contain, rotation, mirror);
            assert_eq!(placement.area, area(0, 0, window.0, window.1), "{rotation:?}");
            assert_eq!(placement.samples.apply(0.0, 0.0), top_left, "{rotation:?} {mirror}");
            assert_eq!(placement.samples.apply(1.0, 0.0), top_right, "{rotation:?} {mirror}");
            assert_eq!(placement.sampling, Sampling::Exact);
        }
    }

    #[test]
    fn an_area_turns_with_the_canvas() {
        let canvas = Extent::new(100, 60);
        let corner = area(90, 0, 10, 5);
        assert_eq!(corner.on_window(canvas, Rotation::Quarter), area(55, 90, 5, 10));
        assert_eq!(corner.on_window(canvas, Rotation::Half), area(0, 55, 10, 5));
        assert_eq!(corner.on_window(canvas, Rotation::ThreeQuarters), area(0, 0, 5, 10));
    }

    #[test]
    fn nothing_leaves_the_window() {
        for (width, height) in [(1, 1), (64, 4096), (1279, 719), (3840, 2160)] {
            for fit in [Fit::Cover, Fit::Contain] {
                for picture in [HD, Size::new(2, 2), Size::new(4096, 2), Size::new(360, 640)] {
                    let placement = whole(picture, (width, height), fit, Rotation::Quarter, true);
                    let shown = placement.area;
                    assert_eq!(shown.clipped(Extent::new(width, height)), Some(shown), "{picture} in {width}x{height}");
                    for (s, t) in [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)] {
                        let (x, y) = placement.samples.apply(s, t);
                        assert!((-0.01..=picture.width as f32 + 0.01).contains(&x), "{x} of {picture}");
                        assert!((-0.01..=picture.height as f32 + 0.01).contains(&y), "{y} of {picture}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_small_inset_is_filtered() {
        assert_eq!(whole(HD, (320, 180), Fit::Cover, Rotation::None, true).sampling, Sampling::Shrunk);
        assert_eq!(whole(HD, (1920, 1080), Fit::Cover, Rotation::None, true).sampling, Sampling::Smooth);
    }
}
