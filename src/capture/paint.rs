//! Drawing into I420 pictures, for sources that the program makes itself.

use crate::media::Size;
use crate::media::convert::planes;
use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};

const FONT: &[u8] = include_bytes!("../../assets/fonts/Inter-SemiBold.otf");

/// A colour in code values of BT.709, limited range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ink {
    pub y: u8,
    pub u: u8,
    pub v: u8,
}

impl Ink {
    /// From R'G'B' between 0 and 1 (ITU-R BT.709-6, 3.2 to 3.4).
    pub(super) fn rgb(red: f64, green: f64, blue: f64) -> Self {
        let luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
        let chroma = |difference: f64| (128.0 + 224.0 * difference).round() as u8;
        let y = (16.0 + 219.0 * luma).round() as u8;
        Self { y, u: chroma((blue - luma) / 1.8556), v: chroma((red - luma) / 1.5748) }
    }
}

/// How much of each pixel a shape covers, 0 to 255. Width and height are even.
#[derive(Clone, Debug)]
pub(super) struct Mask {
    pub width: usize,
    pub height: usize,
    coverage: Vec<u8>,
}

impl Mask {
    fn empty(width: usize, height: usize) -> Self {
        let (width, height) = (width.next_multiple_of(2), height.next_multiple_of(2));
        Self { width, height, coverage: vec![0; width * height] }
    }

    /// A filled circle with a soft edge.
    pub(super) fn disc(radius: f32) -> Self {
        let side = (2.0 * radius).ceil() as usize + 2;
        let mut mask = Self::empty(side, side);
        let middle = mask.width as f32 / 2.0;
        for (i, coverage) in mask.coverage.iter_mut().enumerate() {
            let (x, y) = ((i % mask.width) as f32 + 0.5 - middle, (i / mask.width) as f32 + 0.5 - middle);
            *coverage = (255.0 * (radius + 0.5 - x.hypot(y)).clamp(0.0, 1.0)) as u8;
        }
        mask
    }

    /// One line of text, `height` pixels from the top of the tallest letter to the bottom of the lowest. What is longer than
    /// `most` pixels is cut off. Characters that the font does not know show as its "unknown" box.
    pub(super) fn text(text: &str, height: f32, most: usize) -> Self {
        // The font is part of the program and read by every test of this module.
        let Ok(font) = FontRef::try_from_slice(FONT) else { return Self::empty(2, 2) };
        let scale = PxScale::from(height.max(4.0));
        let scaled = font.as_scaled(scale);
        let mut glyphs: Vec<Glyph> = Vec::new();
        let mut x = 0.0;
        for letter in text.chars().filter(|letter| !letter.is_control()) {
            let id = scaled.glyph_id(letter);
            if let Some(last) = glyphs.last() {
                x += scaled.kern(last.id, id);
            }
            if x + scaled.h_advance(id) > most as f32 {
                break;
            }
            glyphs.push(id.with_scale_and_position(scale, point(x, scaled.ascent())));
            x += scaled.h_advance(id);
        }
        let mut mask = Self::empty(x.ceil() as usize + 1, scaled.height().ceil() as usize);
        for glyph in glyphs {
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let (left, top) = (outline.px_bounds().min.x as i32, outline.px_bounds().min.y as i32);
            outline.draw(|x, y, covered| {
                let (x, y) = (left + x as i32, top + y as i32);
                if (0..mask.width as i32).contains(&x) && (0..mask.height as i32).contains(&y) {
                    let coverage = &mut mask.coverage[y as usize * mask.width + x as usize];
                    *coverage = (*coverage).max((255.0 * covered.clamp(0.0, 1.0)) as u8);
                }
            });
        }
        mask
    }
}

/// An I420 picture to draw into. Everything outside is cut off.
pub(super) struct Canvas<'a> {
    size: Size,
    y: &'a mut [u8],
    u: &'a mut [u8],
    v: &'a mut [u8],
}

impl<'a> Canvas<'a> {
    pub(super) fn new(i420: &'a mut [u8], size: Size) -> Self {
        let (y, u, v) = planes(i420, size);
        Self { size, y, u, v }
    }

