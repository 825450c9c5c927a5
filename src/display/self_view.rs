//! Where one's own picture is: small, in the lower right corner, out of the way of faces.

use super::fit::{Area, Extent};
use crate::media::Size;

/// Radius of its corners, in hundredths of the canvas's shorter side.
const RADIUS_VMIN: f32 = 1.6;
/// Distance from the canvas's edges.
const MARGIN_VMIN: f32 = 3.0;
/// Its part of the canvas's width, and the most of its height that it may take.
const PART: f32 = 0.22;

/// The area on the canvas for a picture of this shape, and the radius of its corners in pixels.
pub fn inset(picture: Size, canvas: Extent) -> (Area, f32) {
    let (across, down) = (canvas.width as f32, canvas.height as f32);
    let shape = picture.width as f32 / picture.height.max(1) as f32;
    let portrait = if down > across { 1.5 } else { 1.0 };
    let width = (across * PART * portrait).min(down * PART * 1.6 * shape).max(1.0);
    let height = (width / shape).max(1.0);
    let margin = MARGIN_VMIN * canvas.vmin();
    let area = Area {
        x: (across - width - margin).max(0.0) as u32,
        y: (down - height - margin).max(0.0) as u32,
        width: width as u32,
        height: height as u32,
    };
    let whole = Area { width: area.width.max(1), height: area.height.max(1), ..area };
    (whole.clipped(canvas).unwrap_or(Area::whole(canvas)), (RADIUS_VMIN * canvas.vmin()).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small_whole_and_in_the_corner() {
        for canvas in [(1280, 720), (720, 1280), (3840, 2160), (64, 64), (1, 1), (5000, 80)] {
            let canvas = Extent::new(canvas.0, canvas.1);
            for picture in [Size::new(1280, 720), Size::new(640, 480), Size::new(480, 640), Size::new(4096, 2)] {
                let (area, radius) = inset(picture, canvas);
                assert_eq!(area.clipped(canvas), Some(area), "{picture} on {canvas:?}");
                assert!(radius >= 1.0);
                if canvas.width >= 720 {
                    assert!(area.width * area.height * 6 < canvas.width * canvas.height, "{area:?} on {canvas:?}");
                    assert!(area.x > canvas.width / 2 || picture.width > 2 * picture.height, "{area:?}");
                }
            }
        }
    }
}
