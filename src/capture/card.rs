//! A calm still picture with a few words, for those who look on while there is no camera's picture to be seen.

use super::paint::{Canvas, Ink, Mask};
use crate::media::Size;

/// Paints an I420 picture of `size` (even): dark, with each line in its middle. Nothing of what was in the buffer is left.
pub fn paint_card(i420: &mut [u8], size: Size, lines: &[&str]) {
    let (width, height) = (size.width as usize, size.height as usize);
    let mut canvas = Canvas::new(i420, size);
    canvas.fill([0, 0, width, height], Ink::rgb(0.07, 0.09, 0.12));
    let line_height = size.height as f32 * 0.09;
    let pitch = (line_height * 1.4) as i32;
    let mut top = (size.height as i32 - pitch * lines.len() as i32) / 2;
    for (n, line) in lines.iter().enumerate() {
        let mask = Mask::text(line, line_height, width * 9 / 10);
        let ink = if n == 0 { Ink::rgb(0.86, 0.88, 0.9) } else { Ink::rgb(0.55, 0.58, 0.62) };
        canvas.stamp(&mask, (size.width as i32 - mask.width as i32) / 2, top, ink);
        top += pitch;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_what_was_there_is_left() {
        let size = Size::new(640, 360);
        let (mut first, mut second) = (vec![0; size.pixels() * 3 / 2], vec![255; size.pixels() * 3 / 2]);
        let lines = ["The camera is switched off", "Harbour"];
        paint_card(&mut first, size, &lines);
        paint_card(&mut second, size, &lines);
        assert_eq!(first, second);
        let bright = first[..size.pixels()].iter().filter(|&&luma| luma > 150).count();
        assert!((500..20_000).contains(&bright), "{bright} bright pixels: the words");
        // Whatever a place is called.
        paint_card(&mut first, size, &[&"x".repeat(1000), "", "\u{1F600}"]);
    }
}