    /// Fills from (`left`, `top`) up to, without, (`right`, `bottom`), all taken as even.
    pub(super) fn fill(&mut self, [left, top, right, bottom]: [usize; 4], ink: Ink) {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let [left, right] = [left, right].map(|x| x.min(width) & !1);
        let [top, bottom] = [top, bottom].map(|y| y.min(height) & !1);
        if left >= right {
            return;
        }
        for row in top..bottom {
            self.y[row * width..][left..right].fill(ink.y);
        }
        for row in top / 2..bottom / 2 {
            self.u[row * width / 2..][left / 2..right / 2].fill(ink.u);
            self.v[row * width / 2..][left / 2..right / 2].fill(ink.v);
        }
    }

    /// Paints `ink` through a mask whose top left corner is at (`left`, `top`), taken as even.
    pub(super) fn stamp(&mut self, mask: &Mask, left: i32, top: i32, ink: Ink) {
        let (left, top) = (left & !1, top & !1);
        let (width, height) = (self.size.width as i32, self.size.height as i32);
        let columns = (-left).clamp(0, mask.width as i32)..(width - left).clamp(0, mask.width as i32);
        let rows = (-top).clamp(0, mask.height as i32)..(height - top).clamp(0, mask.height as i32);
        let covered = |x: i32, y: i32| u32::from(mask.coverage[y as usize * mask.width + x as usize]);
        for y in rows.clone() {
            for x in columns.clone() {
                blend(&mut self.y[((top + y) * width + left + x) as usize], ink.y, covered(x, y));
            }
        }
        for y in rows.step_by(2) {
            for x in columns.clone().step_by(2) {
                let mean = (covered(x, y) + covered(x + 1, y) + covered(x, y + 1) + covered(x + 1, y + 1)) / 4;
                let at = ((top + y) / 2 * (width / 2) + (left + x) / 2) as usize;
                blend(&mut self.u[at], ink.u, mean);
                blend(&mut self.v[at], ink.v, mean);
            }
        }
    }
}

fn blend(under: &mut u8, over: u8, coverage: u32) {
    *under = ((u32::from(*under) * (255 - coverage) + u32::from(over) * coverage + 127) / 255) as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_the_recommendation() {
        let table = [
            ([1.0, 1.0, 1.0], (235, 128, 128)),
            ([0.0, 0.0, 0.0], (16, 128, 128)),
            ([1.0, 0.0, 0.0], (63, 102, 240)),
            ([0.0, 1.0, 0.0], (173, 42, 26)),
            ([0.0, 0.0, 1.0], (32, 240, 118)),
        ];
        for ([red, green, blue], (y, u, v)) in table {
            assert_eq!(Ink::rgb(red, green, blue), Ink { y, u, v });
        }
    }

    #[test]
    fn text_is_drawn_and_cut_off() {
        let covered = |mask: &Mask| mask.coverage.iter().filter(|&&coverage| coverage > 200).count();
        let (short, long) = (Mask::text("I", 40.0, 500), Mask::text("Wide enough", 40.0, 500));
        assert!(covered(&short) > 50 && covered(&long) > 5 * covered(&short));
        assert!(Mask::text(&"x".repeat(1000), 40.0, 300).width <= 302);
        assert_eq!(covered(&Mask::text("", 40.0, 300)), 0);
    }

    #[test]
    fn what_lies_outside_is_cut_off() {
        let size = Size::new(16, 8);
        let white = Ink::rgb(1.0, 1.0, 1.0);
        let mut picture = vec![16; size.pixels() * 3 / 2];
        let mut canvas = Canvas::new(&mut picture, size);
        canvas.fill([12, 6, 100, 100], white);
        let disc = Mask::disc(3.0);
        for (left, top) in [(-4, -4), (14, 6), (-100, 3), (100, 100), (4, 0)] {
            canvas.stamp(&disc, left, top, white);
        }
        assert_eq!((picture[7 * 16 + 15], picture[7 * 16], picture[4 * 16 + 7]), (235, 16, 235));
    }
}
